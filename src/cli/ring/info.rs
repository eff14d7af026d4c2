//! `narthex ring info`: a drawing of the ring, and the figures. Reads the headers, the newest segment, the start of the oldest
//! and the segments that cursors are in; nothing else, however large the ring is.

use super::drawing::{Cell, Mark, draw};
use super::error::ToolError;
use super::open;
use super::times;
use super::walk::{Go, missing, walk};
use crate::buffer::endpoint_id;
use crate::cli::demo::screen::Style;
use crate::config;
use crate::model::format_size;
use crate::ring::{Ack, FileView, FramePosition, Ring, SegmentInfo, View};
use std::io::Write;
use std::path::Path;

pub fn info(file: &Path, config: Option<&Path>, out: &mut impl Write) -> Result<(), ToolError> {
    let names = match config {
        Some(path) => config::load(path).map_err(ToolError::Config)?.endpoints.into_iter().map(|e| e.name).collect(),
        None => Vec::new(),
    };
    let Some(view) = open(file, out)? else { return Ok(()) };
    let layout = view.ring.layout();
    let size = format_size(layout.size_bytes());
    let segment_size = format_size(u64::from(layout.segment_size_bytes));
    writeln!(out, "{}: {size} in {} segments of {segment_size}", file.display(), layout.segment_count)?;
    if view.missing_bytes > 0 {
        writeln!(out, "the file is cut short: {} of the ring are missing", format_size(view.missing_bytes))?;
    }
    let Some(newest) = view.ring.segments().next_back() else { return Ok(()) };
    let endpoints = view.ring.acks().iter().map(|ack| Endpoint::of(&view.ring, *ack, &names));
    let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
    let times = span(&view.ring, newest)?;
    let style = Style::of(false, |name| std::env::var(name).ok());
    let marks: Vec<Mark> = endpoints.iter().map(|endpoint| endpoint.mark(&view.ring)).collect();
    writeln!(out)?;
    for line in draw(&cells(&view, newest), &marks, times, style) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)?;
    figures(&view, newest, times, out)
}

/// How far one endpoint has come, as far as the ring on flash knows.
struct Endpoint {
    name: String,
    lacks: Option<Lack>,
}

struct Lack {
    from: FramePosition,
    records: u64,
    samples: u64,
    since_ms: Option<i64>,
}

impl Endpoint {
    fn of(ring: &Ring<FileView>, ack: Ack, names: &[String]) -> Result<Endpoint, ToolError> {
        let known = names.iter().find(|name| endpoint_id(name) == ack.endpoint);
        let name = known.map_or_else(|| format!("{:016x}", ack.endpoint), |name| name.clone());
        let Some(from) = ring.find(ack.next_record) else { return Ok(Endpoint { name, lacks: None }) };
        let segment = ring.segment_at(from).expect("a record is found in a segment that is held");
        let (mut since_ms, mut has_samples) = (None, 0);
        walk(ring, segment, |record, batch| {
            match record < ack.next_record {
                true => has_samples += batch.len() as u64,
                false => since_ms = since_ms.or(Some(batch.timestamp_ms)),
            }
            Ok(if since_ms.is_none() { Go::On } else { Go::NoFurther })
        })?;
        let written: u64 = ring.segments().filter(|s| s.seq >= segment.seq).map(|s| ring.samples_in(s)).sum();
        let records = ring.next_record() - ack.next_record.max(segment.first_record);
        let samples = written.saturating_sub(has_samples);
        Ok(Endpoint { name, lacks: Some(Lack { from, records, samples, since_ms }) })
    }

    fn mark(&self, ring: &Ring<FileView>) -> Mark {
        let Some(lack) = &self.lacks else {
            return Mark { at: ring.segments().count(), text: format!("{} has everything", self.name) };
        };
        let at = ring.segments().position(|segment| segment.seq == lack.from.segment_seq).unwrap_or(0);
        let since = lack.since_ms.map_or_else(String::new, |ms| format!(", from {} on", times::text(ms)));
        let text = format!("{} lacks {} samples of {} scrapes{since}", self.name, lack.samples, lack.records);
        Mark { at, text }
    }
}

/// Oldest first, then what is free.
fn cells(view: &View, newest: SegmentInfo) -> Vec<Cell> {
    let (ring, layout) = (&view.ring, view.ring.layout());
    let needed_from = ring.acks().iter().map(|ack| ack.next_record).min().unwrap_or(0);
    let mut cells = Vec::with_capacity(layout.segment_count as usize);
    for segment in ring.segments() {
        let fill = match segment.seq == newest.seq {
            true => f64::from(view.recovery.write_offset) / f64::from(layout.segment_size_bytes),
            false => 1.0,
        };
        cells.push(if ring.end_of(segment) > needed_from {
            Cell::Needed { fill }
        } else {
            Cell::Acknowledged { fill }
        });
    }
    cells.resize(layout.segment_count as usize, Cell::Free);
    cells
}

/// Times of the oldest and the newest scrape that can be read.
fn span(ring: &Ring<FileView>, newest: SegmentInfo) -> Result<Option<(i64, i64)>, ToolError> {
    let (mut first_ms, mut last_ms) = (None, None);
    for segment in ring.segments() {
        walk(ring, segment, |_, batch| {
            first_ms = first_ms.or(Some(batch.timestamp_ms));
            Ok(Go::NoFurther)
        })?;
        if first_ms.is_some() {
            break;
        }
    }
    walk(ring, newest, |_, batch| {
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
    line("samples", format!("{samples} of {} that were ever written", view.recovery.samples_total))?;
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

fn records_text(first: u64, next: u64) -> String {
    match next.saturating_sub(first) {
        0 => "none".into(),
        count => format!("{count}, numbers {first} to {}", next - 1),
    }
}
