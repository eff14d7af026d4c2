//! What every endpoint must still be handed, kept in the simplest way: numbers of scrapes in lists.

use super::loss_model::Counted;
use super::{Violation, ensure};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// One endpoint's side. Scrapes are told by their number, which is their timestamp.
#[derive(Clone, Default)]
pub(super) struct Owed {
    /// Neither acknowledged nor counted as given up, oldest first.
    scrapes: VecDeque<u64>,
    /// With the sender: the first so many of them.
    held: usize,
    /// What the sender held or memory had when a segment was given up: it is not counted, as it may yet be delivered. A restart
    /// loses it with the process.
    gone_if_restarted: BTreeSet<u64>,
    /// Scrapes before this one were acknowledged, and that was synced.
    synced_ack: u64,
    issued_ack: u64,
    /// What commits that failed said at the most. The process that comes after them may not see it and hand scrapes out once
    /// more; a cut may bring it to light until something was synced.
    attempted_ack: u64,
    /// Samples that a cut took with the segment that was being given up. They are counted if the segment's header is left.
    cut_off: u64,
    /// Given up by the commit that is under way.
    counted_now: Vec<u64>,
    /// What the sender holds may be given up for the write budget, uncounted, as it may yet be delivered.
    may_be_held_back: bool,
    counted: Counted,
}

#[derive(Clone)]
pub(super) struct Model {
    pub endpoints: Vec<Owed>,
    pub scrapes: u64,
    /// Scrapes before this one that are owed are on flash.
    durable_until: u64,
    /// On a segment that a commit under way, or one that failed, gives up.
    doubtful: BTreeSet<u64>,
    doubtful_segment: Option<u64>,
    /// Scrapes that memory has, committed or not, and when they came.
    in_memory: VecDeque<(u64, Duration)>,
    /// Notes are known by their numbers.
    pub synced_note: u64,
    pub last_note: u64,
}

/// What each endpoint would be handed after a restart.
#[derive(PartialEq)]
pub(super) struct Found {
    pub scrapes: Vec<Vec<u64>>,
    /// Samples counted as unreadable meanwhile, by endpoint.
    pub unreadable: Vec<u64>,
    /// All samples that the ring counts as lost, those included.
    pub counted: Vec<u64>,
    pub oldest_segment: Option<u64>,
    pub note: u64,
}

impl Model {
    pub fn new(endpoints: usize) -> Model {
        let endpoints = vec![Owed::default(); endpoints];
        Model {
            endpoints,
            scrapes: 0,
            durable_until: 0,
            doubtful: BTreeSet::new(),
            doubtful_segment: None,
            in_memory: VecDeque::new(),
            synced_note: 0,
            last_note: 0,
        }
    }

    pub fn pushed(&mut self, now: Duration) {
        self.in_memory.push_back((self.scrapes, now));
        for owed in &mut self.endpoints {
            owed.scrapes.push_back(self.scrapes);
            owed.counted.pushed(self.scrapes);
        }
        self.scrapes += 1;
    }

    /// A window was handed out while this many samples were counted as lost. `None`: the endpoint is told it has everything.
    pub fn handed(&mut self, endpoint: usize, found: Option<&[u64]>, counted: u64) -> Result<(), Violation> {
        let owed = &mut self.endpoints[endpoint];
        let mut kept = VecDeque::new();
        let mut lost = 0;
        for scrape in found.unwrap_or_default() {
            while owed.scrapes.front().is_some_and(|front| front < scrape) {
                let unread = owed.scrapes.pop_front().expect("there");
                owed.counted.dropped_without_a_write(unread);
                lost += samples_of(unread);
            }
            ensure(owed.scrapes.front() == Some(scrape), "2 nothing invented", || {
                format!("endpoint {endpoint} is handed scrape {scrape}, but lacks {:?} first", owed.scrapes.front())
            })?;
            kept.extend(owed.scrapes.pop_front());
        }
        if found.is_none() {
            for unread in owed.scrapes.drain(..) {
                owed.counted.dropped_without_a_write(unread);
                lost += samples_of(unread);
            }
        }
        owed.held = kept.len();
        kept.extend(&owed.scrapes);
        owed.scrapes = kept;
        let was_cut_off = counted.saturating_sub(lost);
        ensure(lost <= counted && was_cut_off <= owed.cut_off, "3 synced", || {
            format!("endpoint {endpoint} is not handed {lost} samples, and {counted} are counted as lost")
        })?;
        owed.cut_off -= was_cut_off;
        Ok(())
    }

