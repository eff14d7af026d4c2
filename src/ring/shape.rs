//! The shape of a ring: what the configuration asks for, what the place gives, and the relations between the two.

use super::medium::Geometry;
use super::recovery::Layout;
use crate::limits::{
    PROGRAM_UNIT_BYTES, PROGRAM_UNIT_BYTES_MAX, RING_BYTES_MAX, RING_BYTES_MIN, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
    SEGMENT_UNITS_MIN, SEGMENTS_MAX, SEGMENTS_MIN,
};
use crate::model::format_size;
use std::fmt;
use std::path::Path;

/// Size of a ring in a file, unless it is given.
const FILE_RING_BYTES: u64 = 64 * 1024 * 1024;

/// Segments that a default segment size aims at, and the sizes it keeps to.
const SEGMENTS_AIM: u64 = 64;
const SEGMENT_BYTES_LEAST: u64 = 16 * 1024;
/// Opening reads the newest segment, so it is not to be large.
const SEGMENT_BYTES_MOST: u64 = 2 * 1024 * 1024;

/// Segments are whole flash pages and filesystem blocks of this size.
const SEGMENT_GRANULE_BYTES: u64 = 4 * 1024;

/// What `[buffer]` says of sizes. What it leaves out follows from the others and from the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RingSizes {
    /// `None`: 64 MiB in a file, all of a device.
    pub size_bytes: Option<u64>,
    /// `None`: about a 64th of the ring, in whole erase blocks.
    pub segment_size_bytes: Option<u64>,
    /// `None`: the device's own, as long as enough of them fit.
    pub erase_block_bytes: Option<u64>,
    /// `None`: the device's own.
    pub program_unit_bytes: Option<u64>,
}

/// What is known of where a ring is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes there are. `None` for a file: as many as are asked for.
    pub size_bytes: Option<u64>,
    /// Nothing smaller can be written without touching what is beside it.
    pub program_unit_bytes: u32,
    /// What is erased together, where that is known.
    pub erase_block_bytes: Option<u64>,
    /// Where on its disk a partition begins.
    pub start_bytes: u64,
}

impl Place {
    /// A file, of whose flash nothing is known.
    pub const FILE: Place = Place {
        size_bytes: None,
        program_unit_bytes: PROGRAM_UNIT_BYTES as u32,
        erase_block_bytes: None,
        start_bytes: 0,
    };
}

/// Sizes between which every relation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub layout: Layout,
    pub program_unit_bytes: u32,
    /// Where it was given, or the device tells it.
    pub erase_block_bytes: Option<u32>,
}

impl Shape {
    pub(super) fn geometry(&self) -> Geometry {
        Geometry {
            size_bytes: self.layout.size_bytes(),
            program_unit_bytes: self.program_unit_bytes,
            erase_block_bytes: self.erase_block_bytes.unwrap_or(self.program_unit_bytes),
        }
    }

    /// Whether a ring of one shape is one of the other as it is: what the headers record is the same.
    pub fn is_written_as(&self, other: &Shape) -> bool {
        (self.layout, self.program_unit_bytes) == (other.layout, other.program_unit_bytes)
    }
}

impl From<Layout> for Shape {
    /// On a file, of whose flash nothing is known.
    fn from(layout: Layout) -> Shape {
        let unit = PROGRAM_UNIT_BYTES as u32;
        Shape { layout, program_unit_bytes: unit, erase_block_bytes: None }
    }
}

/// The relation that does not hold, at the key of `[buffer]` to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    pub key: &'static str,
    /// What is wrong, and what to write instead.
    pub problem: String,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "buffer.{}: {}", self.key, self.problem)
    }
}

impl std::error::Error for ShapeError {}

impl RingSizes {
    /// The shape of a ring of these sizes at this place, or the relation that does not hold.
    pub fn shape(&self, place: &Place) -> Result<Shape, ShapeError> {
        let unit = self.program_unit(place)?;
        let size = self.size(place)?;
        let erase_block = self.erase_block(size, unit, place)?;
        let granule = erase_block.unwrap_or(SEGMENT_GRANULE_BYTES);
        let segment = self.segment_size_bytes.unwrap_or_else(|| default_segment(size, granule, unit));
        check_segment(segment, granule, unit)?;
        let segments = self.segments(size, segment)?;
        let layout = Layout { segment_size_bytes: segment as u32, segment_count: segments as u32 };
        Ok(Shape { layout, program_unit_bytes: unit as u32, erase_block_bytes: erase_block.map(|block| block as u32) })
    }

