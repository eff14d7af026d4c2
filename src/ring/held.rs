//! What a medium holds before it is known of which shape its ring is: a ring of some shape, nothing at all, or something else.

use super::error::RingError;
use super::header::{FORMAT_VERSION, HEADER_BYTES, HeaderUnit, SegmentHeader};
use super::medium::Medium;
use super::recovery::Layout;
use super::shape::Shape;
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENTS_MAX, SEGMENTS_MIN, UNREADABLE_HEADERS_MAX};
use std::io;
use std::ops::Range;

/// Segments, and so their headers, start at multiples of this.
const STEP_BYTES: usize = SEGMENT_BYTES_MIN as usize;

/// Read at a time where everything is looked at.
const CHUNK_BYTES: usize = 16 * STEP_BYTES;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    Ring(Shape),
    /// Zeros or ones throughout.
    Blank,
    /// The first byte that belongs to something else is within a step of this offset.
    Other {
        at: u64,
    },
}

/// The shape of the ring, if a header is where the wanted shape, or a ring that just fills the length, would have one.
///
/// Reads some units for each segment. Where this finds nothing there is no ring of the wanted shape.
///
/// A place that can't be read is passed over, and so is no proof that there is nothing.
pub(super) fn find(medium: &dyn Medium, wanted: &Layout, length_bytes: u64) -> Result<Option<Shape>, RingError> {
    let slots = |layout: Layout, count: u64| (0..count).map(move |seq| layout.slot_offset(seq));
    // A ring in its first lap has nothing in slot 0, but in those that follow.
    let other_layouts = layouts_of(length_bytes).flat_map(|layout| slots(layout, SEGMENTS_MIN));
    let mut patience = Patience::default();
    for at in slots(*wanted, u64::from(wanted.segment_count)).chain(other_layouts) {
        match shape_at(medium, at) {
            Ok(None) => {}
            Err(RingError::Device { cause, .. }) => patience.lose(cause)?,
            found => return found,
        }
    }
    Ok(None)
}

/// With a medium on which each place that can't be read may take seconds.
#[derive(Default)]
struct Patience {
    failures: usize,
}

impl Patience {
    fn lose(&mut self, cause: io::Error) -> Result<(), RingError> {
        self.failures += 1;
        match self.failures > UNREADABLE_HEADERS_MAX {
            true => Err(RingError::device("looking for a ring")(cause)),
            false => Ok(()),
        }
    }
}

/// So far from the start [`probe`] looks: the first four segments of any ring are within.
const PROBED_BYTES_MAX: u64 = SEGMENTS_MIN * SEGMENT_BYTES_MAX;

/// The shape of a ring by the first of its headers, for whoever has no configuration at hand. `None`: all of it is blank.
pub fn probe(medium: &dyn Medium) -> Result<Option<Shape>, RingError> {
    match search(medium, 0, medium.geometry().size_bytes.min(PROBED_BYTES_MAX))? {
        Held::Ring(shape) => Ok(Some(shape)),
        Held::Blank => Ok(None),
        Held::Other { .. } => Err(RingError::Foreign { found: "no segment header, but other data" }),
    }
}

/// Looks at every byte of a range that starts at a multiple of the smallest segment. Where a part of it can't be read, a ring is
/// still found by its headers, but nothing else is said of it.
pub(super) fn search(medium: &dyn Medium, from: u64, to: u64) -> Result<Held, RingError> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut at, mut other, mut unread, mut patience) = (from, None, None, Patience::default());
    while at < to {
        let len = (to - at).min(CHUNK_BYTES as u64) as usize;
        if let Err(cause) = medium.read(at, &mut chunk[..len]) {
            patience.lose(cause.kind().into())?;
            unread = unread.or(Some(cause));
            if let Some(shape) = shape_among(medium, at..at + len as u64, &mut patience)? {
                return Ok(Held::Ring(shape));
            }
            at += len as u64;
            continue;
        }
        for (step, bytes) in (0u64..).zip(chunk[..len].chunks(STEP_BYTES)) {
            let step_at = at + step * STEP_BYTES as u64;
            if is_blank(bytes) {
                continue;
            }
            if let Some(shape) = bytes.first_chunk().map(|unit| shape_in(unit, step_at)).transpose()?.flatten() {
                return Ok(Held::Ring(shape));
            }
            other = other.or(Some(step_at));
        }
        at += len as u64;
    }
    match unread {
        Some(cause) => Err(RingError::device("looking for a ring")(cause)),
        None => Ok(other.map_or(Held::Blank, |at| Held::Other { at })),
    }
}

