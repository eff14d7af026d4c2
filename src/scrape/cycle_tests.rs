//! What each kind of page makes of a target's series; the figures are Prometheus's (`scrapeAndReport`, `append`).

use super::{Cycle, CycleResult, Format, PageError, SampleLabelsError};
use crate::counters::Counters;
use crate::limits::{LABEL_VALUE_BYTES_MAX, PAGE_SAMPLES_PER_SERIES_MAX, SERIES_PER_PAGE_MAX};
use crate::model::{
    LabelsBuilder, LabelsError, NameScheme, PageOptions, Scheme, ScrapeBatch, Series, SeriesTable, Target, is_stale,
};
use crate::relabel::{Action, LabelLimits, Rule, RuleOptions, SampleRules};
use crate::scrape::ScrapeOptions;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

const INTERVAL_MS: i64 = 15_000;

/// A target that is scraped every 15 s, from 100 s on; each scrape takes half a second.
pub(super) struct Scrapes {
    cycle: Cycle,
    pub(super) counters: Rc<Counters>,
    timestamp_ms: i64,
}

impl Scrapes {
    pub(super) fn new() -> Self {
        Self::with(PageOptions::default(), SampleRules::default(), SeriesTable::new())
    }

    fn with_rules(rules: SampleRules) -> Self {
        Self::with(PageOptions::default(), rules, SeriesTable::new())
    }

    pub(super) fn with(page: PageOptions, rules: SampleRules, table: SeriesTable) -> Self {
        let labels = [("job", "node"), ("instance", "h:1")].into_iter().collect::<LabelsBuilder>().build().unwrap();
        let target = Target {
            scheme: Scheme::Http,
            address: "h:1".into(),
            metrics_path: "/metrics".into(),
            params: Default::default(),
            labels,
            interval: Duration::from_millis(INTERVAL_MS as u64),
            timeout: Duration::from_secs(10),
            socket: None,
            durations_as_written: None,
        };
        let counters = Rc::new(Counters::default());
        let options = ScrapeOptions { page: Rc::new(page), rules: Rc::new(rules) };
        let cycle = Cycle::new(7, Rc::new(target), options, Rc::new(table), counters.clone()).unwrap();
        Scrapes { cycle, counters, timestamp_ms: 100_000 - INTERVAL_MS }
    }

    pub(super) fn complete(&mut self, page: Option<&str>) -> CycleResult {
        self.complete_in(page, Format::Text)
    }

    fn complete_in(&mut self, page: Option<&str>, format: Format) -> CycleResult {
        self.timestamp_ms += INTERVAL_MS;
        let page = page.map(|page| (page.as_bytes(), format));
        let result = self.cycle.complete(page, self.timestamp_ms, Duration::from_millis(500));
        for batch in result.more.iter().chain([&result.batch]) {
            assert_eq!(batch.series.len(), batch.values.len());
            assert_eq!(
                batch.series.iter().collect::<HashSet<_>>().len(),
                batch.len(),
                "a series stands twice in {batch:?}"
            );
            assert_eq!(batch.target, 7);
        }
        result
    }

    /// The scrape of a page, and what it says about it.
    pub(super) fn page(&mut self, page: &str) -> (Vec<String>, [f64; 5]) {
        let result = self.complete(Some(page));
        (samples(&result.batch), report(&result.batch))
    }

    pub(super) fn good(&mut self, page: &str) -> ScrapeBatch {
        let result = self.complete(Some(page));
        assert_eq!(result.error, None);
        assert!(result.more.is_empty());
        result.batch
    }

    fn failure(&mut self) -> ScrapeBatch {
        self.complete(None).batch
    }
}

