//! Carrying what one ring holds over into another: frame by frame through the codec, since segments of another size hold other
//! frames. Refuses to know where the rings are and how they take each other's place.

use super::EndpointLanes;
use super::commit::{Encoded, encode};
use super::evictions::{start_ms, times_between};
use super::followers::Followers;
use super::loss_note::LossNote;
use super::losses::Losses;
use super::split::{Splitter, admits};
use crate::bugs::{Bug, planted};
use crate::codec::SegmentCodec;
use crate::counters::{Counters, DropCause};
use crate::limits::{ENDPOINTS_MAX, FRAME_RECORDS_MAX, LOSSES_BYTES_MAX};
use crate::model::{LOSSES_KEY, Lost, ScrapeBatch, SeriesTable, with_noted};
use crate::ring::{Ack, Acks, Frame, FrameMeta, FramePosition, Medium, Placement, Read, Ring, RingError, SegmentInfo};
use std::collections::VecDeque;
use std::rc::Rc;

/// The first record that some endpoint lacks which the ring knows.
pub(super) fn waiting_from<M: Medium>(ring: &Ring<M>) -> u64 {
    ring.acks().iter().map(|ack| ack.next_record).min().unwrap_or(0)
}

/// Samples of one segment of the new ring, by endpoint that lacks them.
type Lacking = heapless::Vec<Lost, ENDPOINTS_MAX>;

/// Reads the old ring from its oldest record that someone lacks, and writes the new one.
///
/// Records keep their numbers but where one has to be cut into several, which moves up those after it; acknowledgements are
/// translated accordingly.
pub(super) struct Carrier<'o, Old, New> {
    old: &'o Ring<Old>,
    new: Ring<New>,
    codec: Option<SegmentCodec>,
    splitter: Splitter,
    /// Endpoints of this configuration as the old ring knows them.
    followers: Followers,
    /// What each segment of the new ring holds, oldest first.
    lacking: VecDeque<Lacking>,
    /// Acknowledgements of the old ring that were not reached yet in translating, and those in the new numbers.
    acks_ahead: Acks,
    acks: Acks,
    /// Number that the next record gets in the new ring.
    next_record: u64,
    carried: u64,
    losses: Losses,
    loss_note: LossNote,
    counters: Rc<Counters>,
}

impl<'o, Old: Medium, New: Medium> Carrier<'o, Old, New> {
    /// `new` is empty. Samples that are lost are counted for `endpoints`, in this order, on top of what the old ring's note counts;
    /// the sums go to the new one's.
    pub fn new(
        old: &'o Ring<Old>,
        mut new: Ring<New>,
        endpoints: &[impl Clone + Into<EndpointLanes>],
        counters: Rc<Counters>,
    ) -> Self {
        new.set_note(old.note().clone());
        let endpoints: Vec<EndpointLanes> = endpoints.iter().cloned().map(Into::into).collect();
        let losses = Losses::new(counters.clone(), &endpoints);
        Carrier {
            old,
            new,
            codec: None,
            splitter: Splitter::default(),
            followers: Followers::restore(&endpoints, old),
            lacking: VecDeque::new(),
            acks_ahead: old.acks().clone(),
            acks: Acks::new(),
            next_record: 0,
            carried: 0,
            loss_note: LossNote::restore(old.note(), &losses, &counters),
            losses,
            counters,
        }
    }

    /// The new ring, and how many samples were written to it.
    pub fn carry(mut self) -> Result<(Ring<New>, u64), RingError> {
        let from = waiting_from(self.old);
        // Only while this is in use: the agent's own table is not to keep what is sent long before.
        let table = SeriesTable::new();
        let old = self.old;
        for segment in old.segments().filter(|segment| old.end_of(*segment) > from) {
            self.carry_segment(segment, from, &table)?;
        }
        self.losses.tell_all();
        self.finish()?;
        Ok((self.new, self.carried))
    }

