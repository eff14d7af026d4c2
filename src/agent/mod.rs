//! The executor's tasks: the one place where stages meet.
//!
//! ```text
//!  a task per discovery  waits for its files, timers, answers ─► groups ─► targets
//!  a task per target     sleeps to its next scrape ─► batch ─► buffer
//!  one task              sleeps to the next commit ─► buffer ─► flash
//!  one task              waits for links, addresses, routes that come up ─► endpoints that wait after a failure
//!  a task per lane       waits for samples ─► window ─► requests ─► uplink ─► acknowledgement
//!  and one per endpoint  sleeps to the next interval ─► what metrics are ─► gate ─► uplink  (if it is wanted)
//! ```
//!
//! All of them share one thread; what a task holds of the shared state it lets go before it waits. A clean stop goes in
//! this order: scrapes end with staleness markers, senders get a moment to deliver, the rest is committed.

mod committing;
mod discovered;
mod discovering;
mod endings;
mod gating;
mod lanes;
mod linking;
mod metadata;
mod notify;
mod numbers;
mod scraping;
mod sending;
mod status;
mod targets;
mod trouble;

use crate::buffer::{Buffer, BufferOptions, Fill};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::counters::Counters;
use crate::http_client::Resolver;
use crate::model::{LabelsError, MetadataTable, ScrapeBatch, SeriesTable};
use crate::remote_write::{EndpointOptions, Meter, Uplink, UplinkError, Version, classes};
use crate::ring::{Found, Layout, RingError, Storage};
use crate::scrape::reported_families;
use crate::tls::TlsError;
use crate::wear::{Ratings, RingShape, WearMeter, WearReport};
use discovering::Discoveries;
use endings::Endings;
use gating::METER_KEY;
pub use lanes::lanes_of;
use notify::Notify;
pub use scraping::scrape_once;
use smol::channel::Receiver;
use smol::future::or;
use smol::{LocalExecutor, Timer};
use status::StatusPage;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use targets::Targets;

/// How long senders may go on delivering after the order to stop.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Why an agent can't start.
#[derive(Debug)]
pub enum AgentError {
    NoEndpoint,
    NoTarget,
    NoBuffer,
    Ring(RingError),
    Labels { job: String, cause: LabelsError },
    Client { job: String, cause: TlsError },
    Endpoint { name: String, cause: UplinkError },
    Status { listen: SocketAddr, cause: io::Error },
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentError::NoEndpoint => {
                write!(f, "there is nowhere to send samples to; add a [[remote_write]] with a url")
            }
            AgentError::NoTarget => {
                write!(f, "there is nothing to scrape; add [[scrape_configs]] with static_configs or a discovery")
            }
            AgentError::NoBuffer => {
                write!(f, "there is no [buffer]; add one with the path of the ring's file")
            }
            AgentError::Ring(error) => error.fmt(f),
            AgentError::Labels { job, cause } => write!(f, "scrape_configs {job:?}: {cause}"),
            AgentError::Client { job, cause } => write!(f, "scrape_configs {job:?}: {cause}"),
            AgentError::Endpoint { name, cause } => write!(f, "remote_write {name:?}: {cause}"),
            AgentError::Status { listen, cause } => {
                write!(f, "status.listen: {listen} can't be listened on: {cause}; write another address or port")
            }
        }
    }
}

impl std::error::Error for AgentError {}

impl From<RingError> for AgentError {
    fn from(error: RingError) -> Self {
        AgentError::Ring(error)
    }
}

/// An agent whose ring is open and whose targets and endpoints are known.
pub struct Agent {
    shared: Rc<Shared>,
    discoveries: Discoveries,
    targets: Targets,
    endpoints: Vec<(EndpointOptions, Uplink)>,
    status: StatusPage,
    /// There if some endpoint wants it.
    metadata: Option<Rc<MetadataTable>>,
}

/// What the tasks share.
struct Shared {
    clock: SystemClock,
    /// The shortest of all jobs.
    scrape_interval: Duration,
    counters: Rc<Counters>,
    buffer: RefCell<Buffer<Storage>>,
    wear: RefCell<WearMeter>,
    endings: Endings,
    /// Of all endpoints together.
    meter: Rc<RefCell<Meter>>,
    /// The time of the next commit may have changed.
    committer: Notify,
    /// There may be something to send, for each sender.
    senders: Vec<Notify>,
    /// How often a link, an address or a route came up.
    links_up: Cell<u64>,
    /// What each endpoint is sent.
    versions: Vec<Cell<Version>>,
    /// Once the agent stops: when senders give up. On the monotonic clock.
    drain_until: Cell<Option<Duration>>,
}

