//! Scrapes, outages, commits, failures, restarts and cuts of a buffer, as a seed makes them.

use super::buffer_model::{Found, Model, samples_of};
use super::ring_model::{note, number_of};
use super::{Tally, Violation, ensure};
use crate::buffer::{Buffer, WriteBudget};
use crate::codec::SegmentCodec;
use crate::counters::{Counters, DropCause};
use crate::model::{LabelsBuilder, ScrapeBatch, Series, SeriesTable};
use crate::ring::{FramePosition, Layout, Read, Ring, RingError};
use crate::sim::{Cut, CutKind, FlashKind, SimFlash, Thoroughness};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

/// Commits whose every cut is tried, in one script.
const THOROUGH_COMMITS: usize = 4;
/// How long a scrape waits for a commit where the write budget has no room.
const BUDGET_INTERVAL_MAX: Duration = Duration::from_secs(60);
const NAMES: [&str; 3] = ["a", "b", "c"];

pub(super) fn run(seed: u64, how: Thoroughness, tally: &Tally) -> Result<(), Violation> {
    let mut random = fastrand::Rng::with_seed(seed);
    let kind = if seed.is_multiple_of(2) { FlashKind::Block } else { FlashKind::Nor };
    let (segment_size_bytes, unit_bytes) = random.choice([(4096, 512), (4096, 512), (4096, 1024)]).expect("some");
    let layout = Layout { segment_size_bytes, segment_count: random.u32(4..6) };
    let flash = SimFlash::blank(kind, layout.size_bytes() as usize);
    flash.set_program_unit(unit_bytes);
    let mut world = World {
        layout,
        commit_interval: Duration::from_secs(random.choice([0, 2, 10]).expect("some")),
        // A commit is charged about 5 KiB, which these have room for every one to three minutes.
        budget: random.choice([None, None, None, Some("128KiB/hour"), Some("384KiB/hour")]).expect("some"),
        endpoints: &NAMES[..random.usize(1..=NAMES.len())],
        table: Rc::default(),
        lists: HashMap::new(),
    };
    let Opened { buffer, counters, .. } = world.open(&flash).map_err(|error| Violation::new("1 opens", error))?;
    let model = Model::new(world.endpoints.len());
    let is_up = vec![true; world.endpoints.len()];
    let held = vec![None; world.endpoints.len()];
    let (now, thorough_left, world) = (Duration::ZERO, 0, &mut world);
    let mut script =
        Script { flash, buffer, counters, model, random, how, tally, now, is_up, held, thorough_left, world };
    // Empty rings, and outages of many laps.
    let quiet_scrapes = script.random.choice([0, 10, 100, 600]).expect("some");
    script.change_uplinks(quiet_scrapes > 100);
    for _ in 0..quiet_scrapes {
        script.step()?;
    }
    script.thorough_left = THOROUGH_COMMITS;
    for _ in 0..400 {
        if script.thorough_left == 0 {
            break;
        }
        script.step()?;
        if script.random.u8(..40) == 0 {
            let all_down = script.random.bool();
            script.change_uplinks(all_down);
        }
    }
    Ok(())
}

/// What does not change: the device, its targets, its configuration.
struct World {
    layout: Layout,
    commit_interval: Duration,
    budget: Option<&'static str>,
    endpoints: &'static [&'static str],
    table: Rc<SeriesTable>,
    lists: HashMap<(u64, u64), Rc<[Series]>>,
}

struct Opened {
    buffer: Buffer<SimFlash>,
    counters: Rc<Counters>,
    oldest_segment: Option<u64>,
}

impl World {
    fn open(&self, flash: &SimFlash) -> Result<Opened, RingError> {
        let (counters, table) = (Rc::<Counters>::default(), self.table.clone());
        let (layout, interval) = (self.layout, self.commit_interval);
        let opened = Buffer::open(flash.clone(), layout, interval, self.endpoints, table, counters.clone())?;
        let (mut buffer, recovery) = opened;
        if let Some(budget) = self.budget {
            buffer.limit_writes(WriteBudget::parse(budget).expect("valid"), BUDGET_INTERVAL_MAX);
        }
        let oldest_segment = recovery.segments.first().map(|segment| segment.seq);
        Ok(Opened { buffer, counters, oldest_segment })
    }

