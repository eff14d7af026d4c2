//! Appends, failures, restarts and cuts of a ring, as a seed makes them.

use super::ring_model::{ENDPOINTS, Found, Model, without_acks};
use super::{Tally, Violation, ensure};
use crate::counters::Counters;
use crate::ring::{Appended, Frame, FrameMeta, Layout, Medium, Placement, Recovery, Ring, RingError};
use crate::sim::{Cut, CutKind, FlashKind, SimFlash, Thoroughness};
use std::io::ErrorKind;
use std::rc::Rc;

/// Steps whose every cut is tried, in one script.
const THOROUGH_STEPS: usize = 8;

pub(super) fn run(seed: u64, how: Thoroughness, tally: &Tally) -> Result<(), Violation> {
    let mut random = fastrand::Rng::with_seed(seed);
    let kind = if seed.is_multiple_of(2) { FlashKind::Block } else { FlashKind::Nor };
    let shapes = [(4096, 512), (4096, 512), (8192, 512), (4096, 1024), (8192, 2048)];
    let (segment_size_bytes, unit_bytes) = random.choice(shapes).expect("some");
    let layout = Layout { segment_size_bytes, segment_count: random.u32(4..7) };
    let flash = SimFlash::blank(kind, layout.size_bytes() as usize);
    flash.set_program_unit(unit_bytes);
    let (ring, _) = open(&flash, layout).map_err(|error| Violation::new("1 opens", error))?;
    let model = Model::new(layout);
    let mut script = Script { flash, layout, ring, model, random, how, tally, erased_slot: None, is_second: false };
    // Empty rings, rings that are exactly full, and rings many laps later.
    let quiet_steps = script.random.choice([0, 0, 5, 30, 300]).expect("some");
    for _ in 0..quiet_steps {
        script.step(false)?;
    }
    for _ in 0..THOROUGH_STEPS {
        script.step(true)?;
        for _ in 0..script.random.usize(0..4) {
            script.step(false)?;
        }
    }
    Ok(())
}

fn open(flash: &SimFlash, layout: Layout) -> Result<(Ring<SimFlash>, Recovery), RingError> {
    Ring::open(flash.clone(), layout, Rc::<Counters>::default())
}

struct Script<'a> {
    flash: SimFlash,
    layout: Layout,
    ring: Ring<SimFlash>,
    model: Model,
    random: fastrand::Rng,
    how: Thoroughness,
    tally: &'a Tally,
    /// Where the append that is under way erased a segment.
    erased_slot: Option<usize>,
    /// This one began at a cut of another.
    is_second: bool,
}

