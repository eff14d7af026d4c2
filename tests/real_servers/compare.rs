//! Holds a receiver to the pages that were served: each sample is there once, at its page's one timestamp, and no other.

use crate::bench::Uplink;
use crate::pages::{Exporter, PAGE_NUMBER, Page, Served};
use crate::receiver::Product;
use crate::series::{Held, Point, Series, Stored};
use crate::staleness;
use crate::story::Story;
use std::collections::{BTreeMap, BTreeSet};

/// A scrape's timestamp against the moment when the exporter had read its request.
const EARLIER_MS_MAX: i64 = 1500;
const LATER_MS_MAX: i64 = 50;
/// Scrapes that may fail for the machine's slowness. `up` must say so.
const FAILED_SCRAPES_MAX: usize = 3;
/// What the agent adds to each scrape.
const REPORT_SERIES: [&str; 5] = [
    "up",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_duration_seconds",
    "scrape_series_added",
];
const COMPLAINTS_SHOWN: usize = 20;

/// How often a receiver may get the same sample.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    ExactlyOnce,
    /// An answer was lost on its way, so the agent had to send again.
    AtLeastOnce,
}

/// What is wrong, each a line.
pub struct Complaints(pub Vec<String>);

impl Complaints {
    /// Nothing, or a paragraph that begins with `about`.
    pub fn report(self, about: &str) -> Option<String> {
        let shown = self.0.iter().take(COMPLAINTS_SHOWN).cloned().collect::<Vec<_>>().join("\n  ");
        (!self.0.is_empty()).then(|| format!("{about}: {} things are wrong\n  {shown}", self.0.len()))
    }
}

/// One exporter's pages as one receiver should have them.
pub struct Expectation<'a> {
    pub story: &'a Story,
    pub served: &'a Served,
    /// Pages that the receiver has, by their timestamps.
    pub pages: BTreeMap<i64, &'a Page>,
    /// Timestamps of scrapes that failed.
    pub failed: BTreeSet<i64>,
}

/// Compares all that `uplink`'s receiver has of this exporter's job. Gives what it has, and what is wrong with it.
pub fn check(uplink: &Uplink, exporter: &Exporter, story: &Story, delivery: Delivery) -> (Stored, Complaints) {
    let product = uplink.receiver.product;
    let mut stored = uplink.receiver.read(&format!("{{__name__=~\".+\",job=\"{}\"}}", exporter.job));
    let points: usize = stored.values().map(Vec::len).sum();
    println!("{product:?} has {points} points in {} series of job {}", stored.len(), exporter.job);
    let complaints = compare(product, &mut stored, &exporter.served(), story, delivery);
    (stored, complaints)
}

/// Takes points that came twice out of `stored`.
pub fn compare(
    product: Product,
    stored: &mut Stored,
    served: &Served,
    story: &Story,
    delivery: Delivery,
) -> Complaints {
    let mut complaints = Complaints(Vec::new());
    keep_single_points(stored, delivery, &mut complaints);
    let expectation = Expectation::new(stored, served, story, &mut complaints);
    expectation.check_values(stored, product, &mut complaints);
    if product == Product::VictoriaMetrics {
        staleness::check_markers(&expectation, stored, &mut complaints);
    }
    complaints
}

/// No timestamp twice; where the sample may come twice, both must be the same, and one goes on.
fn keep_single_points(stored: &mut Stored, delivery: Delivery, complaints: &mut Complaints) {
    for (series, points) in stored {
        points.dedup_by(|second, first| {
            if first.at_ms != second.at_ms {
                return false;
            }
            if delivery == Delivery::ExactlyOnce || first.held != second.held {
                complaints.0.push(format!("{series} at {}: both {:?} and {:?}", first.at_ms, first.held, second.held));
            }
            true
        });
    }
}

impl<'a> Expectation<'a> {
    fn new(stored: &Stored, served: &'a Served, story: &'a Story, complaints: &mut Complaints) -> Self {
        let none = Vec::new();
        let points = |name| stored.get(&served.series(name)).unwrap_or(&none);
        let mut at_of = BTreeMap::new();
        for point in points(PAGE_NUMBER) {
            if let Held::Value(number) = point.held
                && let Some(first_ms) = at_of.insert(number as u64, point.at_ms)
            {
                complaints.0.push(format!("page {number} is at {} and at {first_ms} too", point.at_ms));
            }
        }
        let failed: BTreeSet<_> =
            points("up").iter().filter(|point| point.held == Held::Value(0.0)).map(|point| point.at_ms).collect();
        if failed.len() > FAILED_SCRAPES_MAX {
            complaints.0.push(format!("up is 0 for {} scrapes, at {failed:?}", failed.len()));
        }
        let mut pages = BTreeMap::new();
        for page in &served.pages {
            match at_of.remove(&page.number) {
                Some(at_ms) => {
                    check_time(page, at_ms, complaints);
                    pages.insert(at_ms, page);
                }
                None if !story.must_arrive(page) || failed.iter().any(|at_ms| is_near(page, *at_ms)) => {}
                None => complaints.0.push(format!(
                    "page {} is missing altogether: asked for at {}, served at {:?}",
                    page.number, page.asked_ms, page.served_ms
                )),
            }
        }
        complaints.0.extend(at_of.iter().map(|(number, at_ms)| format!("page {number} at {at_ms} was never served")));
        Expectation { story, served, pages, failed }
    }

