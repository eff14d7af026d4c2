//! Pages that are kept as several records, in a ring that is carried over into another shape and cut at every byte of that.

use super::pages::{Pages, Piece, flash, samples_in};
use super::{Tally, Violation, ensure};
use crate::buffer::{Buffer, carried};
use crate::counters::Counters;
use crate::ring::{Layout, RingError};
use crate::sim::{Cut, CutKind, Journal, SimFlash, Thoroughness};
use std::rc::Rc;
use std::time::Duration;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Segments of the first ring, in which everything has room.
const SEGMENTS: u32 = 48;

/// Commits whose every cut is tried, before and after the ring is carried over.
const THOROUGH_COMMITS: u64 = 2;

pub(super) fn run(seed: u64, how: Thoroughness, tally: &Tally) -> Result<(), Violation> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (old, old_layout) = flash(seed, SEGMENTS, &mut random);
    let pages = Pages::new(random.u64(60..300));
    let endpoints = &NAMES[..random.usize(1..=NAMES.len())];
    let mut script = Script { pages, endpoints, random, how, tally, scrapes: 0 };
    let mut taken = vec![Vec::new(); endpoints.len()];
    let quiet = script.random.u64(0..24);
    script.write(&old, old_layout, quiet, &mut taken)?;

    let count = script.random.choice([4, 6, SEGMENTS, 2 * SEGMENTS]).expect("some");
    let (new, layout) = flash(seed, count, &mut script.random);
    let owed = script.drain_all(&old, old_layout)?.0;
    let given_up = script.carry(&old, old_layout, &new, layout, &owed)?;
    let (left, counted): (Vec<Vec<Piece>>, _) = script.drain_all(&new, layout)?;
    ensure(counted == given_up, "8 counted", || format!("the new ring counts {counted:?} samples, not {given_up:?}"))?;
    for (endpoint, (owed, left)) in owed.iter().zip(&left).enumerate() {
        let is_rest = samples_in(owed) == samples_in(left) + given_up[endpoint];
        ensure(is_rest, "3 synced", || {
            let (owed, left) = (samples_in(owed), samples_in(left));
            format!("endpoint {endpoint} lacked {owed} samples; {} are given up, {left} left", given_up[endpoint])
        })?;
    }
    // As large as the old one, it takes more of the same.
    if count >= SEGMENTS {
        script.write(&new, layout, 0, &mut vec![Vec::new(); endpoints.len()])?;
    }
    Ok(())
}

struct Script<'a> {
    pages: Pages,
    endpoints: &'static [&'static str],
    random: fastrand::Rng,
    how: Thoroughness,
    tally: &'a Tally,
    scrapes: u64,
}

/// What each endpoint is handed.
type Handed = Vec<Vec<Piece>>;

