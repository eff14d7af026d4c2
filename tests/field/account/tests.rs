//! The account finds what is forged: a lab whose account can't fail proves nothing.

use super::*;

const PAGES: u64 = 20;
const INTERVAL_MS: i64 = 1000;
const WALL_START_MS: i64 = 1_800_000_000_000;

/// Two targets of three series, scraped for twenty seconds, and everything delivered within 100 ms.
fn sound() -> Facts {
    let mut facts = Facts {
        runs: vec![Span { from_ms: 0, to_ms: PAGES as i64 * INTERVAL_MS }],
        wall_start_ms: WALL_START_MS,
        rules: Rules {
            interval_ms: INTERVAL_MS,
            timeout_ms: INTERVAL_MS,
            is_in_order: true,
            doubles_max: Some(0),
            causes: &["ring_full", "rejected"],
            ..Rules::default()
        },
        ..Facts::default()
    };
    for number in 0..PAGES {
        for target in 0..2 {
            scrape(&mut facts, target, number, number as i64 * INTERVAL_MS + 300 * target as i64);
        }
    }
    facts
}

fn scrape(facts: &mut Facts, target: usize, number: u64, at_ms: i64) {
    let page = Page { target, number, series: 0..3, begun_ms: at_ms, ended_ms: at_ms + 5 };
    let timestamp_ms = WALL_START_MS + at_ms;
    let mut arrives = |series: Series, value: f64| {
        let (at_ms, answered_ms) = (at_ms + 100, Some(at_ms + 101));
        facts.arrivals.push(Arrival { series, timestamp_ms, value, at_ms, life: 0, answered_ms });
    };
    for series in page.series.clone() {
        arrives(Series::Lab { target, series }, value(number, series));
    }
    for name in REPORT_SERIES {
        arrives(Series::Report { target, name: name.into() }, 1.0);
    }
    facts.asked.push(Asked { target, at_ms });
    facts.pages.push(page);
}

fn is_of_page(arrival: &Arrival, target: usize, number: u64) -> bool {
    let time = WALL_START_MS + number as i64 * INTERVAL_MS + 300 * target as i64;
    let of = match arrival.series {
        Series::Lab { target, .. } | Series::Report { target, .. } => target,
    };
    of == target && arrival.timestamp_ms == time
}

fn lose_page(facts: &mut Facts, target: usize, number: u64) {
    facts.arrivals.retain(|arrival| !is_of_page(arrival, target, number));
}

fn kill_at(at_ms: i64) -> Death {
    Death { at_ms, is_kill: true, loses_ms: 1500, repeats_ms: 5000 }
}

/// The promises that the account finds broken, with how often.
fn broken(facts: &Facts) -> Vec<(&'static str, u64)> {
    account(facts).violations.iter().map(|violation| (violation.promise, violation.count)).collect()
}

const LOST: &str = "nothing is lost without a count";
const MISCOUNTED: &str = "nothing is counted as lost that the receiver has";
const TWICE: &str = "nothing is sent twice, but after a kill what was not yet written as acknowledged";
const ORDER: &str = "samples of a series arrive in the order of their times";
const DATED: &str = "each page has one time of its own, which is that of its scrape";
const INVENTED: &str = "nothing is invented";
const DARK: &str = "no target stays in the dark";
const DOUBLED: &str = "a target is scraped once an interval";
const REFUSED: &str = "no page that was answered in time is refused";

#[test]
fn nothing_is_found_where_everything_arrived() {
    let account = account(&sound());
    assert_eq!(account.violations, []);
    assert_eq!((account.pages, account.samples_owed, account.samples_arrived), (40, 320, 320));
}

#[test]
fn one_lost_sample_is_found_and_named() {
    let mut facts = sound();
    let at = facts.arrivals.iter().position(|arrival| is_of_page(arrival, 1, 7)).unwrap();
    facts.arrivals.remove(at);
    assert_eq!(broken(&facts), [(LOST, 1)]);
    let first = &account(&facts).violations[0].first;
    assert!(first.contains("1 samples of Page { target: 1, number: 7"), "{first}");
}

