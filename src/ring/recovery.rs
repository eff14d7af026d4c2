//! Opening: what the headers and the newest segment's frames say of the ring. Reads only.
//!
//! ```text
//!  header units found                          the ring
//!  ──────────────────────────────────────────  ─────────────────────────────────────────────
//!  one of another format                       refused, untouched
//!  one of another geometry                     refused, untouched
//!  more than a quarter unreadable              storage that fails: refused, untouched
//!  some valid, in their own slots              these, by segment_seq; the highest is the newest
//!  ... with gaps, damage or blanks between     the same; what is missing is counted by sample totals
//!  ... more than a lap behind the newest       not a segment of this ring any more
//!  ... unreadable right behind the newest      may be newer: passed over, and so are record numbers (1)
//!  ... anything else right behind the newest   written anew, with numbers above those of whole frames there that
//!                                                were to be the next segment's
//!  ... unreadable elsewhere                    as if damaged
//!  none valid:
//!   all blank, and so is the start             empty
//!   the same, but one torn                     empty: the first append was interrupted
//!   the same, but the first is anything, with  the same: the first header of all is written and synced alone,
//!     nothing behind its unit in its slot        unless the slot was being erased
//!   the same, but one unreadable               empty; if it is the first, it is passed over (1)
//!   one unreadable, one other not blank        storage that fails: refused, untouched
//!   anything else                              refused, untouched
//!
//!  newest segment                              the next frame
//!  ──────────────────────────────────────────  ─────────────────────────────────────────────
//!  a place that holds no frame, none behind    goes there; on flash that can't be overwritten, only if
//!                                                all behind it is erased and can be read
//!  ... a whole frame behind it                 goes to a new segment; the frames behind count as written
//!  a place that can't be read, frame or not    goes to a new segment; whole frames behind it count as
//!                                                written, and record numbers are passed over (1)
//! ```
//!
//! (1) What can't be read may hold records. How many is not known, so the next number is further on than any ring counts in
//! centuries (`RECORDS_PASSED_OVER`), and the next segment takes a number behind all that may be there. Whether the place
//! can be read again later or not, no number is then used twice, and the order of records is that of segments. Their
//! acknowledgements are lost with them for as long: that costs repeats. The rule holds for one such place at a time.
//!
//! If a whole frame of the newest segment stands behind a place that holds none, then what is there is damage and no end:
//! nothing is written to the segment any more (the frame behind would seem to follow what was written).

use super::error::RingError;
use super::frame::{self, FRAME_HEADER_BYTES};
use super::header::Acks;
use super::log::SegmentInfo;
use super::medium::Medium;
use super::newest::{is_tail_erased, read_behind, read_newest};
use super::slots::Slots;
use crate::bugs::{Bug, planted};
use crate::model::Note;

/// How segments lie on the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub segment_size_bytes: u32,
    pub segment_count: u32,
}

impl Layout {
    /// Offset on the medium of the slot of this segment.
    pub(super) fn slot_offset(&self, segment_seq: u64) -> u64 {
        let slots = self.segment_count - u32::from(planted(Bug::WrapOffByOne));
        (segment_seq % u64::from(slots)) * u64::from(self.segment_size_bytes)
    }

