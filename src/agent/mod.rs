//! The executor's tasks: the one place where stages meet.
//!
//! ```text
//!  a task per discovery  waits for its files, timers, answers ─► groups ─► targets
//!  a task per target     sleeps to its next scrape ─► batch ─► buffer
//!  one task              sleeps to the next commit ─► buffer ─► flash            (opens the ring first, if it was not there)
//!  one task              waits for links, addresses, routes that come up ─► endpoints that wait after a failure
//!  a task per lane       waits for samples ─► window ─► requests ─► uplink ─► acknowledgement
//!  and one per endpoint  sleeps to the next interval ─► what metrics are ─► uplink       (if it is wanted)
//! ```
//!
//! All of them share one thread; what a task holds of the shared state it lets go before it waits. A clean stop goes in
//! this order: scrapes end with staleness markers, senders get a moment to deliver, the rest is committed.

mod backlog_report;
mod committing;
mod describing;
mod discovered;
mod discovering;
mod endings;
mod error;
mod heap;
mod lanes;
mod linking;
mod metadata;
mod notify;
mod numbers;
mod opening;
mod preflight;
mod scraping;
mod sending;
mod shared;
mod status;
mod targets;
mod trouble;

use crate::buffer::{Buffer, BufferOptions, Fill};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::counters::Counters;
use crate::dns::Resolver;
use crate::model::{MetadataTable, SeriesTable};
use crate::remote_write::{EndpointOptions, Meter, Protocol, Turns, Uplink, classes};
use crate::ring::{Layout, RingError, Storage};
use crate::scrape::reported_families;
use crate::wear::{Ratings, RingShape, WearMeter, WearReport};
use describing::describe_wear;
use discovering::Discoveries;
use endings::Endings;
pub use error::AgentError;
pub use lanes::lanes_of;
use notify::Notify;
use opening::RingOpener;
pub use preflight::{Preflight, preflight, readable_by_others};
pub use scraping::scrape_once;
use shared::{METER_KEY, Shared, unless_stopped};
use smol::channel::Receiver;
use smol::future::or;
use smol::{LocalExecutor, Task};
use status::StatusPage;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;
use targets::Targets;

