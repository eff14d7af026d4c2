//! Histograms, exemplars and start timestamps at random, that change as those of an exporter do, or in any way at all.
//!
//! Whoever includes this has a `model` beside it.

use super::model::{
    Counts, Exemplar, Extras, Histogram, HistogramCounts, LabelsBuilder, ResetHint, Span, StartTimestamps,
};
use std::rc::Rc;

/// For a batch of so many samples; the values of those that are histograms become their sums.
pub fn random_extras(random: &mut fastrand::Rng, last: Option<&Extras>, values: &mut [f64]) -> Option<Box<Extras>> {
    let mut extras = Extras::default();
    let count = values.len() as u32;
    for index in 0..count {
        if random.u8(0..8) == 0 {
            let known = last.and_then(|last| last.histogram_at(index as usize)).filter(|_| random.u8(0..6) > 0);
            let histogram = match known {
                Some(known) => grown(random, known),
                None => random_histogram(random),
            };
            values[index as usize] = histogram.sum;
            extras.histograms.push((index, Rc::new(histogram)));
        }
        for _ in 0..random.u8(0..20) / 17 {
            let known = last.and_then(|last| last.exemplars_at(index as usize).next()).filter(|_| random.bool());
            let exemplar = known.cloned().unwrap_or_else(|| Rc::new(random_exemplar(random)));
            extras.exemplars.push((index, exemplar));
        }
    }
    let kept = last.map(|last| last.start_timestamps.clone()).filter(|_| random.u8(0..3) > 0);
    let kept = kept.filter(|starts| starts.as_slice().iter().all(|(at, _)| *at < count));
    extras.start_timestamps = kept.unwrap_or_else(|| {
        let starts = (0..count).filter(|index| index % 3 == 0);
        let starts: Vec<_> = starts.map(|index| (index, random.i64(..) >> random.u32(0..64))).collect();
        StartTimestamps::from(&starts[..])
    });
    (!extras.is_empty()).then(|| Box::new(extras))
}

pub fn random_exemplar(random: &mut fastrand::Rng) -> Exemplar {
    let id: String = (0..random.usize(0..33)).map(|_| random.digit(16)).collect();
    let labels = LabelsBuilder::from_iter([("trace_id", id.as_str())]).build().unwrap();
    Exemplar { labels, value: f64::from_bits(random.u64(..)), timestamp_ms: random.i64(..) >> random.u32(0..64) }
}

pub fn random_histogram(random: &mut fastrand::Rng) -> Histogram {
    let (positive_spans, negative_spans) = (random_spans(random), random_spans(random));
    let buckets = |spans: &[Span]| spans.iter().map(|span| span.length as usize).sum::<usize>();
    let (positive, negative) = (buckets(&positive_spans), buckets(&negative_spans));
    let custom_values = (0..random.usize(0..30) / 20).map(|at| at as f64 * 1.5).collect();
    let counts = match random.bool() {
        true => HistogramCounts::Integer(Counts {
            count: random.u64(..) >> random.u32(0..64),
            zero_count: random.u64(..) >> random.u32(0..64),
            positive: (0..positive).map(|_| random.i64(..) >> random.u32(0..64)).collect(),
            negative: (0..negative).map(|_| random.i64(..) >> random.u32(0..64)).collect(),
        }),
        false => HistogramCounts::Float(Counts {
            count: random_float(random),
            zero_count: random_float(random),
            positive: (0..positive).map(|_| random_float(random)).collect(),
            negative: (0..negative).map(|_| random_float(random)).collect(),
        }),
    };
    let reset_hint = ResetHint::ALL[random.usize(0..4)];
    let (schema, zero_threshold, sum) = (random.i32(-60..60), random_float(random), random_float(random));
    let mut histogram =
        Histogram { reset_hint, schema, zero_threshold, sum, counts, positive_spans, negative_spans, custom_values };
    if random.u8(0..8) > 0 {
        set_count(&mut histogram);
    }
    histogram
}

/// The count of all buckets, as it is but for observations of NaN.
pub fn set_count(histogram: &mut Histogram) {
    let all = || [false, true].into_iter().flat_map(|negative| histogram.bucket_counts(negative));
    match &histogram.counts {
        HistogramCounts::Integer(counts) => {
            let count = all().fold(counts.zero_count, |sum, (_, count)| sum.wrapping_add(count));
            histogram.counts = HistogramCounts::Integer(Counts { count, ..counts.clone() });
        }
        HistogramCounts::Float(counts) => {
            let count = all().fold(counts.zero_count, |sum, (_, count)| sum + f64::from_bits(count));
            histogram.counts = HistogramCounts::Float(Counts { count, ..counts.clone() });
        }
    }
}

fn random_float(random: &mut fastrand::Rng) -> f64 {
    match random.u8(0..4) {
        0 => f64::from_bits(random.u64(..)),
        1 => random.f64(),
        _ => f64::from(random.u16(..)),
    }
}

fn random_spans(random: &mut fastrand::Rng) -> Box<[Span]> {
    let spans = random.u8(0..4);
    let span = |at: u8| Span { offset: random.i32(if at == 0 { -9 } else { 0 }..9), length: random.u32(0..6) };
    (0..spans).map(span).collect()
}

/// The next histogram of the same series: a few more observations, and sometimes a bucket more.
fn grown(random: &mut fastrand::Rng, known: &Histogram) -> Histogram {
    let mut histogram = known.clone();
    histogram.sum = random_float(random);
    match &mut histogram.counts {
        HistogramCounts::Integer(counts) => {
            if let Some(count) = counts.positive.first_mut().filter(|_| random.bool()) {
                *count = count.wrapping_add(1);
                counts.count = counts.count.wrapping_add(1);
            }
            if random.u8(0..4) == 0 {
                counts.positive = counts.positive.iter().copied().chain([-1]).collect();
                let more = Span { offset: 2, length: 1 };
                histogram.positive_spans = histogram.positive_spans.iter().copied().chain([more]).collect();
            }
        }
        HistogramCounts::Float(counts) => {
            if let Some(count) = counts.negative.first_mut() {
                *count += 1.0;
                counts.count += 1.0;
            }
        }
    }
    histogram
}