    pub fn size_bytes(&self) -> u64 {
        u64::from(self.segment_count) * u64::from(self.segment_size_bytes)
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Oldest first; `segment_seq` ascending, gaps where segments were lost.
    pub segments: Vec<SegmentInfo>,
    /// What the ring was made with; where it is empty, the medium's own.
    pub program_unit_bytes: u32,
    /// Offset in the newest segment at which the next frame goes: the segment's end if it is damaged.
    pub write_offset: u32,
    /// Whether it can go there. Where units can't be overwritten, what an interrupted append left stands in its way.
    pub tail_is_programmable: bool,
    /// Number that no record in the ring has reached.
    pub next_record: u64,
    /// Samples ever written, those in the newest segment included.
    pub samples_total: u64,
    /// The newest acknowledgement of each endpoint.
    pub acks: Acks,
    pub note: Note,
    /// Slots whose header is damaged, out of place or unreadable, and the newest segment if some of it can't be read.
    pub damaged_slots: u32,
    /// Slots behind the newest segment's that may hold newer ones, as far as can be read. The next segment goes behind them.
    pub passed_over: u64,
}

pub(super) fn recover(medium: &dyn Medium, layout: Layout) -> Result<Recovery, RingError> {
    let mut slots = Slots::read(medium, layout)?;
    slots.headers.sort_unstable_by_key(|header| header.segment_seq);
    if planted(Bug::OldLapTakenForNew) {
        slots.headers.sort_unstable_by_key(|header| header.segment_seq % u64::from(layout.segment_count));
    }
    let damaged_slots = slots.flaws.len() as u32;
    let Some(newest) = slots.headers.last().cloned() else {
        let program_unit_bytes = medium.geometry().program_unit_bytes;
        let mut recovery = Recovery { program_unit_bytes, damaged_slots, ..Recovery::default() };
        recovery.pass_over_hidden(medium, layout, &slots, 0);
        return Ok(recovery);
    };
    slots.headers.retain(|h| newest.segment_seq - h.segment_seq < u64::from(layout.segment_count));
    let segments = slots.headers.iter().map(SegmentInfo::from_header).collect();
    let mut recovery = Recovery {
        segments,
        program_unit_bytes: newest.program_unit_bytes,
        write_offset: newest.program_unit_bytes,
        tail_is_programmable: false,
        next_record: newest.first_record,
        samples_total: newest.samples_before,
        acks: newest.acks.clone(),
        note: newest.note.clone(),
        damaged_slots,
        passed_over: 0,
    };
    read_newest(medium, layout, newest.segment_seq, &mut recovery);
    recovery.pass_over_hidden(medium, layout, &slots, newest.segment_seq);
    recovery.tail_is_programmable = medium.overwrites()
        || planted(Bug::DirtyTailReused)
        || is_tail_erased(medium, layout, newest.segment_seq, recovery.write_offset);
    Ok(recovery)
}

impl Recovery {
    /// Leaves slots alone that may hold segments newer than the newest one, and uses none of their numbers.
    fn pass_over_hidden(&mut self, medium: &dyn Medium, layout: Layout, slots: &Slots, newest: u64) {
        let unit = self.program_unit_bytes;
        self.passed_over = slots.hidden_after(newest, layout);
        for seq in newest + 1..=newest + self.passed_over {
            let behind = read_behind(medium, layout, seq, unit, self, 0);
            self.take_behind(behind);
        }
        if self.passed_over > 0 {
            self.seal(layout);
            self.pass_over_records();
        } else {
            // If a cut tore this header or took it, nothing behind it was confirmed. If it decayed, it may have been. Either way
            // its frames are not to come back behind those of the segment that takes its place and number: a number past all
            // of theirs keeps them out, and with them acknowledgements of records that had these numbers before.
            let behind = read_behind(medium, layout, newest + 1, unit, self, 0);
            self.next_record = behind.next_record + u64::from(behind.has_frames);
        }
    }
}

/// Takes over what `newer` says of endpoints; those it does not name stay as they are, and none goes back.
pub(super) fn merge_acks(acks: &mut Acks, newer: &Acks) {
    for ack in newer {
        match acks.iter_mut().find(|known| known.endpoint == ack.endpoint) {
            Some(known) => known.next_record = known.next_record.max(ack.next_record),
            // A full list can only come from a damaged or forged frame: endpoints are as many as fit.
            None => _ = acks.push(*ack),
        }
    }
}

/// The frame at this place, if a whole one is there: its bytes without padding into `bytes`, its meta, its payload's start.
pub(super) fn read_frame(
    medium: &dyn Medium,
    layout: Layout,
    segment_seq: u64,
    offset: u32,
    bytes: &mut Vec<u8>,
) -> Result<Option<(frame::FrameMeta, usize)>, RingError> {
    let room = (layout.segment_size_bytes - offset) as usize;
    if room < FRAME_HEADER_BYTES {
        return Ok(None);
    }
    let at = layout.slot_offset(segment_seq) + u64::from(offset);
    let mut head = [0; FRAME_HEADER_BYTES];
    medium.read(at, &mut head).map_err(RingError::device("reading a frame"))?;
    let Some(len) = frame::claimed_bytes(&head, room) else {
        return Ok(None);
    };
    bytes.clear();
    bytes.resize(len, 0);
    medium.read(at, bytes).map_err(RingError::device("reading a frame"))?;
    Ok(frame::decode(bytes, segment_seq, offset))
}
