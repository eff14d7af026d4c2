//! Bytes and time per sample of recorded pages; nothing is asserted but that they come back.
//!
//! `NARTHEX_PAGES=directory cargo test --release --lib codec::measure -- --ignored --nocapture`
//!
//! The directory holds one page per file, named in order of time. With ten targets, each takes every tenth page.

use super::SegmentCodec;
use crate::limits::PROGRAM_UNIT_BYTES;
use crate::model::{LabelsBuilder, ScrapeBatch, Series, SeriesTable};
use std::rc::Rc;
use std::time::Instant;

const PAGES_PER_ROUND: usize = 10;
const FRAME_ROUNDS: usize = 2;

#[test]
#[ignore = "needs recorded pages"]
fn bytes_and_time_per_sample() {
    for (targets, segment_bytes) in [(1, 1 << 20), (10, 1 << 20), (10, 1 << 17), (1, 1 << 16)] {
        let table = SeriesTable::new();
        let batches = recorded_batches(targets, &table);
        measure(&batches, targets, segment_bytes, &table);
    }
}

fn measure(batches: &[Rc<ScrapeBatch>], targets: usize, segment_bytes: usize, table: &SeriesTable) {
    let samples: usize = batches.iter().map(|batch| batch.len()).sum();
    let started = Instant::now();
    let mut segments = vec![Vec::new()];
    let (mut codec, mut used, mut payload_bytes, mut padded_bytes) = (SegmentCodec::new(), 0, 0, 0);
    for frame in batches.chunks(FRAME_ROUNDS * targets) {
        let mut payload = Vec::new();
        codec.encode(frame, &mut payload);
        if used + padded(&payload) > segment_bytes {
            (codec, used) = (SegmentCodec::new(), 0);
            payload.clear();
            codec.encode(frame, &mut payload);
            segments.push(Vec::new());
        }
        used += padded(&payload);
        padded_bytes += padded(&payload);
        payload_bytes += payload.len();
        segments.last_mut().unwrap().push(payload);
    }
    let (encoding, started) = (started.elapsed(), Instant::now());
    let mut decoded = Vec::new();
    for segment in &segments {
        let mut codec = SegmentCodec::new();
        segment.iter().for_each(|payload| codec.decode(payload, table, &mut decoded).unwrap());
    }
    let decoding = started.elapsed();
    for (decoded, batch) in decoded.iter().zip(batches) {
        assert_eq!(decoded.series, batch.series);
        assert!(decoded.values.iter().zip(&batch.values).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
    assert_eq!(decoded.len(), batches.len());
    let per_sample = |amount: usize| amount as f64 / samples as f64;
    println!(
        "{targets} targets, {samples} samples, {} segments of {segment_bytes}: {:.3} bytes/sample, {:.3} padded; \
         encode {:.1} ns/sample, decode {:.1} ns/sample",
        segments.len(),
        per_sample(payload_bytes),
        per_sample(padded_bytes),
        per_sample(encoding.as_nanos() as usize),
        per_sample(decoding.as_nanos() as usize),
    );
}

/// A frame as the ring stores it, its header included.
fn padded(payload: &[u8]) -> usize {
    (payload.len() + 32).next_multiple_of(PROGRAM_UNIT_BYTES)
}

/// The pages of `NARTHEX_PAGES` as scrapes of that many targets, 15 s apart each, report series added.
pub(crate) fn recorded_batches(targets: usize, table: &SeriesTable) -> Vec<Rc<ScrapeBatch>> {
    let directory = std::env::var("NARTHEX_PAGES").expect("NARTHEX_PAGES names a directory of pages");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    files.sort();
    let pages: Vec<_> = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    batches(&pages, targets, table)
}

fn batches(pages: &[String], targets: usize, table: &SeriesTable) -> Vec<Rc<ScrapeBatch>> {
    let mut lists: Vec<Rc<[Series]>> = (0..targets).map(|_| Rc::new([]) as Rc<[Series]>).collect();
    let mut batches = Vec::new();
    for (number, page) in pages.iter().enumerate().filter(|(number, _)| number % PAGES_PER_ROUND < targets) {
        let (round, target) = (number / PAGES_PER_ROUND, number % PAGES_PER_ROUND);
        let page = format!("{page}{}", report(page, number));
        let (series, values) = parse(&page, target, table);
        if lists[target][..] != series[..] {
            lists[target] = series.into();
        }
        let jitter_ms = i64::from(number * 7919 % 13 < 3);
        batches.push(Rc::new(ScrapeBatch {
            target: target as u32,
            timestamp_ms: 1_763_722_000_000 + round as i64 * 15_000 + target as i64 * 1_500 + jitter_ms,
            series: lists[target].clone(),
            values,
            own_timestamps: Vec::new(),
            extras: None,
        }));
    }
    batches
}

/// What the agent adds to each scrape; the duration is as arbitrary as it is in life.
fn report(page: &str, number: usize) -> String {
    let samples = page.lines().filter(|line| !line.starts_with('#')).count();
    let duration_s = 0.012 + (number as f64).sin() * 0.003;
    format!(
        "up 1\nscrape_duration_seconds {duration_s:.9}\nscrape_samples_scraped {samples}\n\
         scrape_samples_post_metric_relabeling {samples}\nscrape_series_added 0\n"
    )
}

/// Reads `name{labels} value` lines as far as a node exporter's pages need it.
fn parse(page: &str, target: usize, table: &SeriesTable) -> (Vec<Series>, Vec<f64>) {
    let instance = format!("10.0.0.{target}:9100");
    let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    samples
        .map(|(series, value)| {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let mut builder = LabelsBuilder::from_iter([("__name__", name), ("instance", &instance), ("job", "node")]);
            for label in labels.trim_end_matches('}').split("\",") {
                if let Some((name, value)) = label.split_once("=\"") {
                    builder.set(name, value.trim_end_matches('"'));
                }
            }
            (table.intern(&builder.build().unwrap()), value.parse::<f64>().unwrap())
        })
        .unzip()
}
