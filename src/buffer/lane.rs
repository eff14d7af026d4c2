//! How far one lane of an endpoint has come, and where its way divides. Given what memory holds and the time; reads nothing.
//!
//! ```text
//!  oldest first  ──────────────────────●────────────────►   one head, whatever there is
//!                                    live
//!
//!  live first    ────●───────[delivered]───────┤────●───►   two heads once the live one has fallen out of memory
//!                   old                      join  live
//! ```
//!
//! A lane of which the old head has come to `join` is one again. What the live head delivered before it fell behind anew
//! is remembered as long as the process lives, and the old head passes over it.
//!
//! The ring keeps three numbers of a lane that may divide: old, join and live; all are the live one while it is undivided.
//! Each says something that stays true (all before `old` and all from `join` to `live` is with the receiver), so that any
//! of them may be lost or out of date, and nothing but repeats comes of it.

use crate::limits::DELIVERED_RANGES_MAX;
use crate::model::{Class, FNV_START, fnv1a};
use crate::ring::{Ack, Acks};
use std::ops::Range;
use std::time::Duration;

/// How long a lane that was in memory has to be behind it before it divides: a slow request is no outage.
pub(super) const BEHIND_MIN: Duration = Duration::from_secs(15);

/// The two heads of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of an undivided lane; else what came since it divided.
    Live,
    Old,
}

pub(super) struct Lane {
    pub endpoint: usize,
    /// `None`: samples of every class are its own.
    pub class: Option<Class>,
    /// What the ring knows it by.
    id: u64,
    live: Head,
    /// `None` if the lane never divides.
    old: Option<Box<Old>>,
    /// What the receiver got from memory before the ring could be opened, while the live head is before it in the ring.
    ahead: Range<u64>,
    /// From the start of `ahead` on, records before this one are with the sender since that time.
    ahead_handed_out: u64,
}

#[derive(Clone, Copy, Default)]
struct Head {
    /// Number of the first record that it lacks.
    next_record: u64,
    /// Records before this one are with its sender, and may still be delivered even if the ring gives them up.
    handed_out: u64,
}

struct Old {
    head: Head,
    /// Where the live head began last.
    join: u64,
    /// What the live head has of the records before `join`, in order.
    delivered: heapless::Vec<Range<u64>, DELIVERED_RANGES_MAX>,
    pace: Pace,
}

/// How the live head keeps up with memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    InMemory,
    BehindSince(Duration),
    /// The ring held what it lacks when the process started.
    BehindAtStart,
}

impl Head {
    fn at(next_record: u64) -> Head {
        Head { next_record, handed_out: 0 }
    }

    fn ahead(self) -> u64 {
        self.next_record.max(self.handed_out)
    }
}

impl Lane {
    /// As the ring remembers it; a lane that it does not know starts at `unknown_from`.
    pub fn restore(
        endpoint: usize,
        class: Option<Class>,
        id: u64,
        divides: bool,
        acks: &Acks,
        unknown_from: u64,
    ) -> Lane {
        let known = |id: u64| acks.iter().find(|ack| ack.endpoint == id).map(|ack| ack.next_record);
        let first = known(id).unwrap_or(unknown_from);
        let mut lane = Lane { endpoint, class, id, live: Head::at(first), old: None, ahead: 0..0, ahead_handed_out: 0 };
        if divides {
            let (join, live) = known(join_id(id)).zip(known(live_id(id))).unwrap_or((first, first));
            let (join, live) = if first < join { (join, live.max(join)) } else { (first, live.max(first)) };
            lane.live = Head::at(live);
            let head = Head::at(first);
            lane.old = Some(Box::new(Old { head, join, delivered: heapless::Vec::new(), pace: Pace::BehindAtStart }));
        }
        lane
    }

