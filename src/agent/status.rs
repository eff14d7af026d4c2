//! What the status page is told: where targets stand, and the agent's figures at the moment.
//!
//! Where no page is configured, what was discovered is not kept.

use super::{AgentError, Shared};
use crate::config::Config;
use crate::discovery::JobOptions;
use crate::http_server::{Limits, Request, Server};
use crate::limits::DROPPED_TARGETS_SHOWN_MAX;
use crate::model::LabelsBuilder;
use crate::relabel::discovered_labels;
use crate::scrape::ScrapeResult;
use crate::status::{Figures, LabelPairs, LastScrape, PoolTargets, StatusOptions, answer};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

/// How a target's last scrape went.
pub(super) type Health = Rc<RefCell<Option<LastScrape>>>;

/// What is shown of each scrape configuration, in their order.
pub(super) type Pools = Rc<[RefCell<PoolTargets>]>;

/// The page, if there is one; it listens already.
pub(super) struct StatusPage {
    server: Option<Server>,
    pools: Pools,
    endpoints: Rc<[String]>,
}

impl StatusPage {
    pub fn new(config: &Config) -> Result<StatusPage, AgentError> {
        let bind = |StatusOptions { listen }: StatusOptions| {
            let server = Server::bind(listen, Limits::default());
            server.map_err(|cause| AgentError::Status { listen, cause })
        };
        let server = config.status.map(bind).transpose()?;
        if let Some(server) = &server {
            log::info!("status: http://{}/", server.local_addr());
        }
        let pool = |job: &JobOptions| PoolTargets { job_name: job.job_name.clone(), ..PoolTargets::default() };
        Ok(StatusPage {
            server,
            pools: config.jobs.iter().map(|job| RefCell::new(pool(job))).collect(),
            endpoints: config.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect(),
        })
    }

    /// Where targets are to be shown; none where nobody looks.
    pub fn pools(&self) -> Option<Pools> {
        self.server.is_some().then(|| self.pools.clone())
    }

    /// Answers until it is dropped.
    pub async fn serve(self, shared: Rc<Shared>) {
        let StatusPage { server: Some(server), pools, endpoints } = self else { return };
        let figures = move || figures(&shared, &endpoints);
        let handler = Rc::new(move |request: Request| answer(&request, &pools, &figures));
        server.serve(handler, std::future::pending()).await;
    }
}

fn figures(shared: &Shared, endpoints: &Rc<[String]>) -> Figures {
    let (fill, has_ring) = (shared.buffer.borrow().fill(), shared.buffer.borrow().has_ring());
    Figures {
        counters: shared.counters.clone(),
        version: env!("CARGO_PKG_VERSION"),
        stage_samples: fill.stage_samples as u64,
        ring_samples: fill.ring_samples,
        ring_used_bytes: fill.ring_used_bytes,
        ring_size_bytes: fill.ring_size_bytes,
        has_ring,
        endpoints: endpoints.clone(),
    }
}

/// `at_ms` is the scrape's time, since 1970.
pub(super) fn note_scrape(health: &Health, at_ms: i64, result: &ScrapeResult) {
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(at_ms).unwrap_or_default());
    let error = result.error.as_ref().map(ToString::to_string);
    let past_max_series = result.past_max_series.map_or(0, |past| past.samples);
    let mut health = health.borrow_mut();
    let before = health.as_ref().map_or(0, |last| last.samples_past_max_series);
    let samples_past_max_series = before + past_max_series;
    *health = Some(LastScrape { at, duration: result.duration, error, samples_past_max_series });
}

/// What relabelling dropped of one scrape configuration, as far as it is shown.
#[derive(Default)]
pub(super) struct DroppedTargets {
    pub shown: Vec<LabelPairs>,
    pub count: usize,
}

impl DroppedTargets {
    pub fn add(&mut self, labels: Option<LabelPairs>) {
        self.count += 1;
        self.shown.extend(labels.filter(|_| self.shown.len() < DROPPED_TARGETS_SHOWN_MAX));
    }
}

/// What was discovered of a target, with what its job adds, as Prometheus shows it.
pub(super) fn as_discovered(labels: &LabelsBuilder, job: &JobOptions) -> LabelPairs {
    let mut labels = labels.clone();
    discovered_labels(&mut labels, &job.target_defaults());
    labels.iter().map(|(name, value)| (name.into(), value.into())).collect()
}
