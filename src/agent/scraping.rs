//! A target's task: sleep, scrape, hand over; at the end, staleness markers.

use super::discovering::Discoveries;
use super::numbers::Number;
use super::status::{Health, note_scrape};
use super::targets::Targets;
use super::trouble::Trouble;
use super::{AgentError, Shared, unless_stopped};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::dns::Resolver;
use crate::model::{SeriesTable, Target};
use crate::scrape::{Schedule, ScrapeError, ScrapeResult, Scraper};
use smol::channel::Receiver;
use smol::future::or;
use smol::{LocalExecutor, Timer};
use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

/// How long `narthex scrape` waits for discoveries.
const FIRST_LOOK_TIME_MAX: Duration = Duration::from_secs(10);

/// A target and what scrapes it.
pub(super) struct Job {
    pub target: Rc<Target>,
    pub scraper: Scraper,
    /// See [`Schedule::new`].
    pub seed: u64,
    pub count: Rc<TargetCount>,
    pub health: Health,
    pub _number: Number,
}

/// How many targets a scrape configuration has, and how many it may have: one too many, and none of them is scraped.
pub(super) struct TargetCount {
    pub targets: Cell<usize>,
    pub limit: Option<usize>,
}

impl Job {
    async fn scrape(&mut self, clock: &dyn Clock, timestamp_ms: i64) -> ScrapeResult {
        match ScrapeError::of_target_count(self.count.targets.get(), self.count.limit) {
            None => self.scraper.scrape(clock, timestamp_ms).await,
            Some(reason) => self.scraper.refuse(reason, timestamp_ms),
        }
    }
}

/// Scrapes each target of a configuration once, all at the same time, after one look at each discovery; in the order of the
/// configuration.
pub async fn scrape_once(
    config: &Config,
    executor: &LocalExecutor<'static>,
) -> Result<Vec<(Rc<Target>, ScrapeResult)>, AgentError> {
    let table = Rc::new(SeriesTable::with_series_max(config.limits.series_max));
    let resolver = Resolver::new();
    let (discovered, discovering) = Discoveries::new(config, &resolver)?.spawn(executor);
    let complete = async {
        while !discovered.is_complete() {
            discovered.changed().await;
        }
    };
    let late = async {
        Timer::after(FIRST_LOOK_TIME_MAX).await;
        log::warn!("some discovery has not answered within {FIRST_LOOK_TIME_MAX:?}");
    };
    or(complete, late).await;
    drop(discovering);
    let jobs = Targets::new(config, &resolver, table, Rc::default(), None, None)?.jobs(&discovered)?;
    let scrapes = jobs.into_iter().map(|mut job| {
        executor.spawn(async move {
            let clock = SystemClock::new();
            let result = job.scrape(&clock, clock.wall_ms()).await;
            (job.target, result)
        })
    });
    let scrapes: Vec<_> = scrapes.collect();
    let mut results = Vec::with_capacity(scrapes.len());
    for scrape in scrapes {
        results.push(scrape.await);
    }
    Ok(results)
}

/// Scrapes until the agent stops or the target is removed.
pub(super) async fn scrape_until(
    shared: Rc<Shared>,
    mut job: Job,
    stopping: Receiver<Infallible>,
    removed: Receiver<Infallible>,
) {
    let clock = &shared.clock;
    let mut schedule = Schedule::new(&job.target, job.seed, clock.wall_ms(), clock.monotonic());
    let scraping = unless_stopped(&removed, scrape_on(&shared, &mut job, &mut schedule));
    let is_removed = unless_stopped(&stopping, scraping).await.is_some();
    if is_removed {
        leave(&shared, job, schedule, &stopping).await;
    } else {
        shared.take(job.scraper.end_of_run(schedule.end_ms(clock.wall_ms())));
    }
}

async fn scrape_on(shared: &Shared, job: &mut Job, schedule: &mut Schedule) -> Infallible {
    let clock = &shared.clock;
    let (mut trouble, mut limit_trouble) = (Trouble::default(), Trouble::default());
    loop {
        shared.sleep_until(schedule.due()).await;
        let timestamp_ms = schedule.start(clock.wall_ms(), clock.monotonic());
        let result = job.scrape(clock, timestamp_ms).await;
        note_scrape(&job.health, timestamp_ms, &result);
        let target = &job.target;
        let line = match &result.error {
            None => trouble.succeeded(clock.monotonic()),
            Some(error) => {
                log::debug!("scrape of {target}: {error}");
                trouble.failed(clock.monotonic(), error)
            }
        };
        let limit_line = match &result.past_max_series {
            None => limit_trouble.succeeded(clock.monotonic()),
            Some(past) => limit_trouble.failed(clock.monotonic(), past),
        };
        for line in line.into_iter().chain(limit_line) {
            log::warn!("scrape of {target}: {line}");
        }
        shared.take([result.batch].into_iter().chain(result.more));
    }
}

/// The target is listed no more: see [`super::endings`].
async fn leave(shared: &Shared, mut job: Job, schedule: Schedule, stopping: &Receiver<Infallible>) {
    if !job.scraper.has_scraped() {
        return;
    }
    let (clock, interval) = (&shared.clock, job.target.interval);
    let next = schedule.due();
    _ = unless_stopped(stopping, shared.sleep_until(next)).await;
    let Some(markers) = job.scraper.end_of_run(schedule.end_ms(clock.wall_ms())) else { return };
    let ending = shared.endings.begin(markers);
    drop(job);
    _ = unless_stopped(stopping, shared.sleep_until(next + interval + interval / 10)).await;
    shared.take(ending.markers());
}
