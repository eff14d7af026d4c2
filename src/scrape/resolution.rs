//! Buckets of native histograms, fewer: empty ones are cut out as in `Histogram.Compact(0)`, and neighbours merged as in
//! `ReduceResolution` of Prometheus's `model/histogram`.

use crate::limits::HISTOGRAM_SPANS_MAX;
use crate::model::{Counts, EXPONENTIAL_SCHEMAS, Histogram, HistogramCounts, Span};

/// A histogram that has more buckets than are allowed, however wide they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyBuckets;

/// The highest schema whose buckets grow by this factor at least (`pickSchema`).
pub fn schema_of_factor(factor: f64) -> i32 {
    let (lowest, highest) = (*EXPONENTIAL_SCHEMAS.start(), *EXPONENTIAL_SCHEMAS.end());
    let factor = if factor <= 1.0 { 1.00271 } else { factor };
    let floor = (-factor.log2().log2()).floor();
    if floor >= f64::from(highest) {
        highest
    } else if floor <= f64::from(lowest) {
        lowest
    } else {
        floor as i32
    }
}

/// Merges buckets down to this schema, where it has one above it, and then until there are no more than `most` (0: any number).
pub fn limit(histogram: &mut Histogram, schema_max: i32, most: usize) -> Result<(), TooManyBuckets> {
    const RESERVED_SCHEMAS: std::ops::RangeInclusive<i32> = -9..=52;
    if schema_max < *EXPONENTIAL_SCHEMAS.end()
        && RESERVED_SCHEMAS.contains(&histogram.schema)
        && histogram.schema > schema_max
    {
        reduce(histogram, schema_max);
    }
    while most > 0 && histogram.buckets() > most {
        if !EXPONENTIAL_SCHEMAS.contains(&histogram.schema) || histogram.schema == *EXPONENTIAL_SCHEMAS.start() {
            return Err(TooManyBuckets);
        }
        reduce(histogram, histogram.schema - 1);
    }
    Ok(())
}

/// Cuts out empty buckets. Spans that overlap are left for [`Histogram::validate`] to find.
pub fn compact(histogram: &mut Histogram) {
    rebuild(histogram, |index| index, true);
}

fn reduce(histogram: &mut Histogram, schema: i32) {
    let shift = (histogram.schema - schema) as u32;
    rebuild(histogram, |index| ((index - 1) >> shift) + 1, false);
    histogram.schema = schema;
}

fn rebuild(histogram: &mut Histogram, target: impl Fn(i64) -> i64, drop_empty: bool) {
    let sides = [false, true].map(|negative| {
        let spans = if negative { &histogram.negative_spans } else { &histogram.positive_spans };
        let overlaps = spans.iter().skip(1).any(|span| span.offset < 0);
        let is_float = histogram.is_float();
        let is_empty = |count: u64| if is_float { f64::from_bits(count) == 0.0 } else { count == 0 };
        let kept = histogram.bucket_counts(negative).filter(|(_, count)| !(drop_empty && is_empty(*count)));
        let merge = |a: u64, b: u64| match is_float {
            true => (f64::from_bits(a) + f64::from_bits(b)).to_bits(),
            false => a.wrapping_add(b),
        };
        if overlaps { None } else { spans_of(kept.map(|(index, count)| (target(index), count)), merge) }
    });
    let [positive, negative] = sides;
    for (negative, side) in [(false, positive), (true, negative)] {
        let Some((spans, counts)) = side else { continue };
        *(if negative { &mut histogram.negative_spans } else { &mut histogram.positive_spans }) = spans;
        match &mut histogram.counts {
            HistogramCounts::Integer(Counts { positive, negative: below, .. }) => {
                let mut before = 0i64;
                let delta = |count: &u64| (*count as i64).wrapping_sub(std::mem::replace(&mut before, *count as i64));
                *(if negative { below } else { positive }) = counts.iter().map(delta).collect();
            }
            HistogramCounts::Float(Counts { positive, negative: below, .. }) => {
                *(if negative { below } else { positive }) =
                    counts.iter().map(|count| f64::from_bits(*count)).collect();
            }
        }
    }
}

/// Spans and counts.
type Side = (Box<[Span]>, Box<[u64]>);

/// Spans of buckets whose indices do not fall, and a count for each index. `None` if the first can't be told.
fn spans_of(buckets: impl Iterator<Item = (i64, u64)>, merge: impl Fn(u64, u64) -> u64) -> Option<Side> {
    let (mut spans, mut counts): (Vec<Span>, Vec<u64>) = (Vec::new(), Vec::new());
    let mut last = None;
    for (index, count) in buckets {
        match (last, spans.last_mut(), counts.last_mut()) {
            (Some(last), _, Some(known)) if last == index => *known = merge(*known, count),
            (Some(last), Some(span), _) if last + 1 == index => {
                span.length += 1;
                counts.push(count);
            }
            _ => {
                let offset = i32::try_from(index - last.map_or(0, |last| last + 1)).ok()?;
                spans.push(Span { offset, length: 1 });
                counts.push(count);
            }
        }
        last = Some(index);
    }
    (spans.len() <= HISTOGRAM_SPANS_MAX).then(|| (spans.into(), counts.into()))
}
