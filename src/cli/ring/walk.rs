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
        let Read::Frame { meta, payload_at, next } = read_patiently(ring, at, walked.samples, segment, &mut bytes)?
        else {
            let is_whole = walked.samples >= ring.samples_in(segment);
            walked.end = match (is_whole, is_there(ring, segment)?) {
                (true, _) => End::Whole,
                (false, false) => End::GivenUp,
                (false, true) => damaged("no whole frame is there".into(), at, walked.samples),
            };
            return Ok(walked);
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
pub fn was_overtaken<M: Medium>(ring: &Ring<M>) -> Result<bool, RingError> {
    for seq in missing(ring) {
        if let SlotContent::Segment { seq: now } = ring.slot_now(seq)?
            && now >= seq
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the slot of a segment holds once nobody is writing to it: unreadable only if it stays so.
pub fn settled_slot<M: Medium>(ring: &Ring<M>, segment_seq: u64) -> Result<SlotContent, RingError> {
    for _ in 1..LOOKS {
        match ring.slot_now(segment_seq)? {
            SlotContent::Unreadable => sleep(LOOK_AGAIN),
            settled => return Ok(settled),
        }
    }
    ring.slot_now(segment_seq)
}
