//! What the parts of a gate come to together.

use super::super::retry::{Failure, FailureKind};
use super::*;

const LIVE: Traffic = Traffic::Samples { class: Class::Normal, is_backlog: false };
const BACKLOG: Traffic = Traffic::Samples { class: Class::Normal, is_backlog: true };
const WALL_MS: i64 = 1_795_219_200_000;

fn gate(rates: RateOptions, options: UplinkOptions) -> Gate {
    let meter = Meter::new(options, [Class::Normal], None);
    Gate::new(rates, Rc::new(RefCell::new(meter)), Duration::ZERO, Duration::ZERO, 1)
}

#[test]
fn the_backlogs_rate_slows_the_backlog_only() {
    let rates = RateOptions { bytes_per_second: Some(10_000), backlog_bytes_per_second: Some(1000) };
    let mut gate = gate(rates, UplinkOptions::default());
    gate.spent(Duration::ZERO, WALL_MS, BACKLOG, 5000);
    assert_eq!(gate.ready_at(Duration::ZERO, WALL_MS, LIVE, 5000), None);
    let at = gate.ready_at(Duration::ZERO, WALL_MS, BACKLOG, 5000).unwrap();
    assert!((Duration::from_secs(5)..Duration::from_millis(5001)).contains(&at), "{at:?}");
    gate.spent(Duration::ZERO, WALL_MS, LIVE, 105_000);
    assert!(
        gate.ready_at(Duration::ZERO, WALL_MS, LIVE, 1).unwrap() > Duration::from_secs(9),
        "both share the one rate"
    );
}

#[test]
fn the_longest_wait_of_all_counts() {
    let rates = RateOptions { bytes_per_second: Some(1000), ..RateOptions::default() };
    let windows = vec![Hours::parse("01:00-02:00").unwrap()];
    let mut gate = gate(rates, UplinkOptions { windows, ..UplinkOptions::default() });
    let minute = Duration::from_secs(60);
    assert_eq!(gate.ready_at(minute, WALL_MS + 3_540_000, LIVE, 500), Some(2 * minute));
    gate.spent(minute, WALL_MS, LIVE, 121_000);
    assert!(gate.ready_at(minute, WALL_MS + 3_540_000, LIVE, 500).unwrap() > 2 * minute);
}

#[test]
fn a_stop_spares_the_link_and_not_the_fleet() {
    let rates = RateOptions { bytes_per_second: Some(1000), ..RateOptions::default() };
    let mut gate = gate(rates, UplinkOptions { spread: Some(Duration::from_secs(5)), ..UplinkOptions::default() });
    let failure = Failure { kind: FailureKind::Connect, text: String::new() };
    gate.ended(Duration::ZERO, Duration::ZERO, &Outcome { bytes_sent: 0, result: Err(failure) });
    gate.ended(
        Duration::from_secs(60),
        Duration::ZERO,
        &Outcome { bytes_sent: 0, result: Ok(Answer { status: 204, ..Answer::default() }) },
    );
    assert!(gate.ready_at(Duration::from_secs(60), WALL_MS, LIVE, 1).is_some());
    gate.hurry();
    assert_eq!(gate.ready_at(Duration::from_secs(60), WALL_MS, LIVE, 1), None);
    gate.spent(Duration::from_secs(60), WALL_MS, LIVE, 9000);
    assert!(gate.ready_at(Duration::from_secs(60), WALL_MS, LIVE, 1).is_some());
}

/// Whatever becomes of the samples: the gate is not told of `retry_on_http_429`.
#[test]
fn who_says_not_now_is_asked_more_slowly_and_who_refuses_is_not() {
    let options = UplinkOptions { spread: Some(Duration::from_secs(5)), ..UplinkOptions::default() };
    for (status, is_slow) in [(429, true), (503, true), (302, true), (400, false), (415, false), (401, false)] {
        let mut gate = gate(RateOptions::default(), options.clone());
        for second in 10..40 {
            let answer = Answer { status, ..Answer::default() };
            let outcome = Outcome { bytes_sent: 0, result: Ok(answer) };
            gate.ended(Duration::from_secs(second), Duration::ZERO, &outcome);
        }
        let ready_at = gate.ready_at(Duration::from_secs(39), WALL_MS, LIVE, 1);
        assert_eq!(ready_at.is_some_and(|at| at > Duration::from_secs(40)), is_slow, "{status}: {ready_at:?}");
    }
}

#[test]
fn backlog_is_what_is_older_than_anything_live_gets() {
    let second = Duration::from_secs(1);
    assert_eq!(backlog_age(30 * second, 5 * second), 60 * second);
    assert_eq!(backlog_age(Duration::ZERO, 5 * second), 30 * second);
    assert_eq!(backlog_age(30 * second, 600 * second), 1200 * second);
}

#[test]
fn by_default_a_device_waits_for_its_fleet_no_longer_than_it_would_for_samples() {
    let first = |deadline_s: u64, seed: u64| {
        let meter = Rc::new(RefCell::new(Meter::new(UplinkOptions::default(), [Class::Normal], None)));
        let gate = Gate::new(RateOptions::default(), meter, Duration::from_secs(deadline_s), Duration::ZERO, seed);
        gate.ready_at(Duration::ZERO, WALL_MS, LIVE, 1).unwrap_or_default()
    };
    for (deadline_s, most_ms) in [(0, 0), (1, 1200), (5, 6000), (600, 6000)] {
        assert!((0..200).all(|seed| first(deadline_s, seed) <= Duration::from_millis(most_ms)), "{deadline_s}");
    }
    assert!((0..200).any(|seed| first(600, seed) > Duration::from_secs(4)));
}
