//! An exporter's pages in the delimited protobuf format: classic and native histograms, exemplars, start timestamps.

use crate::client_model::{
    Bucket, COUNTER, Counter, Exemplar, GAUGE, GAUGE_HISTOGRAM, HISTOGRAM, Histogram, LabelPair, Metric, MetricFamily,
    Quantile, SUMMARY, Span, Summary, Timestamp, Value, page,
};
use crate::values::{LABEL_NAMES, METRIC_NAMES, label_value, once_in, pick};
use fastrand::Rng;

pub const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

const UNTYPED: i32 = 3;

/// What an exporter is like: chosen once for each case.
#[derive(Clone, Debug)]
pub struct Style {
    /// Samples with times of their own.
    pub own_times: bool,
    /// Only where no page breaks: Prometheus forgets none of those that a broken page had.
    pub exemplars: bool,
    /// Native histograms that contradict themselves, now and then.
    pub invalid: bool,
    /// One in so many series changes between being there and not.
    pub churn: u32,
    pub families: usize,
}

pub struct Exporter {
    style: Style,
    families: Vec<Family>,
    base_ms: i64,
    pages: i64,
}

struct Family {
    name: String,
    kind: i32,
    series: Vec<Series>,
}

struct Series {
    label: Vec<LabelPair>,
    is_there: bool,
    has_own_times: bool,
    has_timed_exemplars: bool,
    form: Form,
    value: Content,
}

enum Content {
    Number(f64),
    Histogram(Box<Histogram>),
}

/// Which forms a histogram has.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Classic,
    Integer,
    Float,
    Both,
}

impl Exporter {
    pub fn new(rng: &mut Rng, style: Style, base_ms: i64) -> Exporter {
        let mut families: Vec<Family> = Vec::new();
        for number in 0..style.families {
            let name = format!("{}_{number}", pick(rng, METRIC_NAMES));
            let kind =
                [COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM, HISTOGRAM, HISTOGRAM, GAUGE_HISTOGRAM][rng.usize(..8)];
            let form = [Form::Classic, Form::Integer, Form::Float, Form::Both, Form::Both][rng.usize(..5)];
            let mut series: Vec<Series> = Vec::new();
            for _ in 0..1 + rng.usize(..4) {
                let label = labels(rng);
                if series.iter().all(|known| known.label != label) {
                    let value = content(rng, kind, form, &style);
                    let has_own_times = style.own_times && once_in(rng, 3);
                    let (is_there, has_timed_exemplars) = (!once_in(rng, 5), once_in(rng, 2));
                    series.push(Series { label, is_there, has_own_times, has_timed_exemplars, form, value });
                }
            }
            families.push(Family { name, kind, series });
        }
        Exporter { style, families, base_ms, pages: 0 }
    }

    pub fn next_page(&mut self, rng: &mut Rng) -> Vec<u8> {
        self.pages += 1;
        let mut found = Vec::new();
        if self.style.own_times {
            let gauge = Some(Value { value: Some(1.0) });
            let metric = vec![Metric { gauge, timestamp_ms: self.base_ms, ..Metric::default() }];
            found.push(MetricFamily { name: "gives_times".into(), kind: GAUGE, metric, ..MetricFamily::default() });
        }
        for family in &mut self.families {
            let mut metric = Vec::new();
            for series in &mut family.series {
                series.move_on(rng, family.kind, &self.style);
                if series.is_there {
                    // In a family of native histograms, Prometheus 3.15 passes over some that are not the first one's.
                    let exemplars = self.style.exemplars && (metric.is_empty() || family.kind == COUNTER);
                    let now_ms = self.base_ms + self.pages;
                    metric.push(series.metric(rng, family.kind, self.base_ms, exemplars.then_some(now_ms)));
                }
            }
            if metric.is_empty() && once_in(rng, 2) {
                continue;
            }
            let help = if once_in(rng, 3) { String::new() } else { "Some help.".into() };
            found.push(MetricFamily {
                name: family.name.clone(),
                help,
                kind: family.kind,
                metric,
                unit: String::new(),
            });
        }
        page(&found)
    }
}

