//! What an endpoint is configured with.

use super::encoder::Content;
use super::protocol::ProtobufMessage;
use crate::http_client::HttpClientOptions;
use crate::model::Class;
use crate::relabel::Rules;
use std::time::Duration;

/// One `[[remote_write]]`.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// Unique among endpoints; the ring remembers by it what was acknowledged.
    pub name: String,
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
    pub content: Content,
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

/// `queue_config`, with Prometheus's names and defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    pub max_samples_per_send: usize,
    pub batch_send_deadline: Duration,
    pub min_backoff: Duration,
    pub max_backoff: Duration,
}

impl Default for QueueOptions {
    /// Prometheus's `DefaultQueueConfig`.
    fn default() -> Self {
        QueueOptions {
            max_samples_per_send: 2000,
            batch_send_deadline: Duration::from_secs(5),
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
        }
    }
}
