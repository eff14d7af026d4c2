//! `[buffer]`: where the ring is, and the relations between its sizes.

use super::error::ConfigError;
use super::keys;
use super::reader::{Table, Value};
use crate::buffer::BufferOptions;
use crate::ring::{Place, RingSizes, Shape};
use std::path::Path;
use std::time::Duration;

const PATH_EXAMPLE: &str = "\"/var/lib/narthex/ring\"";
const COMMIT_INTERVAL: Duration = Duration::from_secs(30);

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
    let shape = read_shape(&table, &path)?;
    let commit_interval = table.get_or("commit_interval", COMMIT_INTERVAL, Value::duration)?;
    Ok(Some(BufferOptions {
        path,
        size_bytes: shape.layout.size_bytes(),
        segment_size_bytes: u64::from(shape.layout.segment_size_bytes),
        erase_block_bytes: shape.erase_block_bytes.map(u64::from),
        program_unit_bytes: shape.program_unit_bytes,
        commit_interval,
    }))
}

/// The shape of a ring of these sizes in a file, or on the device that the path names; or the relation that does not hold.
fn read_shape(table: &Table, path: &Path) -> Result<Shape, ConfigError> {
    let size = |key| table.get(key).map(|value| value.size()).transpose();
    let sizes = RingSizes {
        size_bytes: size("size")?,
        segment_size_bytes: size("segment_size")?,
        erase_block_bytes: size("erase_block")?,
        program_unit_bytes: size("program_unit")?,
    };
    sizes.shape(&Place::of(path)).map_err(|wrong| table.error(wrong.key, wrong.problem))
}
