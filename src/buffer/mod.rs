//! What was scraped and not yet acknowledged: the RAM stage, the ring behind it, and the lanes of each endpoint.
//!
//! ```text
//!  push ─► stage ─────────────────────────────────┐
//!            │ older than commit_interval and      ├─► window(sender) ─► ack(sender)
//!            ▼ lacked by some endpoint             │
//!          codec ─► ring ─► codec ─► backlog ──────┘
//! ```
//!
//! Records are scrape batches, numbered from the first to the last that this ring ever held. Most endpoints have one lane and one
//! sender for it: the number of the first record that it lacks. `lane.rs` has those that let new samples go ahead of a backlog,
//! `followers.rs` those with a lane for each class. While every endpoint keeps up nothing is written to flash.

mod backlog;
mod budget;
mod carry;
mod commit;
mod cut_short;
mod evictions;
mod followers;
mod held;
mod lane;
mod loss_note;
mod losses;
mod memory_only;
mod resize;
mod resting;
mod split;
mod stage;
#[cfg(test)]
mod tests;
mod writing;

use crate::bugs::{Bug, planted};
use crate::codec::SegmentCodec;
use crate::counters::{Counters, DropCause};
use crate::limits::{
    FRAME_RECORDS_MAX, STAGE_BYTES_MAX, STAGE_BYTES_OVERSHOOT_MAX, WINDOW_BATCHES_MAX, WINDOW_EXTRAS_BYTES_MAX,
    WINDOW_SAMPLES_MAX,
};
use crate::model::{ScrapeBatch, SeriesTable, Window, noted, with_noted};
use crate::ring::{Frame, Layout, Medium, Recovery, Ring, RingError, Shape};
use backlog::Backlog;
use budget::Bucket;
pub use budget::WriteBudget;
#[cfg(test)]
pub(crate) use commit::RETAINED;
use followers::Followers;
pub use followers::{ClassLanes, EndpointLanes, SenderRole};
use held::Held;
use lane::Part;
pub use lane::{endpoint_id, join_id, live_id};
use loss_note::LossNote;
use losses::Losses;
use memory_only::Renumbering;
#[cfg(test)]
pub(crate) use resize::carried;
use split::Splitter;
use stage::{Stage, Staged};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use writing::{Commit, Writing};

/// A record that is acknowledged so long after its commit was due belongs to a backlog.
const LATE: Duration = Duration::from_secs(5);

/// `[buffer]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferOptions {
    /// The ring's file, or the block device that it has.
    pub path: PathBuf,
    pub size_bytes: u64,
    pub segment_size_bytes: u64,
    /// What the flash erases together, where that is known.
    pub erase_block_bytes: Option<u64>,
    /// What is written at once.
    pub program_unit_bytes: u32,
    /// How long a batch may wait in memory for its endpoints before it is written to flash; zero: before it is sent.
    pub commit_interval: Duration,
    /// How long a batch may wait for a commit that would exceed the write budget; not less than `commit_interval`.
    pub commit_interval_max: Duration,
    pub write_budget: Option<WriteBudget>,
    /// How often the flash is rated to be erased, where that is known.
    pub rated_cycles: Option<u32>,
}

impl BufferOptions {
    /// How the ring's segments lie. Both numbers were bounded when the configuration was read.
    pub fn layout(&self) -> Layout {
        Layout {
            segment_size_bytes: self.segment_size_bytes as u32,
            segment_count: (self.size_bytes / self.segment_size_bytes) as u32,
        }
    }

    /// The same, and what is written and erased at once.
    pub fn shape(&self) -> Shape {
        Shape {
            layout: self.layout(),
            program_unit_bytes: self.program_unit_bytes,
            erase_block_bytes: self.erase_block_bytes.map(|bytes| bytes as u32),
        }
    }
}

/// One sender's place.
struct Reader {
    lane: usize,
    part: Part,
    /// Samples that it gets at a time.
    samples_max: usize,
    /// In the ring, while it reads from there.
    backlog: Option<Box<Backlog>>,
    held: Held,
    /// It has acknowledged older records of the ring than an endpoint that keeps up ever does, and others are left there.
    is_catching_up: bool,
}

