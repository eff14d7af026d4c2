//! Pages past `limits.max_series`: which series count, and which are refused.

use super::cycle_tests::{Scrapes, report, samples};
use crate::model::{PageOptions, SeriesTable};
use crate::relabel::SampleRules;

#[test]
fn past_max_series_a_page_is_taken_without_its_new_series() {
    let mut scrapes = Scrapes::with(PageOptions::default(), SampleRules::default(), SeriesTable::with_series_max(2));
    assert_eq!(scrapes.page("a 1\nb 1\n"), (vec!["a 1".into(), "b 1".into()], [1.0, 0.5, 2.0, 2.0, 2.0]));
    let result = scrapes.complete(Some("c 1\na 2\nb 2\nd 1\n"));
    assert_eq!((result.error, result.past_max_series), (None, 2));
    assert_eq!(samples(&result.batch), ["a 2", "b 2"], "the series that were there go on");
    assert_eq!(report(&result.batch), [1.0, 0.5, 4.0, 4.0, 0.0], "scraped, and not added");
    assert_eq!(scrapes.counters.samples_past_max_series.get(), 2);
    assert_eq!(scrapes.page("a 3\n").0, ["a 3", "b stale"]);
    assert_eq!(scrapes.page("a 4\nc 4\n").0, ["a 4", "c 4"], "in the place of b");
}

/// Once, series that only a codec's dictionary or an unsent batch held counted too: after an outage in which ten of 512 series
/// were new on each page, every scrape failed until the process was started again.
#[test]
fn only_series_of_the_last_pages_count_for_max_series() {
    let mut scrapes = Scrapes::with(PageOptions::default(), SampleRules::default(), SeriesTable::with_series_max(4));
    let mut unsent = Vec::new();
    for round in 0..100 {
        unsent.push(scrapes.good(&format!("a 1\nb 1\nnew_{round} 1\n")));
    }
    assert_eq!(scrapes.counters.samples_past_max_series.get(), 0);
}

/// A page that fails is remembered for a while, and so is what it brought in.
#[test]
fn series_of_a_failed_page_count_for_max_series_while_they_are_remembered() {
    let mut scrapes = Scrapes::with(PageOptions::default(), SampleRules::default(), SeriesTable::with_series_max(3));
    scrapes.good("a 1\nb 1\n");
    assert!(scrapes.complete(Some("a 1\nb 1\nc 1\n<broken")).error.is_some());
    let result = scrapes.complete(Some("a 1\nb 1\nd 1\nc 1\n"));
    assert_eq!((samples(&result.batch), result.past_max_series), (vec!["a 1".into(), "b 1".into(), "c 1".into()], 1));
}
