//! From memory to flash: what is written, when, and what has to make room for it.

use super::Buffer;
use super::budget::FlashUse;
use super::split::admits;
use super::stage::{Stage, held_bytes};
use crate::bugs::{Bug, planted};
use crate::codec::SegmentCodec;
use crate::counters::DropCause;
use crate::limits::{ENDPOINTS_MAX, FRAME_RECORDS_MAX, STAGE_BYTES_MAX, STAGE_BYTES_PRESSING};
use crate::model::ScrapeBatch;
use crate::ring::{Ack, Acks, Frame, Medium, Placement, Read, Ring, RingError};
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

    pub(super) fn batches_due(&self) -> Option<Duration> {
        let oldest = self.stage.entered(self.uncommitted_from());
        oldest.map(|entered| match &self.budget {
            _ if self.is_commit_pressing() => entered,
            None => entered + self.commit_interval,
            Some(budget) => budget.due(entered, entered + self.commit_interval, self.uncommitted_samples()),
        })
    }

    /// Whether so much is in memory only that a commit must not wait for its time. Whoever has [`push`](Self::push) write asks
    /// for no such thing.
    fn is_commit_pressing(&self) -> bool {
        self.is_written_elsewhere
            && self.stage.bytes() > STAGE_BYTES_PRESSING
            && self.stage.bytes_from(self.uncommitted_from()) > STAGE_BYTES_PRESSING
    }

    /// Whether the budget has room for what is in memory only. What has waited too long is dropped, oldest first, until it has.
    pub(super) fn make_affordable(&mut self, now: Duration) -> bool {
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

    pub(super) fn flash_use(&self) -> FlashUse {
        FlashUse {
            bytes: self.counters.flash_bytes_written.get(),
            programs: self.counters.flash_programs.get(),
            payload_bytes: self.counters.flash_payload_bytes.get(),
            samples: self.counters.samples_committed.get(),
        }
    }

    pub(super) fn uncommitted_samples(&self) -> u64 {
        self.stage.from(self.uncommitted_from()).map(|(_, batch)| batch.len() as u64).sum()
    }

    /// Lets committed batches go that came no later than `entered`.
    pub(super) fn release(&mut self, entered: Duration) {
        let may_go = |stage: &Stage| stage.entered(stage.first_record()).is_some_and(|oldest| oldest <= entered);
        while self.stage.first_record() < self.committed_until && may_go(&self.stage) {
            self.forget_oldest(DropCause::StageFull);
        }
    }

    pub(super) fn uncommitted_from(&self) -> u64 {
        self.followers.next_needed(self.committed_until.max(self.stage.first_record()))
    }

    /// Batches for the next frame: no more than may come back from one, in number, in bytes and in bytes of labels.
    pub(super) fn gather(&self, from: u64, batches: &mut Vec<Rc<ScrapeBatch>>) {
        let (mut bytes, mut label_bytes) = (0, 0);
        batches.clear();
        for (_, batch) in self.stage.from(from).take(self.frame_records) {
            bytes += held_bytes(batch);
            let is_too_much = bytes > STAGE_BYTES_MAX && !batches.is_empty();
            if is_too_much || !admits(batches, &mut label_bytes, batch) {
                return;
            }
            batches.push(batch.clone());
        }
    }

    /// Frames after this one are tried with about as many records: where segments are small beside what memory holds, all of
    /// it would be encoded for each of them.
    pub(super) fn expect_like(&mut self, fitted: usize, tried: usize) {
        if fitted < tried {
            self.frame_records = (2 * fitted).min(FRAME_RECORDS_MAX);
        } else if tried == self.frame_records {
            self.frame_records = (2 * tried).min(FRAME_RECORDS_MAX);
        }
    }

    /// State of the newest segment, read back from flash where it is not at hand. `None`: it can't be continued, and a new
    /// one begins. Storage that can't be read at all is an error, since it may come back.
    pub(super) fn take_codec(&mut self) -> Result<Option<SegmentCodec>, RingError> {
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

    /// Acknowledgements for a frame with records, which has no room for the note.
    pub(super) fn acks_beside_records(&mut self) -> Acks {
        if self.has_unwritten_losses() {
            self.is_note_wanted = true;
            return Acks::new();
        }
        self.changed_acks()
    }

    /// Acknowledgements that differ from what the ring on flash says.
    pub(super) fn changed_acks(&self) -> Acks {
        let mut acks = self.followers.acks();
        acks.retain(|ack| !self.ring.acks().contains(ack));
        acks
    }

    /// Whether the ring on flash has every acknowledgement.
    #[cfg(any(test, feature = "sim"))]
    pub fn has_written_acks(&self) -> bool {
        self.changed_acks().is_empty()
    }

    /// Whether the newest segment can tell of these lanes. After the configuration has changed it may know numbers of so many
    /// others that there is no room for more; the header of a new one has those of the present lanes only.
    pub(super) fn has_room_for_acks(&self) -> bool {
        let known = self.ring.acks();
        let is_new = |ack: &&Ack| known.iter().all(|other| other.endpoint != ack.endpoint);
        known.len() + self.followers.acks().iter().filter(is_new).count() <= ENDPOINTS_MAX
    }

    /// Whether a restart would send again what is known to be delivered.
    pub(super) fn acks_behind(&self) -> bool {
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
