//! A native histogram: many buckets in one sample, as Prometheus's `model/histogram` has it.
//!
//! ```text
//!  schema 0        ..  -2    -1     0     1     2   ..      bucket i ends at 2^(i * 2^-schema)
//!  positive spans      [offset -2, length 2]  [offset 1, length 1]
//!  buckets                 3     1                4          integer: the first count, then differences
//! ```
//!
//! What is valid is what Prometheus appends. Refuses to know where a histogram comes from and what resolution is wanted.

use std::fmt;

/// The schema whose buckets end at [`Histogram::custom_values`].
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// The schemas of exponential buckets.
pub const EXPONENTIAL_SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// Whether counts may have started anew since the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetHint {
    #[default]
    Unknown,
    Reset,
    NotReset,
    /// Counts go up and down.
    Gauge,
}

impl ResetHint {
    pub const ALL: [ResetHint; 4] = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge];
}

/// So many consecutive buckets, so far after the end of the span before; the first offset is a bucket's index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub offset: i32,
    pub length: u32,
}

/// A histogram; equal to another if all bits of its numbers are.
#[derive(Clone, Debug)]
pub struct Histogram {
    pub reset_hint: ResetHint,
    /// -4 to 8, or [`CUSTOM_BUCKETS_SCHEMA`].
    pub schema: i32,
    pub zero_threshold: f64,
    /// Of the observations. It is the sample's value too.
    pub sum: f64,
    pub counts: HistogramCounts,
    pub positive_spans: Box<[Span]>,
    pub negative_spans: Box<[Span]>,
    /// Upper bounds, rising; empty unless the schema is [`CUSTOM_BUCKETS_SCHEMA`].
    pub custom_values: Box<[f64]>,
}

/// Counts are whole numbers, or not.
#[derive(Clone, Debug)]
pub enum HistogramCounts {
    /// Buckets hold a first count and then the difference from the bucket before.
    Integer(Counts<u64, i64>),
    /// Buckets hold counts.
    Float(Counts<f64, f64>),
}

#[derive(Clone, Debug, Default)]
pub struct Counts<C, B> {
    /// Of all observations.
    pub count: C,
    pub zero_count: C,
    /// One for each bucket of the spans.
    pub positive: Box<[B]>,
    pub negative: Box<[B]>,
}

impl Histogram {
    /// On both sides.
    pub fn buckets(&self) -> usize {
        match &self.counts {
            HistogramCounts::Integer(counts) => counts.positive.len() + counts.negative.len(),
            HistogramCounts::Float(counts) => counts.positive.len() + counts.negative.len(),
        }
    }

    pub fn is_float(&self) -> bool {
        matches!(self.counts, HistogramCounts::Float(_))
    }

    /// Bytes of memory that it takes.
    pub fn held_bytes(&self) -> usize {
        Self::held_bytes_of(
            self.buckets(),
            self.positive_spans.len() + self.negative_spans.len(),
            self.custom_values.len(),
        )
    }

    /// The same of one with so many buckets, spans and custom values.
    pub fn held_bytes_of(buckets: usize, spans: usize, custom_values: usize) -> usize {
        size_of::<Histogram>() + 8 * (buckets + spans + custom_values)
    }

    /// Index and count of each bucket of the positive or the negative side, in order. A count is a whole number or the bits
    /// of an `f64`, as [`is_float`](Self::is_float) says.
    pub fn bucket_counts(&self, negative: bool) -> impl Iterator<Item = (i64, u64)> {
        let spans = if negative { &self.negative_spans } else { &self.positive_spans };
        let mut next = 0i64;
        let indices = spans.iter().flat_map(move |span| {
            let first = next + i64::from(span.offset);
            next = first + i64::from(span.length);
            first..next
        });
        let mut sum = 0i64;
        let (integers, floats): (&[i64], &[f64]) = match (&self.counts, negative) {
            (HistogramCounts::Integer(counts), false) => (&counts.positive, &[]),
            (HistogramCounts::Integer(counts), true) => (&counts.negative, &[]),
            (HistogramCounts::Float(counts), false) => (&[], &counts.positive),
            (HistogramCounts::Float(counts), true) => (&[], &counts.negative),
        };
        let integers = integers.iter().map(move |delta| {
            sum = sum.wrapping_add(*delta);
            sum as u64
        });
        indices.zip(integers.chain(floats.iter().map(|count| count.to_bits())))
    }

    /// Whether Prometheus would append it.
    pub fn validate(&self) -> Result<(), HistogramError> {
        match self.schema {
            CUSTOM_BUCKETS_SCHEMA => self.check_custom_buckets()?,
            schema if EXPONENTIAL_SCHEMAS.contains(&schema) => {
                check_spans(&self.positive_spans, self.side(false).0)?;
                check_spans(&self.negative_spans, self.side(true).0)?;
                if !self.custom_values.is_empty() {
                    return Err(HistogramError::Custom);
                }
            }
            schema => return Err(HistogramError::Schema(schema)),
        }
        match &self.counts {
            HistogramCounts::Integer(counts) => check_integers(counts, self.sum),
            HistogramCounts::Float(counts) => check_floats(counts),
        }
    }

