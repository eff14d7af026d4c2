//! A commit, write by write. The writes are plain data, so that whoever owns the buffer may perform them on another thread.
//!
//! ```text
//!  next_write(now) ─► Some(write) ─► performed, here or on a thread ─► wrote(written, now) ─► next_write(now) ...
//!                └──► None: the commit is complete
//! ```
//!
//! While a write is under way everything else may be called: scrapes enter memory, senders take windows from memory and from
//! the ring, and acknowledge them. What is being written stays in memory until it is known to be on flash. If memory is full
//! before the write has ended, the oldest samples are dropped and counted, and the write counts as failed, whatever it says in
//! the end: its place is written again, without them.

use super::Buffer;
use super::commit::{Encoded, encode};
use super::lane::Lane;
use crate::bugs::{Bug, planted};
use crate::codec::SegmentCodec;
use crate::counters::DropCause;
use crate::limits::STAGE_BYTES_MAX;
use crate::ring::{Appending, Frame, FrameMeta, Medium, Placement, RingError, SegmentInfo, Write, Written};
use std::io;
use std::time::Duration;

/// What is left of the commit under way.
#[derive(Clone, Copy)]
pub(super) enum Commit {
    /// Batches before this record.
    Batches {
        until: u64,
    },
    /// Acknowledgements, if they are due.
    Acks,
    Nothing,
}

/// The write under way, and what is true once it is done.
pub(super) struct Writing {
    appending: Appending,
    frame: Frame,
    /// State of the newest segment after the write; `None` if the write does not change it.
    codec: Option<SegmentCodec>,
    /// In the frame.
    samples: u64,
    /// Records that it writes.
    records: std::ops::Range<u64>,
    /// Some of them were dropped from memory meanwhile.
    is_given_up: bool,
}

impl<M: Medium> Buffer<M> {
    /// Leaves all writes of commits to the owner, who calls [`next_write`](Self::next_write) when
    /// [`commit_due`](Self::commit_due) says so: [`push`](Self::push) never blocks on the medium.
    pub fn write_elsewhere(&mut self) {
        self.is_written_elsewhere = true;
    }

    /// Writes everything to flash that some endpoint lacks and that is in memory only; acknowledgements go with it. If only
    /// these are due, they go alone: what was scraped just now is not to cost flash for their sake.
    ///
    /// What a write budget has no room for stays in memory, or is given up where it has waited too long. After an error
    /// nothing is lost; the call may be made again.
    pub fn commit(&mut self, now: Duration) -> Result<(), RingError> {
        while let Some(write) = self.next_write(now)? {
            let written = self.ring.perform(write);
            self.wrote(written, now)?;
        }
        Ok(())
    }

    /// The next write of the commit; begins one if there is none. `None`: the commit is complete. After an error it has ended, and
    /// the next call begins another. Each write has to be answered by [`wrote`](Self::wrote) before this is called again.
    pub fn next_write(&mut self, now: Duration) -> Result<Option<Write>, RingError> {
        let next = self.begin_next(now);
        if !matches!(next, Ok(Some(_))) {
            self.end_commit(next.is_err(), now);
        }
        next
    }

    /// Takes the outcome of a write.
    pub fn wrote(&mut self, written: Written, now: Duration) -> Result<(), RingError> {
        let before = self.flash_use();
        let finished = self.finish_write(written);
        let after = self.flash_use();
        if after.samples != before.samples {
            self.worked_at = Some(now);
        }
        if let Some(budget) = &mut self.budget {
            budget.charge(now, before, after);
        }
        match &finished {
            // What was acknowledged while the write was under way.
            Ok(()) => self.plan_acks(now, false),
            Err(_) => self.end_commit(true, now),
        }
        finished
    }

    /// Before the process ends, and the last call of all: everything is written, whatever the budget says, and the acknowledgements
    /// wherever they are due. What was in memory only and could not be written is lost, and counted; so is what a sender holds
    /// and the ring has evicted.
    pub fn close(&mut self) -> Result<(), RingError> {
        let committed = self.commit_rest();
        self.end(committed)
    }