    fn program_unit(&self, place: &Place) -> Result<u64, ShapeError> {
        let least = u64::from(place.program_unit_bytes);
        let unit = self.program_unit_bytes.unwrap_or(least);
        let (lowest, most) = (PROGRAM_UNIT_BYTES as u64, PROGRAM_UNIT_BYTES_MAX as u64);
        if !unit.is_power_of_two() || !(lowest..=most).contains(&unit) {
            return wrong("program_unit", unit, r#"can not be; write "512B", "1KiB", "2KiB" or "4KiB""#.into());
        }
        if unit < least {
            return wrong(
                "program_unit",
                unit,
                format!("is less than the device writes at once; write {}", show(least)),
            );
        }
        Ok(unit)
    }

    fn size(&self, place: &Place) -> Result<u64, ShapeError> {
        let all = place.size_bytes.unwrap_or(FILE_RING_BYTES).min(RING_BYTES_MAX);
        let size = self.size_bytes.unwrap_or(all);
        if !(RING_BYTES_MIN..=RING_BYTES_MAX).contains(&size) {
            let (least, most) = (show(RING_BYTES_MIN), show(RING_BYTES_MAX));
            return wrong("size", size, format!("is out of range; write {least} to {most}"));
        }
        if let Some(there) = place.size_bytes.filter(|there| size > *there) {
            let whole = show(there / SEGMENT_GRANULE_BYTES * SEGMENT_GRANULE_BYTES);
            return wrong(
                "size",
                size,
                format!("is more than the device has; write at most {whole}, or leave the key out"),
            );
        }
        Ok(size)
    }

    fn erase_block(&self, size: u64, unit: u64, place: &Place) -> Result<Option<u64>, ShapeError> {
        let Some(block) = self.erase_block_bytes else {
            // A size so odd, or so large beside the ring, that segments can't follow it is passed over.
            let suits = |block: &u64| {
                block.is_multiple_of(unit) && *block <= SEGMENT_BYTES_MAX && size / *block >= 2 * SEGMENTS_MIN
            };
            return Ok(place.erase_block_bytes.filter(suits));
        };
        if !(unit..=SEGMENT_BYTES_MAX).contains(&block) {
            let (least, most) = (show(unit), show(SEGMENT_BYTES_MAX));
            return wrong("erase_block", block, format!("is out of range; write {least} to {most}"));
        }
        if !block.is_multiple_of(unit) {
            let whole = show(block.next_multiple_of(unit));
            return wrong(
                "erase_block",
                block,
                format!("is not a multiple of the program_unit {}; write {whole}", show(unit)),
            );
        }
        if self.segment_size_bytes.is_none() && size / block < SEGMENTS_MIN {
            let most = show(size / SEGMENTS_MIN);
            let problem = format!("leaves {} fewer than {SEGMENTS_MIN} of them; write at most {most}", show(size));
            return wrong("erase_block", block, problem);
        }
        Ok(Some(block))
    }

    fn segments(&self, size: u64, segment: u64) -> Result<u64, ShapeError> {
        let segments = size / segment;
        if segments < SEGMENTS_MIN {
            let most = show(size / SEGMENTS_MIN / SEGMENT_GRANULE_BYTES * SEGMENT_GRANULE_BYTES);
            let problem = format!("leaves {} fewer than {SEGMENTS_MIN} segments; write at most {most}", show(size));
            return wrong("segment_size", segment, problem);
        }
        if segments > SEGMENTS_MAX {
            let least = show(size.div_ceil(SEGMENTS_MAX).next_multiple_of(SEGMENT_GRANULE_BYTES));
            let problem = format!("makes {} more than {SEGMENTS_MAX} segments; write at least {least}", show(size));
            return wrong("segment_size", segment, problem);
        }
        if self.size_bytes.is_some() && !size.is_multiple_of(segment) {
            let whole = show(segments * segment);
            return wrong(
                "size",
                size,
                format!("is not a multiple of the segment_size {}; write {whole}", show(segment)),
            );
        }
        Ok(segments)
    }
}

fn check_segment(segment: u64, erase_block: u64, unit: u64) -> Result<(), ShapeError> {
    if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment) {
        let (least, most) = (show(SEGMENT_BYTES_MIN), show(SEGMENT_BYTES_MAX));
        return wrong("segment_size", segment, format!("is out of range; write {least} to {most}"));
    }
    if !segment.is_multiple_of(SEGMENT_GRANULE_BYTES) {
        let whole = show(segment / SEGMENT_GRANULE_BYTES * SEGMENT_GRANULE_BYTES);
        let problem = format!("is not a multiple of {}; write {whole}", show(SEGMENT_GRANULE_BYTES));
        return wrong("segment_size", segment, problem);
    }
    if !segment.is_multiple_of(erase_block) {
        let whole = show(segment.next_multiple_of(erase_block));
        let problem = format!("is not a multiple of the erase_block {}; write {whole}", show(erase_block));
        return wrong("segment_size", segment, problem);
    }
    let least = SEGMENT_UNITS_MIN * unit;
    if segment < least {
        let problem = format!("is too small for a program_unit of {}; write at least {}", show(unit), show(least));
        return wrong("segment_size", segment, problem);
    }
    Ok(())
}

