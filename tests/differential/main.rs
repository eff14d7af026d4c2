//! The agent against Prometheus itself: both scrape the same generated and hostile pages with the same configuration, both
//! write to one receiver, and what they wrote has to be the same.
//!
//! ```text
//!                 ┌─► narthex run ────────► /narthex ─┐
//!  page server ◄──┤                                   ├─ receiver ─► series, values in bits, order of timestamps, staleness
//!  scripts        └─► prometheus --agent ─► /prometheus ┘
//! ```
//!
//! Cases come from seeds. A failure names its seed; `NARTHEX_SEED` and `NARTHEX_CASES` run it again. Needs a Prometheus
//! (`.ci/install-prometheus`, or Debian's), hence `#[ignore]`d; run it by `cargo differential`.

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)]
#[path = "../../src/scrape/client_model.rs"]
mod client_model;

mod agents;
mod answers;
mod cases;
mod coming_and_going;
mod compare;
mod compare_tests;
mod configs;
mod exceptions;
mod hostile;
mod pages;
mod protobuf;
mod receiver;
mod receiving;
mod run;
mod values;

use agents::Prometheus;
use std::path::Path;

#[test]
#[ignore = "needs Prometheus, and takes minutes"]
fn agrees_with_prometheus() {
    let seed = number_from("NARTHEX_SEED").unwrap_or(1);
    let cases = number_from("NARTHEX_CASES").unwrap_or(100) as usize;
    let answers = number_from("NARTHEX_ANSWERS").unwrap_or(20) as usize;
    let mut failed = 0;
    for prometheus in Prometheus::all() {
        let outcome = run::run(&prometheus, seed, cases, answers);
        println!("{prometheus}: seeds {seed} to {}, {answers} answers each", seed + cases as u64 - 1);
        println!("  {:?}, {} cases starved", outcome.tally, outcome.starved);
        println!("  differences that are meant: {:?}", outcome.met);
        let text = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("differential-{:?}.txt", prometheus.era));
        std::fs::write(&text, outcome.failures.join("\n")).unwrap();
        println!("  {} cases differ, see {}", outcome.failures.len(), text.display());
        failed += outcome.failures.len();
        assert!(
            outcome.starved <= cases / 2,
            "the machine is too slow or too busy; give it a longer NARTHEX_INTERVAL_MS"
        );
    }
    assert_eq!(failed, 0, "cases differ");
}

/// A number from the environment.
fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} has to be a number")))
}