/// The shape by the first header in a range that can't be read in one go.
fn shape_among(medium: &dyn Medium, range: Range<u64>, patience: &mut Patience) -> Result<Option<Shape>, RingError> {
    for at in range.step_by(STEP_BYTES) {
        match shape_at(medium, at) {
            Ok(None) => {}
            Err(RingError::Device { cause, .. }) => patience.lose(cause)?,
            found => return found,
        }
    }
    Ok(None)
}

/// Zeros or ones throughout: never written, or erased.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0) || bytes.iter().all(|byte| *byte == 0xff)
}

fn shape_at(medium: &dyn Medium, at: u64) -> Result<Option<Shape>, RingError> {
    let mut unit = [0; HEADER_BYTES];
    medium.read(at, &mut unit).map_err(RingError::device("looking for a segment header"))?;
    shape_in(&unit, at)
}

/// The shape that a header names, if it stands where this shape has it.
fn shape_in(unit: &[u8; HEADER_BYTES], at: u64) -> Result<Option<Shape>, RingError> {
    match SegmentHeader::decode(unit) {
        HeaderUnit::Valid(header) => {
            let layout = Layout { segment_size_bytes: header.segment_size_bytes, segment_count: header.segment_count };
            let shape = Shape { layout, program_unit_bytes: header.program_unit_bytes, erase_block_bytes: None };
            Ok((layout.slot_offset(header.segment_seq) == at).then_some(shape))
        }
        HeaderUnit::OtherFormat(version) => Err(RingError::OtherFormat { version, supported: FORMAT_VERSION }),
        HeaderUnit::Blank | HeaderUnit::Damaged | HeaderUnit::Foreign => Ok(None),
    }
}

/// Every layout that a configuration can ask for and that has just this length.
fn layouts_of(length_bytes: u64) -> impl Iterator<Item = Layout> {
    let steps = length_bytes / SEGMENT_BYTES_MIN;
    let counts = (SEGMENTS_MIN..=SEGMENTS_MAX.min(steps))
        .filter(move |count| length_bytes.is_multiple_of(SEGMENT_BYTES_MIN) && steps.is_multiple_of(*count));
    counts.filter_map(move |count| {
        let segment_size_bytes = u32::try_from(length_bytes / count).ok()?;
        Some(Layout { segment_size_bytes, segment_count: count as u32 })
    })
}

#[cfg(test)]
mod tests {
    use super::super::header::Acks;
    use super::*;
    use crate::sim::SimFlash;

    fn header(segment_size_bytes: u32, segment_count: u32, segment_seq: u64) -> [u8; HEADER_BYTES] {
        let (program_unit_bytes, first_record, samples_before, acks) = (512, 0, 0, Acks::new());
        SegmentHeader {
            segment_size_bytes,
            segment_count,
            program_unit_bytes,
            segment_seq,
            first_record,
            samples_before,
            acks,
            note: Default::default(),
        }
        .encode()
    }

    #[test]
    fn a_layout_is_known_from_any_header_in_its_place() {
        let expected = Layout { segment_size_bytes: 16384, segment_count: 4 };
        for seq in [1, 2, 3, 4, 9] {
            let flash = SimFlash::new(65536);
            flash.damage(expected.slot_offset(seq) as usize, &header(16384, 4, seq));
            assert_eq!(probe(&flash).unwrap().map(|shape| shape.layout), Some(expected), "segment {seq}");
        }
    }

    #[test]
    fn headers_out_of_place_or_with_sizes_that_no_ring_has_are_not_believed() {
        for (at, wrong) in [
            (4096, header(16384, 4, 1)),
            (16384, header(16384, 4, 2)),
            (0, header(0, 4, 4)),
            (0, header(512, 4, 4)),
            (0, header(16384, 0, 4)),
            (0, header(16384, u32::MAX, 0)),
        ] {
            let flash = SimFlash::new(65536);
            flash.damage(at, &wrong);
            assert!(matches!(probe(&flash), Err(RingError::Foreign { .. })), "{wrong:?}");
            flash.damage(49152, &header(16384, 4, 3));
            assert!(matches!(probe(&flash), Ok(Some(_))), "one that can be believed is found behind it");
        }
    }

    #[test]
    fn what_is_blank_is_told_from_what_is_foreign() {
        for (byte, is_blank) in [(0, true), (0xff, true), (b'x', false)] {
            let flash = SimFlash::new(65536);
            flash.damage(0, &[byte; 65536]);
            assert_eq!(matches!(probe(&flash), Ok(None)), is_blank, "{byte}");
        }
        let flash = SimFlash::new(65536);
        flash.damage(1024, b"a file system's superblock");
        assert!(matches!(probe(&flash), Err(RingError::Foreign { .. })));
    }
}
