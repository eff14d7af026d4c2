//! A sender's place in the ring: frames are read and decoded from the start of a segment on.

use super::{Buffer, Reader, has_room};
use crate::bugs::{Bug, planted};
use crate::codec::SegmentCodec;
use crate::counters::DropCause;
use crate::model::{Lost, ScrapeBatch, Window};
use crate::ring::{FrameMeta, FramePosition, Medium, Read, RingError};
use std::collections::VecDeque;
use std::rc::Rc;

/// Failed reads in a row after which the rest of a segment is dropped, if another can be read.
const READ_ATTEMPTS: u8 = 5;

/// Failed reads in a row after which all of the storage is taken to be gone for good.
const READ_ATTEMPTS_OF_ALL: u8 = 240;

pub(super) struct Backlog {
    /// The first record that was not handed out from here yet.
    next_record: u64,
    at: FramePosition,
    codec: SegmentCodec,
    /// Decoded records that were not handed out yet.
    decoded: VecDeque<(u64, Rc<ScrapeBatch>)>,
    /// Samples of all frames of this segment that were read so far, and the record that they end before.
    samples_read: u64,
    read_until: u64,
    /// Time of the last scrape that was read.
    read_until_ms: Option<i64>,
    failures: u8,
    bytes: Vec<u8>,
    batches: Vec<ScrapeBatch>,
}

impl Backlog {
    fn starting_at(at: FramePosition, next_record: u64) -> Backlog {
        Backlog {
            next_record,
            at,
            codec: SegmentCodec::new(),
            decoded: VecDeque::new(),
            samples_read: 0,
            read_until: 0,
            read_until_ms: None,
            failures: 0,
            bytes: Vec::new(),
            batches: Vec::new(),
        }
    }

    fn enter_segment(&mut self, at: FramePosition) {
        self.at = at;
        self.codec = SegmentCodec::new();
        self.samples_read = 0;
    }
}

impl<M: Medium> Buffer<M> {
    /// Fills the window with records from flash, up to where memory goes on or the sender's part ends. A read that fails with
    /// some in hand is left to the next call, as what was taken from the backlog must not be lost with the window.
    pub(super) fn read_backlog(&mut self, sender: usize, window: &mut Window) -> Result<(), RingError> {
        let reader = &mut self.readers[sender];
        let until = self.stage.first_record().min(self.followers.lanes[reader.lane].end(reader.part));
        let goes_on = |b: &Backlog| b.next_record == window.next_record && self.ring.segment_at(b.at).is_some();
        let known = reader.backlog.take().filter(|backlog| goes_on(backlog));
        let found = || self.ring.find(window.next_record).map(|at| Backlog::starting_at(at, window.next_record));
        let Some(mut backlog) = known.or_else(|| found().map(Box::new)) else {
            window.next_record = until;
            return Ok(());
        };
        let filled = self.fill_from(&mut backlog, sender, window, until);
        backlog.next_record = window.next_record;
        self.readers[sender].backlog = Some(backlog);
        if window.batches.is_empty() { filled } else { Ok(()) }
    }

    fn fill_from(
        &mut self,
        backlog: &mut Backlog,
        sender: usize,
        window: &mut Window,
        until: u64,
    ) -> Result<(), RingError> {
        let Reader { lane, part, samples_max, .. } = self.readers[sender];
        while window.next_record < until {
            let Some((record, batch)) = backlog.decoded.front() else {
                if !self.read_further(backlog, lane)? {
                    window.next_record = until;
                }
                continue;
            };
            let record = *record;
            if record >= until {
                window.next_record = until;
                return Ok(());
            }
            if record >= window.next_record && !self.followers.lanes[lane].is_passed_over(part, record) {
                if !has_room(window, batch, samples_max) {
                    return Ok(());
                }
                window.push(record, batch.clone());
            }
            backlog.decoded.pop_front();
        }
        Ok(())
    }

