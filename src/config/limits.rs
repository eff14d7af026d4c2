//! `[limits]`: what the whole process may hold.

use super::error::ConfigError;
use super::keys;
use super::reader::Table;
use crate::limits::SERIES_MAX;

/// Bounds that a device may need lower, or higher, than they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitOptions {
    /// Series that all targets together may expose.
    pub series_max: usize,
}

/// The most that `max_series` may be.
const SERIES_MAX_MOST: usize = 1 << 24;

impl Default for LimitOptions {
    fn default() -> Self {
        LimitOptions { series_max: SERIES_MAX }
    }
}

pub(super) fn read_limits(document: &Table) -> Result<LimitOptions, ConfigError> {
    let defaults = LimitOptions::default();
    let Some(table) = document.table("limits", &keys::LIMITS)? else { return Ok(defaults) };
    let series_max = table.get_or("max_series", defaults.series_max, |value| value.count(SERIES_MAX_MOST))?;
    Ok(LimitOptions { series_max })
}
