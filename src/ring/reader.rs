//! Reading: from a place to the frame there and the place after it.

use super::error::RingError;
use super::frame::{self, FrameMeta};
use super::header::HEADER_BYTES;
use super::log::{Ring, SegmentInfo};
use super::medium::Medium;
use super::recovery;
use crate::bugs::{Bug, planted};

/// A place in the ring, to be handed back to [`Ring::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePosition {
    pub segment_seq: u64,
    /// Within the segment; within the header's program unit: the first frame after it.
    offset: u32,
}

impl FramePosition {
    /// The first frame of a segment.
    pub fn start_of(segment: SegmentInfo) -> FramePosition {
        FramePosition { segment_seq: segment.seq, offset: HEADER_BYTES as u32 }
    }
}

/// What is at a place.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
pub enum Read {
    /// A frame; its payload is `bytes[payload_at..]` of the buffer that was given.
    Frame { meta: FrameMeta, payload_at: usize, next: FramePosition },
    /// The segment has no further frame that can be read. `next` is the start of the following one, or of the oldest where
    /// this one was given up meanwhile.
    EndOfSegment { next: FramePosition },
    /// Nothing was written beyond this place so far.
    EndOfRing,
}

impl<M: Medium> Ring<M> {
    /// Start of the segment that holds `record`, or else of the first one after it. `None`: nothing so new is here.
    pub fn find(&self, record: u64) -> Option<FramePosition> {
        if record >= self.next_record() {
            return None;
        }
        let holds = self.segments.iter().rev().find(|segment| segment.first_record <= record);
        holds.or(self.segments.front()).map(|segment| FramePosition::start_of(*segment))
    }

    /// Start of the newest segment.
    pub fn newest(&self) -> Option<FramePosition> {
        self.segments.back().map(|newest| FramePosition::start_of(*newest))
    }

    /// Whether it is this place and not all of the storage that can't be read.
    pub fn can_be_read_elsewhere(&self, at: FramePosition) -> bool {
        let mut unit = [0; HEADER_BYTES];
        let other = self.segments.iter().find(|segment| segment.seq != at.segment_seq);
        other.is_none_or(|other| self.medium.read(self.layout.slot_offset(other.seq), &mut unit).is_ok())
    }

    /// The segment that this place is in, unless it was given up.
    pub fn segment_at(&self, at: FramePosition) -> Option<SegmentInfo> {
        self.segments.iter().find(|segment| segment.seq == at.segment_seq).copied()
    }

    /// How far into its segment a place is, in bytes.
    pub fn offset_of(&self, at: FramePosition) -> u32 {
        at.offset.max(self.program_unit_bytes)
    }

    /// Reads the frame at a place into `bytes`.
    ///
    /// An append that failed can have left a whole frame at a segment's end, whose records went to the next segment then.
    /// It reaches into that one's numbers, and so it is told apart.
    pub fn read(&self, at: FramePosition, bytes: &mut Vec<u8>) -> Result<Read, RingError> {
        let is_newest = self.segments.back().is_some_and(|newest| newest.seq == at.segment_seq);
        let end = if is_newest { self.write_offset } else { self.layout.segment_size_bytes };
        let offset = self.offset_of(at);
        if self.segment_at(at).is_some() && offset < end {
            let read = recovery::read_frame(&self.medium, self.layout, at.segment_seq, offset, bytes)?;
            if let Some((meta, payload_at)) = read
                && self.belongs(at, &meta)
            {
                let len = frame::padded(bytes.len(), self.program_unit_bytes);
                let next = FramePosition { offset: offset + len as u32, ..at };
                return Ok(Read::Frame { meta, payload_at, next });
            }
        }
        Ok(self.after(at))
    }

    /// Whether this frame is not what a failed append left behind: its records would be in another segment as well.
    fn belongs(&self, at: FramePosition, meta: &FrameMeta) -> bool {
        let starts_too_early = self.segment_at(at).is_some_and(|segment| meta.first_record < segment.first_record);
        let following = self.segments.iter().find(|segment| segment.seq > at.segment_seq);
        let ends_too_late = following.is_some_and(|following| meta.end_record() > following.first_record);
        (!starts_too_early || planted(Bug::UnsaltedCrc)) && !ends_too_late || planted(Bug::GhostFrameRead)
    }

    /// Whether frames were written to the newest segment at this place or behind it: that none can be read there is damage.
    pub fn is_written(&self, at: FramePosition) -> bool {
        let newest = self.segments.back().filter(|newest| newest.seq == at.segment_seq);
        newest.is_some() && self.offset_of(at) < self.write_offset
    }

    /// What follows the segment that this place is in.
    pub fn after(&self, at: FramePosition) -> Read {
        match self.segments.iter().find(|segment| segment.seq > at.segment_seq) {
            Some(following) => Read::EndOfSegment { next: FramePosition::start_of(*following) },
            None => Read::EndOfRing,
        }
    }
}
