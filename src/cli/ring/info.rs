//! `narthex ring info`: a drawing of the ring, and the figures. Reads the headers, the newest segment, the start of the oldest
//! and the segments that cursors are in; nothing else, however large the ring is. Damage in these is named; `verify` reads the rest.

use super::drawing::{Cell, Mark, draw};
use super::error::ToolError;
use super::lanes::{Lacking, endpoint_name, lacking};
use super::open;
use super::times;
use super::walk::{Damage, End, Go, missing, walk};
use crate::buffer::BufferOptions;
use crate::cli::demo::screen::Style;
use crate::config;
use crate::counters::DropCause;
use crate::model::{LOSSES_KEY, LossCounts, ScrapeBatch, format_size, noted};
use crate::remote_write::EndpointOptions;
use crate::ring::{FileView, FramePosition, Ring, SegmentInfo, View};
use crate::wear::{Ratings, RingShape, WearReport};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

pub fn info(file: &Path, config: Option<&Path>, out: &mut impl Write) -> Result<(), ToolError> {
    let (mut endpoints, mut ratings) = (Vec::new(), Ratings::default());
    if let Some(path) = config {
        let config = config::load(path).map_err(ToolError::Config)?;
        if let Some(BufferOptions { rated_cycles, erase_block_bytes, .. }) = config.buffer {
            ratings = Ratings { rated_cycles, erase_block_bytes };
        }
        endpoints = config.endpoints;
    }
    let Some(view) = open(file, out)? else { return Ok(()) };
    let layout = view.ring.layout();
    let size = format_size(layout.size_bytes());
    let segment_size = format_size(u64::from(layout.segment_size_bytes));
    writeln!(out, "{}: {size} in {} segments of {segment_size}", file.display(), layout.segment_count)?;
    if view.missing_bytes > 0 {
        writeln!(out, "the file is cut short: {} of the ring are missing", format_size(view.missing_bytes))?;
    }
    let Some(newest) = view.ring.segments().next_back() else { return Ok(()) };
    let lacking = lacking(view.ring.acks(), &endpoints);
    let mut damages = Damages::new();
    let times = span(&view.ring, newest, &mut damages)?;
    let style = Style::of(false, |name| std::env::var(name).ok());
    let marks: Vec<Mark> =
        lacking.iter().map(|lacking| mark(&view.ring, lacking, &mut damages)).collect::<Result<_, _>>()?;
    writeln!(out)?;
    for line in draw(&cells(&view, newest, &lacking), &marks, times, style) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)?;
    figures(&view, newest, times, out)?;
    for (seq, Damage { samples_lost, cause, .. }) in &damages {
        let what = format!("segment {seq}: {cause}; {samples_lost} samples can't be read");
        writeln!(out, "{:<18}{what}; narthex ring verify reads the whole ring", "damage")?;
    }
    for line in losses(view.ring.note(), &endpoints) {
        writeln!(out, "{:<18}{line}", "samples lost")?;
    }
    let shape = RingShape {
        segment_size_bytes: u64::from(layout.segment_size_bytes),
        segment_count: u64::from(layout.segment_count),
    };
    for line in WearReport::at_rest(file, shape, ratings, newest.seq).lines() {
        writeln!(out, "{:<18}{line}", "wear")?;
    }
    Ok(())
}

/// Damage in what was read, by segment.
type Damages = BTreeMap<u64, Damage>;

/// Reads a segment as far as `each` wants, and notes damage that it meets.
fn walk_noting(
    ring: &Ring<FileView>,
    segment: SegmentInfo,
    damages: &mut Damages,
    each: impl FnMut(u64, &ScrapeBatch) -> Result<Go, ToolError>,
) -> Result<(), ToolError> {
    if let End::Damaged(damage) = walk(ring, segment, each)?.end {
        damages.insert(segment.seq, damage);
    }
    Ok(())
}

/// What stands in the ring from some record on.
#[derive(Default)]
struct Rest {
    at: Option<FramePosition>,
    records: u64,
    samples: u64,
    since_ms: Option<i64>,
}

impl Rest {
    fn of(ring: &Ring<FileView>, from: u64, damages: &mut Damages) -> Result<Rest, ToolError> {
        let Some(at) = ring.find(from) else { return Ok(Rest::default()) };
        let segment = ring.segment_at(at).expect("a record is found in a segment that is held");
        let (mut since_ms, mut has_samples) = (None, 0);
        walk_noting(ring, segment, damages, |record, batch| {
            match record < from {
                true => has_samples += batch.len() as u64,
                false => since_ms = since_ms.or(Some(batch.timestamp_ms)),
            }
            Ok(if since_ms.is_none() { Go::On } else { Go::NoFurther })
        })?;
        let written: u64 = ring.segments().filter(|s| s.seq >= segment.seq).map(|s| ring.samples_in(s)).sum();
        let records = ring.next_record() - from.max(segment.first_record);
        Ok(Rest { at: Some(at), records, samples: written.saturating_sub(has_samples), since_ms })
    }
}