    fn carry_segment(&mut self, segment: SegmentInfo, from: u64, table: &SeriesTable) -> Result<(), RingError> {
        let (mut codec, mut bytes, mut batches) = (SegmentCodec::new(), Vec::new(), Vec::new());
        let (mut at, mut samples_read, mut read_until_ms) = (FramePosition::start_of(segment), 0, None);
        loop {
            let (meta, payload_at) = match self.old.read(at, &mut bytes) {
                Ok(Read::Frame { meta, payload_at, next }) => {
                    at = next;
                    (meta, payload_at)
                }
                Ok(Read::EndOfSegment { .. } | Read::EndOfRing) => break,
                Err(error) => {
                    log::error!("a segment of the old ring can't be read to its end: {error}");
                    break;
                }
            };
            if meta.sample_counts.is_empty() {
                continue;
            }
            batches.clear();
            if let Err(error) = codec.decode(&bytes[payload_at..], table, &mut batches) {
                log::error!("a segment of the old ring can't be read to its end: {error}");
                break;
            }
            samples_read += meta.samples();
            read_until_ms = batches.last().map(|batch| batch.timestamp_ms).or(read_until_ms);
            self.carry_frame(meta.first_record, &mut batches, from)?;
        }
        let unread = self.old.samples_in(segment).saturating_sub(samples_read);
        if unread > 0 {
            let times = times_between(read_until_ms, start_ms(self.old, segment.seq + 1, table));
            self.count_unread(segment, Lost { samples: unread, times });
        }
        Ok(())
    }

    /// The batches of one frame; they become one frame, or more where they need it.
    fn carry_frame(&mut self, first_record: u64, batches: &mut Vec<ScrapeBatch>, from: u64) -> Result<(), RingError> {
        let room_bytes = self.new.frame_room_bytes();
        let mut parts: Vec<Part> = Vec::new();
        for (record, batch) in (first_record..).zip(batches.drain(..)).filter(|(record, _)| *record >= from) {
            // A gap in the old numbers absorbs what cutting moved up.
            if parts.is_empty() {
                self.next_record = self.next_record.max(record);
            }
            let number = self.next_record + parts.len() as u64;
            self.translate_acks(record, number);
            let cut = self.splitter.split(batch, room_bytes);
            parts.extend(cut.drain(..).map(|part| Part { record, batch: Rc::new(part) }));
        }
        let mut done = 0;
        while done < parts.len() {
            done += self.write(&parts[done..])?;
        }
        Ok(())
    }

    /// Writes as many as one frame takes.
    fn write(&mut self, parts: &[Part]) -> Result<usize, RingError> {
        let (mut batches, mut label_bytes) = (Vec::new(), 0);
        for part in parts.iter().take(FRAME_RECORDS_MAX) {
            if !admits(&batches, &mut label_bytes, &part.batch) {
                break;
            }
            batches.push(part.batch.clone());
        }
        let encoded = encode(&self.new, Frame::default(), self.codec.take(), self.next_record, &batches, Acks::new());
        let Some(Encoded { frame, placement, codec }) = encoded else {
            self.drop_samples(&self.lacked(&parts[..1]), DropCause::TooLarge);
            self.next_record += 1;
            return Ok(1);
        };
        let written = frame.meta.sample_counts.len();
        self.append(&frame, placement)?;
        self.codec = Some(codec);
        let lacked = self.lacked(&parts[..written]);
        let newest = self.lacking.back_mut().into_iter().flatten();
        newest.zip(&lacked).for_each(|(sum, lost)| sum.add(*lost));
        self.carried += frame.meta.samples();
        self.next_record = frame.meta.end_record();
        Ok(written)
    }

