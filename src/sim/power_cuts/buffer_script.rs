//! Scrapes, outages, commits, failures, restarts and cuts of a buffer, as a seed makes them.

use super::buffer_model::{Found, Model, samples_of};
use super::{Tally, Violation, ensure};
use crate::buffer::{Buffer, RETAINED, WriteBudget};
use crate::codec::SegmentCodec;
use crate::counters::{Counters, DropCause};
use crate::model::{LabelsBuilder, ScrapeBatch, Series, SeriesTable};
use crate::ring::{FramePosition, Layout, Read, Ring, RingError};
use crate::sim::{Cut, CutKind, FlashKind, SimFlash, Thoroughness};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

mod stories;

/// Commits whose every cut is tried, in one script.
const THOROUGH_COMMITS: usize = 4;
/// How long a scrape waits for a commit where the write budget has no room.
const BUDGET_INTERVAL_MAX: Duration = Duration::from_secs(60);
const NAMES: [&str; 3] = ["a", "b", "c"];
/// Of an entry in the note; its value is a number.
const NOTE_KEY: &str = "number";

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
    let mut script = Script::new(&mut world, flash, random, how, tally)?;
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

/// The number of the note; 0 if there is none.
fn note_in(buffer: &Buffer<SimFlash>) -> u64 {
    let number = buffer.remembered(NOTE_KEY).and_then(|bytes| bytes.try_into().ok());
    number.map_or(0, u64::from_le_bytes)
}

struct Opened {
    buffer: Buffer<SimFlash>,
    counters: Rc<Counters>,
    oldest_segment: Option<u64>,
}

impl Opened {
    fn unreadable(&self, endpoint: usize) -> u64 {
        self.counters.endpoint(endpoint).dropped(DropCause::RingDamaged)
    }
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
        let note = note_in(&opened.buffer);
        let unreadable_before: Vec<u64> =
            (0..self.endpoints.len()).map(|endpoint| opened.unreadable(endpoint)).collect();
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
        let endpoints = 0..self.endpoints.len();
        let unreadable = endpoints.clone().zip(unreadable_before);
        let unreadable = unreadable.map(|(endpoint, before)| opened.unreadable(endpoint) - before).collect();
        let counted = endpoints.map(|endpoint| opened.counters.endpoint(endpoint).dropped_total()).collect();
        Ok(Found { scrapes: all, unreadable, counted, oldest_segment: opened.oldest_segment, note })
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
    /// The last commit failed, and the process goes on.
    has_failed: bool,
    world: &'a mut World,
}