fn labels(rng: &mut Rng) -> Vec<LabelPair> {
    let mut found: Vec<LabelPair> = Vec::new();
    for _ in 0..rng.usize(..4) {
        let name = pick(rng, LABEL_NAMES);
        if found.iter().all(|known| known.name != name) {
            found.push(LabelPair { name: name.into(), value: label_value(rng) });
        }
    }
    found
}

/// Usual and odd ones.
fn number(rng: &mut Rng) -> f64 {
    match rng.u32(..8) {
        0 => f64::from_bits(rng.u64(..)),
        1 => [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e-300, f64::MAX][rng.usize(..6)],
        _ => f64::from(rng.u32(..1000)) / 4.0,
    }
}

fn content(rng: &mut Rng, kind: i32, form: Form, style: &Style) -> Content {
    match kind {
        HISTOGRAM | GAUGE_HISTOGRAM => Content::Histogram(Box::new(histogram(rng, form, style))),
        _ => Content::Number(number(rng)),
    }
}

fn histogram(rng: &mut Rng, form: Form, style: &Style) -> Histogram {
    let mut made = Histogram { sum: number(rng), ..Histogram::default() };
    if form == Form::Classic || form == Form::Both {
        let (mut count, mut bound) = (0, 0.25);
        for _ in 0..rng.usize(..5) {
            count += rng.u64(..9);
            bound *= f64::from(1 + rng.u32(1..5));
            made.bucket.push(Bucket { count, bound, exemplar: None });
        }
        made.count = count + rng.u64(..3);
    }
    if form != Form::Classic {
        made.schema = rng.i32(-4..=8);
        made.zero_threshold = [0.0, 1e-128, 0.001][rng.usize(..3)];
        let spans = |rng: &mut Rng| -> Vec<Span> {
            let count = rng.usize(..4);
            (0..count).map(|n| Span { offset: rng.i32(if n == 0 { -5 } else { 0 }..6), length: rng.u32(..5) }).collect()
        };
        (made.positive_span, made.negative_span) = (spans(rng), spans(rng));
        if made.positive_span.is_empty() && made.negative_span.is_empty() {
            // What tells one without observations from a classic one.
            made.positive_span.push(Span { offset: 0, length: 0 });
        }
        fill(rng, &mut made, form == Form::Float);
        if style.invalid && once_in(rng, 12) {
            match form {
                Form::Float => made.count_float += 1.0,
                _ => made.count += 1,
            }
        }
    }
    made
}

/// Counts for each bucket of the spans.
fn fill(rng: &mut Rng, made: &mut Histogram, is_float: bool) {
    let buckets = |spans: &[Span]| spans.iter().map(|span| span.length as usize).sum::<usize>();
    let counts = |rng: &mut Rng, many: usize| (0..many).map(|_| rng.i64(0..20)).collect::<Vec<_>>();
    let (positive, negative) = (counts(rng, buckets(&made.positive_span)), counts(rng, buckets(&made.negative_span)));
    // A float histogram is told from an integer one by its count.
    let zeros = rng.i64(i64::from(is_float)..3);
    // Observations of NaN are in no bucket.
    let nowhere = if made.sum.is_nan() { rng.i64(0..2) } else { 0 };
    let all = positive.iter().chain(&negative).sum::<i64>() + zeros + nowhere;
    if is_float {
        let parts = |counts: &[i64]| counts.iter().map(|count| *count as f64 / 4.0).collect();
        (made.positive_count, made.negative_count) = (parts(&positive), parts(&negative));
        (made.count_float, made.zero_count_float) = (all as f64 / 4.0, zeros as f64 / 4.0);
    } else {
        let deltas = |counts: &[i64]| {
            let before = [0].into_iter().chain(counts.iter().copied());
            counts.iter().zip(before).map(|(count, before)| count - before).collect()
        };
        (made.positive_delta, made.negative_delta) = (deltas(&positive), deltas(&negative));
        (made.count, made.zero_count) = (all as u64, zeros as u64);
    }
}

