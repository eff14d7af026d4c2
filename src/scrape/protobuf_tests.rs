use super::client_model::{
    COUNTER, Counter, GAUGE, GAUGE_HISTOGRAM, HISTOGRAM, Histogram, Metric, MetricFamily, Quantile, SUMMARY, Span,
    Summary, Timestamp, Value, both_forms, exemplar, family, labels, page,
};
use super::wire::{Fields, WireError};
use super::*;
use crate::model::{HistogramError, LabelsBuilder};
use proptest::prelude::*;

const CLASSIC: HistogramForms = HistogramForms { native: false, classic_too: false };
const NATIVE: HistogramForms = HistogramForms { native: true, classic_too: false };
const BOTH: HistogramForms = HistogramForms { native: true, classic_too: true };

/// A line for each sample: series, value or buckets, time, start, exemplars.
fn lines(page: &[u8], forms: HistogramForms) -> Result<Vec<String>, ProtobufError> {
    let (mut parser, mut lines) = (ProtobufParser::new(page, forms), Vec::new());
    while let Some(entry) = parser.next(None)? {
        let Entry::Sample(sample) = entry else { continue };
        let labels = sample.series.labels().unwrap();
        let mut labels: LabelsBuilder = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut line = labels.build().unwrap().to_string();
        match &sample.native {
            None => line += &format!(" {}", sample.value),
            Some(native) => {
                let buckets: Vec<_> = native.histogram.bucket_counts(false).collect();
                line += &format!(" {buckets:?} {:?}", native.histogram.reset_hint);
            }
        }
        line.extend(sample.timestamp_ms.map(|at_ms| format!(" at {at_ms}")));
        line.extend(sample.start_timestamp_ms.map(|start_ms| format!(" from {start_ms}")));
        let natives = sample.native.map_or(&[][..], |native| native.exemplars);
        for exemplar in sample.exemplar.iter().chain(natives) {
            let labels = exemplar.labels.labels().unwrap();
            line += &format!(" # {}={} {}", labels[0].0, labels[0].1, exemplar.value);
            line.extend(exemplar.timestamp_ms.map(|at_ms| format!(" {at_ms}")));
        }
        lines.push(line);
    }
    Ok(lines)
}

fn histogram(histogram: Histogram) -> Vec<Metric> {
    vec![Metric { histogram: Some(histogram), ..Metric::default() }]
}

#[test]
fn counters_gauges_and_summaries_are_read() {
    let counter = Counter {
        value: 3.0,
        exemplar: Some(exemplar("x", 1.0, Some(2))),
        start: Some(Timestamp { seconds: 1, nanos: 0 }),
    };
    let counter = Metric {
        label: labels(&[("z", "1"), ("a", "2"), ("none", "")]),
        counter: Some(counter),
        timestamp_ms: 9,
        ..Metric::default()
    };
    let gauge = Metric { gauge: Some(Value { value: Some(-0.5) }), ..Metric::default() };
    let quantile = vec![Quantile { quantile: 0.5, value: 7.0 }, Quantile { quantile: 1e-7, value: f64::NAN }];
    let summary = Metric { summary: Some(Summary { count: 4, sum: 2.5, quantile }), ..Metric::default() };
    let empty = Metric { summary: Some(Summary::default()), ..Metric::default() };
    let page = page(&[
        family("c_total", COUNTER, vec![counter, Metric::default()]),
        family("without_metrics", 77, vec![]),
        family("g", GAUGE, vec![gauge]),
        family("s", SUMMARY, vec![summary, empty]),
    ]);
    assert_eq!(
        lines(&page, CLASSIC).unwrap(),
        [
            r#"c_total{a="2", z="1"} 3 at 9 from 1000 # trace_id=x 1 2999"#,
            "c_total 0",
            "g -0.5",
            "s_count 4",
            "s_sum 2.5",
            r#"s{quantile="0.5"} 7"#,
            r#"s{quantile="1e-07"} NaN"#,
            "s_count 0",
            "s_sum 0",
        ]
    );
}

#[test]
fn histograms_come_in_the_forms_that_are_wanted() {
    let page = page(&[family("h", HISTOGRAM, histogram(both_forms()))]);
    let classic = [
        "h_count 6 from 5001",
        "h_sum 11.5 from 5001",
        r#"h_bucket{le="1.0"} 2 from 5001 # trace_id=a 0.5 7999"#,
        r#"h_bucket{le="1e+06"} 5 from 5001 # trace_id=b 3.5"#,
        r#"h_bucket{le="+Inf"} 6 from 5001"#,
    ];
    // The empty bucket is cut out, and of the exemplars one without a time is passed over.
    let native = "h [(-1, 2), (4, 3)] Unknown from 5001 # trace_id=a 0.5 7999";
    assert_eq!(lines(&page, CLASSIC).unwrap(), classic);
    assert_eq!(lines(&page, NATIVE).unwrap(), [native]);
    assert_eq!(lines(&page, BOTH).unwrap(), [&[native][..], &classic].concat());
}

