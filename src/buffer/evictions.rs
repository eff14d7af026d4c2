//! What it costs each endpoint that a record leaves the buffer before the endpoint has it: with the oldest segment of a full
//! ring, or from memory.

use super::Buffer;
use crate::bugs::{Bug, planted};
use crate::codec::SegmentCodec;
use crate::counters::DropCause;
use crate::limits::ENDPOINTS_MAX;
use crate::model::{Lost, ScrapeBatch, SeriesTable, TimeRange};
use crate::ring::{FramePosition, Medium, Read, Ring, SegmentInfo};
use std::ops::Range;

/// Samples that one endpoint loses with a segment.
#[derive(Clone, Copy, Default)]
pub(super) struct Loss {
    pub readable: Lost,
    pub unreadable: Lost,
}

impl<M: Medium> Buffer<M> {
    /// A record that leaves memory is lost for those who have found its segment damaged before it.
    pub(super) fn drop_behind_damage(&self, record: u64, batch: &ScrapeBatch) {
        let Some(segment) = self.ring.segments().rev().find(|segment| segment.first_record <= record) else { return };
        for (index, endpoint) in self.followers.endpoints.iter().enumerate() {
            if endpoint.settled(segment.seq).is_some() {
                self.drop_for(index, record, batch, DropCause::RingDamaged);
            }
        }
    }

    pub(super) fn drop_record(&self, record: u64, batch: &ScrapeBatch, cause: DropCause) {
        if planted(Bug::BudgetLossNotCounted) && cause == DropCause::WriteBudget {
            return;
        }
        for index in 0..self.followers.endpoints.len() {
            self.drop_for(index, record, batch, cause);
        }
    }

    fn drop_for(&self, endpoint: usize, record: u64, batch: &ScrapeBatch, cause: DropCause) {
        let samples = self.followers.lost(endpoint, record, batch.len() as u64, Some(batch));
        self.losses.count(endpoint, cause, Lost::new(samples, batch.times()));
        self.lose_held(record..record + 1, cause, |index| index == endpoint);
    }

    /// What senders hold of these records is nowhere else any more.
    fn lose_held(&self, records: Range<u64>, cause: DropCause, is_of: impl Fn(usize) -> bool) {
        let readers = self.readers.iter().filter(|reader| is_of(self.followers.lanes[reader.lane].endpoint));
        readers.for_each(|reader| reader.held.lose(records.clone(), cause));
    }

    /// A sender ends, or is handed its records anew: what it held and nothing else has is lost.
    pub(super) fn count_held(&mut self, sender: usize) {
        let reader = &mut self.readers[sender];
        let endpoint = self.followers.lanes[reader.lane].endpoint;
        reader.held.losses(0).for_each(|(cause, lost)| self.losses.count(endpoint, cause, lost));
        reader.held.clear();
    }

    /// Counts what this segment cost, which is evicted now.
    pub(super) fn count_losses(&self, segment: Range<u64>, losses: Vec<Loss>) {
        let counted = if planted(Bug::DropCountedOnce) { 1 } else { ENDPOINTS_MAX };
        for (index, loss) in losses.into_iter().enumerate().take(counted) {
            self.losses.count(index, DropCause::RingFull, loss.readable);
            self.losses.count(index, DropCause::RingDamaged, loss.unreadable);
        }
        let not_in_memory = segment.start..segment.end.min(self.stage.first_record());
        self.lose_held(not_in_memory, DropCause::RingFull, |_| true);
    }

    /// What evicting this segment costs each endpoint. Records that are in memory too are counted when they leave it, and those
    /// that a sender holds when it ends.
    pub(super) fn losses(&self, segment: SegmentInfo) -> Vec<Loss> {
        let mut losses = vec![Loss::default(); self.followers.endpoints.len()];
        let (first_record, end_record) = (segment.first_record, self.ring.end_of(segment));
        if !(0..losses.len()).any(|endpoint| self.followers.lacks_some(endpoint, first_record..end_record)) {
            return losses;
        }
        // Once a frame can't be decoded, those behind it are counted by what they say of themselves.
        let mut codec = Some(SegmentCodec::new());
        let (mut readable, mut read_until, mut read_until_ms) = (0, first_record, None);
        let (mut at, mut bytes, mut batches) = (FramePosition::start_of(segment), Vec::new(), Vec::new());
        while let Ok(Read::Frame { meta, payload_at, next }) = self.ring.read(at, &mut bytes) {
            readable += meta.samples();
            read_until = meta.end_record();
            batches.clear();
            if !meta.sample_counts.is_empty() {
                codec = codec.and_then(|mut codec| {
                    codec.decode(&bytes[payload_at..], &self.table, &mut batches).is_ok().then_some(codec)
                });
            }
            read_until_ms = batches.last().map(|batch| batch.timestamp_ms).or(read_until_ms);
            let in_memory_from = self.stage.first_record();
            for (at, (record, samples)) in (meta.first_record..in_memory_from).zip(&meta.sample_counts).enumerate() {
                let batch = batches.get(at);
                for (endpoint, loss) in losses.iter_mut().enumerate() {
                    let samples = self.followers.lost(endpoint, record, u64::from(*samples), batch);
                    let times = batch.map(ScrapeBatch::times).filter(|_| samples > 0);
                    loss.readable.add(Lost { samples, times });
                }
            }
            at = next;
        }
        let in_memory = self.samples_in_memory(read_until, end_record);
        let unreadable = self.ring.samples_in(segment).saturating_sub(readable + in_memory);
        for (endpoint, loss) in losses.iter_mut().enumerate() {
            let samples = self.followers.lost_unreadable(endpoint, segment, end_record, unreadable);
            let times = if samples > 0 { self.times_behind(segment, read_until_ms) } else { None };
            loss.unreadable = Lost { samples, times };
        }
        losses
    }

    /// The times between which the rest of a segment was scraped that can't be read from some time on.
    pub(super) fn times_behind(&self, segment: SegmentInfo, read_until_ms: Option<i64>) -> Option<TimeRange> {
        let in_memory = || self.stage.from(0).next().map(|(_, batch)| batch.timestamp_ms);
        times_between(read_until_ms, start_ms(&self.ring, segment.seq + 1, &self.table).or_else(in_memory))
    }
}

/// From one time to the other, or just the one that is known.
pub(super) fn times_between(from_ms: Option<i64>, to_ms: Option<i64>) -> Option<TimeRange> {
    from_ms.into_iter().chain(to_ms).map(TimeRange::at).reduce(TimeRange::and)
}

/// Time of the first scrape in the segments from this number on. `None` if it can't be read.
pub(super) fn start_ms<M: Medium>(ring: &Ring<M>, from_seq: u64, table: &SeriesTable) -> Option<i64> {
    let mut at = FramePosition::start_of(ring.segments().find(|segment| segment.seq >= from_seq)?);
    let mut bytes = Vec::new();
    loop {
        match ring.read(at, &mut bytes).ok()? {
            Read::Frame { meta, next, .. } if meta.sample_counts.is_empty() => at = next,
            Read::Frame { payload_at, .. } => {
                let mut batches = Vec::new();
                SegmentCodec::new().decode(&bytes[payload_at..], table, &mut batches).ok()?;
                return batches.first().map(|batch: &ScrapeBatch| batch.timestamp_ms);
            }
            Read::EndOfSegment { .. } | Read::EndOfRing => return None,
        }
    }
}
