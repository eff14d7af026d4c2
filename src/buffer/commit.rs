//! From memory to flash: what is written, when, and what has to make room for it.

use super::Buffer;
use super::budget::FlashUse;
use super::lane::Lane;
use super::split::admits;
use super::stage::Stage;
use crate::bugs::{Bug, planted};
use crate::codec::SegmentCodec;
use crate::counters::DropCause;
use crate::limits::{ENDPOINTS_MAX, FRAME_RECORDS_MAX, STAGE_BYTES_MAX};
use crate::model::ScrapeBatch;
use crate::ring::{Ack, Acks, Frame, FrameMeta, Medium, Placement, Read, Ring, RingError, SegmentInfo};
use std::rc::Rc;
use std::time::Duration;

/// How often acknowledgements alone are written. Losing them costs repeats on the uplink, never samples.
const ACKS_INTERVAL: Duration = Duration::from_secs(30);

/// How long batches stay in memory after they were committed, at the least: endpoints that keep up take them from there.
pub(crate) const RETAINED: Duration = Duration::from_secs(15);

impl<M: Medium> Buffer<M> {
    /// When [`commit`](Self::commit) is to be called next, on the monotonic clock. `None`: flash needs nothing.
    pub fn commit_due(&self) -> Option<Duration> {
        let affordable_at = |due: Duration| self.budget.as_ref().map_or(due, |budget| due.max(budget.affordable_at(0)));
        [self.batches_due(), self.acks_due.map(affordable_at)].into_iter().flatten().min()
    }

    fn batches_due(&self) -> Option<Duration> {
        let oldest = self.stage.entered(self.uncommitted_from());
        oldest.map(|entered| match &self.budget {
            None => entered + self.commit_interval,
            Some(budget) => budget.due(entered, entered + self.commit_interval, self.uncommitted_samples()),
        })
    }

    /// Writes everything to flash that some endpoint lacks and that is in memory only; acknowledgements go with it. If only
    /// these are due, they go alone: what was scraped just now is not to cost flash for their sake.
    ///
    /// What a write budget has no room for stays in memory, or is dropped where it has waited too long. After an error
    /// nothing is lost; the call may be made again.
    pub fn commit(&mut self, now: Duration) -> Result<(), RingError> {
        let before = self.flash_use();
        let committed = self.commit_affordable(now);
        let after = self.flash_use();
        if after.samples != before.samples {
            self.worked_at = Some(now);
        }
        if let Some(budget) = &mut self.budget {
            budget.charge(now, before, after);
        }
        self.flash_refuses = committed.is_err();
        self.losses.tell(now);
        committed
    }

    fn commit_affordable(&mut self, now: Duration) -> Result<(), RingError> {
        let acks_are_due = self.acks_due.is_some_and(|due| due <= now);
        let only_acks_are_due = acks_are_due && self.batches_due().is_some_and(|due| due > now);
        let has_room = self.stage.bytes() <= STAGE_BYTES_MAX;
        if !(only_acks_are_due && has_room) && self.make_affordable(now) {
            self.commit_batches()?;
        }
        self.release(now.saturating_sub(self.commit_interval.max(RETAINED)));
        let affords_acks = self.budget.as_ref().is_none_or(|budget| budget.affords(now, 0));
        if affords_acks && self.acks_due.is_some_and(|due| due <= now) {
            self.write_acks()?;
        }
        Ok(())
    }

    /// Before the process ends, and the last call of all: everything is written, whatever the budget says, and the acknowledgements
    /// wherever they are due. What was in memory only and could not be written is lost, and counted; so is what a sender holds
    /// and the ring has evicted.
    pub fn close(&mut self) -> Result<(), RingError> {
        let committed = self.commit_batches();
        self.flash_refuses = committed.is_err();
        while self.forget_oldest(DropCause::Uncommitted) {}
        (0..self.readers.len()).for_each(|sender| self.count_held(sender));
        self.followers.lanes.iter_mut().for_each(Lane::forget_handed_out);
        self.losses.tell_all();
        committed?;
        self.note_losses(None);
        if self.acks_behind() || !self.ring.is_note_written() { self.write_acks() } else { Ok(()) }
    }

