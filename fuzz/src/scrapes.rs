//! Batches as a small agent scrapes them.

use narthex::model::{LabelsBuilder, OwnTimestamp, ScrapeBatch, Series, SeriesTable};
use std::rc::Rc;

/// Scrapes of two targets in turn, of which some values change and one list once.
pub fn batches(table: &SeriesTable, count: u32) -> Vec<Rc<ScrapeBatch>> {
    (0..count).map(|number| Rc::new(batch(table, number))).collect()
}

fn batch(table: &SeriesTable, number: u32) -> ScrapeBatch {
    let (target, round) = (number % 2, number / 2);
    let series: Rc<[Series]> = (0..8 + u32::from(round > 3)).map(|index| series(table, target, index)).collect();
    let values = (0..series.len() as u32).map(|index| f64::from(index * 100 + round * (index % 3)) / 10.0).collect();
    let timestamp_ms = 1_763_722_000_000 + i64::from(round) * 15_000 + i64::from(target);
    let own = OwnTimestamp { index: 2, timestamp_ms: timestamp_ms - 500 };
    let own_timestamps = if round == 2 { vec![own] } else { Vec::new() };
    ScrapeBatch { target, timestamp_ms, series, values, own_timestamps, extras: None }
}

fn series(table: &SeriesTable, target: u32, index: u32) -> Series {
    let (name, instance) = (format!("node_metric_{index}_total"), format!("10.0.0.{target}:9100"));
    let labels = [("__name__", name.as_str()), ("instance", &instance), ("job", "node")];
    table.intern(&LabelsBuilder::from_iter(labels).build().expect("three short labels"))
}
