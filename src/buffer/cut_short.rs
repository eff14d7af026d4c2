//! What the ring loses when its file is replaced or cut short while it is open.

use super::Buffer;
use crate::counters::DropCause;
use crate::model::Lost;
use crate::ring::{Medium, RingError};

impl<M: Medium> Buffer<M> {
    /// Goes on on another medium, which holds the same bytes.
    pub fn replace_medium(&mut self, medium: M) {
        self.ring.replace_medium(medium);
    }

    /// The medium has lost everything from this offset on. What endpoints lack of it is counted now, since a restart would not
    /// know of it; the samples of a segment are counted as a whole. Returns the number of segments that are damaged.
    pub fn lose_beyond(&mut self, offset: u64) -> usize {
        let lost: Vec<_> = self.ring.segments_beyond(offset).collect();
        let oldest = self.ring.segments().next().map_or(0, |oldest| oldest.seq);
        for segment in &lost {
            let (end, unread) = (self.ring.end_of(*segment), self.ring.samples_in(*segment));
            let in_memory = self.samples_in_memory(segment.first_record, end);
            let times = self.times_behind(*segment, None);
            for endpoint in 0..self.followers.endpoints.len() {
                if self.followers.lacks_some(endpoint, segment.first_record..end) {
                    let samples = self.followers.endpoints[endpoint].settle(segment.seq, unread, in_memory, oldest);
                    let times = times.filter(|_| samples > 0);
                    self.losses.count(endpoint, DropCause::RingDamaged, Lost { samples, times });
                }
            }
            self.ring.lose(segment.seq);
        }
        self.codec = None;
        lost.len()
    }

    /// [`close`](Self::close) where the medium goes away with the process: what endpoints lack of the ring is lost with it, and
    /// counted, and nothing is written. Returns the reason that it is given.
    pub fn close_without_medium(&mut self, reason: RingError) -> Result<(), RingError> {
        self.lose_beyond(0);
        self.end(Err(reason))
    }
}