    pub fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        [Some(Part::Live), self.old.as_ref().map(|_| Part::Old)].into_iter().flatten()
    }

    /// Number of the first record that this part lacks.
    pub fn next_record(&self, part: Part) -> u64 {
        match (part, &self.old) {
            (Part::Old, Some(old)) => old.head.next_record,
            _ => self.live.next_record,
        }
    }

    /// This part has nothing to do with records from here on.
    pub fn end(&self, part: Part) -> u64 {
        match (part, &self.old) {
            (Part::Old, Some(old)) => old.join,
            (Part::Old, None) => 0,
            (Part::Live, _) => u64::MAX,
        }
    }

    /// Records before this one are with the sender of this part.
    pub fn hand_out(&mut self, part: Part, until: u64) {
        self.ahead_handed_out = 0;
        self.head(part).handed_out = until;
    }

    /// The receiver has everything of this part before `next_record`.
    pub fn ack(&mut self, part: Part, next_record: u64) {
        let past = if self.ahead.contains(&next_record) { self.ahead.end } else { next_record };
        let head = self.head(part);
        head.next_record = head.next_record.max(past);
        if let Some(old) = &mut self.old
            && old.head.next_record >= old.join
        {
            old.delivered.clear();
        }
    }

    /// The receiver has everything before `next_record` that came to memory before the ring could be opened.
    pub fn ack_ahead(&mut self, next_record: u64) {
        if self.live.next_record < self.ahead.start {
            self.ahead.end = self.ahead.end.max(next_record);
        } else {
            self.ack(Part::Live, next_record);
        }
    }

    /// Goes on where the ring remembers the lane, `restored`, and with what was delivered from memory before the ring could be
    /// opened. `base` is the number of memory's first record, `in_ring` gives memory's numbers in the ring.
    pub fn move_into(&mut self, restored: Lane, base: u64, in_ring: impl Fn(u64) -> u64) {
        let delivered_until = in_ring(self.live.next_record);
        let head = Head { next_record: delivered_until, handed_out: in_ring(self.live.handed_out) };
        *self = restored;
        if self.live.next_record >= base && self.old.is_none() {
            self.live = head;
        } else if let Some(old) = &mut self.old {
            let (join, live) = (old.join, self.live.next_record);
            if old.head.next_record >= join {
                old.head = Head::at(live);
            } else if join < live {
                old.remember(join..live);
            }
            (old.join, old.pace) = (base, Pace::InMemory);
            if old.head.next_record >= base {
                (old.head, old.join) = (Head::at(delivered_until), delivered_until);
            }
            self.live = head;
        } else {
            (self.ahead, self.ahead_handed_out) = (base..delivered_until, head.handed_out);
        }
    }

    /// What is with senders will not be delivered any more.
    pub fn forget_handed_out(&mut self) {
        (self.live.handed_out, self.ahead_handed_out) = (0, 0);
        if let Some(old) = &mut self.old {
            old.head.handed_out = 0;
        }
    }

    fn head(&mut self, part: Part) -> &mut Head {
        match (part, &mut self.old) {
            (Part::Old, Some(old)) => &mut old.head,
            _ => &mut self.live,
        }
    }

    /// Whether the receiver has this record although this part's head did not come to it.
    pub fn is_passed_over(&self, part: Part, record: u64) -> bool {
        if self.ahead.contains(&record) {
            return true;
        }
        let Some(old) = self.old.as_ref().filter(|_| part == Part::Old) else { return false };
        old.delivered.iter().any(|range| range.contains(&record))
    }

    /// Whether the lane neither has this record nor will get it from a sender.
    pub fn lacks(&self, record: u64) -> bool {
        self.next_lacking(record) == record
    }

    /// The first record from this one on that the lane [lacks](Self::lacks).
    pub fn next_lacking(&self, from: u64) -> u64 {
        let old_from = self.old.as_ref().map_or(0, |old| old.head.ahead());
        self.next_missing(from, old_from, self.live.ahead(), self.ahead.end.max(self.ahead_handed_out))
    }

    /// The first record from this one on that is not known to be with the receiver.
    pub fn next_needed(&self, from: u64) -> u64 {
        let old_from = self.old.as_ref().map_or(0, |old| old.head.next_record);
        self.next_missing(from, old_from, self.live.next_record, self.ahead.end)
    }

    fn next_missing(&self, from: u64, old_from: u64, live_from: u64, ahead_until: u64) -> u64 {
        if let Some(old) = &self.old {
            let mut at = from.max(old_from);
            for range in &old.delivered {
                at = if range.contains(&at) { range.end } else { at };
            }
            if at < old.join {
                return at;
            }
        }
        let at = from.max(live_from);
        if (self.ahead.start..ahead_until).contains(&at) { ahead_until } else { at }
    }

    /// Memory begins with this record now.
    pub fn observe(&mut self, memory_from: u64, now: Duration) {
        let Some(old) = &mut self.old else { return };
        old.pace = match old.pace {
            _ if self.live.next_record >= memory_from => Pace::InMemory,
            Pace::InMemory => Pace::BehindSince(now),
            behind => behind,
        };
    }

    /// Leaves what is not in memory to the old head, if that is more than a slow request; true if it did. Not while the live
    /// head's sender holds anything.
    pub fn divide(&mut self, memory_from: u64, now: Duration) -> bool {
        self.observe(memory_from, now);
        let live = self.live.next_record;
        let Some(old) = &mut self.old else { return false };
        let is_due = match old.pace {
            Pace::InMemory => false,
            Pace::BehindSince(since) => now >= since + BEHIND_MIN,
            Pace::BehindAtStart => true,
        };
        if !is_due {
            return false;
        }
        if old.head.next_record >= old.join {
            old.head = Head::at(live);
            old.delivered.clear();
        } else if old.join < live {
            old.remember(old.join..live);
        }
        old.join = memory_from;
        old.pace = Pace::InMemory;
        self.live = Head::at(memory_from);
        true
    }

    /// The lane's numbers, as the ring keeps them.
    pub fn acks(&self) -> impl Iterator<Item = Ack> {
        let live = self.live.next_record;
        let divided = self.old.as_ref().map(|old| match old.head.next_record < old.join {
            true => (old.head.next_record, old.join),
            false => (live, live),
        });
        let (first, join) = divided.unwrap_or((live, live));
        let others = divided.map(|_| [(join_id(self.id), join), (live_id(self.id), live)]);
        let all = std::iter::once((self.id, first)).chain(others.into_iter().flatten());
        all.map(|(endpoint, next_record)| Ack { endpoint, next_record })
    }
}

