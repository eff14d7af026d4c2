use super::*;
use crate::model::random_extras as random;
use crate::model::{HistogramCounts, MetricType, STALE_NAN_BITS, SeriesTable, Span, stale_nan};
use crate::remote_write::batching::Batching;
use crate::remote_write::body::PIECE_BYTES;
use crate::remote_write::messages::{self, BucketSpan, Count, Label, Sample, TimeSeries, WriteRequest, ZeroCount};
use crate::remote_write::messages_v2;
use crate::remote_write::testing::{
    all_requests, any_batches, batch, decode, encode, labels, series_list, with_extras,
};
use crate::remote_write::wire::Varint;
use proptest::prelude::*;
use prost::Message as _;
use std::collections::BTreeMap;

fn content(external_labels: Labels, send_exemplars: bool, send_native_histograms: bool) -> Content {
    Content { external_labels, send_exemplars, send_native_histograms }
}

/// What a request should be, put together without regard to cost; 1.0 without start timestamps.
fn expected(content: &Content, batches: &[Rc<ScrapeBatch>], request: &Request, version: Version) -> WriteRequestV2 {
    let mut timeseries: WriteRequestV2 = Vec::new();
    for (block, index) in request.blocks.iter().flat_map(|block| block.series.clone().map(move |at| (block, at))) {
        let own = batches[block.batches.start].series[index].labels();
        let merged: BTreeMap<&str, &str> = content.external_labels.iter().chain(own).collect();
        let labels: Vec<_> = merged.iter().map(|(n, v)| Label { name: n.to_string(), value: v.to_string() }).collect();
        let mut of_series = vec![SeriesV2 { labels: labels.clone(), ..SeriesV2::default() }];
        let mut before = None;
        for batch in &batches[block.batches.clone()] {
            let (value, timestamp) = (batch.values[index], batch.timestamp_ms_at(index));
            let extras = batch.extras.as_deref();
            let start = extras.and_then(|extras| extras.start_timestamp_ms_at(index)).unwrap_or(0);
            let start_timestamp = if version == Version::V2 { start } else { 0 };
            let histogram = batch.histogram_at(index);
            let this = (timestamp, value.to_bits(), histogram);
            if before.replace(this) != Some(this) && (histogram.is_none() || content.send_native_histograms) {
                let last = of_series.last().unwrap();
                let turns = if histogram.is_some() { !last.samples.is_empty() } else { !last.histograms.is_empty() };
                if turns {
                    of_series.push(SeriesV2 { labels: labels.clone(), ..SeriesV2::default() });
                }
                let last = of_series.last_mut().unwrap();
                match histogram {
                    Some(histogram) => last.histograms.push(message(histogram, timestamp, start_timestamp)),
                    None => last.samples.push(messages_v2::Sample { value, timestamp, start_timestamp }),
                }
            }
            for exemplar in extras.filter(|_| content.send_exemplars).into_iter().flat_map(|e| e.exemplars_at(index)) {
                let labels = exemplar.labels.iter().map(|(n, v)| Label { name: n.into(), value: v.into() }).collect();
                let (value, timestamp) = (exemplar.value, exemplar.timestamp_ms);
                of_series.last_mut().unwrap().exemplars.push(messages::Exemplar { labels, value, timestamp });
            }
        }
        of_series.retain(|s| !s.samples.is_empty() || !s.histograms.is_empty() || !s.exemplars.is_empty());
        timeseries.extend(of_series);
    }
    timeseries
}

/// What the tests say of their metrics: nothing, or type, help and unit.
fn metadata(known: u8) -> Rc<MetadataTable> {
    let table = MetadataTable::new([]);
    let family = |(help, unit)| MetricFamily::new("m", MetricType::Gauge, help, unit);
    // The third says nothing but the type, and texts that are labels too are symbols already.
    let texts = [("What it is.", "seconds"), ("m", "job"), ("", "")].get(usize::from(known)).copied();
    table.publish(0, "", "", texts.and_then(family));
    Rc::new(table)
}

