//! `[buffer]`: where the ring is, and the relations between its sizes.

use super::error::ConfigError;
use super::keys;
use super::reader::{Table, Value, quoted, quoted_duration};
use crate::buffer::{BufferOptions, WriteBudget};
use crate::limits::RATED_CYCLES_MAX;
use crate::ring::{Place, RingSizes, Shape};
use std::path::Path;
use std::time::Duration;

const PATH_EXAMPLE: &str = "\"/var/lib/narthex/ring\"";
const COMMIT_INTERVAL: Duration = Duration::from_secs(30);
const COMMIT_INTERVAL_MAX: Duration = Duration::from_secs(600);
const WRITE_BUDGET_EXAMPLE: &str = "\"50MiB/day\"";

/// None where nothing is written to remotely and no buffer is asked for.
pub(super) fn read_buffer(document: &Table) -> Result<Option<BufferOptions>, ConfigError> {
    let Some(table) = document.table("buffer", &keys::BUFFER)? else {
        return match document.get("remote_write") {
            None => Ok(None),
            Some(value) if value.list("")?.next().is_none() => Ok(None),
            Some(value) => Err(value.error(format_args!("needs a [buffer]; write one with path = {PATH_EXAMPLE}"))),
        };
    };
    let path = table.source.noted(table.require("path", PATH_EXAMPLE).and_then(|value| value.path(PATH_EXAMPLE)));
    let path = path.unwrap_or_default();
    let shape = table.source.noted(read_shape(&table, &path)).flatten();
    let commit_interval = table.get_or("commit_interval", COMMIT_INTERVAL, Value::duration)?;
    let (write_budget, commit_interval_max) = read_write_budget(&table, commit_interval)?;
    let rated_cycles = table.get_or("rated_cycles", None, |value| value.count(RATED_CYCLES_MAX).map(Some))?;
    let Some(shape) = shape else { return Ok(None) };
    Ok(Some(BufferOptions {
        path,
        size_bytes: shape.layout.size_bytes(),
        segment_size_bytes: u64::from(shape.layout.segment_size_bytes),
        erase_block_bytes: shape.erase_block_bytes.map(u64::from),
        program_unit_bytes: shape.program_unit_bytes,
        commit_interval,
        commit_interval_max,
        write_budget,
        rated_cycles: rated_cycles.map(|cycles| cycles as u32),
    }))
}

/// The budget, and how long it may put off a commit.
fn read_write_budget(table: &Table, commit_interval: Duration) -> Result<(Option<WriteBudget>, Duration), ConfigError> {
    let read = |value: &Value| {
        let text = value.text(WRITE_BUDGET_EXAMPLE)?;
        WriteBudget::parse(text).map(Some).map_err(|problem| value.error(format_args!("{} is {problem}", quoted(text))))
    };
    let budget = table.get_or("write_budget", None, read)?;
    let longest =
        table.get_or("commit_interval_max", COMMIT_INTERVAL_MAX.max(commit_interval), Value::nonzero_duration)?;
    if longest < commit_interval && table.is_clean() {
        let (longest, interval) = (quoted_duration(longest), quoted_duration(commit_interval));
        let problem = format!("{longest} is less than the commit_interval {interval}; write {interval} or more");
        return Err(table.error("commit_interval_max", problem));
    }
    Ok((budget, longest))
}

/// The shape of a ring of these sizes in a file, or on the device that the path names; or the relation that does not hold.
/// `None` if one of them is wrong by itself.
fn read_shape(table: &Table, path: &Path) -> Result<Option<Shape>, ConfigError> {
    let size = |key| table.get_or(key, None, |value| value.size().map(Some));
    let sizes = RingSizes {
        size_bytes: size("size")?,
        segment_size_bytes: size("segment_size")?,
        erase_block_bytes: size("erase_block")?,
        program_unit_bytes: size("program_unit")?,
    };
    match sizes.shape(&Place::of(path)) {
        Err(wrong) if table.is_clean() => Err(table.error(wrong.key, wrong.problem)),
        shape => Ok(shape.ok()),
    }
}
