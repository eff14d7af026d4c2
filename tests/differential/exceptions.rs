//! The differences that are meant: each by its name in `docs/differences.md`, taken out of what is compared, and counted.
//!
//! Each is as narrow as what is received allows: what it takes out of the agent's series is first held to what the agent
//! promises in its place.

use crate::compare::{REPORT_NAMES, Seen, When, name_of, report};
use crate::receiver::{EXEMPLARS, Labels, Received, Sample, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How often each was met.
pub type Met = BTreeMap<&'static str, usize>;

pub const BROKEN_PAGE: &str = "broken page";
pub const TIME_AFTER_BROKEN: &str = "time after a broken page";
pub const NOT_FORWARD: &str = "back in time on one page";
pub const OWN_REPORT: &str = "report series on a page";
pub const OLD_EXEMPLAR: &str = "older exemplar";
pub const REFUSED_TEXT: &str = "text refused for its time";
pub const FORGOTTEN_EXEMPLAR: &str = "exemplar of a series that was gone";
pub const NEGATIVE_ZERO: &str = "negative zero";

/// Takes the meant differences out of both. `dropped` is how many samples [`only_forward`] left out, by scrape, and how many with
/// times of the page's. An error is a promise that the agent broke.
pub fn forgive(
    narthex: &mut Seen,
    prometheus: &mut Seen,
    dropped: &(BTreeMap<usize, usize>, usize),
    met: &mut Met,
) -> Result<(), String> {
    series_added(narthex, prometheus, dropped, met);
    negative_zeros(narthex, met);
    forgotten_exemplars(narthex, met);
    broken_pages(narthex, prometheus, met)?;
    times_after_broken_pages(narthex, prometheus, met);
    Ok(())
}

/// The agent forgets the last exemplar of a series with the series, so that it, or an older one, is sent when both come back.
fn forgotten_exemplars(narthex: &mut Seen, met: &mut Met) {
    let all = narthex.clone();
    for (labels, exemplars) in narthex.iter_mut().filter(|(labels, _)| is_of_exemplars(labels)) {
        let samples = all.get(&labels[..labels.len() - 1]).map(|samples| &samples[..]).unwrap_or_default();
        let was_gone = |from: usize, to: usize| (from..to).any(|scrape| !has(samples, scrape, false));
        let mut last: Option<(When, Value)> = None;
        exemplars.retain(|(when, value)| {
            let is_forgotten = match (&last, when) {
                (Some((When::Scrape(before), same)), When::Scrape(scrape)) => {
                    same == value && was_gone(*before, *scrape)
                }
                // By which scrape it came is not known.
                (Some((When::Exactly(newest_ms), same)), When::Exactly(at_ms)) => {
                    at_ms < newest_ms || at_ms == newest_ms && same == value
                }
                _ => false,
            };
            *met.entry(FORGOTTEN_EXEMPLAR).or_default() += usize::from(is_forgotten);
            if !is_forgotten {
                last = Some((*when, value.clone()));
            }
            !is_forgotten
        });
    }
}

/// A page breaks in the middle: the agent ends all series at once. Prometheus leaves those that stand before the break for
/// the next scrape, and ends then, or when it is back, series that never were.
fn broken_pages(narthex: &mut Seen, prometheus: &mut Seen, met: &mut Met) -> Result<(), String> {
    let (broken, reports) = (broken_scrapes(narthex), reports(narthex));
    for (labels, samples) in narthex.iter() {
        for scrape in &broken {
            let had_value = *scrape > 0 && has(samples, scrape - 1, false);
            if !reports.contains(labels) && !is_of_exemplars(labels) && had_value && !has(samples, *scrape, true) {
                return Err(format!(
                    "{labels:?} was there before the page of scrape {scrape} broke, and has no marker"
                ));
            }
        }
    }
    let is_in_question = |when: &When| match when {
        When::Scrape(scrape) => broken.contains(scrape) || *scrape > 0 && broken.contains(&(scrape - 1)),
        When::Exactly(_) => false,
    };
    for (mine, seen) in [(true, &mut *narthex), (false, prometheus)] {
        for (labels, samples) in seen.iter_mut() {
            let before = samples.len();
            if !reports.contains(labels) {
                samples.retain(|(when, value)| !(value.is_stale() && is_in_question(when)));
            }
            *met.entry(BROKEN_PAGE).or_default() += if mine { 0 } else { before - samples.len() };
        }
        seen.retain(|_, samples| !samples.is_empty());
    }
    Ok(())
}

/// The marker that Prometheus sends late for a broken page moves the time that later samples of its series are held against: one
/// with an older time of its own is refused there, and sent by the agent. So series with times of their own, and
/// `scrape_series_added` beside them, are compared up to the first broken page.
fn times_after_broken_pages(narthex: &mut Seen, prometheus: &mut Seen, met: &mut Met) {
    let Some(broken) = broken_scrapes(narthex).first().copied() else { return };
    let gives_times = |(labels, samples): (&Labels, &Vec<(When, Value)>)| {
        let is_timed = samples.iter().any(|(when, _)| matches!(when, When::Exactly(_)));
        (is_timed && !is_of_exemplars(labels)).then(|| labels.clone())
    };
    let mut cut: BTreeSet<Labels> = narthex.iter().chain(prometheus.iter()).filter_map(gives_times).collect();
    if !cut.is_empty() {
        cut.extend(reports(narthex).into_iter().filter(|labels| name_of(labels) == "scrape_series_added"));
    }
    for (mine, seen) in [(true, &mut *narthex), (false, prometheus)] {
        for (_, samples) in seen.iter_mut().filter(|(labels, _)| cut.contains(*labels)) {
            let before = samples.len();
            samples.retain(|(when, _)| matches!(when, When::Scrape(scrape) if *scrape < broken));
            *met.entry(TIME_AFTER_BROKEN).or_default() += if mine { 0 } else { before - samples.len() };
        }
        seen.retain(|_, samples| !samples.is_empty());
    }
}

/// A page's own `up` never stands in for the report's: of what Prometheus sends for one time, the report comes last.
fn keep_last(samples: &mut Vec<Sample>, dropped: &mut BTreeMap<i64, usize>) -> usize {
    let before = samples.len();
    let followed: Vec<bool> = samples.windows(2).map(|two| two[0].at_ms == two[1].at_ms).chain([false]).collect();
    let mut followed = followed.into_iter();
    samples.retain(|sample| {
        let is_followed = followed.next().unwrap_or(false);
        *dropped.entry(sample.at_ms).or_default() += usize::from(is_followed);
        !is_followed
    });
    before - samples.len()
}

/// Scrapes of pages that had samples, and failed all the same.
fn broken_scrapes(seen: &Seen) -> BTreeSet<usize> {
    let report = |name: &str| report_values(seen, name).map(|(_, values)| values).unwrap_or_default();
    let scraped = report("scrape_samples_scraped");
    let failed = report("up").into_iter().filter(|(_, up)| *up == 0.0).map(|(scrape, _)| scrape);
    failed.filter(|scrape| scraped.get(scrape).is_some_and(|count| *count > 0.0)).collect()
}

/// Prometheus's agent holds the samples of a page against those of the pages before, not against one another: what one page
/// gives for one series (in two texts, or with times of its own) is sent as it stands, several samples for one time or back in
/// time among them, which no receiver takes. The agent sends those that go forward. Gives how many it leaves out at each time.
pub fn only_forward(prometheus: &mut Received, met: &mut Met) -> BTreeMap<i64, usize> {
    let mut dropped = BTreeMap::new();
    let reports = reports(prometheus);
    for (labels, samples) in prometheus.iter_mut() {
        if reports.contains(labels) {
            *met.entry(OWN_REPORT).or_default() += keep_last(samples, &mut dropped);
        }
        if is_of_exemplars(labels) {
            *met.entry(OLD_EXEMPLAR).or_default() += only_newer(samples);
            continue;
        }
        let mut newest_ms = i64::MIN;
        samples.retain(|sample| {
            let goes_forward = sample.at_ms > newest_ms;
            if goes_forward {
                newest_ms = newest_ms.max(sample.at_ms);
            } else {
                *dropped.entry(sample.at_ms).or_default() += 1;
                *met.entry(NOT_FORWARD).or_default() += 1;
            }
            goes_forward
        });
    }
    dropped
}

fn is_of_exemplars(labels: &Labels) -> bool {
    labels.last().is_some_and(|(name, _)| name == EXEMPLARS)
}

/// Prometheus's agent holds an exemplar against the last one of its series, and only to be another: those that a native histogram
/// shows on each page are sent with each, for the receiver to refuse. Takes out what is older or the same, and tells how many.
fn only_newer(exemplars: &mut Vec<Sample>) -> usize {
    let before = exemplars.len();
    let mut newest: Option<Sample> = None;
    exemplars.retain(|exemplar| {
        let is_old = newest.as_ref().is_some_and(|newest| exemplar.at_ms < newest.at_ms || exemplar == newest);
        if !is_old {
            newest = Some(exemplar.clone());
        }
        !is_old
    });
    before - exemplars.len()
}

/// Each sample that only Prometheus sends can be a series that only Prometheus counts as added. Of a broken page it sends none,
/// so there is no telling how many.
///
/// Where pages give times, a text whose sample was refused for its time is as new when it comes again in Prometheus; here that
/// holds for a series, whatever texts it has.
fn series_added(
    narthex: &Seen,
    prometheus: &mut Seen,
    (dropped, untold): &(BTreeMap<usize, usize>, usize),
    met: &mut Met,
) {
    let gives_times = narthex.values().flatten().any(|(when, _)| matches!(when, When::Exactly(_)));
    let broken = broken_scrapes(narthex);
    let Some((labels, mine)) = report_values(narthex, "scrape_series_added") else { return };
    for (when, value) in prometheus.get_mut(&labels).into_iter().flatten() {
        let (When::Scrape(scrape), Value::Float(bits)) = (when, value) else { continue };
        let more = f64::from_bits(*bits) - mine.get(scrape).copied().unwrap_or(0.0);
        let most = if broken.contains(scrape) { usize::MAX } else { *dropped.get(scrape).unwrap_or(&0) + untold };
        let refused = more - most as f64;
        if gives_times && refused > 0.0 && refused <= 2.0 {
            *met.entry(REFUSED_TEXT).or_default() += 1;
        } else if more <= 0.0 || refused > 0.0 {
            continue;
        }
        *bits = (f64::from_bits(*bits) - more).to_bits();
    }
}

/// Prometheus's encoding of Remote-Write leaves out a value that equals zero, and so the sign of -0. The agent sends it.
fn negative_zeros(narthex: &mut Seen, met: &mut Met) {
    for (_, value) in narthex.values_mut().flatten() {
        if *value == Value::Float((-0.0f64).to_bits()) {
            *value = Value::Float(0.0f64.to_bits());
            *met.entry(NEGATIVE_ZERO).or_default() += 1;
        }
    }
}

/// A report series, and its values by scrape.
fn report_values(seen: &Seen, name: &str) -> Option<(Labels, BTreeMap<usize, f64>)> {
    let labels = report(seen, name)?;
    let values = seen.get(&labels)?.iter().filter_map(|(when, value)| match (when, value) {
        (When::Scrape(scrape), Value::Float(bits)) => Some((*scrape, f64::from_bits(*bits))),
        _ => None,
    });
    let values = values.collect();
    Some((labels, values))
}

fn reports<T>(series: &BTreeMap<Labels, Vec<T>>) -> BTreeSet<Labels> {
    REPORT_NAMES.iter().filter_map(|name| report(series, name)).collect()
}

fn has(samples: &[(When, Value)], scrape: usize, stale: bool) -> bool {
    samples.iter().any(|(when, value)| *when == When::Scrape(scrape) && value.is_stale() == stale)
}