impl Script<'_> {
    /// An append, perhaps one that fails or is cut, or a restart.
    fn step(&mut self, is_thorough: bool) -> Result<(), Violation> {
        if self.random.u8(..24) == 0 {
            return self.restart(None);
        }
        self.model.acknowledge(self.ring.next_record(), &mut self.random);
        if self.random.u8(..3) == 0 {
            self.ring.set_note(self.model.next_note());
        }
        let (frame, placement) = self.next_append();
        let fails = self.random.u8(..if is_thorough { 4 } else { 12 }) == 0;
        if fails {
            let cause = self.random.choice([ErrorKind::Other, ErrorKind::StorageFull]).expect("some");
            self.flash.fail_after_with(self.random.u32(..3), cause);
        }
        let evicts = self.ring.next_evicted();
        self.model.begin(&frame, placement, evicts.filter(|_| placement == Placement::NewSegment).map(|s| s.seq))?;
        let evicts = evicts.map(|segment| (segment.seq, self.ring.samples_in(segment)));
        self.flash.start_journal();
        let erases = self.erases();
        let appended = self.ring.append(&frame, placement, &self.model.acks());
        self.flash.mend();
        let journal = self.flash.take_journal();
        self.erased_slot = self.erases().iter().zip(&erases).position(|(after, before)| after > before);
        let cut_here = self.random.u8(..if is_thorough { 3 } else { 24 }) == 0;
        let mut survivor = None;
        if is_thorough || cut_here {
            let how = if is_thorough { self.how } else { Thoroughness { step_bytes: 509, random_subsets: 8 } };
            let (mut random, mut seen) = (self.random.fork(), 0);
            let mut visit = |cut: Cut<'_>| {
                seen += 1;
                if cut_here && cut.kind != CutKind::Synced && self.random.u32(..seen) == 0 {
                    survivor = Some(cut.image.to_vec());
                }
                self.visit(&cut, seen)
            };
            journal.each_cut(how, &mut random, &mut visit)?;
        }
        match (survivor, appended) {
            (Some(image), _) => {
                self.model.abandon(self.erased_slot);
                self.restart(Some(image))
            }
            (None, Ok(appended)) => self.appended(placement, appended, evicts),
            (None, Err(RingError::Device { .. })) if fails => {
                Tally::add(&self.tally.failed_calls, 1);
                self.model.abandon(self.erased_slot);
                self.check(&self.flash.image())
            }
            (None, Err(error)) => Err(Violation::new("6 goes on", error)),
        }
    }

    fn next_append(&mut self) -> (Frame, Placement) {
        let random = &mut self.random;
        let records = if random.u8(..6) == 0 { 0 } else { random.usize(1..5) };
        let acks = self.model.acks();
        let changed = acks.iter().filter(|ack| !self.ring.acks().contains(ack)).copied().collect();
        let meta = FrameMeta {
            // Records that every endpoint has taken from memory are never written.
            first_record: self.ring.next_record() + u64::from(records > 0 && random.u8(..6) == 0) * random.u64(..4),
            sample_counts: (0..records).map(|_| random.u32(1..50)).collect(),
            acks: changed,
        };
        let bytes = match random.u8(..8) {
            _ if records == 0 => 0,
            // All but the header's unit, the one for acknowledgements, and one that what goes before takes a part of.
            0 => self.layout.segment_size_bytes as usize - 3 * self.flash.geometry().program_unit_bytes as usize,
            1..4 => random.usize(..1500),
            _ => random.usize(8..400),
        };
        let payload = match records {
            0 => self.ring.note().to_vec(),
            _ => std::iter::repeat_with(|| random.u8(..)).take(bytes).collect(),
        };
        let frame = Frame { meta, payload };
        let starts_new = !self.ring.fits(&frame, Placement::Current) || random.u8(..16) == 0;
        (frame, if starts_new { Placement::NewSegment } else { Placement::Current })
    }

    fn appended(
        &mut self,
        placement: Placement,
        appended: Appended,
        evicts: Option<(u64, u64)>,
    ) -> Result<(), Violation> {
        let newest = self.ring.segments().next_back().map_or(0, |segment| segment.seq);
        let evicted = appended.evicted.map(|segment| (segment.seq, evicts.map_or(0, |(_, samples)| samples)));
        self.model.finish(placement, newest, evicted)?;
        self.model.check_wear(&self.flash, newest)?;
        self.check(&self.flash.image())?;
        self.check(&self.flash.durable_image()).map_err(|violation| violation.at("just after the append returned"))
    }

    fn visit(&self, cut: &Cut<'_>, number: u32) -> Result<(), Violation> {
        // What must hold once the sync is done is checked when the append has returned.
        if cut.kind == CutKind::Synced {
            return Ok(());
        }
        Tally::add(if self.is_second { &self.tally.second_cuts } else { &self.tally.cuts }, 1);
        self.check(cut.image).map_err(|violation| violation.at(cut))?;
        if !self.is_second && number % 64 == 1 {
            self.cut_again(cut.image).map_err(|violation| violation.at(format!("then again: {cut}")))?;
        }
        Ok(())
    }

    /// The first append after a cut is cut as well.
    fn cut_again(&self, image: &[u8]) -> Result<(), Violation> {
        let flash = self.flash.fork(image.to_vec());
        let (ring, _) = open(&flash, self.layout).map_err(|error| Violation::new("1 opens", error))?;
        let how = Thoroughness { step_bytes: 251, random_subsets: 8 };
        let random = fastrand::Rng::with_seed(image.iter().map(|byte| u64::from(*byte)).sum());
        let (layout, tally, model) = (self.layout, self.tally, self.model.clone());
        let mut second = Script { flash, layout, ring, model, random, how, tally, erased_slot: None, is_second: true };
        second.model.abandon(self.erased_slot);
        second.restart(Some(image.to_vec()))?;
        second.step(true)
    }

    /// The process starts again: with what it left, or with what a power cut left.
    fn restart(&mut self, cut: Option<Vec<u8>>) -> Result<(), Violation> {
        match &cut {
            Some(image) => self.flash.cut_to(image),
            None => self.flash.end_process(),
        }
        self.check(&self.flash.image())?;
        self.check_failing_reads()?;
        let (ring, recovery) = open(&self.flash, self.layout).map_err(|error| Violation::new("1 opens", error))?;
        let found = Found::of(&ring, recovery.samples_total).map_err(|error| Violation::new("1 opens", error))?;
        self.model.adopt(&found, cut.is_some());
        self.ring = ring;
        Ok(())
    }

    /// Opening goes on if one of its reads fails, changes nothing, and what is appended then has its place behind all that can
    /// be read again later. If all reads fail from one on, it says so or goes on.
    fn check_failing_reads(&self) -> Result<(), Violation> {
        let opens = |error| Violation::new("1 opens", error);
        let image = self.flash.image();
        let (ring, recovery) = open(&self.flash, self.layout).map_err(opens)?;
        let before = Found::of(&ring, recovery.samples_total).map_err(opens)?;
        for reads in 0.. {
            let flash = self.flash.fork(image.clone());
            flash.fail_reads_after(reads);
            if let Err(error) = open(&flash, self.layout) {
                let is_told = matches!(error, RingError::Device { .. });
                ensure(is_told, "1 opens", || format!("failed reads are taken for: {error}"))?;
            }
            flash.fail_one_read_after(reads);
            let opened = open(&flash, self.layout);
            if !flash.has_failed() {
                return Ok(());
            }
            Tally::add(&self.tally.failed_calls, 1);
            ensure(flash.holds(&image), "5 opens twice", || "opening changed the image".into())?;
            match opened {
                Ok((ring, _)) => self
                    .check_goes_on(flash, ring, before.frames.clone())
                    .map_err(|violation| violation.at(format!("read {reads} of opening failed")))?,
                // Without a header nothing tells a ring from anything else.
                Err(RingError::Device { .. }) if before.segments.len() < 2 => {}
                Err(error) => {
                    return Err(Violation::new("1 opens", format!("read {reads} of opening failed: {error}")));
                }
            }
        }
        Ok(())
    }

    /// Every invariant, for what a cut left.
    fn check(&self, image: &[u8]) -> Result<(), Violation> {
        let opens = |error| Violation::new("1 opens", error);
        let flash = self.flash.fork(image.to_vec());
        let (ring, recovery) = open(&flash, self.layout).map_err(opens)?;
        // Headers, the newest segment and the room in it, and one behind it whose header is damaged.
        let most = 512 * u64::from(self.layout.segment_count) + 3 * u64::from(self.layout.segment_size_bytes) + 4096;
        ensure(flash.read_bytes() <= most, "1 opens", || format!("{} bytes were read", flash.read_bytes()))?;
        let found = Found::of(&ring, recovery.samples_total).map_err(opens)?;
        self.model.compare(&found)?;
        let (again, recovery_again) = open(&flash, self.layout).map_err(opens)?;
        let same = recovery == recovery_again && found == Found::of(&again, recovery.samples_total).map_err(opens)?;
        ensure(same, "5 opens twice", || "the second time something else is found".into())?;
        ensure(flash.holds(image), "5 opens twice", || "opening changed the image".into())?;
        self.check_goes_on(flash, ring, found.frames)
    }

    /// Invariant 6: two appends and another opening. `expected` is what was there before.
    fn check_goes_on(
        &self,
        flash: SimFlash,
        mut ring: Ring<SimFlash>,
        mut expected: Vec<(u64, Frame)>,
    ) -> Result<(), Violation> {
        let goes_on = |error| Violation::new("6 goes on", error);
        let slots = u64::from(self.layout.segment_count);
        for number in 0..2u8 {
            let meta =
                FrameMeta { first_record: ring.next_record(), sample_counts: vec![7, 9], acks: Default::default() };
            let frame = Frame { meta, payload: vec![number; 300] };
            let fits = ring.fits(&frame, Placement::Current);
            let placement = if fits && number == 0 { Placement::Current } else { Placement::NewSegment };
            let appended = ring.append(&frame, placement, &self.model.acks()).map_err(goes_on)?;
            let newest = ring.segments().next_back().map_or(0, |segment| segment.seq);
            expected.retain(|(seq, _)| appended.evicted.is_none_or(|evicted| evicted.seq != *seq));
            // One that could not be read when the ring was opened makes room unseen.
            expected.retain(|(seq, _)| seq + slots > newest);
            expected.push((newest, without_acks(&frame)));
        }
        let (ring, recovery) = open(&flash, self.layout).map_err(goes_on)?;
        let found = Found::of(&ring, recovery.samples_total).map_err(goes_on)?;
        ensure(found.frames == expected, "6 goes on", || {
            let of =
                |frames: &[(u64, Frame)]| frames.iter().map(|(seq, f)| (*seq, f.meta.first_record)).collect::<Vec<_>>();
            format!("after two more appends there are {:?}, not {:?}", of(&found.frames), of(&expected))
        })
    }

    fn erases(&self) -> Vec<u32> {
        let size = u64::from(self.layout.segment_size_bytes);
        (0..u64::from(self.layout.segment_count)).map(|slot| self.flash.erases_at(slot * size)).collect()
    }
}

const _: () = assert!(ENDPOINTS <= crate::limits::ENDPOINTS_MAX);
