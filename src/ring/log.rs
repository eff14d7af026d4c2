//! Appending: where the next frame goes, and which segment makes room for it.

use super::append::{Appending, Step, Write, Written};
use super::error::RingError;
use super::frame::{self, FRAME_HEADER_BYTES, Frame};
use super::header::{Acks, HEADER_BYTES, SegmentHeader, acks_bytes};
use super::medium::Medium;
use super::recovery::{self, Layout, Recovery};
use crate::bugs::{Bug, planted};
use crate::counters::Counters;
use crate::limits::{ENDPOINTS_MAX, NOTE_BYTES_MAX, PROGRAM_UNIT_BYTES, STAGE_BYTES_MAX};
use crate::model::Note;
use std::collections::VecDeque;
use std::rc::Rc;

/// A segment that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    pub seq: u64,
    /// No record in it has a smaller number.
    pub first_record: u64,
    /// Samples in all segments before it, those given up long ago included.
    pub samples_before: u64,
}

impl SegmentInfo {
    pub(super) fn from_header(header: &SegmentHeader) -> SegmentInfo {
        SegmentInfo {
            seq: header.segment_seq,
            first_record: header.first_record,
            samples_before: header.samples_before,
        }
    }
}

/// Where a frame is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// After the last frame of the newest segment.
    Current,
    /// To the start of a new segment; a full ring gives up its oldest one for it.
    NewSegment,
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The segment that was given up.
    pub evicted: Option<SegmentInfo>,
}

/// An open ring. One writer; readers keep their place in a [`super::FramePosition`].
pub struct Ring<M> {
    pub(super) medium: M,
    pub(super) layout: Layout,
    /// What the ring was made with, or the medium's own where it is empty.
    pub(super) program_unit_bytes: u32,
    /// Oldest first.
    pub(super) segments: VecDeque<SegmentInfo>,
    pub(super) write_offset: u32,
    /// The newest segment takes no further frame: the space after its last one can't be programmed again, or a newer
    /// segment was begun, failed, and may be on the medium all the same.
    is_closed: bool,
    /// Segments behind the newest one that may be there, but can't be read. Their numbers are taken.
    passed_over: u64,
    acks: Acks,
    note: Note,
    /// What the ring on the medium says.
    written_note: Note,
    next_record: u64,
    samples_total: u64,
    counters: Rc<Counters>,
    scratch: Vec<u8>,
}

impl<M: Medium> Ring<M> {
    /// Opens what the medium holds, or an empty ring where it is blank. Reads only.
    pub fn open(medium: M, layout: Layout, counters: Rc<Counters>) -> Result<(Self, Recovery), RingError> {
        if layout.size_bytes() > medium.geometry().size_bytes {
            return Err(RingError::Bug("the layout is larger than the medium"));
        }
        let recovery = recovery::recover(&medium, layout)?;
        let mut segments = VecDeque::with_capacity(layout.segment_count as usize + 1);
        segments.extend(&recovery.segments);
        let ring = Ring {
            medium,
            layout,
            program_unit_bytes: recovery.program_unit_bytes,
            segments,
            write_offset: recovery.write_offset,
            is_closed: !recovery.tail_is_programmable,
            passed_over: recovery.passed_over,
            acks: recovery.acks.clone(),
            note: recovery.note.clone(),
            written_note: recovery.note.clone(),
            next_record: recovery.next_record,
            samples_total: recovery.samples_total,
            counters,
            // What any usual frame fits into, so that no append allocates. Memory that no frame reaches is never touched.
            scratch: Vec::with_capacity((layout.segment_size_bytes as usize).min(SCRATCH_BYTES_MAX)),
        };
        Ok((ring, recovery))
    }

