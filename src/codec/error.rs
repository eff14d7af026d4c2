//! Why a payload can't be decoded.

use crate::limits::{
    FRAME_EXTRAS_BYTES_MAX, FRAME_LABEL_BYTES_MAX, FRAME_RECORDS_MAX, FRAME_SAMPLES_MAX, SAMPLES_PER_BATCH_MAX,
};
use crate::model::LabelsError;
use std::fmt;

/// After any of these the segment's codec is of no more use: what follows in the segment can't be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodecError {
    /// The payload ends before its last sample.
    Truncated,
    /// Bytes are left after the last sample.
    Trailing,
    /// More batches than [`FRAME_RECORDS_MAX`].
    TooManyBatches,
    /// A batch with more samples than [`SAMPLES_PER_BATCH_MAX`], or all together more than [`FRAME_SAMPLES_MAX`].
    TooManySamples,
    /// Label sets of more than [`FRAME_LABEL_BYTES_MAX`] together.
    TooManyLabelBytes,
    /// Histograms, exemplars and start timestamps of more than [`FRAME_EXTRAS_BYTES_MAX`] together, or a histogram past its limits.
    TooManyExtras,
    /// A number that points at no stream, series or sample; which one.
    NoSuch(&'static str),
    /// A label set that can't be one.
    Labels(LabelsError),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rest of a segment can't be decoded and is passed over: ")?;
        match self {
            CodecError::Truncated => f.write_str("a frame ends before its last sample"),
            CodecError::Trailing => f.write_str("a frame goes on after its last sample"),
            CodecError::TooManyBatches => write!(f, "a frame has more than {FRAME_RECORDS_MAX} batches"),
            CodecError::TooManySamples => {
                write!(
                    f,
                    "a batch has more than {SAMPLES_PER_BATCH_MAX} samples or a frame more than {FRAME_SAMPLES_MAX}"
                )
            }
            CodecError::TooManyLabelBytes => write!(f, "a frame has more than {FRAME_LABEL_BYTES_MAX} bytes of labels"),
            CodecError::TooManyExtras => {
                write!(f, "a frame has more than {FRAME_EXTRAS_BYTES_MAX} bytes of histograms and exemplars")
            }
            CodecError::NoSuch(what) => write!(f, "a frame names a {what} that is not there"),
            CodecError::Labels(cause) => write!(f, "{cause}"),
        }
    }
}

impl std::error::Error for CodecError {}

impl From<LabelsError> for CodecError {
    fn from(cause: LabelsError) -> Self {
        CodecError::Labels(cause)
    }
}
