//! What a ring's own headers say of how its segments lie: for whoever has no configuration at hand.

use super::error::RingError;
use super::header::{FORMAT_VERSION, HEADER_BYTES, HeaderUnit, SegmentHeader};
use super::medium::Medium;
use super::recovery::Layout;
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, SEGMENTS_MAX, SEGMENTS_MIN};

/// Headers stand at multiples of this.
const STEP_BYTES: usize = SEGMENT_BYTES_MIN as usize;

/// So far from the start headers are looked for: the first four segments of any ring are within.
const PROBED_BYTES_MAX: u64 = SEGMENTS_MIN * SEGMENT_BYTES_MAX;

/// The layout that the first header names that is in its own place. `None`: all of what was looked at is blank.
///
/// Reads up to 256 MiB where there is no such header, and only then.
pub fn probe(medium: &dyn Medium) -> Result<Option<Layout>, RingError> {
    let (mut at, mut is_blank) = (0, true);
    let mut block = [0; STEP_BYTES];
    while at < medium.geometry().size_bytes.min(PROBED_BYTES_MAX) {
        medium.read(at, &mut block).map_err(RingError::device("looking for a segment header"))?;
        let unit = block.first_chunk::<HEADER_BYTES>().expect("a step holds a header");
        match SegmentHeader::decode(unit) {
            HeaderUnit::Valid(header) => {
                if let Some(layout) = layout_of(&header, at) {
                    return Ok(Some(layout));
                }
                is_blank = false;
            }
            HeaderUnit::Newer(version) => return Err(RingError::NewerFormat { version, supported: FORMAT_VERSION }),
            HeaderUnit::Blank | HeaderUnit::Damaged | HeaderUnit::Foreign => {}
        }
        is_blank &= block.iter().all(|byte| *byte == block[0]) && matches!(block[0], 0 | 0xff);
        at += STEP_BYTES as u64;
    }
    if is_blank { Ok(None) } else { Err(RingError::Foreign { found: "no segment header, but other data" }) }
}

/// If the header is where this layout has it, and its numbers are ones that a configuration may ask for.
fn layout_of(header: &SegmentHeader, at: u64) -> Option<Layout> {
    let (size, count) = (u64::from(header.segment_size_bytes), u64::from(header.segment_count));
    let is_allowed = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&size) && (1..=SEGMENTS_MAX).contains(&count);
    let layout = Layout { segment_size_bytes: header.segment_size_bytes, segment_count: header.segment_count };
    (is_allowed && layout.slot_offset(header.segment_seq) == at).then_some(layout)
}

#[cfg(test)]
mod tests {
    use super::super::header::Acks;
    use super::*;
    use crate::sim::SimFlash;

    fn header(segment_size_bytes: u32, segment_count: u32, segment_seq: u64) -> [u8; HEADER_BYTES] {
        let (first_record, samples_before, acks) = (0, 0, Acks::new());
        SegmentHeader { segment_size_bytes, segment_count, segment_seq, first_record, samples_before, acks }.encode()
    }

    #[test]
    fn a_layout_is_known_from_any_header_in_its_place() {
        let expected = Layout { segment_size_bytes: 16384, segment_count: 4 };
        for seq in [1, 2, 3, 4, 9] {
            let flash = SimFlash::new(65536);
            flash.damage(expected.slot_offset(seq) as usize, &header(16384, 4, seq));
            assert_eq!(probe(&flash).unwrap(), Some(expected), "segment {seq}");
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
