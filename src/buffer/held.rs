//! What a sender holds: the records of its window, and how much of each its receiver has not settled yet.
//!
//! A record that the ring evicts meanwhile may still be delivered from the sender's hand. It is lost only if the sender ends
//! before that; so the cause is noted with the record, and counted then.

use crate::counters::DropCause;
use crate::model::{Lost, TimeRange};
use std::cell::Cell;
use std::ops::Range;

#[derive(Default)]
pub(super) struct Held {
    /// In the order of their numbers.
    records: Vec<HeldRecord>,
}

struct HeldRecord {
    record: u64,
    /// Neither delivered nor dropped so far.
    samples: u64,
    times: TimeRange,
    /// `Some` once neither flash nor memory has the record any more.
    lost_by: Cell<Option<DropCause>>,
}

impl Held {
    /// Takes one more record in, the next one.
    pub fn push(&mut self, record: u64, samples: u64, times: TimeRange) {
        self.records.push(HeldRecord { record, samples, times, lost_by: Cell::new(None) });
    }

    /// Gives the records other numbers, in the same order.
    pub fn renumber(&mut self, numbers: impl Fn(u64) -> u64) {
        self.records.iter_mut().for_each(|held| held.record = numbers(held.record));
    }

    pub fn clear(&mut self) {
        self.records.clear();
    }

    /// Of these records so many samples are unfinished, and of all others none.
    pub fn settle(&mut self, unfinished: impl Iterator<Item = (u64, u64)>) {
        self.records.iter_mut().for_each(|held| held.samples = 0);
        for (record, samples) in unfinished {
            if let Ok(at) = self.records.binary_search_by_key(&record, |held| held.record) {
                self.records[at].samples = samples;
            }
        }
    }

    /// Neither flash nor memory has these records from now on. A cause that is known already stays.
    pub fn lose(&self, records: Range<u64>, cause: DropCause) {
        let known = self.records.iter().filter(|held| records.contains(&held.record) && held.lost_by.get().is_none());
        known.for_each(|held| held.lost_by.set(Some(cause)));
    }

    /// Whether it holds a record that is, or may be, nowhere else: one that is lost by some cause, or is before `evicted_before`.
    pub fn is_at_risk(&self, evicted_before: u64) -> bool {
        self.records.iter().any(|held| held.lost_by.get().is_some() || held.record < evicted_before)
    }

    /// What is lost if the sender ends now, and by which cause, record by record. Records before `evicted_before` count as evicted.
    pub fn losses(&self, evicted_before: u64) -> impl Iterator<Item = (DropCause, Lost)> + '_ {
        self.records.iter().filter_map(move |held| {
            let is_evicted = held.record < evicted_before;
            let cause = held.lost_by.get().or(is_evicted.then_some(DropCause::RingFull))?;
            Some((cause, Lost::new(held.samples, held.times)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sender_holds_is_lost_by_the_first_cause_and_less_what_was_settled() {
        let mut held = Held::default();
        (10..14).for_each(|record| held.push(record, 100, TimeRange::at(record as i64)));
        held.lose(0..11, DropCause::WriteBudget);
        held.lose(0..12, DropCause::RingFull);
        held.settle([(12, 100), (10, 30), (13, 7)].into_iter());
        let losses = |before| held.losses(before).map(|(cause, lost)| (cause, lost.samples)).collect::<Vec<_>>();
        assert_eq!(losses(0), [(DropCause::WriteBudget, 30), (DropCause::RingFull, 0)]);
        assert_eq!(losses(13)[2..], [(DropCause::RingFull, 100)]);
    }
}