fn show(series: &Series, value: f64) -> String {
    let labels = series
        .to_string()
        .replace(r#"{instance="h:1", job="node"}"#, "")
        .replace(r#"instance="h:1", job="node""#, "..");
    if is_stale(value) { format!("{labels} stale") } else { format!("{labels} {value}") }
}

/// Samples of the page, with their time where it is not the batch's.
pub(super) fn samples(batch: &ScrapeBatch) -> Vec<String> {
    let all = (0..batch.len()).filter(|index| !is_report(&batch.series[*index]));
    let shown = all.map(|index| {
        let own = batch.timestamp_ms_at(index);
        let at = if own == batch.timestamp_ms { String::new() } else { format!(" @{own}") };
        show(&batch.series[index], batch.values[index]) + &at
    });
    shown.collect()
}

fn is_report(series: &Series) -> bool {
    series.get("__name__").is_some_and(|name| name == "up" || name.starts_with("scrape_"))
}

/// `up`, duration, scraped, after relabelling, added.
pub(super) fn report(batch: &ScrapeBatch) -> [f64; 5] {
    let names = [
        "up",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
    ];
    names.map(|name| {
        let found = batch
            .series
            .iter()
            .position(|series| series.to_string() == format!("{name}{{instance=\"h:1\", job=\"node\"}}"));
        batch.values[found.unwrap_or_else(|| panic!("no {name}"))]
    })
}

#[test]
fn a_page_becomes_samples_and_a_report() {
    let mut scrapes = Scrapes::new();
    let (samples, report) = scrapes.page("a 1\nb{c=\"d\"} 2\n");
    assert_eq!(samples, ["a 1", r#"b{c="d", ..} 2"#]);
    assert_eq!(report, [1.0, 0.5, 2.0, 2.0, 2.0]);
    let (samples, report) = scrapes.page("a 3\nb{c=\"d\"} 4\n");
    assert_eq!(samples, ["a 3", r#"b{c="d", ..} 4"#]);
    assert_eq!(report, [1.0, 0.5, 2.0, 2.0, 0.0], "no series is new");
    assert_eq!(scrapes.counters.scrapes.get(), 2);
    assert_eq!(scrapes.counters.scrapes_failed.get(), 0);
}

#[test]
fn an_unchanged_page_shares_the_list_of_the_last() {
    let mut scrapes = Scrapes::new();
    let first = scrapes.good("# TYPE a gauge\na 1\nb{c=\"d\"} 2\nb{c=\"d\"} 3\n");
    let second = scrapes.good("# TYPE a gauge\na 5\n\nb{c=\"d\"}  2\nb{c=\"d\"} 3\n");
    assert!(Rc::ptr_eq(&first.series, &second.series));
    let reworded = scrapes.good("a 5\nb{c=\"d\",} 2\n");
    assert!(Rc::ptr_eq(&first.series, &reworded.series), "other texts for the same series");
}

#[test]
fn a_series_that_comes_goes_or_moves_is_noticed() {
    let mut scrapes = Scrapes::new();
    scrapes.good("a 1\nb 1\nc 1\nd 1\n");
    for (page, expected, added) in [
        ("a 1\nx 9\nb 1\nc 1\nd 1\n", vec!["a 1", "x 9", "b 1", "c 1", "d 1"], 1.0),
        ("a 1\nb 1\nc 1\nd 1\n", vec!["a 1", "b 1", "c 1", "d 1", "x stale"], 0.0),
        ("d 1\nc 1\nb 1\na 1\n", vec!["d 1", "c 1", "b 1", "a 1"], 0.0),
        ("d 1\nc 1\n", vec!["d 1", "c 1", "b stale", "a stale"], 0.0),
        ("d 1\nc 1\ny 1\n", vec!["d 1", "c 1", "y 1"], 1.0),
        ("n 1\n", vec!["n 1", "d stale", "c stale", "y stale"], 1.0),
        ("# nothing\n", vec!["n stale"], 0.0),
        ("n 1\n", vec!["n 1"], 1.0),
    ] {
        let (samples, report) = scrapes.page(page);
        assert_eq!(samples, expected, "{page:?}");
        assert_eq!(report[4], added, "{page:?}");
    }
}

#[test]
fn a_list_settles_after_a_change() {
    let mut scrapes = Scrapes::new();
    scrapes.good("a 1\nb 1\n");
    scrapes.good("a 1\n");
    let settled = scrapes.good("a 1\n");
    assert!(Rc::ptr_eq(&settled.series, &scrapes.good("a 2\n").series));
}

#[test]
fn a_failed_scrape_makes_all_series_stale_once() {
    let mut scrapes = Scrapes::new();
    let good = scrapes.good("a 1\nb 2\n");
    let failed = scrapes.failure();
    assert_eq!(samples(&failed), ["a stale", "b stale"]);
    assert_eq!(report(&failed), [0.0, 0.5, 0.0, 0.0, 0.0]);
    assert!(Rc::ptr_eq(&good.series, &failed.series), "the same list, with markers for values");
    let again = scrapes.failure();
    assert_eq!(samples(&again), [""; 0]);
    assert!(Rc::ptr_eq(&again.series, &scrapes.failure().series));
    let back = scrapes.good("a 1\nb 2\n");
    assert!(Rc::ptr_eq(&good.series, &back.series));
    assert_eq!(report(&back), [1.0, 0.5, 2.0, 2.0, 0.0], "as Prometheus has it, they are not new");
    assert_eq!(scrapes.counters.scrapes_failed.get(), 3);
}

#[test]
fn an_empty_page_is_a_good_one_without_series() {
    let mut scrapes = Scrapes::new();
    scrapes.good("a 1\n");
    let (samples, report) = scrapes.page("");
    assert_eq!(samples, ["a stale"]);
    assert_eq!(report, [1.0, 0.5, 0.0, 0.0, 0.0]);
    assert_eq!(scrapes.page("a 1\n").1[4], 0.0, "an empty page leaves the cache as it is");
}

#[test]
fn a_page_that_breaks_counts_for_nothing_but_its_report() {
    let mut scrapes = Scrapes::new();
    scrapes.good("a 1\nb 2\n");
    let result = scrapes.complete(Some("a 1\nnew 1\nnew 1\n<oops>\nb 2\n"));
    assert_eq!(samples(&result.batch), ["a stale", "b stale"]);
    assert_eq!(report(&result.batch), [0.0, 0.5, 3.0, 3.0, 1.0], "counted up to the break");
    let Some(PageError::Text(error)) = result.error else { panic!("{:?}", result.error) };
    assert_eq!(error.line, 4);
    assert_eq!(scrapes.counters.samples_duplicate.get(), 0, "nothing was taken, so nothing was refused");
    assert_eq!(scrapes.counters.scrapes_failed.get(), 1);
    let (samples, report) = scrapes.page("a 1\nnew 1\nb 2\n");
    assert_eq!(samples, ["a 1", "new 1", "b 2"]);
    assert_eq!(report[4], 0.0, "seen on the broken page");
}

#[test]
fn duplicates_are_refused_and_counted() {
    let mut scrapes = Scrapes::new();
    for _ in 0..2 {
        let (samples, report) = scrapes.page("a 1\na 2\nb{c=\"d\"} 3\nb{c=\"d\",} 4\n");
        assert_eq!(samples, ["a 1", r#"b{c="d", ..} 3"#]);
        assert_eq!(report[..4], [1.0, 0.5, 4.0, 4.0]);
    }
    assert_eq!(scrapes.counters.samples_duplicate.get(), 4);
}

#[test]
fn a_page_can_not_speak_for_up() {
    let mut scrapes = Scrapes::new();
    for _ in 0..2 {
        let result = scrapes.complete(Some("up 0\na 1\nup 0 200000\n"));
        assert_eq!(samples(&result.batch), ["a 1"]);
        assert_eq!(report(&result.batch)[0], 1.0);
        assert!(result.more.is_empty());
    }
    assert_eq!(scrapes.counters.samples_duplicate.get(), 4);
    assert_eq!(report(&scrapes.failure())[0], 0.0);
}

#[test]
fn series_with_times_of_their_own_never_go_stale() {
    let mut scrapes = Scrapes::new();
    assert_eq!(samples(&scrapes.good("a 1 99000\nb 2\n")), ["a 1 @99000", "b 2"]);
    assert_eq!(samples(&scrapes.good("a 1 100000\nb 2\n")), ["a 1 @100000", "b 2"]);
    assert_eq!(samples(&scrapes.failure()), ["b stale"]);
    assert_eq!(samples(&scrapes.good("a 1 131000\nb 2\n")), ["a 1 @131000", "b 2"]);
    assert_eq!(samples(&scrapes.good("b 2\n")), ["b 2"], "a is gone without a marker");
}

#[test]
fn own_times_must_go_forward() {
    let mut scrapes = Scrapes::new();
    scrapes.good("a 1 99000\nb 2\n");
    let result = scrapes.complete(Some("a 1 99000\nb 2\n"));
    assert_eq!(samples(&result.batch), ["b 2"], "the target has nothing newer");
    assert_eq!(report(&result.batch), [1.0, 0.5, 2.0, 2.0, 0.0]);
    assert_eq!(samples(&scrapes.good("b 2\na 1 98000\nc 3 98000\n")), ["b 2", "c 3 @98000"]);
    assert_eq!(samples(&scrapes.good("b 2\na 1 99001\nc 3 98001\n")), ["b 2", "a 1 @99001", "c 3 @98001"]);
    assert_eq!((scrapes.counters.samples_duplicate.get(), scrapes.counters.samples_out_of_order.get()), (1, 1));
}

#[test]
fn times_far_ahead_are_refused() {
    let mut scrapes = Scrapes::new();
    // The first scrape is complete at 100.5 s; ten minutes ahead of that is the most.
    assert_eq!(samples(&scrapes.good("a 1 700500\nb 1 700501\n")), ["a 1 @700500"]);
    assert_eq!(scrapes.counters.samples_out_of_bounds.get(), 1);
}

/// Told by the differential test: a series went back to a time of its own after it had been sent with the scrape's time, and
/// receivers refuse that.
#[test]
fn own_times_must_go_forward_from_the_scrapes_times_too() {
    let mut scrapes = Scrapes::new();
    scrapes.good("a 1\nb 1\nc 1 200000\n");
    let result = scrapes.complete(Some("a 2 99000\nb 2 99000\nc 2\n"));
    assert_eq!(samples(&result.batch), [""; 0], "c is ahead of the clock");
    assert_eq!(samples(&result.more[0]), ["a stale", "b stale"]);
    scrapes.failure();
    scrapes.good("d 1\n");
    assert_eq!(samples(&scrapes.good("a 3 145000\nb 3 115000\nc 3\n")), ["a 3 @145000", "d stale"]);
    assert_eq!(samples(&scrapes.good("d 3 160000\nc 3 200001\n")), ["c 3 @200001"], "d's marker was at 160000");
    assert_eq!(scrapes.counters.samples_out_of_order.get(), 4);
    assert_eq!(scrapes.counters.samples_duplicate.get(), 2);
}

/// Two texts of one series, one with a time ahead of the clock: a marker would be behind it.
#[test]
fn a_series_that_is_ahead_of_the_clock_gets_no_marker() {
    for page in [Some("b 1\n"), None] {
        let mut scrapes = Scrapes::new();
        scrapes.complete(Some("a 1\na{} 2 300000\nb 1\n"));
        let result = scrapes.complete(page);
        assert!(samples(&result.batch).iter().all(|sample| sample.starts_with('b')), "{result:?}");
    }
}

#[test]
fn a_series_is_new_until_a_sample_of_it_is_taken() {
    let mut scrapes = Scrapes::new();
    assert_eq!(report(&scrapes.good("a 1 900000\nb 1\n"))[4], 1.0);
    assert_eq!(report(&scrapes.good("a 1 900000\nb 1\n"))[4], 0.0);
    assert_eq!(report(&scrapes.good("a 1\nb 1\n"))[4], 1.0);
    assert_eq!(report(&scrapes.complete(Some("a 1\nb 1\nc 1 900000\nc 2 700000\n")).batch)[4], 1.0);
    assert_eq!(report(&scrapes.good("a 1\nb 1\nc 1 700001\n"))[4], 0.0);
    assert_eq!(report(&scrapes.complete(Some("d 1 900000\ne 1\nbroken")).batch)[4], 1.0);
    assert_eq!(report(&scrapes.good("d 1\ne 1\n"))[4], 1.0);
}

#[test]
fn several_samples_of_one_series_become_several_batches() {
    let mut scrapes = Scrapes::new();
    let result = scrapes.complete(Some("a 1 1000\nb 9\na 2 2000\na 3 2000\na 4 1500\na 5 3000\na 6\n"));
    assert_eq!(samples(&result.batch), ["a 1 @1000", "b 9"]);
    let more: Vec<_> = result.more.iter().map(|batch| (samples(batch), batch.timestamp_ms_at(0))).collect();
    assert_eq!(more, [(vec!["a 2".into()], 2000), (vec!["a 5".into()], 3000)]);
    assert_eq!(report(&result.batch), [1.0, 0.5, 7.0, 7.0, 2.0]);
    assert_eq!((scrapes.counters.samples_duplicate.get(), scrapes.counters.samples_out_of_order.get()), (2, 1));
    let next = scrapes.complete(Some("a 7 2500\na 8 3001\n"));
    assert_eq!(samples(&next.batch), ["b stale"]);
    assert_eq!((samples(&next.more[0]), next.more[0].timestamp_ms_at(0)), (vec!["a 8".into()], 3001));

    let many: String = (0..PAGE_SAMPLES_PER_SERIES_MAX as i64 + 2).map(|i| format!("m 1 {}\n", 5000 + i)).collect();
    assert_eq!(scrapes.complete(Some(&many)).error, Some(PageError::TooManyRepeats));
}

#[test]
fn a_series_that_gets_a_time_of_its_own_is_marked_stale_behind_that() {
    let mut scrapes = Scrapes::new();
    scrapes.good("a 1\n");
    let result = scrapes.complete(Some("a 2 110000\n"));
    assert_eq!(samples(&result.batch), ["a 2 @110000"]);
    assert_eq!(samples(&result.more[0]), ["a stale"]);
    assert_eq!(result.more[0].timestamp_ms_at(0), 115_000);
    assert!(scrapes.complete(Some("a 2 120000\n")).more.is_empty());
}

#[test]
fn pages_past_the_limits_fail() {
    let mut scrapes = Scrapes::new();
    let long = format!("a 1\nb{{c=\"{}\"}} 1\n", "x".repeat(LABEL_VALUE_BYTES_MAX + 1));
    let result = scrapes.complete(Some(&long));
    let Some(PageError::Labels { cause: SampleLabelsError::Limit(LabelsError::TooLong { label, .. }), .. }) =
        &result.error
    else {
        panic!("{:?}", result.error)
    };
    assert_eq!(label, "c");
    assert_eq!(report(&result.batch), [0.0, 0.5, 2.0, 1.0, 1.0]);
    assert!(result.error.unwrap().to_string().len() < 300);

    let mut scrapes = Scrapes::with(
        PageOptions::default(),
        SampleRules::default(),
        SeriesTable::with_series_max(2 * SERIES_PER_PAGE_MAX),
    );
    let many: String = (0..=SERIES_PER_PAGE_MAX).map(|i| format!("m{i} 1\n")).collect();
    assert_eq!(scrapes.complete(Some(&many)).error, Some(PageError::TooManySeries));
}

#[test]
fn a_page_that_makes_up_series_and_fails_does_not_fill_the_memory() {
    let mut scrapes = Scrapes::new();
    scrapes.good("a 1\n");
    let broken = |round: u32| (0..300).map(|i| format!("x{{n=\"{round}-{i}\"}} 1\n")).collect::<String>() + "<";
    for round in 0..20 {
        scrapes.complete(Some(&broken(round)));
    }
    assert_eq!(scrapes.page(&broken(0).replace('<', "")).1[4], 300.0, "forgotten, so they are new again");
}

#[test]
fn the_end_of_a_run_marks_everything_stale() {
    let mut scrapes = Scrapes::new();
    assert!(scrapes.cycle.end_of_run(1).is_none(), "never scraped");
    let good = scrapes.good("a 1\nb 1\n");
    let end = scrapes.cycle.end_of_run(130_000).unwrap();
    assert!(Rc::ptr_eq(&good.series, &end.series));
    assert_eq!((end.len(), end.timestamp_ms), (7, 130_000));
    assert!(end.values.iter().all(|value| is_stale(*value)));
    assert!(scrapes.cycle.end_of_run(145_000).is_none(), "once is enough");

    let mut failing = Scrapes::new();
    failing.failure();
    assert_eq!(failing.cycle.end_of_run(1).unwrap().len(), 5, "the report series");
}

#[test]
fn openmetrics_pages_are_taken_and_created_lines_are_series() {
    let mut scrapes = Scrapes::new();
    let page = "# TYPE a counter\na_total 1 # {trace_id=\"x\"} 1\na_created 5 99.5\n# EOF\n";
    for _ in 0..2 {
        let result = scrapes.complete_in(Some(page), Format::OpenMetrics);
        assert_eq!(result.error, None);
        assert_eq!(samples(&result.batch)[0], "a_total 1");
    }
    let broken = scrapes.complete_in(Some("a_total 1\n"), Format::OpenMetrics);
    assert!(matches!(broken.error, Some(PageError::Text(_))));
    assert_eq!(report(&broken.batch), [0.0, 0.5, 1.0, 1.0, 0.0]);
}

#[test]
fn what_one_format_calls_a_series_is_none_in_another() {
    let mut scrapes = Scrapes::new();
    scrapes.good("a{b=\"c\" d=\"e\"} 1\n");
    let result = scrapes.complete_in(Some("a{b=\"c\" d=\"e\"} 1\n# EOF\n"), Format::OpenMetrics);
    assert!(result.error.is_some(), "two labels without a comma");
}

#[test]
fn past_the_sample_limit_a_page_fails_and_is_counted_to_its_end() {
    let options = PageOptions { sample_limit: 2, ..PageOptions::default() };
    let mut scrapes = Scrapes::with(options, SampleRules::default(), SeriesTable::new());
    for (page, samples_expected, reported) in [
        ("a 1\nb 1\n", vec!["a 1", "b 1"], [1.0, 0.5, 2.0, 2.0, 2.0]),
        // Duplicates are not appended, so they are no matter.
        ("a 1\na 2\na 3\nb 1\n", vec!["a 1", "b 1"], [1.0, 0.5, 4.0, 4.0, 0.0]),
        ("a 1\nb 1\nc 1\nd 1\n", vec!["a stale", "b stale"], [0.0, 0.5, 4.0, 4.0, 0.0]),
        ("c 1\nd 1\n", vec!["c 1", "d 1"], [1.0, 0.5, 2.0, 2.0, 2.0]),
        // Those with a time that is refused were tried all the same.
        ("c 1 100000000000\nc 1 100000000000\nd 1\n", vec!["c stale", "d stale"], [0.0, 0.5, 3.0, 3.0, 0.0]),
        ("e 1\nc 1\nf 1\n{\"\",h=\"1\"} 1\nx 1\n", vec![], [0.0, 0.5, 4.0, 3.0, 1.0]),
    ] {
        let result = scrapes.complete(Some(page));
        assert_eq!(samples(&result.batch), samples_expected, "{page:?}");
        assert_eq!(report(&result.batch), reported, "{page:?}");
        let labels = matches!(result.error, Some(PageError::Labels { .. }));
        let limit = result.error == Some(PageError::SampleLimit(2));
        assert_eq!(reported[0] == 0.0, labels || limit, "{page:?}: {:?}", result.error);
        assert_eq!(labels, page.contains("h="), "what breaks behind the limit goes before it");
    }
}

#[test]
fn times_are_taken_for_none_if_they_are_not_honoured() {
    let options = PageOptions { honor_timestamps: false, ..PageOptions::default() };
    let mut scrapes = Scrapes::with(options, SampleRules::default(), SeriesTable::new());
    assert_eq!(samples(&scrapes.good("a 1 99000\na 2 99001\nb 2 1\n")), ["a 1", "b 2"]);
    assert_eq!(samples(&scrapes.good("b 2 1\n")), ["b 2", "a stale"]);
    assert_eq!(scrapes.counters.samples_duplicate.get(), 1);
}

#[test]
fn series_with_times_of_their_own_go_stale_if_that_is_asked_for() {
    let options = PageOptions { track_timestamps_staleness: true, ..PageOptions::default() };
    let mut scrapes = Scrapes::with(options, SampleRules::default(), SeriesTable::new());
    assert_eq!(samples(&scrapes.good("a 1 99000\nb 2\n")), ["a 1 @99000", "b 2"]);
    assert_eq!(samples(&scrapes.good("b 2\n")), ["b 2", "a stale"]);
    assert_eq!(samples(&scrapes.good("a 1 126000\nb 2\n")), ["a 1 @126000", "b 2"]);
    assert_eq!(samples(&scrapes.failure()), ["a stale", "b stale"]);
    // Ahead of the scrape that it is missing from: the marker would go behind it.
    assert_eq!(samples(&scrapes.good("a 1 180000\nb 2\n")), ["a 1 @180000", "b 2"]);
    assert_eq!(samples(&scrapes.good("b 2\n")), ["b 2"]);
    assert_eq!(samples(&scrapes.good("a 1 300000\nb 2\n")), ["a 1 @300000", "b 2"]);
    assert_eq!(samples(&scrapes.failure()), ["b stale"]);
}

/// The differential test's: the first sample of the series was refused, so the one that was taken was not followed.
#[test]
fn a_series_is_tracked_by_its_second_sample_too() {
    let options = PageOptions { track_timestamps_staleness: true, ..PageOptions::default() };
    let mut scrapes = Scrapes::with(options, SampleRules::default(), SeriesTable::new());
    let result = scrapes.complete(Some("a 1 900000\na 2 99000\nb 2\n"));
    assert_eq!(samples(&result.more[0]), ["a 2"]);
    assert_eq!(samples(&scrapes.good("b 2\n")), ["b 2", "a stale"]);
    assert_eq!(samples(&scrapes.good("b 2\n")), ["b 2"]);
}

#[test]
fn a_tracked_series_that_gets_nothing_newer_goes_stale_as_in_an_agent() {
    let options = PageOptions { track_timestamps_staleness: true, ..PageOptions::default() };
    let mut scrapes = Scrapes::with(options, SampleRules::default(), SeriesTable::new());
    scrapes.good("a 1 99000\n");
    let result = scrapes.complete(Some("a 1 99000\n"));
    assert_eq!(samples(&result.batch), [""; 0], "the sample is refused");
    assert_eq!((samples(&result.more[0]), result.more[0].timestamp_ms_at(0)), (vec!["a stale".into()], 115_000));
    assert!(scrapes.complete(Some("a 1 99000\n")).more.is_empty(), "once");
}

#[test]
fn extra_metrics_tell_the_limits_and_the_size() {
    let options = PageOptions { extra_metrics: true, sample_limit: 1, ..PageOptions::default() };
    let mut scrapes = Scrapes::with(options, SampleRules::default(), SeriesTable::new());
    let extra = |batch: &ScrapeBatch| {
        assert_eq!(batch.series[5].get("__name__"), Some("scrape_timeout_seconds"));
        assert_eq!(batch.series[6].get("__name__"), Some("scrape_sample_limit"));
        assert_eq!(batch.series[7].get("__name__"), Some("scrape_body_size_bytes"));
        [batch.values[5], batch.values[6], batch.values[7]]
    };
    assert_eq!(extra(&scrapes.good("a 1\n")), [10.0, 1.0, 4.0]);
    assert_eq!(extra(&scrapes.complete(Some("a 1\nb 1\n")).batch), [10.0, 1.0, 8.0], "it arrived, but fails");
    assert_eq!(extra(&scrapes.complete(Some("")).batch), [10.0, 1.0, 0.0]);
    assert_eq!(extra(&scrapes.failure()), [10.0, 1.0, 0.0]);
    let too_large = scrapes.cycle.complete_without_page(-1, None, 190_000, Duration::ZERO);
    assert_eq!(extra(&too_large.batch), [10.0, 1.0, -1.0]);
    assert_eq!(scrapes.cycle.end_of_run(200_000).unwrap().len(), 8);
}

mod against_a_plain_model {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// What a page says, and what is alive, without a cache: texts to values.
    fn model(page: &[(u8, u8)]) -> BTreeMap<String, f64> {
        let mut model = BTreeMap::new();
        for (series, value) in page {
            model.entry(format!("m{series}")).or_insert(f64::from(*value));
        }
        model
    }

    proptest! {
        #[test]
        fn any_sequence_of_pages(
            pages in proptest::collection::vec(
                prop_oneof![
                    4 => proptest::collection::vec((0u8..6, any::<u8>()), 1..10).prop_map(|page| (page, "")),
                    1 => Just((vec![], "failed")),
                    1 => proptest::collection::vec((0u8..6, any::<u8>()), 0..10).prop_map(|page| (page, "<broken")),
                ],
                1..12,
            )
        ) {
            let mut scrapes = Scrapes::new();
            let mut alive = BTreeMap::new();
            for (page, kind) in pages {
                let text: String = page.iter().map(|(series, value)| format!("m{series} {value}\n")).collect();
                let batch = match kind {
                    "failed" => scrapes.failure(),
                    tail => scrapes.complete(Some(&(text + tail))).batch,
                };
                let now = if kind.is_empty() { model(&page) } else { BTreeMap::new() };
                let mut expected: Vec<String> = now.iter().map(|(series, value)| format!("{series} {value}")).collect();
                expected.extend(alive.keys().filter(|series| !now.contains_key(*series)).map(|series| format!("{series} stale")));
                let mut seen = samples(&batch);
                seen.sort();
                expected.sort();
                prop_assert_eq!(seen, expected);
                prop_assert_eq!(report(&batch)[0], if kind.is_empty() { 1.0 } else { 0.0 });
                alive = now;
            }
        }
    }
}

/// A series that relabelling drops is scraped, and neither stored, nor added, nor ever gone; of two that it makes one, the
/// first counts. A limit fails the page.
#[test]
fn dropped_series_count_as_scraped_and_limits_fail_the_page() {
    let drop = RuleOptions {
        action: Action::Drop,
        source_labels: Some(vec!["__name__".into()]),
        regex: Some("go_.*".into()),
        ..RuleOptions::default()
    };
    let merge = RuleOptions { action: Action::LabelDrop, regex: Some("core".into()), ..RuleOptions::default() };
    let rules = [drop, merge].map(|options| Rule::new(options, NameScheme::Utf8).unwrap());
    let limits = LabelLimits { count: Some(4), ..LabelLimits::default() };
    let rules = SampleRules { rules: rules.into_iter().collect(), limits, ..SampleRules::default() };
    let mut scrapes = Scrapes::with_rules(rules);
    let page = "go_a 1\na 2\ngo_b 3\nb{core=\"0\"} 4\nb{core=\"1\"} 5\n";
    assert_eq!(scrapes.page(page), (vec!["a 2".into(), "b 4".into()], [1.0, 0.5, 5.0, 3.0, 2.0]));
    assert_eq!(scrapes.page(page), (vec!["a 2".into(), "b 4".into()], [1.0, 0.5, 5.0, 3.0, 0.0]));
    assert_eq!(scrapes.page("go_b 3\na 2\n"), (vec!["a 2".into(), "b stale".into()], [1.0, 0.5, 2.0, 1.0, 0.0]));
    assert_eq!(scrapes.page("go_b 3\n"), (vec!["a stale".into()], [1.0, 0.5, 1.0, 0.0, 0.0]));
    assert_eq!(scrapes.page("go_b 3\na 2\n"), (vec!["a 2".into()], [1.0, 0.5, 2.0, 1.0, 1.0]));

    let result = scrapes.complete(Some("go_b 3\nn 1\na{x=\"1\",y=\"2\"} 2\nm 1\n"));
    let error = result.error.unwrap().to_string();
    assert!(error.contains("label_limit exceeded (metric: a, number of labels: 5, limit: 4)"), "{error}");
    assert_eq!(samples(&result.batch), ["a stale"]);
    assert_eq!(report(&result.batch), [0.0, 0.5, 3.0, 1.0, 1.0]);
}
