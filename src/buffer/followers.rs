//! The endpoints and their lanes: what each of them lacks, and what it loses with a record.

use super::lane::{Lane, Part, endpoint_id, lane_id};
use crate::bugs::{Bug, planted};
use crate::limits::ENDPOINTS_MAX;
use crate::model::{Class, ClassCounts, ScrapeBatch};
use crate::ring::{Acks, Medium, Ring, SegmentInfo};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What the buffer has to know of an endpoint.
#[derive(Clone)]
pub struct EndpointLanes {
    /// For the log.
    pub name: String,
    /// What the ring knows it by, at each start the same.
    pub ring_key: String,
    /// New samples go ahead of a backlog.
    pub is_live_first: bool,
    /// `None`: one lane has samples of every class.
    pub classes: Option<ClassLanes>,
}

/// A lane for each class of an endpoint's samples.
#[derive(Clone)]
pub struct ClassLanes {
    /// Those that there can be.
    pub classes: Vec<Class>,
    /// Differs if a series may be of another class than before: what the ring says of the lanes is then not about these.
    pub rules_hash: u64,
    /// How many samples of a batch are of each class; each of them is of one.
    pub count: Rc<dyn Fn(&ScrapeBatch) -> ClassCounts>,
}

impl From<&str> for EndpointLanes {
    fn from(name: &str) -> Self {
        EndpointLanes { name: name.into(), ring_key: name.into(), is_live_first: false, classes: None }
    }
}

impl EndpointLanes {
    /// The ring's number for the endpoint.
    pub fn id(&self) -> u64 {
        endpoint_id(&self.ring_key)
    }

    /// What the ring knows the endpoint's lanes by, and the class of each.
    pub fn ids(&self) -> Vec<(u64, Option<Class>)> {
        let id = self.id();
        let Some(ClassLanes { classes, rules_hash, .. }) = &self.classes else { return vec![(id, None)] };
        let class_id = |class: &Class| lane_id(id, &format!("\n{}\n{rules_hash:016x}", class.name()));
        classes.iter().map(|class| (class_id(class), Some(*class))).collect()
    }

    /// Numbers that the ring keeps of this endpoint, of [`ENDPOINTS_MAX`] for all.
    pub fn acks_count(is_live_first: bool, lanes: usize) -> usize {
        lanes * if is_live_first { 3 } else { 1 }
    }
}

/// What a sender is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderRole {
    pub endpoint: usize,
    /// `None`: samples of every class.
    pub class: Option<Class>,
    /// It has what the other sender of this lane has left behind.
    pub is_backlog: bool,
}

pub(super) struct Followers {
    pub lanes: heapless::Vec<Lane, ENDPOINTS_MAX>,
    pub endpoints: Vec<Follower>,
}

pub(super) struct Follower {
    lanes: std::ops::Range<usize>,
    classes: Option<ClassLanes>,
    /// Samples of damaged segments that could not be read back, by segment: counted as lost, or in memory when a lane came there.
    settled: BTreeMap<u64, u64>,
}

impl Follower {
    /// A lane has come to where a segment can't be read any further. Of the samples behind, those that are to be counted: records
    /// are handed out again until they are acknowledged, a segment is read again with them, and by other lanes.
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

impl Followers {
    /// Lanes as the ring remembers them. A lane that it does not know begins with what any of its endpoint's lanes still
    /// lacked; an endpoint that it has never seen gets what any known one lacks.
    pub fn restore<M: Medium>(endpoints: &[EndpointLanes], ring: &Ring<M>) -> Followers {
        let mut followers = Followers { lanes: heapless::Vec::new(), endpoints: Vec::new() };
        let acks = ring.acks();
        let same_endpoint = |a: u64, b: u64| a >> 32 == b >> 32;
        let is_configured = |id| endpoints.iter().any(|endpoint| same_endpoint(endpoint.id(), id));
        for gone in acks.iter().filter(|ack| !is_configured(ack.endpoint)) {
            if gone.next_record < ring.next_record() {
                let records = ring.next_record() - gone.next_record;
                log::warn!(
                    "the ring holds up to {records} scrapes for an endpoint that is no longer configured (id {:016x}); \
                     endpoints that are new get them",
                    gone.endpoint
                );
            }
        }
        for endpoint in endpoints {
            let (index, id, first) = (followers.endpoints.len(), endpoint.id(), followers.lanes.len());
            let of_it = acks.iter().filter(|ack| same_endpoint(ack.endpoint, id));
            let unknown_from = of_it.map(|ack| ack.next_record).min();
            let unknown_from = unknown_from.or_else(|| acks.iter().map(|ack| ack.next_record).min()).unwrap_or(0);
            for (id, class) in endpoint.ids() {
                let lane = Lane::restore(index, class, id, endpoint.is_live_first, acks, unknown_from);
                assert!(followers.lanes.push(lane).is_ok(), "configurations with more lanes are refused");
            }
            let classes = endpoint.classes.clone();
            let lanes = first..followers.lanes.len();
            followers.endpoints.push(Follower { lanes, classes, settled: BTreeMap::new() });
        }
        followers
    }

