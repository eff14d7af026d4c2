//! The currency between stages: what a series, a sample, a batch, a target is. No decisions, no I/O.

mod batch;
mod class;
mod duration;
mod extras;
mod fnv;
mod histogram;
mod labels;
mod line_budget;
mod loss_counts;
mod lost;
mod metadata;
mod name_scheme;
mod note;
mod page_options;
#[cfg(test)]
#[path = "../../tests/support/extras.rs"]
pub mod random_extras;
mod secret;
mod series;
mod size;
mod target;

// By this name for what is shared with the tests of the binary.
#[cfg(test)]
use crate::model;

pub use batch::{OwnTimestamp, STALE_NAN_BITS, ScrapeBatch, Window, is_stale, stale_nan};
pub use class::{Class, ClassCounts};
pub use duration::{DurationError, format_duration, parse_duration};
pub use extras::{Exemplar, Extras, StartTimestamps};
pub use fnv::{FNV_START, fnv1a};
pub use histogram::{
    CUSTOM_BUCKETS_SCHEMA, Counts, EXPONENTIAL_SCHEMAS, Histogram, HistogramCounts, HistogramError, ResetHint, Span,
};
pub use labels::{Labels, LabelsBuilder, LabelsError, LabelsIter};
pub use line_budget::{LOG_REPEAT_INTERVAL, LineBudget};
pub use loss_counts::{LossCounts, SEVERAL_CAUSES};
pub use lost::{Lost, TimeRange, time_text};
pub use metadata::{MetadataTable, MetricFamily, MetricType};
pub use name_scheme::NameScheme;
pub use note::{LOSSES_KEY, Note, noted, with_noted};
pub use page_options::{EscapingScheme, NativeHistogramOptions, PageOptions, ScrapeProtocol};
pub use secret::Secret;
pub use series::{LiveSeries, Series, SeriesTable, SharedText};
pub use size::{SizeError, format_size, parse_size};
pub use target::{Params, SOCKET_HOST, SOCKET_PREFIX, Scheme, Target};