    /// Scrape by its number: three targets, whose series come and go, and values that no codec makes small.
    fn batch(&mut self, scrape: u64) -> ScrapeBatch {
        let (target, samples) = (scrape % 3, samples_of(scrape));
        let list = self.lists.entry((target, samples)).or_insert_with(|| {
            let first = samples % 4;
            let name = |i: u64| {
                let (target, i) = (target.to_string(), i.to_string());
                LabelsBuilder::from_iter([("__name__", "m"), ("target", target.as_str()), ("i", i.as_str())])
            };
            let series = (first..first + samples).map(|i| self.table.intern(&name(i).build().expect("valid")));
            series.collect()
        });
        let value = |i: u64| ((scrape * 7919 + i * 104_729) as f64).sin();
        let values = (0..samples).map(value).collect();
        let series = list.clone();
        ScrapeBatch {
            target: target as u32,
            timestamp_ms: scrape as i64,
            series,
            values,
            own_timestamps: vec![],
            extras: None,
        }
    }

    /// The scrape's number, if this is it to the bit.
    fn recognise(&mut self, found: &ScrapeBatch) -> Result<u64, Violation> {
        let scrape = found.timestamp_ms as u64;
        let expected = self.batch(scrape);
        let same_values = found.values.iter().map(|v| v.to_bits()).eq(expected.values.iter().map(|v| v.to_bits()));
        let is_same = same_values && found.series == expected.series && found.own_timestamps.is_empty();
        ensure(is_same, "2 nothing invented", || format!("scrape {scrape} has changed"))?;
        Ok(scrape)
    }

    /// Everything that each endpoint would be handed from here on.
    fn drain(&mut self, opened: &mut Opened) -> Result<Found, Violation> {
        let note = number_of(opened.buffer.note());
        let mut all = Vec::new();
        for endpoint in 0..self.endpoints.len() {
            let mut found = Vec::new();
            while let Some(window) = opened.buffer.window(endpoint).map_err(|error| Violation::new("1 opens", error))? {
                for batch in &window.batches {
                    found.push(self.recognise(batch)?);
                }
                opened.buffer.ack(endpoint, window.next_record, Duration::ZERO);
            }
            all.push(found);
        }
        let unreadable = |endpoint| opened.counters.endpoint(endpoint).dropped(DropCause::RingDamaged);
        let unreadable = (0..self.endpoints.len()).map(unreadable).collect();
        Ok(Found { scrapes: all, unreadable, oldest_segment: opened.oldest_segment, note })
    }

    /// Scrapes in the segment that the next one takes the place of.
    fn oldest_segment(&self, flash: &SimFlash) -> Result<(Option<u64>, Vec<u64>), RingError> {
        let (ring, _) = Ring::open(flash.clone(), self.layout, Rc::<Counters>::default())?;
        let Some(oldest) = ring.next_evicted() else { return Ok((None, Vec::new())) };
        let (mut at, mut bytes) = (FramePosition::start_of(oldest), Vec::new());
        let (mut codec, mut batches) = (SegmentCodec::new(), Vec::new());
        while let Read::Frame { meta, payload_at, next } = ring.read(at, &mut bytes)? {
            if !meta.sample_counts.is_empty() && codec.decode(&bytes[payload_at..], &self.table, &mut batches).is_err()
            {
                break;
            }
            at = next;
        }
        Ok((Some(oldest.seq), batches.iter().map(|batch| batch.timestamp_ms as u64).collect()))
    }
}

struct Script<'a> {
    flash: SimFlash,
    buffer: Buffer<SimFlash>,
    counters: Rc<Counters>,
    model: Model,
    random: fastrand::Rng,
    how: Thoroughness,
    tally: &'a Tally,
    now: Duration,
    is_up: Vec<bool>,
    /// What senders hold and have not acknowledged: up to which record.
    held: Vec<Option<u64>>,
    thorough_left: usize,
    world: &'a mut World,
}

