//! What pages with histograms, exemplars and start timestamps make of a batch.

use super::client_model::{COUNTER, Counter, HISTOGRAM, Metric, Timestamp, both_forms, exemplar, family, labels, page};
use super::{Cycle, CycleResult, Format, PageError, ScrapeOptions};
use crate::model::{Extras, LabelsBuilder, NativeHistogramOptions, PageOptions, Scheme, SeriesTable, Target, is_stale};
use std::rc::Rc;
use std::time::Duration;

fn cycle(native_histograms: NativeHistogramOptions) -> Cycle {
    let labels = [("job", "node")].into_iter().collect::<LabelsBuilder>().build().unwrap();
    let target = Target {
        scheme: Scheme::Http,
        address: "h:1".into(),
        metrics_path: "/metrics".into(),
        params: Default::default(),
        labels,
        interval: Duration::from_secs(15),
        timeout: Duration::from_secs(10),
        socket: None,
        durations_as_written: None,
    };
    let page = Rc::new(PageOptions { native_histograms, ..PageOptions::default() });
    let options = ScrapeOptions { page, rules: Rc::default() };
    Cycle::new(0, Rc::new(target), options, Rc::new(SeriesTable::new()), Rc::default()).unwrap()
}

fn complete(cycle: &mut Cycle, page: &[u8], timestamp_ms: i64) -> CycleResult {
    cycle.complete(Some((page, Format::Protobuf)), timestamp_ms, Duration::from_millis(1))
}

const NATIVE: NativeHistogramOptions =
    NativeHistogramOptions { scraped: true, classic_too: false, bucket_limit: 0, min_bucket_factor: 0.0 };

fn histogram_page() -> Vec<u8> {
    let counter = Counter {
        value: 3.0,
        exemplar: Some(exemplar("c", 1.0, None)),
        start: Some(Timestamp { seconds: 4, nanos: 0 }),
    };
    let counter = Metric { counter: Some(counter), ..Metric::default() };
    let histogram = Metric { histogram: Some(both_forms()), ..Metric::default() };
    page(&[family("c_total", COUNTER, vec![counter]), family("h", HISTOGRAM, vec![histogram])])
}

fn extras(result: &CycleResult) -> &Extras {
    result.batch.extras.as_ref().unwrap()
}

#[test]
fn a_histogram_is_a_sample_whose_value_is_its_sum() {
    let mut cycle = cycle(NATIVE);
    let result = complete(&mut cycle, &histogram_page(), 100_000);
    let batch = &result.batch;
    assert_eq!((batch.len(), batch.values[2], batch.values[5], batch.values[6]), (7, 2.0, 3.0, 11.5));
    assert_eq!(batch.histogram_at(6).unwrap().buckets(), 2);
    assert_eq!(extras(&result).start_timestamps.as_slice(), [(5, 4000), (6, 5001)]);
    let times: Vec<_> = extras(&result).exemplars.iter().map(|(at, exemplar)| (*at, exemplar.timestamp_ms)).collect();
    assert_eq!(times, [(5, 100_000), (6, 7999)], "one without a time has that of its sample");
    let gone = complete(&mut cycle, b"", 115_000);
    assert!(gone.batch.values[5..].iter().all(|value| is_stale(*value)) && gone.batch.extras.is_none());
}

