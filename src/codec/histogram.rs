//! A native histogram, given the last one of its series: the same code encodes and decodes.
//!
//! ```text
//! [same shape ?]                 hint, schema, kind, zero threshold, spans, custom values
//!   no:  all of these
//! zero count, each bucket        by how far it is from the same bucket's last count; most have not changed
//! count                          by how far it is from the sum of all buckets: almost always not at all
//! ```
//!
//! The sum is the sample's value and is coded as such. Counts of a float histogram are coded as whole numbers where they are.

use super::error::CodecError;
use super::extras::ExtrasRoom;
use super::numbers::{Number, code_symbol};
use super::range_coder::{Bit, Coder};
use crate::limits::{HISTOGRAM_BUCKETS_MAX, HISTOGRAM_SPANS_MAX};
use crate::model::{Counts, Histogram, HistogramCounts, ResetHint, Span};

/// What all histograms of a segment have in common.
#[derive(Default, PartialEq)]
pub struct HistogramModels {
    same_shape: Bit,
    hint: [Bit; 4],
    is_float: Bit,
    schema: Number,
    spans: Number,
    offset: Number,
    length: Number,
    custom_values: Number,
    /// By whether the two counts before had changed.
    changed: [Bit; 4],
    is_whole: Bit,
    /// By whether the count before had changed.
    step: [Number; 2],
    scratch: Scratch,
}

/// Indices and counts of a histogram's buckets before and now; only its memory is kept.
#[derive(Default)]
struct Scratch {
    before: Vec<(i64, u64)>,
    now: Vec<u64>,
}

impl PartialEq for Scratch {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// All of a histogram but its counts and its sum.
#[derive(Clone, Default)]
struct Shape {
    hint: ResetHint,
    is_float: bool,
    schema: i32,
    zero_threshold: f64,
    /// Positive and negative.
    spans: [Vec<Span>; 2],
    custom_values: Vec<f64>,
}

impl Shape {
    fn of(histogram: &Histogram) -> Shape {
        Shape {
            hint: histogram.reset_hint,
            is_float: histogram.is_float(),
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            spans: [histogram.positive_spans.to_vec(), histogram.negative_spans.to_vec()],
            custom_values: histogram.custom_values.to_vec(),
        }
    }

    fn held_bytes(&self) -> usize {
        let spans = self.spans.iter().map(Vec::len).sum();
        Histogram::held_bytes_of(self.buckets(), spans, self.custom_values.len())
    }

    fn buckets(&self) -> usize {
        self.spans.iter().flatten().map(|span| span.length as usize).sum()
    }
}

fn has_shape_of(a: &Histogram, b: &Histogram) -> bool {
    a.reset_hint == b.reset_hint
        && a.is_float() == b.is_float()
        && a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.custom_values.iter().map(|value| value.to_bits()).eq(b.custom_values.iter().map(|value| value.to_bits()))
}

/// Bits of a value as they are.
pub fn code_bits<C: Coder>(coder: &mut C, value: u64) -> u64 {
    [48, 32, 16, 0]
        .iter()
        .fold(0, |bits, shift| bits << 16 | u64::from(coder.direct((value >> shift) as u32 & 0xffff, 16)))
}

impl HistogramModels {
    /// Codes one histogram. `sum` is known already; `room` is what extras of the frame may still take in memory.
    pub fn code<C: Coder>(
        &mut self,
        coder: &mut C,
        last: Option<&Histogram>,
        given: Option<&Histogram>,
        sum: f64,
        room: &mut ExtrasRoom,
    ) -> Result<Histogram, CodecError> {
        let same = last.zip(given).is_some_and(|(last, given)| has_shape_of(last, given));
        let shape = match coder.bit(&mut self.same_shape, same) {
            true => Shape::of(last.ok_or(CodecError::NoSuch("histogram"))?),
            false => self.code_shape(coder, given.map(Shape::of).unwrap_or_default())?,
        };
        room.take(coder, shape.held_bytes())?;
        let counts = match shape.is_float {
            false => HistogramCounts::Integer(self.code_integers(coder, &shape, last, given)),
            true => HistogramCounts::Float(self.code_floats(coder, &shape, last, given)),
        };
        let Shape { hint, schema, zero_threshold, spans: [positive, negative], custom_values, .. } = shape;
        Ok(Histogram {
            reset_hint: hint,
            schema,
            zero_threshold,
            sum,
            counts,
            positive_spans: positive.into(),
            negative_spans: negative.into(),
            custom_values: custom_values.into(),
        })
    }