impl Reader {
    fn new(lane: usize, part: Part) -> Reader {
        let samples_max = WINDOW_SAMPLES_MAX;
        Reader { lane, part, samples_max, backlog: None, held: Held::default(), is_catching_up: false }
    }
}

/// What one sender has still to get from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Waiting {
    pub samples: usize,
    /// When the oldest of them was scraped, on the monotonic clock.
    pub oldest: Option<Duration>,
    /// Older ones wait on flash.
    pub has_backlog: bool,
}

/// How full memory and flash are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Fill {
    /// Samples that some endpoint lacks and that are in memory only.
    pub stage_samples: usize,
    /// Samples in segments that hold what some endpoint lacks.
    pub ring_samples: u64,
    /// Bytes of these segments.
    pub ring_used_bytes: u64,
    pub ring_size_bytes: u64,
}

/// The buffer of one agent. Calls may block on the medium.
pub struct Buffer<M> {
    layout: Layout,
    commit_interval: Duration,
    ring: Ring<M>,
    /// State of the newest segment; `None` until it was read back, or after a failed write.
    codec: Option<SegmentCodec>,
    stage: Stage,
    splitter: Splitter,
    /// Every record before this one is on flash, or needs not be.
    committed_until: u64,
    /// How many records the next frame is tried with.
    frame_records: usize,
    /// When samples were last written to the ring, or samples read from there acknowledged. `None` since the buffer rests.
    worked_at: Option<Duration>,
    /// The last commit failed.
    flash_refuses: bool,
    /// What is left of the commit under way.
    commit: Option<Commit>,
    /// The write of it that has not ended yet.
    writing: Option<Writing>,
    /// The owner performs the writes.
    is_written_elsewhere: bool,
    /// Of what was handed out before there was a ring. `None`: there was one from the start, or there is none.
    renumbering: Option<Renumbering>,
    acks_due: Option<Duration>,
    /// Acknowledgements alone are due for the note's sake too.
    is_note_wanted: bool,
    budget: Option<Bucket>,
    /// The last commit's, for the next one to fill.
    frame: Frame,
    gathered: Vec<Rc<ScrapeBatch>>,
    followers: Followers,
    readers: Vec<Reader>,
    table: Rc<SeriesTable>,
    counters: Rc<Counters>,
    losses: Losses,
    loss_note: LossNote,
}

impl<M: Medium> Buffer<M> {
    /// Opens the ring on `medium`. `endpoints` are in the order of their counters.
    pub fn open(
        medium: M,
        layout: Layout,
        commit_interval: Duration,
        endpoints: &[impl Clone + Into<EndpointLanes>],
        table: Rc<SeriesTable>,
        counters: Rc<Counters>,
    ) -> Result<(Self, Recovery), RingError> {
        let (ring, recovery) = Ring::open(medium, layout, counters.clone())?;
        let next_record = ring.acks().iter().map(|ack| ack.next_record).fold(ring.next_record(), u64::max);
        let endpoints: Vec<EndpointLanes> = endpoints.iter().cloned().map(Into::into).collect();
        let followers = Followers::restore(&endpoints, &ring);
        let readers = followers.senders().map(|(lane, part)| Reader::new(lane, part)).collect();
        let losses = Losses::new(counters.clone(), &endpoints);
        let buffer = Buffer {
            layout,
            commit_interval,
            followers,
            readers,
            ring,
            codec: None,
            stage: Stage::starting_at(next_record),
            splitter: Splitter::default(),
            committed_until: next_record,
            frame_records: FRAME_RECORDS_MAX,
            worked_at: None,
            flash_refuses: false,
            commit: None,
            writing: None,
            is_written_elsewhere: false,
            renumbering: None,
            acks_due: None,
            is_note_wanted: false,
            budget: None,
            frame: Frame::default(),
            gathered: Vec::new(),
            table,
            loss_note: LossNote::restore(&recovery.note, &losses, &counters),
            losses,
            counters,
        };
        Ok((buffer, recovery))
    }

    /// What each sender is for, in the order of the indices that [`window`](Self::window) takes. Without lanes of their own: one for each endpoint.
    pub fn senders(&self) -> Vec<SenderRole> {
        self.followers.senders().map(|(lane, part)| self.followers.lanes[lane].role(part)).collect()
    }