/// The power of two at or below a 64th of the ring, within bounds, and more where segments would be too many; then as many
/// whole erase blocks as come nearest above it.
fn default_segment(size: u64, erase_block: u64, unit: u64) -> u64 {
    let power = 1 << (size / SEGMENTS_AIM).max(1).ilog2();
    let few_enough = size.div_ceil(SEGMENTS_MAX).next_power_of_two();
    let suited =
        u64::clamp(power, SEGMENT_BYTES_LEAST, SEGMENT_BYTES_MOST).max(few_enough).max(SEGMENT_UNITS_MIN * unit);
    suited.next_multiple_of(erase_block).next_multiple_of(SEGMENT_GRANULE_BYTES)
}

fn wrong<T>(key: &'static str, bytes: u64, problem: String) -> Result<T, ShapeError> {
    Err(ShapeError { key, problem: format!("{} {problem}", show(bytes)) })
}

fn show(bytes: u64) -> String {
    format!("\"{}\"", format_size(bytes))
}

/// Whether the name is that of a device, which may not be there.
pub(super) fn is_device_name(path: &Path) -> bool {
    path.starts_with("/dev") && !path.starts_with("/dev/shm")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    fn device(size_bytes: u64, program_unit_bytes: u32, erase_block_bytes: Option<u64>) -> Place {
        Place { size_bytes: Some(size_bytes), program_unit_bytes, erase_block_bytes, start_bytes: 0 }
    }

    #[test]
    fn a_default_segment_suits_the_ring() {
        for (size, segment) in [
            (RING_BYTES_MIN, 16 * KIB),
            (MIB, 16 * KIB),
            (4 * MIB, 64 * KIB),
            (64 * MIB, MIB),
            (100 * MIB, MIB),
            (1024 * MIB, 2 * MIB),
            (16384 * MIB, 4 * MIB),
            (RING_BYTES_MAX, 16 * MIB),
        ] {
            let sizes = RingSizes { size_bytes: Some(size), ..RingSizes::default() };
            let layout = sizes.shape(&Place::FILE).unwrap().layout;
            assert_eq!(u64::from(layout.segment_size_bytes), segment, "{size}");
            assert_eq!(layout.size_bytes(), size);
        }
    }

    #[test]
    fn what_is_left_out_follows_from_the_device() {
        for (place, segment, count, unit, erase_block) in [
            // An eMMC that tells its preferred size; the ring is what whole segments fit.
            (device(100 * MIB + 512, 512, Some(2 * MIB)), 2 * MIB, 50, 512, Some(2 * MIB)),
            // An odd one, as some SD cards have.
            (device(96 * MIB, 512, Some(3 * MIB / 2)), 3 * MIB / 2, 64, 512, Some(3 * MIB / 2)),
            // So large beside the ring that it is passed over.
            (device(16 * MIB, 512, Some(4 * MIB)), 256 * KIB, 64, 512, None),
            // A disk of which nothing is known, with 4 KiB sectors.
            (device(64 * KIB, 4096, None), 16 * KIB, 4, 4096, None),
            (device(100 << 40, 512, None), 16 * MIB, 4096, 512, None),
        ] {
            let shape = RingSizes::default().shape(&place).unwrap();
            let expected = Layout { segment_size_bytes: segment as u32, segment_count: count };
            let expected = Shape {
                layout: expected,
                program_unit_bytes: unit,
                erase_block_bytes: erase_block.map(|block: u64| block as u32),
            };
            assert_eq!(shape, expected, "{place:?}");
        }
    }

    #[test]
    fn what_the_device_can_not_do_is_said_with_the_key_to_change() {
        let sizes = RingSizes::default();
        for (sizes, place, expected) in [
            (
                sizes,
                device(32 * KIB, 512, None),
                "buffer.size: \"32KiB\" is out of range; write \"64KiB\" to \"64GiB\"",
            ),
            (
                RingSizes { size_bytes: Some(2 * MIB), ..sizes },
                device(MIB + 512, 512, None),
                "buffer.size: \"2MiB\" is more than the device has; write at most \"1MiB\", or leave the key out",
            ),
            (
                RingSizes { program_unit_bytes: Some(512), ..sizes },
                device(MIB, 4096, None),
                "buffer.program_unit: \"512B\" is less than the device writes at once; write \"4KiB\"",
            ),
            (
                RingSizes { segment_size_bytes: Some(64 * KIB), ..sizes },
                device(64 * MIB, 512, Some(2 * MIB)),
                "buffer.segment_size: \"64KiB\" is not a multiple of the erase_block \"2MiB\"; write \"2MiB\"",
            ),
            (
                RingSizes { segment_size_bytes: Some(8 * KIB), ..sizes },
                device(MIB, 4096, None),
                "buffer.segment_size: \"8KiB\" is too small for a program_unit of \"4KiB\"; write at least \"16KiB\"",
            ),
        ] {
            assert_eq!(sizes.shape(&place).unwrap_err().to_string(), expected);
        }
    }
}
