//! How [`scrape_output`](super::scrape_output) shows what a sample has besides a value.
//!
//! ```text
//! "histogram":{"schema":0,"counts":"integer","reset_hint":"unknown","count":"6","sum":"11.5","zero_threshold":"0.001","zero_count":"1",
//!   "negative":[],"positive":[[-1,"2"],[3,"3"]]}      index and count of each bucket; "custom_values":["0.5","1"] where the schema is -53
//! "exemplars":[{"labels":{"trace_id":"ab"},"value":"0.5","timestamp_ms":1700000000000}]
//! "start_timestamp_ms":1690000000000
//! ```
//!
//! Numbers are text, as values are.

use super::scrape_output::{labels_json, value_text};
use crate::model::{CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, HistogramCounts, ResetHint, ScrapeBatch};

/// Members to put behind a sample's value and time, each after a comma.
pub fn json_members(batch: &ScrapeBatch, index: usize) -> String {
    let Some(extras) = &batch.extras else { return String::new() };
    let mut members = String::new();
    if let Some(histogram) = extras.histogram_at(index) {
        members += &format!(",\"histogram\":{}", histogram_json(histogram));
    }
    let exemplars: Vec<String> = extras.exemplars_at(index).map(|exemplar| exemplar_json(exemplar)).collect();
    if !exemplars.is_empty() {
        members += &format!(",\"exemplars\":[{}]", exemplars.join(","));
    }
    if let Some(start_ms) = extras.start_timestamp_ms_at(index) {
        members += &format!(",\"start_timestamp_ms\":{start_ms}");
    }
    members
}

/// In place of a value: `{count:6, sum:11.5, schema:0, zero:1, positive:[-1:2 3:3]}`.
pub fn histogram_text(histogram: &Histogram) -> String {
    let (_, count, zero_count) = counts(histogram);
    let (sum, schema) = (value_text(histogram.sum), histogram.schema);
    let mut text = format!("{{count:{count}, sum:{sum}, schema:{schema}, zero:{zero_count}");
    for (name, negative) in [("negative", true), ("positive", false)] {
        let buckets: Vec<String> = buckets(histogram, negative).map(|(at, count)| format!("{at}:{count}")).collect();
        if !buckets.is_empty() {
            text += &format!(", {name}:[{}]", buckets.join(" "));
        }
    }
    text + "}"
}

fn histogram_json(histogram: &Histogram) -> String {
    let (kind, count, zero_count) = counts(histogram);
    let hint = match histogram.reset_hint {
        ResetHint::Unknown => "unknown",
        ResetHint::Reset => "reset",
        ResetHint::NotReset => "not_reset",
        ResetHint::Gauge => "gauge",
    };
    let side = |negative| {
        let buckets: Vec<String> =
            buckets(histogram, negative).map(|(at, count)| format!("[{at},\"{count}\"]")).collect();
        buckets.join(",")
    };
    let custom = match histogram.schema {
        CUSTOM_BUCKETS_SCHEMA => {
            let bounds = histogram.custom_values.iter().map(|bound| format!("\"{}\"", value_text(*bound)));
            format!(",\"custom_values\":[{}]", bounds.collect::<Vec<_>>().join(","))
        }
        _ => String::new(),
    };
    format!(
        "{{\"schema\":{},\"counts\":\"{kind}\",\"reset_hint\":\"{hint}\",\"count\":\"{count}\",\"sum\":\"{}\",\
         \"zero_threshold\":\"{}\",\"zero_count\":\"{zero_count}\",\"negative\":[{}],\"positive\":[{}]{custom}}}",
        histogram.schema,
        value_text(histogram.sum),
        value_text(histogram.zero_threshold),
        side(true),
        side(false)
    )
}

/// Kind of the counts, count of observations, count of the zero bucket.
fn counts(histogram: &Histogram) -> (&'static str, String, String) {
    match &histogram.counts {
        HistogramCounts::Integer(counts) => ("integer", counts.count.to_string(), counts.zero_count.to_string()),
        HistogramCounts::Float(counts) => ("float", value_text(counts.count), value_text(counts.zero_count)),
    }
}

fn buckets(histogram: &Histogram, negative: bool) -> impl Iterator<Item = (i64, String)> {
    let is_float = histogram.is_float();
    let text = move |count: u64| if is_float { value_text(f64::from_bits(count)) } else { (count as i64).to_string() };
    histogram.bucket_counts(negative).map(move |(index, count)| (index, text(count)))
}

fn exemplar_json(exemplar: &Exemplar) -> String {
    let (labels, value) = (labels_json(exemplar.labels.iter()), value_text(exemplar.value));
    format!("{{\"labels\":{labels},\"value\":\"{value}\",\"timestamp_ms\":{}}}", exemplar.timestamp_ms)
}

#[cfg(test)]
mod tests {
    use crate::cli::scrape_output::{ScrapeFormat, render};
    use crate::model::{
        Counts, Exemplar, Extras, Histogram, HistogramCounts, LabelsBuilder, ResetHint, ScrapeBatch, SeriesTable, Span,
    };
    use std::rc::Rc;

    #[test]
    fn a_histogram_is_shown_with_its_buckets_exemplars_and_start() {
        let counts = Counts { count: 6, zero_count: 1, positive: [2, 1].into(), negative: [].into() };
        let histogram = Histogram {
            reset_hint: ResetHint::Unknown,
            schema: 0,
            zero_threshold: 0.001,
            sum: 11.5,
            counts: HistogramCounts::Integer(counts),
            positive_spans: [Span { offset: -1, length: 1 }, Span { offset: 3, length: 1 }].into(),
            negative_spans: [].into(),
            custom_values: [].into(),
        };
        let labels = |name, value| LabelsBuilder::from_iter([(name, value)]).build().unwrap();
        let exemplar = Exemplar { labels: labels("trace_id", "ab"), value: 0.5, timestamp_ms: 999 };
        let extras = Extras {
            histograms: vec![(0, Rc::new(histogram))],
            exemplars: vec![(0, Rc::new(exemplar))],
            start_timestamps: [(0, 7)][..].into(),
        };
        let batch = ScrapeBatch {
            target: 0,
            timestamp_ms: 1000,
            series: [SeriesTable::new().intern(&labels("__name__", "latency"))].into(),
            values: vec![11.5],
            own_timestamps: vec![],
            extras: Some(Box::new(extras)),
        };
        assert_eq!(
            render(&batch, ScrapeFormat::Text),
            "latency {count:6, sum:11.5, schema:0, zero:1, positive:[-1:2 3:3]} 1000\n"
        );
        assert_eq!(
            render(&batch, ScrapeFormat::Json),
            "{\"labels\":{\"__name__\":\"latency\"},\"value\":\"11.5\",\"timestamp_ms\":1000,\"histogram\":{\"schema\":0,\
             \"counts\":\"integer\",\"reset_hint\":\"unknown\",\"count\":\"6\",\"sum\":\"11.5\",\"zero_threshold\":\"0.001\",\
             \"zero_count\":\"1\",\"negative\":[],\"positive\":[[-1,\"2\"],[3,\"3\"]]},\"exemplars\":[{\"labels\":\
             {\"trace_id\":\"ab\"},\"value\":\"0.5\",\"timestamp_ms\":999}],\"start_timestamp_ms\":7}\n"
        );
    }
}
