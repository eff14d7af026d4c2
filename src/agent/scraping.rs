//! A target's task: sleep, scrape, hand over; at the end, staleness markers.

use super::trouble::Trouble;
use super::{AgentError, Shared, unless_stopped};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::model::{SeriesTable, Target};
use crate::scrape::{Schedule, ScrapeError, ScrapeResult, Scraper};
use smol::LocalExecutor;
use smol::channel::Receiver;
use std::convert::Infallible;
use std::rc::Rc;

/// A target and what scrapes it.
pub(super) struct Job {
    pub target: Rc<Target>,
    pub scraper: Scraper,
    /// See [`Schedule::new`].
    pub seed: u64,
    pub count: Rc<TargetCount>,
}

/// How many targets a scrape configuration has, and how many it may have: one too many, and none of them is scraped.
pub(super) struct TargetCount {
    targets: usize,
    limit: Option<usize>,
}

impl TargetCount {
    pub fn new(targets: usize, limit: Option<usize>) -> Self {
        TargetCount { targets, limit }
    }
}

impl Job {
    async fn scrape(&mut self, clock: &dyn Clock, timestamp_ms: i64) -> ScrapeResult {
        match ScrapeError::of_target_count(self.count.targets, self.count.limit) {
            None => self.scraper.scrape(clock, timestamp_ms).await,
            Some(reason) => self.scraper.refuse(reason, timestamp_ms),
        }
    }
}

/// Scrapes each target of a configuration once, all at the same time; in the order of the configuration.
pub async fn scrape_once(
    config: &Config,
    executor: &LocalExecutor<'static>,
) -> Result<Vec<(Rc<Target>, ScrapeResult)>, AgentError> {
    let table = Rc::new(SeriesTable::with_series_max(config.limits.series_max));
    let jobs = super::jobs(config, &table, &Rc::default())?;
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

pub(super) async fn scrape_until(shared: Rc<Shared>, mut job: Job, stopping: Receiver<Infallible>) {
    let target = job.target.clone();
    let clock = &shared.clock;
    let mut schedule = Schedule::new(&target, job.seed, clock.wall_ms(), clock.monotonic());
    let mut trouble = Trouble::default();
    loop {
        let due = schedule.due(clock.monotonic());
        if unless_stopped(&stopping, shared.sleep_until(due)).await.is_none() {
            break;
        }
        let timestamp_ms = schedule.start(clock.wall_ms());
        let Some(result) = unless_stopped(&stopping, job.scrape(clock, timestamp_ms)).await else { break };
        let line = match &result.error {
            None => trouble.succeeded(clock.monotonic()),
            Some(error) => {
                log::debug!("scrape of {}: {error}", target.url());
                trouble.failed(clock.monotonic(), error)
            }
        };
        if let Some(line) = line {
            log::warn!("scrape of {}: {line}", target.url());
        }
        shared.take([result.batch].into_iter().chain(result.more));
    }
    shared.take(job.scraper.end_of_run(clock.wall_ms()));
}
