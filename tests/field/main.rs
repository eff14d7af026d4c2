//! The field lab: the built agent among targets and receivers that misbehave, clocks that jump, cards that fail, kills and
//! restarts; and at the end an account of every sample.
//!
//! ```text
//!  exporters ──pages that say which they are──► narthex run ──► receivers that answer by script
//!      │                                            │ ▲               │
//!      │                          /metrics: losses ─┘ └─ signals,     │
//!      ▼                                                 card, clock  ▼
//!  what was served ─────────────► account ◄──────────────── what arrived
//! ```
//!
//! `cargo field` runs the fixed scripts, which take a minute and a half together. `NARTHEX_MINUTES=30 cargo field` runs labs made
//! from random seeds for so long; `NARTHEX_SEED=n cargo field` repeats one of these, as far as the scheduler lets it, and
//! `NARTHEX_SCRIPT=name cargo field` one fixed script.

mod account;
mod card;
mod device;
mod exporter;
mod history;
mod http;
mod lab;
mod lab_clock;
mod plan;
mod random;
mod receiver;
mod scripts;
mod tally;
mod wire;

use lab::{Report, carry_out};
use plan::Plan;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Labs at the same time: mostly they wait.
const LABS_AT_ONCE: usize = 6;
/// Random labs at the same time: they work more, and long runs share a machine.
const RANDOM_LABS_AT_ONCE: usize = 4;

#[test]
#[ignore = "takes more than a minute: cargo field"]
fn every_sample_is_accounted_for() {
    match (number("NARTHEX_SEED"), number("NARTHEX_MINUTES")) {
        (Some(seed), _) => assert_clean(&[told(carry_out(random::plan(seed)))]),
        (None, Some(minutes)) => run_random_labs(Duration::from_secs(60 * minutes)),
        (None, None) => run_scripts(),
    }
}

fn run_scripts() {
    let wanted = std::env::var("NARTHEX_SCRIPT").ok();
    let scripts = scripts::all().into_iter().filter(|plan| wanted.as_ref().is_none_or(|name| plan.name == *name));
    let waiting = Arc::new(Mutex::new(scripts.rev().collect::<Vec<Plan>>()));
    assert!(!waiting.lock().unwrap().is_empty(), "no script has the name {wanted:?}");
    assert_clean(&run_at_once(LABS_AT_ONCE, move || waiting.lock().unwrap().pop()));
}

fn run_random_labs(time: Duration) {
    let (begun, first) = (Instant::now(), fastrand::u64(..1 << 40));
    let next = Arc::new(Mutex::new(first));
    let reports = run_at_once(RANDOM_LABS_AT_ONCE, move || {
        let mut next = next.lock().unwrap();
        *next += 1;
        (begun.elapsed() < time).then(|| random::plan(*next))
    });
    assert_clean(&reports);
}

/// Carries out plans on so many threads until there are no more.
fn run_at_once(threads: usize, next: impl Fn() -> Option<Plan> + Send + Sync + 'static) -> Vec<Report> {
    let next = Arc::new(next);
    let labs = (0..threads).map(|_| {
        let next = next.clone();
        thread::spawn(move || {
            let mut reports = Vec::new();
            while let Some(plan) = next() {
                reports.push(told(carry_out(plan)));
            }
            reports
        })
    });
    let labs: Vec<_> = labs.collect();
    labs.into_iter().flat_map(|lab| lab.join().expect("the lab itself failed")).collect()
}

/// Prints what came of a plan.
fn told(report: Report) -> Report {
    let name = &report.name;
    if let Some(reason) = report.not_run {
        println!("{name}: NOT RUN, {reason}");
    }
    for (endpoint, account) in report.accounts.iter().enumerate() {
        println!(
            "{name}: endpoint {endpoint}: {} pages, {} samples owed, {} arrived, {} missing, {} in windows of {} kills, \
             {} counted, {} repeats",
            account.pages,
            account.samples_owed,
            account.samples_arrived,
            account.samples_missing,
            account.samples_in_windows,
            report.kills,
            account.samples_counted,
            account.repeats,
        );
        for violation in &account.violations {
            println!("{name}: VIOLATION at endpoint {endpoint}: {violation}");
        }
    }
    if let Some(kept) = &report.kept {
        println!("{name}: again by {}; kept in {}", again(name), kept.display());
    }
    report
}

fn again(name: &str) -> String {
    match name.strip_prefix("seed ") {
        Some(seed) => format!("NARTHEX_SEED={seed} cargo field"),
        None => format!("NARTHEX_SCRIPT={name} cargo field"),
    }
}

fn assert_clean(reports: &[Report]) {
    let accounts = || reports.iter().flat_map(|report| &report.accounts);
    println!(
        "{} labs, {} kills, {} samples owed, {} missing, {} counted, {} in windows, {} repeats",
        reports.len(),
        reports.iter().map(|report| report.kills).sum::<usize>(),
        accounts().map(|account| account.samples_owed).sum::<u64>(),
        accounts().map(|account| account.samples_missing).sum::<u64>(),
        accounts().map(|account| account.samples_counted).sum::<u64>(),
        accounts().map(|account| account.samples_in_windows).sum::<u64>(),
        accounts().map(|account| account.repeats).sum::<u64>(),
    );
    let broken: Vec<&str> = reports.iter().filter(|report| !report.is_clean()).map(|report| &*report.name).collect();
    assert!(broken.is_empty(), "promises were broken in {broken:?}");
}

/// A number in the environment.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}; write a whole number")))
}
