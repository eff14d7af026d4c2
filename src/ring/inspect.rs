//! What a slot holds at this moment, whatever the ring was found to hold when it was opened.

use super::error::RingError;
use super::header::{HEADER_BYTES, HeaderUnit, SegmentHeader};
use super::log::Ring;
use super::medium::Medium;

/// What the first unit of a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotContent {
    /// The header of this segment.
    Segment { seq: u64 },
    /// Never written, or erased.
    Blank,
    /// Neither.
    Unreadable,
}

impl<M: Medium> Ring<M> {
    /// Number of the slot of this segment.
    pub fn slot_of(&self, segment_seq: u64) -> u64 {
        segment_seq % u64::from(self.layout.segment_count)
    }

    /// What the slot of this segment holds now, which is another segment once a writer has given this one up.
    pub fn slot_now(&self, segment_seq: u64) -> Result<SlotContent, RingError> {
        let mut unit = [0; HEADER_BYTES];
        let read = self.medium.read(self.layout.slot_offset(segment_seq), &mut unit);
        read.map_err(RingError::device("reading a segment header"))?;
        Ok(match SegmentHeader::decode(&unit) {
            HeaderUnit::Valid(header) if self.slot_of(header.segment_seq) == self.slot_of(segment_seq) => {
                SlotContent::Segment { seq: header.segment_seq }
            }
            HeaderUnit::Blank => SlotContent::Blank,
            _ => SlotContent::Unreadable,
        })
    }
}