/// What an agent has done and holds: for whoever wants to show it.
#[derive(Clone)]
pub struct Monitor {
    shared: Rc<Shared>,
}

impl Monitor {
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub fn fill(&self) -> Fill {
        self.shared.buffer.borrow().fill()
    }

    pub fn wear(&self) -> WearReport {
        let segments_opened = self.shared.buffer.borrow().segments_opened();
        self.shared.wear.borrow().report(segments_opened, self.shared.clock.monotonic())
    }
}

impl Agent {
    /// Opens the ring and makes ready; nothing is scraped or sent yet.
    pub fn open(config: &Config) -> Result<Agent, AgentError> {
        let options = config.buffer.as_ref().ok_or(AgentError::NoBuffer)?;
        let (counters, table) =
            (Rc::<Counters>::default(), Rc::new(SeriesTable::with_series_max(config.limits.series_max)));
        let endpoints = endpoints(config)?;
        if endpoints.is_empty() {
            return Err(AgentError::NoEndpoint);
        }
        if !config.jobs.iter().any(|job| job.lists_something()) {
            return Err(AgentError::NoTarget);
        }
        let resolver = Resolver::new();
        let discoveries = Discoveries::new(config, &resolver)?;
        let status = StatusPage::new(config)?;
        let is_wanted = endpoints.iter().any(|(endpoint, _)| endpoint.metadata.send);
        let metadata = is_wanted.then(|| Rc::new(MetadataTable::new(reported_families())));
        let (shown, told) = (status.pools(), metadata.clone());
        let targets = Targets::new(config, &resolver, table.clone(), counters.clone(), shown, told)?;
        let lanes: Vec<_> = endpoints.iter().map(|(options, _)| lanes_of(options)).collect();
        let (mut buffer, found, recovery) = Buffer::open_ring(options, &lanes, table, counters.clone())?;
        if let Some(budget) = options.write_budget {
            buffer.limit_writes(budget, options.commit_interval_max);
        }
        for (index, role) in buffer.senders().iter().enumerate() {
            buffer.limit_window(index, endpoints[role.endpoint].0.queue.capacity);
        }
        describe(found, &recovery, &options.path);
        let wear = WearMeter::start(&options.path, ring_shape(buffer.layout()), ratings(options), counters.clone());
        describe_wear(&wear.report_at_start(buffer.segments_opened()));
        let classes_of = |(options, _): &(EndpointOptions, Uplink)| {
            classes(&options.write_relabel, options.priority).unwrap_or_else(|| vec![options.priority])
        };
        let classes = endpoints.iter().flat_map(classes_of);
        let meter = Meter::new(config.uplink.clone(), classes, buffer.remembered(METER_KEY));
        let commit_interval = options.commit_interval;
        endpoints
            .iter()
            .filter_map(|(endpoint, _)| sending::cost_in_flash(endpoint, commit_interval))
            .for_each(|line| log::warn!("{line}"));
        let shared = Shared {
            clock: SystemClock::new(),
            scrape_interval: config.jobs.iter().map(|job| job.interval).min().unwrap_or_default(),
            counters,
            senders: buffer.senders().iter().map(|_| Notify::new()).collect(),
            buffer: RefCell::new(buffer),
            wear: RefCell::new(wear),
            endings: Endings::default(),
            meter: Rc::new(RefCell::new(meter)),
            committer: Notify::new(),
            links_up: Cell::new(0),
            versions: endpoints.iter().map(|(endpoint, _)| Cell::new(endpoint.message.first())).collect(),
            drain_until: Cell::new(None),
        };
        Ok(Agent { shared: Rc::new(shared), discoveries, targets, endpoints, status, metadata })
    }

    pub fn monitor(&self) -> Monitor {
        Monitor { shared: self.shared.clone() }
    }