/// How far one lane has come, as far as the ring on flash knows.
fn mark(ring: &Ring<FileView>, lacking: &Lacking, damages: &mut Damages) -> Result<Mark, ToolError> {
    let rest = Rest::of(ring, lacking.from, damages)?;
    let Some(at) = rest.at else {
        return Ok(Mark { at: ring.segments().count(), text: format!("{} has everything", lacking.name) });
    };
    let beyond = lacking.until.map_or_else(|| Ok(Rest::default()), |until| Rest::of(ring, until, damages))?;
    let at = ring.segments().position(|segment| segment.seq == at.segment_seq).unwrap_or(0);
    let since = rest.since_ms.map_or_else(String::new, |ms| format!(", from {} on", times::text(ms)));
    let (samples, records) = (rest.samples.saturating_sub(beyond.samples), rest.records.saturating_sub(beyond.records));
    Ok(Mark { at, text: format!("{} lacks {samples} samples of {records} scrapes{since}", lacking.name) })
}

/// Oldest first, then what is free.
fn cells(view: &View, newest: SegmentInfo, lacking: &[Lacking]) -> Vec<Cell> {
    let (ring, layout) = (&view.ring, view.ring.layout());
    let mut cells = Vec::with_capacity(layout.segment_count as usize);
    for segment in ring.segments() {
        let fill = match segment.seq == newest.seq {
            true => f64::from(view.recovery.write_offset) / f64::from(layout.segment_size_bytes),
            false => 1.0,
        };
        let is_needed = |lacking: &Lacking| lacking.is_in(segment.first_record, ring.end_of(segment));
        cells.push(if lacking.is_empty() || lacking.iter().any(is_needed) {
            Cell::Needed { fill }
        } else {
            Cell::Acknowledged { fill }
        });
    }
    cells.resize(layout.segment_count as usize, Cell::Free);
    cells
}

/// Times of the oldest and the newest scrape that can be read.
fn span(ring: &Ring<FileView>, newest: SegmentInfo, damages: &mut Damages) -> Result<Option<(i64, i64)>, ToolError> {
    let (mut first_ms, mut last_ms) = (None, None);
    for segment in ring.segments() {
        walk_noting(ring, segment, damages, |_, batch| {
            first_ms = first_ms.or(Some(batch.timestamp_ms));
            Ok(Go::NoFurther)
        })?;
        if first_ms.is_some() {
            break;
        }
    }
    walk_noting(ring, newest, damages, |_, batch| {
        last_ms = last_ms.max(Some(batch.timestamp_ms));
        Ok(Go::On)
    })?;
    Ok(first_ms.map(|first_ms| (first_ms, last_ms.unwrap_or(first_ms))))
}

fn figures(view: &View, newest: SegmentInfo, times: Option<(i64, i64)>, out: &mut impl Write) -> Result<(), ToolError> {
    let (ring, layout) = (&view.ring, view.ring.layout());
    let (held, segment_size) = (ring.segments().count() as u64, u64::from(layout.segment_size_bytes));
    let samples: u64 = ring.segments().map(|segment| ring.samples_in(segment)).sum();
    let used_bytes = (held - 1) * segment_size + u64::from(view.recovery.write_offset);
    let first_record = ring.segments().next().map_or(0, |oldest| oldest.first_record);
    let mut line = |name: &str, text: String| writeln!(out, "{name:<18}{text}");
    line("segments held", format!("{held} of {}", layout.segment_count))?;
    let gone = missing(ring).len();
    if gone + view.recovery.damaged_slots as usize > 0 {
        line("segments lacking", format!("{gone}; narthex ring verify says more"))?;
    }
    let fill = 100.0 * f64::from(view.recovery.write_offset) / f64::from(layout.segment_size_bytes);
    line("newest segment", format!("{} in slot {}, {fill:.0} % full", newest.seq, ring.slot_of(newest.seq)))?;
    line("scrapes", records_text(first_record, ring.next_record()))?;
    line(
        "samples",
        format!("{samples} by the headers, of {} ever written; verify reads each", view.recovery.samples_total),
    )?;
    if samples > 0 {
        line("bytes a sample", format!("{:.3}, all overhead in", used_bytes as f64 / samples as f64))?;
    }
    if let Some((first_ms, last_ms)) = times {
        line("oldest scrape", times::text(first_ms))?;
        line("newest scrape", times::text(last_ms))?;
        line("they span", times::duration(last_ms.saturating_sub(first_ms)))?;
    }
    if ring.acks().is_empty() {
        line("endpoints", "none has acknowledged anything".into())?;
    }
    Ok(())
}

/// What the ring counts as lost, a line for each endpoint.
fn losses(note: &[u8], endpoints: &[EndpointOptions]) -> Vec<String> {
    let counts = LossCounts::decode(noted(note, LOSSES_KEY).unwrap_or_default());
    let all: Vec<(u64, usize, u64)> = counts.iter().collect();
    let line = |of_endpoint: &[(u64, usize, u64)]| {
        let cause =
            |number: usize| DropCause::of_number(number).map_or_else(|| format!("cause {number}"), |c| c.name().into());
        let causes: Vec<String> = of_endpoint.iter().map(|(_, number, n)| format!("{n} {}", cause(*number))).collect();
        format!("{}: {}", endpoint_name(of_endpoint[0].0, endpoints), causes.join(", "))
    };
    all.chunk_by(|a, b| a.0 == b.0).map(line).collect()
}

fn records_text(first: u64, next: u64) -> String {
    match next.saturating_sub(first) {
        0 => "none".into(),
        count => format!("{count}, numbers {first} to {}", next - 1),
    }
}