#[test]
fn an_exemplar_that_was_there_before_is_not_taken_again() {
    let mut cycle = cycle(NATIVE);
    let first = complete(&mut cycle, &histogram_page(), 100_000);
    let second = complete(&mut cycle, &histogram_page(), 115_000);
    assert_eq!((extras(&first).exemplars.len(), extras(&second).exemplars.len()), (2, 0));
    let newer = super::client_model::Histogram {
        exemplars: vec![exemplar("old", 1.0, Some(3)), exemplar("new", 1.0, Some(9))],
        ..both_forms()
    };
    let newer = page(&[family("h", HISTOGRAM, vec![Metric { histogram: Some(newer), ..Metric::default() }])]);
    let third = complete(&mut cycle, &newer, 130_000);
    let labels = extras(&third).exemplars[0].1.labels.to_string();
    assert_eq!((extras(&third).exemplars.len(), labels.as_str()), (1, r#"{trace_id="new"}"#), "nor one that is older");
    let starts = [&first, &second].map(|result| extras(result).start_timestamps.as_slice().as_ptr());
    assert_eq!(starts[0], starts[1], "and start timestamps are shared");
}

#[test]
fn resolution_is_reduced_to_what_is_wanted_or_the_scrape_fails() {
    let schema = |options| {
        let result = complete(&mut cycle(options), &histogram_page(), 100_000);
        result.error.map_or_else(|| Ok(result.batch.histogram_at(6).unwrap().schema), Err)
    };
    assert_eq!(schema(NATIVE), Ok(1));
    assert_eq!(schema(NativeHistogramOptions { min_bucket_factor: 2.0, ..NATIVE }), Ok(0));
    assert_eq!(schema(NativeHistogramOptions { bucket_limit: 1, ..NATIVE }), Err(PageError::BucketLimit(1)));
}

/// As in Prometheus: the page fails, but it is read to its end, and what is added before counts. The scrape used to end there.
#[test]
fn past_the_bucket_limit_a_page_is_counted_to_its_end() {
    let metrics = |count| {
        (0..count).map(|n: u32| Metric {
            label: labels(&[("n", &n.to_string())]),
            counter: Some(Counter { value: 1.0, ..Counter::default() }),
            ..Metric::default()
        })
    };
    let histogram = Metric { histogram: Some(both_forms()), ..Metric::default() };
    let page = page(&[
        family("a_total", COUNTER, metrics(2).collect()),
        family("h", HISTOGRAM, vec![histogram]),
        family("b_total", COUNTER, metrics(3).collect()),
    ]);
    let mut cycle = cycle(NativeHistogramOptions { bucket_limit: 1, ..NATIVE });
    for added in [2.0, 0.0] {
        let result = complete(&mut cycle, &page, 100_000);
        assert_eq!(result.error, Some(PageError::BucketLimit(1)));
        let values = &result.batch.values;
        assert_eq!((values[0], &values[2..5]), (0.0, &[6.0, 6.0, added][..]), "what it scraped, kept, added");
    }
}

/// A sample that is not taken has no exemplars, as in the appender that Prometheus 3.15 uses.
#[test]
fn exemplars_go_with_samples_that_are_taken() {
    let metric = |value, exemplar_value, timestamp_ms| Metric {
        counter: Some(Counter { value, exemplar: Some(exemplar("x", exemplar_value, Some(1))), start: None }),
        timestamp_ms,
        ..Metric::default()
    };
    let twice = page(&[family("a_total", COUNTER, vec![metric(1.0, 1.0, 0), metric(2.0, 2.0, 0)])]);
    let ahead = page(&[family("b_total", COUNTER, vec![metric(1.0, 1.0, 10_000_000)])]);
    let exemplars = |page: &[u8]| {
        let result = complete(&mut cycle(NATIVE), page, 100_000);
        result.batch.extras.map_or(vec![], |extras| extras.exemplars.iter().map(|(_, it)| it.value).collect())
    };
    assert_eq!((exemplars(&twice), exemplars(&ahead)), (vec![1.0], vec![]));
}

#[test]
fn a_histogram_that_prometheus_refuses_fails_the_scrape() {
    let histogram = super::client_model::Histogram { count: 7, ..both_forms() };
    let page = page(&[family("h", HISTOGRAM, vec![Metric { histogram: Some(histogram), ..Metric::default() }])]);
    let result = complete(&mut cycle(NATIVE), &page, 100_000);
    let error = result.error.unwrap().to_string();
    assert!(error.contains("its count is not that of its buckets") && error.contains("\"h\""), "{error}");
    assert_eq!(result.batch.values[2], 1.0, "it counts as scraped");
}

/// The differential test's: the series of a histogram that was refused was known when it came again, and not counted as added.
#[test]
fn a_series_whose_first_histogram_is_refused_stays_new() {
    let page_of = |count| {
        let histogram = super::client_model::Histogram { count, ..both_forms() };
        page(&[family("h", HISTOGRAM, vec![Metric { histogram: Some(histogram), ..Metric::default() }])])
    };
    let mut cycle = cycle(NATIVE);
    assert!(complete(&mut cycle, &page_of(7), 100_000).error.is_some());
    assert_eq!(complete(&mut cycle, &page_of(6), 115_000).batch.values[4], 1.0);
}

/// Told by the differential test: two exemplars of one time and value were sent in the page's order.
#[test]
fn exemplars_of_one_time_are_in_the_order_of_values_and_labels() {
    let exemplars = vec![exemplar("b", 1.0, Some(9)), exemplar("c", 0.5, Some(9)), exemplar("a", 1.0, Some(9))];
    let histogram = super::client_model::Histogram { exemplars, ..both_forms() };
    let page = page(&[family("h", HISTOGRAM, vec![Metric { histogram: Some(histogram), ..Metric::default() }])]);
    let result = complete(&mut cycle(NATIVE), &page, 100_000);
    let ids: Vec<_> = extras(&result).exemplars.iter().map(|(_, it)| it.labels.get("trace_id").unwrap()).collect();
    assert_eq!(ids, ["c", "a", "b"]);
}