    /// What the ring is on.
    pub fn medium(&self) -> &M {
        self.ring.medium()
    }

    /// How the ring's segments lie, which may not be what the options ask for.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// How long a batch may wait in memory before it is written.
    pub fn commit_interval(&self) -> Duration {
        self.commit_interval
    }

    /// Holds writes to a budget: commits become larger and rarer, and what would wait longer than `interval_max` is dropped.
    pub fn limit_writes(&mut self, budget: WriteBudget, interval_max: Duration) {
        self.budget = Some(Bucket::new(budget, interval_max));
    }

    /// Takes a scrape in. It is in memory only until it is committed.
    pub fn push(&mut self, batch: ScrapeBatch, now: Duration) {
        if batch.is_empty() {
            return;
        }
        self.counters.samples_accepted.add(batch.len() as u64);
        let room_bytes = self.ring.frame_room_bytes();
        let parts = self.splitter.split(batch, room_bytes);
        if planted(Bug::PartForgotten) && parts.len() > 1 {
            parts.pop();
        }
        for part in parts.drain(..) {
            self.stage.push(Rc::new(part), now);
        }
        self.make_room(now);
        let memory_from = self.stage.first_record();
        self.followers.lanes.iter_mut().for_each(|lane| lane.observe(memory_from, now));
        self.losses.tell(now);
    }

    /// Keeps memory within its bound: commits ahead of time, and drops the oldest batches where flash refuses writes or the
    /// budget has no room for them.
    fn make_room(&mut self, now: Duration) {
        while self.stage.bytes() > STAGE_BYTES_MAX {
            let oldest_is_uncommitted = self.uncommitted_from() == self.stage.first_record();
            let may_commit = oldest_is_uncommitted && !self.flash_refuses && self.writing.is_none();
            if may_commit && self.is_written_elsewhere {
                let affords = |budget: &Bucket| budget.affords(now, self.uncommitted_samples());
                let is_due = self.budget.as_ref().is_none_or(affords);
                if is_due && self.stage.bytes() <= STAGE_BYTES_OVERSHOOT_MAX {
                    return;
                }
            } else if may_commit && let Err(error) = self.commit(now) {
                log::debug!("a commit ahead of time failed, and will be made again when it is due: {error}");
            }
            if !self.forget_oldest(DropCause::StageFull) {
                return;
            }
        }
    }

    /// Lets the oldest record go from memory. It is lost for whoever lacks it and won't find it in the ring; by `refused` if that is
    /// because the flash refuses writes.
    fn forget_oldest(&mut self, refused: DropCause) -> bool {
        let Some((record, Staged { batch, is_too_large, .. })) = self.stage.pop_oldest() else { return false };
        let in_ring_from = self.in_ring_from();
        self.give_up_writing(record);
        let flash_is_behind = self.flash_refuses || self.writing.is_some() || self.budget.is_none();
        let lost_by = match () {
            _ if record >= self.committed_until && flash_is_behind => Some(refused),
            _ if record >= self.committed_until => Some(DropCause::WriteBudget),
            _ if is_too_large => Some(DropCause::TooLarge),
            _ if record < in_ring_from => Some(DropCause::RingFull),
            _ => None,
        };
        self.committed_until = self.committed_until.max(record + 1);
        match lost_by {
            Some(cause) => self.drop_record(record, &batch, cause),
            None => self.drop_behind_damage(record, &batch),
        }
        true
    }

    /// Bounds the samples that this sender gets at a time; a single record may have more.
    pub fn limit_window(&mut self, sender: usize, samples_max: usize) {
        self.readers[sender].samples_max = samples_max.min(WINDOW_SAMPLES_MAX);
    }

    /// Lets a sender of new samples leave to the backlog's what is not in memory any more, if that is due; true if it did. To be
    /// asked before each [`window`](Self::window).
    pub fn divide(&mut self, sender: usize, now: Duration) -> bool {
        let Reader { lane, part, .. } = self.readers[sender];
        let memory_from = self.stage.first_record();
        let has_divided = part == Part::Live && self.followers.lanes[lane].divide(memory_from, now);
        if has_divided {
            self.readers.iter_mut().filter(|reader| reader.lane == lane).for_each(|reader| reader.backlog = None);
        }
        has_divided
    }