impl Script<'_> {
    /// A scrape, what the endpoints that are up take, and a commit if one is due. Rarely, a restart.
    fn step(&mut self) -> Result<(), Violation> {
        self.now += Duration::from_secs(self.random.u64(1..8));
        let batch = self.world.batch(self.model.scrapes);
        self.buffer.push(batch, self.now);
        self.model.pushed();
        for endpoint in 0..self.is_up.len() {
            if self.is_up[endpoint] && self.random.u8(..4) > 0 {
                self.send(endpoint)?;
            }
        }
        if self.random.u8(..3) == 0 {
            self.change_note();
        }
        if self.buffer.commit_due().is_some_and(|due| due <= self.now) {
            self.commit(false)?;
        }
        match self.random.u8(..100) {
            0 => self.restart(None),
            1 => {
                self.commit(true)?;
                self.restart(None)
            }
            2 => {
                let image = self.flash.durable_image();
                self.restart(Some(image))
            }
            _ => Ok(()),
        }
    }

    fn change_note(&mut self) {
        self.model.last_note += 1;
        self.buffer.set_note(note(self.model.last_note));
        if self.random.bool() {
            self.buffer.write_note(self.now);
        }
    }

    /// Some endpoints lose their uplink, or get it back.
    fn change_uplinks(&mut self, all_down: bool) {
        for is_up in &mut self.is_up {
            *is_up = !all_down && self.random.bool();
        }
    }

    /// The receiver takes what was handed out; or the sender still holds it when the step ends.
    fn send(&mut self, endpoint: usize) -> Result<(), Violation> {
        self.acknowledge(endpoint);
        for _ in 0..self.random.usize(1..4) {
            let before = self.dropped(endpoint);
            let window = self.buffer.window(endpoint).map_err(|error| Violation::new("1 opens", error))?;
            let counted = self.dropped(endpoint)[1] - before[1];
            let Some(window) = window else {
                return self.model.handed(endpoint, None, counted);
            };
            let scrapes: Result<Vec<u64>, _> = window.batches.iter().map(|batch| self.world.recognise(batch)).collect();
            self.model.handed(endpoint, Some(&scrapes?), counted)?;
            self.held[endpoint] = Some(window.next_record);
            if self.random.u8(..6) == 0 {
                return Ok(());
            }
            self.acknowledge(endpoint);
        }
        Ok(())
    }

    fn acknowledge(&mut self, endpoint: usize) {
        if let Some(next_record) = self.held[endpoint].take() {
            self.buffer.ack(endpoint, next_record, self.now);
            self.model.acknowledged(endpoint);
        }
    }

    fn commit(&mut self, is_last: bool) -> Result<(), Violation> {
        let is_thorough = self.thorough_left > 0;
        let oldest = self.world.oldest_segment(&self.flash).map_err(|error| Violation::new("1 opens", error))?;
        self.model.committing(oldest.0, &oldest.1);
        let may_fail = !is_last && self.world.budget.is_none();
        let fails = may_fail && self.random.u8(..if is_thorough { 4 } else { 16 }) == 0;
        if fails {
            let cause = self.random.choice([ErrorKind::Other, ErrorKind::StorageFull]).expect("some");
            self.flash.fail_after_with(self.random.u32(..4), cause);
        }
        let before: Vec<[u64; 3]> = (0..self.is_up.len()).map(|endpoint| self.dropped(endpoint)).collect();
        self.flash.start_journal();
        let committed = if is_last { self.buffer.close() } else { self.buffer.commit(self.now) };
        self.flash.mend();
        let journal = self.flash.take_journal();
        for (endpoint, before) in before.iter().enumerate() {
            let after = self.dropped(endpoint);
            self.model.counted(endpoint, after[0] - before[0], after[1] - before[1])?;
            if self.world.budget.is_some() {
                self.model.held_back(endpoint, after[2] - before[2])?;
            }
        }
        let (has_written, has_synced) = (!journal.is_empty(), journal.has_synced_write());
        let mut survivor = None;
        if is_thorough && has_written {
            self.thorough_left -= 1;
            survivor = self.cut_everywhere(journal)?;
        }
        match (survivor, committed) {
            (Some(image), _) => self.restart(Some(image)),
            (None, Ok(())) => {
                self.model.committed(has_written, self.buffer.fill().stage_samples == 0);
                let durable = self.flash.durable_image();
                self.check(&durable).map_err(|violation| violation.at("just after the commit returned"))?;
                if has_written {
                    let opened = self.world.open(&self.flash.fork(durable));
                    let opened = opened.map_err(|error| Violation::new("1 opens", error))?;
                    self.model.synced_note = number_of(opened.buffer.note());
                }
                Ok(())
            }
            (None, Err(RingError::Device { .. })) if fails => {
                Tally::add(&self.tally.failed_calls, 1);
                if has_synced {
                    self.model.acks_synced();
                }
                Ok(())
            }
            (None, Err(error)) => Err(Violation::new("6 goes on", error)),
        }
    }

    /// Looks at every cut; sometimes one of them is what really happens.
    fn cut_everywhere(&mut self, journal: crate::sim::Journal) -> Result<Option<Vec<u8>>, Violation> {
        let (mut random, how) = (self.random.fork(), self.how);
        let (cut_here, mut seen, mut survivor) = (self.random.u8(..3) == 0, 0, None);
        let mut chance = self.random.fork();
        let mut visit = |cut: Cut<'_>| {
            seen += 1;
            if cut_here && cut.kind != CutKind::Synced && chance.u32(..seen) == 0 {
                survivor = Some(cut.image.to_vec());
            }
            Tally::add(&self.tally.cuts, 1);
            self.check(cut.image).map_err(|violation| violation.at(&cut))
        };
        journal.each_cut(how, &mut random, &mut visit)?;
        Ok(survivor)
    }

    /// The process starts again: with what it left, or with what a power cut left.
    fn restart(&mut self, cut: Option<Vec<u8>>) -> Result<(), Violation> {
        let opens = |error| Violation::new("1 opens", error);
        match &cut {
            Some(image) => self.flash.cut_to(image),
            None => self.flash.end_process(),
        }
        let image = self.flash.image();
        self.check(&image)?;
        let found = {
            let mut opened = self.world.open(&self.flash).map_err(opens)?;
            self.world.drain(&mut opened)?
        };
        self.model.adopt(found, cut.is_some());
        let Opened { buffer, counters, .. } = self.world.open(&self.flash).map_err(opens)?;
        (self.buffer, self.counters) = (buffer, counters);
        self.held.fill(None);
        Ok(())
    }

    /// Every invariant, for what a cut left.
    fn check(&mut self, image: &[u8]) -> Result<(), Violation> {
        let opens = |error| Violation::new("1 opens", error);
        let flash = self.flash.fork(image.to_vec());
        let mut opened = self.world.open(&flash).map_err(opens)?;
        let found = self.world.drain(&mut opened)?;
        self.model.compare(&found)?;
        let mut again = self.world.open(&flash).map_err(opens)?;
        let same = found == self.world.drain(&mut again)?;
        ensure(same && flash.holds(image), "5 opens twice", || "the second time something else is found".into())?;
        // Invariant 6: one more scrape, committed with all the acknowledgements, is all that there is to send then.
        let scrape = self.model.scrapes;
        let mut buffer = again.buffer;
        buffer.push(self.world.batch(scrape), self.now);
        buffer.close().map_err(|error| Violation::new("6 goes on", error))?;
        let mut opened = self.world.open(&flash).map_err(opens)?;
        for (endpoint, found) in self.world.drain(&mut opened)?.scrapes.iter().enumerate() {
            ensure(*found == [scrape], "6 goes on", || {
                format!("after one more scrape, {scrape}, endpoint {endpoint} is handed {found:?}")
            })?;
        }
        Ok(())
    }

    /// Samples given up for room so far, those that could not be read back, and those that the write budget held back.
    fn dropped(&self, endpoint: usize) -> [u64; 3] {
        let causes = [DropCause::RingFull, DropCause::RingDamaged, DropCause::WriteBudget];
        causes.map(|cause| self.counters.endpoint(endpoint).dropped(cause))
    }
}
