//! What the ring may and must hold, kept in the simplest way: frames in lists.

use super::{Violation, ensure};
use crate::limits::NOTE_BYTES_MAX;
use crate::model::Note;
use crate::ring::{Ack, Acks, Frame, FrameMeta, Layout, Medium, Placement, Read, Ring, RingError};
use crate::sim::SimFlash;
use std::collections::VecDeque;

pub(super) const ENDPOINTS: usize = 3;

/// A segment whose frames were synced, but for the ghosts.
#[derive(Clone)]
struct Held {
    seq: u64,
    frames: Vec<Frame>,
    /// Left behind by appends that failed before a new segment was started: these may be read, or not.
    ghosts: Vec<Frame>,
    /// Written to it, whether all of them can still be read or not.
    samples: u64,
    /// An append that was to take its place failed.
    given_up: bool,
}

#[derive(Clone)]
pub(super) struct Model {
    layout: Layout,
    segments: VecDeque<Held>,
    /// Appends that failed or were cut, each with its placement; a later one may bring them to light.
    attempts: Vec<(Placement, Frame)>,
    /// What those attempts say at the most.
    attempted_acks: [u64; ENDPOINTS],
    /// The append that is under way gives up this segment: the oldest that can be read, behind one that an unsynced erase hides.
    gives_up: Option<u64>,
    /// Read back after a restart without a power cut: visible, but lost at a cut before the next sync.
    unsynced: Vec<Frame>,
    synced_acks: [u64; ENDPOINTS],
    issued_acks: [u64; ENDPOINTS],
    /// Notes are known by their numbers.
    synced_note: u64,
    issued_note: u64,
    last_note: u64,
    samples: u64,
    /// So many at the least: the rest is in frames that a cut can still take, or only the header of a segment without a frame
    /// tells of it.
    synced_samples: u64,
    /// In frames that a failed append left before the ring went on elsewhere: every endpoint has them, and the ring's
    /// account may be without them.
    ghost_samples: u64,
    /// No synced record has reached this number.
    synced_records: u64,
    /// Erases by slot that belong to appends that were never finished.
    unfinished_erases: Vec<u32>,
}

impl Model {
    pub fn new(layout: Layout) -> Model {
        Model {
            layout,
            segments: VecDeque::new(),
            attempts: Vec::new(),
            attempted_acks: [0; ENDPOINTS],
            gives_up: None,
            unsynced: Vec::new(),
            synced_acks: [0; ENDPOINTS],
            issued_acks: [0; ENDPOINTS],
            synced_note: 0,
            issued_note: 0,
            last_note: 0,
            samples: 0,
            synced_samples: 0,
            ghost_samples: 0,
            synced_records: 0,
            unfinished_erases: vec![0; layout.segment_count as usize],
        }
    }

    /// Some endpoints get on.
    pub fn acknowledge(&mut self, up_to: u64, random: &mut fastrand::Rng) {
        for ack in &mut self.issued_acks {
            if random.u8(..3) == 0 {
                *ack = random.u64(*ack..=up_to.max(*ack));
            }
        }
    }

    pub fn acks(&self) -> Acks {
        (1..).zip(self.issued_acks).map(|(endpoint, next_record)| Ack { endpoint, next_record }).collect()
    }

    /// A note that was never set before.
    pub fn next_note(&mut self) -> Note {
        self.last_note += 1;
        self.issued_note = self.last_note;
        note(self.last_note)
    }

    pub fn begin(&mut self, frame: &Frame, placement: Placement, evicts: Option<u64>) -> Result<(), Violation> {
        self.attempts.push((placement, without_acks(frame)));
        self.attempted_acks = std::array::from_fn(|at| self.attempted_acks[at].max(self.issued_acks[at]));
        if placement == Placement::NewSegment {
            self.gives_up = evicts;
            let oldest = self.segments.iter().find(|held| !held.given_up).map(|held| held.seq);
            ensure(evicts.is_none() || evicts == oldest, "3 synced", || {
                format!("{evicts:?} makes room, not {oldest:?}")
            })?;
        }
        Ok(())
    }

