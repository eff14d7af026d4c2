//! A device whose power fails in the first append after each boot: all of that together gives up one segment at the most.

use super::{Tally, Violation, ensure};
use crate::counters::Counters;
use crate::ring::{Acks, Frame, FrameMeta, Layout, Placement, Ring, RingError};
use crate::sim::{Cut, CutKind, FlashKind, SimFlash, Thoroughness};
use std::rc::Rc;

const BOOTS: usize = 12;
const LAYOUT: Layout = Layout { segment_size_bytes: 4096, segment_count: 5 };

pub(super) fn run(seed: u64, how: Thoroughness, tally: &Tally) -> Result<(), Violation> {
    let mut random = fastrand::Rng::with_seed(seed);
    let kind = if seed.is_multiple_of(2) { FlashKind::Block } else { FlashKind::Nor };
    let flash = SimFlash::blank(kind, LAYOUT.size_bytes() as usize);
    for _ in 0..random.usize(30..60) {
        append(&flash, &mut random)?;
    }
    let oldest = oldest_segment(&flash)?;
    for boot in 0..BOOTS {
        let next_record = open(&flash)?.next_record();
        flash.start_journal();
        append(&flash, &mut random)?;
        // Cut off before the frame is whole.
        let mut cuts = Vec::new();
        let mut visit = |cut: Cut<'_>| {
            let left = SimFlash::with_image(kind, cut.image.to_vec());
            if matches!(cut.kind, CutKind::AfterBytes(_)) && open(&left)?.next_record() == next_record {
                cuts.push(cut.image.to_vec());
            }
            Ok(())
        };
        flash.take_journal().each_cut(how, &mut random, &mut visit)?;
        Tally::add(&tally.cuts, 1);
        flash.cut_to(&random.choice(cuts).expect("the first bytes are no frame"));
        let left = oldest_segment(&flash)?;
        ensure(left <= oldest + 1, "3 synced", || {
            format!("after {} boots the oldest segment is {left}; it was {oldest}", boot + 1)
        })?;
    }
    Ok(())
}

fn open(flash: &SimFlash) -> Result<Ring<SimFlash>, Violation> {
    let opened = Ring::open(flash.clone(), LAYOUT, Rc::<Counters>::default());
    opened.map(|(ring, _)| ring).map_err(|error: RingError| Violation::new("1 opens", error))
}

fn oldest_segment(flash: &SimFlash) -> Result<u64, Violation> {
    Ok(open(flash)?.segments().next().map_or(0, |segment| segment.seq))
}

/// One boot and one append, of a frame that takes a good part of a segment.
fn append(flash: &SimFlash, random: &mut fastrand::Rng) -> Result<(), Violation> {
    let mut ring = open(flash)?;
    let meta = FrameMeta { first_record: ring.next_record(), sample_counts: vec![1], acks: Acks::new() };
    let bytes = random.usize(1000..2400);
    let payload = std::iter::repeat_with(|| random.u8(1..)).take(bytes).collect();
    let frame = Frame { meta, payload };
    // As a commit does that found more to write than fits: a new segment, even where the newest is empty.
    let placement =
        if random.bool() && ring.fits(&frame, Placement::Current) { Placement::Current } else { Placement::NewSegment };
    ring.append(&frame, placement, &Acks::new()).map(|_| ()).map_err(|error| Violation::new("6 goes on", error))
}