    /// All of [`close`](Self::close) but the commit, given how that ended.
    pub(super) fn end(&mut self, committed: Result<(), RingError>) -> Result<(), RingError> {
        self.flash_refuses = committed.is_err();
        while self.forget_oldest(DropCause::Uncommitted) {}
        (0..self.readers.len()).for_each(|sender| self.count_held(sender));
        self.followers.lanes.iter_mut().for_each(Lane::forget_handed_out);
        self.losses.tell_all();
        committed?;
        self.note_losses(None);
        if self.has_ring() && (self.acks_behind() || !self.ring.is_note_written()) {
            let write = self.begin_acks()?;
            self.perform(write)?;
        }
        Ok(())
    }

    fn commit_rest(&mut self) -> Result<(), RingError> {
        while self.uncommitted_from() < self.stage.next_record() {
            let write = self.begin_frame()?;
            self.perform(write)?;
        }
        Ok(())
    }

    fn perform(&mut self, write: Option<Write>) -> Result<(), RingError> {
        let Some(write) = write else { return Ok(()) };
        let written = self.ring.perform(write);
        self.finish_write(written)
    }

    fn begin_next(&mut self, now: Duration) -> Result<Option<Write>, RingError> {
        if self.writing.is_some() {
            return Err(RingError::Bug("a write was begun before the one before it had ended"));
        }
        loop {
            match self.commit {
                None => self.commit = Some(self.begin_commit(now)),
                Some(Commit::Batches { until }) if self.uncommitted_from() < until => {
                    if let Some(write) = self.begin_frame()? {
                        return Ok(Some(write));
                    }
                }
                Some(Commit::Batches { .. }) => {
                    self.release(now.saturating_sub(self.commit_interval.max(super::commit::RETAINED)));
                    self.commit = Some(Commit::Acks);
                }
                Some(Commit::Acks) => {
                    self.commit = Some(Commit::Nothing);
                    let affords_acks = self.budget.as_ref().is_none_or(|budget| budget.affords(now, 0));
                    if affords_acks && self.acks_due.is_some_and(|due| due <= now) {
                        return self.begin_acks();
                    }
                }
                Some(Commit::Nothing) => return Ok(None),
            }
        }
    }

    fn begin_commit(&mut self, now: Duration) -> Commit {
        let acks_are_due = self.acks_due.is_some_and(|due| due <= now);
        let only_acks_are_due = acks_are_due && self.batches_due().is_some_and(|due| due > now);
        let has_room = self.stage.bytes() <= STAGE_BYTES_MAX;
        let is_affordable = !(only_acks_are_due && has_room) && self.make_affordable(now);
        Commit::Batches { until: if is_affordable { self.stage.next_record() } else { 0 } }
    }

    fn end_commit(&mut self, has_failed: bool, now: Duration) {
        self.commit = None;
        self.flash_refuses = has_failed;
        self.losses.tell(now);
    }

    /// `None`: the next record fits into no segment, and is left in memory.
    fn begin_frame(&mut self) -> Result<Option<Write>, RingError> {
        let from = self.uncommitted_from();
        let mut batches = std::mem::take(&mut self.gathered);
        self.gather(from, &mut batches);
        let codec = self.take_codec()?.filter(|_| self.has_room_for_acks());
        let codec = codec.filter(|codec| !self.is_outgrown(codec, &batches));
        let frame = std::mem::take(&mut self.frame);
        let acks = self.acks_beside_records();
        let encoded = encode(&self.ring, frame, codec, from, &batches, acks);
        let tried = batches.len();
        batches.clear();
        self.gathered = batches;
        let Some(Encoded { frame, placement, codec }) = encoded else {
            self.committed_until = from + 1;
            self.stage.mark_too_large(from);
            return Ok(None);
        };
        self.expect_like(frame.meta.sample_counts.len(), tried);
        if planted(Bug::CommittedBeforeSync) {
            self.committed_until = frame.meta.end_record();
        }
        self.begin_append(frame, placement, Some(codec)).map(Some)
    }