    /// The append returned `Ok`, into this segment.
    pub fn finish(&mut self, placement: Placement, seq: u64, evicted: Option<(u64, u64)>) -> Result<(), Violation> {
        let (_, frame) = self.attempts.pop().expect("begun");
        self.settle_unsynced();
        match placement {
            Placement::Current => self.attempts.retain(|(placement, _)| *placement == Placement::NewSegment),
            Placement::NewSegment => {
                self.evict(seq, evicted)?;
                self.start(seq)?;
            }
        }
        self.samples += frame.meta.samples();
        self.synced_samples = self.samples;
        self.synced_records = self.synced_records.max(frame.meta.end_record());
        self.synced_acks = self.issued_acks;
        if placement == Placement::NewSegment || frame.meta.sample_counts.is_empty() {
            self.synced_note = self.issued_note;
        }
        let held = self.held(seq);
        held.samples += frame.meta.samples();
        if !frame.meta.sample_counts.is_empty() {
            held.frames.push(frame);
        }
        Ok(())
    }

    fn evict(&mut self, seq: u64, evicted: Option<(u64, u64)>) -> Result<(), Violation> {
        let slots = u64::from(self.layout.segment_count);
        let mut expected = None;
        while self.segments.front().is_some_and(|held| held.seq + slots <= seq) {
            let replaced = self.segments.pop_front().filter(|held| !held.given_up);
            expected = replaced.map(|held| (held.seq, held.samples)).or(expected);
        }
        ensure(evicted == expected, "3 synced", || {
            format!(
                "segment {seq} took the place of {expected:?} (number, samples), and {evicted:?} was said to be given up"
            )
        })?;
        self.gives_up = None;
        Ok(())
    }

    fn start(&mut self, seq: u64) -> Result<(), Violation> {
        let attempts = std::mem::take(&mut self.attempts);
        self.attempted_acks = self.issued_acks;
        if let Some(newest) = self.segments.back_mut() {
            let ghosts = attempts.into_iter().filter(|(placement, _)| *placement == Placement::Current);
            newest.ghosts.extend(ghosts.map(|(_, frame)| frame));
        }
        if self.segments.back().is_some_and(|held| held.seq == seq && held.frames.is_empty()) {
            self.segments.pop_back();
        }
        let newest = self.segments.back().map_or(0, |held| held.seq);
        ensure(seq > newest, "6 goes on", || format!("segment number {seq} is used again after {newest}"))
    }

    fn held(&mut self, seq: u64) -> &mut Held {
        let index = self.segments.iter().position(|held| held.seq == seq).unwrap_or_else(|| {
            self.segments.push_back(Held { seq, frames: Vec::new(), ghosts: Vec::new(), samples: 0, given_up: false });
            self.segments.len() - 1
        });
        &mut self.segments[index]
    }

    /// The append failed, or the process ended in it.
    pub fn abandon(&mut self, erased_slot: Option<usize>) {
        if let Some(seq) = self.gives_up.take() {
            self.segments.iter_mut().filter(|held| held.seq == seq).for_each(|held| held.given_up = true);
        }
        if let Some(slot) = erased_slot {
            self.unfinished_erases[slot] += 1;
        }
    }

    fn settle_unsynced(&mut self) {
        for frame in std::mem::take(&mut self.unsynced) {
            self.synced_records = self.synced_records.max(frame.meta.end_record());
        }
    }