    pub fn acknowledged(&mut self, endpoint: usize) {
        let owed = &mut self.endpoints[endpoint];
        let delivered: Vec<u64> = owed.scrapes.drain(..owed.held).collect();
        for scrape in &delivered {
            let was_evicted = self.doubtful.contains(scrape) || owed.gone_if_restarted.contains(scrape);
            owed.counted.delivered(*scrape, was_evicted);
        }
        let last = delivered.last().copied();
        owed.held = 0;
        owed.gone_if_restarted.retain(|scrape| owed.scrapes.contains(scrape));
        owed.issued_ack = last.map_or(owed.issued_ack, |last| last + 1);
    }

    /// A commit begins that could give up the segment with these scrapes.
    pub fn committing(&mut self, segment: Option<u64>, scrapes: &[u64]) {
        self.doubtful_segment = segment;
        for owed in &mut self.endpoints {
            owed.counted_now.clear();
            owed.attempted_ack = owed.attempted_ack.max(owed.issued_ack);
        }
        self.doubtful.extend(scrapes);
    }

    /// The commit that is under way is the last one: senders hold nothing any more.
    pub fn closing(&mut self) {
        self.endpoints.iter_mut().for_each(|owed| owed.held = 0);
    }

    /// What a commit counted as given up for this endpoint: its oldest scrapes that are not with the sender, to the sample.
    pub fn counted(&mut self, endpoint: usize, samples: u64, unreadable: u64) -> Result<(), Violation> {
        let owed = &mut self.endpoints[endpoint];
        ensure(unreadable <= owed.cut_off, "3 synced", || {
            format!("{unreadable} samples for endpoint {endpoint} are counted as damaged, and {} can be", owed.cut_off)
        })?;
        owed.cut_off -= unreadable;
        let mut left = samples;
        while let Some(scrape) = owed.scrapes.get(owed.held).copied()
            && left >= samples_of(scrape)
            && samples > 0
        {
            left -= samples_of(scrape);
            self.doubtful.insert(scrape);
            owed.counted_now.push(scrape);
            owed.scrapes.remove(owed.held);
        }
        ensure(left == 0, "3 synced", || {
            format!("{samples} samples were counted for endpoint {endpoint}: {left} too many")
        })
    }

    /// With a write budget: what a commit gave up for this endpoint to keep to the write budget: the oldest scrapes that are on no flash.
    pub fn held_back(&mut self, endpoint: usize, samples: u64) -> Result<(), Violation> {
        let owed = &mut self.endpoints[endpoint];
        owed.may_be_held_back = true;
        let at = owed.scrapes.iter().position(|scrape| *scrape >= self.durable_until);
        let at = at.unwrap_or(owed.scrapes.len()).max(owed.held);
        let mut left = samples;
        while left > 0
            && let Some(scrape) = owed.scrapes.get(at).copied()
            && left >= samples_of(scrape)
        {
            left -= samples_of(scrape);
            owed.counted.dropped_without_a_write(scrape);
            owed.scrapes.remove(at);
        }
        ensure(left == 0, "3 synced", || {
            format!("{samples} samples were held back for endpoint {endpoint}: {left} too many")
        })
    }

    /// The commit returned `Ok`; whether it wrote anything, and whether nothing is left in memory only. What came no later than
    /// `released` and is committed is not in memory any more.
    pub fn committed(&mut self, has_written: bool, is_all: bool, released: Duration) {
        self.in_memory.retain(|(_, entered)| *entered > released);
        for owed in &mut self.endpoints {
            if std::mem::take(&mut owed.may_be_held_back) {
                let uncommitted = |scrape: &u64| *scrape >= self.durable_until;
                let held_back: Vec<u64> = owed.scrapes.iter().take(owed.held).copied().filter(uncommitted).collect();
                held_back.iter().for_each(|scrape| owed.counted.dropped_without_a_write(*scrape));
                owed.gone_if_restarted.extend(held_back);
            }
            let is_held = |scrape: &u64| owed.scrapes.iter().take(owed.held).any(|held| held == scrape);
            let is_in_memory = |scrape: &u64| self.in_memory.iter().any(|(kept, _)| kept == scrape);
            let not_counted = self.doubtful.iter().filter(|scrape| is_held(scrape) || is_in_memory(scrape));
            owed.gone_if_restarted.extend(not_counted);
        }
        self.doubtful.clear();
        if has_written && is_all {
            self.durable_until = self.scrapes;
        }
    }

    /// Whatever was acknowledged so far went to flash.
    pub fn acks_synced(&mut self) {
        for owed in &mut self.endpoints {
            owed.synced_ack = owed.issued_ack;
            owed.attempted_ack = 0;
        }
    }

