//! What the header of every slot says, and whether there is a ring at all. Reads nothing else, but for a ring's very start.
//!
//! A header that can't be read is passed over like a damaged one, with two differences: it may belong to the newest segment
//! of all, and it is no ground to take the ring for empty.

use super::error::RingError;
use super::header::{FORMAT_VERSION, HEADER_BYTES, HeaderUnit, SegmentHeader};
use super::held::is_blank;
use super::medium::Medium;
use super::recovery::Layout;
use crate::bugs::{Bug, planted};
use crate::limits::UNREADABLE_SLOTS_DIVISOR;
use std::io;

/// Where the first segment of all goes. While nothing else was ever written, what is torn there is what is left of it.
const FIRST_SLOT: u64 = 1;

/// A slot without a header, and not blank either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Unreadable,
    /// A header that is torn, changed or out of place.
    Damaged,
    Foreign,
}

#[derive(Default)]
pub(super) struct Slots {
    /// Valid, each in its own slot, in the order of slots.
    pub headers: Vec<SegmentHeader>,
    /// By slot.
    pub flaws: Vec<(u64, Flaw)>,
}

impl Slots {
    /// An error: no ring of this layout can be opened here.
    pub fn read(medium: &dyn Medium, layout: Layout) -> Result<Slots, RingError> {
        let (mut slots, mut failure) = (Slots::default(), None);
        let mut unreadable = 0;
        for slot in 0..u64::from(layout.segment_count) {
            let mut unit = [0; HEADER_BYTES];
            if let Err(cause) = medium.read(layout.slot_offset(slot), &mut unit) {
                unreadable += 1;
                if unreadable * UNREADABLE_SLOTS_DIVISOR > layout.segment_count {
                    return Err(cannot_read(cause));
                }
                log::error!("the header of the ring's slot {slot} can't be read: {cause}");
                if !planted(Bug::UnreadableTakenForBlank) {
                    slots.flaws.push((slot, Flaw::Unreadable));
                    failure = Some(cause);
                }
                continue;
            }
            slots.take(slot, &unit, medium, layout)?;
        }
        if slots.headers.is_empty() {
            slots.check_unwritten(medium, layout, failure)?;
        }
        Ok(slots)
    }

    fn take(
        &mut self,
        slot: u64,
        unit: &[u8; HEADER_BYTES],
        medium: &dyn Medium,
        layout: Layout,
    ) -> Result<(), RingError> {
        match SegmentHeader::decode(unit) {
            HeaderUnit::Valid(header) => {
                check_layout(&header, layout, medium.geometry().program_unit_bytes)?;
                if header.segment_seq % u64::from(layout.segment_count) == slot {
                    self.headers.push(header);
                } else {
                    self.flaws.push((slot, Flaw::Damaged));
                }
            }
            HeaderUnit::OtherFormat(version) => {
                return Err(RingError::OtherFormat { version, supported: FORMAT_VERSION });
            }
            HeaderUnit::Damaged => self.flaws.push((slot, Flaw::Damaged)),
            HeaderUnit::Foreign => self.flaws.push((slot, Flaw::Foreign)),
            HeaderUnit::Blank => {}
        }
        Ok(())
    }

    /// Without a header there is an empty ring here, if anything.
    fn check_unwritten(
        &self,
        medium: &dyn Medium,
        layout: Layout,
        failure: Option<io::Error>,
    ) -> Result<(), RingError> {
        let foreign = |found| Err(RingError::Foreign { found });
        match (&self.flaws[..], failure) {
            ([(_, Flaw::Damaged)], _) => return Ok(()),
            ([(FIRST_SLOT, Flaw::Foreign)], _) if is_torn_first(medium, layout)? => {}
            ([] | [(_, Flaw::Unreadable)], _) => {}
            (_, Some(cause)) => return Err(cannot_read(cause)),
            (flaws, None) if flaws.iter().any(|(_, flaw)| *flaw == Flaw::Foreign) => {
                return foreign("no segment header anywhere, but other data");
            }
            _ => return foreign("every segment header is damaged"),
        }
        match starts_blank(medium)? {
            true => Ok(()),
            false => foreign("no segment header anywhere, but other data"),
        }
    }

    /// How many segments may be newer than this one, for all that can be read: those that follow it up to the last whose
    /// header can't be.
    pub fn hidden_after(&self, segment_seq: u64, layout: Layout) -> u64 {
        let following = (1..u64::from(layout.segment_count)).map(|distance| (distance, segment_seq + distance));
        let flawed = following.map_while(|(distance, seq)| Some((distance, self.flaw_of(seq, layout)?)));
        flawed.filter(|(_, flaw)| *flaw == Flaw::Unreadable).last().map_or(0, |(distance, _)| distance)
    }

    /// What is wrong with the slot of this segment.
    pub fn flaw_of(&self, segment_seq: u64, layout: Layout) -> Option<Flaw> {
        let slot = segment_seq % u64::from(layout.segment_count);
        self.flaws.iter().find(|(flawed, _)| *flawed == slot).map(|(_, flaw)| *flaw)
    }
}

fn cannot_read(cause: io::Error) -> RingError {
    RingError::Device { doing: "reading the segment headers", cause }
}

/// Whether the first header of all was torn when it was written, alone and before anything else: behind its unit there is
/// nothing. On flash that is erased first, whatever is in the slot can be what an erase left that was cut.
fn is_torn_first(medium: &dyn Medium, layout: Layout) -> Result<bool, RingError> {
    let (slot, unit_bytes) = (layout.slot_offset(FIRST_SLOT), medium.geometry().program_unit_bytes);
    let mut unit = [0; HEADER_BYTES];
    for offset in (unit_bytes..layout.segment_size_bytes).step_by(HEADER_BYTES) {
        medium.read(slot + u64::from(offset), &mut unit).map_err(cannot_read)?;
        if !is_blank(&unit) && medium.overwrites() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Enough of the start to tell an unused file from most that are not rings.
fn starts_blank(medium: &dyn Medium) -> Result<bool, RingError> {
    let mut start = [0; 4096];
    medium.read(0, &mut start).map_err(RingError::device("reading the start of the ring"))?;
    Ok(is_blank(&start))
}

fn check_layout(header: &SegmentHeader, layout: Layout, medium_unit_bytes: u32) -> Result<(), RingError> {
    let found = Layout { segment_size_bytes: header.segment_size_bytes, segment_count: header.segment_count };
    // What the medium can't write at once the ring may not be made of.
    if found == layout && header.program_unit_bytes >= medium_unit_bytes {
        return Ok(());
    }
    Err(RingError::OtherGeometry {
        size_bytes: found.size_bytes(),
        segment_size_bytes: u64::from(found.segment_size_bytes),
    })
}
