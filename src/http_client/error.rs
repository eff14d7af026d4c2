//! Why there is no answer.

use crate::limits::REDIRECTS_MAX;
use crate::secrets::SecretError;
use crate::tls::{TlsError, TlsFailure};
use std::fmt;
use std::io;

/// Each is one line, for the log and the status page. None shows a secret, or the user and password that a URL may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// There is no URL to ask, or a redirect leads to none.
    Url(String),
    Resolve {
        host: String,
        cause: String,
    },
    ConnectionRefused(String),
    Connect {
        origin: String,
        kind: io::ErrorKind,
        cause: String,
    },
    /// The proxy does not connect to the origin.
    Proxy {
        proxy: String,
        origin: String,
        cause: String,
    },
    Tls(TlsError),
    Handshake {
        origin: String,
        cause: TlsFailure,
    },
    /// The server ended TLS before anything of a response came.
    TlsEnded(TlsFailure),
    /// A secret that goes along can't be read.
    Secret(SecretError),
    /// What is named holds a character that no header may hold.
    NotAHeader(String),
    /// The token server gives no token.
    Token {
        host: String,
        cause: String,
    },
    /// The connection broke; `doing` is what was under way.
    Io {
        doing: &'static str,
        cause: String,
    },
    /// The connection ended before anything of a response came.
    Unanswered,
    /// The connection ended before the response did.
    Truncated,
    /// What came is not HTTP.
    Protocol(String),
    /// What came is TLS.
    SpeaksTls,
    HeadTooLarge {
        bytes_max: usize,
    },
    TooManyHeaders {
        headers_max: usize,
    },
    TooManyRedirects,
}

impl HttpError {
    pub(super) fn connect(origin: &impl fmt::Display, error: &io::Error) -> HttpError {
        let (origin, cause) = (origin.to_string(), error.to_string());
        match error.kind() {
            io::ErrorKind::ConnectionRefused => HttpError::ConnectionRefused(origin),
            kind => HttpError::Connect { origin, kind, cause },
        }
    }

    pub(super) fn io(doing: &'static str, error: &io::Error) -> HttpError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => HttpError::Truncated,
            _ => HttpError::Io { doing, cause: error.to_string() },
        }
    }
}

impl From<ureq_proto::Error> for HttpError {
    fn from(error: ureq_proto::Error) -> Self {
        HttpError::Protocol(error.to_string())
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpError::Url(cause) => write!(f, "there is no URL to ask: {cause}; check the address and the path"),
            HttpError::Resolve { host, cause } => write!(f, "can't resolve {host:?}: {cause}"),
            HttpError::ConnectionRefused(origin) => {
                write!(f, "connection refused at {origin}; is there anything that listens?")
            }
            HttpError::Connect { origin, cause, .. } => write!(f, "can't connect to {origin}: {cause}"),
            HttpError::Proxy { proxy, origin, cause } => {
                write!(f, "the proxy {proxy} does not connect to {origin}: {cause}; check proxy_url and who may use it")
            }
            HttpError::Tls(error) => error.fmt(f),
            HttpError::Handshake { origin, cause } => write!(f, "TLS handshake with {origin} failed: {cause}"),
            HttpError::TlsEnded(cause) => write!(f, "TLS with the server failed: {cause}"),
            HttpError::Secret(error) => error.fmt(f),
            HttpError::NotAHeader(what) => {
                write!(f, "{what}: there is a character in it that no header may hold; remove it")
            }
            HttpError::Token { host, cause } => {
                write!(f, "the token server {host} gives no token: {cause}; check oauth2")
            }
            HttpError::Io { doing, cause } => write!(f, "the connection broke while {doing}: {cause}"),
            HttpError::Unanswered | HttpError::Truncated => {
                f.write_str("the connection ended before the response was complete")
            }
            HttpError::Protocol(cause) => write!(f, "the reply is not HTTP: {cause}"),
            HttpError::SpeaksTls => f.write_str("this port speaks TLS; use https instead of http, or another port"),
            HttpError::HeadTooLarge { bytes_max } => {
                write!(f, "the status line and headers of the reply have more than {bytes_max} bytes; have fewer sent")
            }
            HttpError::TooManyHeaders { headers_max } => {
                write!(f, "the reply has more than {headers_max} headers; have fewer sent")
            }
            HttpError::TooManyRedirects => write!(f, "stopped after {REDIRECTS_MAX} redirects"),
        }
    }
}

impl std::error::Error for HttpError {}