    /// Runs until `stop` is ready, then stops cleanly, within two seconds and the time of one commit.
    pub async fn run(self, executor: &LocalExecutor<'static>, stop: impl Future<Output = ()>) -> Result<(), RingError> {
        let Agent { shared, discoveries, mut targets, endpoints, status, metadata } = self;
        let (stopper, stopping) = smol::channel::bounded::<Infallible>(1);
        let turns: Vec<_> = endpoints.iter().map(|(options, _)| shared.turns_of(options)).collect();
        let telling: Vec<_> = (endpoints.iter().enumerate())
            .filter_map(|(index, (options, uplink))| {
                let (table, turns) = (metadata.clone().filter(|_| options.metadata.send)?, turns[index].clone());
                let telling = metadata::Telling::new(shared.clone(), index, options, table, uplink.beside(), turns);
                Some(executor.spawn(telling.tell_until(stopping.clone())))
            })
            .collect();
        let roles = shared.buffer.borrow().senders();
        let sending = roles.into_iter().enumerate().map(|(index, role)| {
            let (options, uplink) = &endpoints[role.endpoint];
            let (turns, table) = (turns[role.endpoint].clone(), metadata.clone().filter(|_| options.metadata.send));
            let sender = sending::Sender::new(shared.clone(), index, role, options, uplink.beside(), turns, table);
            executor.spawn(sender.send_until_drained())
        });
        let sending: Vec<_> = sending.collect();
        let _answering = executor.spawn(status.serve(shared.clone()));
        let committing = executor.spawn(committing::commit_until(shared.clone(), stopping.clone()));
        let linking = executor.spawn(linking::watch_links(shared.clone()));
        let (discovered, discovering) = discoveries.spawn(executor);
        or(stop, targets.follow(&shared, executor, &discovered, &stopping)).await;
        log::info!("stopping");
        drop((stopper, discovering, linking));
        targets.finish().await;
        committing.await;
        shared.drain_until.set(Some(shared.clock.monotonic() + DRAIN_TIME));
        shared.senders.iter().for_each(Notify::wake);
        for task in sending.into_iter().chain(telling) {
            task.await;
        }
        shared.buffer.borrow_mut().close()
    }
}

impl Shared {
    /// Takes a scrape into the buffer and tells who has to know.
    fn take(&self, batches: impl IntoIterator<Item = ScrapeBatch>) {
        let now = self.clock.monotonic();
        for batch in batches {
            self.endings.note(&batch);
            self.buffer.borrow_mut().push(batch, now);
        }
        let commit_first = self.buffer.borrow().commits_at_once(now);
        if !commit_first {
            self.senders.iter().for_each(Notify::wake);
        }
        self.committer.wake();
    }

    /// Sleeps until this time of the monotonic clock.
    async fn sleep_until(&self, at: Duration) {
        Timer::at(self.clock.instant(at)).await;
    }
}

/// Goes on with `work` unless the order to stop comes first.
async fn unless_stopped<T>(stopping: &Receiver<Infallible>, work: impl Future<Output = T>) -> Option<T> {
    let stopped = async {
        // Nothing is ever sent: the channel closes.
        _ = stopping.recv().await;
        None
    };
    or(async { Some(work.await) }, stopped).await
}

fn endpoints(config: &Config) -> Result<Vec<(EndpointOptions, Uplink)>, AgentError> {
    // Not that of the targets: their names may take all of its lookups for long.
    let resolver = Resolver::new();
    let endpoint = |options: &EndpointOptions| match Uplink::new(options, resolver.clone()) {
        Ok(uplink) => Ok((options.clone(), uplink)),
        Err(cause) => Err(AgentError::Endpoint { name: options.name.clone(), cause }),
    };
    config.endpoints.iter().map(endpoint).collect()
}

fn ring_shape(layout: Layout) -> RingShape {
    RingShape {
        segment_size_bytes: u64::from(layout.segment_size_bytes),
        segment_count: u64::from(layout.segment_count),
    }
}

fn ratings(options: &BufferOptions) -> Ratings {
    Ratings { rated_cycles: options.rated_cycles, erase_block_bytes: options.erase_block_bytes }
}

/// Says in the log what is known of the flash and its wear.
fn describe_wear(report: &WearReport) {
    let level = if report.is_alarming() { log::Level::Warn } else { log::Level::Info };
    report.lines().iter().for_each(|line| log::log!(level, "wear: {line}"));
}

/// Says in the log what the ring was found to be.
fn describe(found: Found, recovery: &crate::ring::Recovery, path: &std::path::Path) {
    let path = path.display();
    match found {
        Found::Made => return log::info!("{path}: a new ring was made"),
        Found::Short { missing_bytes } => {
            log::warn!("{path}: the ring's file was cut short by {missing_bytes} bytes; what was there is lost")
        }
        Found::Whole | Found::Other => {}
    }
    if recovery.damaged_slots > 0 {
        log::warn!("{path}: {} segments are damaged; their samples are lost", recovery.damaged_slots);
    }
    log::info!("{path}: the ring holds {} segments", recovery.segments.len());
}
