//! From memory to flash: what is written, when, and what has to make room for it.

use super::{Buffer, cursor};
use crate::bugs::{Bug, planted};
use crate::codec::SegmentCodec;
use crate::counters::DropCause;
use crate::limits::{ENDPOINTS_MAX, FRAME_RECORDS_MAX};
use crate::model::ScrapeBatch;
use crate::ring::{Acks, Frame, FrameMeta, FramePosition, Medium, Placement, Read, RingError, SegmentInfo};
use std::rc::Rc;
use std::time::Duration;

/// How often acknowledgements alone are written. Losing them costs repeats on the uplink, never samples.
const ACKS_INTERVAL: Duration = Duration::from_secs(30);

/// How long batches stay in memory after they were committed, at the least: endpoints that keep up take them from there.
const RETAINED: Duration = Duration::from_secs(15);

impl<M: Medium> Buffer<M> {
    /// When [`commit`](Self::commit) is to be called next, on the monotonic clock. `None`: flash needs nothing.
    pub fn commit_due(&self) -> Option<Duration> {
        let oldest = self.stage.entered(self.uncommitted_from());
        let batches_due = oldest.map(|entered| entered + self.commit_interval);
        [batches_due, self.acks_due].into_iter().flatten().min()
    }

    /// Writes everything to flash that some endpoint lacks and that is in memory only; acknowledgements go with it.
    ///
    /// After an error nothing is lost; the call may be made again.
    pub fn commit(&mut self, now: Duration) -> Result<(), RingError> {
        while self.uncommitted_from() < self.stage.next_record() {
            self.commit_frame()?;
        }
        self.stage.release(self.committed_until, now.saturating_sub(self.commit_interval.max(RETAINED)));
        if self.acks_due.is_some_and(|due| due <= now) {
            self.write_acks()?;
        }
        Ok(())
    }

    /// Before the process ends: as [`commit`](Self::commit), and the acknowledgements are written wherever they are due.
    pub fn close(&mut self) -> Result<(), RingError> {
        self.commit(Duration::ZERO)?;
        if self.acks_behind() { self.write_acks() } else { Ok(()) }
    }

    fn uncommitted_from(&self) -> u64 {
        self.committed_until.max(self.first_lacking()).max(self.stage.first_record())
    }

    fn commit_frame(&mut self) -> Result<(), RingError> {
        let from = self.uncommitted_from();
        let batches: Vec<_> = self.stage.from(from).take(FRAME_RECORDS_MAX).map(|(_, batch)| batch.clone()).collect();
        let Some(Encoded { frame, placement, codec }) = self.encode(from, &batches)? else {
            self.committed_until = from + 1;
            self.drop_record(from, batches[0].len() as u64, DropCause::TooLarge);
            return Ok(());
        };
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
        Ok(())
    }

    /// As many of these batches as fit into one frame. `None`: not even the first fits into an empty segment.
    fn encode(&mut self, first_record: u64, batches: &[Rc<ScrapeBatch>]) -> Result<Option<Encoded>, RingError> {
        if let Some(mut codec) = self.take_codec()? {
            let frame = frame_of(&mut codec, first_record, batches, self.changed_acks());
            if self.ring.fits(&frame, Placement::Current) {
                return Ok(Some(Encoded { frame, placement: Placement::Current, codec }));
            }
        }
        let mut count = batches.len();
        while count > 0 {
            let mut codec = SegmentCodec::new();
            let frame = frame_of(&mut codec, first_record, &batches[..count], Acks::new());
            if self.ring.fits(&frame, Placement::NewSegment) {
                return Ok(Some(Encoded { frame, placement: Placement::NewSegment, codec }));
            }
            count /= 2;
        }
        Ok(None)
    }

    /// State of the newest segment, read back from flash where it is not at hand. `None`: it can't be continued.
    fn take_codec(&mut self) -> Result<Option<SegmentCodec>, RingError> {
        if let Some(codec) = self.codec.take() {
            return Ok(Some(codec));
        }
        let Some(mut at) = self.ring.newest() else { return Ok(None) };
        let (mut codec, mut bytes, mut batches) = (SegmentCodec::new(), Vec::new(), Vec::new());
        while let Read::Frame { meta, payload_at, next } = self.ring.read(at, &mut bytes)? {
            batches.clear();
            if !meta.sample_counts.is_empty()
                && let Err(error) = codec.decode(&bytes[payload_at..], &self.table, &mut batches)
            {
                log::warn!("the newest segment of the ring is not continued: {error}");
                return Ok(None);
            }
            at = next;
        }
        Ok(Some(codec))
    }

