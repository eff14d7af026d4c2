//! How much the state of the open segment may hold, and when it is released.
//!
//! ```text
//!  outage       frames with series that come and go ─► dictionary grows ─► outgrown: the next frame opens a segment
//!  delivered    nothing is written any more ─► after a while the state is released; the next commit reads it back
//! ```

use super::Buffer;
use crate::codec::SegmentCodec;
use crate::limits::SEGMENT_GONE_SERIES_MAX;
use crate::model::ScrapeBatch;
use crate::ring::{Frame, Medium};
use std::rc::Rc;
use std::time::Duration;

/// How long the state is kept after the last frame, if every endpoint has everything that is on flash; less where commits follow
/// one another within two seconds: [`KEPT_COMMITS`].
const KEPT_MAX: Duration = Duration::from_secs(20);

const KEPT_COMMITS: u32 = 10;

impl<M: Medium> Buffer<M> {
    /// Whether the dictionary holds too many series that are gone. `batches` are to be written next.
    pub(super) fn is_outgrown(&self, codec: &SegmentCodec, batches: &[Rc<ScrapeBatch>]) -> bool {
        if codec.series_len() <= SEGMENT_GONE_SERIES_MAX {
            return false;
        }
        let mut lists: Vec<_> = batches.iter().map(|batch| (Rc::as_ptr(&batch.series).addr(), batch.len())).collect();
        lists.sort_unstable();
        lists.dedup();
        let listed = lists.iter().map(|(_, series)| series).sum();
        codec.series_len() > self.table.live().max(listed) + SEGMENT_GONE_SERIES_MAX
    }

    /// When [`rest`](Self::rest) is to be called, on the monotonic clock. `None` if there is nothing to release, or if some
    /// endpoint lacks what is on flash.
    pub fn rest_due(&self) -> Option<Duration> {
        let worked_at = self.worked_at.filter(|_| !self.commit_interval.is_zero())?;
        let is_delivered = self.followers.next_needed(0) >= self.ring.next_record();
        is_delivered.then(|| worked_at + KEPT_MAX.min(self.commit_interval.saturating_mul(KEPT_COMMITS)))
    }

    /// Releases what only an outage and the delivery of its backlog need.
    pub fn rest(&mut self) {
        self.worked_at = None;
        (self.codec, self.frame, self.gathered) = (None, Frame::default(), Vec::new());
        self.stage.shrink();
        self.table.sweep();
    }
}
