//! An uplink's account over days, restarts and clocks that are wrong.

use super::super::calendar::DAY_MS;
use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const HOUR_MS: i64 = 3_600_000;
const NOW: Duration = Duration::from_secs(1000);

/// 2026-11-21T00:00:00Z.
const TODAY_MS: i64 = 1_795_219_200_000;

fn per_day(bytes: u64) -> UplinkOptions {
    UplinkOptions { bytes_per_day: Some(bytes), ..UplinkOptions::default() }
}

fn meter(options: UplinkOptions) -> Meter {
    Meter::new(options, Class::ALL, None)
}

fn samples(class: Class) -> Traffic {
    Traffic::Samples { class, is_backlog: false }
}

/// Whether a class may spend so much at this time.
fn is_open(meter: &mut Meter, wall_ms: i64, class: Class, bytes: u64) -> bool {
    meter.ready_at(NOW, wall_ms, samples(class), bytes).is_none()
}

#[test]
fn without_a_budget_or_windows_everything_may_go() {
    let mut meter = meter(UplinkOptions::default());
    meter.spent(TODAY_MS, u64::MAX);
    assert!(Class::ALL.into_iter().all(|class| is_open(&mut meter, 0, class, u64::MAX)));
    assert!(!meter.is_metered() && !meter.take_note_due());
}

#[test]
fn a_used_budget_is_told_once_and_opens_with_the_next_day() {
    let mut meter = meter(per_day(MIB));
    meter.spent(TODAY_MS, MIB);
    for minute in 0..23 * 60 {
        let wall_ms = TODAY_MS + minute * 60_000;
        assert_eq!(
            meter.ready_at(NOW, wall_ms, samples(Class::High), 1),
            Some(NOW + LOOK_INTERVAL),
            "it looks at the clock once an hour"
        );
    }
    let at = meter.ready_at(NOW, TODAY_MS + DAY_MS - 5000, samples(Class::High), 1);
    assert_eq!(at, Some(NOW + Duration::from_secs(5)));
    assert_eq!(
        meter.take_lines(),
        [
            "uplink: max_bytes_per_day 1MiB has no room for samples of class high until 2026-11-22T00:00:00Z; they stay in the \
             ring meanwhile"
        ]
    );
    assert!(is_open(&mut meter, TODAY_MS + DAY_MS, Class::High, MIB));
}

#[test]
fn half_a_budget_is_kept_from_metadata_whatever_the_classes_are() {
    for class in Class::ALL {
        let mut meter = Meter::new(per_day(100 * MIB), [class], None);
        let is_open = |meter: &mut Meter, hour: i64, bytes: u64| {
            meter.ready_at(NOW, TODAY_MS + hour * HOUR_MS, Traffic::Metadata, bytes).is_none()
        };
        assert!(is_open(&mut meter, 0, 50 * MIB) && !is_open(&mut meter, 0, 51 * MIB), "{class:?}");
        assert!(is_open(&mut meter, 12, 75 * MIB) && !is_open(&mut meter, 12, 76 * MIB), "{class:?}");
        assert_eq!(
            meter.take_lines(),
            ["uplink: max_bytes_per_day 100MiB has no room for metadata until 2026-11-21T00:28:48Z; it is not sent \
                 meanwhile"]
        );
        assert!(!is_open(&mut meter, 12, 101 * MIB), "it never takes all of it");
        assert_eq!(meter.ready_at(NOW, TODAY_MS, samples(class), 101 * MIB), None);
    }
}

/// The example of docs/configuration.md: of 100 MiB a day, 50 are kept from low and 20 from normal at midnight, half as much at noon.
#[test]
fn low_stops_first_and_then_normal_and_what_is_kept_shrinks() {
    for (hour, class, most_mib) in [
        (0, Class::Low, 50),
        (0, Class::Normal, 80),
        (0, Class::High, 100),
        (12, Class::Low, 75),
        (12, Class::Normal, 90),
        (12, Class::High, 100),
        (18, Class::Low, 87),
        (18, Class::Normal, 95),
    ] {
        let mut meter = meter(per_day(100 * MIB));
        let wall_ms = TODAY_MS + hour * HOUR_MS;
        meter.spent(wall_ms, (most_mib - 1) * MIB);
        assert!(is_open(&mut meter, wall_ms, class, MIB), "{hour} {class:?}");
        meter.spent(wall_ms, MIB);
        assert!(!is_open(&mut meter, wall_ms, class, MIB), "{hour} {class:?}");
    }
}