/// A request without symbols.
type WriteRequestV2 = Vec<SeriesV2>;

#[derive(Clone, Debug, Default)]
struct SeriesV2 {
    labels: Vec<Label>,
    samples: Vec<messages_v2::Sample>,
    histograms: Vec<messages::Histogram>,
    exemplars: Vec<messages::Exemplar>,
    /// Type, help and unit.
    metadata: Option<(i32, String, String)>,
}

fn as_v1(request: WriteRequestV2) -> WriteRequest {
    let series = |series: SeriesV2| TimeSeries {
        labels: series.labels,
        samples: series.samples.iter().map(|s| Sample { value: s.value, timestamp: s.timestamp }).collect(),
        exemplars: series.exemplars,
        histograms: series.histograms,
    };
    WriteRequest { timeseries: request.into_iter().map(series).collect() }
}

fn message(histogram: &Histogram, timestamp: i64, start_timestamp: i64) -> messages::Histogram {
    let spans = |spans: &[Span]| spans.iter().map(|s| BucketSpan { offset: s.offset, length: s.length }).collect();
    let mut message = messages::Histogram {
        sum: histogram.sum,
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        negative_spans: spans(&histogram.negative_spans),
        positive_spans: spans(&histogram.positive_spans),
        reset_hint: histogram.reset_hint as i32,
        custom_values: histogram.custom_values.to_vec(),
        timestamp,
        start_timestamp,
        ..messages::Histogram::default()
    };
    match &histogram.counts {
        HistogramCounts::Integer(counts) => {
            (message.count, message.zero_count) =
                (Some(Count::Int(counts.count)), Some(ZeroCount::Int(counts.zero_count)));
            (message.negative_deltas, message.positive_deltas) = (counts.negative.to_vec(), counts.positive.to_vec());
        }
        HistogramCounts::Float(counts) => {
            (message.count, message.zero_count) =
                (Some(Count::Float(counts.count)), Some(ZeroCount::Float(counts.zero_count)));
            (message.negative_counts, message.positive_counts) = (counts.negative.to_vec(), counts.positive.to_vec());
        }
    }
    message
}

/// What a receiver of 2.0 makes of a body.
fn decode_v2(body: &[u8]) -> WriteRequestV2 {
    let plain = snap::raw::Decoder::new().decompress_vec(body).expect("snappy");
    let messages_v2::Request { symbols, timeseries } =
        messages_v2::Request::decode(plain.as_slice()).expect("protobuf");
    assert_eq!(symbols[0], "");
    let mut distinct = symbols.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), symbols.len(), "a symbol stands twice");
    let labels = |refs: &[u32]| {
        let pairs = refs.chunks(2).map(|pair| (&symbols[pair[0] as usize], &symbols[pair[1] as usize]));
        pairs.map(|(name, value)| Label { name: name.clone(), value: value.clone() }).collect::<Vec<_>>()
    };
    let exemplar = |exemplar: &messages_v2::Exemplar| messages::Exemplar {
        labels: labels(&exemplar.labels_refs),
        value: exemplar.value,
        timestamp: exemplar.timestamp,
    };
    let series = timeseries.iter().map(|series| SeriesV2 {
        labels: labels(&series.labels_refs),
        samples: series.samples.clone(),
        histograms: series.histograms.clone(),
        exemplars: series.exemplars.iter().map(exemplar).collect(),
        metadata: series.metadata.map(|m| {
            let text = |number: u32| symbols[number as usize].clone();
            (m.r#type, text(m.help_ref), text(m.unit_ref))
        }),
    });
    series.collect()
}