    fn check_values(&self, stored: &Stored, product: Product, complaints: &mut Complaints) {
        let reports = REPORT_SERIES.map(|name| self.served.series(name));
        let names: BTreeSet<&Series> = self.pages.values().flat_map(|page| page.samples.keys()).collect();
        for series in names.iter().copied().chain(&reports) {
            let points = stored.get(series).map_or(&[][..], Vec::as_slice);
            self.check_series(series, points, product, complaints);
        }
        for series in stored.keys().filter(|series| !names.contains(series) && !reports.contains(series)) {
            complaints.0.push(format!("{series} was on no page"));
        }
    }

    fn check_series(&self, series: &Series, points: &[Point], product: Product, complaints: &mut Complaints) {
        let mut held: BTreeMap<i64, f64> = points.iter().filter_map(value_at).collect();
        for (at_ms, page) in &self.pages {
            match (expected(series, page, product), held.remove(at_ms)) {
                (Expected::Nothing, None) | (Expected::Any, Some(_)) => {}
                (Expected::Value(sent), Some(value)) if product.is_same(sent, value) => {}
                (Expected::Value(_) | Expected::Any, None) if !self.story.must_arrive(page) => {}
                (expected, found) => complaints.0.push(format!(
                    "{series} at {at_ms} (page {}): expected {expected:?}, found {found:?}",
                    page.number
                )),
            }
        }
        let is_report = REPORT_SERIES.contains(&series.name());
        held.retain(|at_ms, _| !(is_report && self.may_have_failed(*at_ms)));
        complaints.0.extend(held.iter().map(|(at_ms, value)| format!("{series} at {at_ms}: {value} is of no page")));
    }

    /// Whether a scrape at that time may have had no page: it failed, or SIGKILL lost the page but not its report.
    fn may_have_failed(&self, at_ms: i64) -> bool {
        self.failed.contains(&at_ms)
            || self.served.pages.iter().any(|page| is_near(page, at_ms) && !self.story.must_arrive(page))
    }
}

#[derive(Debug)]
enum Expected {
    Nothing,
    Value(f64),
    Any,
}

/// What there should be of `series` at the page's timestamp.
fn expected(series: &Series, page: &Page, product: Product) -> Expected {
    match (page.samples.get(series), series.name()) {
        (Some(value), _) if value.is_nan() && !product.keeps_nan() => Expected::Nothing,
        (Some(value), _) => Expected::Value(*value),
        (None, "up") => Expected::Value(1.0),
        (None, "scrape_samples_scraped" | "scrape_samples_post_metric_relabeling") => {
            Expected::Value(page.samples.len() as f64)
        }
        (None, name) if REPORT_SERIES.contains(&name) => Expected::Any,
        (None, _) => Expected::Nothing,
    }
}

fn value_at(point: &Point) -> Option<(i64, f64)> {
    match point.held {
        Held::Value(value) => Some((point.at_ms, value)),
        Held::StaleMarker => None,
    }
}

fn is_near(page: &Page, at_ms: i64) -> bool {
    (page.asked_ms - EARLIER_MS_MAX..=page.asked_ms + LATER_MS_MAX).contains(&at_ms)
}

fn check_time(page: &Page, at_ms: i64, complaints: &mut Complaints) {
    if !is_near(page, at_ms) {
        complaints.0.push(format!("page {} has timestamp {at_ms} but was asked for at {}", page.number, page.asked_ms));
    }
}

/// Both receivers must have the same, but for what VictoriaMetrics can't keep and Prometheus does not show.
pub fn check_same(prometheus: &Stored, victoria: &Stored) -> Complaints {
    let mut complaints = Complaints(Vec::new());
    let none = Vec::new();
    for series in prometheus.keys().chain(victoria.keys()).collect::<BTreeSet<_>>() {
        let values = |stored: &Stored| -> BTreeMap<i64, f64> {
            let points = stored.get(series).unwrap_or(&none);
            points.iter().filter_map(value_at).filter(|(_, value)| !value.is_nan()).collect()
        };
        let (first, second) = (values(prometheus), values(victoria));
        for at_ms in first.keys().chain(second.keys()).collect::<BTreeSet<_>>() {
            match (first.get(at_ms), second.get(at_ms)) {
                (Some(one), Some(other)) if Product::VictoriaMetrics.is_same(*one, *other) => {}
                (one, other) => {
                    complaints.0.push(format!("{series} at {at_ms}: Prometheus has {one:?}, VictoriaMetrics {other:?}"))
                }
            }
        }
    }
    complaints
}
