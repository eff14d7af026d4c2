//! What an endpoint is configured with.

use crate::model::{Labels, Secret};
use crate::relabel::Rules;
use crate::tls::TlsOptions;
use std::path::PathBuf;
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
    pub auth: Auth,
    pub tls: TlsOptions,
    pub queue: QueueOptions,
    /// `[global] external_labels`: added to each series that has no label of that name.
    pub external_labels: Labels,
    /// `write_relabel_configs`, after external labels.
    pub write_relabel: Rules,
}

/// How a request proves who sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    #[default]
    None,
    /// `basic_auth`.
    Basic { username: String, password: SecretSource },
    /// `authorization`: `{kind} {credentials}`; kind defaults to `Bearer`.
    Header { kind: String, credentials: SecretSource },
}

/// A secret in the configuration, or in a file that is read before each use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    Inline(Secret),
    File(PathBuf),
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
