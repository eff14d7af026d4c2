//! Why no page arrived.

use super::gunzip::GunzipError;
use crate::http_client::HttpError;
use crate::model::{format_duration, format_size};
use std::fmt;
use std::time::Duration;

/// Each is one line, for the log and the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The target could not be asked, or its answer did not come whole.
    Http(HttpError),
    TimedOut(Duration),
    /// The status, with its text, as Prometheus shows it.
    Status(String),
    /// A compression that is never asked for.
    ContentEncoding(String),
    Gunzip(GunzipError),
    /// Prometheus's `body_size_limit`.
    BodySizeLimit {
        bytes_limit: u64,
    },
    PageTooLarge {
        bytes_max: usize,
    },
    LineTooLong {
        bytes_max: usize,
    },
}

impl FetchError {
    /// The page was larger than it may be.
    pub fn is_size_limit(&self) -> bool {
        matches!(self, FetchError::BodySizeLimit { .. } | FetchError::PageTooLarge { .. })
    }
}

impl From<HttpError> for FetchError {
    fn from(error: HttpError) -> Self {
        FetchError::Http(error)
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::Http(HttpError::ConnectionRefused(origin)) => {
                write!(f, "connection refused at {origin}; is the exporter running?")
            }
            FetchError::Http(error) => error.fmt(f),
            FetchError::TimedOut(after) => write!(f, "timed out after {}", format_duration(*after)),
            FetchError::Status(status) => write!(f, "server returned HTTP status {status}"),
            FetchError::ContentEncoding(encoding) => {
                write!(f, "the target compresses its page ({encoding:?}) though it was asked not to")
            }
            FetchError::Gunzip(error) => write!(f, "the page comes compressed, but {error}"),
            FetchError::BodySizeLimit { bytes_limit } => {
                write!(f, "body size limit exceeded: the page has {} or more", format_size(*bytes_limit))
            }
            FetchError::PageTooLarge { bytes_max } => {
                write!(f, "body size limit exceeded: the page is larger than {bytes_max} bytes")
            }
            FetchError::LineTooLong { bytes_max } => write!(f, "a line of the page is longer than {bytes_max} bytes"),
        }
    }
}

impl std::error::Error for FetchError {}
