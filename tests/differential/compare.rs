//! The two sets of series held against each other.
//!
//! A scrape's time differs between the agents, so a sample that has it is known by the scrape's number: the place of its
//! timestamp among those of the target's `up`. Any other timestamp came from the page and has to be the same.
//!
//! ```text
//!  narthex     up  10.2  11.2  12.2      a  11.2 = scrape 1     a  5.0 = exactly 5.0
//!  Prometheus  up  10.7  11.7  12.7      a  11.7 = scrape 1     a  5.0 = exactly 5.0     the same
//! ```

use crate::receiver::{Labels, Received, Sample, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// When a sample was taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// The page gave this time.
    Exactly(i64),
    Scrape(usize),
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Exactly(at_ms) => write!(f, "t={at_ms}"),
            When::Scrape(number) => write!(f, "scrape {number}"),
        }
    }
}

/// One target's series as one agent sent them.
pub type Seen = BTreeMap<Labels, Vec<(When, Value)>>;

/// Part of the story that is compared.
#[derive(Clone, Copy)]
pub struct Scope {
    /// Scrapes since the start signal that are compared; none of the later ones has a page.
    pub scrapes: usize,
    /// Prometheus sends nothing that is older than its start.
    pub since_ms: i64,
}

/// The times of a target's scrapes, and which of them count.
pub struct Scrapes {
    places: BTreeMap<i64, usize>,
    early: usize,
    scope: Scope,
}

impl Scrapes {
    /// `early` scrapes came before the start signal.
    pub fn of(received: &Received, early: usize, scope: Scope) -> Result<Scrapes, String> {
        let ups = up_times(received)?;
        if ups.len() < early + scope.scrapes {
            return Err(format!("has {} scrapes of {early} + {}", ups.len(), scope.scrapes));
        }
        Ok(Scrapes { places: ups.into_iter().zip(0..).collect(), early, scope })
    }

    /// What happened at some times, by the number of the scrape, and how often it happened at no scrape's time.
    pub fn number_counts(&self, counts: &BTreeMap<i64, usize>) -> (BTreeMap<usize, usize>, usize) {
        let numbered = counts.iter().filter_map(|(at_ms, count)| Some((self.places.get(at_ms)?, *count)));
        let numbered = numbered.filter_map(|(place, count)| Some((place.checked_sub(self.early)?, count)));
        let elsewhere = counts.iter().filter(|(at_ms, _)| !self.places.contains_key(at_ms)).map(|(_, count)| count);
        (numbered.collect(), elsewhere.sum())
    }

    /// Numbers each sample's scrape.
    pub fn number(&self, received: &Received) -> Seen {
        let mut seen = Seen::new();
        for (labels, samples) in received {
            let is_report = REPORT_NAMES.contains(&name_of(labels));
            let numbered: Vec<_> = samples.iter().filter_map(|sample| self.place(sample, is_report)).collect();
            if !numbered.is_empty() {
                seen.insert(labels.clone(), numbered);
            }
        }
        seen
    }

    fn place(&self, sample: &Sample, is_report: bool) -> Option<(When, Value)> {
        let compared = self.early..self.early + self.scope.scrapes;
        let when = match self.places.get(&sample.at_ms) {
            Some(place) if compared.contains(place) => When::Scrape(place - self.early),
            // Early scrapes have only reports, but a page may give their time by chance.
            Some(place) if is_report || *place >= compared.end => return None,
            _ if sample.at_ms < self.scope.since_ms => return None,
            _ => When::Exactly(sample.at_ms),
        };
        Some((when, without_time(&sample.value)))
    }
}

/// The first scrape that ran into its timeout though its answer was prompt: the machine had no time for the agent, and what
/// follows says nothing.
pub fn first_starved(seen: &Seen, timeout: Duration, is_slow: impl Fn(usize) -> bool) -> Option<usize> {
    let durations = report(seen, "scrape_duration_seconds").and_then(|labels| seen.get(&labels));
    let samples = durations.map(|samples| &samples[..]).unwrap_or_default();
    let most_of_it = timeout.as_secs_f64() * 0.8;
    let late = samples.iter().filter_map(|(when, value)| match (when, value) {
        (When::Scrape(scrape), Value::Float(bits)) if f64::from_bits(*bits) >= most_of_it => Some(*scrape),
        _ => None,
    });
    late.filter(|scrape| !is_slow(*scrape)).min()
}

/// Takes out what is from that scrape on. `None` if pages gave times, which don't tell by which scrape they came.
pub fn only_before(seen: &Seen, end: usize) -> Option<Seen> {
    let mut before = seen.clone();
    for samples in before.values_mut() {
        if samples.iter().any(|(when, _)| matches!(when, When::Exactly(_))) {
            return None;
        }
        samples.retain(|(when, _)| *when < When::Scrape(end));
    }
    before.retain(|_, samples| !samples.is_empty());
    Some(before)
}

