//! Since when an OpenMetrics series counts: what its `_created` line says, which comes behind it.
//!
//! ```text
//!  a_count{b="c"} 7          ─┐ looks ahead for a_created{b="c"}; `le` and `quantile` don't matter
//!  a_sum{b="c"} 1.5           │ known already
//!  a_created{b="c"} 1500.25  ◄┘ → 1500250 ms
//! ```
//!
//! Follows `StartTimestamp` of Prometheus's parser, which asks for the lines in this order, and gives up where another
//! series' `_created` line or another metric begins. Pure; refuses to know what the time is used for.

use super::entry::Entry;
use super::openmetrics::OpenMetricsParser;
use super::series_text::{Braces, MetricType, Part, SeriesText};
use crate::limits::START_TIMESTAMP_LINES_MAX;

const CREATED_SUFFIX: &[u8] = b"_created";

/// What was found for the last series.
#[derive(Default)]
pub struct StartTimestamps {
    /// Of the name in the last `#` line.
    pub family_name_len: usize,
    found: Option<(Vec<u8>, i64)>,
}

impl StartTimestamps {
    /// In milliseconds. `ahead` reads on behind the series.
    pub fn find(&mut self, series: &SeriesText<'_>, mut ahead: OpenMetricsParser<'_>) -> Option<i64> {
        if !has_created_lines(series.metric_type) {
            self.found = None;
            return None;
        }
        let identity = identity(series, self.family_name(series.raw)?);
        if let Some((of, start_ms)) = self.found.take().filter(|(of, start_ms)| *of == identity && *start_ms > 0) {
            self.found = Some((of, start_ms));
            return Some(start_ms);
        }
        for _ in 0..START_TIMESTAMP_LINES_MAX {
            let Ok(Some(Entry::Sample(next))) = ahead.next(None) else { return None };
            let Some(name) = metric_name(next.series.raw).1.strip_suffix(CREATED_SUFFIX) else { continue };
            if self::identity(&next.series, name) != identity || !next.value.is_finite() {
                return None;
            }
            let start_ms = (next.value * 1000.0) as i64;
            self.found = Some((identity, start_ms));
            return Some(start_ms).filter(|start_ms| *start_ms != 0);
        }
        None
    }

    /// As many bytes from the name on as the family's name has.
    fn family_name<'p>(&self, raw: &'p [u8]) -> Option<&'p [u8]> {
        let (start, _) = metric_name(raw);
        let end = self.family_name_len + if raw.starts_with(b"{\"") { 2 } else { 0 };
        raw.get(start..end)
    }
}

/// A line that tells the start of others, and is no series of its own where start timestamps are wanted.
pub fn is_created_line(series: &SeriesText<'_>) -> bool {
    has_created_lines(series.metric_type) && metric_name(series.raw).1.ends_with(CREATED_SUFFIX)
}

fn has_created_lines(metric_type: MetricType) -> bool {
    matches!(metric_type, MetricType::Counter | MetricType::Summary | MetricType::Histogram)
}

/// Where the metric's name starts, and the name, escapes and all.
fn metric_name(raw: &[u8]) -> (usize, &[u8]) {
    if raw.first() != Some(&b'{') {
        return (0, &raw[..raw.iter().position(|byte| *byte == b'{').unwrap_or(raw.len())]);
    }
    let mut braces = Braces::after_open(raw, 1);
    while let Ok(part) = braces.next_part() {
        match part {
            Part::MetricName(name) => return (name.as_ptr().addr() - raw.as_ptr().addr(), name),
            Part::Label { .. } => {}
            Part::End => break,
        }
    }
    (0, &[])
}

/// The labels that matter, one behind the other, and the name.
fn identity(series: &SeriesText<'_>, name: &[u8]) -> Vec<u8> {
    let brace = series.raw.iter().position(|byte| *byte == b'{').unwrap_or(series.raw.len());
    let mut braces = Braces::after_open(series.raw, brace + 1);
    let mut identity = Vec::with_capacity(series.raw.len());
    while let Ok(part) = braces.next_part() {
        match part {
            Part::Label { name: b"le", .. } if series.metric_type == MetricType::Histogram => {}
            Part::Label { name: b"quantile", .. } if series.metric_type == MetricType::Summary => {}
            Part::Label { name, value } => {
                identity.extend_from_slice(name);
                identity.extend_from_slice(value);
            }
            Part::MetricName(_) => {}
            Part::End => break,
        }
    }
    identity.extend_from_slice(name);
    identity
}