    fn code_shape<C: Coder>(&mut self, coder: &mut C, given: Shape) -> Result<Shape, CodecError> {
        let hint = ResetHint::ALL[code_symbol(coder, &mut self.hint, given.hint as u32) as usize & 3];
        let is_float = coder.bit(&mut self.is_float, given.is_float);
        let schema = self.schema.code_signed(coder, i64::from(given.schema)) as i32;
        let zero_threshold = f64::from_bits(code_bits(coder, given.zero_threshold.to_bits()));
        let [positive, negative] = &given.spans;
        let spans = [self.code_spans(coder, positive)?, self.code_spans(coder, negative)?];
        let count = self.custom_values.code(coder, given.custom_values.len() as u64);
        if count > HISTOGRAM_BUCKETS_MAX as u64 {
            return Err(CodecError::TooManyExtras);
        }
        let mut custom_values = Vec::new();
        for at in 0..count as usize {
            let value = given.custom_values.get(at).map_or(0, |value| value.to_bits());
            custom_values.push(f64::from_bits(code_bits(coder, value)));
            if coder.overran() {
                return Err(CodecError::Truncated);
            }
        }
        Ok(Shape { hint, is_float, schema, zero_threshold, spans, custom_values })
    }

    fn code_spans<C: Coder>(&mut self, coder: &mut C, given: &[Span]) -> Result<Vec<Span>, CodecError> {
        let count = self.spans.code(coder, given.len() as u64);
        if count > HISTOGRAM_SPANS_MAX as u64 {
            return Err(CodecError::TooManyExtras);
        }
        let (mut spans, mut buckets) = (Vec::new(), 0);
        for at in 0..count as usize {
            let span = given.get(at).copied().unwrap_or_default();
            let offset = self.offset.code_signed(coder, i64::from(span.offset)) as i32;
            let length = self.length.code(coder, u64::from(span.length)).min(HISTOGRAM_BUCKETS_MAX as u64 + 1) as u32;
            spans.push(Span { offset, length });
            buckets += length as usize;
            if buckets > HISTOGRAM_BUCKETS_MAX {
                return Err(CodecError::TooManyExtras);
            }
        }
        Ok(spans)
    }

    fn code_integers<C: Coder>(
        &mut self,
        coder: &mut C,
        shape: &Shape,
        last: Option<&Histogram>,
        given: Option<&Histogram>,
    ) -> Counts<u64, i64> {
        let whole = |histogram: Option<&Histogram>| match histogram.map(|histogram| &histogram.counts) {
            Some(HistogramCounts::Integer(counts)) => (counts.zero_count, counts.count),
            _ => (0, 0),
        };
        let mut near = 0;
        let zero_count = self.code_count(coder, &mut near, false, whole(last).0, whole(given).0);
        let mut sum = zero_count;
        let mut sides = [false, true].map(|negative| {
            let counts = self.code_side(coder, &mut near, shape, negative, last, given);
            sum = counts.iter().fold(sum, |sum, count| sum.wrapping_add(*count));
            let mut before = 0i64;
            let delta = |count: &u64| (*count as i64).wrapping_sub(std::mem::replace(&mut before, *count as i64));
            counts.iter().map(delta).collect::<Box<[i64]>>()
        });
        let count = self.code_count(coder, &mut near, false, sum, whole(given).1);
        let [positive, negative] = &mut sides;
        Counts { count, zero_count, positive: std::mem::take(positive), negative: std::mem::take(negative) }
    }