    /// Buckets of one side, and its spans.
    fn side(&self, negative: bool) -> (usize, &[Span]) {
        let spans = if negative { &self.negative_spans } else { &self.positive_spans };
        let buckets = match (&self.counts, negative) {
            (HistogramCounts::Integer(counts), false) => counts.positive.len(),
            (HistogramCounts::Integer(counts), true) => counts.negative.len(),
            (HistogramCounts::Float(counts), false) => counts.positive.len(),
            (HistogramCounts::Float(counts), true) => counts.negative.len(),
        };
        (buckets, spans)
    }

    fn check_custom_buckets(&self) -> Result<(), HistogramError> {
        let bounds = &self.custom_values;
        let rising = bounds.windows(2).all(|pair| pair[0] < pair[1]) && !bounds.iter().any(|bound| bound.is_nan());
        let zero_count_is_none = match &self.counts {
            HistogramCounts::Integer(counts) => counts.zero_count == 0,
            HistogramCounts::Float(counts) => counts.zero_count == 0.0,
        };
        let (buckets, spans) = self.side(false);
        let width: i64 = spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
        let fits = spans.iter().all(|span| span.offset >= 0) && width <= bounds.len() as i64 + 1;
        if !rising
            || bounds.last() == Some(&f64::INFINITY)
            || !zero_count_is_none
            || self.zero_threshold != 0.0
            || !self.negative_spans.is_empty()
            || self.side(true).0 > 0
            || !fits
        {
            return Err(HistogramError::Custom);
        }
        check_spans(spans, buckets)
    }
}

fn check_spans(spans: &[Span], buckets: usize) -> Result<(), HistogramError> {
    let described: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if described != buckets as u64 || spans.iter().skip(1).any(|span| span.offset < 0) {
        return Err(HistogramError::Spans);
    }
    Ok(())
}

fn check_integers(counts: &Counts<u64, i64>, sum: f64) -> Result<(), HistogramError> {
    let mut in_buckets = counts.zero_count;
    for side in [&counts.negative, &counts.positive] {
        let mut count = 0i64;
        for delta in side {
            count = count.wrapping_add(*delta);
            if count < 0 {
                return Err(HistogramError::NegativeCount);
            }
            in_buckets = in_buckets.wrapping_add(count as u64);
        }
    }
    // Observations of NaN are in no bucket, and make the sum one.
    let agrees = if sum.is_nan() { in_buckets <= counts.count } else { in_buckets == counts.count };
    if agrees { Ok(()) } else { Err(HistogramError::Count) }
}

fn check_floats(counts: &Counts<f64, f64>) -> Result<(), HistogramError> {
    let below_zero = |side: &[f64]| side.iter().any(|count| *count < 0.0);
    if below_zero(&counts.positive) || below_zero(&counts.negative) || counts.zero_count < 0.0 || counts.count < 0.0 {
        return Err(HistogramError::NegativeCount);
    }
    Ok(())
}

/// Why a histogram can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistogramError {
    Schema(i32),
    /// Spans describe other buckets than there are, or overlap.
    Spans,
    NegativeCount,
    /// The count of observations is not that of the buckets.
    Count,
    /// Custom bounds don't rise, don't suffice, or stand beside what they exclude.
    Custom,
}

impl fmt::Display for HistogramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the exporter's native histogram is not valid: ")?;
        match self {
            HistogramError::Schema(schema) => write!(f, "its schema is {schema}, not one of -4 to 8"),
            HistogramError::Spans => f.write_str("its spans do not match its buckets"),
            HistogramError::NegativeCount => f.write_str("a bucket has a negative count"),
            HistogramError::Count => f.write_str("its count is not that of its buckets"),
            HistogramError::Custom => f.write_str("its custom bounds do not match its buckets"),
        }
    }
}

impl std::error::Error for HistogramError {}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.reset_hint == other.reset_hint
            && self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && self.counts == other.counts
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && same_bits(&self.custom_values, &other.custom_values)
    }
}

impl Eq for Histogram {}

impl PartialEq for HistogramCounts {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (HistogramCounts::Integer(a), HistogramCounts::Integer(b)) => {
                (a.count, a.zero_count, &a.positive, &a.negative) == (b.count, b.zero_count, &b.positive, &b.negative)
            }
            (HistogramCounts::Float(a), HistogramCounts::Float(b)) => {
                a.count.to_bits() == b.count.to_bits()
                    && a.zero_count.to_bits() == b.zero_count.to_bits()
                    && same_bits(&a.positive, &b.positive)
                    && same_bits(&a.negative, &b.negative)
            }
            _ => false,
        }
    }
}

impl Eq for HistogramCounts {}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.iter().map(|value| value.to_bits()).eq(b.iter().map(|value| value.to_bits()))
}
