//! How `narthex scrape` shows what a target yields: lines for people, or one JSON object a line for programs.
//!
//! Values are text in both, so that `NaN`, infinities and every digit survive; a staleness marker is `stale`. What
//! `extras_output` knows to say of a sample comes last.

use super::extras_output::{histogram_text, json_members};
use crate::model::{LabelsIter, ScrapeBatch, is_stale};
use serde_json::{Map, Value};

/// `--format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScrapeFormat {
    /// `name{label="value"} 1.5 1700000000000`
    #[default]
    Text,
    /// `{"labels":{...},"value":"1.5","timestamp_ms":1700000000000}`
    Json,
}

impl ScrapeFormat {
    /// `None` if there is no such format.
    pub fn parse(name: &str) -> Option<ScrapeFormat> {
        match name {
            "text" => Some(ScrapeFormat::Text),
            "json" => Some(ScrapeFormat::Json),
            _ => None,
        }
    }
}

/// One line for each sample, in the order of the batch.
pub fn render(batch: &ScrapeBatch, format: ScrapeFormat) -> String {
    let mut out = String::with_capacity(batch.len() * 100);
    for (index, (series, value)) in batch.series.iter().zip(&batch.values).enumerate() {
        let (value, timestamp_ms) = (value_text(*value), batch.timestamp_ms_at(index));
        match format {
            ScrapeFormat::Text => {
                write_series(&mut out, series.labels());
                let value = batch.histogram_at(index).map_or(value, |histogram| histogram_text(histogram));
                out += &format!(" {value} {timestamp_ms}");
            }
            ScrapeFormat::Json => {
                // Written by hand for the order of its members; each is JSON by itself.
                let (labels, more) = (labels_json(series.labels()), json_members(batch, index));
                out += &format!(r#"{{"labels":{labels},"value":"{value}","timestamp_ms":{timestamp_ms}{more}}}"#);
            }
        }
        out.push('\n');
    }
    out
}

pub(super) fn labels_json(labels: LabelsIter<'_>) -> Value {
    Value::from(labels.map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<String, Value>>())
}

/// The shortest text that reads back as the same number, with Prometheus's words for what is none.
pub(super) fn value_text(value: f64) -> String {
    if is_stale(value) {
        return "stale".into();
    }
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let plain = value.to_string();
    // Rust writes out 300 digits where an exponent says the same.
    if plain.len() <= 21 { plain } else { format!("{value:e}") }
}

/// As the text format has it, with names that need it in quotes.
fn write_series(out: &mut String, labels: LabelsIter<'_>) {
    let metric_name = labels.clone().find(|(name, _)| *name == "__name__").map_or("", |(_, value)| value);
    let mut parts = Vec::new();
    if is_plain(metric_name, true) {
        out.push_str(metric_name);
    } else {
        parts.push(quoted(metric_name));
    }
    for (name, value) in labels.filter(|(name, _)| *name != "__name__") {
        let name = if is_plain(name, false) { name.to_owned() } else { quoted(name) };
        parts.push(format!("{name}={}", quoted(value)));
    }
    if !parts.is_empty() {
        *out += &format!("{{{}}}", parts.join(","));
    }
}

fn is_plain(name: &str, colons: bool) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || colons && c == ':';
    name.starts_with(starts) && name.chars().all(|c| starts(c) || c.is_ascii_digit())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabelsBuilder, OwnTimestamp, STALE_NAN_BITS, Series, SeriesTable, stale_nan};
    use proptest::prelude::*;

    fn batch(samples: &[(&[(&str, &str)], f64)]) -> ScrapeBatch {
        let table = SeriesTable::new();
        let series = |labels: &[(&str, &str)]| -> Series {
            table.intern(&labels.iter().copied().collect::<LabelsBuilder>().build().unwrap())
        };
        ScrapeBatch {
            target: 0,
            timestamp_ms: 1000,
            series: samples.iter().map(|(labels, _)| series(labels)).collect(),
            values: samples.iter().map(|(_, value)| *value).collect(),
            own_timestamps: vec![OwnTimestamp { index: 1, timestamp_ms: 900 }],
            extras: None,
        }
    }

    #[test]
    fn samples_are_shown_as_lines() {
        let batch = batch(&[
            (&[("__name__", "up")], 1.0),
            (&[("__name__", "a"), ("job", "n\"o\\d\ne"), ("x.y", "é")], 0.1),
            (&[("__name__", "ä b"), ("l", "v")], stale_nan()),
        ]);
        assert_eq!(
            render(&batch, ScrapeFormat::Text),
            "up 1 1000\na{job=\"n\\\"o\\\\d\\ne\",\"x.y\"=\"é\"} 0.1 900\n{\"ä b\",l=\"v\"} stale 1000\n"
        );
        assert_eq!(
            render(&batch, ScrapeFormat::Json),
            "{\"labels\":{\"__name__\":\"up\"},\"value\":\"1\",\"timestamp_ms\":1000}\n\
             {\"labels\":{\"__name__\":\"a\",\"job\":\"n\\\"o\\\\d\\ne\",\"x.y\":\"é\"},\"value\":\"0.1\",\"timestamp_ms\":900}\n\
             {\"labels\":{\"__name__\":\"ä b\",\"l\":\"v\"},\"value\":\"stale\",\"timestamp_ms\":1000}\n"
        );
    }

    #[test]
    fn values_that_are_no_numbers_have_prometheus_words() {
        for (value, text) in [
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (f64::from_bits(0x7ff8_0000_0000_0001), "NaN"),
            (f64::from_bits(STALE_NAN_BITS), "stale"),
            (-0.0, "-0"),
            (1e21, "1e21"),
            (5e-324, "5e-324"),
            (123456789.125, "123456789.125"),
        ] {
            assert_eq!(value_text(value), text);
        }
    }

    proptest! {
        #[test]
        fn every_digit_survives(value in any::<f64>().prop_filter("a number", |value| !value.is_nan())) {
            let text = value_text(value);
            prop_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
            prop_assert!(text.len() <= 25, "{} is too long", text);
        }
    }

    #[test]
    fn formats_are_named() {
        assert_eq!(ScrapeFormat::parse("json"), Some(ScrapeFormat::Json));
        assert_eq!(ScrapeFormat::parse("text"), Some(ScrapeFormat::Text));
        assert_eq!(ScrapeFormat::parse("yaml"), None);
    }
}
