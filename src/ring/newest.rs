//! The newest segment when a ring is opened: its frames, its end, and whether the next frame can go there.
//!
//! ```text
//!  header │ frame │ frame │ ?????? │ frame │ room
//!                         ▲        └ behind damage: its records count as written
//!                         └ no frame: here the next one goes, unless something stands behind or can't be read
//! ```

use super::frame::{self, FRAME_HEADER_BYTES, FrameMeta};
use super::header::{Acks, HEADER_BYTES};
use super::medium::Medium;
use super::recovery::{Layout, Recovery, merge_acks, read_frame};
use crate::bugs::{Bug, planted};
use crate::limits::{COUNT_MAX, RECORDS_PASSED_OVER, UNREADABLE_PLACES_MAX};
use crate::model::Note;

/// What whole frames say that stand behind a place in a segment. Nothing else there is believed.
pub(super) struct Behind {
    pub next_record: u64,
    samples: u64,
    acks: Acks,
    note: Option<Note>,
    pub has_frames: bool,
    /// Places in this segment that can't be read.
    failures: usize,
}

/// Takes the newest segment's frames into account.
pub(super) fn read_newest(medium: &dyn Medium, layout: Layout, segment_seq: u64, recovery: &mut Recovery) {
    let (mut bytes, mut failures) = (Vec::new(), 0);
    loop {
        let note;
        let read = read_frame(medium, layout, segment_seq, recovery.write_offset, &mut bytes);
        let meta = match read {
            // Left by an append that was interrupted before this segment was begun anew: these records are elsewhere.
            Ok(Some((meta, _))) if meta.first_record < recovery.next_record && !planted(Bug::UnsaltedCrc) => break,
            Ok(Some((meta, payload_at))) => {
                note = frame::note_in(&meta, &bytes[payload_at..]);
                meta
            }
            Ok(None) => break,
            Err(error) => {
                log::error!("the newest segment of the ring is not continued: {error}");
                failures += 1;
                break;
            }
        };
        let end = recovery.write_offset + frame::padded(bytes.len(), recovery.program_unit_bytes) as u32;
        if planted(Bug::RecoveryStopsEarly)
            && matches!(read_frame(medium, layout, segment_seq, end, &mut bytes), Ok(None))
        {
            return;
        }
        recovery.write_offset = end;
        recovery.next_record = meta.end_record() - u64::from(planted(Bug::ReusedRecordNumber));
        recovery.samples_total += meta.samples();
        if !planted(Bug::AcksInFramesIgnored) {
            merge_acks(&mut recovery.acks, &meta.acks);
        }
        recovery.note = note.unwrap_or(std::mem::take(&mut recovery.note));
    }
    if planted(Bug::UnreadableFrameTakenForEnd) {
        return;
    }
    let behind = read_behind(medium, layout, segment_seq, recovery.write_offset, recovery, failures);
    if behind.has_frames || behind.failures > 0 {
        recovery.seal(layout);
    }
    recovery.damaged_slots += u32::from(behind.failures > 0);
    recovery.take_behind(behind);
}

impl Recovery {
    /// Nothing is written to the newest segment any more.
    pub(super) fn seal(&mut self, layout: Layout) {
        self.write_offset = layout.segment_size_bytes;
    }

    /// Frames behind a place that can't be read count as written. What they don't tell is passed over.
    pub(super) fn take_behind(&mut self, behind: Behind) {
        self.next_record = behind.next_record;
        self.samples_total += behind.samples;
        merge_acks(&mut self.acks, &behind.acks);
        self.note = behind.note.unwrap_or(std::mem::take(&mut self.note));
        if behind.failures > 0 {
            self.pass_over_records();
        }
    }

    /// Records that can't be read have numbers, and these are not to be used again.
    pub(super) fn pass_over_records(&mut self) {
        let passed_over = (self.next_record + RECORDS_PASSED_OVER).min(COUNT_MAX);
        self.next_record = self.next_record.max(passed_over);
    }
}

/// Looks for frames of a segment with records that the ring does not know of, from an offset to the segment's end.
///
/// Bounded: after some places that can't be read the rest is left unread.
pub(super) fn read_behind(
    medium: &dyn Medium,
    layout: Layout,
    segment_seq: u64,
    from_offset: u32,
    known: &Recovery,
    failures: usize,
) -> Behind {
    let mut behind = Behind {
        next_record: known.next_record,
        samples: 0,
        acks: Acks::new(),
        note: None,
        has_frames: false,
        failures,
    };
    let (mut offset, mut bytes) = (from_offset, Vec::new());
    while layout.segment_size_bytes - offset >= known.program_unit_bytes {
        offset += match read_unknown(medium, layout, segment_seq, offset, behind.next_record, &mut bytes) {
            Ok(Some((meta, payload_at))) => {
                behind.has_frames = true;
                behind.next_record = meta.end_record();
                behind.samples += meta.samples();
                merge_acks(&mut behind.acks, &meta.acks);
                behind.note = frame::note_in(&meta, &bytes[payload_at..]).or(behind.note);
                frame::padded(bytes.len(), known.program_unit_bytes) as u32
            }
            Ok(None) => known.program_unit_bytes,
            Err(_) => {
                behind.failures += 1;
                if behind.failures > UNREADABLE_PLACES_MAX {
                    break;
                }
                known.program_unit_bytes
            }
        };
    }
    behind
}

/// The frame at this place, if it has records from `next_record` on, and where in `bytes` its payload starts.
fn read_unknown(
    medium: &dyn Medium,
    layout: Layout,
    segment_seq: u64,
    offset: u32,
    next_record: u64,
    bytes: &mut Vec<u8>,
) -> Result<Option<(FrameMeta, usize)>, super::error::RingError> {
    let mut head = [0; FRAME_HEADER_BYTES];
    let at = layout.slot_offset(segment_seq) + u64::from(offset);
    medium.read(at, &mut head).map_err(super::error::RingError::device("reading a frame"))?;
    // What an earlier lap left has smaller numbers, and need not be read to its end.
    if !frame::can_start(&head, next_record) {
        return Ok(None);
    }
    read_frame(medium, layout, segment_seq, offset, bytes)
}

/// Whether what is behind the last frame is as an erase left it. An interrupted append can have reached any of the units that
/// it was to write, so that all of them are looked at; one that can't be read is taken for written.
pub(super) fn is_tail_erased(medium: &dyn Medium, layout: Layout, segment_seq: u64, write_offset: u32) -> bool {
    let slot = layout.slot_offset(segment_seq);
    let mut unit = [0; HEADER_BYTES];
    (write_offset..layout.segment_size_bytes)
        .step_by(HEADER_BYTES)
        .all(|offset| medium.read(slot + u64::from(offset), &mut unit).is_ok() && unit.iter().all(|byte| *byte == 0xff))
}