    /// One step: a frame, or on to the next segment. False at the end of the ring.
    fn read_further(&mut self, backlog: &mut Backlog, lane: usize) -> Result<bool, RingError> {
        let read = match self.ring.read(backlog.at, &mut backlog.bytes) {
            Ok(read) => read,
            Err(error) if self.is_worth_another_read(backlog) => return Err(error),
            Err(error) => {
                log::error!("a segment of the ring can't be read to its end: {error}");
                self.ring.after(backlog.at)
            }
        };
        let read = match read {
            Read::Frame { meta, payload_at, next } => match self.decode(backlog, &meta, payload_at) {
                Ok(()) => {
                    backlog.at = next;
                    return Ok(true);
                }
                Err(error) => {
                    log::error!("a segment of the ring can't be read to its end: {error}");
                    self.ring.after(backlog.at)
                }
            },
            end => end,
        };
        self.leave_segment(backlog, lane);
        match read {
            Read::EndOfSegment { next } => {
                backlog.enter_segment(next);
                Ok(true)
            }
            Read::Frame { .. } | Read::EndOfRing => Ok(false),
        }
    }

    /// After a failed read. One bad place must not hold up the rest, but storage that is away for a while may come back.
    fn is_worth_another_read(&self, backlog: &mut Backlog) -> bool {
        backlog.failures = backlog.failures.saturating_add(1);
        let is_bad_place = backlog.failures >= READ_ATTEMPTS && self.ring.can_be_read_elsewhere(backlog.at);
        !is_bad_place && backlog.failures < READ_ATTEMPTS_OF_ALL
    }

    fn decode(
        &self,
        backlog: &mut Backlog,
        meta: &FrameMeta,
        payload_at: usize,
    ) -> Result<(), crate::codec::CodecError> {
        backlog.failures = 0;
        if meta.sample_counts.is_empty() {
            return Ok(());
        }
        backlog.batches.clear();
        backlog.codec.decode(&backlog.bytes[payload_at..], &self.table, &mut backlog.batches)?;
        backlog.read_until_ms = backlog.batches.last().map(|batch| batch.timestamp_ms).or(backlog.read_until_ms);
        let batches = backlog.batches.drain(..).map(Rc::new);
        backlog.decoded.extend((meta.first_record..meta.end_record()).zip(batches));
        backlog.samples_read += meta.samples();
        backlog.read_until = meta.end_record();
        Ok(())
    }

    /// At the end of a segment, or where it can't be read any further. What was written to it and could not be read back is
    /// counted once; what memory still has of it may yet be delivered from there. Nothing is added to a damaged segment, as
    /// nobody would come to read it.
    fn leave_segment(&mut self, backlog: &Backlog, lane: usize) {
        if self.ring.is_written(backlog.at) {
            self.ring.seal(backlog.at.segment_seq);
        }
        let Some(segment) = self.ring.segment_at(backlog.at) else { return };
        let unread = self.ring.samples_in(segment).saturating_sub(backlog.samples_read);
        if unread == 0 {
            return;
        }
        let in_memory = self.samples_in_memory(backlog.read_until, self.ring.end_of(segment));
        let oldest = self.ring.segments().next().map_or(0, |oldest| oldest.seq);
        let endpoint = self.followers.lanes[lane].endpoint;
        let counted = self.followers.endpoints[endpoint].settle(segment.seq, unread, in_memory, oldest);
        if !planted(Bug::UnreadNotCounted) {
            let times = if counted > 0 { self.times_behind(segment, backlog.read_until_ms) } else { None };
            self.losses.count(endpoint, DropCause::RingDamaged, Lost { samples: counted, times });
        }
    }

    /// Samples of these records that memory holds.
    /// Samples that a sender's receiver has not acknowledged. Within a segment that it has acknowledged in part, each record counts
    /// as the segment's average.
    pub fn pending_samples(&self, sender: usize) -> u64 {
        let Reader { lane, part, .. } = self.readers[sender];
        let (from, end) = (self.followers.lanes[lane].next_record(part), self.followers.lanes[lane].end(part));
        let in_ring = self.ring.segments().map(|segment| {
            let (first, until) = (segment.first_record, self.ring.end_of(segment));
            let pending = until.min(end).saturating_sub(first.max(from));
            let share = u128::from(self.ring.samples_in(segment)) * u128::from(pending);
            (share / u128::from(until.saturating_sub(first).max(1))) as u64
        });
        let in_memory = self.stage.from(from.max(self.committed_until)).take_while(|(record, _)| *record < end);
        in_ring.sum::<u64>() + in_memory.map(|(_, batch)| batch.len() as u64).sum::<u64>()
    }

    pub(super) fn samples_in_memory(&self, from: u64, until: u64) -> u64 {
        let records = self.stage.from(from).take_while(|(record, _)| *record < until);
        records.map(|(_, batch)| batch.len() as u64).sum()
    }
}
