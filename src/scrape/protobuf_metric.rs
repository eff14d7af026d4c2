//! One `Metric` of a protobuf page: everything it says, in memory that is used again for the next one.
//!
//! As in Prometheus's decoder, a message that comes again adds to what came before, and one of another type than the family's
//! is read and not looked at.

use super::content_type::Format;
use super::exemplar::{Exemplar, ExemplarText};
use super::resolution::compact;
use super::wire::{Field, Fields, WireError, take_list, take_packed_double, take_packed_varint, unzigzag};
use crate::limits::{HISTOGRAM_BUCKETS_MAX, HISTOGRAM_SPANS_MAX};
use crate::model::{Counts, Histogram, HistogramCounts, HistogramError, ResetHint, Span};

#[derive(Default)]
pub struct Metric<'p> {
    /// Of a counter, gauge or untyped metric, each.
    pub values: [f64; 3],
    pub timestamp_ms: i64,
    /// Of a counter, summary or histogram, each; 0: not known.
    pub starts_ms: [i64; 3],
    pub exemplar: Option<Exemplar<'p>>,
    pub summary: Summary,
    pub histogram: HistogramData<'p>,
}

/// Positions in [`Metric::values`].
pub const COUNTER: usize = 0;
pub const GAUGE: usize = 1;
pub const UNTYPED: usize = 2;

/// Positions in [`Metric::starts_ms`], but for [`COUNTER`].
pub const SUMMARY: usize = 1;
pub const HISTOGRAM: usize = 2;

#[derive(Default)]
pub struct Summary {
    pub count: u64,
    pub sum: f64,
    /// Quantile and value.
    pub quantiles: Vec<(f64, f64)>,
}

/// Both forms of a histogram.
#[derive(Default)]
pub struct HistogramData<'p> {
    count: u64,
    count_float: f64,
    pub sum: f64,
    pub buckets: Vec<Bucket<'p>>,
    schema: i32,
    zero_threshold: f64,
    zero_count: u64,
    zero_count_float: f64,
    /// Negative and positive side.
    spans: [Vec<Span>; 2],
    deltas: [Vec<i64>; 2],
    counts: [Vec<f64>; 2],
    pub exemplars: Vec<Exemplar<'p>>,
}

/// Of a classic histogram.
#[derive(Default)]
pub struct Bucket<'p> {
    count: u64,
    count_float: f64,
    pub bound: f64,
    pub exemplar: Option<Exemplar<'p>>,
}

const TOO_MANY: WireError = WireError("a metric has too many buckets, quantiles or exemplars");

/// Puts one more in, if there is room.
fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), WireError> {
    if list.len() == HISTOGRAM_BUCKETS_MAX {
        return Err(TOO_MANY);
    }
    list.push(item);
    Ok(())
}

