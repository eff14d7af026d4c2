//! Why a protobuf page makes no sense.

use super::wire::WireError;
use crate::model::HistogramError;
use std::fmt;

/// Characters of a name that an error shows.
const NAME_CHARS_SHOWN_MAX: usize = 60;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProtobufError {
    Wire(WireError),
    /// A family's name is empty or not UTF-8.
    Name,
    Help {
        family: String,
    },
    Type {
        family: String,
    },
    /// A label's name is empty, or name or value is not UTF-8.
    Label {
        family: String,
    },
    Histogram {
        family: String,
        cause: HistogramError,
    },
}

impl ProtobufError {
    pub(super) fn help(family: &str) -> Self {
        ProtobufError::Help { family: shown(family) }
    }

    pub(super) fn metric_type(family: &str) -> Self {
        ProtobufError::Type { family: shown(family) }
    }

    pub(super) fn label(family: &str) -> Self {
        ProtobufError::Label { family: shown(family) }
    }

    pub(super) fn histogram(family: &str, cause: HistogramError) -> Self {
        ProtobufError::Histogram { family: shown(family), cause }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(NAME_CHARS_SHOWN_MAX).collect()
}

impl fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtobufError::Wire(WireError(what)) => write!(f, "the protobuf page can't be read: {what}"),
            ProtobufError::Name => f.write_str("a metric of the protobuf page has an invalid name"),
            ProtobufError::Help { family } => write!(f, "the help text of metric {family:?} is not UTF-8"),
            ProtobufError::Type { family } => write!(f, "metric {family:?} has an unknown type"),
            ProtobufError::Label { family } => write!(f, "metric {family:?} has an invalid label"),
            ProtobufError::Histogram { family, cause } => write!(f, "metric {family:?}: {cause}"),
        }
    }
}

impl std::error::Error for ProtobufError {}

impl From<WireError> for ProtobufError {
    fn from(cause: WireError) -> Self {
        ProtobufError::Wire(cause)
    }
}
