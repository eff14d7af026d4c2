//! What the agent counts of losses: read from `/metrics` again and again, since a kill comes unannounced. Its counts go on over
//! restarts, but for those that a kill takes: what it counted of samples that never reached the ring, since the last write.

use std::collections::BTreeMap;

type Metrics = BTreeMap<String, f64>;

/// By endpoint and cause.
type Counts = BTreeMap<(usize, String), u64>;

#[derive(Default)]
pub struct Tally {
    endpoints: usize,
    /// The last reading of any life.
    last: Metrics,
    /// Whether it is of this life.
    is_current: bool,
    /// What was counted when the last life was killed.
    at_kill: Option<Counts>,
    /// Counts that kills took.
    taken: Counts,
    /// By how much counts were higher after kills than before.
    raised: BTreeMap<usize, u64>,
}

/// Causes that are no losses: the receiver has these samples.
const NO_LOSS: [&str; 1] = ["repeated"];

/// Causes whose counts wait for the next write to the ring.
const UNWRITTEN: [&str; 3] = ["rejected", "not_written", "too_old"];

impl Tally {
    pub fn new(endpoints: usize) -> Tally {
        Tally { endpoints, ..Tally::default() }
    }

    pub fn note(&mut self, metrics: Option<Metrics>) {
        let Some(metrics) = metrics else { return };
        (self.last, self.is_current) = (metrics, true);
        let Some(before) = self.at_kill.take() else { return };
        let now = self.counts();
        for (of, samples) in before.iter().filter(|(of, _)| UNWRITTEN.contains(&of.1.as_str())) {
            *self.taken.entry(of.clone()).or_default() += samples.saturating_sub(now.get(of).copied().unwrap_or(0));
        }
        for (of, samples) in now {
            *self.raised.entry(of.0).or_default() += samples.saturating_sub(before.get(&of).copied().unwrap_or(0));
        }
    }

    pub fn life_ended(&mut self, was_killed: bool) {
        self.at_kill = was_killed.then(|| self.at_kill.take().unwrap_or_else(|| self.counts()));
        self.is_current = false;
    }

    /// `None` if this life has not said it yet.
    pub fn gauge(&self, name: &str) -> Option<f64> {
        self.last.get(name).copied().filter(|_| self.is_current)
    }

    /// Samples that are or were counted as lost, by cause.
    pub fn counted(&self, endpoint: usize) -> BTreeMap<String, u64> {
        let mut counted = BTreeMap::new();
        for ((of, cause), samples) in self.counts().into_iter().chain(self.taken.clone()) {
            if of == endpoint && samples > 0 {
                *counted.entry(cause).or_default() += samples;
            }
        }
        counted
    }

    /// By how much kills may have made the counts too high: what was delivered after its segment was evicted, and whose
    /// acknowledgement was not written.
    pub fn raised_by_kills(&self, endpoint: usize) -> u64 {
        self.raised.get(&endpoint).copied().unwrap_or(0)
    }

    fn counts(&self) -> Counts {
        let of_endpoint = |endpoint: usize| {
            let start = format!("narthex_samples_dropped_total{{endpoint=\"r{endpoint}\",cause=\"");
            let counts = self.last.iter().filter_map(move |(name, value)| {
                let cause = name.strip_prefix(&start)?.strip_suffix("\"}")?;
                (!NO_LOSS.contains(&cause)).then(|| ((endpoint, cause.to_owned()), *value as u64))
            });
            counts.collect::<Counts>()
        };
        (0..self.endpoints).flat_map(of_endpoint).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(ring_full: u64, rejected: u64) -> Option<Metrics> {
        let name = |cause: &str| format!("narthex_samples_dropped_total{{endpoint=\"r0\",cause=\"{cause}\"}}");
        let other = "narthex_samples_dropped_total{endpoint=\"r1\",cause=\"rejected\"}".to_owned();
        Some([(name("ring_full"), ring_full as f64), (name("rejected"), rejected as f64), (other, 5.0)].into())
    }

    fn counted(tally: &Tally) -> [u64; 2] {
        let counted = tally.counted(0);
        ["ring_full", "rejected"].map(|cause| counted.get(cause).copied().unwrap_or(0))
    }

    #[test]
    fn counts_go_on_over_a_stop() {
        let mut tally = Tally::new(2);
        tally.note(metrics(7, 8));
        tally.life_ended(false);
        assert_eq!(counted(&tally), [7, 8]);
        tally.note(metrics(9, 8));
        assert_eq!(counted(&tally), [9, 8]);
        assert_eq!(tally.counted(1), [("rejected".to_owned(), 5)].into());
    }

    #[test]
    fn a_kill_takes_counts_that_were_not_written_and_no_others() {
        let mut tally = Tally::new(2);
        tally.note(metrics(7, 8));
        tally.life_ended(true);
        tally.note(metrics(4, 2));
        assert_eq!(counted(&tally), [4, 8], "evictions are written as they happen");
        tally.note(metrics(6, 3));
        assert_eq!(counted(&tally), [6, 9]);
        assert_eq!(tally.raised_by_kills(0), 0);
    }

    #[test]
    fn a_kill_may_raise_counts() {
        let mut tally = Tally::new(2);
        tally.note(metrics(7, 8));
        tally.life_ended(true);
        tally.note(metrics(10, 8));
        assert_eq!((counted(&tally), tally.raised_by_kills(0)), ([10, 8], 3));
    }

    #[test]
    fn a_life_that_is_killed_before_it_says_anything_takes_none() {
        let mut tally = Tally::new(2);
        tally.note(metrics(7, 8));
        tally.life_ended(true);
        tally.life_ended(true);
        tally.note(metrics(7, 1));
        assert_eq!(counted(&tally), [7, 8]);
    }
}
