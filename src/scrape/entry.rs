//! What a parser yields, whatever the format: samples and metadata, as pieces of the page.
//!
//! A series is known by its [`SeriesText::raw`], bytes that only the format can read; the cache compares them, and asks
//! for labels only when they are new.

use super::exemplar::Exemplar;
use super::series_text::{MetricType, SeriesText};
use crate::model::Histogram;
use std::rc::Rc;

/// The one NaN that stands for any NaN of a page, so that none passes for a staleness marker (`value.NormalNaN`).
pub const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// One thing that a page says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'p> {
    Sample(Sample<'p>),
    /// The type of a metric; a name in quotes is given without them.
    Type {
        name: &'p [u8],
        metric_type: MetricType,
    },
    /// What a metric is, escapes and all.
    Help {
        name: &'p [u8],
        text: &'p str,
    },
    /// What a metric is counted in.
    Unit {
        name: &'p [u8],
        unit: &'p [u8],
    },
    Comment,
}

/// One value of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample<'p> {
    pub series: SeriesText<'p>,
    /// It is the series that the parser was told to expect.
    pub expected: bool,
    pub value: f64,
    pub timestamp_ms: Option<i64>,
    /// Since when the series counts, if the format tells it and the parser was asked to.
    pub start_timestamp_ms: Option<i64>,
    pub exemplar: Option<Exemplar<'p>>,
    /// It is a native histogram, whose sum is `value`.
    pub native: Option<Native<'p>>,
}

impl Sample<'_> {
    /// It has a value and a time, and nothing else.
    pub fn is_plain(&self) -> bool {
        self.native.is_none() && self.exemplar.is_none() && self.start_timestamp_ms.is_none()
    }
}

/// A native histogram as a page gives it: not validated yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Native<'p> {
    pub histogram: &'p Rc<Histogram>,
    /// Each with a time.
    pub exemplars: &'p [Exemplar<'p>],
}

/// Any NaN becomes [`NORMAL_NAN_BITS`].
pub fn normal(value: f64) -> f64 {
    if value.is_nan() { f64::from_bits(NORMAL_NAN_BITS) } else { value }
}