    /// How segments lie on the medium.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    pub fn medium(&self) -> &M {
        &self.medium
    }

    /// Goes on on another medium, which holds the same bytes.
    pub fn replace_medium(&mut self, medium: M) {
        self.medium = medium;
    }

    pub fn into_medium(self) -> M {
        self.medium
    }

    /// What the ring on the medium says that each endpoint has acknowledged.
    pub fn acks(&self) -> &Acks {
        &self.acks
    }

    /// The note as it was set or found last. It goes with headers and with frames that have it for their payload.
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Whether an opening would find it.
    pub fn is_note_written(&self) -> bool {
        self.note == self.written_note
    }

    /// An empty note says nothing: it takes no other's place.
    pub fn set_note(&mut self, note: Note) {
        if !note.is_empty() {
            self.note = note;
        }
    }

    /// Number that no record in the ring has reached.
    pub fn next_record(&self) -> u64 {
        self.next_record
    }

    /// The segments that can be read, oldest first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = SegmentInfo> + '_ {
        self.segments.iter().copied()
    }

    /// Whether a frame fits there. Frames with records leave a unit free in which acknowledgements find room.
    pub fn fits(&self, frame: &Frame, placement: Placement) -> bool {
        let unit = self.program_unit_bytes as usize;
        let reserve = if frame.meta.sample_counts.is_empty() { 0 } else { unit };
        let start = match placement {
            Placement::Current if self.segments.is_empty() || self.is_closed => return false,
            Placement::Current => self.write_offset as usize,
            Placement::NewSegment => unit,
        };
        start + frame.padded_bytes(self.program_unit_bytes) + reserve <= self.layout.segment_size_bytes as usize
    }

    /// The segment that an append to a new one would give up.
    pub fn next_evicted(&self) -> Option<SegmentInfo> {
        let oldest = *self.segments.front()?;
        let slots = u64::from(self.layout.segment_count) + u64::from(planted(Bug::EvictionOffByOne));
        (self.next_seq() - oldest.seq >= slots).then_some(oldest)
    }

    /// Number of the next segment to be started. One that holds no frame, because its first append was interrupted, is
    /// started again: else each boot of a device whose power fails at its first append would give up one more segment. But
    /// not if its header is all that tells a ring from other data.
    fn next_seq(&self) -> u64 {
        let Some(newest) = self.segments.back() else { return 1 + self.passed_over };
        if self.is_newest_empty() && self.segments.len() > 1 && !planted(Bug::EmptySegmentPassedOver) {
            return newest.seq;
        }
        let is_lap_over = (newest.seq + 1).is_multiple_of(u64::from(self.layout.segment_count));
        if planted(Bug::ReusedSegmentNumber) && is_lap_over { newest.seq } else { newest.seq + 1 + self.passed_over }
    }

    fn is_newest_empty(&self) -> bool {
        self.write_offset == self.program_unit_bytes
    }

    /// Writes a frame and syncs it: [`begin`](Self::begin), the write and [`finish`](Self::finish) in one.
    pub fn append(&mut self, frame: &Frame, placement: Placement, acks: &Acks) -> Result<Appended, RingError> {
        let (appending, write) = self.begin(frame, placement, acks)?;
        let written = self.perform(write);
        self.finish(appending, frame, written)
    }

    /// Performs a write on the ring's own medium.
    pub fn perform(&mut self, write: Write) -> Written {
        write.perform(&mut self.medium)
    }

    /// Begins to append a frame and says what is to be written. `acks` is how far every endpoint has come, for the header of a
    /// new segment. What [`next_evicted`](Self::next_evicted) said for a new segment can't be read any more from here on.
    pub fn begin(&mut self, frame: &Frame, placement: Placement, acks: &Acks) -> Result<(Appending, Write), RingError> {
        if !self.fits(frame, placement) {
            return Err(RingError::Bug("a frame was appended where it does not fit"));
        }
        if !frame.meta.sample_counts.is_empty() && frame.meta.first_record < self.next_record {
            return Err(RingError::Bug("a record number was used twice"));
        }
        let mut write = Write::new(std::mem::take(&mut self.scratch));
        write.bytes.clear();
        if self.segments.len() == 1 && self.is_newest_empty() {
            // Whoever wrote the only header may have ended before it was synced.
            write.step(Step::Sync);
        }
        let appending = match placement {
            Placement::Current => self.begin_current(frame, &mut write)?,
            Placement::NewSegment => self.begin_new(frame, acks, &mut write),
        };
        Ok((appending, write))
    }

    fn begin_current(&mut self, frame: &Frame, write: &mut Write) -> Result<Appending, RingError> {
        let Some(newest) = self.segments.back().copied() else {
            return Err(RingError::Bug("there is no segment to append to"));
        };
        if planted(Bug::AckBeforeSync) {
            recovery::merge_acks(&mut self.acks, &frame.meta.acks);
        }
        let steps_before = write.steps.len();
        let offset = self.write_offset;
        frame.encode(newest.seq, offset, self.program_unit_bytes, &mut write.bytes);
        let bytes = 0..write.bytes.len();
        write.step(Step::Program { offset: self.layout.slot_offset(newest.seq) + u64::from(offset), bytes });
        write.step(Step::Sync);
        Ok(Appending { header: None, steps_before, header_steps: None, evicted: None })
    }

    fn begin_new(&mut self, frame: &Frame, acks: &Acks, write: &mut Write) -> Appending {
        let header = SegmentHeader {
            segment_size_bytes: self.layout.segment_size_bytes,
            segment_count: self.layout.segment_count,
            program_unit_bytes: self.program_unit_bytes,
            segment_seq: self.next_seq(),
            first_record: frame.meta.first_record,
            samples_before: self.samples_total,
            acks: if planted(Bug::AcksNotCarriedForward) { Acks::new() } else { acks.clone() },
            note: if planted(Bug::NoteNotCarriedForward) { Note::new() } else { self.note.clone() },
        };
        let is_first = self.segments.is_empty();
        let evicted = self.next_evicted();
        if evicted.is_some() {
            self.segments.remove(usize::from(planted(Bug::WrongSegmentEvicted)));
        }
        self.is_closed = !planted(Bug::BegunSegmentForgotten);
        let (unit, slot) = (self.program_unit_bytes, self.layout.slot_offset(header.segment_seq));
        let steps_before = write.steps.len();
        write.step(Step::Erase { offset: slot, len_bytes: u64::from(self.layout.segment_size_bytes) });
        write.bytes.extend_from_slice(&header.encode());
        write.bytes.resize(unit as usize, 0);
        let (mut at, mut from, mut header_steps) = (slot, 0, None);
        if is_first {
            // The first header of all goes alone. What a cut leaves of it is then known by the blank room behind.
            write.step(Step::Program { offset: at, bytes: 0..unit as usize });
            write.step(Step::Sync);
            header_steps = Some(write.steps.len());
            (at, from) = (slot + u64::from(unit), unit as usize);
        } else if planted(Bug::HeaderUnitForgotten) {
            write.bytes.truncate(HEADER_BYTES);
        }
        frame.encode(header.segment_seq, unit, unit, &mut write.bytes);
        let bytes = from..write.bytes.len();
        write.step(Step::Program { offset: at, bytes });
        write.step(Step::Sync);
        Appending { header: Some(header), steps_before, header_steps, evicted }
    }

    /// Ends an append with what became of its write.
    ///
    /// After an error nothing has changed but what lies beyond the last frame, or that the oldest segment was given up: it may
    /// be damaged, and is not read any more. Ask again where the next frame [`fits`](Self::fits): not every place can be
    /// written a second time.
    pub fn finish(&mut self, appending: Appending, frame: &Frame, written: Written) -> Result<Appended, RingError> {
        let Written { write, done, failure } = written;
        self.count(&write, done, failure.is_some());
        self.scratch = write.bytes;
        let Appending { header, steps_before, header_steps, evicted } = appending;
        if let (Some(header), Some(header_steps)) = (&header, header_steps)
            && done >= header_steps
        {
            self.segments.push_back(SegmentInfo::from_header(header));
            self.write_offset = self.program_unit_bytes;
        }
        if let Some(failure) = failure {
            self.is_closed |= done >= steps_before && !self.medium.overwrites();
            return Err(failure);
        }
        if let Some(header) = header {
            (self.is_closed, self.passed_over) = (false, 0);
            self.segments.retain(|segment| segment.seq != header.segment_seq);
            self.segments.push_back(SegmentInfo::from_header(&header));
            self.write_offset = self.program_unit_bytes;
            (self.acks, self.written_note) = (header.acks, header.note);
        }
        self.took(frame);
        Ok(Appended { evicted })
    }

    fn count(&self, write: &Write, done: usize, has_failed: bool) {
        let counters = &self.counters;
        for (at, step) in write.steps.iter().enumerate().take(done + usize::from(has_failed)) {
            match step {
                Step::Erase { .. } => counters.flash_erases.add(u64::from(at < done)),
                Step::Sync => counters.flash_syncs.add(1),
                Step::Program { bytes, .. } => {
                    counters.flash_programs.add(1);
                    counters.flash_bytes_written.add(if at < done { bytes.len() as u64 } else { 0 });
                }
            }
        }
    }

    fn took(&mut self, frame: &Frame) {
        let forgotten_bytes = if planted(Bug::PaddingForgotten) { self.program_unit_bytes } else { 0 };
        self.write_offset += frame.padded_bytes(self.program_unit_bytes) as u32 - forgotten_bytes;
        self.next_record = self.next_record.max(frame.meta.end_record());
        if let Some(note) = frame::note_in(&frame.meta, &frame.payload) {
            self.written_note = note;
        } else {
            self.counters.flash_payload_bytes.add(frame.payload.len() as u64);
        }
        self.samples_total += frame.meta.samples();
        recovery::merge_acks(&mut self.acks, &frame.meta.acks);
    }

    /// Takes no further frame into this segment: whoever read it found that it can't be read to its end.
    pub fn seal(&mut self, segment_seq: u64) {
        let is_newest = self.segments.back().is_some_and(|newest| newest.seq == segment_seq);
        self.is_closed |= is_newest && !planted(Bug::DamagedSegmentContinued);
    }

    /// The medium has lost this segment, and what it said in the ring's name if it is the newest one.
    pub fn lose(&mut self, segment_seq: u64) {
        self.seal(segment_seq);
        if self.segments.back().is_some_and(|newest| newest.seq == segment_seq) {
            self.acks.clear();
            self.written_note.clear();
        }
    }

    /// The segments that reach beyond this offset of the medium, oldest first.
    pub fn segments_beyond(&self, offset: u64) -> impl Iterator<Item = SegmentInfo> + '_ {
        let size_bytes = u64::from(self.layout.segment_size_bytes);
        self.segments().filter(move |segment| self.layout.slot_offset(segment.seq) + size_bytes > offset)
    }

    /// Samples written to this segment, whether they can still be read or not.
    pub fn samples_in(&self, segment: SegmentInfo) -> u64 {
        let next = self.segments.iter().find(|other| other.seq > segment.seq);
        next.map_or(self.samples_total, |next| next.samples_before).saturating_sub(segment.samples_before)
    }

    /// First record number that is past this segment.
    pub fn end_of(&self, segment: SegmentInfo) -> u64 {
        let next = self.segments.iter().find(|other| other.seq > segment.seq);
        next.map_or(self.next_record, |next| next.first_record)
    }

    /// Most bytes that the payload and record table of one frame can have.
    pub fn frame_room_bytes(&self) -> usize {
        // Off go the header, the unit for acknowledgements, and what the frame's own header can take.
        self.layout.segment_size_bytes as usize - 2 * self.program_unit_bytes as usize - PROGRAM_UNIT_BYTES
    }
}

/// A full RAM stage of values that nothing makes smaller, and room for labels.
const SCRATCH_BYTES_MAX: usize = 2 * STAGE_BYTES_MAX;

/// A frame that carries the acknowledgements of every endpoint and a note takes one unit, and so does a header.
const _: () = assert!(FRAME_HEADER_BYTES + acks_bytes(ENDPOINTS_MAX) + NOTE_BYTES_MAX <= PROGRAM_UNIT_BYTES);
const _: () = assert!(HEADER_BYTES <= PROGRAM_UNIT_BYTES);
