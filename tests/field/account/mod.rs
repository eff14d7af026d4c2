//! The account of a lab: what exporters served, held against what a receiver has and what the agent counted. Pure: it is
//! given facts and answers with violations, so that forged losses show that it can fail (`account/tests.rs`).
//!
//! ```text
//!  whole pages ─► owed samples ─┬─ at the receiver, once, with the time of their page
//!                               ├─ missing, and counted by the agent with a cause
//!                               └─ missing, scraped inside the window before a kill that the documentation names
//! ```

mod arrived;
mod missing;
mod scraping;
#[cfg(test)]
mod tests;

pub use arrived::Arrived;
pub use missing::Missing;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Series of a target have lower numbers.
const SERIES_BASE: u64 = 1 << 20;

/// What a series is on a page: both their numbers, and a fraction of twenty bits that a ring can't compress away.
pub fn value(page_number: u64, series: u64) -> f64 {
    let whole = page_number * SERIES_BASE + series;
    let noise = whole.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44;
    whole as f64 + noise as f64 / (1u64 << 20) as f64
}

/// The page that a value is of; `None` for a staleness marker.
pub fn page_number(value: f64) -> Option<u64> {
    (!value.is_nan()).then_some(value as u64 / SERIES_BASE)
}

/// Series that the agent adds to each page.
pub const REPORT_SERIES: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// A page that an exporter wrote whole. Times are of the lab's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub target: usize,
    /// Counts all pages of the target, whole or not.
    pub number: u64,
    pub series: Range<u64>,
    pub begun_ms: i64,
    pub ended_ms: i64,
}

impl Page {
    /// Samples that the agent makes of the page.
    pub fn samples(&self) -> u64 {
        self.series.end - self.series.start + REPORT_SERIES.len() as u64
    }
}

/// Which series a sample is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Series {
    Lab { target: usize, series: u64 },
    Report { target: usize, name: String },
}

/// One sample that the receiver took.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    pub series: Series,
    pub timestamp_ms: i64,
    pub value: f64,
    /// When it was taken.
    pub at_ms: i64,
    /// Which of the agent's lives sent it, counted from 0.
    pub life: usize,
    /// When a whole answer that says so had been written, well before the agent's timeout. `None` if there was none.
    pub answered_ms: Option<i64>,
}

/// An end of the agent's process, and what the documentation allows to be lost and repeated because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    pub at_ms: i64,
    /// SIGKILL, or an end of its own.
    pub is_kill: bool,
    /// Pages scraped in this time before the end may be lost uncounted.
    pub loses_ms: i64,
    /// Samples taken in this time before the end may be sent again.
    pub repeats_ms: i64,
}

/// A stretch of the lab's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from_ms: i64,
    pub to_ms: i64,
}

impl Span {
    /// Milliseconds that both have.
    pub fn overlap_ms(&self, other: &Span) -> i64 {
        (self.to_ms.min(other.to_ms) - self.from_ms.max(other.from_ms)).max(0)
    }
}

/// The request of a target for a page, whatever became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub target: usize,
    pub at_ms: i64,
}

/// From a time of the lab on, how far the agent's wall clock is ahead of the lab's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    pub from_ms: i64,
    pub offset_ms: i64,
}

/// Everything that happened to one endpoint's samples.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub pages: Vec<Page>,
    pub asked: Vec<Asked>,
    pub arrivals: Vec<Arrival>,
    /// Samples that the agent counted as lost for this endpoint.
    pub counted: BTreeMap<String, u64>,
    /// The end of each life, in their order.
    pub deaths: Vec<Death>,
    /// When the agent's process was there and its targets known.
    pub runs: Vec<Span>,
    /// When it was stopped by a signal.
    pub stalls: Vec<Span>,
    /// When the agent may not have read an answer that was written: it was told to stop, and its time was up.
    pub deaf: Vec<Span>,
    pub offsets: Vec<Offset>,
    /// Wall time at the lab's time 0.
    pub wall_start_ms: i64,
    pub rules: Rules,
}

/// What is asked of this lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Rules {
    pub interval_ms: i64,
    pub timeout_ms: i64,
    /// Samples arrive in the order of their times, series by series.
    pub is_in_order: bool,
    /// Scrapes of one target in close succession; `None` if they are not looked at.
    pub doubles_max: Option<usize>,
    /// Causes that the plan gives for a loss; any other is one too many.
    pub causes: &'static [&'static str],
    /// Samples that may be counted as lost beside those that are missing: staleness markers, samples of failed scrapes.
    pub markers_max: u64,
}

impl Facts {
    /// The agent's wall clock at this time of the lab.
    fn wall_ms(&self, at_ms: i64) -> i64 {
        let offset = self.offsets.iter().rev().find(|offset| offset.from_ms <= at_ms);
        self.wall_start_ms + at_ms + offset.map_or(0, |offset| offset.offset_ms)
    }

    fn stalled_ms(&self, span: Span) -> i64 {
        self.stalls.iter().map(|stall| stall.overlap_ms(&span)).sum()
    }

    pub fn counted_total(&self) -> u64 {
        self.counted.values().sum()
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub promise: &'static str,
    pub count: u64,
    /// The first sample that shows it.
    pub first: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} times, first {}", self.promise, self.count, self.first)
    }
}

/// Gathers breaches of one promise.
struct Breaches {
    promise: &'static str,
    count: u64,
    first: Option<String>,
}

impl Breaches {
    fn of(promise: &'static str) -> Breaches {
        Breaches { promise, count: 0, first: None }
    }

    fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(what);
    }

    fn violation(self) -> Option<Violation> {
        self.first.map(|first| Violation { promise: self.promise, count: self.count, first })
    }
}

/// What the account comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub pages: u64,
    pub samples_owed: u64,
    pub samples_arrived: u64,
    pub samples_missing: u64,
    /// Missing, and scraped inside the window before a kill.
    pub samples_in_windows: u64,
    pub samples_counted: u64,
    pub repeats: u64,
    pub violations: Vec<Violation>,
}

pub fn account(facts: &Facts) -> Account {
    let arrived = Arrived::of(facts);
    let missing = Missing::of(facts, &arrived);
    let mut violations = arrived.violations(facts);
    violations.extend(missing.violations(facts));
    violations.extend(scraping::violations(facts));
    Account {
        pages: facts.pages.len() as u64,
        samples_owed: missing.owed,
        samples_arrived: arrived.samples(),
        samples_missing: missing.outside,
        samples_in_windows: missing.inside,
        samples_counted: facts.counted_total(),
        repeats: arrived.repeats(),
        violations,
    }
}
