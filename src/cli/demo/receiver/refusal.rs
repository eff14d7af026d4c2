//! Why a request was not accepted, in words for its sender's log.

use crate::http_server::StatusCode;
use crate::limits::{RECEIVER_PLAIN_BYTES_MAX, RECEIVER_SAMPLES_MAX};
use std::fmt;

/// What a sender did that Remote-Write 1.0 does not allow. The whole request is refused, none of it is taken.
#[derive(Debug)]
pub enum Refusal {
    Encoding(Option<String>),
    ContentType(Option<String>),
    Version(Option<String>),
    NoUserAgent,
    Snappy(snap::Error),
    /// Bytes once decompressed.
    TooLarge(usize),
    Proto(prost::DecodeError),
    /// A label or metric name with a character that is not allowed, or none at all.
    Name(String),
    EmptyValue(String),
    /// Unsorted, or the same name twice.
    LabelsUnsorted {
        before: String,
        name: String,
    },
    NoMetricName(String),
    /// Samples of one series within one request.
    SamplesUnsorted {
        series: String,
        before_ms: i64,
        after_ms: i64,
    },
    LedgerFull,
}

impl Refusal {
    /// What the specification has receivers answer: 415 to what they do not speak, 400 to what is wrong for good.
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Encoding(_) | Refusal::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Encoding(told) => write!(f, "Content-Encoding is {}; send snappy", Shown(told)),
            Refusal::ContentType(told) => write!(f, "Content-Type is {}; send application/x-protobuf", Shown(told)),
            Refusal::Version(told) => {
                write!(f, "X-Prometheus-Remote-Write-Version is {}; send 0.1.0", Shown(told))
            }
            Refusal::NoUserAgent => write!(f, "User-Agent is missing; send one"),
            Refusal::Snappy(cause) => write!(f, "the body is not snappy's block format ({cause}); compress it so"),
            Refusal::TooLarge(bytes) => write!(
                f,
                "the body is {bytes} bytes when decompressed, past {RECEIVER_PLAIN_BYTES_MAX}; send fewer samples at once"
            ),
            Refusal::Proto(cause) => {
                write!(f, "the body is not a prometheus.WriteRequest ({cause}); encode it as proto3")
            }
            Refusal::Name(name) => write!(f, "{name:?} is not a label or metric name; use letters, digits and _"),
            Refusal::EmptyValue(name) => write!(f, "label {name:?} has an empty value; leave the label out"),
            Refusal::LabelsUnsorted { before, name } => {
                write!(f, "label {name:?} follows {before:?}; sort labels by name, each name once")
            }
            Refusal::NoMetricName(series) => write!(f, "series {series} has no __name__; send it with the others"),
            Refusal::SamplesUnsorted { series, before_ms, after_ms } => {
                write!(
                    f,
                    "series {series} has a sample of {after_ms} after one of {before_ms}; send older samples first"
                )
            }
            Refusal::LedgerFull => {
                write!(f, "this receiver has its {RECEIVER_SAMPLES_MAX} samples and takes no more; start it anew")
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// A header's value, or that there was none.
struct Shown<'a>(&'a Option<String>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value:?}"),
            None => f.write_str("missing"),
        }
    }
}