    fn commit_batches(&mut self) -> Result<(), RingError> {
        while self.uncommitted_from() < self.stage.next_record() {
            self.commit_frame()?;
        }
        Ok(())
    }

    /// Whether the budget has room for what is in memory only. What has waited too long is dropped, oldest first, until it has.
    fn make_affordable(&mut self, now: Duration) -> bool {
        let Some(budget) = &self.budget else { return true };
        let (from, samples) = (self.uncommitted_from(), self.uncommitted_samples());
        let is_too_old = self.stage.entered(from).is_some_and(|oldest| budget.is_too_old(now, oldest));
        if budget.affords(now, samples) || !is_too_old {
            return budget.affords(now, samples);
        }
        while self.stage.first_record() < from && self.forget_oldest(DropCause::StageFull) {}
        let Some(budget) = &self.budget else { return true };
        let (mut until, mut left) = (from, samples);
        for (record, batch) in self.stage.from(from) {
            if budget.affords(now, left) {
                break;
            }
            left -= batch.len() as u64;
            until = record + 1;
            self.drop_record(record, batch, DropCause::WriteBudget);
        }
        self.stage.drop_before(until);
        self.committed_until = until;
        left > 0
    }

    fn flash_use(&self) -> FlashUse {
        FlashUse {
            bytes: self.counters.flash_bytes_written.get(),
            programs: self.counters.flash_programs.get(),
            payload_bytes: self.counters.flash_payload_bytes.get(),
            samples: self.counters.samples_committed.get(),
        }
    }

    fn uncommitted_samples(&self) -> u64 {
        self.stage.from(self.uncommitted_from()).map(|(_, batch)| batch.len() as u64).sum()
    }

    /// Lets committed batches go that came no later than `entered`.
    fn release(&mut self, entered: Duration) {
        let may_go = |stage: &Stage| stage.entered(stage.first_record()).is_some_and(|oldest| oldest <= entered);
        while self.stage.first_record() < self.committed_until && may_go(&self.stage) {
            self.forget_oldest(DropCause::StageFull);
        }
    }

    pub(super) fn uncommitted_from(&self) -> u64 {
        self.followers.next_needed(self.committed_until.max(self.stage.first_record()))
    }

    fn commit_frame(&mut self) -> Result<(), RingError> {
        let from = self.uncommitted_from();
        let mut batches = std::mem::take(&mut self.gathered);
        self.gather(from, &mut batches);
        let codec = self.take_codec()?.filter(|_| self.has_room_for_acks());
        let codec = codec.filter(|codec| !self.is_outgrown(codec, &batches));
        let frame = std::mem::take(&mut self.frame);
        let acks = self.acks_beside_records();
        let encoded = encode(&self.ring, frame, codec, from, &batches, acks);
        let Some(Encoded { frame, placement, codec }) = encoded else {
            self.committed_until = from + 1;
            self.stage.mark_too_large(from);
            return Ok(());
        };
        self.expect_like(frame.meta.sample_counts.len(), batches.len());
        let (records, samples) = (frame.meta.end_record(), frame.meta.samples());
        if planted(Bug::CommittedBeforeSync) {
            self.committed_until = records;
        }
        let appended = self.append(&frame, placement);
        if appended.is_ok() || planted(Bug::StaleDictionary) {
            self.codec = Some(codec);
        }
        appended?;
        self.committed_until = records;
        self.counters.samples_committed.add(samples);
        batches.clear();
        (self.frame, self.gathered) = (frame, batches);
        Ok(())
    }

    /// Batches for the next frame: no more than may come back from one, in number and in bytes of labels.
    pub(super) fn gather(&self, from: u64, batches: &mut Vec<Rc<ScrapeBatch>>) {
        let mut label_bytes = 0;
        batches.clear();
        for (_, batch) in self.stage.from(from).take(self.frame_records) {
            if !admits(batches, &mut label_bytes, batch) {
                return;
            }
            batches.push(batch.clone());
        }
    }