/// How long senders may go on delivering after the order to stop.
const DRAIN_TIME: Duration = Duration::from_secs(2);

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
        if let Some(missing) = preflight::missing_parts(config).into_iter().next() {
            return Err(missing);
        }
        let resolver = Resolver::new();
        let discoveries = Discoveries::new(config, &resolver)?;
        let status = StatusPage::new(config)?;
        let is_wanted = endpoints.iter().any(|(endpoint, _)| endpoint.metadata.send);
        let metadata = is_wanted.then(|| Rc::new(MetadataTable::new(reported_families())));
        let (shown, told) = (status.pools(), metadata.clone());
        let targets = Targets::new(config, &resolver, table.clone(), counters.clone(), shown, told)?;
        let lanes = endpoints.iter().map(|(options, _)| lanes_of(options)).collect();
        let opener = RingOpener { options: options.clone(), lanes, table, counters: counters.clone() };
        let mut buffer = opener.open_at_start()?;
        if let Some(budget) = options.write_budget {
            buffer.limit_writes(budget, options.commit_interval_max);
        }
        for (index, role) in buffer.senders().iter().enumerate() {
            buffer.limit_window(index, endpoints[role.endpoint].0.queue.capacity);
        }
        buffer.write_elsewhere();
        let wear = ring_wear(&opener, &buffer);
        describe_wear(&wear.report_at_start(buffer.segments_opened()));
        let protocol = |(endpoint, _): &(EndpointOptions, _)| Rc::new(RefCell::new(Protocol::new(endpoint.message)));
        let shared = Shared {
            clock: SystemClock::new(),
            scrape_interval: config.jobs.iter().map(|job| job.interval).min().unwrap_or_default(),
            counters,
            senders: buffer.senders().iter().map(|_| Notify::new()).collect(),
            meter: Rc::new(RefCell::new(meter(config, buffer.remembered(METER_KEY)))),
            buffer: RefCell::new(buffer),
            opener,
            wear: RefCell::new(wear),
            endings: Endings::default(),
            committer: Notify::new(),
            links_up: Cell::new(0),
            protocols: endpoints.iter().map(protocol).collect(),
            drain_until: Cell::new(None),
        };
        Ok(Agent { shared: Rc::new(shared), discoveries, targets, endpoints, status, metadata })
    }

    pub fn monitor(&self) -> Monitor {
        Monitor { shared: self.shared.clone() }
    }

    /// Runs until `stop` is ready, then stops cleanly, within two seconds and the time of one commit.
    pub async fn run(self, executor: &LocalExecutor<'static>, stop: impl Future<Output = ()>) -> Result<(), RingError> {
        let turns: Vec<_> = self.endpoints.iter().map(|(options, _)| self.shared.turns_of(options)).collect();
        let (stopper, stopping) = smol::channel::bounded::<Infallible>(1);
        let (telling, sending) = (self.tell_metadata(executor, &turns, &stopping), self.send(executor, &turns));
        let Agent { shared, discoveries, mut targets, status, .. } = self;
        let _answering = executor.spawn(status.serve(shared.clone()));
        let committing = executor.spawn(committing::commit_until(shared.clone(), stopping.clone()));
        let linking = executor.spawn(linking::watch_links(shared.clone()));
        let telling_room = executor.spawn(backlog_report::tell_how_long_the_ring_lasts(shared.clone()));
        let (discovered, discovering) = discoveries.spawn(executor);
        or(stop, targets.follow(&shared, executor, &discovered, &stopping)).await;
        log::info!("stopping");
        drop((stopper, discovering, linking, telling_room));
        targets.finish().await;
        shared.drain_until.set(Some(shared.clock.monotonic() + DRAIN_TIME));
        shared.senders.iter().for_each(Notify::wake);
        for task in sending.into_iter().chain(telling) {
            task.await;
        }
        // What is being written has to be over before the rest is.
        committing.await;
        committing::close(&shared)
    }

    /// A task for each endpoint that wants to be told what metrics are.
    fn tell_metadata(
        &self,
        executor: &LocalExecutor<'static>,
        turns: &[Rc<RefCell<Turns>>],
        stopping: &Receiver<Infallible>,
    ) -> Vec<Task<()>> {
        let task = |(index, (options, uplink)): (usize, &(EndpointOptions, Uplink))| {
            let table = self.metadata.clone().filter(|_| options.metadata.send)?;
            let (shared, turns) = (self.shared.clone(), turns[index].clone());
            let telling = metadata::Telling::new(shared, index, options, table, uplink.beside(), turns);
            Some(executor.spawn(telling.tell_until(stopping.clone())))
        };
        self.endpoints.iter().enumerate().filter_map(task).collect()
    }

    /// A task for each lane, or two.
    fn send(&self, executor: &LocalExecutor<'static>, turns: &[Rc<RefCell<Turns>>]) -> Vec<Task<()>> {
        let roles = self.shared.buffer.borrow().senders();
        let sending = roles.into_iter().enumerate().map(|(index, role)| {
            let (options, uplink) = &self.endpoints[role.endpoint];
            let table = self.metadata.clone().filter(|_| options.metadata.send);
            let (shared, turns) = (self.shared.clone(), turns[role.endpoint].clone());
            let sender = sending::Sender::new(shared, index, role, options, uplink.beside(), turns, table);
            executor.spawn(sender.send_until_drained())
        });
        sending.collect()
    }
}

fn endpoints(config: &Config) -> Result<Vec<(EndpointOptions, Uplink)>, AgentError> {
    // Not that of the targets: their names may take all of its threads for long.
    let resolver = Resolver::new();
    let endpoint = |options: &EndpointOptions| match Uplink::new(options, resolver.clone()) {
        Ok(uplink) => Ok((options.clone(), uplink)),
        Err(cause) => Err(AgentError::Endpoint { name: options.name.clone(), cause }),
    };
    config.endpoints.iter().map(endpoint).collect()
}

fn meter(config: &Config, noted: Option<&[u8]>) -> Meter {
    let classes_of = |endpoint: &EndpointOptions| {
        classes(&endpoint.write_relabel, endpoint.priority).unwrap_or_else(|| vec![endpoint.priority])
    };
    Meter::new(config.uplink.clone(), config.endpoints.iter().flat_map(classes_of), noted)
}

/// Begins to count what the ring's storage wears.
fn ring_wear(opener: &RingOpener, buffer: &Buffer<Storage>) -> WearMeter {
    let options = &opener.options;
    WearMeter::start(&options.path, ring_shape(buffer.layout()), ratings(options), opener.counters.clone())
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
