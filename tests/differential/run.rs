//! One run: all cases at once against one Prometheus.

use crate::agents::{Agents, Prometheus};
use crate::answers::{Answer, Targets};
use crate::cases::{CASE_LABEL, Case, INTERVAL};
use crate::compare::{Difference, Scope, Scrapes, Tally, check_order, differences};
use crate::exceptions::{Met, forgive, only_forward};
use crate::receiver::{Received, Receiver, Who};
use crate::support::eventually;
use serde_json::json;
use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Scrapes that are compared after the script's last answer: the series that it left end in the first of them.
const AFTER_THE_END: usize = 2;
/// Longer than an agent keeps samples to itself.
const FLUSH: Duration = Duration::from_secs(4);

/// The cases that differ, one text each.
pub fn run(prometheus: &Prometheus, seed: u64, count: usize, length: usize) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (receiver, targets) = (Receiver::start(), Targets::start());
    let address = targets.server.address.to_string();
    let cases: Vec<Case> = (0..count).map(|n| Case::new(seed + n as u64, n, &address, prometheus.era)).collect();
    let global = json!({"scrape_interval": "1s", "scrape_timeout": "1s"});
    let jobs: Vec<_> = cases.iter().map(|case| case.job.clone()).collect();
    let agents = Agents::start(prometheus, folder.path(), &global, &jobs, &receiver);

    let base_ms = now_ms() + 500;
    sleep(Duration::from_millis(2000));
    let scripts: Vec<_> = cases.iter().zip(0..).map(|(case, n)| case.script(n, length, base_ms)).collect();
    targets.begin(scripts.clone());
    let scope = Scope { scrapes: length + AFTER_THE_END, since_ms: base_ms };
    wait_for_scrapes(&targets, count, scope.scrapes + 1);
    sleep(FLUSH);
    let sent = |who| by_case(receiver.received(who), count);
    let (narthex, mut other) = (sent(Who::Narthex), sent(Who::Prometheus));
    drop(agents);

    if count == 1 {
        println!("narthex sent {:#?}\nPrometheus sent {:#?}\nanswers: {:#?}", narthex[0], other[0], scripts[0]);
    }
    let (mut tally, mut met) = (Tally::default(), Met::new());
    let mut failures = Vec::new();
    for (n, case) in cases.iter().enumerate() {
        let early = [Who::Narthex, Who::Prometheus].map(|who| targets.progress(who, n).early);
        tally.scrapes += scope.scrapes;
        let compared = compare(&narthex[n], &mut other[n], early, scope, &mut tally, &mut met);
        let found = compared.map_or_else(Some, |found| explain(case, &scripts[n], &found));
        failures.extend(found.map(|text| format!("seed {}:\n{text}", case.seed)));
    }
    println!(
        "{:?}, {}: seeds {seed}.., {count} cases of {length} answers: {tally:?}, {met:?}",
        prometheus.era,
        prometheus.program.display()
    );
    let dump = std::env::temp_dir().join(format!("narthex-differential-{:?}.txt", prometheus.era));
    std::fs::write(&dump, failures.join("\n")).unwrap();
    println!("{} cases differ: {}", failures.len(), dump.display());
    failures
}

/// What differs in one case, but for what is meant to.
fn compare(
    narthex: &Received,
    prometheus: &mut Received,
    early: [usize; 2],
    scope: Scope,
    tally: &mut Tally,
    met: &mut Met,
) -> Result<Vec<Difference>, String> {
    check_order(narthex)?;
    let dropped = only_forward(prometheus, met);
    let one = Scrapes::of(narthex, early[0], scope).map_err(|lack| format!("narthex {lack}"))?;
    let two = Scrapes::of(prometheus, early[1], scope).map_err(|lack| format!("Prometheus {lack}"))?;
    let (mut mine, mut theirs) = (one.number(narthex), two.number(prometheus));
    forgive(&mut mine, &mut theirs, &two.number_counts(&dropped), met)?;
    Ok(differences(&mine, &theirs, tally))
}

fn wait_for_scrapes(targets: &Targets, count: usize, scrapes: usize) {
    let limit = INTERVAL * 3 * scrapes as u32 + Duration::from_secs(30);
    eventually("the end of all scripts", limit, || {
        let all =
            (0..count).flat_map(|n| [Who::Narthex, Who::Prometheus].map(|who| targets.progress(who, n).asked.len()));
        sleep(Duration::from_millis(200));
        all.min().is_none_or(|least| least >= scrapes).then_some(())
    });
}

/// Each target's series. Panics if one is of no target: nothing takes away the label.
fn by_case(received: Received, count: usize) -> Vec<Received> {
    let mut cases = vec![BTreeMap::new(); count];
    for (labels, samples) in received {
        let case =
            labels.iter().find(|(name, _)| name == CASE_LABEL).and_then(|(_, value)| value.parse::<usize>().ok());
        let case = case.unwrap_or_else(|| panic!("{labels:?} is of no case"));
        cases[case].insert(labels, samples);
    }
    cases
}

fn explain(case: &Case, script: &[Answer], found: &[Difference]) -> Option<String> {
    let first = found.iter().min_by_key(|difference| difference.scrape.unwrap_or(usize::MAX))?;
    let mut text = format!("{} series differ; {}\n", found.len(), case.job);
    for difference in found.iter().filter(|difference| difference.scrape == first.scrape).take(5) {
        let (skip, shown) = (same(difference).saturating_sub(2), 5);
        text += &format!("  {:?}\n", difference.labels);
        text += &format!("    narthex    {:?}\n", difference.narthex.iter().skip(skip).take(shown).collect::<Vec<_>>());
        text +=
            &format!("    Prometheus {:?}\n", difference.prometheus.iter().skip(skip).take(shown).collect::<Vec<_>>());
    }
    if let Some(scrape) = first.scrape {
        for (n, answer) in script.iter().enumerate().skip(scrape.saturating_sub(1)).take(2) {
            text += &format!("  answer {n}, {}:\n{}\n", answer.about, String::from_utf8_lossy(&answer.bytes));
        }
    }
    Some(text)
}

fn same(difference: &Difference) -> usize {
    difference.narthex.iter().zip(&difference.prometheus).take_while(|(one, other)| one == other).count()
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
