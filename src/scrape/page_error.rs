//! Why a page that arrived could not be taken.

use super::gather::TooManyRepeats;
use super::sample_labels::SampleLabelsError;
use super::text_error::TextError;
use crate::limits::{PAGE_SAMPLES_PER_SERIES_MAX, SERIES_PER_PAGE_MAX};
use std::fmt;

/// Bytes of a series that an error shows.
const SERIES_BYTES_SHOWN_MAX: usize = 100;

/// Each is one line, for the log and the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageError {
    Text(TextError),
    /// A series that can't be: `series` is its text, shortened.
    Labels {
        series: String,
        cause: SampleLabelsError,
    },
    /// More than [`SERIES_PER_PAGE_MAX`].
    TooManySeries,
    TooManyRepeats,
}

impl PageError {
    /// The series with these bytes can't be taken.
    pub(super) fn labels(raw: &[u8], cause: SampleLabelsError) -> PageError {
        let shown = &raw[..raw.len().min(SERIES_BYTES_SHOWN_MAX)];
        PageError::Labels { series: String::from_utf8_lossy(shown).into_owned(), cause }
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PageError::Text(error) => error.fmt(f),
            PageError::Labels { series, cause } => write!(f, "series {series:?} of the page: {cause}"),
            PageError::TooManySeries => {
                write!(f, "the page has more than {SERIES_PER_PAGE_MAX} series; let the exporter expose fewer")
            }
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

impl From<TooManyRepeats> for PageError {
    fn from(TooManyRepeats: TooManyRepeats) -> Self {
        PageError::TooManyRepeats
    }
}