impl Script<'_> {
    /// Scrapes, each committed, while some endpoints take a window now and then. The last commits are cut everywhere.
    fn write(&mut self, flash: &SimFlash, layout: Layout, quiet: u64, taken: &mut Handed) -> Result<(), Violation> {
        let (mut buffer, counters) = self.pages.open(flash, layout, self.endpoints)?;
        for number in 0..quiet + THOROUGH_COMMITS {
            let before = self.drain_all(flash, layout)?.0;
            buffer.push(self.pages.batch(self.scrapes), Duration::ZERO);
            flash.start_journal();
            self.scrapes += 1;
            self.commit(&mut buffer)?;
            let journal = flash.take_journal();
            if number >= quiet {
                self.cut_everywhere(journal, flash, layout, &before, taken)?;
            }
            for (endpoint, taken) in taken.iter_mut().enumerate() {
                if self.random.u8(..12) == 0 {
                    self.pages.take(&mut buffer, endpoint, taken)?;
                }
            }
        }
        let found = self.drain_all(&flash.fork(flash.durable_image()), layout)?.0;
        let lost = found.iter().find(|found| found.last().map(end) != Some(self.end_of_last()));
        ensure(lost.is_none(), "3 synced", || format!("the last scrape was committed, and {lost:?} is left"))?;
        for endpoint in 0..self.endpoints.len() {
            let dropped = counters.endpoint(endpoint).dropped_total();
            ensure(dropped == 0, "3 synced", || format!("{dropped} samples are counted as lost in a ring with room"))?;
        }
        buffer.close().map_err(|error| Violation::new("6 goes on", error))
    }

    fn end_of_last(&self) -> (u64, u64) {
        (self.scrapes - 1, self.pages.width(self.scrapes - 1))
    }

    fn commit(&mut self, buffer: &mut Buffer<SimFlash>) -> Result<(), Violation> {
        buffer.commit(Duration::ZERO).map_err(|error: RingError| Violation::new("6 goes on", error))
    }

    /// Whatever a cut of this commit leaves: what was there before is there, and of the new page nothing that is not in it.
    fn cut_everywhere(
        &mut self,
        journal: Journal,
        flash: &SimFlash,
        layout: Layout,
        before: &Handed,
        taken: &Handed,
    ) -> Result<(), Violation> {
        let mut random = self.random.fork();
        let mut visit = |cut: Cut<'_>| {
            Tally::add(&self.tally.cuts, 1);
            let (found, lost) = self.drain_all(&flash.fork(cut.image.to_vec()), layout)?;
            for (endpoint, (before, found)) in before.iter().zip(&found).enumerate() {
                // Acknowledgements go with the commit.
                let taken = taken[endpoint].last().map_or((0, 0), end);
                let acknowledged = before.iter().take_while(|piece| end(piece) <= taken).count();
                let is_there = found.starts_with(before) || found.starts_with(&before[acknowledged..]);
                ensure(is_there && lost[endpoint] == 0, "3 synced", || {
                    format!("endpoint {endpoint} was to get {} pieces first; it gets {found:?}; {cut}", before.len())
                })?;
            }
            Ok(())
        };
        journal.each_cut(self.how, &mut random, &mut visit)
    }

    /// Everything that each endpoint would be handed by a process that starts now, and the samples counted as lost.
    fn drain_all(&self, flash: &SimFlash, layout: Layout) -> Result<(Handed, Vec<u64>), Violation> {
        let (mut buffer, counters) = self.pages.open(flash, layout, self.endpoints)?;
        let mut handed = vec![Vec::new(); self.endpoints.len()];
        for (endpoint, pieces) in handed.iter_mut().enumerate() {
            self.pages.drain(&mut buffer, endpoint, pieces)?;
        }
        let lost = (0..self.endpoints.len()).map(|endpoint| counters.endpoint(endpoint).dropped_total());
        Ok((handed, lost.collect()))
    }

    /// Until the new ring is whole and synced the old one is in its place, untouched; from then on any cut leaves the new one
    /// as it is. What was given up for each endpoint.
    fn carry(
        &mut self,
        old: &SimFlash,
        old_layout: Layout,
        new: &SimFlash,
        layout: Layout,
        owed: &Handed,
    ) -> Result<Vec<u64>, Violation> {
        let (image, counters) = (old.image(), Rc::<Counters>::default());
        new.start_journal();
        let (rings, ends) = ((old.clone(), old_layout), (new.clone(), layout));
        carried(rings, ends, self.endpoints, &counters, &Rc::default())
            .map_err(|error| Violation::new("6 goes on", error))?;
        let journal = new.take_journal();
        ensure(old.holds(&image), "3 synced", || "the old ring was changed while it was carried over".into())?;
        let given_up: Vec<u64> =
            (0..self.endpoints.len()).map(|endpoint| counters.endpoint(endpoint).dropped_total()).collect();
        let expected = self.drain_all(new, layout)?.0;
        let mut random = self.random.fork();
        let last = journal.ops.len().saturating_sub(1);
        let mut visit = |cut: Cut<'_>| {
            Tally::add(&self.tally.cuts, 1);
            let in_place = match cut.op == last && cut.kind == CutKind::Synced {
                true => self.drain_all(&new.fork(cut.image.to_vec()), layout)?.0 == expected,
                // An unfinished ring is never opened: whatever it holds, the old one is.
                false => old.holds(&image),
            };
            ensure(in_place, "3 synced", || format!("what was carried over is not there; {cut}"))
        };
        journal.each_cut(self.how, &mut random, &mut visit)?;
        let durable = self.drain_all(&new.fork(new.durable_image()), layout)?.0;
        ensure(durable == expected, "3 synced", || format!("{owed:?} was carried over and is not on flash"))?;
        Ok(given_up)
    }
}

fn end(piece: &Piece) -> (u64, u64) {
    (piece.scrape, piece.until)
}
