//! Counts of lost samples in the ring's note: they go on where the last process ended, however it ended.
//!
//! ```text
//!  counters ─┐
//!  held   ───┼─► note ─► header of each new segment, acknowledgements alone ─► the next process' counters
//!  evicted ──┘
//! ```
//!
//! The note says what is lost if the process ends just then: what was counted, and what only memory or a sender's hand still has
//! of segments that the ring evicted. If that is delivered after all, the next write says so.

use super::evictions::Loss;
use super::losses::Losses;
use super::{Buffer, Reader};
use crate::bugs::{Bug, planted};
use crate::counters::{Counters, DropCause};
use crate::limits::{LOSS_CAUSES_MAX, LOSSES_BYTES_MAX};
use crate::model::{LOSSES_KEY, LossCounts, noted};
use crate::ring::{Medium, SegmentInfo};
use std::time::Duration;

/// How often counts alone are written: what is dropped while everything else is delivered is worth no more wear.
const COUNTS_INTERVAL: Duration = Duration::from_secs(3600);

/// What the ring on flash says of losses.
#[derive(Default)]
pub(super) struct LossNote {
    /// Counts that are no counters of this process: of endpoints that are not configured, and by causes of later versions.
    others: LossCounts,
    written: Noted,
    /// What the write under way says.
    writing: Noted,
}

#[derive(Clone, Copy, Default)]
struct Noted {
    /// [`Losses::total`] after the write.
    total: u64,
    /// Samples counted as lost that may yet be delivered.
    at_risk: u64,
}

impl LossNote {
    /// Adds what an earlier process counted to the counters.
    pub fn restore(note: &[u8], losses: &Losses, counters: &Counters) -> LossNote {
        let mut others = LossCounts::decode(noted(note, LOSSES_KEY).unwrap_or_default());
        // There is something only if the process began without the ring.
        let lost_before = losses.total();
        for (index, id) in losses.ids().enumerate() {
            let known: [u64; LOSS_CAUSES_MAX] = others.take(id);
            for (number, samples) in known.into_iter().enumerate() {
                match DropCause::of_number(number) {
                    Some(cause) => counters.endpoint(index).drop_samples(cause, samples),
                    None => others.add(id, number, samples),
                }
            }
        }
        let written = Noted { total: losses.total() - lost_before, at_risk: 0 };
        LossNote { others, written, writing: written }
    }

    /// Every count, those of others included.
    pub fn counts(&self, losses: &Losses, counters: &Counters) -> LossCounts {
        let mut counts = LossCounts::default();
        for (index, id) in losses.ids().enumerate() {
            for cause in DropCause::ALL {
                counts.add(id, cause.number(), counters.endpoint(index).dropped(cause));
            }
        }
        counts.add_all(&self.others);
        counts
    }

    /// The note was written as it is.
    pub fn was_written(&mut self) {
        self.written = self.writing;
    }
}

impl<M: Medium> Buffer<M> {
    /// Puts into the note what is lost if the process ends after the write that is to come. `evicting` is a segment that the write
    /// evicts, and what that costs.
    pub(super) fn note_losses(&mut self, evicting: Option<(SegmentInfo, &[Loss])>) {
        let mut at_risk = LossCounts::default();
        let ids: Vec<u64> = self.losses.ids().collect();
        let in_ring_from = evicting.map_or_else(|| self.in_ring_from(), |(segment, _)| self.ring.end_of(segment));
        if let Some((_, losses)) = evicting {
            for (id, loss) in ids.iter().zip(losses) {
                at_risk.add(*id, DropCause::RingFull.number(), loss.readable.samples);
                at_risk.add(*id, DropCause::RingDamaged.number(), loss.unreadable.samples);
            }
        }
        let evicting_samples: u64 = at_risk.iter().map(|(.., samples)| samples).sum();
        self.add_at_risk(&ids, in_ring_from.min(self.committed_until), &mut at_risk);
        let at_risk_samples: u64 = at_risk.iter().map(|(.., samples)| samples).sum();
        let mut counts = self.loss_note.counts(&self.losses, &self.counters);
        counts.add_all(&at_risk);
        let at_risk = at_risk_samples - evicting_samples;
        self.loss_note.writing = Noted { total: self.losses.total() + evicting_samples, at_risk };
        let bytes = counts.encode(LOSSES_BYTES_MAX);
        if (!bytes.is_empty() || self.remembered(LOSSES_KEY).is_some()) && !planted(Bug::LossesNotNoted) {
            self.remember(LOSSES_KEY, &bytes);
        }
    }

    /// What memory or a sender's hand has of records that flash has not any more: those before `evicted_before`.
    fn add_at_risk(&self, ids: &[u64], evicted_before: u64, at_risk: &mut LossCounts) {
        for Reader { lane, held, .. } in &self.readers {
            let id = ids[self.followers.lanes[*lane].endpoint];
            held.losses(evicted_before).for_each(|(cause, lost)| at_risk.add(id, cause.number(), lost.samples));
        }
        for (record, batch) in self.stage.committed_before(evicted_before) {
            for (endpoint, id) in ids.iter().enumerate() {
                let samples = self.followers.lost(endpoint, record, batch.len() as u64, Some(batch));
                at_risk.add(*id, DropCause::RingFull.number(), samples);
            }
        }
    }

    /// Whether the ring on flash lacks counts. Then no acknowledgement may be written without the note: it would pass over samples
    /// that are counted nowhere.
    pub fn has_unwritten_losses(&self) -> bool {
        self.losses.total() != self.loss_note.written.total
    }

    /// After an acknowledgement of a window. If it `was_at_risk`, flash may count samples as lost that are delivered now.
    pub(super) fn plan_losses(&mut self, now: Duration, was_at_risk: bool) {
        let is_overstated = was_at_risk && self.loss_note.written.at_risk > 0;
        if is_overstated || self.has_unwritten_losses() {
            self.is_note_wanted = true;
            self.plan_acks_at(if is_overstated { now } else { now + COUNTS_INTERVAL });
        }
    }

    /// The first record that the ring can hold.
    pub(super) fn in_ring_from(&self) -> u64 {
        self.ring.segments().next().map_or(0, |oldest| oldest.first_record)
    }
}
