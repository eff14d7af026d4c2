//! `narthex ring verify`: reads and decodes everything, and says what of it is lost.

use super::error::ToolError;
use super::open;
use super::walk::{Damage, End, Go, missing, settled_slot, walk};
use crate::model::format_size;
use crate::ring::{Medium, Ring, SegmentInfo, SlotContent};
use std::io::Write;
use std::path::Path;

/// What was found so far.
#[derive(Default)]
struct Findings {
    segments: u64,
    records: u64,
    samples: u64,
    samples_lost: u64,
    is_damaged: bool,
}

/// An error if anything that was written and not given up can't be read.
pub fn verify(file: &Path, out: &mut impl Write) -> Result<(), ToolError> {
    let Some(view) = open(file, out)? else { return Ok(()) };
    let (ring, mut found) = (&view.ring, Findings::default());
    if view.missing_bytes > 0 {
        found.is_damaged = true;
        writeln!(out, "the file is cut short: {} of the ring are missing", format_size(view.missing_bytes))?;
    }
    verify_headers(ring, &mut found, out)?;
    for seq in (newest_of(ring) + 1..).take(view.recovery.passed_over as usize) {
        found.is_damaged = true;
        let slot = ring.slot_of(seq);
        writeln!(
            out,
            "slot {slot} has no header that can be read: if it is newer than the others, what it holds is lost"
        )?;
    }
    for segment in ring.segments() {
        verify_segment(ring, segment, &mut found, out)?;
    }
    let Findings { segments, records, samples, .. } = found;
    writeln!(out, "{}: {segments} segments with {records} scrapes and {samples} samples are whole", file.display())?;
    match found.is_damaged {
        true => Err(ToolError::Damaged { file: file.to_path_buf(), samples_lost: found.samples_lost }),
        false => Ok(()),
    }
}

fn verify_headers<M: Medium>(ring: &Ring<M>, found: &mut Findings, out: &mut impl Write) -> Result<(), ToolError> {
    let oldest = ring.segments().next().map_or(0, |oldest| oldest.seq);
    for seq in missing(ring) {
        let slot = ring.slot_of(seq);
        match settled_slot(ring, seq) {
            // The agent went on meanwhile.
            SlotContent::Segment { seq: now } if now > seq => continue,
            SlotContent::Blank if seq < oldest => continue,
            _ => {}
        }
        found.is_damaged = true;
        let which = format!("segment {seq} (slot {slot}) has no header that can be read");
        if seq > oldest {
            writeln!(out, "{which}: its samples count with those of the segment before it")?;
        } else if seq + u64::from(ring.layout().segment_count) == newest_of(ring) + 1 {
            writeln!(
                out,
                "{which}: it was to be given up next, and what it held is not known; a commit that a power cut \
                 interrupted leaves this behind"
            )?;
        } else {
            writeln!(out, "{which}: what it held is not known")?;
        }
    }
    Ok(())
}

fn newest_of<M: Medium>(ring: &Ring<M>) -> u64 {
    ring.segments().next_back().map_or(0, |newest| newest.seq)
}

fn verify_segment<M: Medium>(
    ring: &Ring<M>,
    segment: SegmentInfo,
    found: &mut Findings,
    out: &mut impl Write,
) -> Result<(), ToolError> {
    let walked = walk(ring, segment, |_, _| Ok(Go::On))?;
    found.records += walked.records;
    found.samples += walked.samples;
    match walked.end {
        End::Whole => found.segments += 1,
        End::GivenUp => writeln!(out, "segment {} was evicted by the agent while it was read", segment.seq)?,
        End::Damaged(Damage { at, samples_lost, cause }) => {
            found.is_damaged = true;
            found.samples_lost += samples_lost;
            let (seq, slot, from) = (segment.seq, ring.slot_of(segment.seq), ring.offset_of(at));
            writeln!(
                out,
                "segment {seq} (slot {slot}) can't be read from byte {from} on, of {}: {cause}; {samples_lost} samples lost",
                ring.layout().segment_size_bytes
            )?;
        }
    }
    Ok(())
}