#[test]
fn a_lost_report_sample_is_found() {
    let mut facts = sound();
    let is_up = |arrival: &Arrival| arrival.series == Series::Report { target: 0, name: "up".into() };
    facts.arrivals.retain(|arrival| !(is_of_page(arrival, 0, 3) && is_up(arrival)));
    assert_eq!(broken(&facts), [(LOST, 1)]);
}

#[test]
fn a_lost_page_must_be_counted_and_counted_in_full() {
    let mut facts = sound();
    lose_page(&mut facts, 0, 9);
    assert_eq!(broken(&facts), [(LOST, 8)]);
    facts.counted.insert("ring_full".into(), 7);
    assert_eq!(broken(&facts), [(LOST, 1)]);
    facts.counted.insert("ring_full".into(), 8);
    assert_eq!(broken(&facts), []);
}

#[test]
fn a_count_of_what_the_receiver_has_is_found() {
    let mut facts = sound();
    facts.counted.insert("rejected".into(), 5);
    assert_eq!(broken(&facts), [(MISCOUNTED, 5)]);
    facts.rules.markers_max = 5;
    assert_eq!(broken(&facts), []);
}

#[test]
fn a_loss_for_a_cause_that_the_plan_does_not_give_is_found() {
    let mut facts = sound();
    lose_page(&mut facts, 0, 9);
    facts.counted.insert("stage_full".into(), 8);
    assert_eq!(broken(&facts), [("nothing is given up without need", 8)]);
}

#[test]
fn a_kill_excuses_what_was_scraped_in_the_window_before_it_and_nothing_else() {
    let mut facts = sound();
    facts.deaths.push(kill_at(10_400));
    lose_page(&mut facts, 0, 9);
    lose_page(&mut facts, 0, 10);
    assert_eq!(broken(&facts), []);
    assert_eq!(account(&facts).samples_in_windows, 16);
    lose_page(&mut facts, 0, 8);
    lose_page(&mut facts, 0, 11);
    assert_eq!(broken(&facts), [(LOST, 16)]);
}

#[test]
fn a_sample_sent_twice_is_found_unless_a_kill_or_a_lost_answer_explains_it() {
    let again = |facts: &mut Facts, number: u64, at_ms: i64| {
        let mut arrival = facts.arrivals.iter().find(|arrival| is_of_page(arrival, 0, number)).unwrap().clone();
        arrival.at_ms = at_ms;
        facts.arrivals.push(arrival);
    };
    let mut facts = sound();
    again(&mut facts, 6, 12_000);
    assert_eq!(broken(&facts), [(TWICE, 1)]);
    assert_eq!(account(&facts).repeats, 1);
    facts.deaths.push(kill_at(10_400));
    assert_eq!(broken(&facts), [(TWICE, 1)], "one life sent both");
    facts.arrivals.last_mut().unwrap().life = 1;
    assert_eq!(broken(&facts), []);
    // It had five seconds to write the acknowledgement.
    again(&mut facts, 4, 12_000);
    facts.arrivals.last_mut().unwrap().life = 1;
    assert_eq!(broken(&facts), [(TWICE, 1)]);

    let mut facts = sound();
    again(&mut facts, 6, 12_000);
    facts
        .arrivals
        .iter_mut()
        .filter(|arrival| is_of_page(arrival, 0, 6))
        .for_each(|arrival| arrival.answered_ms = None);
    assert_eq!(broken(&facts), []);
    assert_eq!(account(&facts).repeats, 1);

    // The answer came when the agent's time was up.
    let mut facts = sound();
    again(&mut facts, 6, 12_000);
    facts.deaf.push(Span { from_ms: 6050, to_ms: 6200 });
    assert_eq!(broken(&facts), []);
}

#[test]
fn a_clean_stop_excuses_no_repeat() {
    let mut facts = sound();
    let mut arrival = facts.arrivals.iter().find(|arrival| is_of_page(arrival, 0, 9)).unwrap().clone();
    (arrival.at_ms, arrival.life) = (12_000, 1);
    facts.arrivals.push(arrival);
    facts.deaths.push(Death { at_ms: 10_400, is_kill: false, loses_ms: 500, repeats_ms: 0 });
    assert_eq!(broken(&facts), [(TWICE, 1)]);
}

