//! Why a page that arrived could not be taken.

use super::content_type::{ContentTypeError, Format};
use super::gather::TooManyRepeats;
use super::protobuf_error::ProtobufError;
use super::sample_labels::SampleLabelsError;
use super::series_text::SeriesText;
use super::text_error::TextError;
use crate::limits::{BATCH_EXTRAS_BYTES_MAX, PAGE_SAMPLES_PER_SERIES_MAX, SERIES_PER_PAGE_MAX};
use crate::model::{HistogramError, LabelsBuilder};
use std::fmt;

/// Bytes of a series that an error shows.
const SERIES_BYTES_SHOWN_MAX: usize = 100;

/// Each is one line, for the log and the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageError {
    /// It is not known how to read it.
    ContentType(ContentTypeError),
    Text(TextError),
    Protobuf(ProtobufError),
    /// A series that can't be: `series` is its text, shortened.
    Labels {
        series: String,
        cause: SampleLabelsError,
    },
    /// Prometheus's `sample_limit`.
    SampleLimit(usize),
    /// More than [`SERIES_PER_PAGE_MAX`].
    TooManySeries,
    TooManyRepeats,
    /// A native histogram that can't be.
    Histogram {
        series: String,
        cause: HistogramError,
    },
    /// Prometheus's `native_histogram_bucket_limit`.
    BucketLimit(usize),
    /// Histograms, exemplars and start timestamps of more than [`BATCH_EXTRAS_BYTES_MAX`].
    TooManyExtras,
}

impl PageError {
    pub(super) fn labels(series: &SeriesText<'_>, cause: SampleLabelsError) -> PageError {
        PageError::Labels { series: shown(series), cause }
    }

    pub(super) fn histogram(series: &SeriesText<'_>, cause: HistogramError) -> PageError {
        PageError::Histogram { series: shown(series), cause }
    }
}

fn shown(series: &SeriesText<'_>) -> String {
    let text = match series.format {
        Format::Text | Format::OpenMetrics => String::from_utf8_lossy(series.raw),
        Format::Protobuf => {
            let labels = series.labels().unwrap_or_default();
            let mut builder: LabelsBuilder = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            builder.build().unwrap_or_default().to_string().into()
        }
    };
    let end = (0..=SERIES_BYTES_SHOWN_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_string()
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageError::ContentType(error) => error.fmt(f),
            PageError::Text(error) => error.fmt(f),
            PageError::Protobuf(error) => error.fmt(f),
            PageError::Labels { series, cause } => write!(f, "series {series:?} of the page: {cause}"),
            PageError::SampleLimit(limit) => {
                write!(f, "sample limit exceeded: more than {limit} samples remain after relabelling")
            }
            PageError::TooManySeries => {
                write!(f, "the page has more than {SERIES_PER_PAGE_MAX} series; let the exporter expose fewer")
            }
            PageError::Histogram { series, cause } => write!(f, "series {series:?} of the page: {cause}"),
            PageError::BucketLimit(limit) => {
                write!(
                    f,
                    "histogram bucket limit exceeded: a native histogram has more than {limit} buckets at any resolution"
                )
            }
            PageError::TooManyExtras => write!(
                f,
                "the page's histograms and exemplars take more than {BATCH_EXTRAS_BYTES_MAX} bytes; expose fewer, or \
                 set native_histogram_bucket_limit"
            ),
            PageError::TooManyRepeats => {
                write!(f, "the page gives one series more than {PAGE_SAMPLES_PER_SERIES_MAX} samples; expose fewer")
            }
        }
    }
}

impl std::error::Error for PageError {}

impl From<TextError> for PageError {
    fn from(error: TextError) -> Self {
        PageError::Text(error)
    }
}

impl From<ProtobufError> for PageError {
    fn from(error: ProtobufError) -> Self {
        PageError::Protobuf(error)
    }
}

impl From<TooManyRepeats> for PageError {
    fn from(TooManyRepeats: TooManyRepeats) -> Self {
        PageError::TooManyRepeats
    }
}
