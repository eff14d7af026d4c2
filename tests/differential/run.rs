//! One run: all cases at once against one Prometheus.

use crate::agents::{Agents, Era, Prometheus};
use crate::answers::{Answer, Asked, Progress, Targets};
use crate::cases::{CASE_LABEL, Case, interval};
use crate::compare::{
    Difference, Scope, Scrapes, Tally, check_order, differences, first_starved, only_before, report, scraped,
};
use crate::exceptions::{Met, forgive, only_forward};
use crate::receiver::{Received, Receiver, Who};
use crate::support::eventually;
use serde_json::json;
use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Scrapes that are compared after the script's last answer: the series that it left end in the first of them.
const AFTER_THE_END: usize = 2;
/// Longer than an agent keeps the samples of one scrape to itself once it sends others of it.
const FLUSH: Duration = Duration::from_secs(3);

/// What came of one run.
#[derive(Default)]
pub struct Outcome {
    pub tally: Tally,
    pub met: Met,
    /// The cases that differ, one text each.
    pub failures: Vec<String>,
    /// Cases in which the machine had no time for one of the agents.
    pub starved: usize,
}

/// One case as one agent has it.
struct Side<'r> {
    received: &'r mut Received,
    progress: Progress,
}

pub fn run(prometheus: &Prometheus, seed: u64, count: usize, length: usize) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let (receiver, targets) = (Receiver::start(), Targets::start());
    let address = targets.server.address.to_string();
    let cases: Vec<Case> = (0..count).map(|n| Case::new(seed + n as u64, n, &address, prometheus.era)).collect();
    let global = json!({"scrape_interval": format!("{}ms", interval().as_millis()), "scrape_timeout": format!("{}ms", interval().as_millis())});
    let jobs: Vec<_> = cases.iter().map(|case| case.job.clone()).collect();
    let agents = Agents::start(prometheus, folder.path(), &global, &jobs, &receiver);

    let base_ms = now_ms() + 500;
    sleep(Duration::from_millis(2000));
    let scripts: Vec<_> = cases.iter().zip(0..).map(|(case, n)| case.script(n, length, base_ms)).collect();
    targets.begin(scripts.clone());
    let scope = Scope { scrapes: length + AFTER_THE_END, since_ms: base_ms };
    wait_for_scrapes(&targets, count, scope.scrapes + 1);
    let mut received = flushed(&receiver, &targets, count, scope);
    drop(agents);
    if count == 1 {
        println!("narthex and Prometheus sent {received:#?}\nanswers: {:#?}", scripts[0]);
    }

    let mut outcome = Outcome::default();
    let [mine, theirs] = &mut received;
    for (n, case) in cases.iter().enumerate() {
        let side = Side { received: &mut mine[n], progress: targets.progress(Who::Narthex, n) };
        let other = Side { received: &mut theirs[n], progress: targets.progress(Who::Prometheus, n) };
        let found = match outcome.compare(&scripts[n], side, other, scope, prometheus.era) {
            Ok(found) => explain(&scripts[n], &found),
            Err(complaint) => Some(complaint),
        };
        outcome.failures.extend(found.map(|text| format!("seed {}: {}\n{text}", case.seed, case.job)));
    }
    outcome
}

impl Outcome {
    /// What differs in one case, but for what is meant to. An error is a difference that is not one of series.
    fn compare(
        &mut self,
        script: &[Answer],
        narthex: Side<'_>,
        prometheus: Side<'_>,
        scope: Scope,
        era: Era,
    ) -> Result<Vec<Difference>, String> {
        same_requests(&narthex.progress.asked, &prometheus.progress.asked, era)?;
        same_requests(&narthex.progress.asked_behind, &prometheus.progress.asked_behind, era)?;
        check_order(narthex.received)?;
        let mut met = Met::new();
        let dropped = only_forward(prometheus.received, &mut met);
        let one = Scrapes::of(narthex.received, narthex.progress.early, scope)?;
        let two = Scrapes::of(prometheus.received, prometheus.progress.early, scope)?;
        let (mut mine, mut theirs) = (one.number(narthex.received), two.number(prometheus.received));
        let is_slow = |scrape: usize| script.get(scrape).is_some_and(|answer| !answer.delay.is_zero());
        let starved = [&mine, &theirs].into_iter().filter_map(|seen| first_starved(seen, interval(), is_slow)).min();
        if let Some(end) = starved {
            self.starved += 1;
            (mine, theirs) = only_before(&mine, end).zip(only_before(&theirs, end)).unwrap_or_default();
        }
        forgive(&mut mine, &mut theirs, &two.number_counts(&dropped), &mut met)?;
        met.into_iter().for_each(|(name, count)| *self.met.entry(name).or_default() += count);
        self.tally.scrapes += scraped(&theirs);
        Ok(differences(&mine, &theirs, &mut self.tally))
    }
}

/// Both have to ask with the same words, but for the formats that 2.42 has not heard of.
fn same_requests(narthex: &[Asked], prometheus: &[Asked], era: Era) -> Result<(), String> {
    let compared = |asked: &Asked| -> Asked {
        asked.iter().filter(|line| era == Era::Three || !line.starts_with("accept:")).cloned().collect()
    };
    let mut both = narthex.iter().map(compared).zip(prometheus.iter().map(compared));
    match both.find(|(mine, theirs)| mine != theirs) {
        None => Ok(()),
        Some((mine, theirs)) => Err(format!("narthex asks {mine:#?}, Prometheus {theirs:#?}")),
    }
}

fn wait_for_scrapes(targets: &Targets, count: usize, scrapes: usize) {
    let limit = interval() * 3 * scrapes as u32 + Duration::from_secs(30);
    eventually("the end of all scripts", limit, || {
        let all =
            (0..count).flat_map(|n| [Who::Narthex, Who::Prometheus].map(|who| targets.progress(who, n).asked.len()));
        sleep(Duration::from_millis(200));
        all.min().is_none_or(|least| least >= scrapes).then_some(())
    });
}

/// What both sent, once all scrapes that are compared have arrived.
fn flushed(receiver: &Receiver, targets: &Targets, count: usize, scope: Scope) -> [Vec<Received>; 2] {
    let both = [Who::Narthex, Who::Prometheus];
    let received = || both.map(|who| by_case(receiver.received(who), count));
    eventually("the arrival of all scrapes", Duration::from_secs(60), || {
        sleep(Duration::from_millis(500));
        let has_all = |who: Who, received: &[Received]| {
            let mut cases = received.iter().zip(0..);
            cases.all(|(received, n)| {
                let up = report(received, "up").map_or(0, |up| received[&up].len());
                up >= targets.progress(who, n).early + scope.scrapes
            })
        };
        both.into_iter().zip(received()).all(|(who, received)| has_all(who, &received)).then_some(())
    });
    sleep(FLUSH);
    received()
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

/// The series that differ first, and the pages there.
fn explain(script: &[Answer], found: &[Difference]) -> Option<String> {
    let first = found.iter().min_by_key(|difference| difference.scrape.unwrap_or(usize::MAX))?;
    let mut text = format!("{} series differ\n", found.len());
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
