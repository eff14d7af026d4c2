//! The differences that are meant: each by its name in `docs/differences.md`, taken out of what is compared, and counted.
//!
//! Each is as narrow as what is received allows: what it takes out of the agent's series is first held to what the agent
//! promises in its place.

use crate::compare::{Seen, When, name_of};
use crate::receiver::{Labels, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How often each was met.
pub type Met = BTreeMap<&'static str, usize>;

pub const BROKEN_PAGE: &str = "broken page";
pub const ONE_SERIES_TWICE: &str = "one series twice";

/// Takes the meant differences out of both. An error is a promise that the agent broke.
pub fn forgive(narthex: &mut Seen, prometheus: &mut Seen, met: &mut Met) -> Result<(), String> {
    one_series_twice(narthex, prometheus, met);
    broken_pages(narthex, prometheus, met)
}

/// A page breaks in the middle: the agent ends all series at once. Prometheus leaves those that stand before the break for
/// the next scrape, and ends then, or when it is back, series that never were.
fn broken_pages(narthex: &mut Seen, prometheus: &mut Seen, met: &mut Met) -> Result<(), String> {
    let report = |seen: &Seen, name: &str| report(seen, name).map(|(_, values)| values).unwrap_or_default();
    let scraped = report(narthex, "scrape_samples_scraped");
    let failed = report(narthex, "up").into_iter().filter(|(_, up)| *up == 0.0).map(|(scrape, _)| scrape);
    let broken: BTreeSet<usize> =
        failed.filter(|scrape| scraped.get(scrape).is_some_and(|count| *count > 0.0)).collect();
    for (labels, samples) in narthex.iter() {
        for scrape in &broken {
            let had_value = *scrape > 0 && has(samples, scrape - 1, false);
            if !is_report(labels) && had_value && !has(samples, *scrape, true) {
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
            if !is_report(labels) {
                samples.retain(|(when, value)| !(value.is_stale() && is_in_question(when)));
            }
            *met.entry(BROKEN_PAGE).or_default() += if mine { 0 } else { before - samples.len() };
        }
        seen.retain(|_, samples| !samples.is_empty());
    }
    Ok(())
}

/// Two texts that mean one series are two series to Prometheus, and it sends two samples for one time. The agent takes the
/// first and counts the other as a duplicate.
fn one_series_twice(narthex: &Seen, prometheus: &mut Seen, met: &mut Met) {
    let mut dropped: BTreeMap<usize, usize> = BTreeMap::new();
    for samples in prometheus.values_mut() {
        let mut known = BTreeSet::new();
        samples.retain(|(when, value)| match when {
            When::Scrape(scrape) if !matches!(value, Value::Exemplar(..)) && !known.insert(*scrape) => {
                *dropped.entry(*scrape).or_default() += 1;
                false
            }
            _ => true,
        });
    }
    *met.entry(ONE_SERIES_TWICE).or_default() += dropped.values().sum::<usize>();
    let Some((labels, mine)) = report(narthex, "scrape_series_added") else { return };
    let Some(samples) = prometheus.get_mut(&labels) else { return };
    for (when, value) in samples {
        let (When::Scrape(scrape), Value::Float(bits)) = (when, value) else { continue };
        let more = f64::from_bits(*bits) - mine.get(scrape).copied().unwrap_or(0.0);
        if more > 0.0 && more <= *dropped.get(scrape).unwrap_or(&0) as f64 {
            *bits = (f64::from_bits(*bits) - more).to_bits();
        }
    }
}

/// The target's own series of that name: it has fewer labels than any that a page may bring.
fn report(seen: &Seen, name: &str) -> Option<(Labels, BTreeMap<usize, f64>)> {
    let all = seen.iter().filter(|(labels, _)| name_of(labels) == name);
    let (labels, samples) = all.min_by_key(|(labels, _)| labels.len())?;
    let values = samples.iter().filter_map(|(when, value)| match (when, value) {
        (When::Scrape(scrape), Value::Float(bits)) => Some((*scrape, f64::from_bits(*bits))),
        _ => None,
    });
    Some((labels.clone(), values.collect()))
}

fn is_report(labels: &Labels) -> bool {
    let name = name_of(labels);
    name == "up" || name.starts_with("scrape_")
}

fn has(samples: &[(When, Value)], scrape: usize, stale: bool) -> bool {
    samples.iter().any(|(when, value)| *when == When::Scrape(scrape) && value.is_stale() == stale)
}
