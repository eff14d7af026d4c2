//! Why no page arrived.

use super::dial::Origin;
use super::gunzip::GunzipError;
use crate::limits::{REDIRECTS_MAX, RESPONSE_HEAD_BYTES_MAX};
use crate::model::{format_duration, format_size};
use crate::tls::TlsError;
use std::fmt;
use std::io;
use std::time::Duration;

/// Each is one line, for the log and the status page. None shows the user and password that a URL may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The target's address or path make no URL, or a redirect leads to none.
    Url(String),
    Resolve {
        host: String,
        cause: String,
    },
    ConnectionRefused(String),
    Connect {
        origin: String,
        cause: String,
    },
    Tls(TlsError),
    Handshake {
        origin: String,
        cause: String,
    },
    TimedOut(Duration),
    /// The connection broke; `doing` is what was under way.
    Io {
        doing: &'static str,
        cause: String,
    },
    /// The connection ended before the response did.
    Truncated,
    /// What came is not HTTP.
    Protocol(String),
    HeadTooLarge,
    /// The status, with its text, as Prometheus shows it.
    Status(String),
    TooManyRedirects,
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

    pub(super) fn connect(origin: &Origin, error: &io::Error) -> FetchError {
        let (origin, cause) = (origin.to_string(), error.to_string());
        match error.kind() {
            io::ErrorKind::ConnectionRefused => FetchError::ConnectionRefused(origin),
            _ => FetchError::Connect { origin, cause },
        }
    }

    pub(super) fn io(doing: &'static str, error: &io::Error) -> FetchError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => FetchError::Truncated,
            _ => FetchError::Io { doing, cause: error.to_string() },
        }
    }
}

impl From<ureq_proto::Error> for FetchError {
    fn from(error: ureq_proto::Error) -> Self {
        FetchError::Protocol(error.to_string())
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::Url(cause) => {
                write!(f, "no URL to scrape: {cause}; check the target's address and metrics_path")
            }
            FetchError::Resolve { host, cause } => write!(f, "can't resolve {host:?}: {cause}"),
            FetchError::ConnectionRefused(origin) => {
                write!(f, "connection refused at {origin}; is the exporter running?")
            }
            FetchError::Connect { origin, cause } => write!(f, "can't connect to {origin}: {cause}"),
            FetchError::Tls(error) => error.fmt(f),
            FetchError::Handshake { origin, cause } => write!(f, "TLS handshake with {origin} failed: {cause}"),
            FetchError::TimedOut(after) => write!(f, "timed out after {}", format_duration(*after)),
            FetchError::Io { doing, cause } => write!(f, "the connection broke while {doing}: {cause}"),
            FetchError::Truncated => f.write_str("the connection ended before the response was complete"),
            FetchError::Protocol(cause) => write!(f, "the target does not speak HTTP: {cause}"),
            FetchError::HeadTooLarge => {
                write!(f, "the response's headers are larger than {RESPONSE_HEAD_BYTES_MAX} bytes")
            }
            FetchError::Status(status) => write!(f, "server returned HTTP status {status}"),
            FetchError::TooManyRedirects => write!(f, "stopped after {REDIRECTS_MAX} redirects"),
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