impl<'p> Metric<'p> {
    /// Reads the message; `each_label` gets the bytes of each `LabelPair`.
    pub fn read(&mut self, mut fields: Fields<'p>, mut each_label: impl FnMut(&'p [u8])) -> Result<(), WireError> {
        self.clear();
        while let Some((number, field)) = fields.next_field()? {
            match number {
                1 => each_label(field.bytes()?),
                2 => read_value(field.message()?, &mut self.values[GAUGE])?,
                3 => self.read_counter(field.message()?)?,
                4 => self.read_summary(field.message()?)?,
                5 => read_value(field.message()?, &mut self.values[UNTYPED])?,
                6 => self.timestamp_ms = field.number()? as i64,
                7 => self.histogram.read(field.message()?, &mut self.starts_ms[HISTOGRAM])?,
                _ => {}
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        (self.values, self.timestamp_ms, self.starts_ms, self.exemplar) = ([0.0; 3], 0, [0; 3], None);
        (self.summary.count, self.summary.sum) = (0, 0.0);
        self.summary.quantiles.clear();
        self.histogram.clear();
    }

    fn read_counter(&mut self, mut fields: Fields<'p>) -> Result<(), WireError> {
        while let Some((number, field)) = fields.next_field()? {
            match number {
                1 => self.values[COUNTER] = field.double()?,
                2 => self.exemplar = Some(read_exemplar(field.bytes()?)?),
                3 => self.starts_ms[COUNTER] = read_timestamp_ms(field.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_summary(&mut self, mut fields: Fields<'p>) -> Result<(), WireError> {
        while let Some((number, field)) = fields.next_field()? {
            match number {
                1 => self.summary.count = field.number()?,
                2 => self.summary.sum = field.double()?,
                3 => push(&mut self.summary.quantiles, read_quantile(field.message()?)?)?,
                4 => self.starts_ms[SUMMARY] = read_timestamp_ms(field.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'p> HistogramData<'p> {
    fn clear(&mut self) {
        (self.count, self.count_float, self.sum, self.schema) = (0, 0.0, 0.0, 0);
        (self.zero_threshold, self.zero_count, self.zero_count_float) = (0.0, 0, 0.0);
        self.buckets.clear();
        self.exemplars.clear();
        self.spans.iter_mut().for_each(Vec::clear);
        self.deltas.iter_mut().for_each(Vec::clear);
        self.counts.iter_mut().for_each(Vec::clear);
    }

    fn read(&mut self, mut fields: Fields<'p>, start_ms: &mut i64) -> Result<(), WireError> {
        let delta = |field: Field<'_>| field.number().map(unzigzag);
        let double = |field: Field<'_>| field.double();
        while let Some((number, field)) = fields.next_field()? {
            // Fields 9 to 11 and 12 to 14 are those of the negative and of the positive side.
            let side = usize::from(number >= 12);
            match number {
                1 => self.count = field.number()?,
                2 => self.sum = field.double()?,
                3 => push(&mut self.buckets, read_bucket(field.message()?)?)?,
                4 => self.count_float = field.double()?,
                5 => self.schema = unzigzag(u64::from(field.number()? as u32)) as i32,
                6 => self.zero_threshold = field.double()?,
                7 => self.zero_count = field.number()?,
                8 => self.zero_count_float = field.double()?,
                9 | 12 if self.spans[side].len() == HISTOGRAM_SPANS_MAX => return Err(TOO_MANY),
                9 | 12 => self.spans[side].push(read_span(field.message()?)?),
                10 | 13 => take_list(field, &mut self.deltas[side], HISTOGRAM_BUCKETS_MAX, delta, take_packed_varint)?,
                11 | 14 => take_list(field, &mut self.counts[side], HISTOGRAM_BUCKETS_MAX, double, take_packed_double)?,
                15 => *start_ms = read_timestamp_ms(field.message()?)?,
                16 => push(&mut self.exemplars, read_exemplar(field.bytes()?)?)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether it has a native form. One without observations and without a zero bucket says so by a span without buckets.
    pub fn is_native(&self) -> bool {
        self.spans.iter().any(|spans| !spans.is_empty()) || self.zero_threshold > 0.0 || self.zero_count > 0
    }

    /// Whether the native form counts in floats, as Prometheus 3.16 decides: also where each of the counts is zero.
    fn has_float_counts(&self) -> bool {
        self.count_float > 0.0 || self.zero_count_float > 0.0 || self.counts.iter().any(|side| !side.is_empty())
    }

    /// `_count` of the classic form.
    pub fn observations(&self) -> f64 {
        if self.count_float == 0.0 { self.count as f64 } else { self.count_float }
    }

    /// The native form, without empty buckets.
    pub fn native(&self, is_gauge: bool) -> Result<Histogram, HistogramError> {
        let is_float = self.has_float_counts();
        for side in 0..2 {
            let described: u64 = self.spans[side].iter().map(|span| u64::from(span.length)).sum();
            let buckets = if is_float { self.counts[side].len() } else { self.deltas[side].len() };
            if described != buckets as u64 {
                return Err(HistogramError::Spans);
            }
        }
        let counts = match is_float {
            true => HistogramCounts::Float(Counts {
                count: self.count_float,
                zero_count: self.zero_count_float,
                negative: self.counts[0][..].into(),
                positive: self.counts[1][..].into(),
            }),
            false => HistogramCounts::Integer(Counts {
                count: self.count,
                zero_count: self.zero_count,
                negative: self.deltas[0][..].into(),
                positive: self.deltas[1][..].into(),
            }),
        };
        let mut histogram = Histogram {
            reset_hint: if is_gauge { ResetHint::Gauge } else { ResetHint::Unknown },
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            counts,
            negative_spans: self.spans[0][..].into(),
            positive_spans: self.spans[1][..].into(),
            custom_values: [].into(),
        };
        compact(&mut histogram);
        Ok(histogram)
    }
}

impl Bucket<'_> {
    /// Observations up to its bound.
    pub fn observations(&self) -> f64 {
        if self.count_float == 0.0 { self.count as f64 } else { self.count_float }
    }
}

fn read_value(mut fields: Fields<'_>, value: &mut f64) -> Result<(), WireError> {
    while let Some((number, field)) = fields.next_field()? {
        if number == 1 {
            *value = field.double()?;
        }
    }
    Ok(())
}

fn read_quantile(mut fields: Fields<'_>) -> Result<(f64, f64), WireError> {
    let mut quantile = (0.0, 0.0);
    while let Some((number, field)) = fields.next_field()? {
        match number {
            1 => quantile.0 = field.double()?,
            2 => quantile.1 = field.double()?,
            _ => {}
        }
    }
    Ok(quantile)
}

fn read_bucket<'p>(mut fields: Fields<'p>) -> Result<Bucket<'p>, WireError> {
    let mut bucket = Bucket::default();
    while let Some((number, field)) = fields.next_field()? {
        match number {
            1 => bucket.count = field.number()?,
            2 => bucket.bound = field.double()?,
            3 => bucket.exemplar = Some(read_exemplar(field.bytes()?)?),
            4 => bucket.count_float = field.double()?,
            _ => {}
        }
    }
    Ok(bucket)
}

fn read_span(mut fields: Fields<'_>) -> Result<Span, WireError> {
    let mut span = Span::default();
    while let Some((number, field)) = fields.next_field()? {
        match number {
            1 => span.offset = unzigzag(u64::from(field.number()? as u32)) as i32,
            2 => span.length = field.number()? as u32,
            _ => {}
        }
    }
    Ok(span)
}

fn read_exemplar(message: &[u8]) -> Result<Exemplar<'_>, WireError> {
    let (mut fields, mut value, mut timestamp_ms) = (Fields::of(message), 0.0, None);
    while let Some((number, field)) = fields.next_field()? {
        match number {
            1 => _ = read_label(field.bytes()?)?,
            2 => value = field.double()?,
            3 => timestamp_ms = Some(read_timestamp_ms(field.message()?)?),
            _ => {}
        }
    }
    Ok(Exemplar { labels: ExemplarText { raw: message, format: Format::Protobuf }, value, timestamp_ms })
}

/// Name, if there is one, and value of a `LabelPair`; any bytes.
pub fn read_label(message: &[u8]) -> Result<(Option<&[u8]>, &[u8]), WireError> {
    let (mut fields, mut label) = (Fields::of(message), (None, &[][..]));
    while let Some((number, field)) = fields.next_field()? {
        match number {
            1 => label.0 = Some(field.bytes()?),
            2 => label.1 = field.bytes()?,
            _ => {}
        }
    }
    Ok(label)
}

fn read_timestamp_ms(mut fields: Fields<'_>) -> Result<i64, WireError> {
    let (mut seconds, mut nanos) = (0i64, 0i32);
    while let Some((number, field)) = fields.next_field()? {
        match number {
            1 => seconds = field.number()? as i64,
            2 => nanos = field.number()? as i32,
            _ => {}
        }
    }
    Ok(seconds.wrapping_mul(1000).wrapping_add(i64::from(nanos / 1_000_000)))
}