    /// Frames after this one are tried with about as many records: where segments are small beside what memory holds, all of
    /// it would be encoded for each of them.
    fn expect_like(&mut self, fitted: usize, tried: usize) {
        if fitted < tried {
            self.frame_records = (2 * fitted).min(FRAME_RECORDS_MAX);
        } else if tried == self.frame_records {
            self.frame_records = (2 * tried).min(FRAME_RECORDS_MAX);
        }
    }

    /// State of the newest segment, read back from flash where it is not at hand. `None`: it can't be continued, and a new
    /// one begins. Storage that can't be read at all is an error, since it may come back.
    fn take_codec(&mut self) -> Result<Option<SegmentCodec>, RingError> {
        if let Some(codec) = self.codec.take() {
            return Ok(Some(codec));
        }
        let Some(mut at) = self.ring.newest() else { return Ok(None) };
        let (mut codec, mut bytes, mut batches) = (SegmentCodec::new(), Vec::new(), Vec::new());
        loop {
            let (meta, payload_at, next) = match self.ring.read(at, &mut bytes) {
                Ok(Read::Frame { meta, payload_at, next }) => (meta, payload_at, next),
                Ok(Read::EndOfSegment { .. } | Read::EndOfRing) => break,
                Err(error) if !self.ring.can_be_read_elsewhere(at) => return Err(error),
                Err(error) => {
                    log::error!("the newest segment of the ring is not continued: {error}");
                    break;
                }
            };
            batches.clear();
            if !meta.sample_counts.is_empty()
                && let Err(error) = codec.decode(&bytes[payload_at..], &self.table, &mut batches)
            {
                log::error!("the newest segment of the ring is not continued: {error}");
                break;
            }
            at = next;
        }
        let is_damaged = self.ring.is_written(at);
        if is_damaged {
            self.ring.seal(at.segment_seq);
        }
        Ok(Some(codec).filter(|_| !is_damaged))
    }

    fn append(&mut self, frame: &Frame, placement: Placement) -> Result<(), RingError> {
        let evicted = if placement == Placement::NewSegment { self.ring.next_evicted() } else { None };
        let cost = evicted.map(|segment| (segment, self.losses(segment)));
        let records = evicted.map_or(0..0, |segment| segment.first_record..self.ring.end_of(segment));
        if placement == Placement::NewSegment {
            self.note_losses(cost.as_ref().map(|(segment, losses)| (*segment, &losses[..])));
        }
        let acks = self.followers.acks();
        let appended = self.ring.append(frame, placement, &acks);
        // A new segment that failed has evicted the oldest one all the same.
        if self.ring.next_evicted() != evicted && !planted(Bug::DropNotCounted) {
            self.count_losses(records, cost.map(|(_, losses)| losses).unwrap_or_default());
        }
        appended?;
        // A note goes with a new segment or with acknowledgements alone.
        if placement == Placement::NewSegment || frame.meta.sample_counts.is_empty() {
            self.loss_note.was_written();
        }
        self.is_note_wanted &= !self.ring.is_note_written();
        self.acks_due = self.acks_due.filter(|_| self.is_note_wanted);
        Ok(())
    }

    /// Acknowledgements for a frame with records, which has no room for the note.
    fn acks_beside_records(&mut self) -> Acks {
        if self.has_unwritten_losses() {
            self.is_note_wanted = true;
            return Acks::new();
        }
        self.changed_acks()
    }

    /// Acknowledgements that differ from what the ring on flash says.
    fn changed_acks(&self) -> Acks {
        let mut acks = self.followers.acks();
        acks.retain(|ack| !self.ring.acks().contains(ack));
        acks
    }

    /// Whether the newest segment can tell of these lanes. After the configuration has changed it may know numbers of so many
    /// others that there is no room for more; the header of a new one has those of the present lanes only.
    fn has_room_for_acks(&self) -> bool {
        let known = self.ring.acks();
        let is_new = |ack: &&Ack| known.iter().all(|other| other.endpoint != ack.endpoint);
        known.len() + self.followers.acks().iter().filter(is_new).count() <= ENDPOINTS_MAX
    }

    /// Whether a restart would send again what is known to be delivered.
    fn acks_behind(&self) -> bool {
        let on_flash = self.ring.next_record();
        self.changed_acks().iter().any(|ack| {
            let known = self.ring.acks().iter().find(|known| known.endpoint == ack.endpoint);
            known.is_none_or(|known| known.next_record < ack.next_record.min(on_flash))
        }) && on_flash > 0
    }

