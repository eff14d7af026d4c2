//! A buffer whose ring can't be opened: samples are in memory only, and endpoints get them from there. Once the ring opens, the
//! buffer moves into it.
//!
//! ```text
//!  memory only      M ───[delivered]───┤─── stage ───►          M: numbers that no ring can hold
//!                   │                  │
//!  in the ring      N ───[delivered]───┤─── stage ───►          N: the ring's next number
//!     ─── backlog ──┘
//! ```
//!
//! What the ring held before is delivered after what memory has delivered already: a receiver that takes no older samples
//! refuses it, and then it is counted.

use super::stage::Stage;
use super::{Buffer, BufferOptions, EndpointLanes};
use crate::counters::Counters;
use crate::limits::{FRAME_RECORDS_MAX, MEMORY_RECORDS_FROM};
use crate::model::SeriesTable;
use crate::ring::{Medium, RingError, Storage};
use std::rc::Rc;
use std::time::Duration;

/// How the numbers of memory only become those of the ring.
#[derive(Clone, Copy)]
pub(super) struct Renumbering {
    /// The ring's number of the first record of memory.
    base: u64,
}

impl Renumbering {
    /// `None`: the record has its number from the ring.
    pub fn of(self, record: u64) -> Option<u64> {
        record.checked_sub(MEMORY_RECORDS_FROM).map(|nth| self.base + nth)
    }
}

impl Buffer<Storage> {
    /// A buffer without a ring, until [`move_into`](Self::move_into) gives it one.
    pub fn without_ring(
        options: &BufferOptions,
        endpoints: &[impl Clone + Into<EndpointLanes>],
        table: Rc<SeriesTable>,
        counters: Rc<Counters>,
    ) -> Result<Self, RingError> {
        let (storage, layout) = (Storage::Absent(options.shape()), options.layout());
        let (buffer, _) = Buffer::open(storage, layout, options.commit_interval, endpoints, table, counters)?;
        Ok(buffer.in_memory_only())
    }
}

impl<M: Medium> Buffer<M> {
    /// Whether there is a ring, and not memory only.
    pub fn has_ring(&self) -> bool {
        self.stage.first_record() < MEMORY_RECORDS_FROM
    }

    /// The same, as one whose medium holds nothing and takes no writes.
    pub(super) fn in_memory_only(mut self) -> Self {
        self.stage = Stage::starting_at(MEMORY_RECORDS_FROM);
        self.committed_until = MEMORY_RECORDS_FROM;
        self.flash_refuses = true;
        self
    }

    /// Goes on in the ring of `opened`, which is for the same endpoints and has nothing in memory yet. Nothing of what memory
    /// holds is lost: it is committed as if it had been scraped after what the ring holds. What was lost before is added to what
    /// the ring's note counts.
    pub fn move_into(&mut self, opened: Self, now: Duration) {
        let base = opened.stage.first_record();
        let renumbering = Renumbering { base };
        let in_ring = |record| renumbering.of(record).unwrap_or(base);
        for (lane, restored) in self.followers.lanes.iter_mut().zip(opened.followers.lanes) {
            lane.move_into(restored, base, in_ring);
        }
        self.stage.renumber(in_ring(self.stage.first_record()));
        self.committed_until = in_ring(self.committed_until);
        for reader in &mut self.readers {
            reader.backlog = None;
            reader.held.renumber(in_ring);
        }
        (self.ring, self.layout, self.codec) = (opened.ring, opened.layout, None);
        (self.flash_refuses, self.frame_records) = (false, FRAME_RECORDS_MAX);
        self.renumbering = Some(renumbering);
        self.loss_note = opened.loss_note;
        if self.has_unwritten_losses() {
            self.is_note_wanted = true;
            self.plan_acks_at(now);
        }
    }
}
