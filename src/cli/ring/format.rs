//! `narthex ring format`: an empty ring, unless something of worth would be lost by it.

use super::error::ToolError;
use crate::model::{format_size, parse_size};
use crate::ring::{Formatter, Place, RingError, RingSizes, Shape, ShapeError, View, format_device, is_block_device};
use std::io::Write;
use std::path::Path;

/// Refuses what is neither blank nor a ring, and a ring that holds samples which some endpoint lacks, unless it is forced.
/// A ring that an agent holds open is refused in any case.
pub fn format(
    file: &Path,
    size: &str,
    segment_size: Option<&str>,
    is_forced: bool,
    out: &mut impl Write,
) -> Result<(), ToolError> {
    let shape = shape(file, size, segment_size)?;
    if file.exists() && !is_forced {
        refuse_loss(file)?;
    }
    let failed = |cause| ToolError::Open { file: file.to_path_buf(), cause };
    if is_block_device(file) {
        format_device(file, shape.layout).map_err(failed)?;
    } else {
        let formatter = Formatter::open(file, shape).map_err(failed)?;
        // Once more, now that no agent can write to it.
        if !formatter.is_new() && !is_forced {
            refuse_loss(file)?;
        }
        formatter.make_blank()?;
    }
    let layout = shape.layout;
    writeln!(
        out,
        "{} is an empty ring of {} in {} segments of {}",
        file.display(),
        format_size(layout.size_bytes()),
        layout.segment_count,
        format_size(u64::from(layout.segment_size_bytes))
    )?;
    Ok(())
}

fn refuse_loss(file: &Path) -> Result<(), ToolError> {
    let holds = |what: String| Err(ToolError::Holds { file: file.to_path_buf(), what });
    let view = match View::open(file) {
        Ok(Some(view)) => view,
        Ok(None) => return Ok(()),
        Err(RingError::Foreign { found }) => return holds(format!("is not a ring ({found})")),
        Err(RingError::OtherFormat { version, .. }) => {
            return holds(format!("is a ring of format {version}"));
        }
        Err(cause) => return Err(ToolError::Open { file: file.to_path_buf(), cause }),
    };
    let acknowledged = view.ring.acks().iter().map(|ack| ack.next_record).min().unwrap_or(0);
    let lacking: u64 = view
        .ring
        .segments()
        .filter(|segment| view.ring.end_of(*segment) > acknowledged)
        .map(|segment| view.ring.samples_in(segment))
        .sum();
    match lacking {
        0 => Ok(()),
        _ => holds(format!("is a ring with up to {lacking} samples that not every endpoint has acknowledged")),
    }
}

/// Held to the relations that the same sizes in a configuration are held to, with the same defaults.
fn shape(file: &Path, size: &str, segment_size: Option<&str>) -> Result<Shape, ToolError> {
    let bytes = |option: &str, text: &str| {
        parse_size(text).map_err(|error| ToolError::Sizes(format!("{option} {text:?}: {error}")))
    };
    let sizes = RingSizes {
        size_bytes: Some(bytes("--size", size)?),
        segment_size_bytes: segment_size.map(|text| bytes("--segment-size", text)).transpose()?,
        ..RingSizes::default()
    };
    sizes.shape(&Place::of(file)).map_err(|ShapeError { key, problem }| {
        ToolError::Sizes(format!("{}: {problem}", if key == "segment_size" { "--segment-size" } else { "--size" }))
    })
}
