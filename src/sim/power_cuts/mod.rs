//! The proof that power cuts cannot hurt the ring and the buffer: scripts made from seeds, each cut wherever it can be cut,
//! and a model of what must be found afterwards.
//!
//! ```text
//!  seed ─► script ─► ring or buffer ─► simulated flash ─► journal ─► cuts ─► each opened, compared with the model,
//!                          ▲                                          │       appended to and opened again
//!                          └──────── reboot from one of them ◄────────┘
//! ```
//!
//! `cargo test` runs a fixed set; `cargo power-cuts` runs more than a million cuts. Both print how many. A violation names
//! the invariant (ARCHITECTURE.md has them by number), the seed, and the command that runs this script again.

mod bad_places;
mod boot_loop;
mod buffer_model;
mod buffer_script;
mod loss_model;
mod pages;
mod resizing;
mod ring_model;
mod ring_script;

use super::Thoroughness;
use crate::bugs::{Bug, with_bug};
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// An invariant that does not hold, and how that was seen.
#[derive(Debug)]
struct Violation {
    invariant: &'static str,
    what: String,
}

impl Violation {
    fn new(invariant: &'static str, what: impl fmt::Display) -> Violation {
        Violation { invariant, what: what.to_string() }
    }

    fn at(self, place: impl fmt::Display) -> Violation {
        Violation { what: format!("{}; {place}", self.what), ..self }
    }
}

fn ensure(holds: bool, invariant: &'static str, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, what: what() }) }
}

/// What was tried.
#[derive(Default)]
struct Tally {
    cuts: Cell<u64>,
    /// Cuts of the first appends after a cut.
    second_cuts: Cell<u64>,
    failed_calls: Cell<u64>,
}

impl Tally {
    fn add(counter: &Cell<u64>, count: u64) {
        counter.set(counter.get() + count);
    }

    fn total(&self) -> u64 {
        self.cuts.get() + self.second_cuts.get()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cuts, second, failed) = (self.cuts.get(), self.second_cuts.get(), self.failed_calls.get());
        write!(
            f,
            "{} cut points ({second} of them in the first appends after a cut), {failed} failed calls",
            cuts + second
        )
    }
}

/// Scripts of the run with a million cuts.
const RING_SEEDS: u64 = 100;
const BUFFER_SEEDS: u64 = 50;
/// More of them, in which a cut is tried here and there: what takes three rare things in a row is in one of hundreds.
const QUICK_RING_SEEDS: u64 = 600;
const QUICK_BUFFER_SEEDS: u64 = 400;
const RESIZING_SEEDS: u64 = 12;
const BAD_PLACE_SEEDS: u64 = 60;
/// Scripts of each kind in which a deliberate bug has to show.
const BUG_SEEDS: u64 = 40;

type Script = fn(u64, Thoroughness, &Tally) -> Result<(), Violation>;

/// Runs a script; a breach of the medium's contract is a violation as well.
fn run(script: Script, seed: u64, how: Thoroughness, tally: &Tally) -> Result<(), Violation> {
    catch_unwind(AssertUnwindSafe(|| script(seed, how, tally))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        Err(Violation::new("1 opens", text.unwrap_or_default()))
    })
}

/// Runs the scripts with these seeds, or the one that the environment names, until one finds a violation.
fn run_all(name: &str, script: Script, seeds: std::ops::Range<u64>, how: Thoroughness) -> Tally {
    let only = std::env::var("NARTHEX_SEED").ok().map(|seed| seed.parse::<u64>().expect("NARTHEX_SEED is a number"));
    let seeds = only.map_or(seeds, |seed| seed..seed + 1);
    let tally = Tally::default();
    for seed in seeds {
        if let Err(violation) = run(script, seed, how, &tally) {
            panic!(
                "invariant {}: {}\nseed {seed}, after {tally}; again with: NARTHEX_SEED={seed} cargo test --lib {name}",
                violation.invariant, violation.what
            );
        }
    }
    println!("{name}: {tally}");
    tally
}

/// In `cargo test`: a coarse step, which starts at another byte for each write.
const QUICK: Thoroughness = Thoroughness { step_bytes: 127, random_subsets: 16 };

