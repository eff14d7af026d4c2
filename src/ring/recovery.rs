//! Opening: what the headers and the newest segment's frames say of the ring. Reads only.
//!
//! ```text
//!  header units found                          the ring
//!  ──────────────────────────────────────────  ─────────────────────────────────────────────
//!  one of a newer format                       refused, untouched
//!  one of another geometry                     refused, untouched
//!  all blank, and so is the start              empty
//!  none valid, one torn                        empty: the first append was interrupted
//!  all blank but the first segment's           the same
//!  none valid, something else                  refused, untouched
//!  some valid, in their own slots              these, by segment_seq; the highest is the newest
//!  ... with gaps, damage or blanks between     the same; what is missing is counted by sample totals
//!  ... more than a lap behind the newest       not a segment of this ring any more
//! ```
//!
//! In the newest segment frames are read up to the first that fails its checksum: there the next one goes. If a whole
//! frame of this segment stands behind that place, then what is there is damage and no end: nothing is written to the
//! segment any more (the frame behind would seem to follow what was written), and the samples behind count as written.

use super::error::RingError;
use super::frame::{self, FRAME_HEADER_BYTES};
use super::header::{Acks, FORMAT_VERSION, HEADER_BYTES, HeaderUnit, SegmentHeader};
use super::log::SegmentInfo;
use super::medium::Medium;
use crate::bugs::{Bug, planted};

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
    /// Slots whose header is damaged or out of place.
    pub damaged_slots: u32,
}

pub(super) fn recover(medium: &dyn Medium, layout: Layout) -> Result<Recovery, RingError> {
    let (mut headers, damaged_slots) = read_headers(medium, layout)?;
    headers.sort_unstable_by_key(|header| header.segment_seq);
    if planted(Bug::OldLapTakenForNew) {
        headers.sort_unstable_by_key(|header| header.segment_seq % u64::from(layout.segment_count));
    }
    let Some(newest) = headers.last().cloned() else {
        let program_unit_bytes = medium.geometry().program_unit_bytes;
        return Ok(Recovery { program_unit_bytes, ..Recovery::default() });
    };
    headers.retain(|h| newest.segment_seq - h.segment_seq < u64::from(layout.segment_count));
    let segments = headers.iter().map(SegmentInfo::from_header).collect();
    let mut recovery = Recovery {
        segments,
        program_unit_bytes: newest.program_unit_bytes,
        write_offset: newest.program_unit_bytes,
        tail_is_programmable: false,
        next_record: newest.first_record,
        samples_total: newest.samples_before,
        acks: newest.acks.clone(),
        damaged_slots,
    };
    read_newest(medium, layout, newest.segment_seq, &mut recovery)?;
    recovery.tail_is_programmable = medium.overwrites()
        || planted(Bug::DirtyTailReused)
        || is_tail_erased(medium, layout, newest.segment_seq, recovery.write_offset)?;
    Ok(recovery)
}

fn read_headers(medium: &dyn Medium, layout: Layout) -> Result<(Vec<SegmentHeader>, u32), RingError> {
    let (mut headers, mut damaged_slots, mut foreign_slots) = (Vec::new(), 0, Vec::new());
    for slot in 0..u64::from(layout.segment_count) {
        let mut unit = [0; HEADER_BYTES];
        medium.read(layout.slot_offset(slot), &mut unit).map_err(RingError::device("reading a segment header"))?;
        match SegmentHeader::decode(&unit) {
            HeaderUnit::Valid(header) => {
                check_layout(&header, layout, medium.geometry().program_unit_bytes)?;
                if header.segment_seq % u64::from(layout.segment_count) == slot {
                    headers.push(header);
                } else {
                    damaged_slots += 1;
                }
            }
            HeaderUnit::Newer(version) => return Err(RingError::NewerFormat { version, supported: FORMAT_VERSION }),
            HeaderUnit::Damaged => damaged_slots += 1,
            HeaderUnit::Foreign => foreign_slots.push(slot),
            HeaderUnit::Blank => {}
        }
    }
    if headers.is_empty() {
        let is_ours = foreign_slots.is_empty() || foreign_slots == [FIRST_SLOT] && damaged_slots == 0;
        if !is_ours || damaged_slots == 0 && !starts_blank(medium)? {
            return Err(RingError::Foreign { found: "no segment header anywhere, but other data" });
        }
        if damaged_slots > 1 {
            return Err(RingError::Foreign { found: "every segment header is damaged" });
        }
    }
    Ok((headers, damaged_slots + foreign_slots.len() as u32))
}