    fn code_floats<C: Coder>(
        &mut self,
        coder: &mut C,
        shape: &Shape,
        last: Option<&Histogram>,
        given: Option<&Histogram>,
    ) -> Counts<f64, f64> {
        let bits = |histogram: Option<&Histogram>| match histogram.map(|histogram| &histogram.counts) {
            Some(HistogramCounts::Float(counts)) => (counts.zero_count.to_bits(), counts.count.to_bits()),
            _ => (0, 0),
        };
        let mut near = 0;
        let zero_count = f64::from_bits(self.code_count(coder, &mut near, true, bits(last).0, bits(given).0));
        let mut sum = zero_count;
        let mut sides = [false, true].map(|negative| {
            let counts = self.code_side(coder, &mut near, shape, negative, last, given);
            let counts: Box<[f64]> = counts.iter().map(|bits| f64::from_bits(*bits)).collect();
            sum = counts.iter().fold(sum, |sum, count| sum + count);
            counts
        });
        // Which NaN a sum becomes is for each processor to say.
        let guess = if sum.is_nan() { f64::NAN } else { sum };
        let count = f64::from_bits(self.code_count(coder, &mut near, true, guess.to_bits(), bits(given).1));
        let [positive, negative] = &mut sides;
        Counts { count, zero_count, positive: std::mem::take(positive), negative: std::mem::take(negative) }
    }

    /// The counts of one side's buckets, each by the last count of the bucket of its index; if there is no last histogram of
    /// this schema and kind, by the count before it.
    fn code_side<C: Coder>(
        &mut self,
        coder: &mut C,
        near: &mut u8,
        shape: &Shape,
        negative: bool,
        last: Option<&Histogram>,
        given: Option<&Histogram>,
    ) -> Vec<u64> {
        let last = last.filter(|last| last.schema == shape.schema && last.is_float() == shape.is_float);
        let Scratch { mut before, mut now } = std::mem::take(&mut self.scratch);
        before.clear();
        now.clear();
        before.extend(last.into_iter().flat_map(|last| last.bucket_counts(negative)));
        now.extend(given.into_iter().flat_map(|given| given.bucket_counts(negative)).map(|(_, count)| count));
        let (mut index, mut seen) = (0i64, 0);
        let mut counts = Vec::with_capacity(now.len());
        for span in &shape.spans[usize::from(negative)] {
            index += i64::from(span.offset);
            for _ in 0..span.length {
                while before.get(seen).is_some_and(|(known, _)| *known < index) {
                    seen += 1;
                }
                let known = before.get(seen).filter(|(known, _)| *known == index).map(|(_, count)| *count);
                let guess = match (known, last) {
                    (Some(count), _) => count,
                    (None, Some(_)) => 0,
                    (None, None) => counts.last().copied().unwrap_or(0),
                };
                let count = now.get(counts.len()).copied().unwrap_or(0);
                counts.push(self.code_count(coder, near, shape.is_float, guess, count));
                index += 1;
            }
        }
        self.scratch = Scratch { before, now };
        counts
    }

    /// A whole number, or the bits of an `f64`.
    fn code_count<C: Coder>(&mut self, coder: &mut C, near: &mut u8, is_float: bool, guess: u64, count: u64) -> u64 {
        let changed = coder.bit(&mut self.changed[usize::from(*near)], count != guess);
        let step = &mut self.step[usize::from(*near & 1)];
        *near = *near << 1 & 2 | u8::from(changed);
        if !changed {
            return guess;
        }
        if !is_float {
            return guess.wrapping_add(step.code_signed(coder, count.wrapping_sub(guess) as i64) as u64);
        }
        let whole = |bits: u64| f64::from_bits(bits) as i64;
        if !coder.bit(&mut self.is_whole, (whole(count) as f64).to_bits() == count) {
            return code_bits(coder, count);
        }
        let step = step.code_signed(coder, whole(count).wrapping_sub(whole(guess)));
        (whole(guess).wrapping_add(step) as f64).to_bits()
    }
}
