//! Why an agent can't start.

use crate::model::LabelsError;
use crate::remote_write::UplinkError;
use crate::ring::RingError;
use crate::tls::TlsError;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Why an agent can't start.
#[derive(Debug)]
pub enum AgentError {
    NoEndpoint,
    NoTarget,
    NoBuffer,
    Ring(RingError),
    Labels {
        job: String,
        cause: LabelsError,
    },
    Client {
        job: String,
        cause: TlsError,
    },
    Endpoint {
        name: String,
        cause: UplinkError,
    },
    Status {
        listen: SocketAddr,
        cause: io::Error,
    },
    /// A file that the configuration names can't be used; `owner` is whose it is.
    File {
        owner: String,
        problem: String,
    },
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
            AgentError::File { owner, problem } => write!(f, "{owner}: {problem}"),
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