impl Series {
    fn move_on(&mut self, rng: &mut Rng, kind: i32, style: &Style) {
        if once_in(rng, style.churn) {
            self.is_there = !self.is_there;
        }
        if !once_in(rng, 3) {
            self.value = content(rng, kind, self.form, style);
        }
    }

    /// `exemplars_ms` is the time of those that it has, if it may have any.
    fn metric(&self, rng: &mut Rng, kind: i32, base_ms: i64, exemplars_ms: Option<i64>) -> Metric {
        let mut metric = Metric { label: self.label.clone(), ..Metric::default() };
        if self.has_own_times && !once_in(rng, 6) {
            let is_native = matches!(kind, HISTOGRAM | GAUGE_HISTOGRAM) && self.form != Form::Classic;
            metric.timestamp_ms = own_time(rng, base_ms, !is_native);
        }
        let start = once_in(rng, 3).then_some(Timestamp { seconds: base_ms / 1000, nanos: 5_000_000 });
        match (&self.value, kind) {
            (Content::Number(value), COUNTER) => {
                let exemplar = exemplars_ms.and_then(|at_ms| exemplar(rng, at_ms, self.has_timed_exemplars));
                metric.counter = Some(Counter { value: *value, exemplar, start });
            }
            (Content::Number(value), SUMMARY) => {
                let quantile = |n: u32| Quantile { quantile: f64::from(n) / 4.0, value: value / f64::from(n + 1) };
                let quantile = (0..rng.u32(..5)).map(quantile).collect();
                metric.summary = Some(Summary { count: rng.u64(..99), sum: *value, quantile });
            }
            (Content::Number(value), UNTYPED) => metric.untyped = Some(Value { value: Some(*value) }),
            (Content::Number(value), _) => metric.gauge = Some(Value { value: Some(*value) }),
            (Content::Histogram(histogram), _) => {
                let mut histogram = (**histogram).clone();
                histogram.start = start;
                if let Some(at_ms) = exemplars_ms {
                    for bucket in &mut histogram.bucket {
                        bucket.exemplar = exemplar(rng, at_ms, self.has_timed_exemplars);
                    }
                    histogram.exemplars = (0..rng.usize(..3)).filter_map(|_| exemplar(rng, at_ms, true)).collect();
                }
                metric.histogram = Some(histogram);
            }
        }
        metric
    }
}

/// Most are new, some stand there again, some are older. Times are told apart by what is behind them.
fn exemplar(rng: &mut Rng, at_ms: i64, is_timed: bool) -> Option<Exemplar> {
    let at_ms = at_ms - [0, 0, 0, 1, 3][rng.usize(..5)];
    let time = Timestamp { seconds: at_ms.div_euclid(1000), nanos: at_ms.rem_euclid(1000) as i32 * 1_000_000 };
    let id = LabelPair { name: "trace_id".into(), value: rng.u32(..4).to_string() };
    let odd = LabelPair { name: "é".into(), value: label_value(rng) };
    let label = if once_in(rng, 4) { vec![id, odd] } else { vec![id] };
    (!once_in(rng, 3)).then(|| Exemplar { label, value: f64::from(rng.u32(..4)), timestamp: is_timed.then_some(time) })
}

/// As in [`crate::pages`]. What goes with a native histogram is never ahead: of a sample that is and the marker of its series,
/// Prometheus sends the marker first.
fn own_time(rng: &mut Rng, base_ms: i64, may_be_ahead: bool) -> i64 {
    match rng.u32(..12) {
        6..9 if may_be_ahead => base_ms + 300_000 + rng.i64(0..100),
        9 => base_ms + 3_600_000,
        10.. => 1 + rng.i64(0..100_000),
        _ => base_ms + rng.i64(0..900),
    }
}
