//! Pages that say one series in several texts: `a` and `a{}`, with times of their own and without. Prometheus knows a duplicate by
//! its text, and holds what one page says of a series against earlier pages alone; `docs/differences.md` has what is left of the
//! difference. All of these were found, or are now compared, by the differential test.

use super::PageError;
use super::cycle_tests::{Scrapes, report, samples};
use crate::model::{PageOptions, SeriesTable};
use crate::relabel::SampleRules;

/// The samples of a batch after the first, and the time of the first of them.
type Further = (Vec<String>, i64);

/// What one page yields: its batch, each further one, and how many series it adds.
fn all(scrapes: &mut Scrapes, page: &str) -> (Vec<String>, Vec<Further>, f64) {
    let result = scrapes.complete(Some(page));
    assert_eq!(result.error, None, "{page:?}");
    let more = result.more.iter().map(|batch| (samples(batch), batch.timestamp_ms_at(0))).collect();
    (samples(&result.batch), more, report(&result.batch)[4])
}

/// Both were passed over: the sample limit counted series where Prometheus counts texts, so a page that Prometheus refuses was
/// taken.
#[test]
fn each_text_of_a_series_counts_towards_the_sample_limit() {
    for (page, are_taken) in [
        ("a 1\na 2\nb 1\n", [true, true]),
        ("a 1\na{} 2\n", [true, true]),
        ("a 1\na{} 2\nb 1\n", [false, false]),
        ("a 1\na{} 2\na 3\na{} 4\n", [true, true]),
        // The first was refused and is new, so that the second is tried; then the text is known.
        ("a 1 900000\na 2\nb 1\n", [false, true]),
    ] {
        let options = PageOptions { sample_limit: 2, ..PageOptions::default() };
        let mut scrapes = Scrapes::with(options, SampleRules::default(), SeriesTable::new());
        // A page that is the last one again is counted in another way.
        for is_taken in are_taken {
            let result = scrapes.complete(Some(page));
            let expected = (!is_taken).then_some(PageError::SampleLimit(2));
            assert_eq!(result.error, expected, "{page:?}");
        }
    }
}

/// Past the limit Prometheus's storage is not asked, and it is the storage that refuses a label that comes twice.
#[test]
fn a_label_that_comes_twice_is_no_matter_past_the_sample_limit() {
    let options = PageOptions { sample_limit: 1, ..PageOptions::default() };
    let mut scrapes = Scrapes::with(options, SampleRules::default(), SeriesTable::new());
    for page in ["a 1\nb{c=\"1\",c=\"2\"} 1\nd 1\n", "a 1\nd 1\nb{c=\"1\",c=\"2\"} 1\n"] {
        let result = scrapes.complete(Some(page));
        assert_eq!(
            (report(&result.batch)[2..4].to_vec(), result.error),
            (vec![3.0, 3.0], Some(PageError::SampleLimit(1)))
        );
    }
    let result = scrapes.complete(Some("b{c=\"1\",c=\"2\"} 1\nd 1\n"));
    assert!(matches!(result.error, Some(PageError::Labels { .. })), "{result:?}");
}

/// A sample without a time was dropped as a duplicate when any sample of its series came before it on the page.
#[test]
fn a_sample_without_a_time_follows_one_with_a_time_in_another_text() {
    let mut scrapes = Scrapes::new();
    let (first, more, added) = all(&mut scrapes, "a 1 50000\na{} 2\nb 1\n");
    assert_eq!((first, more), (vec!["a 1 @50000".into(), "b 1".into()], vec![(vec!["a 2".into()], 100_000)]));
    assert_eq!(added, 3.0, "Prometheus counts texts");
    // Behind what the last page gave, so both count; then only the one without.
    let (first, more, added) = all(&mut scrapes, "a 1 101000\na{} 2\nb 1\n");
    assert_eq!((first, more), (vec!["a 1 @101000".into(), "b 1".into()], vec![(vec!["a 2".into()], 115_000)]));
    assert_eq!(added, 0.0);
    let (first, more, _) = all(&mut scrapes, "a 1 101000\na{} 2\nb 1\n");
    assert_eq!((first, more), (vec!["b 1".into()], vec![(vec!["a 2".into()], 130_000)]));
    assert_eq!(scrapes.counters.samples_out_of_order.get(), 1);
    // It is followed for staleness by its sample without a time.
    assert_eq!(samples(&scrapes.good("b 1\n")), ["b 1", "a stale"]);
    assert_eq!(samples(&scrapes.good("b 1\n")), ["b 1"]);
}

#[test]
fn the_same_text_without_a_time_is_a_duplicate_once_a_sample_of_it_was_taken() {
    let mut scrapes = Scrapes::new();
    let (first, more, _) = all(&mut scrapes, "a 1 50000\na 2\n");
    assert_eq!((first, more), (vec!["a 1 @50000".into()], vec![]));
    let (first, more, _) = all(&mut scrapes, "a 1 50000\na 2\n");
    assert_eq!((first, more), (vec![], vec![]), "refused, but Prometheus knows the text");
    // A text of which nothing was taken yet is none that comes again.
    let (first, more, added) = all(&mut scrapes, "c 1 900000\nc 2\n");
    assert_eq!((first, more, added), (vec![], vec![(vec!["c 2".into()], 130_000)], 1.0));
    assert_eq!(samples(&scrapes.good("d 1\n")), ["d 1", "c stale"]);
}

/// What goes back stays out, since receivers refuse it.
#[test]
fn a_sample_without_a_time_stays_behind_one_that_is_ahead() {
    let mut scrapes = Scrapes::new();
    let (first, more, _) = all(&mut scrapes, "a 1 150000\na{} 2\n");
    assert_eq!((first, more), (vec!["a 1 @150000".into()], vec![]));
    assert_eq!(scrapes.counters.samples_out_of_order.get(), 1);
}

#[test]
fn a_series_whose_first_refused_sample_had_a_time_is_new_with_the_first_one_taken() {
    let mut scrapes = Scrapes::new();
    assert_eq!(all(&mut scrapes, "a 1 900000\n").2, 0.0);
    assert_eq!(all(&mut scrapes, "a 1\n").2, 1.0, "not one series of the target was taken before");
}

/// Seeds 4701 and 4706: a rule made one series of all buckets of a histogram, and a bucket that was new was refused for its time. The
/// series counted as new on the next page, though Prometheus knew it by its other texts.
#[test]
fn a_text_that_is_refused_makes_no_new_series_of_one_that_is_known() {
    for (last, expected) in [("a 4 120000\n", 0.0), ("a{} 4 120000\n", 0.0)] {
        let mut scrapes = Scrapes::new();
        assert_eq!(all(&mut scrapes, "a 1 99000\n").2, 1.0);
        assert_eq!(all(&mut scrapes, "a{} 3 1000\na 2 98000\n").2, 0.0);
        assert_eq!(all(&mut scrapes, last).2, expected, "{last:?}");
    }
    // Without its own text the series is gone from what Prometheus knows.
    let mut scrapes = Scrapes::new();
    let added = ["a 1 99000\n", "a{} 3 1000\n", "a 4 120000\n"].map(|page| all(&mut scrapes, page).2);
    assert_eq!(added, [1.0, 0.0, 1.0]);
}
