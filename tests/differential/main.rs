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

mod agents;
mod answers;
mod cases;
mod compare;
mod exceptions;
mod hostile;
mod pages;
mod receiver;
mod run;
mod values;

use agents::Prometheus;

#[test]
#[ignore = "needs Prometheus, and takes minutes"]
fn agrees_with_prometheus() {
    let seed = number_from("NARTHEX_SEED").unwrap_or(1);
    let cases = number_from("NARTHEX_CASES").unwrap_or(150) as usize;
    let answers = number_from("NARTHEX_ANSWERS").unwrap_or(40) as usize;
    let failures: Vec<String> =
        Prometheus::all().iter().flat_map(|prometheus| run::run(prometheus, seed, cases, answers)).collect();
    assert!(failures.is_empty(), "{} cases differ", failures.len());
}

fn number_from(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} has to be a number")))
}
