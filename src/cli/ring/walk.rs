//! A segment read from its first frame to its last, decoded, and held against what its ring says was written to it.
//!
//! The ring's agent may be at work. What it appends after the ring was opened is not looked for; a segment that it has given
//! up meanwhile is no damage. So a place that can't be read is looked at again before it counts as damaged.

use super::error::ToolError;
use crate::codec::SegmentCodec;
use crate::model::{ScrapeBatch, SeriesTable};
use crate::ring::{FramePosition, Medium, Read, Ring, RingError, SegmentInfo, SlotContent};
use std::thread::sleep;
use std::time::Duration;

/// How often, and after which time each, a place that can't be read is looked at again. A write takes less.
const LOOKS: u32 = 4;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How a segment ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// With the last frame that was written to it, or by the caller's will.
    Whole,
    /// The agent has given it up while it was read.
    GivenUp,
    Damaged(Damage),
}

/// A place beyond which a segment can't be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Damage {
    pub at: FramePosition,
    /// Of the segment, and of those after it whose headers are gone.
    pub samples_lost: u64,
    pub cause: String,
}

/// What was read of a segment.
#[derive(Debug, PartialEq, Eq)]
pub struct Walked {
    pub records: u64,
    pub samples: u64,
    pub end: End,
}

/// Whether the caller wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    On,
    NoFurther,
}

/// Hands out every batch of a segment with its record number, and holds one frame's batches at a time.
pub fn walk<M: Medium>(
    ring: &Ring<M>,
    segment: SegmentInfo,
    mut each: impl FnMut(u64, &ScrapeBatch) -> Result<Go, ToolError>,
) -> Result<Walked, ToolError> {
    let (table, mut codec) = (SeriesTable::new(), SegmentCodec::new());
    let (mut bytes, mut batches) = (Vec::new(), Vec::new());
    let mut at = FramePosition::start_of(segment);
    let mut walked = Walked { records: 0, samples: 0, end: End::Whole };
    let damaged = |cause: String, at: FramePosition, samples: u64| {
        let samples_lost = ring.samples_in(segment).saturating_sub(samples);
        End::Damaged(Damage { at, samples_lost, cause })
    };
    loop {
        let (meta, payload_at, next) = match read_patiently(ring, at, walked.samples, segment, &mut bytes) {
            Ok(Read::Frame { meta, payload_at, next }) => (meta, payload_at, next),
            Ok(Read::EndOfSegment { .. } | Read::EndOfRing) => {
                let is_whole = walked.samples >= ring.samples_in(segment);
                walked.end = match (is_whole, is_there(ring, segment)?) {
                    (true, _) => End::Whole,
                    (false, false) => End::GivenUp,
                    (false, true) => damaged("no whole frame is there".into(), at, walked.samples),
                };
                return Ok(walked);
            }
            // A sector that can't be read is no reason to leave those unread that can.
            Err(error) => {
                walked.end = damaged(error.to_string(), at, walked.samples);
                return Ok(walked);
            }
        };
        batches.clear();
        if !meta.sample_counts.is_empty()
            && let Err(error) = codec.decode(&bytes[payload_at..], &table, &mut batches)
        {
            walked.end = damaged(error.to_string(), at, walked.samples);
            return Ok(walked);
        }
        if !batches.iter().map(|batch| batch.len() as u32).eq(meta.sample_counts.iter().copied()) {
            walked.end = damaged("a frame holds other samples than it says".into(), at, walked.samples);
            return Ok(walked);
        }
        for (record, batch) in (meta.first_record..).zip(&batches) {
            if each(record, batch)? == Go::NoFurther {
                return Ok(walked);
            }
        }
        walked.records += meta.sample_counts.len() as u64;
        walked.samples += meta.samples();
        at = next;
    }
}

/// A frame if there is one within a moment, or the end at once if nothing lacks.
fn read_patiently<M: Medium>(
    ring: &Ring<M>,
    at: FramePosition,
    samples: u64,
    segment: SegmentInfo,
    bytes: &mut Vec<u8>,
) -> Result<Read, RingError> {
    for _ in 1..LOOKS {
        let read = ring.read(at, bytes)?;
        if matches!(read, Read::Frame { .. }) || samples >= ring.samples_in(segment) || !is_there(ring, segment)? {
            return Ok(read);
        }
        sleep(LOOK_AGAIN);
    }
    ring.read(at, bytes)
}

fn is_there<M: Medium>(ring: &Ring<M>, segment: SegmentInfo) -> Result<bool, RingError> {
    Ok(ring.slot_now(segment.seq)? == SlotContent::Segment { seq: segment.seq })
}

/// Numbers of segments that should be there and are not: between those that are, and before the oldest.
pub fn missing<M: Medium>(ring: &Ring<M>) -> Vec<u64> {
    let held: Vec<u64> = ring.segments().map(|segment| segment.seq).collect();
    let Some(newest) = held.last() else { return Vec::new() };
    let oldest = (newest + 1).saturating_sub(u64::from(ring.layout().segment_count)).max(1);
    (oldest..*newest).filter(|seq| held.binary_search(seq).is_err()).collect()
}

