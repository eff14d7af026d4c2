//! The RAM stage: consecutive records, oldest first.

use crate::model::ScrapeBatch;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// Bytes of memory that a batch is taken to need besides its values.
const BATCH_OVERHEAD_BYTES: usize = 128;

pub(super) struct Stage {
    first_record: u64,
    batches: VecDeque<Staged>,
    bytes: usize,
}

pub(super) struct Staged {
    pub batch: Rc<ScrapeBatch>,
    entered: Duration,
    /// No segment of the ring is large enough for it.
    pub is_too_large: bool,
}

impl Stage {
    pub fn starting_at(first_record: u64) -> Stage {
        Stage { first_record, batches: VecDeque::new(), bytes: 0 }
    }

    pub fn push(&mut self, batch: Rc<ScrapeBatch>, entered: Duration) {
        self.bytes += held_bytes(&batch);
        self.batches.push_back(Staged { batch, entered, is_too_large: false });
    }

    /// Number of the oldest record that is, or would be, in here.
    pub fn first_record(&self) -> u64 {
        self.first_record
    }

    /// Gives the oldest record this number, and those after it the following ones.
    pub fn renumber(&mut self, first_record: u64) {
        self.first_record = first_record;
    }

    /// Number that the next record gets.
    pub fn next_record(&self) -> u64 {
        self.first_record + self.batches.len() as u64
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the records from this number on.
    pub fn bytes_from(&self, record: u64) -> usize {
        self.from(record).map(|(_, batch)| held_bytes(batch)).sum()
    }

    /// Records from this number on.
    pub fn from(&self, record: u64) -> impl Iterator<Item = (u64, &Rc<ScrapeBatch>)> {
        let skipped = record.saturating_sub(self.first_record).min(self.batches.len() as u64) as usize;
        let first = self.first_record + skipped as u64;
        (first..).zip(self.batches.range(skipped..).map(|staged| &staged.batch))
    }

    /// Records before this number, but for those that no segment had room for.
    pub fn committed_before(&self, record: u64) -> impl Iterator<Item = (u64, &Rc<ScrapeBatch>)> {
        let all = (self.first_record..record).zip(&self.batches).filter(|(_, staged)| !staged.is_too_large);
        all.map(|(record, staged)| (record, &staged.batch))
    }

    /// When this record was pushed.
    pub fn entered(&self, record: u64) -> Option<Duration> {
        let index = usize::try_from(record.checked_sub(self.first_record)?).ok()?;
        self.batches.get(index).map(|staged| staged.entered)
    }

    pub fn mark_too_large(&mut self, record: u64) {
        let index = record.checked_sub(self.first_record).and_then(|index| usize::try_from(index).ok());
        if let Some(staged) = index.and_then(|index| self.batches.get_mut(index)) {
            staged.is_too_large = true;
        }
    }

    /// The oldest record and its number.
    pub fn pop_oldest(&mut self) -> Option<(u64, Staged)> {
        let oldest = self.batches.pop_front()?;
        self.bytes -= held_bytes(&oldest.batch);
        self.first_record += 1;
        Some((self.first_record - 1, oldest))
    }

    /// Gives back what an outage has taken.
    pub fn shrink(&mut self) {
        self.batches.shrink_to_fit();
    }

    pub fn drop_before(&mut self, record: u64) {
        while self.first_record < record && self.pop_oldest().is_some() {}
    }
}

/// Memory that a batch is taken to need.
pub(super) fn held_bytes(batch: &ScrapeBatch) -> usize {
    BATCH_OVERHEAD_BYTES
        + size_of_val(&batch.values[..])
        + size_of_val(&batch.own_timestamps[..])
        + batch.extras_bytes()
}
