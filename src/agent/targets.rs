//! Groups become targets, and targets come and go while the agent runs.
//!
//! ```text
//!  groups ─► labels of each target ─► targets, each once ─► new: a task    unchanged: goes on, with its cache
//!                │ invalid: a line and a count              gone: ends with staleness markers
//! ```
//!
//! Follows `scrapePool.Sync` of Prometheus, and its reloader: changes are taken up at most every five seconds.

use super::discovered::Discovered;
use super::numbers::Numbers;
use super::scraping::{self, Job, TargetCount};
use super::status::{DroppedTargets, Health, Pools, as_discovered};
use super::{AgentError, Shared};
use crate::clock::Clock;
use crate::config::Config;
use crate::counters::Counters;
use crate::discovery::{Group, JobOptions};
use crate::dns::Resolver;
use crate::http_client::HttpClient;
use crate::limits::TARGETS_MAX;
use crate::model::{MetadataTable, SeriesTable, Target};
use crate::relabel::{Populated, populate};
use crate::scrape::{ScrapeOptions, Scraper, offset_seed};
use crate::status::{ActiveTarget, LabelPairs};
use smol::channel::{Receiver, Sender};
use smol::{LocalExecutor, Task};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

/// How long after one change the next one is taken up: Prometheus's `DiscoveryReloadInterval`.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// Lines about invalid targets that one look at a job's targets may give.
const PROBLEM_LINES_MAX: usize = 8;

/// The targets of all jobs.
pub(super) struct Targets {
    pools: Vec<Pool>,
    maker: Maker,
    /// Tasks of targets that have gone and wait for their staleness markers.
    ending: Vec<Task<()>>,
    left_out: usize,
    /// Where they are shown.
    shown: Option<Pools>,
}

/// The targets of one job.
struct Pool {
    options: JobOptions,
    client: Rc<HttpClient>,
    running: HashMap<Rc<Target>, Running>,
    count: Rc<TargetCount>,
    problems: HashSet<String>,
    /// Kept only where targets are shown.
    discovered: HashMap<Rc<Target>, LabelPairs>,
    dropped: DroppedTargets,
    is_shown: bool,
}

struct Running {
    task: Task<()>,
    health: Health,
    /// Closes when this is dropped: the target has gone.
    _removed: Sender<Infallible>,
}

/// What a scraper is made with, whatever its target.
struct Maker {
    table: Rc<SeriesTable>,
    counters: Rc<Counters>,
    metadata: Option<Rc<MetadataTable>>,
    numbers: Rc<Numbers>,
    seed: u64,
}

impl Targets {
    pub fn new(
        config: &Config,
        resolver: &Resolver,
        table: Rc<SeriesTable>,
        counters: Rc<Counters>,
        shown: Option<Pools>,
        metadata: Option<Rc<MetadataTable>>,
    ) -> Result<Targets, AgentError> {
        let seed = offset_seed(&format!("{}{}", host_name(), config.global.external_labels));
        let pool = |options: &JobOptions| {
            let client = HttpClient::new(&options.http, resolver.clone());
            Ok(Pool {
                client: client.map_err(|cause| AgentError::Client { job: options.job_name.clone(), cause })?,
                options: options.clone(),
                running: HashMap::new(),
                count: Rc::new(TargetCount { targets: Cell::new(0), limit: options.target_limit }),
                problems: HashSet::new(),
                discovered: HashMap::new(),
                dropped: DroppedTargets::default(),
                is_shown: shown.is_some(),
            })
        };
        let pools = config.jobs.iter().map(pool).collect::<Result<_, AgentError>>()?;
        let maker = Maker { table, counters, metadata, numbers: Rc::default(), seed };
        Ok(Targets { pools, maker, ending: Vec::new(), left_out: 0, shown })
    }