proptest! {
    #[test]
    fn the_body_of_1_0_is_byte_for_byte_what_prost_and_snappy_make(
        batches in any_batches(), samples_max in 1usize..60, extras: u64, exemplars: bool, histograms: bool,
    ) {
        let external = labels(&[("job", "loses"), ("site", "north"), ("a", "first")]);
        let content = content(external, exemplars, histograms);
        let mut batching = Batching::new(with_extras(batches, extras), samples_max);
        let requests = all_requests(&mut batching);
        let (mut encoder, mut body) = (Encoder::new(content.clone()), Body::default());
        // 1.0 has no place for it.
        encoder.send_metadata(metadata(0));
        for request in &requests {
            let plain = as_v1(expected(&content, batching.batches(), request, Version::V1)).encode_to_vec();
            encoder.encode(Version::V1, batching.batches(), request, &mut body);
            prop_assert_eq!(body.as_bytes(), snap::raw::Encoder::new().compress_vec(&plain).unwrap());
        }
    }

    #[test]
    fn a_body_of_2_0_means_what_it_should(
        batches in any_batches(), samples_max in 1usize..60, extras: u64, exemplars: bool, histograms: bool, known in 0u8..5,
    ) {
        let external = labels(&[("job", "loses"), ("site", "north"), ("a", "first")]);
        let content = content(external, exemplars, histograms);
        let mut batching = Batching::new(with_extras(batches, extras), samples_max);
        let requests = all_requests(&mut batching);
        let (mut encoder, mut body, table) = (Encoder::new(content.clone()), Body::default(), metadata(known));
        if known < 4 {
            encoder.send_metadata(table.clone());
        }
        let family = table.families().first().map(|m| (2, m.help().to_string(), m.unit().to_string()));
        for request in &requests {
            let mut wanted = expected(&content, batching.batches(), request, Version::V2);
            wanted.iter_mut().for_each(|series| series.metadata.clone_from(&family));
            let sent = encoder.encode(Version::V2, batching.batches(), request, &mut body);
            prop_assert_eq!(format!("{:?}", decode_v2(body.as_bytes())), format!("{wanted:?}"));
            let count = |each: fn(&SeriesV2) -> usize| wanted.iter().map(each).sum::<usize>() as u64;
            prop_assert_eq!(
                (sent.samples, sent.histograms, sent.exemplars),
                (count(|s| s.samples.len()), count(|s| s.histograms.len()), count(|s| s.exemplars.len()))
            );
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

/// Six scrapes of four series; what is older than the third is left out, of histograms and exemplars as well.
#[test]
fn what_is_too_old_is_left_out_and_counted() {
    let series = series_list(&SeriesTable::new(), "a", 4);
    let batches: Vec<_> = (0..6).map(|time| batch(0, 1000 * time, &series)).collect();
    let batches = with_extras(batches, 3);
    let request = Request { blocks: vec![Block { batches: 0..6, series: 0..4 }] };
    let (mut encoder, mut body) = (Encoder::new(content(Labels::default(), true, true)), Body::default());
    for version in [Version::V1, Version::V2] {
        encoder.leave_out_before(i64::MIN);
        let all = encoder.encode(version, &batches, &request, &mut body);
        assert!(all.too_old == 0 && all.oldest_ms <= Some(0), "{all:?}");
        encoder.leave_out_before(2000);
        let sent = encoder.encode(version, &batches, &request, &mut body);
        assert_eq!((sent.samples + sent.histograms, sent.too_old), (16, 8));
        assert!(sent.oldest_ms.is_some_and(|oldest_ms| oldest_ms >= 2000), "{sent:?}");
        assert!(sent.exemplars < all.exemplars, "{} exemplars", all.exemplars);
        encoder.leave_out_before(i64::MAX);
        let sent = encoder.encode(version, &batches, &request, &mut body);
        assert_eq!((sent.is_empty(), sent.too_old, sent.oldest_ms), (true, 24, None));
    }
}

/// An exporter that gives times of its own shows a sample again and again: old or not, each of these is accounted for.
#[test]
fn repeats_of_what_is_too_old_are_too_old_as_well() {
    let series = series_list(&SeriesTable::new(), "a", 1);
    let shown = |time| {
        let mut shown = ScrapeBatch::clone(&batch(0, time, &series));
        shown.own_timestamps = vec![crate::model::OwnTimestamp { index: 0, timestamp_ms: 5 }];
        shown.values = vec![1.0];
        Rc::new(shown)
    };
    let request = Request { blocks: vec![Block { batches: 0..3, series: 0..1 }] };
    let (mut encoder, mut body) = (Encoder::new(Content::default()), Body::default());
    encoder.leave_out_before(6);
    let sent = encoder.encode(Version::V1, &[shown(10), shown(20), shown(30)], &request, &mut body);
    assert_eq!((sent.samples, sent.too_old), (0, 3));
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
    let wanted = expected(&Content::default(), &batches, &request, Version::V1);
    let plain = as_v1(wanted.clone()).encode_to_vec();
    assert!(plain.len() > 4 * PIECE_BYTES && !plain.len().is_multiple_of(PIECE_BYTES));

    let (mut encoder, mut body) = (Encoder::new(Content::default()), Body::default());
    for _ in 0..2 {
        encoder.encode(Version::V1, &batches, &request, &mut body);
        assert_eq!(body.as_bytes(), snap::raw::Encoder::new().compress_vec(&plain).unwrap());
        encoder.encode(Version::V2, &batches, &request, &mut body);
        assert_eq!(format!("{:?}", decode_v2(body.as_bytes())), format!("{wanted:?}"));
    }
    assert!(encoder.plain_capacity() < 3 * PIECE_BYTES, "the request was held whole");
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
        let (series, values, own_timestamps) = (series.clone(), values.clone(), vec![]);
        let batch = ScrapeBatch { target: 0, timestamp_ms, series, values, own_timestamps, extras: None };
        let request = Request { blocks: vec![Block { batches: 0..1, series: 0..batch.len() }] };
        let given: Vec<_> = batch.values.iter().map(|value| value.to_bits()).collect();
        let decoded = decode(&encode(&Labels::default(), &[Rc::new(batch)], &request));
        let samples: Vec<_> = decoded.timeseries.iter().map(|series| series.samples[0]).collect();
        let bits: Vec<_> = samples.iter().map(|sample| sample.value.to_bits()).collect();
        assert_eq!(bits, given);
        assert_eq!(bits[0], STALE_NAN_BITS);
        assert!(samples.iter().all(|sample| sample.timestamp == timestamp_ms));
    }
}

/// Receivers take all samples of a `TimeSeries` before all of its histograms: a marker between two histograms would be dated
/// before the first of them.
#[test]
fn a_staleness_marker_between_histograms_stays_between_them() {
    let series = series_list(&SeriesTable::new(), "a", 1);
    let histogram = Rc::new(random::random_histogram(&mut fastrand::Rng::with_seed(1)));
    let batches: Vec<_> = (0..3)
        .map(|time| {
            let mut batch = ScrapeBatch::clone(&batch(0, time, &series));
            batch.values[0] = if time == 1 { stale_nan() } else { histogram.sum };
            if time != 1 {
                let extras = crate::model::Extras { histograms: vec![(0, histogram.clone())], ..Default::default() };
                batch.extras = Some(Box::new(extras));
            }
            Rc::new(batch)
        })
        .collect();
    let request = Request { blocks: vec![Block { batches: 0..3, series: 0..1 }] };
    for (histograms, counts, sent_histograms) in
        [(true, vec![(0, 1), (1, 0), (0, 1)], (2, 0)), (false, vec![(1, 0)], (0, 2))]
    {
        let mut body = Body::default();
        let mut encoder = Encoder::new(content(Labels::default(), false, histograms));
        for version in [Version::V1, Version::V2] {
            let sent = encoder.encode(version, &batches, &request, &mut body);
            let found: Vec<_> = match version {
                Version::V1 => {
                    decode(body.as_bytes()).timeseries.iter().map(|s| (s.samples.len(), s.histograms.len())).collect()
                }
                Version::V2 => {
                    decode_v2(body.as_bytes()).iter().map(|s| (s.samples.len(), s.histograms.len())).collect()
                }
            };
            assert_eq!(found, counts);
            assert_eq!((sent.samples, (sent.histograms, sent.histograms_left_out)), (1, sent_histograms));
        }
    }
}