impl Old {
    /// There is room for many outages within one; past that the shortest stretch is sent twice.
    fn remember(&mut self, range: Range<u64>) {
        let done = self.head.next_record;
        self.delivered.retain(|range| range.end > done);
        if self.delivered.is_full() {
            let length = |at: &usize| self.delivered[*at].end - self.delivered[*at].start;
            if let Some(shortest) = (0..self.delivered.len()).min_by_key(length) {
                self.delivered.remove(shortest);
            }
        }
        // There is room, as above.
        _ = self.delivered.push(range);
    }
}

/// Upper half: the endpoint. Lower half: which number of it. So a ring tells which of its numbers belong together.
pub(super) fn lane_id(of: u64, name: &str) -> u64 {
    let low = u64::from(u32::MAX);
    of & !low | fnv1a(of, name.as_bytes()) & low
}

/// The id of the number at which a lane's live head began, by the lane's own id.
pub fn join_id(of: u64) -> u64 {
    lane_id(of, "\njoin")
}

/// The id of the number that a lane's live head has come to, by the lane's own id.
pub fn live_id(of: u64) -> u64 {
    lane_id(of, "\nlive")
}

/// FNV-1a of the name: the same in every version of Narthex, because rings hold it.
pub fn endpoint_id(name: &str) -> u64 {
    fnv1a(FNV_START, name.as_bytes())
}

#[cfg(test)]
mod tests;