    fn append(&mut self, frame: &Frame, placement: Placement) -> Result<(), RingError> {
        let evicted = self.new.append(frame, placement, &self.acks_so_far())?.evicted;
        if placement == Placement::NewSegment {
            self.lacking.push_back(self.followers.endpoints.iter().map(|_| Lost::default()).collect());
        }
        if evicted.is_some()
            && let Some(evicted) = self.lacking.pop_front()
        {
            self.drop_samples(&evicted, DropCause::Resized);
        }
        Ok(())
    }

    /// The translated acknowledgements, in full, as the last word.
    fn finish(&mut self) -> Result<(), RingError> {
        if self.new.newest().is_none() && self.old.note().is_empty() {
            return Ok(());
        }
        let (end, new_end) = (self.old.next_record(), self.next_record);
        for ack in std::mem::take(&mut self.acks_ahead) {
            // As many as were acknowledged beyond what the ring held stay so.
            let next_record = new_end.max(self.old.next_record()) + ack.next_record.saturating_sub(end);
            self.put_ack(ack.endpoint, next_record);
        }
        let counts = self.loss_note.counts(&self.losses, &self.counters).encode(LOSSES_BYTES_MAX);
        if !counts.is_empty() {
            self.new.set_note(with_noted(self.new.note(), LOSSES_KEY, &counts));
        }
        let meta = FrameMeta { first_record: new_end, acks: self.acks.clone(), ..FrameMeta::default() };
        let payload = if self.new.is_note_written() { Vec::new() } else { self.new.note().to_vec() };
        let frame = Frame { meta, payload };
        let placement =
            if self.new.fits(&frame, Placement::Current) { Placement::Current } else { Placement::NewSegment };
        self.append(&frame, placement)
    }

    /// An endpoint that lacks no record before this one lacks none before its new number.
    fn translate_acks(&mut self, record: u64, number: u64) {
        for ack in self.acks_ahead.clone().iter().filter(|ack| ack.next_record <= record) {
            let number = if planted(Bug::CarriedAcksNotTranslated) { ack.next_record } else { number };
            self.put_ack(ack.endpoint, number);
        }
        self.acks_ahead.retain(|ack| ack.next_record > record);
    }

    fn put_ack(&mut self, endpoint: u64, next_record: u64) {
        // There are no more of them than in the old ring, which holds them in a list as long as this one.
        _ = self.acks.push(Ack { endpoint, next_record });
    }

    /// For a header: of those that are further on it is known that they lack nothing before the record that comes now.
    fn acks_so_far(&self) -> Acks {
        let ahead = self.acks_ahead.iter().map(|ack| Ack { next_record: self.next_record, ..*ack });
        self.acks.iter().copied().chain(ahead).collect()
    }

    /// Samples in these parts, for each endpoint that lacks them.
    fn lacked(&self, parts: &[Part]) -> Lacking {
        let lost = |endpoint: usize, part: &Part| {
            let samples = self.followers.lost(endpoint, part.record, part.batch.len() as u64, Some(&part.batch));
            Lost::new(samples, part.batch.times())
        };
        (0..self.followers.endpoints.len())
            .map(|endpoint| parts.iter().map(|part| lost(endpoint, part)).collect())
            .collect()
    }

    fn count_unread(&self, segment: SegmentInfo, unread: Lost) {
        let end = self.old.end_of(segment);
        let lost = |endpoint| {
            let samples = self.followers.lost_unreadable(endpoint, segment, end, unread.samples);
            Lost { samples, ..unread }
        };
        self.drop_samples(&(0..self.followers.endpoints.len()).map(lost).collect(), DropCause::RingDamaged);
    }

    fn drop_samples(&self, lacked: &Lacking, cause: DropCause) {
        let lacked = lacked.iter().enumerate().filter(|(_, lost)| lost.samples > 0);
        lacked.for_each(|(index, lost)| self.losses.count(index, cause, *lost));
    }
}

/// A batch, or a part of one, and its record number in the old ring.
struct Part {
    record: u64,
    batch: Rc<ScrapeBatch>,
}

#[cfg(test)]
mod tests;
