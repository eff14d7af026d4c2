//! How targets were asked: none in the dark while the agent runs, none twice within an interval.

use super::{Breaches, Facts, Span, Violation};
use std::collections::BTreeSet;

/// How long a target may go unasked beside its interval: a busy machine.
const DARK_SLACK_MS: i64 = 8000;

/// Two scrapes are one too many if less than this part of an interval is between them. A scrape that a stall delayed may come as
/// soon before the next one by chance.
const DOUBLE_DIVISOR: i64 = 50;

pub fn violations(facts: &Facts) -> Vec<Violation> {
    [dark(facts), doubled(facts)].into_iter().flatten().collect()
}

fn dark(facts: &Facts) -> Option<Violation> {
    let mut breaches = Breaches::of("no target stays in the dark");
    let limit_ms = 2 * facts.rules.interval_ms + DARK_SLACK_MS;
    for run in &facts.runs {
        for target in targets(facts) {
            let mut last_ms = run.from_ms;
            let within = |at_ms: &i64| (run.from_ms..run.to_ms).contains(at_ms);
            for at_ms in times(facts, target).filter(within).chain([run.to_ms]) {
                let gap = Span { from_ms: last_ms, to_ms: at_ms };
                if at_ms - last_ms > limit_ms + facts.stalled_ms(gap) {
                    breaches.add(|| format!("target {target} was not asked from {last_ms} ms to {at_ms} ms"));
                }
                last_ms = at_ms;
            }
        }
    }
    breaches.violation()
}

fn doubled(facts: &Facts) -> Option<Violation> {
    let doubles_max = facts.rules.doubles_max?;
    let mut breaches = Breaches::of("a target is scraped once an interval");
    for target in targets(facts) {
        let times: Vec<i64> = times(facts, target).collect();
        for pair in times.windows(2) {
            let is_one_run = facts.runs.iter().any(|run| run.from_ms <= pair[0] && pair[1] < run.to_ms);
            if is_one_run && pair[1] - pair[0] < facts.rules.interval_ms / DOUBLE_DIVISOR {
                breaches.add(|| format!("target {target} at {} ms and {} ms", pair[0], pair[1]));
            }
        }
    }
    breaches.violation().filter(|violation| violation.count as usize > doubles_max)
}

fn targets(facts: &Facts) -> BTreeSet<usize> {
    facts.asked.iter().map(|asked| asked.target).collect()
}

fn times(facts: &Facts, target: usize) -> impl Iterator<Item = i64> {
    facts.asked.iter().filter(move |asked| asked.target == target).map(|asked| asked.at_ms)
}
