//! The currency between stages: what a series, a sample, a batch, a target is. No decisions, no I/O.

mod batch;
mod duration;
mod labels;
mod page_options;
mod secret;
mod series;
mod size;
mod target;

pub use batch::{OwnTimestamp, STALE_NAN_BITS, ScrapeBatch, Window, is_stale, stale_nan};
pub use duration::{DurationError, format_duration, parse_duration};
pub use labels::{Labels, LabelsBuilder, LabelsError, LabelsIter};
pub use page_options::{EscapingScheme, NativeHistogramOptions, PageOptions, ScrapeProtocol};
pub use secret::Secret;
pub use series::{Series, SeriesTable};
pub use size::{SizeError, format_size, parse_size};
pub use target::{Scheme, Target};
