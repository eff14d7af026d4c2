//! Times and durations as people read them.

pub use crate::model::time_text as text;
use std::time::Duration;

/// Whole seconds; less than none counts as none.
pub fn duration(span_ms: i64) -> String {
    humantime::format_duration(Duration::from_secs(span_ms.max(0) as u64 / 1000)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_whole_seconds() {
        assert_eq!([duration(-5), duration(90_000)], ["0s", "1m 30s"]);
    }
}
