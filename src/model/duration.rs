//! Durations as Prometheus writes them: `15s`, `1m30s`, `500ms`, `1h`, `2d`, `1w`, `1y`.

use std::fmt;
use std::time::Duration;

/// Units from the largest, in milliseconds; each may stand once, in this order (prometheus/common `model.ParseDuration`).
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3600 * 1000),
    ("w", 7 * 24 * 3600 * 1000),
    ("d", 24 * 3600 * 1000),
    ("h", 3600 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationError;

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a duration; write it as \"15s\", \"1m30s\" or \"500ms\"")
    }
}

impl std::error::Error for DurationError {}

pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut rest, mut total_ms, mut units) = (text, 0u64, UNITS.iter());
    if rest.is_empty() {
        return Err(DurationError);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| DurationError)?;
        let after = &rest[digits..];
        let unit_len = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (_, unit_ms) = units.find(|(unit, _)| *unit == &after[..unit_len]).ok_or(DurationError)?;
        total_ms = number.checked_mul(*unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or(DurationError)?;
        rest = &after[unit_len..];
    }
    Ok(Duration::from_millis(total_ms))
}

/// The shortest text that [`parse_duration`] reads back as the same number of milliseconds.
pub fn format_duration(duration: Duration) -> String {
    let mut rest_ms = duration.as_millis() as u64;
    if rest_ms == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (unit, unit_ms) in UNITS {
        // Prometheus shows years and weeks only where nothing smaller is left over.
        let exact_only = unit_ms > 24 * 3600 * 1000;
        if rest_ms >= unit_ms && (!exact_only || rest_ms.is_multiple_of(unit_ms)) {
            text += &format!("{}{unit}", rest_ms / unit_ms);
            rest_ms %= unit_ms;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        for (text, ms) in [
            ("15s", 15_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1h", 3_600_000),
            ("0", 0),
            ("0s", 0),
            ("1d2h", 93_600_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "15", "s", "1s1m", "1s1s", "-1s", "1.5s", "1 s", "99999999999999y", "1S", "ü"] {
            assert_eq!(parse_duration(text), Err(DurationError), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_prometheus_writes_them() {
        for text in ["15s", "1m30s", "500ms", "1h", "1d", "1w", "1y", "1d2h", "90d", "0s"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }
}
