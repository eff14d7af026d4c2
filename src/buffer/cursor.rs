//! How far each endpoint has come.

use super::backlog::Backlog;
use crate::bugs::{Bug, planted};
use crate::limits::{ENDPOINTS_MAX, WINDOW_SAMPLES_MAX};
use crate::ring::{Ack, Acks, Medium, Ring};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Cursor {
    /// What the ring knows the endpoint by.
    pub id: u64,
    /// Number of the first record that it lacks.
    pub next_record: u64,
    /// Records before this one are with its sender, and may still be delivered even if the ring gives them up.
    pub handed_out: u64,
    /// Samples that it gets at a time.
    pub window_samples_max: usize,
    /// Its place in the ring, while it reads from there.
    pub backlog: Option<Box<Backlog>>,
    /// Samples of damaged segments that could not be read back, by segment: counted as lost, or in memory when it came there.
    settled: BTreeMap<u64, u64>,
}

impl Cursor {
    /// Whether the endpoint neither has this record nor will get it from its sender.
    pub fn lacks(&self, record: u64) -> bool {
        record >= self.next_record.max(self.handed_out)
    }

    /// The endpoint has come to where a segment can't be read any further. Of the samples behind, those that are to be counted:
    /// records are handed out again until they are acknowledged, and a segment is read again with them.
    pub fn settle(&mut self, segment_seq: u64, unread: u64, in_memory: u64, oldest_seq: u64) -> u64 {
        self.settled.retain(|seq, _| *seq >= oldest_seq);
        if planted(Bug::DamageCountedAgain) {
            return unread.saturating_sub(in_memory);
        }
        match self.settled.insert(segment_seq, unread) {
            None => unread.saturating_sub(in_memory),
            Some(settled) => {
                self.settled.insert(segment_seq, unread.max(settled));
                unread.saturating_sub(settled)
            }
        }
    }

    /// Samples of this segment of which the endpoint's loss was settled. `None`: all that was read of it was whole.
    pub fn settled(&self, segment_seq: u64) -> Option<u64> {
        self.settled.get(&segment_seq).copied()
    }
}

/// Cursors as the ring remembers them. An endpoint that it has never seen gets what any known one still lacks.
pub(super) fn restore<M: Medium>(endpoints: &[&str], ring: &Ring<M>) -> heapless::Vec<Cursor, ENDPOINTS_MAX> {
    let ids: heapless::Vec<u64, ENDPOINTS_MAX> = endpoints.iter().map(|name| endpoint_id(name)).collect();
    let waiting_from = ring.acks().iter().map(|ack| ack.next_record).min().unwrap_or(0);
    for gone in ring.acks().iter().filter(|ack| !ids.contains(&ack.endpoint)) {
        if gone.next_record < ring.next_record() {
            let records = ring.next_record() - gone.next_record;
            log::warn!(
                "the ring holds up to {records} scrapes for an endpoint that is no longer configured (id {:016x}); \
                 endpoints that are new get them",
                gone.endpoint
            );
        }
    }
    let known = |id: u64| ring.acks().iter().find(|ack| ack.endpoint == id).map(|ack| ack.next_record);
    let cursor = |id: &u64| {
        let next_record = known(*id).unwrap_or(waiting_from);
        Cursor { id: *id, next_record, window_samples_max: WINDOW_SAMPLES_MAX, ..Cursor::default() }
    };
    ids.iter().map(cursor).collect()
}

/// The cursors, as the ring stores them.
pub(super) fn acks(cursors: &[Cursor]) -> Acks {
    let mut acks: Acks =
        cursors.iter().map(|cursor| Ack { endpoint: cursor.id, next_record: cursor.next_record }).collect();
    if planted(Bug::AcksSwapped) {
        (1..acks.len())
            .for_each(|at| (acks[at - 1].endpoint, acks[at].endpoint) = (acks[at].endpoint, acks[at - 1].endpoint));
    }
    acks
}

/// FNV-1a of the name: the same in every version of Narthex, because rings hold it.
pub fn endpoint_id(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