#[test]
fn another_value_or_an_unknown_page_is_invented() {
    let mut facts = sound();
    let mut other = facts.arrivals[0].clone();
    other.value += 1.0;
    other.answered_ms = None;
    facts.arrivals.insert(0, other);
    assert!(broken(&facts).contains(&(INVENTED, 1)), "{:?}", broken(&facts));

    let mut facts = sound();
    facts.arrivals[0].value = value(700, 0);
    assert!(broken(&facts).contains(&(INVENTED, 1)), "{:?}", broken(&facts));
}

#[test]
fn a_page_has_one_time_and_a_time_one_page() {
    let mut facts = sound();
    facts.arrivals[1].timestamp_ms += 1;
    assert!(broken(&facts).iter().any(|(promise, _)| *promise == DATED));

    let mut facts = sound();
    let time = WALL_START_MS + 4 * INTERVAL_MS;
    for arrival in facts.arrivals.iter_mut().filter(|arrival| is_of_page(arrival, 0, 5)) {
        arrival.timestamp_ms = time;
        if let Series::Lab { series, .. } = &mut arrival.series {
            *series = 9;
        }
    }
    assert!(broken(&facts).iter().any(|(promise, _)| *promise == DATED));
}

#[test]
fn a_wrong_time_is_found_unless_the_clock_was_wrong() {
    let mut facts = sound();
    let day_ms = 86_400_000;
    facts.arrivals.iter_mut().for_each(|arrival| arrival.timestamp_ms += day_ms);
    assert_eq!(broken(&facts), [(DATED, 40)]);
    facts.offsets.push(Offset { from_ms: 0, offset_ms: day_ms });
    assert_eq!(broken(&facts), []);
}

#[test]
fn samples_out_of_order_are_found() {
    let mut facts = sound();
    let at = facts.arrivals.iter().position(|arrival| is_of_page(arrival, 0, 3)).unwrap();
    let early = facts.arrivals.remove(at);
    facts.arrivals.push(early);
    assert_eq!(broken(&facts), [(ORDER, 1)]);
    facts.arrivals.last_mut().unwrap().life = 1;
    assert_eq!(broken(&facts), []);
    facts.arrivals.last_mut().unwrap().life = 0;
    facts.rules.is_in_order = false;
    assert_eq!(broken(&facts), []);
}

#[test]
fn a_target_that_is_asked_no_more_is_in_the_dark() {
    let mut facts = sound();
    facts.asked.retain(|asked| asked.target == 0 || asked.at_ms < 5000);
    assert_eq!(broken(&facts), [(DARK, 1)]);
    facts.stalls.push(Span { from_ms: 6000, to_ms: 14_000 });
    facts.pages.retain(|page| page.begun_ms < 5000);
    assert!(!broken(&facts).iter().any(|(promise, _)| *promise == DARK));
}

#[test]
fn a_target_that_is_asked_twice_is_found() {
    let mut facts = sound();
    facts.asked.insert(0, Asked { target: 0, at_ms: 0 });
    assert_eq!(broken(&facts), [(DOUBLED, 1)]);
    facts.rules.doubles_max = Some(1);
    assert_eq!(broken(&facts), []);
}

#[test]
fn a_whole_page_whose_scrape_failed_is_refused() {
    let mut facts = sound();
    facts.arrivals.retain(|arrival| !is_of_page(arrival, 0, 3) || matches!(arrival.series, Series::Report { .. }));
    for arrival in facts.arrivals.iter_mut().filter(|arrival| is_of_page(arrival, 0, 3)) {
        arrival.value = 0.0;
    }
    assert_eq!(broken(&facts), [(REFUSED, 1)]);
    // It ran into its timeout.
    let took = Series::Report { target: 0, name: "scrape_duration_seconds".into() };
    for arrival in facts.arrivals.iter_mut().filter(|arrival| is_of_page(arrival, 0, 3) && arrival.series == took) {
        arrival.value = 1.0;
    }
    assert_eq!(broken(&facts), []);
}
