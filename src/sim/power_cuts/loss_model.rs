//! What the ring must and may count as lost for one endpoint, kept in the simplest way: scrapes of one process in sets.

use super::buffer_model::samples_of;
use super::{Violation, ensure};
use std::collections::BTreeSet;
use std::ops::Range;

/// One endpoint's side of one process.
#[derive(Clone, Default)]
pub(super) struct Counted {
    /// What the ring counted when the process started.
    base: u64,
    /// Scrapes that it found there, and those since.
    scrapes: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
    /// Delivered from memory or from the sender's hand after the ring had evicted them.
    late: BTreeSet<u64>,
    /// Counted by the process, but maybe not on flash: nothing had to be written for their sake.
    unwritten: BTreeSet<u64>,
    /// Samples that a cut took before, of which the ring may find out.
    cut_off: u64,
}

impl Counted {
    /// A process starts with what the ring counts, and with these scrapes.
    pub fn starting(base: u64, scrapes: impl Iterator<Item = u64>, cut_off: u64) -> Counted {
        Counted { base, scrapes: scrapes.collect(), cut_off, ..Counted::default() }
    }

    pub fn pushed(&mut self, scrape: u64) {
        self.scrapes.insert(scrape);
    }

    pub fn delivered(&mut self, scrape: u64, was_evicted: bool) {
        self.delivered.insert(scrape);
        if was_evicted {
            self.late.insert(scrape);
        }
    }

    pub fn dropped_without_a_write(&mut self, scrape: u64) {
        self.unwritten.insert(scrape);
    }

    /// Invariant 8 after a restart or a cut, with what the endpoint is handed then. `durable` scrapes were committed, and no earlier
    /// process had them acknowledged by a commit that may come to light; a commit under way may have evicted the `doubtful` ones.
    pub fn compare(
        &self,
        counted: u64,
        found: &[u64],
        durable: Range<u64>,
        doubtful: &BTreeSet<u64>,
    ) -> Result<(), Violation> {
        let lost = self.lost(found);
        let is_open = |scrape: &u64| self.unwritten.contains(scrape) || doubtful.contains(scrape);
        let must = samples(lost.iter().filter(|scrape| durable.contains(scrape) && !is_open(scrape)));
        // A frame that was never confirmed can stand behind a torn one, and is counted as damaged then.
        let most = samples(lost.iter()) + samples(self.late.iter()) + self.cut_off;
        let since = i128::from(counted) - i128::from(self.base);
        // A header without a frame told of them alone; the next process writes it anew, and a second cut can take it.
        let least = i128::from(must) - i128::from(self.cut_off);
        ensure((least..=i128::from(most)).contains(&since), "8 counted", || {
            format!("{since} samples are counted since the process started, not {least} to {most}; {lost:?} are lost")
        })
    }

    /// The same after a clean stop, which leaves nothing open.
    pub fn compare_at_stop(&self, counted: u64, found: &[u64]) -> Result<(), Violation> {
        let lost = samples(self.lost(found).iter());
        let since = counted.wrapping_sub(self.base);
        ensure((lost..=lost + self.cut_off).contains(&since), "8 counted", || {
            format!("after a clean stop {since} samples are counted since the process started, and {lost} are lost")
        })
    }

    fn lost(&self, found: &[u64]) -> BTreeSet<u64> {
        let is_lost = |scrape: &u64| !self.delivered.contains(scrape) && found.binary_search(scrape).is_err();
        self.scrapes.iter().copied().filter(is_lost).collect()
    }
}

fn samples<'s>(scrapes: impl Iterator<Item = &'s u64>) -> u64 {
    scrapes.map(|scrape| samples_of(*scrape)).sum()
}