/// Where the first segment of all goes. While nothing else was ever written, whatever is there is what is left of it.
const FIRST_SLOT: u64 = 1;

/// Enough of the start to tell an unused file from most that are not rings.
fn starts_blank(medium: &dyn Medium) -> Result<bool, RingError> {
    let mut start = [0; 4096];
    medium.read(0, &mut start).map_err(RingError::device("reading the start of the ring"))?;
    Ok(start.iter().all(|byte| *byte == 0) || start.iter().all(|byte| *byte == 0xff))
}

fn check_layout(header: &SegmentHeader, layout: Layout, medium_unit_bytes: u32) -> Result<(), RingError> {
    let found = Layout { segment_size_bytes: header.segment_size_bytes, segment_count: header.segment_count };
    // What the medium can't write at once the ring may not be made of.
    if found == layout && header.program_unit_bytes >= medium_unit_bytes {
        return Ok(());
    }
    Err(RingError::OtherGeometry {
        size_bytes: found.size_bytes(),
        segment_size_bytes: u64::from(found.segment_size_bytes),
    })
}

fn read_newest(
    medium: &dyn Medium,
    layout: Layout,
    segment_seq: u64,
    recovery: &mut Recovery,
) -> Result<(), RingError> {
    let mut bytes = Vec::new();
    while let Some((meta, _)) = read_frame(medium, layout, segment_seq, recovery.write_offset, &mut bytes)? {
        // Left by an append that was interrupted before this segment was begun anew: these records are elsewhere.
        if meta.first_record < recovery.next_record && !planted(Bug::UnsaltedCrc) {
            break;
        }
        let end = recovery.write_offset + frame::padded(bytes.len(), recovery.program_unit_bytes) as u32;
        if planted(Bug::RecoveryStopsEarly) && read_frame(medium, layout, segment_seq, end, &mut bytes)?.is_none() {
            return Ok(());
        }
        recovery.write_offset = end;
        recovery.next_record = meta.end_record() - u64::from(planted(Bug::ReusedRecordNumber));
        recovery.samples_total += meta.samples();
        if !planted(Bug::AcksInFramesIgnored) {
            merge_acks(&mut recovery.acks, &meta.acks);
        }
    }
    read_beyond_damage(medium, layout, segment_seq, recovery, bytes)
}

/// Takes into account what stands behind the first place in the newest segment that holds no frame.
fn read_beyond_damage(
    medium: &dyn Medium,
    layout: Layout,
    segment_seq: u64,
    recovery: &mut Recovery,
    mut bytes: Vec<u8>,
) -> Result<(), RingError> {
    let mut offset = recovery.write_offset;
    while layout.segment_size_bytes - offset >= recovery.program_unit_bytes {
        let mut head = [0; FRAME_HEADER_BYTES];
        let at = layout.slot_offset(segment_seq) + u64::from(offset);
        medium.read(at, &mut head).map_err(RingError::device("reading a frame"))?;
        // What an earlier lap left has smaller numbers, and need not be read to its end.
        let frame = match frame::can_start(&head, recovery.next_record) {
            true => read_frame(medium, layout, segment_seq, offset, &mut bytes)?,
            false => None,
        };
        let Some((meta, _)) = frame else {
            offset += recovery.program_unit_bytes;
            continue;
        };
        recovery.write_offset = layout.segment_size_bytes;
        recovery.next_record = meta.end_record();
        recovery.samples_total += meta.samples();
        merge_acks(&mut recovery.acks, &meta.acks);
        offset += frame::padded(bytes.len(), recovery.program_unit_bytes) as u32;
    }
    Ok(())
}

/// An interrupted append can have reached any of the units it was to write, so that all of them are looked at.
fn is_tail_erased(medium: &dyn Medium, layout: Layout, segment_seq: u64, write_offset: u32) -> Result<bool, RingError> {
    let slot = layout.slot_offset(segment_seq);
    let mut unit = [0; HEADER_BYTES];
    for offset in (write_offset..layout.segment_size_bytes).step_by(HEADER_BYTES) {
        medium.read(slot + u64::from(offset), &mut unit).map_err(RingError::device("reading the newest segment"))?;
        if unit.iter().any(|byte| *byte != 0xff) {
            return Ok(false);
        }
    }
    Ok(true)
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
