//! The comparison itself put to the test: what a faithful agent leaves passes, and each unfaithfulness is seen.

use crate::compare::{Delivery, compare};
use crate::pages::{COMES_AND_GOES, PAGE_NUMBER, Page, Served, odd_page};
use crate::receiver::Product;
use crate::series::{Held, Point, Series, Stored};
use crate::story::Story;

const KILLED_MS: i64 = 20_900;
const STORY: Story = Story { commit_interval_ms: 2000, killed_ms: Some(KILLED_MS), stopped_ms: 40_900 };

/// One page each second from second 1 to second 40; each scrape's timestamp is 5 ms before its page.
fn served() -> Served {
    let added_labels = vec![("job".to_string(), "odd".to_string()), ("instance".to_string(), "a:1".to_string())];
    let page = |number: u64| {
        let body = format!("{}{PAGE_NUMBER} {number}\n", odd_page(number).unwrap());
        let samples = crate::exposition::parse(&body).into_iter().map(|(s, value)| (s.with(&added_labels), value));
        let asked_ms = number as i64 * 1000;
        Page { number, asked_ms, served_ms: Some(asked_ms + 10), samples: samples.collect() }
    };
    Served { pages: (1..=40).map(page).collect(), added_labels }
}

/// What VictoriaMetrics has if nothing went wrong, with the pages lost that a SIGKILL may lose.
fn faithful(served: &Served) -> Stored {
    let mut stored = Stored::new();
    let mut push = |series: &Series, at_ms, held| stored.entry(series.clone()).or_default().push(Point { at_ms, held });
    let mut before: Option<&Page> = None;
    for page in &served.pages {
        let at_ms = page.asked_ms - 5;
        if (KILLED_MS - 3000..KILLED_MS).contains(&at_ms) {
            before = None;
            continue;
        }
        let gone = before.iter().flat_map(|page| page.samples.keys()).filter(|s| !page.samples.contains_key(s));
        gone.for_each(|series| push(series, at_ms, Held::StaleMarker));
        for (series, value) in page.samples.iter().filter(|(_, value)| !value.is_nan()) {
            push(series, at_ms, Held::Value(*value));
        }
        reports(served, page).for_each(|(series, value)| push(&series, at_ms, Held::Value(value)));
        before = Some(page);
    }
    let last = served.pages.last().unwrap();
    let ended = last.samples.keys().cloned().chain(reports(served, last).map(|(series, _)| series));
    ended.for_each(|series| push(&series, last.asked_ms + 800, Held::StaleMarker));
    stored
}

fn reports(served: &Served, page: &Page) -> impl Iterator<Item = (Series, f64)> {
    let count = page.samples.len() as f64;
    let values = [
        ("up", 1.0),
        ("scrape_samples_scraped", count),
        ("scrape_samples_post_metric_relabeling", count),
        ("scrape_duration_seconds", 0.01),
        ("scrape_series_added", 0.0),
    ];
    values.into_iter().map(|(name, value)| (served.series(name), value))
}

#[test]
fn a_faithful_agent_passes() {
    let served = served();
    let mut stored = faithful(&served);
    let complaints = compare(Product::VictoriaMetrics, &mut stored, &served, &STORY, Delivery::ExactlyOnce).0;
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn what_was_sent_twice_passes_only_where_it_may() {
    let served = served();
    for (delivery, complaint_count) in [(Delivery::ExactlyOnce, 1), (Delivery::AtLeastOnce, 0)] {
        let mut stored = faithful(&served);
        let points = stored.get_mut(&served.series("up")).unwrap();
        points.insert(3, points[3]);
        let complaints = compare(Product::VictoriaMetrics, &mut stored, &served, &STORY, delivery).0;
        assert_eq!(complaints.len(), complaint_count, "{complaints:?}");
    }
}

type Tampering = fn(&mut Vec<Point>);

#[test]
fn each_unfaithfulness_is_seen() {
    const NEXT_BIT: Tampering = |points| match &mut points[5].held {
        Held::Value(value) => *value = f64::from_bits(value.to_bits() + (1 << 10)),
        Held::StaleMarker => unreachable!("point 5 is a value"),
    };
    let cases: [(&str, Tampering, &str); 12] = [
        (
            "scrape_duration_seconds",
            |points| {
                points.remove(5);
            },
            "expected Any, found None",
        ),
        ("up", |points| points[5].held = Held::Value(0.0), "expected Value(1.0), found Some(0.0)"),
        ("up", |points| points.truncate(points.len() - 1), "no stale marker, though it ended after the stop"),
        (
            PAGE_NUMBER,
            |points| {
                points.remove(5);
            },
            "page 6 is missing altogether",
        ),
        (PAGE_NUMBER, |points| points[5].held = Held::Value(5.0), "page 5 is at 5995 and at 4995 too"),
        (PAGE_NUMBER, |points| points[5].held = Held::Value(77.0), "page 77 at 5995 was never served"),
        (PAGE_NUMBER, |points| points[5].at_ms -= 2000, "page 6 has timestamp 3995 but was asked for at 6000"),
        ("scrape_series_added", |points| points[5].at_ms += 1, "at 5996: 0 is of no page"),
        ("scrape_samples_scraped", NEXT_BIT, "at 5995 (page 6): expected Value("),
        ("scrape_samples_scraped", |points| points[5].held = Held::StaleMarker, "at 5995 (page 6): expected Value("),
        (
            COMES_AND_GOES,
            |points| {
                points.remove(3);
            },
            "no stale marker, though it ended with page 4",
        ),
        (COMES_AND_GOES, |points| points[1].held = Held::StaleMarker, "a stale marker though it did not end there"),
    ];
    let served = served();
    for (name, tamper, expected) in cases {
        let mut stored = faithful(&served);
        tamper(stored.get_mut(&served.series(name)).unwrap());
        let complaints = compare(Product::VictoriaMetrics, &mut stored, &served, &STORY, Delivery::ExactlyOnce).0;
        assert!(complaints.iter().any(|complaint| complaint.contains(expected)), "{expected}: {complaints:?}");
    }
}

#[test]
fn a_sigkill_excuses_its_last_seconds_and_no_more() {
    let served = served();
    for (second, is_excused) in [(16, false), (17, false), (18, true), (20, true), (21, false)] {
        let mut stored = faithful(&served);
        stored.values_mut().for_each(|points| points.retain(|point| point.at_ms != second * 1000 - 5));
        let complaints = compare(Product::VictoriaMetrics, &mut stored, &served, &STORY, Delivery::ExactlyOnce).0;
        let missing = format!("page {second} is missing altogether");
        assert_eq!(!complaints.iter().any(|c| c.starts_with(&missing)), is_excused, "{second}: {complaints:?}");
    }
}

#[test]
fn a_series_of_no_page_is_seen() {
    let served = served();
    let mut stored = faithful(&served);
    stored.insert(served.series("invented"), vec![Point { at_ms: 4995, held: Held::Value(1.0) }]);
    let complaints = compare(Product::Prometheus, &mut stored, &served, &STORY, Delivery::ExactlyOnce).0;
    let expected = format!("{} was on no page", served.series("invented"));
    assert!(complaints.contains(&expected), "{complaints:?}");
}