    /// What this sender gets next: oldest first, at most a window full. `None`: it has everything.
    ///
    /// The same records are handed out again until [`ack`](Self::ack) is called.
    pub fn window(&mut self, sender: usize) -> Result<Option<Window>, RingError> {
        let Reader { lane, part, .. } = self.readers[sender];
        let window = self.read_window(sender, self.followers.lanes[lane].next_record(part))?;
        self.hold(sender, &window);
        let lane = &mut self.followers.lanes[lane];
        lane.hand_out(part, window.next_record);
        if window.batches.is_empty() || planted(Bug::CursorPastUnread) {
            lane.ack(part, window.next_record);
        }
        Ok(if window.batches.is_empty() { None } else { Some(window) })
    }

    /// What comes from this record on, while what comes before it is neither acknowledged nor forgotten. `None`: nothing so far.
    pub fn window_ahead(&mut self, sender: usize, from_record: u64) -> Result<Option<Window>, RingError> {
        let Reader { lane, part, .. } = self.readers[sender];
        let from_record = from_record.max(self.followers.lanes[lane].next_record(part));
        let window = self.read_window(sender, from_record)?;
        Ok(if window.batches.is_empty() { None } else { Some(window) })
    }

    fn read_window(&mut self, sender: usize, next_record: u64) -> Result<Window, RingError> {
        let Reader { lane, part, samples_max, .. } = self.readers[sender];
        let end = self.followers.lanes[lane].end(part);
        let mut window = Window { next_record, ..Window::default() };
        if window.next_record < self.stage.first_record().min(end) {
            self.read_backlog(sender, &mut window)?;
        }
        if window.next_record >= self.stage.first_record().min(end) {
            self.readers[sender].backlog = None;
            let lane = &self.followers.lanes[lane];
            for (record, batch) in self.stage.from(window.next_record).take_while(|(record, _)| *record < end) {
                if lane.is_passed_over(part, record) {
                    window.next_record = record + 1;
                    continue;
                }
                if !has_room(&window, batch, samples_max) {
                    break;
                }
                window.push(record, batch.clone());
            }
        }
        Ok(window)
    }

    /// The sender holds this window from now on, and no other any more.
    fn hold(&mut self, sender: usize, window: &Window) {
        self.count_held(sender);
        let Reader { lane, held, .. } = &mut self.readers[sender];
        let samples_of = |batch: &ScrapeBatch| self.followers.samples_of(*lane, batch);
        let records = window.records.iter().zip(&window.batches);
        records.for_each(|(record, batch)| held.push(*record, samples_of(batch), batch.times()));
    }

    /// Of the window that the sender holds, so many samples of these records are neither delivered nor dropped, and all others are.
    pub fn settle(&mut self, sender: usize, unfinished: impl Iterator<Item = (u64, u64)>) {
        let renumbering = self.renumbering;
        let in_ring = |record| renumbering.and_then(|renumbering| renumbering.of(record)).unwrap_or(record);
        self.readers[sender].held.settle(unfinished.map(|(record, samples)| (in_ring(record), samples)));
    }

    /// The sender's receiver has everything before `next_record`.
    pub fn ack(&mut self, sender: usize, next_record: u64, now: Duration) {
        if self.readers[sender].backlog.is_some() {
            self.worked_at = Some(now);
        }
        let has_drained = self.acknowledge(sender, next_record, now);
        let needed_from = self.followers.next_needed(self.stage.first_record());
        self.stage.drop_before(needed_from);
        let was_at_risk = self.readers[sender].held.is_at_risk(self.in_ring_from());
        self.readers[sender].held.clear();
        self.plan_acks(now, has_drained);
        self.plan_losses(now, was_at_risk);
    }

