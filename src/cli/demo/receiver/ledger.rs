//! Every sample that was received, by series and time: what came once, what came again, and what contradicts itself.

use std::collections::HashMap;

/// Counts of what a receiver was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    pub requests: u64,
    /// Of these, how many were refused.
    pub requests_refused: u64,
    /// Bodies as they came over the wire, compressed, refused ones included.
    pub wire_bytes: u64,
    /// Pairs of series and time, each counted once.
    pub samples_distinct: u64,
    /// The same series, time and value again: harmless, but paid for.
    pub samples_repeated: u64,
    /// The same series and time with another value: one of both is wrong.
    pub samples_conflicting: u64,
    /// Distinct samples that came after a later one of their series.
    pub samples_out_of_order: u64,
}

/// Refuses to forget: its memory grows by 16 bytes a sample, up to the bound that its owner keeps.
#[derive(Default)]
pub struct Ledger {
    series: HashMap<Box<[u8]>, Vec<Entry>>,
    received: Received,
    key: Vec<u8>,
}

struct Entry {
    timestamp_ms: i64,
    /// Compared by bits: a staleness marker equals itself, and no other NaN.
    value_bits: u64,
}

impl Ledger {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn received(&self) -> Received {
        self.received
    }

    pub fn series(&self) -> usize {
        self.series.len()
    }

    /// The longest time between two successive samples of one series, whichever way they came: with nothing missing, the
    /// interval of the scrapes.
    pub fn longest_gap_ms(&self) -> i64 {
        let gaps = self.series.values().flat_map(|entries| entries.windows(2));
        gaps.map(|pair| pair[1].timestamp_ms.saturating_sub(pair[0].timestamp_ms)).max().unwrap_or(0)
    }

    pub fn count_request(&mut self, wire_bytes: usize, accepted: bool) {
        self.received.requests += 1;
        self.received.requests_refused += u64::from(!accepted);
        self.received.wire_bytes += wire_bytes as u64;
    }

    /// Samples (milliseconds since 1970, value) of one series, whose labels come sorted by name.
    pub fn record<'a>(
        &mut self,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        samples: impl Iterator<Item = (i64, f64)>,
    ) {
        self.key.clear();
        for text in labels.flat_map(|(name, value)| [name, value]) {
            self.key.extend_from_slice(text.as_bytes());
            self.key.push(0xff); // which no UTF-8 text contains
        }
        let entries = match self.series.get_mut(self.key.as_slice()) {
            Some(entries) => entries,
            None => self.series.entry(self.key.as_slice().into()).or_default(),
        };
        for (timestamp_ms, value) in samples {
            enter(entries, Entry { timestamp_ms, value_bits: value.to_bits() }, &mut self.received);
        }
    }
}

/// `entries` are sorted by time, and stay so.
fn enter(entries: &mut Vec<Entry>, new: Entry, received: &mut Received) {
    // Nearly always past the last one.
    let place = match entries.last() {
        Some(last) if last.timestamp_ms >= new.timestamp_ms => {
            entries.partition_point(|entry| entry.timestamp_ms < new.timestamp_ms)
        }
        _ => entries.len(),
    };
    match entries.get(place) {
        Some(known) if known.timestamp_ms == new.timestamp_ms => {
            if known.value_bits == new.value_bits {
                received.samples_repeated += 1;
            } else {
                received.samples_conflicting += 1;
            }
        }
        later => {
            received.samples_distinct += 1;
            received.samples_out_of_order += u64::from(later.is_some());
            entries.insert(place, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stale_nan;
    use proptest::prelude::*;

    fn record(ledger: &mut Ledger, series: &str, samples: &[(i64, f64)]) {
        ledger.record([("__name__", "m"), ("l", series)].into_iter(), samples.iter().copied());
    }

    #[test]
    fn each_sample_counts_once_however_often_it_comes() {
        let mut ledger = Ledger::new();
        record(&mut ledger, "a", &[(1000, 1.0), (2000, 2.0)]);
        record(&mut ledger, "b", &[(1000, 1.0)]);
        let once = Received { samples_distinct: 3, ..Received::default() };
        assert_eq!(ledger.received(), once);
        record(&mut ledger, "a", &[(1000, 1.0), (2000, 2.0)]);
        assert_eq!(ledger.received(), Received { samples_repeated: 2, ..once });
        assert_eq!(ledger.series(), 2);
    }

    #[test]
    fn another_value_at_the_same_time_is_a_conflict_and_bits_decide() {
        for (first, second, conflicts) in [
            (1.0, 1.0, false),
            (1.0, 2.0, true),
            (0.0, -0.0, true),
            (f64::NAN, f64::NAN, false),
            (stale_nan(), stale_nan(), false),
            (stale_nan(), f64::NAN, true),
        ] {
            let mut ledger = Ledger::new();
            record(&mut ledger, "a", &[(1, first)]);
            record(&mut ledger, "a", &[(1, second)]);
            let received = ledger.received();
            let counts = (received.samples_distinct, received.samples_conflicting, received.samples_repeated);
            assert_eq!(counts, (1, conflicts.into(), (!conflicts).into()), "{first} and {second}");
        }
    }

    #[test]
    fn samples_that_come_late_are_out_of_order_but_close_the_gap() {
        let mut ledger = Ledger::new();
        assert_eq!(ledger.longest_gap_ms(), 0);
        record(&mut ledger, "a", &[(1000, 1.0), (2000, 1.0), (5000, 1.0)]);
        record(&mut ledger, "b", &[(2500, 1.0)]);
        assert_eq!(ledger.longest_gap_ms(), 3000);
        record(&mut ledger, "a", &[(3000, 1.0), (4000, 1.0)]);
        assert_eq!(ledger.longest_gap_ms(), 1000);
        assert_eq!(ledger.received().samples_out_of_order, 2);
    }

    #[test]
    fn labels_that_only_look_alike_when_joined_are_two_series() {
        let mut ledger = Ledger::new();
        ledger.record([("a", "bc")].into_iter(), [(1, 1.0)].into_iter());
        ledger.record([("ab", "c")].into_iter(), [(1, 1.0)].into_iter());
        assert_eq!(ledger.series(), 2);
    }

    proptest! {
        /// In whatever order samples come, the ledger knows each of them, once.
        #[test]
        fn the_ledger_agrees_with_a_set(samples in prop::collection::vec((0i64..50, 0u8..3), 0..200)) {
            let mut ledger = Ledger::new();
            let mut model = std::collections::BTreeMap::new();
            let mut expected = Received::default();
            for (time, value) in samples {
                let newest = model.keys().next_back().copied();
                record(&mut ledger, "a", &[(time, f64::from(value))]);
                match model.get(&time) {
                    Some(known) if *known == value => expected.samples_repeated += 1,
                    Some(_) => expected.samples_conflicting += 1,
                    None => {
                        expected.samples_distinct += 1;
                        expected.samples_out_of_order += u64::from(newest.is_some_and(|newest| newest > time));
                        model.insert(time, value);
                    }
                }
            }
            prop_assert_eq!(ledger.received(), expected);
            let times: Vec<_> = model.keys().collect();
            let gap = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
            prop_assert_eq!(ledger.longest_gap_ms(), gap);
        }
    }
}
