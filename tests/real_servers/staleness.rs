//! Where a series ended: a marker there, and nowhere else.

use crate::bench::Uplink;
use crate::compare::{Complaints, Expectation};
use crate::pages::{COMES_AND_GOES, PAGE_NUMBER, Page, Served};
use crate::series::{Held, Series, Stored};
use crate::story::Story;
use std::collections::BTreeSet;
use std::iter;

/// VictoriaMetrics shows markers. A series that was on one page and is not on the next has one at the next one's
/// timestamp; all that were on the last page have one after it. No other is right, save that a failed scrape ends all.
pub fn check_markers(expectation: &Expectation, stored: &Stored, complaints: &mut Complaints) {
    let last_ms = expectation.pages.keys().next_back().copied().unwrap_or(i64::MAX);
    let none = Vec::new();
    let names: BTreeSet<&Series> = expectation.pages.values().flat_map(|page| page.samples.keys()).collect();
    let up = expectation.served.series("up");
    for series in names.into_iter().chain(iter::once(&up)) {
        let points = stored.get(series).unwrap_or(&none).iter();
        let found: BTreeSet<_> = points.filter(|p| p.held == Held::StaleMarker).map(|point| point.at_ms).collect();
        let is_on = |page: &Page| page.samples.contains_key(series) || series == &up;
        for at_ms in found.iter().filter(|at_ms| **at_ms <= last_ms && !expectation.failed.contains(at_ms)) {
            if expectation.pages.get(at_ms).is_none_or(|page| is_on(page)) {
                complaints.0.push(format!("{series} at {at_ms}: a stale marker though it did not end there"));
            }
        }
        for end in ends(expectation).filter(|end| is_on(end.before)) {
            let is_marked = match end.after {
                Some(page) => is_on(page) || found.contains(&end.at_ms),
                None => found.range(end.at_ms + 1..).next().is_some(),
            };
            if !is_marked {
                let place = end.after.map_or("after the stop".into(), |page| format!("with page {}", page.number));
                complaints.0.push(format!("{series} at {}: no stale marker, though it ended {place}", end.at_ms));
            }
        }
    }
}

/// Where series may end.
struct End<'a> {
    before: &'a Page,
    /// The next page; `None`: `before` was the last.
    after: Option<&'a Page>,
    /// Timestamp of `after`, else of `before`.
    at_ms: i64,
}

/// Between any two pages that the agent got one after the other, and after the last.
fn ends<'a>(expectation: &'a Expectation) -> impl Iterator<Item = End<'a>> {
    let story = expectation.story;
    let pages: Vec<_> = expectation.pages.iter().map(|(at_ms, page)| (*at_ms, *page)).collect();
    (0..pages.len()).filter_map(move |index| {
        let (at_ms, before) = pages[index];
        let Some((next_ms, after)) = pages.get(index + 1).copied() else {
            return Some(End { before, after: None, at_ms });
        };
        let is_next = after.number == before.number + 1 && story.run(after.asked_ms) == story.run(before.asked_ms);
        let is_sure = story.must_arrive(before) && story.must_arrive(after);
        (is_next && is_sure).then_some(End { before, after: Some(after), at_ms: next_ms })
    })
}

/// Prometheus acts on markers: a series that left the page is gone at that page's timestamp, not five minutes later.
///
/// One that left while the agent was dead has no marker, as with Prometheus's own restarts: if the kill falls between the
/// last page with the series and the first without, the receiver goes on giving it until the agent has seen it again.
pub fn check_gaps(prometheus: &Uplink, odd: &Served, stored: &Stored, story: &Story) -> Complaints {
    let mut complaints = Complaints(Vec::new());
    let Some(number) = stored.get(&odd.series(PAGE_NUMBER)) else { return complaints };
    let is_on = |page: &Page| page.samples.keys().any(|series| series.name() == COMES_AND_GOES);
    let mut gaps = 0;
    for pair in odd.pages.windows(2).filter(|pair| pair.iter().all(|page| story.must_arrive(page))) {
        let at = number.iter().find(|point| point.held == Held::Value(pair[1].number as f64));
        let run = story.run(pair[1].asked_ms);
        let (Some(at), true) = (at, story.run(pair[0].asked_ms) == run) else { continue };
        let mut pages_of_run = odd.pages.iter().filter(|page| story.run(page.asked_ms) == run);
        let first_seen = pages_of_run.find(|page| is_on(page)).map_or(u64::MAX, |page| page.number);
        let is_on = is_on(&pair[1]);
        if first_seen > pair[1].number {
            continue;
        }
        let count = prometheus.receiver.count_at(COMES_AND_GOES, at.at_ms);
        gaps += usize::from(!is_on);
        if count != usize::from(is_on) {
            complaints.0.push(format!("{COMES_AND_GOES} at {} (page {}): {count} series", at.at_ms, pair[1].number));
        }
    }
    assert!(gaps > 0, "no page without {COMES_AND_GOES}: the test ran too short");
    complaints
}