    /// Invariants 2, 3 and 4: what each endpoint would be handed after a restart.
    pub fn compare(&self, all: &Found) -> Result<(), Violation> {
        ensure((self.synced_note..=self.last_note).contains(&all.note), "4 acks", || {
            format!("note {} is found, synced was {}, set {}", all.note, self.synced_note, self.last_note)
        })?;
        for (endpoint, (owed, found)) in self.endpoints.iter().zip(&all.scrapes).enumerate() {
            let is_in_order = found.is_sorted_by(|a, b| a < b) && found.last().is_none_or(|last| *last < self.scrapes);
            ensure(is_in_order, "2 nothing invented", || format!("endpoint {endpoint} is handed {found:?}"))?;
            let first = found.first().copied().unwrap_or(u64::MAX);
            ensure(first >= owed.synced_ack, "4 acks", || {
                format!(
                    "endpoint {endpoint} is handed scrape {first} again, though its ack of {} is synced",
                    owed.synced_ack
                )
            })?;
            let may_be_gone = |scrape: &u64| {
                let was_delivered = *scrape < owed.attempted_ack;
                was_delivered || self.doubtful.contains(scrape) || owed.gone_if_restarted.contains(scrape)
            };
            let mut must = owed.scrapes.iter().filter(|scrape| **scrape < self.durable_until && !may_be_gone(scrape));
            let lost = must.find(|scrape| found.binary_search(scrape).is_err());
            ensure(lost.is_none(), "3 synced", || {
                format!("endpoint {endpoint} lacks scrape {lost:?}, which was committed; it is handed {found:?}")
            })?;
            let (cut_off, counted) = (self.cut_off(owed, found), all.unreadable[endpoint]);
            ensure(cut_off <= counted || all.oldest_segment != self.doubtful_segment, "3 synced", || {
                format!("endpoint {endpoint} lost {cut_off} samples of the oldest segment, and {counted} are counted")
            })?;
            let durable = owed.attempted_ack..self.durable_until;
            let counts = owed.counted.compare(all.counted[endpoint], found, durable, &self.doubtful);
            counts.map_err(|violation| violation.at(format!("endpoint {endpoint}")))?;
        }
        Ok(())
    }

    /// Invariant 8 after a clean stop whose last write had room for all that was to be said.
    pub fn compare_at_stop(&self, all: &Found) -> Result<(), Violation> {
        let endpoints = self.endpoints.iter().zip(&all.counted).zip(&all.scrapes);
        endpoints.into_iter().try_for_each(|((owed, counted), found)| owed.counted.compare_at_stop(*counted, found))
    }

    /// Samples that were committed and went with the segment that was to be given up.
    fn cut_off(&self, owed: &Owed, found: &[u64]) -> u64 {
        let is_cut_off = |scrape: &u64| {
            let is_durable = (owed.attempted_ack..self.durable_until).contains(scrape);
            is_durable && self.doubtful.contains(scrape) && found.binary_search(scrape).is_err()
        };
        owed.scrapes.iter().chain(&owed.counted_now).copied().filter(is_cut_off).map(samples_of).sum()
    }

    /// After a restart: what was found is what is owed. After a power cut all of it is durable. `bases` is what the ring counted at
    /// first.
    pub fn adopt(&mut self, found: Found, bases: &[u64], was_cut: bool) {
        self.in_memory.clear();
        for (endpoint, found) in found.scrapes.into_iter().enumerate() {
            // What the cut commit had counted already, its successor may find and count once more.
            let is_lost = |scrape: &u64| found.binary_search(scrape).is_err();
            let cut_off: u64 = self.doubtful.iter().copied().filter(is_lost).map(samples_of).sum();
            let owed = &mut self.endpoints[endpoint];
            owed.cut_off += cut_off;
            owed.counted = Counted::starting(bases[endpoint], found.iter().copied(), owed.cut_off);
            owed.issued_ack = found.first().map_or(owed.issued_ack, |first| owed.issued_ack.min(*first));
            owed.scrapes = found.into();
            owed.held = 0;
            owed.gone_if_restarted.clear();
        }
        if was_cut {
            self.durable_until = self.scrapes;
            self.doubtful.clear();
            self.endpoints.iter_mut().for_each(|owed| owed.attempted_ack = 0);
        }
    }
}

/// Each scrape has its own number of samples, so that a wrong count can't be right by chance.
pub(super) fn samples_of(scrape: u64) -> u64 {
    5 + scrape % 7 + (scrape / 40) % 3 * 4
}
