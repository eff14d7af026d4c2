//! One place on the flash that can't be read, or was changed, in a ring that is open or is opened: it costs what was there, to
//! the sample, and nothing that comes after. Where it can be read again, it costs nothing.

use super::pages::{Pages, Piece, flash, samples_in};
use super::{Tally, Violation, ensure};
use crate::buffer::Buffer;
use crate::counters::{Counters, DropCause};
use crate::limits::PROGRAM_UNIT_BYTES;
use crate::ring::Layout;
use crate::sim::{SimFlash, Thoroughness};
use std::rc::Rc;
use std::time::Duration;

const NAMES: [&str; 2] = ["a", "b"];

/// So many that nothing has to make room.
const SEGMENTS: u32 = 40;

pub(super) fn run(seed: u64, _: Thoroughness, tally: &Tally) -> Result<(), Violation> {
    let mut random = fastrand::Rng::with_seed(seed);
    let (flash, layout) = flash(seed, SEGMENTS, &mut random);
    let mut pages = Pages::new(random.u64(10..200));
    pages.asks_twice = true;
    let written = random.u64(4..24);
    let mut device = Device::boot(flash.clone(), layout, pages)?;
    for _ in 0..written {
        device.scrape()?;
    }
    let image = flash.image();
    let used: Vec<usize> = image
        .chunks(PROGRAM_UNIT_BYTES)
        .map(|unit| unit.iter().any(|b| *b != unit[0]))
        .enumerate()
        .filter(|(_, used)| *used)
        .map(|(unit, _)| unit * PROGRAM_UNIT_BYTES)
        .collect();
    // Each of them in turn, and each of the ways in which it matters.
    for at in used {
        for (is_restarted, comes_back, is_changed) in
            [(false, false, false), (false, false, true), (true, false, false), (true, true, false)]
        {
            // Headers are read when a ring is opened.
            if !is_restarted && at % layout.segment_size_bytes as usize == 0 {
                continue;
            }
            Tally::add(&tally.failed_calls, 1);
            let case = Case { at, is_restarted, comes_back, is_changed };
            case.run(seed, &image, &flash, layout, written, device.pages.copy())
                .map_err(|violation| violation.at(format!("{case:?}")))?;
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Case {
    at: usize,
    is_restarted: bool,
    /// The place can be read again before anybody needs it.
    comes_back: bool,
    is_changed: bool,
}

impl Case {
    fn run(
        &self,
        seed: u64,
        image: &[u8],
        parent: &SimFlash,
        layout: Layout,
        written: u64,
        pages: Pages,
    ) -> Result<(), Violation> {
        let flash = parent.fork(image.to_vec());
        let mut random = fastrand::Rng::with_seed(seed);
        if self.is_restarted {
            flash.make_unreadable(self.at);
        }
        let mut device = Device::boot(flash.clone(), layout, pages)?;
        device.scrapes = written;
        if !self.is_restarted {
            // It goes on in the newest segment, and knows its dictionary.
            device.scrape()?;
            match self.is_changed {
                true => flash.damage(self.at + 100, &[image[self.at + 100] ^ 0x55]),
                false => flash.make_unreadable(self.at),
            }
        }
        // Nothing is known of the place until somebody comes to read it.
        let mut known_from = if self.is_restarted { device.scrapes } else { u64::MAX };
        for _ in 0..random.u64(1..5) {
            if !self.comes_back && random.bool() {
                device.drain(0)?;
                known_from = known_from.min(device.scrapes);
            }
            device.scrape()?;
        }
        if self.comes_back {
            flash.make_readable();
            let scrapes = device.scrapes;
            device = Device::boot(flash, layout, device.pages)?;
            device.scrapes = scrapes;
        }
        (0..2).try_for_each(|_| device.scrape())?;
        for endpoint in 0..NAMES.len() {
            device.drain(endpoint)?;
            device.check(self, endpoint, known_from.min(device.scrapes))?;
        }
        Ok(())
    }
}

struct Device {
    buffer: Buffer<SimFlash>,
    counters: Rc<Counters>,
    pages: Pages,
    scrapes: u64,
    handed: Vec<Vec<Piece>>,
}

impl Device {
    fn boot(flash: SimFlash, layout: Layout, pages: Pages) -> Result<Device, Violation> {
        let (buffer, counters) = pages.open(&flash, layout, &NAMES)?;
        Ok(Device { buffer, counters, pages, scrapes: 0, handed: vec![Vec::new(); NAMES.len()] })
    }

    /// One scrape, committed. Memory lets it go at once.
    fn scrape(&mut self) -> Result<(), Violation> {
        let now = Duration::from_secs(60 * (self.scrapes + 1));
        self.buffer.push(self.pages.batch(self.scrapes), now);
        self.scrapes += 1;
        let committed = self.buffer.commit(now + Duration::from_secs(30));
        committed.map_err(|error| Violation::new("6 goes on", error))
    }

    /// Everything there is, though some reads fail.
    fn drain(&mut self, endpoint: usize) -> Result<(), Violation> {
        self.pages.drain(&mut self.buffer, endpoint, &mut self.handed[endpoint])
    }

    fn check(&self, case: &Case, endpoint: usize, known_from: u64) -> Result<(), Violation> {
        let handed = &self.handed[endpoint];
        let lost = self.pages.samples(0..self.scrapes) - samples_in(handed);
        let counted = self.counters.endpoint(endpoint).dropped(DropCause::RingDamaged);
        let after: Vec<Piece> = handed.iter().filter(|piece| piece.scrape >= known_from).cloned().collect();
        let lost_after = self.pages.samples(known_from..self.scrapes) - samples_in(&after);
        ensure(lost_after == 0, "3 synced", || {
            format!("endpoint {endpoint} lacks {lost_after} samples that were committed after the damage was found")
        })?;
        ensure(!case.comes_back || lost == 0, "3 synced", || {
            format!("endpoint {endpoint} lacks {lost} samples though everything can be read again")
        })?;
        // What a segment held whose last frame, or header, could not be read when the ring was opened is not known.
        let is_exact = if case.is_restarted { counted <= lost } else { counted == lost };
        ensure(is_exact, "3 synced", || format!("endpoint {endpoint} lacks {lost} samples, and {counted} are counted"))
    }
}