#[test]
fn a_histogram_is_native_if_it_says_so_and_has_exemplars_of_its_own() {
    let no_observations = Histogram { positive_span: vec![Span::default()], ..Histogram::default() };
    let own = Histogram { exemplars: vec![exemplar("own", 1.0, Some(1)), exemplar("no", 1.0, None)], ..both_forms() };
    let float =
        Histogram { count_float: 2.5, positive_delta: vec![], positive_count: vec![1.0, 0.0, 1.5], ..both_forms() };
    let metrics = [Histogram::default(), no_observations, own, float].map(|one| histogram(one).remove(0));
    let page = page(&[family("h", GAUGE_HISTOGRAM, metrics.to_vec())]);
    assert_eq!(
        lines(&page, NATIVE).unwrap(),
        [
            "h_count 0",
            "h_sum 0",
            r#"h_bucket{le="+Inf"} 0"#,
            "h [] Gauge",
            "h [(-1, 2), (4, 3)] Gauge from 5001 # trace_id=own 1 1999",
            &format!("h [(-1, {}), (4, {})] Gauge from 5001 # trace_id=a 0.5 7999", 1f64.to_bits(), 1.5f64.to_bits()),
        ]
    );
}

/// A page with a histogram of floats that has counted nothing yet was refused whole: its counts are zero, and it was read as one
/// of integers, which has no deltas for the buckets that its span describes.
#[test]
fn a_histogram_of_floats_is_one_though_all_its_counts_are_zero() {
    let empty = |positive_count, negative_count, positive_span, negative_span| {
        let spans = |length| vec![Span { offset: 0, length }];
        let histogram = Histogram {
            positive_count,
            negative_count,
            positive_span: spans(positive_span),
            negative_span: spans(negative_span),
            ..Histogram::default()
        };
        lines(&page(&[family("h", HISTOGRAM, self::histogram(histogram))]), NATIVE)
    };
    assert_eq!(empty(vec![0.0; 5], vec![], 5, 0).unwrap(), ["h [] Unknown"]);
    assert_eq!(empty(vec![], vec![0.0; 2], 0, 2).unwrap(), ["h [] Unknown"]);
    assert_eq!(empty(vec![], vec![], 5, 0), Err(ProtobufError::histogram("h", HistogramError::Spans)));
}

#[test]
fn an_expected_series_is_known_by_its_bytes() {
    let page = page(&[family("h", HISTOGRAM, histogram(both_forms())), family("c", COUNTER, vec![Metric::default()])]);
    let mut known: Vec<Vec<u8>> = Vec::new();
    for round in 0..2 {
        let (mut parser, mut at) = (ProtobufParser::new(&page, BOTH), 0);
        while let Some(entry) = parser.next(known.get(at).map(Vec::as_slice)).unwrap() {
            let Entry::Sample(sample) = entry else { continue };
            assert_eq!(sample.expected, round == 1);
            if round == 0 {
                known.push(sample.series.raw.to_vec());
            }
            at += 1;
        }
        assert_eq!(at, 7);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    let of = |family: MetricFamily| lines(&page(&[family]), NATIVE).unwrap_err();
    let one = || vec![Metric::default()];
    assert_eq!(of(family("", COUNTER, one())), ProtobufError::Name);
    assert_eq!(of(family("x", 6, one())), ProtobufError::metric_type("x"));
    let spans = Histogram { positive_delta: vec![1], ..both_forms() };
    assert_eq!(of(family("x", HISTOGRAM, histogram(spans))), ProtobufError::histogram("x", HistogramError::Spans));
    for (bytes, what) in [
        (&b"\x05\x0a"[..], "cut short"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "too long"),
        (b"\x02\x0c\x00", "no valid type"),
        (b"\x02\x08\x00", "another type"),
        (b"\x02\x00\x00", "no valid number"),
    ] {
        let error = lines(bytes, NATIVE).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn buckets_are_bounded() {
    let mut histogram = both_forms();
    histogram.positive_delta = vec![0; crate::limits::HISTOGRAM_BUCKETS_MAX + 1];
    let page = page(&[family("h", HISTOGRAM, vec![Metric { histogram: Some(histogram), ..Metric::default() }])]);
    assert!(matches!(lines(&page, NATIVE), Err(ProtobufError::Wire(WireError(what))) if what.contains("too many")));
}

proptest! {
    /// Bytes of any kind, and pages that were damaged.
    #[test]
    fn no_page_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at: usize, bit in 0u8..8) {
        let mut damaged = page(&[family("h", HISTOGRAM, histogram(both_forms()))]);
        let at = at % damaged.len();
        damaged[at] ^= 1 << bit;
        for page in [&bytes, &damaged] {
            for forms in [CLASSIC, NATIVE, BOTH] {
                let mut parser = ProtobufParser::new(page, forms);
                while let Ok(Some(entry)) = parser.next(None) {
                    if let Entry::Sample(sample) = entry {
                        prop_assert!(sample.series.labels().is_some());
                    }
                }
                prop_assert!(matches!(parser.next(None), Ok(None)));
            }
            let mut fields = Fields::of(page);
            while let Ok(Some(_)) = fields.next_field() {}
        }
    }
}
