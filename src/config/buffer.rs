//! `[buffer]`: where the ring is, and the relations between its sizes.

use super::error::ConfigError;
use super::keys;
use super::reader::{Table, Value, quoted, quoted_duration};
use crate::buffer::{BufferOptions, WriteBudget};
use crate::limits::{
    RATED_CYCLES_MAX, RING_BYTES_MAX, RING_BYTES_MIN, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENTS_MAX, SEGMENTS_MIN,
};
use crate::model::format_size;
use std::time::Duration;

const PATH_EXAMPLE: &str = "\"/var/lib/narthex/ring\"";
const SIZE_BYTES: u64 = 64 * 1024 * 1024;
const COMMIT_INTERVAL: Duration = Duration::from_secs(30);
const COMMIT_INTERVAL_MAX: Duration = Duration::from_secs(600);
const WRITE_BUDGET_EXAMPLE: &str = "\"50MiB/day\"";

/// Segments that a default segment size aims at, and the sizes it keeps to.
const SEGMENTS_AIM: u64 = 64;
const SEGMENT_BYTES_LEAST: u64 = 16 * 1024;
const SEGMENT_BYTES_MOST: u64 = 4 * 1024 * 1024;

/// Segments are whole flash pages and filesystem blocks of this size.
const SEGMENT_GRANULE_BYTES: u64 = 4 * 1024;

/// None where nothing is written to remotely and no buffer is asked for.
pub(super) fn read_buffer(document: &Table) -> Result<Option<BufferOptions>, ConfigError> {
    let Some(table) = document.table("buffer", &keys::BUFFER)? else {
        return match document.get("remote_write") {
            None => Ok(None),
            Some(value) if value.list("")?.next().is_none() => Ok(None),
            Some(value) => Err(value.error(format_args!("needs a [buffer]; write one with path = {PATH_EXAMPLE}"))),
        };
    };
    let path = table.require("path", PATH_EXAMPLE)?.path(PATH_EXAMPLE)?;
    let (size_bytes, segment_size_bytes) = read_geometry(&table)?;
    let commit_interval = table.get_or("commit_interval", COMMIT_INTERVAL, Value::duration)?;
    let (write_budget, commit_interval_max) = read_write_budget(&table, commit_interval)?;
    let erase_block_bytes = table.get("erase_block").map(|value| value.size()).transpose()?;
    let rated_cycles = table.get("rated_cycles").map(|value| value.count(RATED_CYCLES_MAX)).transpose()?;
    Ok(Some(BufferOptions {
        path,
        size_bytes,
        segment_size_bytes,
        commit_interval,
        commit_interval_max,
        write_budget,
        erase_block_bytes,
        rated_cycles: rated_cycles.map(|cycles| cycles as u32),
    }))
}

/// The budget, and how long it may put off a commit.
fn read_write_budget(table: &Table, commit_interval: Duration) -> Result<(Option<WriteBudget>, Duration), ConfigError> {
    let read = |value: Value| {
        let text = value.text(WRITE_BUDGET_EXAMPLE)?;
        WriteBudget::parse(text).map_err(|problem| value.error(format_args!("{} is {problem}", quoted(text))))
    };
    let budget = table.get("write_budget").map(read).transpose()?;
    let longest =
        table.get_or("commit_interval_max", COMMIT_INTERVAL_MAX.max(commit_interval), Value::nonzero_duration)?;
    if longest < commit_interval {
        let (longest, interval) = (quoted_duration(longest), quoted_duration(commit_interval));
        let problem = format!("{longest} is less than the commit_interval {interval}; write {interval} or more");
        return Err(table.error("commit_interval_max", problem));
    }
    Ok((budget, longest))
}

/// The sizes of ring and segment, or the relation between them that does not hold.
fn read_geometry(table: &Table) -> Result<(u64, u64), ConfigError> {
    let show = |bytes| quoted(&format_size(bytes));
    let size = table.get_or("size", SIZE_BYTES, Value::size)?;
    if !(RING_BYTES_MIN..=RING_BYTES_MAX).contains(&size) {
        let (least, most) = (show(RING_BYTES_MIN), show(RING_BYTES_MAX));
        return Err(table.error("size", format_args!("{} is out of range; write {least} to {most}", show(size))));
    }
    let segment = table.get_or("segment_size", default_segment_bytes(size), Value::size)?;
    let wrong_segment = |problem: String| Err(table.error("segment_size", format!("{} {problem}", show(segment))));
    if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment) {
        let (least, most) = (show(SEGMENT_BYTES_MIN), show(SEGMENT_BYTES_MAX));
        return wrong_segment(format!("is out of range; write {least} to {most}"));
    }
    if !segment.is_multiple_of(SEGMENT_GRANULE_BYTES) {
        let whole = show(segment / SEGMENT_GRANULE_BYTES * SEGMENT_GRANULE_BYTES);
        return wrong_segment(format!("is not a multiple of {}; write {whole}", show(SEGMENT_GRANULE_BYTES)));
    }
    let segments = size / segment;
    if segments < SEGMENTS_MIN {
        let most = show(size / SEGMENTS_MIN / SEGMENT_GRANULE_BYTES * SEGMENT_GRANULE_BYTES);
        return wrong_segment(format!(
            "leaves {} fewer than {SEGMENTS_MIN} segments; write at most {most}",
            show(size)
        ));
    }
    if segments > SEGMENTS_MAX {
        let least = show(size.div_ceil(SEGMENTS_MAX).next_multiple_of(SEGMENT_GRANULE_BYTES));
        return wrong_segment(format!(
            "makes {} more than {SEGMENTS_MAX} segments; write at least {least}",
            show(size)
        ));
    }
    if !size.is_multiple_of(segment) {
        let (size, segment, whole) = (show(size), show(segment), show(segments * segment));
        let problem = format!("{size} is not a multiple of the segment_size {segment}; write {whole}");
        return Err(table.error("size", problem));
    }
    Ok((size, segment))
}

/// The power of two at or below a 64th of the ring, within bounds, and more where segments would be too many.
fn default_segment_bytes(size: u64) -> u64 {
    let power = 1 << (size / SEGMENTS_AIM).max(1).ilog2();
    let few_enough = size.div_ceil(SEGMENTS_MAX).next_power_of_two();
    u64::clamp(power, SEGMENT_BYTES_LEAST, SEGMENT_BYTES_MOST).max(few_enough)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_segment_suits_the_ring() {
        for (size, segment) in [
            (RING_BYTES_MIN, 16 << 10),
            (1 << 20, 16 << 10),
            (4 << 20, 64 << 10),
            (64 << 20, 1 << 20),
            (100 << 20, 1 << 20),
            (1 << 30, 4 << 20),
            (16 << 30, 4 << 20),
            (RING_BYTES_MAX, 16 << 20),
        ] {
            assert_eq!(default_segment_bytes(size), segment, "{size}");
            assert!((SEGMENTS_MIN..=SEGMENTS_MAX).contains(&(size / segment)), "{size}");
        }
    }
}
