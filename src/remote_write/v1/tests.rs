use super::*;
use crate::model::{STALE_NAN_BITS, SeriesTable, stale_nan};
use crate::remote_write::batching::Batching;
use crate::remote_write::messages::{Label, Sample, TimeSeries, WriteRequest};
use crate::remote_write::testing::{all_requests, any_batches, batch, decode, encode, labels, series_list};
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;

/// What the request should be, put together without regard to cost.
fn expected(external: &Labels, batches: &[Rc<ScrapeBatch>], request: &Request) -> WriteRequest {
    let mut timeseries = Vec::new();
    for block in &request.blocks {
        for index in block.series.clone() {
            let own = batches[block.batches.start].series[index].labels();
            let merged: BTreeMap<&str, &str> = external.iter().chain(own).collect();
            let labels = merged.iter().map(|(n, v)| Label { name: n.to_string(), value: v.to_string() }).collect();
            let mut samples: Vec<Sample> = Vec::new();
            for batch in &batches[block.batches.clone()] {
                let sample = Sample { value: batch.values[index], timestamp: batch.timestamp_ms_at(index) };
                let key = |s: &Sample| (s.timestamp, s.value.to_bits());
                if samples.last().map(key) != Some(key(&sample)) {
                    samples.push(sample);
                }
            }
            timeseries.push(TimeSeries { labels, samples });
        }
    }
    WriteRequest { timeseries }
}

proptest! {
    #[test]
    fn the_body_is_byte_for_byte_what_prost_and_snappy_make(batches in any_batches(), samples_max in 1usize..60) {
        let external = labels(&[("job", "loses"), ("site", "north"), ("a", "first")]);
        let mut batching = Batching::new(batches, samples_max);
        let requests = all_requests(&mut batching);
        let (mut encoder, mut body) = (Encoder::new(external.clone()), Body::default());
        for request in &requests {
            let plain = expected(&external, batching.batches(), request).encode_to_vec();
            encoder.encode(batching.batches(), request, &mut body);
            prop_assert_eq!(body.as_bytes(), snap::raw::Encoder::new().compress_vec(&plain).unwrap());
        }
    }

    #[test]
    fn varints_are_those_of_prost(number: u64, shift in 0u32..64) {
        let mut expected = Vec::new();
        prost::encoding::encode_varint(number >> shift, &mut expected);
        let varint = Varint::of(number >> shift);
        prop_assert_eq!(varint.as_bytes(), expected);
    }
}

#[test]
fn a_request_of_many_pieces_is_one_snappy_block() {
    let table = SeriesTable::new();
    let padded = |i: usize| {
        let mut random = fastrand::Rng::with_seed(i as u64);
        let noise: String = (0..700).map(|_| random.alphanumeric()).collect();
        table.intern(&labels(&[("__name__", "m"), ("noise", &noise)]))
    };
    let series: Rc<[_]> = (0..400).map(padded).collect();
    let batches = [batch(0, 1, &series)];
    let request = Request { blocks: vec![Block { batches: 0..1, series: 0..400 }] };
    let plain = expected(&Labels::default(), &batches, &request).encode_to_vec();
    assert!(plain.len() > 4 * PIECE_BYTES && !plain.len().is_multiple_of(PIECE_BYTES));

    let (mut encoder, mut body) = (Encoder::new(Labels::default()), Body::default());
    for _ in 0..2 {
        encoder.encode(&batches, &request, &mut body);
        assert_eq!(body.as_bytes(), snap::raw::Encoder::new().compress_vec(&plain).unwrap());
    }
    assert!(encoder.plain.capacity() < 3 * PIECE_BYTES, "the request was held whole");
}

#[test]
fn labels_are_merged_in_order_and_the_series_own_win() {
    let table = SeriesTable::new();
    let series = series_list(&table, "own", 1);
    let external = labels(&[("a", "1"), ("job", "external"), ("z", "2")]);
    let request = Request { blocks: vec![Block { batches: 0..1, series: 0..1 }] };
    let decoded = decode(&encode(&external, &[batch(0, 5, &series)], &request));
    let pairs: Vec<_> = decoded.timeseries[0].labels.iter().map(|l| (l.name.as_str(), l.value.as_str())).collect();
    assert_eq!(pairs, [("__name__", "m"), ("a", "1"), ("i", "0"), ("job", "own"), ("z", "2")]);
}

#[test]
fn values_keep_their_bits_and_times_may_be_before_1970() {
    let table = SeriesTable::new();
    let values = vec![stale_nan(), f64::NAN, -0.0, 0.0, f64::MIN_POSITIVE];
    let series = series_list(&table, "a", values.len());
    for timestamp_ms in [0, -1, i64::MAX, i64::MIN] {
        let own_timestamps = vec![];
        let batch = ScrapeBatch {
            target: 0,
            timestamp_ms,
            series: series.clone(),
            values: values.clone(),
            own_timestamps,
            extras: None,
        };
        let request = Request { blocks: vec![Block { batches: 0..1, series: 0..values.len() }] };
        let decoded = decode(&encode(&Labels::default(), &[Rc::new(batch)], &request));
        let samples: Vec<_> = decoded.timeseries.iter().map(|series| series.samples[0]).collect();
        let bits: Vec<_> = samples.iter().map(|sample| sample.value.to_bits()).collect();
        assert_eq!(bits, values.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
        assert_eq!(bits[0], STALE_NAN_BITS);
        assert!(samples.iter().all(|sample| sample.timestamp == timestamp_ms));
    }
}