/// Every series has to go forward in time.
pub fn check_order(received: &Received) -> Result<(), String> {
    for (labels, samples) in received {
        let is_exemplars = samples.iter().any(|sample| matches!(sample.value, Value::Exemplar(..)));
        if !is_exemplars && !samples.is_sorted_by(|a, b| a.at_ms < b.at_ms) {
            return Err(format!("{labels:?} was sent back in time: {samples:?}"));
        }
    }
    Ok(())
}

/// A histogram repeats its time inside.
fn without_time(value: &Value) -> Value {
    match value {
        Value::Histogram(histogram) => {
            let mut histogram = histogram.clone();
            histogram.at_ms = 0;
            Value::Histogram(histogram)
        }
        other => other.clone(),
    }
}

/// A series that the agent reports of the target's scrapes. Its `up` is the one with the most samples, and the others have
/// the same labels: whatever rules leave of a page's own `up`, it is not on every page.
pub fn report<T>(series: &BTreeMap<Labels, Vec<T>>, name: &str) -> Option<Labels> {
    let ups = series.iter().filter(|(labels, _)| name_of(labels) == "up");
    let (labels, _) = ups.max_by_key(|(_, samples)| samples.len())?;
    let mut labels = labels.clone();
    labels.iter_mut().filter(|(label, _)| label == "__name__").for_each(|(_, value)| *value = name.to_string());
    Some(labels)
}

/// How many scrapes there are.
pub fn scraped(seen: &Seen) -> usize {
    report(seen, "up").map_or(0, |up| seen[&up].len())
}

pub fn name_of(labels: &Labels) -> &str {
    labels.iter().find(|(name, _)| name == "__name__").map_or("", |(_, name)| name)
}

/// The times of a target's scrapes.
fn up_times(received: &Received) -> Result<Vec<i64>, String> {
    let up = report(received, "up").ok_or("has no up")?;
    let times: Vec<i64> = received[&up].iter().map(|sample| sample.at_ms).collect();
    match times.is_sorted_by(|a, b| a < b) {
        true => Ok(times),
        false => Err(format!("has timestamps of {up:?} out of order or twice")),
    }
}

/// What each scrape reports, `extra_scrape_metrics` among them.
pub const REPORT_NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

/// Where the two differ in one series.
#[derive(Clone, Debug)]
pub struct Difference {
    pub labels: Labels,
    /// The scrape where it begins, if it begins with a sample of a scrape.
    pub scrape: Option<usize>,
    pub narthex: Vec<(When, Value)>,
    pub prometheus: Vec<(When, Value)>,
}

/// What was compared, over all targets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub scrapes: usize,
    pub series: usize,
    pub samples: usize,
    pub histograms: usize,
    pub exemplars: usize,
    pub stale_markers: usize,
    pub own_times: usize,
}

/// Everything that differs between two targets' series.
pub fn differences(narthex: &Seen, prometheus: &Seen, tally: &mut Tally) -> Vec<Difference> {
    let mut found = Vec::new();
    for labels in narthex.keys().chain(prometheus.keys()).collect::<BTreeSet<_>>() {
        let of = |seen: &Seen| seen.get(labels).cloned().unwrap_or_default();
        let (narthex, prometheus) = (of(narthex), of(prometheus));
        let count = |is: fn(&Value) -> bool| prometheus.iter().filter(|(_, value)| is(value)).count();
        tally.series += 1;
        tally.samples += prometheus.len();
        tally.histograms += count(|value| matches!(value, Value::Histogram(_)));
        tally.exemplars += count(|value| matches!(value, Value::Exemplar(..)));
        tally.stale_markers += count(Value::is_stale);
        tally.own_times += prometheus.iter().filter(|(when, _)| matches!(when, When::Exactly(_))).count();
        if name_of(labels) == "scrape_duration_seconds" && are_same_durations(&narthex, &prometheus) {
            continue;
        }
        if narthex != prometheus {
            found.push(Difference {
                labels: labels.clone(),
                scrape: first(&narthex, &prometheus),
                narthex,
                prometheus,
            });
        }
    }
    found
}

/// A duration is compared for being there, or for the end of its series.
fn are_same_durations(narthex: &[(When, Value)], prometheus: &[(When, Value)]) -> bool {
    let shape =
        |samples: &[(When, Value)]| samples.iter().map(|(when, value)| (*when, value.is_stale())).collect::<Vec<_>>();
    shape(narthex) == shape(prometheus)
}

fn first(narthex: &[(When, Value)], prometheus: &[(When, Value)]) -> Option<usize> {
    let same = narthex.iter().zip(prometheus).take_while(|(one, other)| one == other).count();
    let scrapes = [narthex.get(same), prometheus.get(same)].into_iter().flatten().filter_map(|(when, _)| match when {
        When::Scrape(number) => Some(*number),
        When::Exactly(_) => None,
    });
    scrapes.min()
}
