//! Times and durations as people read them.

use std::time::{Duration, UNIX_EPOCH};

/// 9999-12-31, after which RFC 3339 has no dates.
const LAST_MS: i64 = 253_402_214_400_000;

/// RFC 3339, or the number itself where there is no such date.
pub fn text(timestamp_ms: i64) -> String {
    match u64::try_from(timestamp_ms) {
        Ok(ms) if timestamp_ms < LAST_MS => {
            humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
        }
        _ => format!("{timestamp_ms} ms"),
    }
}

/// Whole seconds; less than none counts as none.
pub fn duration(span_ms: i64) -> String {
    humantime::format_duration(Duration::from_secs(span_ms.max(0) as u64 / 1000)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_no_calendar_has_are_shown_as_numbers() {
        assert_eq!(text(1_763_722_000_999), "2025-11-21T10:46:40Z");
        assert_eq!([-1, i64::MAX].map(text), ["-1 ms", "9223372036854775807 ms"]);
        assert_eq!([duration(-5), duration(90_000)], ["0s", "1m 30s"]);
    }
}