    /// Keeps the tasks in step with what is listed; does not end.
    pub async fn follow(
        &mut self,
        shared: &Rc<Shared>,
        executor: &LocalExecutor<'static>,
        discovered: &Discovered,
        stopping: &Receiver<Infallible>,
    ) {
        self.sync(shared, executor, discovered, stopping);
        loop {
            discovered.changed().await;
            self.sync(shared, executor, discovered, stopping);
            shared.sleep_until(shared.clock.monotonic() + SYNC_INTERVAL).await;
        }
    }

    /// Waits for the tasks, which have been told to stop.
    pub async fn finish(self) {
        let running = self.pools.into_iter().flat_map(|pool| pool.running.into_values());
        for task in running.map(|running| running.task).chain(self.ending) {
            task.await;
        }
    }

    /// All targets as they are listed now, ready to be scraped.
    pub fn jobs(&mut self, discovered: &Discovered) -> Result<Vec<Job>, AgentError> {
        let mut jobs = Vec::new();
        for (index, pool) in self.pools.iter_mut().enumerate() {
            let listed = pool.list(&discovered.groups(index), &self.maker.counters);
            pool.count.targets.set(listed.len());
            for target in listed.into_iter().take(TARGETS_MAX - jobs.len()) {
                jobs.push(self.maker.job(pool, target)?);
            }
        }
        Ok(jobs)
    }

    fn sync(
        &mut self,
        shared: &Rc<Shared>,
        executor: &LocalExecutor<'static>,
        discovered: &Discovered,
        stopping: &Receiver<Infallible>,
    ) {
        self.ending.retain(|task| !task.is_finished());
        let mut new = Vec::with_capacity(self.pools.len());
        for (index, pool) in self.pools.iter_mut().enumerate() {
            let listed = pool.list(&discovered.groups(index), &self.maker.counters);
            let ended = pool.end_all_but(&listed);
            let fresh: Vec<_> = listed.into_iter().filter(|target| !pool.running.contains_key(target)).collect();
            if !fresh.is_empty() || !ended.is_empty() {
                let (job, kept) = (&pool.options.job_name, pool.running.len());
                log::info!("job {job:?}: {} new targets, {} gone, {kept} as before", fresh.len(), ended.len());
            }
            self.ending.extend(ended);
            new.push(fresh);
        }
        let mut room = TARGETS_MAX.saturating_sub(self.running());
        room = room.min((2 * TARGETS_MAX).saturating_sub(self.running() + self.ending.len()));
        let mut left_out = 0;
        for (pool, fresh) in self.pools.iter_mut().zip(new) {
            left_out += fresh.len().saturating_sub(room);
            for target in fresh.into_iter().take(room) {
                room -= 1;
                match self.maker.job(pool, target.clone()) {
                    Ok(job) => pool.start(shared, executor, job, stopping),
                    Err(error) => {
                        self.maker.counters.targets_invalid.add(1);
                        log::error!("{target}: {error}");
                    }
                }
            }
            pool.check_limit();
        }
        self.tell_left_out(left_out);
        self.show();
    }

    fn show(&self) {
        for (pool, shown) in self.pools.iter().zip(self.shown.iter().flat_map(|pools| pools.iter())) {
            let mut shown = shown.borrow_mut();
            shown.active = pool.active();
            shown.dropped = pool.dropped.shown.clone();
            shown.dropped_count = pool.dropped.count;
        }
    }

    fn running(&self) -> usize {
        self.pools.iter().map(|pool| pool.running.len()).sum()
    }

    fn tell_left_out(&mut self, left_out: usize) {
        self.maker.counters.targets_left_out.add(left_out as u64);
        if left_out != self.left_out {
            log::error!("{left_out} targets are left out: at most {TARGETS_MAX} are scraped; list fewer");
        }
        self.left_out = left_out;
    }
}

