//! Batches as a small agent scrapes them.

use narthex::model::{
    Counts, Exemplar, Extras, Histogram, HistogramCounts, LabelsBuilder, OwnTimestamp, ResetHint, ScrapeBatch, Series,
    SeriesTable, Span,
};
use std::rc::Rc;

/// Scrapes of two targets in turn, of which some values change and one list once.
pub fn batches(table: &SeriesTable, count: u32) -> Vec<Rc<ScrapeBatch>> {
    (0..count).map(|number| Rc::new(batch(table, number))).collect()
}

fn batch(table: &SeriesTable, number: u32) -> ScrapeBatch {
    let (target, round) = (number % 2, number / 2);
    let series: Rc<[Series]> = (0..8 + u32::from(round > 3)).map(|index| series(table, target, index)).collect();
    let mut values: Vec<f64> = (0..series.len() as u32).map(|index| f64::from(index * 100 + round * (index % 3)) / 10.0).collect();
    let timestamp_ms = 1_763_722_000_000 + i64::from(round) * 15_000 + i64::from(target);
    let own = OwnTimestamp { index: 2, timestamp_ms: timestamp_ms - 500 };
    let own_timestamps = if round == 2 { vec![own] } else { Vec::new() };
    let extras = extras(number, &mut values);
    ScrapeBatch { target, timestamp_ms, series, values, own_timestamps, extras }
}

/// A histogram that grows, an exemplar that changes now and then, and start timestamps.
fn extras(number: u32, values: &mut [f64]) -> Option<Box<Extras>> {
    let round = i64::from(number / 2);
    let counts = Counts {
        count: round as u64 * 3,
        zero_count: round as u64,
        positive: [round, round % 2, -(round % 2)].into(),
        negative: [].into(),
    };
    let histogram = Histogram {
        reset_hint: ResetHint::ALL[number as usize / 5 % 4],
        schema: 3,
        zero_threshold: 0.001,
        sum: values[4],
        counts: HistogramCounts::Integer(counts),
        positive_spans: [Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }].into(),
        negative_spans: [].into(),
        custom_values: [].into(),
    };
    let labels = [("trace_id", "0af7651916cd43dd8448eb211c80319c")];
    let labels = LabelsBuilder::from_iter(labels).build().expect("one short label");
    let exemplar = Exemplar { labels, value: 0.5, timestamp_ms: round / 3 };
    (number % 3 > 0).then(|| {
        Box::new(Extras {
            histograms: vec![(4, Rc::new(histogram))],
            exemplars: vec![(1, Rc::new(exemplar))],
            start_timestamps: [(1, 1_763_000_000_000), (4, 1_763_000_000_001)][..].into(),
        })
    })
}

fn series(table: &SeriesTable, target: u32, index: u32) -> Series {
    let (name, instance) = (format!("node_metric_{index}_total"), format!("10.0.0.{target}:9100"));
    let labels = [("__name__", name.as_str()), ("instance", &instance), ("job", "node")];
    table.intern(&LabelsBuilder::from_iter(labels).build().expect("three short labels"))
}