    /// `None`: there is no room for acknowledgements alone.
    fn begin_acks(&mut self) -> Result<Option<Write>, RingError> {
        (self.acks_due, self.is_note_wanted) = (None, false);
        self.note_losses(None);
        let meta =
            FrameMeta { first_record: self.ring.next_record(), acks: self.changed_acks(), ..FrameMeta::default() };
        let payload = if self.ring.is_note_written() { Vec::new() } else { self.ring.note().to_vec() };
        let frame = Frame { meta, payload };
        if self.has_room_for_acks() && self.ring.fits(&frame, Placement::Current) {
            return self.begin_append(frame, Placement::Current, None).map(Some);
        }
        let is_needed = |oldest: SegmentInfo| self.followers.is_needed(oldest.first_record..self.ring.end_of(oldest));
        if self.ring.next_evicted().is_some_and(is_needed) {
            return Ok(None);
        }
        self.begin_append(frame, Placement::NewSegment, Some(SegmentCodec::new())).map(Some)
    }

    fn begin_append(
        &mut self,
        frame: Frame,
        placement: Placement,
        codec: Option<SegmentCodec>,
    ) -> Result<Write, RingError> {
        let evicted = if placement == Placement::NewSegment { self.ring.next_evicted() } else { None };
        let cost = evicted.map(|segment| (segment, self.losses(segment)));
        let evicted_records = evicted.map_or(0..0, |segment| segment.first_record..self.ring.end_of(segment));
        if placement == Placement::NewSegment {
            self.note_losses(cost.as_ref().map(|(segment, losses)| (*segment, &losses[..])));
        }
        let acks = self.followers.acks();
        let begun = self.ring.begin(&frame, placement, &acks);
        // A new segment that fails has given up the oldest one all the same.
        if self.ring.next_evicted() != evicted && !planted(Bug::DropNotCounted) {
            self.count_losses(evicted_records, cost.map(|(_, losses)| losses).unwrap_or_default());
        }
        let (appending, write) = begun?;
        let records = frame.meta.first_record..frame.meta.end_record();
        let samples = frame.meta.samples();
        self.writing = Some(Writing { appending, frame, codec, samples, records, is_given_up: false });
        Ok(write)
    }

    fn finish_write(&mut self, written: Written) -> Result<(), RingError> {
        let Some(writing) = self.writing.take() else {
            return Err(RingError::Bug("a write has ended that was not begun"));
        };
        let Writing { appending, frame, codec, samples, records, is_given_up } = writing;
        let written = if is_given_up { written.fail(given_up()) } else { written };
        let has_records = !records.is_empty();
        let is_note_carried = appending.begins_segment() || !has_records;
        let finished = self.ring.finish(appending, &frame, written);
        if finished.is_ok() || planted(Bug::StaleDictionary) {
            self.codec = codec.or(self.codec.take());
        }
        finished?;
        // A note goes with a new segment or with acknowledgements alone.
        if is_note_carried {
            self.loss_note.was_written();
        }
        self.is_note_wanted &= !self.ring.is_note_written();
        self.acks_due = self.acks_due.filter(|_| self.is_note_wanted);
        if has_records {
            self.committed_until = records.end;
            self.counters.samples_committed.add(samples);
            self.frame = frame;
        }
        Ok(())
    }

    /// A record has been dropped from memory.
    pub(super) fn give_up_writing(&mut self, record: u64) {
        if let Some(writing) = &mut self.writing {
            writing.is_given_up |= writing.records.contains(&record);
        }
    }
}

fn given_up() -> RingError {
    let cause = io::Error::new(io::ErrorKind::TimedOut, "the write took so long that memory was full before it ended");
    RingError::Device { doing: "writing", cause }
}