    fn append(&mut self, frame: &Frame, placement: Placement) -> Result<(), RingError> {
        let evicted = if placement == Placement::NewSegment { self.ring.next_evicted() } else { None };
        let losses = evicted.map(|segment| self.losses(segment));
        let acks = cursor::acks(&self.cursors);
        let appended = self.ring.append(frame, placement, &acks);
        // A new segment that failed has given up the oldest one all the same.
        if self.ring.next_evicted() != evicted && !planted(Bug::DropNotCounted) {
            self.count_losses(losses.unwrap_or_default());
        }
        appended?;
        self.acks_due = None;
        Ok(())
    }

    fn count_losses(&self, losses: Vec<Loss>) {
        let counted = if planted(Bug::DropCountedOnce) { 1 } else { ENDPOINTS_MAX };
        for (index, loss) in losses.into_iter().enumerate().take(counted) {
            let counters = self.counters.endpoint(index);
            counters.drop_samples(DropCause::RingFull, loss.readable);
            counters.drop_samples(DropCause::RingDamaged, loss.unreadable);
            if loss.readable + loss.unreadable > 0 {
                log::warn!(
                    "the ring is full: {} samples that endpoint {} lacked were given up; make buffer.size larger to outlast longer outages",
                    loss.readable + loss.unreadable,
                    index + 1
                );
            }
        }
    }

    /// What giving up this segment costs each endpoint.
    fn losses(&self, segment: SegmentInfo) -> Vec<Loss> {
        let mut losses = vec![Loss::default(); self.cursors.len()];
        let end_record = self.ring.end_of(segment);
        if !self.cursors.iter().any(|cursor| cursor.lacks(end_record.saturating_sub(1))) {
            return losses;
        }
        let mut readable = 0;
        let (mut at, mut bytes) = (FramePosition::start_of(segment), Vec::new());
        while let Ok(Read::Frame { meta, next, .. }) = self.ring.read(at, &mut bytes) {
            readable += meta.samples();
            for (record, samples) in (meta.first_record..).zip(&meta.sample_counts) {
                for (cursor, loss) in self.cursors.iter().zip(&mut losses) {
                    loss.readable += if cursor.lacks(record) { u64::from(*samples) } else { 0 };
                }
            }
            at = next;
        }
        let unreadable = self.ring.samples_in(segment).saturating_sub(readable);
        for (cursor, loss) in self.cursors.iter().zip(&mut losses) {
            let was_read_past = cursor.next_record.max(cursor.handed_out) >= end_record;
            loss.unreadable = if was_read_past { 0 } else { unreadable };
        }
        losses
    }

    /// Acknowledgements that differ from what the ring on flash says.
    fn changed_acks(&self) -> Acks {
        let mut acks = cursor::acks(&self.cursors);
        acks.retain(|ack| !self.ring.acks().contains(ack));
        acks
    }

    /// Whether a restart would send again what is known to be delivered.
    fn acks_behind(&self) -> bool {
        let on_flash = self.ring.next_record();
        self.changed_acks().iter().any(|ack| {
            let known = self.ring.acks().iter().find(|known| known.endpoint == ack.endpoint);
            known.is_none_or(|known| known.next_record < ack.next_record.min(on_flash))
        }) && on_flash > 0
    }

    /// After an acknowledgement.
    pub(super) fn plan_acks(&mut self, now: Duration) {
        if self.acks_due.is_none() && self.acks_behind() {
            self.acks_due = Some(now + self.commit_interval.max(ACKS_INTERVAL));
        }
    }

    fn write_acks(&mut self) -> Result<(), RingError> {
        self.acks_due = None;
        let meta =
            FrameMeta { first_record: self.ring.next_record(), acks: self.changed_acks(), ..FrameMeta::default() };
        let frame = Frame { meta, payload: Vec::new() };
        if self.ring.fits(&frame, Placement::Current) {
            return self.append(&frame, Placement::Current);
        }
        let needed_from = self.first_lacking();
        if self.ring.next_evicted().is_none_or(|oldest| self.ring.end_of(oldest) <= needed_from) {
            self.append(&frame, Placement::NewSegment)?;
            if !planted(Bug::DictionaryKeptOverSegments) {
                self.codec = Some(SegmentCodec::new());
            }
        }
        Ok(())
    }
}

/// A frame, where it goes, and the state of its segment once it is there.
struct Encoded {
    frame: Frame,
    placement: Placement,
    codec: SegmentCodec,
}

/// Samples that one endpoint loses with a segment.
#[derive(Clone, Copy, Default)]
struct Loss {
    readable: u64,
    unreadable: u64,
}

fn frame_of(codec: &mut SegmentCodec, first_record: u64, batches: &[Rc<ScrapeBatch>], acks: Acks) -> Frame {
    let mut payload = Vec::new();
    codec.encode(batches, &mut payload);
    let sample_counts = batches.iter().map(|batch| batch.len() as u32).collect();
    Frame { meta: FrameMeta { first_record, sample_counts, acks }, payload }
}
