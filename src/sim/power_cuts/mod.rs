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

mod ring_model;
mod ring_script;

use super::Thoroughness;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

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

const QUICK: Thoroughness = Thoroughness { step_bytes: 61, random_subsets: 16 };

#[test]
fn rings_survive() {
    run_all("rings_survive", ring_script::run, 0..40, QUICK);
}