    /// After a restart: what was found is what there is. After a power cut all of it is durable.
    pub fn adopt(&mut self, found: &Found, was_cut: bool) {
        // A frame that is hidden now, since a segment began after it, can come to light when that one is begun again.
        let (begun, continued): (Vec<_>, Vec<_>) = std::mem::take(&mut self.attempts)
            .into_iter()
            .partition(|(placement, _)| *placement == Placement::NewSegment);
        self.attempts = begun;
        if let Some(newest) = self.segments.back_mut() {
            newest.ghosts.extend(continued.into_iter().map(|(_, frame)| frame));
        }
        // Without a cut, an erase that was not synced hides a segment: a cut may still bring it back.
        self.segments.retain(|held| found.segments.contains(&held.seq) || !was_cut);
        found.segments.iter().for_each(|seq| _ = self.held(*seq));
        // A segment that a failed append gave up, and counted, can be read again after a restart without a cut; what was to take its
        // place may still reach the medium until something is synced.
        let (mut known, mut back): (Vec<Frame>, Vec<Frame>) = Default::default();
        for held in &mut self.segments {
            let was_given_up = std::mem::replace(&mut held.given_up, !found.segments.contains(&held.seq));
            match held.given_up {
                true => {}
                false if was_given_up && !was_cut => back.append(&mut held.frames),
                false => known.append(&mut held.frames),
            }
        }
        let unsynced = std::mem::take(&mut self.unsynced);
        let was_known = |frame: &Frame| known.contains(frame) && !unsynced.contains(frame);
        for (seq, frame) in &found.frames {
            self.held(*seq).frames.push(frame.clone());
            if !was_known(frame) {
                let is_ghost = found.segments.last() != Some(seq) && !back.contains(frame);
                self.ghost_samples += if is_ghost { frame.meta.samples() } else { 0 };
                self.unsynced.push(frame.clone());
            }
        }
        if let Some(newest) = self.segments.back_mut() {
            newest.samples = newest.frames.iter().map(|frame| frame.meta.samples()).sum();
        }
        self.gives_up = None;
        if was_cut {
            self.settle_unsynced();
            // A segment without a frame is started again: what its header says of acknowledgements, and of samples that were
            // lost before it, can be lost once more.
            if found.frames.last().map(|(seq, _)| seq) == found.segments.last() {
                (self.synced_acks, self.synced_note) = (found.acks, found.note);
                self.synced_samples = found.samples_total;
            }
        }
        (self.issued_acks, self.issued_note) = (found.acks, found.note);
        self.samples = found.samples_total;
    }

    /// Invariants 2, 3 and 4.
    pub fn compare(&self, found: &Found) -> Result<(), Violation> {
        let mut expected = self.expected().into_iter();
        let mut end = 0;
        for (seq, frame) in &found.frames {
            let meta = &frame.meta;
            let place = || format!("records {}..{} in segment {seq}", meta.first_record, meta.end_record());
            ensure(meta.first_record >= end, "2 nothing invented", || format!("{} come after {end}", place()))?;
            end = meta.end_record();
            let passed_over: Vec<(bool, &Frame)> = expected.by_ref().take_while(|(_, f)| *f != frame).collect();
            if let Some((_, lost)) = passed_over.iter().find(|(must, _)| *must) {
                let is_known = self.expected().iter().any(|(_, f)| *f == frame);
                ensure(is_known, "2 nothing invented", || format!("{} were never appended", place()))?;
                return Err(lost_frame(lost));
            }
        }
        match expected.find(|(must, _)| *must) {
            Some((_, lost)) => Err(lost_frame(lost)),
            None => self.compare_rest(found),
        }
    }

    fn compare_rest(&self, found: &Found) -> Result<(), Violation> {
        let is_fresh = |frame: &Frame| !self.segments.iter().any(|held| held.frames.contains(frame));
        let newest = found.segments.last();
        let in_newest = found.frames.iter().filter(|(seq, _)| Some(seq) == newest);
        let fresh: u64 = in_newest.filter(|(_, frame)| is_fresh(frame)).map(|(_, frame)| frame.meta.samples()).sum();
        // A whole frame behind a torn one that was never confirmed counts as written. The first of a segment has none before it.
        let is_hidden = |frame: &Frame| !found.frames.iter().any(|(_, found)| found == frame);
        let behind =
            self.attempts.iter().filter(|(placement, frame)| *placement == Placement::Current && is_hidden(frame));
        let hidden: u64 = behind.map(|(_, frame)| frame.meta.samples()).sum();
        let total = found.samples_total;
        ensure(
            (self.synced_samples..=self.samples + fresh + self.ghost_samples + hidden).contains(&total),
            "3 synced",
            || format!("{total} samples were written by the ring's account, by ours {} and {fresh}", self.samples),
        )?;
        for (endpoint, ack) in found.acks.iter().enumerate() {
            let range = self.synced_acks[endpoint]..=self.issued_acks[endpoint].max(self.attempted_acks[endpoint]);
            ensure(range.contains(ack), "4 acks", || {
                format!("endpoint {endpoint} is at {ack}, which is not in {range:?}")
            })?;
        }
        ensure((self.synced_note..=self.last_note).contains(&found.note), "4 acks", || {
            format!("note {} is found, synced was {}, set {}", found.note, self.synced_note, self.last_note)
        })?;
        ensure(found.next_record >= self.synced_records, "6 goes on", || {
            format!("record number {} would be used again", found.next_record)
        })
    }