/// Whether the agent began segments while the headers were read, so that some were seen and others not.
pub fn was_overtaken<M: Medium>(ring: &Ring<M>) -> bool {
    for seq in missing(ring) {
        if let Ok(SlotContent::Segment { seq: now }) = ring.slot_now(seq)
            && now >= seq
        {
            return true;
        }
    }
    false
}

/// What the slot of a segment holds once nobody is writing to it: unreadable only if it stays so.
pub fn settled_slot<M: Medium>(ring: &Ring<M>, segment_seq: u64) -> SlotContent {
    for _ in 0..LOOKS {
        match ring.slot_now(segment_seq) {
            Ok(SlotContent::Unreadable) | Err(_) => sleep(LOOK_AGAIN),
            Ok(settled) => return settled,
        }
    }
    SlotContent::Unreadable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabelsBuilder, Series};
    use crate::ring::{Acks, Frame, FrameMeta, Geometry, Layout, Placement};
    use crate::sim::SimFlash;
    use std::io;
    use std::rc::Rc;

    const LAYOUT: Layout = Layout { segment_size_bytes: 4096, segment_count: 4 };

    fn open<M: Medium>(medium: M) -> Ring<M> {
        Ring::open(medium, LAYOUT, Rc::default()).unwrap().0
    }

    /// Begins a segment with one scrape of one sample.
    fn append(ring: &mut Ring<SimFlash>) {
        let (table, record) = (SeriesTable::new(), ring.next_record());
        let series: Rc<[Series]> =
            [table.intern(&LabelsBuilder::from_iter([("__name__", "n")]).build().unwrap())].into();
        let (values, own_timestamps) = (vec![record as f64], Vec::new());
        let batch = ScrapeBatch { target: 0, timestamp_ms: 1000, series, values, own_timestamps, extras: None };
        let mut payload = Vec::new();
        SegmentCodec::new().encode(&[Rc::new(batch)], &mut payload);
        let meta = FrameMeta { first_record: record, sample_counts: vec![1], acks: Acks::new() };
        ring.append(&Frame { meta, payload }, Placement::NewSegment, &Acks::new()).unwrap();
    }

    fn ends<M: Medium>(ring: &Ring<M>) -> Vec<End> {
        ring.segments().map(|segment| walk(ring, segment, |_, _| Ok(Go::On)).unwrap().end).collect()
    }

    #[test]
    fn what_an_agent_gives_up_meanwhile_is_no_damage() {
        let flash = SimFlash::new(LAYOUT.size_bytes() as usize);
        let mut agent = open(flash.clone());
        (0..4).for_each(|_| append(&mut agent));
        let view = open(flash);
        append(&mut agent);
        append(&mut agent);
        assert_eq!(ends(&view), [End::GivenUp, End::GivenUp, End::Whole, End::Whole]);
    }

    #[test]
    fn headers_that_were_read_while_the_agent_went_on_are_read_again() {
        let flash = SimFlash::new(LAYOUT.size_bytes() as usize);
        let mut agent = open(flash.clone());
        (0..6).for_each(|_| append(&mut agent));
        assert!(!was_overtaken(&open(flash.clone())));
        // As if segment 5 had been begun right after its slot was read, and 6 right before.
        let header = flash.image()[4096..4608].to_vec();
        flash.damage(4096, &[0; 512]);
        let view = open(flash.clone());
        assert_eq!((missing(&view), was_overtaken(&view)), (vec![5], false));
        flash.damage(4096, &header);
        assert!(was_overtaken(&view));
    }

    /// Flash with a sector that can't be read.
    struct BadSector(SimFlash, u64);

    impl Medium for BadSector {
        fn geometry(&self) -> Geometry {
            self.0.geometry()
        }

        fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
            if offset == self.1 { Err(io::Error::other("bad sector")) } else { self.0.read(offset, into) }
        }

        fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.0.program(offset, bytes)
        }

        fn erase(&mut self, offset: u64, len_bytes: u64) -> io::Result<()> {
            self.0.erase(offset, len_bytes)
        }

        fn sync(&mut self) -> io::Result<()> {
            self.0.sync()
        }
    }

    #[test]
    fn a_sector_that_can_not_be_read_costs_its_segment_only() {
        let flash = SimFlash::new(LAYOUT.size_bytes() as usize);
        let mut agent = open(flash.clone());
        (0..3).for_each(|_| append(&mut agent));
        // The first frame of segment 2.
        let ends = ends(&open(BadSector(flash, 2 * 4096 + 512)));
        assert!(
            matches!(&ends[..], [End::Whole, End::Damaged(Damage { samples_lost: 1, cause, .. }), End::Whole]
            if cause.contains("bad sector")),
            "{ends:?}"
        );
    }
}
