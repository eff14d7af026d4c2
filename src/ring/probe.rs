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
