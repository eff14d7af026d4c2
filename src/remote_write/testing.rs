//! Windows for tests, and what a receiver makes of a body.

use super::batching::{Batching, Request};
use super::body::Body;
use super::encoder::{Content, Encoder};
use super::messages::{TimeSeries, WriteRequest};
use super::protocol::Version;
use crate::model::random_extras as random;
use crate::model::{self, Labels, LabelsBuilder, OwnTimestamp, ScrapeBatch, Series, SeriesTable, stale_nan};
use proptest::prelude::*;
use prost::Message;
use std::rc::Rc;

pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect::<LabelsBuilder>().build().unwrap()
}

/// `count` series of one job, as `m{i="0", job="..."}`.
pub fn series_list(table: &SeriesTable, job: &str, count: usize) -> Rc<[Series]> {
    let one = |i: usize| table.intern(&labels(&[("__name__", "m"), ("i", &i.to_string()), ("job", job)]));
    (0..count).map(one).collect()
}

/// One value for all series: batch times are milliseconds, and the value is the time.
pub fn batch(target: u32, timestamp_ms: i64, series: &Rc<[Series]>) -> Rc<ScrapeBatch> {
    let values = vec![timestamp_ms as f64; series.len()];
    Rc::new(ScrapeBatch { target, timestamp_ms, series: series.clone(), values, own_timestamps: vec![], extras: None })
}

/// `times` scrapes of one target.
pub fn scrapes(target: u32, times: std::ops::Range<i64>, series: &Rc<[Series]>) -> Vec<Rc<ScrapeBatch>> {
    times.map(|time| batch(target, time, series)).collect()
}

pub fn all_requests(batching: &mut Batching) -> Vec<Request> {
    std::iter::from_fn(|| batching.next_request()).collect()
}

pub fn encode(external: &Labels, batches: &[Rc<ScrapeBatch>], request: &Request) -> Vec<u8> {
    let mut body = Body::default();
    let content = Content { external_labels: external.clone(), ..Content::default() };
    Encoder::new(content).encode(Version::V1, batches, request, &mut body);
    body.as_bytes().to_vec()
}

pub fn decode(body: &[u8]) -> WriteRequest {
    let plain = snap::raw::Decoder::new().decompress_vec(body).expect("snappy");
    WriteRequest::decode(plain.as_slice()).expect("protobuf")
}

pub fn label_value<'a>(series: &'a TimeSeries, name: &str) -> Option<&'a str> {
    series.labels.iter().find(|label| label.name == name).map(|label| label.value.as_str())
}

/// Some of the batches with histograms, exemplars and start timestamps.
pub fn with_extras(batches: Vec<Rc<ScrapeBatch>>, seed: u64) -> Vec<Rc<ScrapeBatch>> {
    let (mut rng, mut last) = (fastrand::Rng::with_seed(seed), None::<Box<model::Extras>>);
    let mut with_extras = |batch: Rc<ScrapeBatch>| {
        let mut batch = ScrapeBatch::clone(&batch);
        if rng.bool() {
            batch.extras = random::random_extras(&mut rng, last.as_deref(), &mut batch.values);
            last.clone_from(&batch.extras);
        }
        Rc::new(batch)
    };
    batches.into_iter().map(&mut with_extras).collect()
}

/// Up to 30 scrapes of up to four targets, whose pages change now and then; some series are exposed by two targets, and
/// some have times of their own that stand still.
pub fn any_batches() -> impl Strategy<Value = Vec<Rc<ScrapeBatch>>> {
    let scrape = (0u32..4, 0usize..4, any::<u64>());
    proptest::collection::vec(scrape, 0..30).prop_map(|scrapes| {
        let table = SeriesTable::new();
        let page = |target: u32, variant: usize| match variant {
            0 => series_list(&table, "shared", 3),
            1 => series_list(&table, &format!("t{target}"), 0),
            _ => series_list(&table, &format!("t{target}"), 2 + 3 * variant),
        };
        let mut time_ms = 0;
        let random_batch = |(target, variant, seed): (u32, usize, u64)| {
            time_ms += 1000;
            let mut random = fastrand::Rng::with_seed(seed);
            let series = page(target, variant);
            let mut value = || random.choice([0.0, 1.0, -2.5, f64::INFINITY, stale_nan()]).unwrap();
            let values: Vec<f64> = series.iter().map(|_| value()).collect();
            let stamped = (0..series.len() as u32).filter(|_| random.u8(..) < 80);
            let own = stamped.map(|index| OwnTimestamp { index, timestamp_ms: time_ms / 4000 * 4000 });
            let own_timestamps = own.collect();
            Rc::new(ScrapeBatch { target, timestamp_ms: time_ms, series, values, own_timestamps, extras: None })
        };
        scrapes.into_iter().map(random_batch).collect()
    })
}