    /// After an acknowledgement. The one that ends a backlog is written at once: else a process that is killed soon after would
    /// send all of the backlog again.
    pub(super) fn plan_acks(&mut self, now: Duration, has_drained: bool) {
        if self.acks_behind() && has_drained {
            self.plan_acks_at(now);
        } else if self.acks_behind() {
            self.plan_acks_alone(now);
        }
    }

    pub(super) fn plan_acks_alone(&mut self, now: Duration) {
        self.plan_acks_at(now + self.commit_interval.max(ACKS_INTERVAL));
    }

    /// Acknowledgements alone are written then, or before.
    pub(super) fn plan_acks_at(&mut self, due: Duration) {
        self.acks_due = Some(self.acks_due.map_or(due, |known| known.min(due)));
    }

    fn write_acks(&mut self) -> Result<(), RingError> {
        (self.acks_due, self.is_note_wanted) = (None, false);
        self.note_losses(None);
        let meta =
            FrameMeta { first_record: self.ring.next_record(), acks: self.changed_acks(), ..FrameMeta::default() };
        let payload = if self.ring.is_note_written() { Vec::new() } else { self.ring.note().to_vec() };
        let frame = Frame { meta, payload };
        if self.has_room_for_acks() && self.ring.fits(&frame, Placement::Current) {
            return self.append(&frame, Placement::Current);
        }
        let is_needed = |oldest: SegmentInfo| self.followers.is_needed(oldest.first_record..self.ring.end_of(oldest));
        if !self.ring.next_evicted().is_some_and(is_needed) {
            self.append(&frame, Placement::NewSegment)?;
            self.codec = Some(SegmentCodec::new());
        }
        Ok(())
    }
}

/// A frame, where it goes, and the state of its segment once it is there.
pub(super) struct Encoded {
    pub frame: Frame,
    pub placement: Placement,
    pub codec: SegmentCodec,
}

/// As many of these batches as fit into one frame, written over `frame`: with `acks` after what `codec` has written, else in a new segment.
/// `None`: not even the first fits into an empty segment.
pub(super) fn encode<M: Medium>(
    ring: &Ring<M>,
    mut frame: Frame,
    codec: Option<SegmentCodec>,
    first_record: u64,
    batches: &[Rc<ScrapeBatch>],
    acks: Acks,
) -> Option<Encoded> {
    let mut kept = None;
    if let Some(mut codec) = codec {
        fill(&mut frame, &mut codec, first_record, batches, acks);
        if ring.fits(&frame, Placement::Current) {
            return Some(Encoded { frame, placement: Placement::Current, codec });
        }
        kept = Some(codec).filter(|_| planted(Bug::DictionaryKeptOverSegments));
    }
    let mut count = batches.len();
    while count > 0 {
        let mut codec = kept.take().unwrap_or_default();
        fill(&mut frame, &mut codec, first_record, &batches[..count], Acks::new());
        if ring.fits(&frame, Placement::NewSegment) {
            return Some(Encoded { frame, placement: Placement::NewSegment, codec });
        }
        count = fewer(count, frame.payload.len().max(1), ring.frame_room_bytes());
    }
    None
}

fn fill(frame: &mut Frame, codec: &mut SegmentCodec, first_record: u64, batches: &[Rc<ScrapeBatch>], acks: Acks) {
    frame.payload.clear();
    codec.encode(batches, &mut frame.payload);
    frame.meta.first_record = first_record;
    frame.meta.acks = acks;
    frame.meta.sample_counts.clear();
    frame.meta.sample_counts.extend(batches.iter().map(|batch| batch.len() as u32));
}

/// How many records to try after so many took more bytes than there is room for. Fewer take a little more than their
/// share, as the first one brings in the labels.
fn fewer(records: usize, bytes: usize, room_bytes: usize) -> usize {
    let share = records as u64 * room_bytes as u64 * 15 / (bytes as u64 * 16);
    (share as usize).max(1).min(records - 1)
}
