//! A write budget over simulated days: within it nothing changes; beyond it commits are rarer, then samples are given up.

use super::*;
use crate::buffer::WriteBudget;

const INTERVAL: Duration = Duration::from_secs(15);
const INTERVAL_MAX: Duration = Duration::from_secs(600);
const HOUR: u32 = 3600 / 15;
const SERIES: usize = 20;

fn device(budget: Option<&str>) -> Device {
    let mut device = Device::new(&["a"], SERIES);
    limit(&mut device, budget);
    device
}

fn limit(device: &mut Device, budget: Option<&str>) {
    if let Some(budget) = budget {
        device.buffer.limit_writes(WriteBudget::parse(budget).unwrap(), INTERVAL_MAX);
    }
}

/// So many scrapes with the uplink down. No sample may wait for longer than the longest commit interval.
fn offline(device: &mut Device, scrapes: u32) {
    for _ in 0..scrapes {
        device.now += INTERVAL;
        device.scrape();
        device.commit_if_due().unwrap();
        let oldest = device.buffer.stage.entered(device.buffer.uncommitted_from());
        assert!(oldest.is_none_or(|oldest| device.now - oldest < INTERVAL_MAX), "{oldest:?} at {:?}", device.now);
    }
}

/// What a day without uplink costs: bytes and programs, and the samples given up for the budget. Every sample is accounted for.
fn day(budget: Option<&str>) -> (u64, u64, u64) {
    let mut device = device(budget);
    offline(&mut device, 24 * HOUR);
    let delivered = device.drain(0).len() as u64 * SERIES as u64;
    let counters = device.counters.endpoint(0);
    assert_eq!(delivered + counters.dropped_total(), u64::from(24 * HOUR) * SERIES as u64, "{budget:?}");
    let dropped = counters.dropped(DropCause::WriteBudget);
    (device.flash_bytes(), device.counters.flash_programs.get(), dropped)
}

#[test]
fn within_the_budget_everything_is_as_without_one() {
    assert_eq!(day(Some("50MiB/day")), day(None));
}

#[test]
fn a_tighter_budget_makes_commits_rarer_and_costs_no_sample() {
    let (_, programs_without, _) = day(None);
    let (bytes, programs, dropped) = day(Some("3MiB/day"));
    assert!(bytes <= 3 << 20, "{bytes}");
    assert!(programs < programs_without / 5, "{programs} of {programs_without}");
    assert_eq!(dropped, 0);
}

#[test]
fn past_the_longest_interval_samples_are_given_up_and_counted() {
    let (bytes, programs, dropped) = day(Some("1280KiB/day"));
    assert!(bytes <= 1280 << 10, "{bytes}");
    let most = u64::from(24 * HOUR) * SERIES as u64;
    assert!((most / 2..most * 9 / 10).contains(&dropped), "{dropped} of {most}");
    assert!((24..=144).contains(&programs), "the longest interval is kept to: {programs}");
}

#[test]
fn a_device_that_restarts_in_a_loop_gets_no_more() {
    let mut device = device(Some("4MiB/day"));
    let mut bytes = 0;
    for _ in 0..6 * 12 {
        offline(&mut device, HOUR / 12);
        bytes += device.flash_bytes();
        device = device.reboot(&["a"]);
        limit(&mut device, Some("4MiB/day"));
    }
    assert!((1..=1 << 20).contains(&bytes), "{bytes} in six hours");
}

#[test]
fn what_was_not_needed_is_there_for_an_outage_after_quiet_hours() {
    let mut device = device(Some("8MiB/hour"));
    offline(&mut device, 2);
    for _ in 0..HOUR {
        device.now += INTERVAL;
        device.scrape();
        device.drain(0);
        device.commit_if_due().unwrap();
    }
    let programs = device.counters.flash_programs.get();
    offline(&mut device, HOUR / 2);
    let programs = device.counters.flash_programs.get() - programs;
    assert_eq!(programs, 41, "one every third scrape: those of thirty seconds; and the ring's first header");
}

#[test]
fn memory_keeps_to_its_bound_while_the_budget_holds_commits_back() {
    let mut device = Device::new(&["a"], 2000);
    limit(&mut device, Some("64KiB/day"));
    let scrapes = 300;
    for _ in 0..scrapes {
        device.now += Duration::from_secs(1);
        device.scrape();
        assert!(device.buffer.stage.bytes() <= STAGE_BYTES_MAX);
    }
    let dropped = device.counters.endpoint(0).dropped(DropCause::WriteBudget);
    assert!(dropped > 0);
    assert_eq!(device.drain(0).len() as u64 * 2000 + dropped, scrapes * 2000);
}

#[test]
fn a_clean_stop_keeps_what_the_budget_had_held_back() {
    let mut device = device(Some("64KiB/day"));
    offline(&mut device, 20);
    assert_eq!(device.flash_bytes(), 0);
    device.buffer.close().unwrap();
    let mut device = device.reboot(&["a"]);
    assert_eq!(device.drain(0), (0..20).collect::<Vec<_>>());
}
