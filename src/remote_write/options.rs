//! What an endpoint is configured with.

use super::encoder::Content;
use super::gate::RateOptions;
use super::metadata::MetadataOptions;
use super::protocol::ProtobufMessage;
use crate::http_client::HttpClientOptions;
use crate::limits::WINDOW_SAMPLES_MAX;
use crate::model::Class;
use crate::relabel::Rules;
use std::time::Duration;

/// One `[[remote_write]]`.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// Unique among endpoints: what log, metrics and `ring info` call it.
    pub name: String,
    /// Text that the ring knows the endpoint by: its configured name, else a sum of its URL. Not the name that is shown, since that
    /// of an unnamed endpoint depends on the others.
    pub ring_key: String,
    /// `http` or `https`, without user or password.
    pub url: String,
    /// `remote_timeout`: of one request, connecting included.
    pub timeout: Duration,
    pub http: HttpClientOptions,
    /// `headers`: set on each request, before those of `http_headers` are added. None is reserved; all are fit for a header.
    pub headers: Vec<(String, String)>,
    pub queue: QueueOptions,
    pub message: ProtobufMessage,
    pub catch_up: CatchUp,
    /// Class of samples that no rule gives one to.
    pub priority: Class,
    pub rates: RateOptions,
    pub content: Content,
    pub metadata: MetadataOptions,
    /// `write_relabel_configs`, after external labels.
    pub write_relabel: Rules,
}

/// `catch_up`: what an endpoint gets first after an outage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// One lane, in order.
    #[default]
    OldestFirst,
    /// New samples at once, and the backlog beside them: only for receivers that accept samples out of order.
    LiveFirst,
}

impl CatchUp {
    pub const ALL: [CatchUp; 2] = [CatchUp::OldestFirst, CatchUp::LiveFirst];

    pub fn name(self) -> &'static str {
        match self {
            CatchUp::OldestFirst => "oldest_first",
            CatchUp::LiveFirst => "live_first",
        }
    }
}

/// `queue_config`, with Prometheus's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// Samples that are gathered for requests at a time; one scrape may have more.
    pub capacity: usize,
    pub max_samples_per_send: usize,
    /// Of a request's compressed body. A single sample may have more.
    pub max_bytes_per_send: Option<usize>,
    pub batch_send_deadline: Duration,
    pub min_backoff: Duration,
    pub max_backoff: Duration,
    pub retry_on_http_429: bool,
    /// `give_up_on`, of the endpoint: statuses of 4xx for which a request's samples are dropped at once, as by Prometheus.
    pub give_up_on: Vec<u16>,
    /// Whether what a receiver of 1.0 refuses is sent again in halves, so that good samples of the request are saved.
    pub halve_refused: bool,
    /// What is older is not sent any more. `None`: nothing is too old.
    pub sample_age_limit: Option<Duration>,
}

impl QueueOptions {
    /// All statuses for which a request's samples are dropped at once.
    pub fn all_given_up(&self) -> Vec<u16> {
        let rate_limited = (!self.retry_on_http_429).then_some(429);
        self.give_up_on.iter().copied().chain(rate_limited).collect()
    }

    /// The oldest time that a sample which is sent at `now_ms` may have.
    pub fn oldest_ms(&self, now_ms: i64) -> i64 {
        let millis = |limit: Duration| i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        self.sample_age_limit.map_or(i64::MIN, |limit| now_ms.saturating_sub(millis(limit)))
    }
}

impl Default for QueueOptions {
    /// Prometheus's `DefaultQueueConfig`, but that 429 is retried, and that capacity is one queue's where Prometheus has up to 50.
    fn default() -> Self {
        QueueOptions {
            capacity: WINDOW_SAMPLES_MAX,
            max_samples_per_send: 2000,
            max_bytes_per_send: None,
            batch_send_deadline: Duration::from_secs(5),
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
            retry_on_http_429: true,
            give_up_on: Vec::new(),
            halve_refused: true,
            sample_age_limit: None,
        }
    }
}