    /// Moves the sender's cursor; true if that was the end of a backlog.
    fn acknowledge(&mut self, sender: usize, next_record: u64, now: Duration) -> bool {
        let Reader { lane, part, .. } = self.readers[sender];
        let lane = &mut self.followers.lanes[lane];
        if let Some(next_record) = self.renumbering.and_then(|renumbering| renumbering.of(next_record)) {
            lane.ack_ahead(next_record);
            return false;
        }
        let first = lane.next_record(part);
        lane.ack(part, next_record);
        let is_late = |entered: Duration| now >= entered.saturating_add(self.commit_interval + LATE);
        let was_backlog = first < self.ring.next_record() && self.stage.entered(first).is_none_or(is_late);
        let is_catching_up = std::mem::take(&mut self.readers[sender].is_catching_up) || was_backlog;
        let is_at_end = lane.next_record(part) >= self.ring.next_record().min(lane.end(part));
        self.readers[sender].is_catching_up = is_catching_up && !is_at_end;
        is_catching_up && is_at_end
    }

    /// Whether what was just pushed goes to flash before it is sent. What the write budget holds back, or flash refuses, is sent
    /// meanwhile.
    pub fn commits_at_once(&self, now: Duration) -> bool {
        let waits = self.commit_interval.is_zero() && !self.flash_refuses;
        waits && self.commit_due().is_some_and(|due| due <= now)
    }

    /// What was set or found last; empty: nothing so far.
    pub fn note(&self) -> &[u8] {
        self.ring.note()
    }

    /// Whether the ring on flash has the note as it is.
    #[cfg(test)]
    pub(crate) fn is_note_written(&self) -> bool {
        self.ring.is_note_written()
    }

    /// What was put into the note under this key, perhaps by an earlier process.
    pub fn remembered(&self, key: &str) -> Option<&[u8]> {
        noted(self.note(), key)
    }

    /// Puts a few bytes into the note: the keys share what room it has. It is written with acknowledgements, and when the buffer is
    /// closed; [`write_note`](Self::write_note) asks for more.
    pub fn remember(&mut self, key: &str, value: &[u8]) {
        if self.remembered(key) != Some(value) {
            self.ring.set_note(with_noted(self.note(), key, value));
        }
    }

    /// Has the note written soon if it has changed: as soon and as seldom as acknowledgements alone are.
    pub fn write_note(&mut self, now: Duration) {
        if !self.ring.is_note_written() {
            self.is_note_wanted = true;
            self.plan_acks_alone(now);
        }
    }

    /// Segments that were ever opened in this ring: laps over it, times its segments.
    pub fn segments_opened(&self) -> u64 {
        self.ring.segments().next_back().map_or(0, |newest| newest.seq)
    }

    pub fn waiting(&self, sender: usize) -> Waiting {
        let Reader { lane, part, .. } = self.readers[sender];
        let (from, end) = (self.followers.lanes[lane].next_record(part), self.followers.lanes[lane].end(part));
        let in_memory = self.stage.from(from).take_while(|(record, _)| *record < end);
        let oldest = from.max(self.stage.first_record());
        Waiting {
            samples: in_memory.map(|(_, batch)| batch.len()).sum(),
            oldest: self.stage.entered(oldest).filter(|_| oldest < end),
            has_backlog: from < self.stage.first_record().min(self.ring.next_record()).min(end),
        }
    }

    pub fn fill(&self) -> Fill {
        let is_needed = |from: u64, until: u64| self.followers.is_needed(from..until);
        let needed = || {
            let segments = self.ring.segments();
            segments.filter(|segment| is_needed(segment.first_record, self.ring.end_of(*segment)))
        };
        let in_memory_only = self.stage.from(self.committed_until);
        let in_memory_only = in_memory_only.filter(|(record, _)| is_needed(*record, record + 1));
        Fill {
            stage_samples: in_memory_only.map(|(_, batch)| batch.len()).sum(),
            ring_samples: needed().map(|segment| self.ring.samples_in(segment)).sum(),
            ring_used_bytes: needed().count() as u64 * u64::from(self.layout.segment_size_bytes),
            ring_size_bytes: self.layout.size_bytes(),
        }
    }
}

/// Whether a window can take one more batch; the first always fits.
fn has_room(window: &Window, batch: &ScrapeBatch, samples_max: usize) -> bool {
    window.batches.is_empty()
        || window.batches.len() < WINDOW_BATCHES_MAX
            && window.samples() + batch.len() <= samples_max
            && window.extras_bytes + batch.extras_bytes() <= WINDOW_EXTRAS_BYTES_MAX
}
