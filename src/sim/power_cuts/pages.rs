//! Pages of any width, wide ones of which are kept as several records, and what endpoints have been handed of them.

use super::{Violation, ensure};
use crate::buffer::Buffer;
use crate::counters::Counters;
use crate::model::{LabelsBuilder, ScrapeBatch, Series, SeriesTable};
use crate::ring::{Layout, RingError};
use crate::sim::{FlashKind, SimFlash};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// Calls in a row that may fail before an endpoint gets something: a bad place is given up sooner.
const PATIENCE: usize = 8;

/// What a failed read is told apart by.
const UNREADABLE: &str = "1 opens";

/// Every third page is wide, as many samples as this.
pub(super) struct Pages {
    wide: u64,
    /// Windows are asked for again before they are acknowledged.
    pub asks_twice: bool,
    pub table: Rc<SeriesTable>,
    lists: HashMap<(u64, u64), Rc<[Series]>>,
}

/// Samples of one scrape, by their place in the page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub scrape: u64,
    pub from: u64,
    pub until: u64,
}

impl Pages {
    pub fn new(wide: u64) -> Pages {
        Pages { wide, asks_twice: false, table: Rc::default(), lists: HashMap::new() }
    }

    /// The same pages, for another process.
    pub fn copy(&self) -> Pages {
        Pages { asks_twice: self.asks_twice, ..Pages::new(self.wide) }
    }

    pub fn width(&self, scrape: u64) -> u64 {
        if scrape.is_multiple_of(3) { self.wide + scrape / 12 % 2 } else { 4 + scrape % 7 }
    }

    /// A scrape's number is its time, and its values follow from it; no codec makes them small.
    pub fn batch(&mut self, scrape: u64) -> ScrapeBatch {
        let (target, width) = (scrape % 3, self.width(scrape));
        let series = self.lists.entry((target, width)).or_insert_with(|| {
            let name = |i: u64| {
                let (target, i) = (target.to_string(), i.to_string());
                LabelsBuilder::from_iter([("__name__", "m"), ("target", target.as_str()), ("i", i.as_str())])
            };
            (0..width).map(|i| self.table.intern(&name(i).build().expect("valid"))).collect()
        });
        let (series, values) = (series.clone(), (0..width).map(|i| value(scrape, i)).collect());
        ScrapeBatch {
            target: target as u32,
            timestamp_ms: scrape as i64,
            series,
            values,
            own_timestamps: vec![],
            extras: None,
        }
    }

    /// Everything that an endpoint is handed from here on, each batch what it was to the bit, in order and once. A read that fails
    /// is repeated.
    pub fn drain(
        &self,
        buffer: &mut Buffer<SimFlash>,
        endpoint: usize,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), Violation> {
        let mut failures = 0;
        loop {
            match self.take(buffer, endpoint, pieces) {
                Ok(true) => failures = 0,
                Ok(false) => return Ok(()),
                Err(violation) if violation.invariant != UNREADABLE || failures == PATIENCE => return Err(violation),
                Err(_) => failures += 1,
            }
        }
    }

    /// One window, acknowledged. False: there is none.
    pub fn take(
        &self,
        buffer: &mut Buffer<SimFlash>,
        endpoint: usize,
        pieces: &mut Vec<Piece>,
    ) -> Result<bool, Violation> {
        let window = buffer.window(endpoint).map_err(|error| Violation::new(UNREADABLE, error))?;
        let Some(window) = window else { return Ok(false) };
        for batch in &window.batches {
            let piece = recognise(batch)?;
            let is_next = pieces.last().is_none_or(|last: &Piece| {
                piece.scrape > last.scrape || piece.scrape == last.scrape && piece.from >= last.until
            });
            ensure(is_next, "2 nothing invented", || format!("{piece:?} comes after {:?}", pieces.last()))?;
            pieces.push(piece);
        }
        if self.asks_twice {
            _ = buffer.window(endpoint);
        }
        buffer.ack(endpoint, window.next_record, Duration::ZERO);
        Ok(true)
    }

    /// Samples of these scrapes.
    pub fn samples(&self, scrapes: std::ops::Range<u64>) -> u64 {
        scrapes.map(|scrape| self.width(scrape)).sum()
    }

    /// Opens what the flash holds.
    pub fn open(
        &self,
        flash: &SimFlash,
        layout: Layout,
        endpoints: &[&str],
    ) -> Result<(Buffer<SimFlash>, Rc<Counters>), Violation> {
        let counters = Rc::<Counters>::default();
        let (table, interval) = (self.table.clone(), Duration::ZERO);
        let opened = Buffer::open(flash.clone(), layout, interval, endpoints, table, counters.clone());
        opened.map(|(buffer, _)| (buffer, counters)).map_err(|error: RingError| Violation::new("1 opens", error))
    }
}

pub(super) fn samples_in(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.until - piece.from).sum()
}

/// Nothing that a codec could make small.
fn value(scrape: u64, i: u64) -> f64 {
    ((scrape * 7919 + i * 104_729) as f64).sin()
}

fn recognise(batch: &ScrapeBatch) -> Result<Piece, Violation> {
    let (scrape, place) = (batch.timestamp_ms as u64, |series: &Series| series.get("i")?.parse::<u64>().ok());
    let from = batch.series.first().and_then(place).unwrap_or(0);
    let is_same = |(i, (series, found)): (u64, (&Series, &f64))| {
        place(series) == Some(i) && found.to_bits() == value(scrape, i).to_bits()
    };
    let is_whole = (from..).zip(batch.series.iter().zip(&batch.values)).all(is_same);
    ensure(is_whole, "2 nothing invented", || format!("scrape {scrape} has changed"))?;
    Ok(Piece { scrape, from, until: from + batch.len() as u64 })
}

/// Flash of one kind or the other, and how a ring lies on it.
pub(super) fn flash(seed: u64, segment_count: u32, random: &mut fastrand::Rng) -> (SimFlash, Layout) {
    let kind = if seed.is_multiple_of(2) { FlashKind::Block } else { FlashKind::Nor };
    let shapes = [(4096, 512), (8192, 512), (4096, 1024), (8192, 2048)];
    let (segment_size_bytes, unit_bytes) = random.choice(shapes).expect("some");
    let layout = Layout { segment_size_bytes, segment_count };
    let flash = SimFlash::blank(kind, layout.size_bytes() as usize);
    flash.set_program_unit(unit_bytes);
    (flash, layout)
}