#[test]
fn what_is_kept_opens_when_it_is_said_to() {
    let mut meter = meter(per_day(100 * MIB));
    meter.spent(TODAY_MS, 74 * MIB);
    let at = meter.budgets[0].open_at_ms(TODAY_MS, samples(Class::Low), Class::High, MIB);
    assert_eq!(at, Opening::At(TODAY_MS + 12 * HOUR_MS));
    assert!(!is_open(&mut meter, TODAY_MS + 12 * HOUR_MS - 1, Class::Low, MIB));
    assert!(is_open(&mut meter, TODAY_MS + 12 * HOUR_MS, Class::Low, MIB));
}

#[test]
fn nothing_is_kept_for_classes_that_no_endpoint_has() {
    let mut normal_only = Meter::new(per_day(100 * MIB), [Class::Normal], None);
    normal_only.spent(TODAY_MS, 99 * MIB);
    assert!(is_open(&mut normal_only, TODAY_MS, Class::Normal, MIB));
    let mut with_low = Meter::new(per_day(100 * MIB), [Class::Low, Class::Normal], None);
    with_low.spent(TODAY_MS, 60 * MIB);
    assert!(is_open(&mut with_low, TODAY_MS, Class::Normal, 40 * MIB));
    assert!(!is_open(&mut with_low, TODAY_MS, Class::Low, MIB));
}

#[test]
fn a_request_that_is_larger_than_the_budget_goes_alone() {
    let mut meter = meter(per_day(MIB));
    assert!(is_open(&mut meter, TODAY_MS, Class::Low, 3 * MIB));
    meter.spent(TODAY_MS, 3 * MIB);
    assert!(!is_open(&mut meter, TODAY_MS, Class::High, 1));
    assert!(is_open(&mut meter, TODAY_MS + DAY_MS, Class::Low, 3 * MIB));
}

#[test]
fn a_month_starts_on_its_day() {
    let options = UplinkOptions { bytes_per_month: Some(MIB), month_starts_on: 15, ..UplinkOptions::default() };
    let mut meter = meter(options);
    meter.spent(TODAY_MS, MIB);
    for (day, opens) in [(1, false), (23, false), (24, true)] {
        // 2026-12-15 is 24 days later.
        assert_eq!(is_open(&mut meter, TODAY_MS + day * DAY_MS, Class::High, 1), opens, "{day}");
    }
}

#[test]
fn a_clock_that_is_wrong_opens_nothing_for_free() {
    for (what, clock) in [
        ("back by an hour over midnight", vec![-HOUR_MS, 0]),
        ("back by days", vec![-5 * DAY_MS, -4 * DAY_MS - HOUR_MS, 0]),
        ("not set", vec![-TODAY_MS, 40 * DAY_MS - TODAY_MS]),
        ("not set and set again", vec![-TODAY_MS, HOUR_MS]),
    ] {
        let mut meter = meter(per_day(MIB));
        meter.spent(TODAY_MS + 5, MIB);
        for offset_ms in &clock[..clock.len() - 1] {
            assert!(!is_open(&mut meter, TODAY_MS + offset_ms, Class::High, 1), "{what}");
        }
        let last = *clock.last().unwrap();
        // Only after days back, a later day than that one is a new one: else a clock once far ahead would close it for years.
        assert_eq!(is_open(&mut meter, TODAY_MS + last, Class::High, 1), what == "back by days", "{what}");
    }
}

#[test]
fn a_clock_that_was_years_ahead_closes_the_budget_for_a_day_and_no_longer() {
    let mut meter = meter(per_day(MIB));
    meter.spent(TODAY_MS + 9000 * DAY_MS, MIB);
    assert!(!is_open(&mut meter, TODAY_MS, Class::High, 1));
    assert!(is_open(&mut meter, TODAY_MS + DAY_MS, Class::High, 1));
}

/// A ring that opens late brings its account along.
#[test]
fn an_account_that_is_found_late_is_added() {
    let mut earlier = meter(per_day(MIB));
    earlier.spent(TODAY_MS, MIB / 2);
    let mut later = meter(per_day(MIB));
    later.spent(TODAY_MS + HOUR_MS, MIB / 4);
    later.add(&earlier.note());
    assert!(is_open(&mut later, TODAY_MS + HOUR_MS, Class::High, MIB / 4));
    assert!(!is_open(&mut later, TODAY_MS + HOUR_MS, Class::High, MIB / 4 + 1));
    let mut tomorrow = meter(per_day(MIB));
    tomorrow.spent(TODAY_MS + DAY_MS, MIB / 4);
    tomorrow.add(&earlier.note());
    assert!(is_open(&mut tomorrow, TODAY_MS + DAY_MS, Class::High, MIB / 4 * 3));
}

#[test]
fn what_was_spent_before_the_clock_was_set_counts() {
    let mut meter = meter(per_day(MIB));
    meter.spent(1000, MIB);
    assert_eq!(meter.ready_at(NOW, 2000, samples(Class::High), 1), Some(NOW + LOOK_INTERVAL_UNSET));
    assert!(!is_open(&mut meter, TODAY_MS, Class::High, 1));
    assert!(is_open(&mut meter, TODAY_MS + DAY_MS, Class::High, 1));
}