    /// Every frame that may be read, in order, and whether it must be.
    fn expected(&self) -> Vec<(bool, &Frame)> {
        let mut expected = Vec::new();
        for held in &self.segments {
            let is_kept = !held.given_up && self.gives_up != Some(held.seq);
            let is_synced = |frame: &Frame| is_kept && !self.unsynced.contains(frame);
            expected.extend(held.frames.iter().map(|frame| (is_synced(frame), frame)));
            expected.extend(held.ghosts.iter().map(|frame| (false, frame)));
        }
        expected.extend(self.attempts.iter().map(|(_, frame)| (false, frame)));
        expected
    }

    /// Invariant 7: every slot was erased once a lap, and once more for each append into it that was never finished.
    pub fn check_wear(&self, flash: &SimFlash, newest_seq: u64) -> Result<(), Violation> {
        let slots = u64::from(self.layout.segment_count);
        for slot in 0..slots {
            let laps = (newest_seq + slots - slot) / slots - u64::from(slot == 0);
            let erases = u64::from(flash.erases_at(slot * u64::from(self.layout.segment_size_bytes)));
            let unfinished = u64::from(self.unfinished_erases[slot as usize]);
            ensure((laps..=laps + unfinished).contains(&erases), "7 even wear", || {
                format!("slot {slot} was erased {erases} times in {laps} laps; {unfinished} times an append failed")
            })?;
        }
        Ok(())
    }
}

pub(super) fn without_acks(frame: &Frame) -> Frame {
    Frame { meta: FrameMeta { acks: Acks::new(), ..frame.meta.clone() }, payload: frame.payload.clone() }
}

fn lost_frame(frame: &Frame) -> Violation {
    let meta = &frame.meta;
    Violation::new("3 synced", format!("records {}..{} are lost", meta.first_record, meta.end_record()))
}

/// A note by its number, none of which is as long as the one before; the first is none.
pub(super) fn note(number: u64) -> Note {
    let len = if number == 0 { 0 } else { 8 + (number * 37 % (NOTE_BYTES_MAX as u64 - 7)) as usize };
    number.to_le_bytes().into_iter().cycle().take(len).collect()
}

/// The number of a note; `u64::MAX` if none has it.
pub(super) fn number_of(found: &[u8]) -> u64 {
    let number = found.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    if note(number) == found { number } else { u64::MAX }
}

/// All that can be learnt of an opened ring.
#[derive(Clone, PartialEq)]
pub(super) struct Found {
    pub segments: Vec<u64>,
    pub frames: Vec<(u64, Frame)>,
    pub acks: [u64; ENDPOINTS],
    pub note: u64,
    pub next_record: u64,
    pub samples_total: u64,
}

impl Found {
    pub fn of<M: Medium>(ring: &Ring<M>, samples_total: u64) -> Result<Found, RingError> {
        let (mut frames, mut bytes, mut at) = (Vec::new(), Vec::new(), ring.find(0));
        while let Some(here) = at {
            at = match ring.read(here, &mut bytes)? {
                Read::Frame { meta, payload_at, next } => {
                    // Frames of acknowledgements alone are told of by the acknowledgements.
                    if !meta.sample_counts.is_empty() {
                        let meta = FrameMeta { acks: Acks::new(), ..meta };
                        frames.push((here.segment_seq, Frame { meta, payload: bytes[payload_at..].to_vec() }));
                    }
                    Some(next)
                }
                Read::EndOfSegment { next } => Some(next),
                Read::EndOfRing => None,
            };
        }
        let ack = |endpoint: usize| ring.acks().iter().find(|ack| ack.endpoint == endpoint as u64 + 1);
        Ok(Found {
            segments: ring.segments().map(|segment| segment.seq).collect(),
            frames,
            acks: std::array::from_fn(|endpoint| ack(endpoint).map_or(0, |ack| ack.next_record)),
            note: number_of(ring.note()),
            next_record: ring.next_record(),
            samples_total,
        })
    }
}