const EVERY_BYTE: Thoroughness = Thoroughness { step_bytes: 1, random_subsets: 1 << 10 };

#[test]
fn rings_survive() {
    run_all("rings_survive", ring_script::run, 0..16, QUICK);
}

#[test]
fn boot_loops_cost_one_segment() {
    run_all("boot_loops_cost_one_segment", boot_loop::run, 0..BUG_SEEDS, QUICK);
}

#[test]
fn buffers_survive() {
    run_all("buffers_survive", buffer_script::run, 0..8, QUICK);
}

#[test]
fn bad_places_cost_what_is_there() {
    run_all("bad_places_cost_what_is_there", bad_places::run, 0..6, QUICK);
}

#[test]
fn rings_are_carried_over_whole() {
    run_all("rings_are_carried_over_whole", resizing::run, 0..6, QUICK);
}

#[test]
#[ignore = "minutes: cargo power-cuts"]
fn a_million_power_cuts() {
    let started = Instant::now();
    let rings = run_all("rings_survive", ring_script::run, 0..RING_SEEDS, EVERY_BYTE);
    let after_rings = started.elapsed();
    let buffers = run_all("buffers_survive", buffer_script::run, 0..BUFFER_SEEDS, EVERY_BYTE);
    let carried = run_all("rings_are_carried_over_whole", resizing::run, 0..RESIZING_SEEDS, EVERY_BYTE);
    run_all("bad_places_cost_what_is_there", bad_places::run, 0..BAD_PLACE_SEEDS, EVERY_BYTE);
    run_all("rings_survive", ring_script::run, RING_SEEDS..QUICK_RING_SEEDS, QUICK);
    run_all("buffers_survive", buffer_script::run, BUFFER_SEEDS..QUICK_BUFFER_SEEDS, QUICK);
    let cuts = rings.total() + buffers.total() + carried.total();
    println!(
        "{cuts} cut points in {:.0} s: {} of rings in {:.0} s, {} of buffers, {} of rings that are carried over",
        started.elapsed().as_secs_f64(),
        rings.total(),
        after_rings.as_secs_f64(),
        buffers.total(),
        carried.total()
    );
    assert!(cuts >= 1_000_000, "{cuts} cut points are too few");
}

/// Plants one deliberate bug after the other; the suite must catch each. `tests/deliberate-bugs` prints the table.
#[test]
#[ignore = "tests/deliberate-bugs"]
fn every_deliberate_bug_is_caught() {
    std::panic::set_hook(Box::new(|_| {}));
    if let Some((script, seed, violation, _)) = first_catch() {
        println!("without any bug: {script}, seed {seed}: {}: {}", violation.invariant, violation.what);
        panic!("the scripts have to pass first");
    }
    let only = std::env::var("NARTHEX_BUG").ok();
    let mut missed = Vec::new();
    println!("| bug | caught by | invariant | seed | after cut points |\n|---|---|---|---|---|");
    for bug in Bug::ALL {
        if only.as_ref().is_some_and(|only| *only != format!("{bug:?}")) {
            continue;
        }
        match with_bug(*bug, first_catch) {
            Some((script, seed, violation, cuts)) => {
                println!("| {bug:?} | {script} | {} | {seed} | {cuts} |", violation.invariant);
                if only.is_some() {
                    println!("{}", violation.what);
                }
            }
            None => missed.push(bug),
        }
    }
    _ = std::panic::take_hook();
    assert!(missed.is_empty(), "these bugs were not caught: {missed:?}");
}

fn first_catch() -> Option<(&'static str, u64, Violation, u64)> {
    let tally = Tally::default();
    for seed in 0..BUG_SEEDS {
        let scripts = [
            ("boot loops", boot_loop::run as Script),
            ("rings", ring_script::run),
            ("buffers", buffer_script::run),
            ("bad places", bad_places::run),
            ("carried rings", resizing::run),
        ];
        for (name, script) in scripts {
            if let Err(violation) = run(script, seed, QUICK, &tally) {
                return Some((name, seed, violation, tally.total()));
            }
        }
    }
    None
}