impl Pool {
    /// The targets that groups come to, each once. Says what is invalid when that is new.
    fn list(&mut self, discovered: &[Rc<[Group]>], counters: &Counters) -> Vec<Rc<Target>> {
        let (mut listed, mut seen, mut problems) = (Vec::new(), HashSet::new(), HashSet::new());
        let (fixed, defaults) = (self.options.static_groups(), self.options.target_defaults());
        (self.discovered, self.dropped) = Default::default();
        for group in fixed.iter().chain(discovered.iter().flat_map(|groups| groups.iter())) {
            for (labels, index) in group.discovered().zip(0..) {
                let as_discovered = self.is_shown.then(|| as_discovered(&labels, &self.options));
                match populate(labels, &defaults) {
                    Ok(Populated::Dropped) => self.dropped.add(as_discovered),
                    Ok(Populated::Target(target)) => {
                        let target = Rc::new(target);
                        self.discovered.extend(as_discovered.map(|labels| (target.clone(), labels)));
                        if seen.insert(target.clone()) {
                            listed.push(target);
                        }
                    }
                    Err(problem) => {
                        counters.targets_invalid.add(1);
                        problems.insert(format!("target {index} in group {}: {problem}", group.source));
                    }
                }
            }
        }
        let job = &self.options.job_name;
        let mut fresh = problems.difference(&self.problems);
        fresh.by_ref().take(PROBLEM_LINES_MAX).for_each(|problem| log::error!("job {job:?}: {problem}"));
        match fresh.count() {
            0 => {}
            more => log::error!("job {job:?}: {more} more targets are invalid"),
        }
        if self.dropped.count > 0 {
            log::debug!("job {job:?}: relabelling dropped {} targets", self.dropped.count);
        }
        self.problems = problems;
        listed
    }

    /// Ends the targets that are listed no more; their tasks go on until their markers are written.
    fn end_all_but(&mut self, listed: &[Rc<Target>]) -> Vec<Task<()>> {
        let listed: HashSet<&Rc<Target>> = listed.iter().collect();
        let gone = self.running.extract_if(|target, _| !listed.contains(target));
        gone.map(|(_, running)| running.task).collect()
    }

    fn start(
        &mut self,
        shared: &Rc<Shared>,
        executor: &LocalExecutor<'static>,
        job: Job,
        stopping: &Receiver<Infallible>,
    ) {
        let (removed, gone) = smol::channel::bounded(1);
        let (target, health) = (job.target.clone(), job.health.clone());
        let task = executor.spawn(scraping::scrape_until(shared.clone(), job, stopping.clone(), gone));
        self.running.insert(target, Running { task, health, _removed: removed });
    }

    /// In order of their labels.
    fn active(&self) -> Vec<ActiveTarget> {
        let mut active: Vec<_> = (self.running.iter())
            .map(|(target, running)| ActiveTarget {
                target: target.clone(),
                discovered: self.discovered.get(target).cloned().unwrap_or_default(),
                last: running.health.clone(),
            })
            .collect();
        active.sort_by_cached_key(|active| active.target.labels.to_string());
        active
    }

    fn check_limit(&self) {
        let (targets, limit) = (self.running.len(), self.count.limit.unwrap_or(usize::MAX));
        let before = self.count.targets.replace(targets);
        if targets > limit && before <= limit {
            let job = &self.options.job_name;
            log::error!("job {job:?}: {targets} targets exceed the target_limit of {limit}; all fail");
        }
    }
}

impl Maker {
    fn job(&self, pool: &Pool, target: Rc<Target>) -> Result<Job, AgentError> {
        let number = self.numbers.clone().take();
        let how = ScrapeOptions { page: pool.options.page.clone(), rules: pool.options.samples.clone() };
        let (table, counters) = (self.table.clone(), self.counters.clone());
        let scraper = Scraper::new(target.clone(), number.get(), how, table, counters, pool.client.clone());
        let failed = |cause| AgentError::Labels { job: pool.options.job_name.clone(), cause };
        let scraper = scraper.map_err(failed)?;
        Ok(Job {
            scraper: match &self.metadata {
                Some(table) => scraper.with_metadata(table.clone()),
                None => scraper,
            },
            target,
            seed: self.seed,
            count: pool.count.clone(),
            health: Health::default(),
            _number: number,
        })
    }
}

/// Empty where the kernel does not say.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default()
}
