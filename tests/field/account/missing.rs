//! What the receiver lacks: counted with its cause, or inside the window before a kill.

use super::{Arrived, Breaches, Facts, Page, REPORT_SERIES, Series, Span, Violation};

/// How much sooner than its timeout a page must have been whole to be owed: the agent's own time for it on a busy machine.
const OWED_WITHIN: f64 = 0.7;

/// Samples that are owed and not at the receiver.
#[derive(Default)]
pub struct Missing {
    pub owed: u64,
    /// Scraped inside the window before some kill.
    pub inside: u64,
    /// Not so: these must have been counted.
    pub outside: u64,
    first_outside: Option<String>,
    refused: Option<Violation>,
}

impl Missing {
    pub fn of(facts: &Facts, arrived: &Arrived) -> Missing {
        let mut missing = Missing::default();
        let mut refused = Breaches::of("no page that was answered in time is refused");
        for page in facts.pages.iter().filter(|page| is_owed(facts, page)) {
            let lacks = match arrived.time_of(page) {
                Some(time) => lacking(arrived, page, time),
                None => match failed_scrape(facts, arrived, page) {
                    Some(Failed::InTime(at)) => {
                        refused.add(|| format!("{page:?}, up is 0 at {at}"));
                        continue;
                    }
                    Some(Failed::TooSlow) => continue,
                    None => page.samples(),
                },
            };
            missing.owed += page.samples();
            if lacks == 0 {
                continue;
            }
            if is_in_a_window(facts, page) {
                missing.inside += lacks;
            } else {
                missing.outside += lacks;
                let time = arrived.time_of(page);
                missing.first_outside.get_or_insert_with(|| match time {
                    Some(time) => format!("{lacks} samples of {page:?}, the rest of which has the time {time}"),
                    None => format!("all of {page:?}, at about {}", facts.wall_ms(page.begun_ms)),
                });
            }
        }
        missing.refused = refused.violation();
        missing
    }

    pub fn violations(&self, facts: &Facts) -> Vec<Violation> {
        let mut violations: Vec<Violation> = self.refused.iter().cloned().collect();
        let counted = facts.counted_total();
        if self.outside > counted {
            violations.push(Violation {
                promise: "nothing is lost without a count",
                count: self.outside - counted,
                first: self.first_outside.clone().unwrap_or_default(),
            });
        }
        for (cause, samples) in facts.counted.iter().filter(|(cause, _)| !facts.rules.causes.contains(&cause.as_str()))
        {
            violations.push(Violation {
                promise: "nothing is given up without need",
                count: *samples,
                first: format!("counted as {cause}"),
            });
        }
        let missing = self.outside + self.inside + facts.rules.markers_max;
        if counted > missing {
            violations.push(Violation {
                promise: "nothing is counted as lost that the receiver has",
                count: counted - missing,
                first: format!("{:?} counted, {} missing", facts.counted, self.outside + self.inside),
            });
        }
        violations
    }
}

/// Whether the page must become samples: it was whole in time, and the agent was there to take it.
fn is_owed(facts: &Facts, page: &Page) -> bool {
    let span = Span { from_ms: page.begun_ms, to_ms: page.ended_ms.max(page.begun_ms + 1) };
    // A scrape under way when the agent ends, or when it is held up, may fail.
    let around = Span { from_ms: span.from_ms - facts.rules.timeout_ms, to_ms: span.to_ms + facts.rules.timeout_ms };
    let is_quick = ((page.ended_ms - page.begun_ms) as f64) < facts.rules.timeout_ms as f64 * OWED_WITHIN;
    is_quick && facts.stalled_ms(around) == 0
}

/// Samples of a page with this time that are not there.
fn lacking(arrived: &Arrived, page: &Page, time: i64) -> u64 {
    let lab = page.series.clone().map(|series| Series::Lab { target: page.target, series });
    let report = REPORT_SERIES.iter().map(|name| Series::Report { target: page.target, name: (*name).into() });
    lab.chain(report).filter(|series| !arrived.has(series, time)).count() as u64
}

enum Failed {
    /// The agent says so though it took less time than it had.
    InTime(i64),
    TooSlow,
}

/// What the agent says of the scrape: `None` if nothing.
fn failed_scrape(facts: &Facts, arrived: &Arrived, page: &Page) -> Option<Failed> {
    let (from, to) = (page.begun_ms - facts.rules.timeout_ms, page.ended_ms + 20);
    let failed = arrived.failed_scrapes(page.target, facts.wall_ms(from), facts.wall_ms(to));
    let took_s = |time: &i64| arrived.report(page.target, "scrape_duration_seconds", *time).unwrap_or(f64::MAX);
    let limit_s = facts.rules.timeout_ms as f64 / 1000.0 * OWED_WITHIN;
    let first = *failed.first()?;
    Some(if failed.iter().any(|time| took_s(time) > limit_s) { Failed::TooSlow } else { Failed::InTime(first) })
}

fn is_in_a_window(facts: &Facts, page: &Page) -> bool {
    facts.deaths.iter().any(|death| page.begun_ms <= death.at_ms && page.ended_ms >= death.at_ms - death.loses_ms)
}