impl<'a> Script<'a> {
    fn new(
        world: &'a mut World,
        flash: SimFlash,
        random: fastrand::Rng,
        how: Thoroughness,
        tally: &'a Tally,
    ) -> Result<Script<'a>, Violation> {
        let Opened { buffer, counters, .. } = world.open(&flash).map_err(|error| Violation::new("1 opens", error))?;
        let model = Model::new(world.endpoints.len());
        let (is_up, held) = (vec![true; world.endpoints.len()], vec![None; world.endpoints.len()]);
        let (now, thorough_left, has_failed) = (Duration::ZERO, 0, false);
        Ok(Script {
            flash,
            buffer,
            counters,
            model,
            random,
            how,
            tally,
            now,
            is_up,
            held,
            thorough_left,
            has_failed,
            world,
        })
    }

    /// A scrape, what the endpoints that are up take, and a commit if one is due. Rarely, a restart; often where flash fails.
    fn step(&mut self) -> Result<(), Violation> {
        let seconds = self.random.u64(1..8);
        self.scrape(seconds);
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
            0..20 if self.has_failed => self.restart(None),
            0 => self.restart(None),
            1 => {
                self.commit(true)?;
                if self.buffer.is_note_written() {
                    let mut opened = self.world.open(&self.flash).map_err(|error| Violation::new("1 opens", error))?;
                    let found = self.world.drain(&mut opened)?;
                    self.model.compare_at_stop(&found)?;
                }
                self.restart(None)
            }
            2 => {
                let image = self.flash.durable_image();
                self.restart(Some(image))
            }
            _ => Ok(()),
        }
    }

    fn scrape(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        let batch = self.world.batch(self.model.scrapes);
        self.buffer.push(batch, self.now);
        self.model.pushed(self.now);
    }

    fn change_note(&mut self) {
        self.model.last_note += 1;
        self.buffer.remember(NOTE_KEY, &self.model.last_note.to_le_bytes());
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
            if !self.hand(endpoint)? || self.random.u8(..6) == 0 {
                return Ok(());
            }
            self.acknowledge(endpoint);
        }
        Ok(())
    }

    /// Whether there was a window for the sender.
    fn hand(&mut self, endpoint: usize) -> Result<bool, Violation> {
        let before = self.dropped(endpoint);
        let window = self.buffer.window(endpoint).map_err(|error| Violation::new("1 opens", error))?;
        let counted = self.dropped(endpoint)[1] - before[1];
        let Some(window) = window else {
            self.model.handed(endpoint, None, counted)?;
            return Ok(false);
        };
        let scrapes: Result<Vec<u64>, _> = window.batches.iter().map(|batch| self.world.recognise(batch)).collect();
        self.model.handed(endpoint, Some(&scrapes?), counted)?;
        self.held[endpoint] = Some(window.next_record);
        Ok(true)
    }

    fn acknowledge(&mut self, endpoint: usize) {
        if let Some(next_record) = self.held[endpoint].take() {
            self.buffer.ack(endpoint, next_record, self.now);
            self.model.acknowledged(endpoint);
        }
    }

    fn commit(&mut self, is_last: bool) -> Result<(), Violation> {
        let may_fail = !is_last && self.world.budget.is_none();
        let fails = may_fail && self.random.u8(..if self.thorough_left > 0 { 4 } else { 16 }) == 0;
        let cause = self.random.choice([ErrorKind::Other, ErrorKind::StorageFull]).expect("some");
        let calls = self.random.u32(..4);
        self.commit_unless(fails.then_some((calls, cause)), is_last)
    }

    /// A commit, whose calls may fail after so many that change something.
    fn commit_unless(&mut self, fails_after: Option<(u32, ErrorKind)>, is_last: bool) -> Result<(), Violation> {
        let oldest = self.world.oldest_segment(&self.flash).map_err(|error| Violation::new("1 opens", error))?;
        self.model.committing(oldest.0, &oldest.1);
        if is_last {
            self.model.closing();
        }
        if let Some((calls, cause)) = fails_after {
            self.flash.fail_after_with(calls, cause);
        }
        let before: Vec<[u64; 3]> = (0..self.is_up.len()).map(|endpoint| self.dropped(endpoint)).collect();
        let lacked_counts = self.buffer.has_unwritten_losses();
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
        // Acknowledgements wait for the counts of what they pass over, which go with the note and not with records.
        let may_withhold_acks = lacked_counts || self.buffer.has_unwritten_losses();
        let withholds_acks = may_withhold_acks && !self.buffer.has_written_acks();
        self.has_failed = committed.is_err();
        let mut survivor = None;
        if self.thorough_left > 0 && has_written {
            self.thorough_left -= 1;
            survivor = self.cut_everywhere(journal)?;
        }
        match (survivor, committed) {
            (Some(image), _) => self.restart(Some(image)),
            (None, Ok(())) => {
                let released = self.now.saturating_sub(self.world.commit_interval.max(RETAINED));
                self.model.committed(has_written, self.buffer.fill().stage_samples == 0, released);
                if has_written && !withholds_acks {
                    self.model.acks_synced();
                }
                let durable = self.flash.durable_image();
                self.check(&durable).map_err(|violation| violation.at("just after the commit returned"))?;
                if has_written {
                    let opened = self.world.open(&self.flash.fork(durable));
                    let opened = opened.map_err(|error| Violation::new("1 opens", error))?;
                    self.model.synced_note = note_in(&opened.buffer);
                }
                Ok(())
            }
            (None, Err(RingError::Device { .. })) if fails_after.is_some() => {
                Tally::add(&self.tally.failed_calls, 1);
                if has_synced && !withholds_acks {
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
        let Opened { buffer, counters, .. } = self.world.open(&self.flash).map_err(opens)?;
        let bases = (0..self.is_up.len()).map(|endpoint| counters.endpoint(endpoint).dropped_total());
        self.model.adopt(found, &bases.collect::<Vec<_>>(), cut.is_some());
        (self.buffer, self.counters, self.has_failed) = (buffer, counters, false);
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
