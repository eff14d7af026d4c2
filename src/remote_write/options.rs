//! What an endpoint is configured with.

use super::encoder::Content;
use super::gate::RateOptions;
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
    /// Class of samples that no rule gives one to.
    pub priority: Class,
    pub rates: RateOptions,
    pub content: Content,
    /// `write_relabel_configs`, after external labels.
    pub write_relabel: Rules,
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