#[test]
fn the_account_survives_the_process() {
    let options = UplinkOptions { bytes_per_month: Some(5 * MIB), ..per_day(MIB) };
    let mut before = meter(options.clone());
    before.spent(TODAY_MS, MIB - 1);
    let mut after = Meter::new(options.clone(), Class::ALL, Some(&before.note()));
    assert!(is_open(&mut after, TODAY_MS, Class::High, 1) && !is_open(&mut after, TODAY_MS, Class::High, 2));
    assert_eq!(after.note(), before.note());
    // The month goes on where the day begins anew.
    after.spent(TODAY_MS + DAY_MS, 4 * MIB);
    let mut later = Meter::new(options, Class::ALL, Some(&after.note()));
    assert!(!is_open(&mut later, TODAY_MS + 2 * DAY_MS, Class::High, 2));
}

#[test]
fn it_is_worth_a_write_fifty_times_a_budget() {
    let mut meter = meter(UplinkOptions { bytes_per_month: Some(100 * MIB), ..per_day(10 * MIB) });
    let due = (0..1000).filter(|_| {
        meter.spent(TODAY_MS, 10 * MIB / 1000);
        meter.take_note_due()
    });
    assert!((47..=50).contains(&due.count()));
}

#[test]
fn outside_the_windows_only_high_is_sent() {
    let hours = |text: &str| vec![Hours::parse(text).unwrap()];
    let mut both = UplinkOptions { windows: hours("01:00-05:00"), ..UplinkOptions::default() };
    both.windows.extend(hours("22:00-23:00"));
    let low = UplinkOptions { low_windows: Some(hours("02:00-03:00")), ..both.clone() };
    for (options, hour, expected) in [
        (&both, 0, [true, false, false]),
        (&both, 1, [true, true, true]),
        (&both, 22, [true, true, true]),
        (&low, 1, [true, true, false]),
        (&low, 2, [true, true, true]),
        (&low, 22, [true, true, false]),
    ] {
        let mut meter = meter(options.clone());
        let found = Class::ALL.map(|class| is_open(&mut meter, TODAY_MS + hour * HOUR_MS, class, MIB));
        assert_eq!(found, expected, "{hour}");
    }
    let mut meter = meter(both);
    let at = meter.ready_at(NOW, TODAY_MS + HOUR_MS / 2, samples(Class::Low), 1);
    assert_eq!(at, Some(NOW + Duration::from_secs(1800)));
    assert_eq!(
        meter.ready_at(NOW, 5, samples(Class::Normal), 1),
        Some(NOW + LOOK_INTERVAL_UNSET),
        "hours of a clock that is not set"
    );
}

proptest! {
    /// Whatever is noted can be read, and whatever the clock does, a day's requests that were let go are within the budget.
    #[test]
    fn no_day_sees_more_than_its_budget(
        noted in prop::collection::vec(any::<u8>(), 0..30),
        steps in prop::collection::vec((-4 * HOUR_MS..20 * HOUR_MS, 1u64..200_000, 0usize..3), 1..200),
    ) {
        let mut meter = Meter::new(per_day(MIB), Class::ALL, Some(&noted));
        let (mut wall_ms, mut days) = (TODAY_MS, std::collections::BTreeMap::<i64, u64>::new());
        for (step_ms, bytes, class) in steps {
            wall_ms += step_ms;
            if is_open(&mut meter, wall_ms, Class::ALL[class], bytes) {
                meter.spent(wall_ms, bytes);
                *days.entry(meter.budgets[0].index.unwrap_or(0)).or_default() += bytes;
            }
        }
        prop_assert!(days.values().all(|used| *used <= MIB), "{:?}", days);
    }
}

#[test]
fn metadata_has_the_hours_of_the_class_low() {
    let hours = |text| vec![Hours::parse(text).unwrap()];
    let mut options = UplinkOptions { windows: hours("01:00-03:00"), ..UplinkOptions::default() };
    let is_open = |options: &UplinkOptions, hour: i64| {
        let wall_ms = TODAY_MS + hour * HOUR_MS;
        Meter::new(options.clone(), [Class::High], None).ready_at(NOW, wall_ms, Traffic::Metadata, 1).is_none()
    };
    assert_eq!([0, 1, 2, 3].map(|hour| is_open(&options, hour)), [false, true, true, false]);
    options.low_windows = Some(hours("02:00-03:00"));
    assert_eq!([0, 1, 2, 3].map(|hour| is_open(&options, hour)), [false, false, true, false]);
}