    /// The senders that there are to be: at most two for each lane.
    pub fn senders(&self) -> impl Iterator<Item = (usize, Part)> {
        self.lanes.iter().enumerate().flat_map(|(index, lane)| lane.parts().map(move |part| (index, part)))
    }

    pub fn lanes_of(&self, endpoint: usize) -> &[Lane] {
        &self.lanes[self.endpoints[endpoint].lanes.clone()]
    }

    /// Numbers of all lanes, as the ring stores them.
    pub fn acks(&self) -> Acks {
        let mut acks: Acks = self.lanes.iter().flat_map(Lane::acks).collect();
        if planted(Bug::AcksSwapped) {
            (1..acks.len())
                .for_each(|at| (acks[at - 1].endpoint, acks[at].endpoint) = (acks[at].endpoint, acks[at - 1].endpoint));
        }
        acks
    }

    /// The first record from this one on that some receiver is not known to have.
    pub fn next_needed(&self, from: u64) -> u64 {
        self.lanes.iter().map(|lane| lane.next_needed(from)).min().unwrap_or(u64::MAX)
    }

    /// Whether some receiver is not known to have all of these records.
    pub fn is_needed(&self, records: std::ops::Range<u64>) -> bool {
        self.next_needed(records.start) < records.end
    }

    /// Whether the endpoint will not get all of these records.
    pub fn lacks_some(&self, endpoint: usize, records: std::ops::Range<u64>) -> bool {
        self.lanes_of(endpoint).iter().any(|lane| lane.next_lacking(records.start) < records.end)
    }

    /// Samples of a batch that are this lane's.
    pub fn samples_of(&self, lane: usize, batch: &ScrapeBatch) -> u64 {
        let lane = &self.lanes[lane];
        match (&self.endpoints[lane.endpoint].classes, lane.class) {
            (Some(classes), Some(class)) => (classes.count)(batch)[class as usize],
            _ => batch.len() as u64,
        }
    }

    /// Samples that the endpoint loses with this record. Without its batch: all, if any lane lacks it.
    pub fn lost(&self, endpoint: usize, record: u64, samples: u64, batch: Option<&ScrapeBatch>) -> u64 {
        let lanes = self.lanes_of(endpoint);
        let lacking = || lanes.iter().filter(|lane| lane.lacks(record));
        match (lacking().count(), &self.endpoints[endpoint].classes, batch) {
            (0, ..) => 0,
            (count, Some(classes), Some(batch)) if count < lanes.len() => {
                let counts = (classes.count)(batch);
                lacking().filter_map(|lane| Some(counts[lane.class? as usize])).sum()
            }
            _ => samples,
        }
    }

    /// Of samples in this segment that can't be read, those that the endpoint loses and that were not counted before. What classes
    /// they are of is not known, so it is all of them unless every lane has come past.
    pub fn lost_unreadable(&self, endpoint: usize, segment: SegmentInfo, end_record: u64, unreadable: u64) -> u64 {
        if !self.lacks_some(endpoint, segment.first_record..end_record) {
            return 0;
        }
        unreadable.saturating_sub(self.endpoints[endpoint].settled(segment.seq).unwrap_or(0))
    }
}

impl Lane {
    /// What the sender of this part is for.
    pub fn role(&self, part: Part) -> SenderRole {
        SenderRole { endpoint: self.endpoint, class: self.class, is_backlog: part == Part::Old }
    }
}
