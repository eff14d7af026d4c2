//! Endpoints with several lanes: every record is delivered or counted, once, whatever happens.

use super::*;
use crate::model::{Class, ClassCounts};
use proptest::prelude::*;
use std::collections::BTreeMap;

const SERIES: usize = 40;

fn live_first(name: &str) -> EndpointLanes {
    EndpointLanes { is_live_first: true, ..EndpointLanes::from(name) }
}

/// Series by class: every fourth is high, every third of the others low.
fn class_of(series: &Series) -> Class {
    let i: usize = series.get("i").unwrap().parse().unwrap();
    match i {
        i if i.is_multiple_of(4) => Class::High,
        i if i.is_multiple_of(3) => Class::Low,
        _ => Class::Normal,
    }
}

fn count(batch: &ScrapeBatch) -> ClassCounts {
    let mut counts = ClassCounts::default();
    batch.series.iter().for_each(|series| counts[class_of(series) as usize] += 1);
    counts
}

fn with_classes(endpoint: EndpointLanes, rules_hash: u64) -> EndpointLanes {
    let classes = ClassLanes { classes: Class::ALL.to_vec(), rules_hash, count: Rc::new(count) };
    EndpointLanes { classes: Some(classes), ..endpoint }
}

/// What a receiver got: how often each sample, told by scrape and series.
type Arrived = BTreeMap<(i64, usize), u32>;

/// Hands a sender its next window.
fn take(device: &mut Device, sender: usize) -> Option<Window> {
    device.buffer.divide(sender, device.now);
    device.buffer.window(sender).unwrap()
}

/// The receiver takes the samples of the sender's class from a window: how many.
fn deliver(device: &mut Device, sender: usize, window: &Window, arrived: &mut Arrived) -> usize {
    let role = device.buffer.senders()[sender];
    let mut sent = 0;
    for batch in &window.batches {
        for series in batch.series.iter().filter(|series| role.class.is_none_or(|class| class == class_of(series))) {
            let i: usize = series.get("i").unwrap().parse().unwrap();
            *arrived.entry((batch.timestamp_ms, i)).or_default() += 1;
            sent += 1;
        }
    }
    device.buffer.ack(sender, window.next_record, device.now);
    sent
}

fn send(device: &mut Device, sender: usize, arrived: &mut Arrived) -> usize {
    take(device, sender).map_or(0, |window| deliver(device, sender, &window, arrived))
}

fn drain_all(device: &mut Device, arrived: &mut Arrived) {
    for sender in 0..device.buffer.senders().len() {
        while send(device, sender, arrived) > 0 {}
    }
}

fn scrapes_of(arrived: &Arrived) -> Vec<i64> {
    let mut scrapes: Vec<i64> = arrived.keys().map(|(scrape, _)| *scrape).collect();
    scrapes.dedup();
    scrapes
}

#[test]
fn new_samples_go_ahead_of_a_backlog_and_nothing_is_sent_twice() {
    let mut device = Device::new(&[live_first("a")], SERIES);
    let (mut arrived, mut live) = (Arrived::new(), Arrived::new());
    device.run(100);
    send(&mut device, 0, &mut live);
    let first = *scrapes_of(&live).first().unwrap();
    assert!(first > 50, "what was sent first is new: {first}");
    device.run(10);
    send(&mut device, 0, &mut live);
    assert_eq!(*scrapes_of(&live).last().unwrap(), 109);
    while send(&mut device, 1, &mut arrived) > 0 {}
    assert_eq!(scrapes_of(&arrived), (0..first).collect::<Vec<_>>(), "the backlog ends where the live lane began");
    arrived.extend(live);
    assert_eq!((arrived.len(), arrived.values().max()), (110 * SERIES, Some(&1)));
    assert_eq!(device.buffer.fill().ring_samples, 0, "nothing is needed any more");
}

/// While a backlog waits, what the live lane delivers in time must not go to flash: it would wear it for nothing, and need a
/// place that the backlog has.
#[test]
fn what_is_delivered_in_time_is_not_written_while_a_backlog_waits() {
    let mut device = Device::new(&[live_first("a")], SERIES);
    let mut arrived = Arrived::new();
    device.run(100);
    send(&mut device, 0, &mut arrived);
    let before = device.counters.samples_committed.get();
    for _ in 0..600 {
        device.run(1);
        send(&mut device, 0, &mut arrived);
    }
    // A scrape goes along with the acknowledgements, which are written every half a minute.
    assert!(device.counters.samples_committed.get() <= before + 20 * SERIES as u64);
    assert_eq!(device.buffer.fill().stage_samples, 0, "nor does it fill memory");
    drain_all(&mut device, &mut arrived);
    assert_eq!((arrived.len(), arrived.values().max()), (700 * SERIES, Some(&1)));
}

#[test]
fn a_restart_in_the_middle_of_a_backlog_goes_on_in_both_lanes() {
    let mut device = Device::new(&[live_first("a")], SERIES);
    let mut arrived = Arrived::new();
    device.run(100);
    send(&mut device, 0, &mut arrived);
    device.run(30);
    send(&mut device, 0, &mut arrived);
    device.buffer.close().unwrap();
    let mut device = device.reboot(&[live_first("a")]);
    device.run(5);
    drain_all(&mut device, &mut arrived);
    assert_eq!((arrived.len(), arrived.values().max()), (135 * SERIES, Some(&1)));
}

#[test]
fn a_lane_for_each_class_gets_its_own_and_one_does_not_wait_for_another() {
    let mut device = Device::new(&[with_classes("a".into(), 1)], SERIES);
    assert_eq!(device.buffer.senders().iter().map(|role| role.class).collect::<Vec<_>>(), Class::ALL.map(Some));
    let mut arrived = Arrived::new();
    device.run(200);
    while send(&mut device, 0, &mut arrived) > 0 {}
    assert_eq!(arrived.len(), 200 * SERIES / 4, "the first class has all of its own before any other");
    drain_all(&mut device, &mut arrived);
    assert_eq!((arrived.len(), arrived.values().max()), (200 * SERIES, Some(&1)));
}

/// A segment that is given up is lost to the lanes that lacked it only, and for the samples of their class only.
#[test]
fn what_the_ring_gives_up_is_counted_for_the_classes_that_lacked_it() {
    let mut device = Device::new(&[with_classes("a".into(), 1)], SERIES);
    let mut arrived = Arrived::new();
    for _ in 0..900 {
        device.run(1);
        send(&mut device, 0, &mut arrived);
    }
    assert_eq!(device.counters.endpoint(0).dropped_total() % (SERIES as u64 * 3 / 4), 0);
    drain_all(&mut device, &mut arrived);
    let dropped = device.counters.endpoint(0).dropped(DropCause::RingFull);
    assert!(dropped > 0, "the ring was meant to be too small");
    assert_eq!(arrived.len() as u64 + dropped, 900 * SERIES as u64);
}

/// Lanes come and go with the configuration. Each line: what it was, and what it becomes.
#[test]
fn whatever_lanes_the_configuration_makes_next_nothing_is_missed() {
    let variants: [fn() -> EndpointLanes; 5] = [
        || "a".into(),
        || live_first("a"),
        || with_classes("a".into(), 1),
        || with_classes("a".into(), 2),
        || with_classes(live_first("a"), 2),
    ];
    for (from, to) in (0..5).flat_map(|from| (0..5).map(move |to| (from, to))) {
        let mut device = Device::new(&[variants[from](), "b".into()], SERIES);
        let mut arrived = Arrived::new();
        device.run(100);
        // Some have come further than others, "b" has nothing.
        for (sender, windows) in [2, 1, 1, 0, 1].into_iter().enumerate().take(device.buffer.senders().len() - 1) {
            (0..windows).for_each(|_| _ = send(&mut device, sender, &mut arrived));
        }
        let had: Arrived = std::mem::take(&mut arrived);
        device.buffer.close().unwrap();
        let mut device = device.reboot(&[variants[to](), "b".into()]);
        for sender in 0..device.buffer.senders().len() - 1 {
            while send(&mut device, sender, &mut arrived) > 0 {}
        }
        if from == to {
            assert!(arrived.keys().all(|sample| !had.contains_key(sample)), "{from} {to}: nothing is sent twice");
        }
        arrived.extend(had);
        assert_eq!(arrived.len(), 100 * SERIES, "{from} {to}");
    }
}

/// Other rules may make a series more urgent that was not: a lane that is ahead must not go on from where it was with others'.
#[test]
fn under_other_rules_every_lane_begins_where_the_slowest_was() {
    let mut device = Device::new(&[with_classes("a".into(), 1)], SERIES);
    device.run(100);
    drain_all_of(&mut device, 0);
    device.buffer.close().unwrap();
    let mut device = device.reboot(&[with_classes("a".into(), 2)]);
    for sender in 0..3 {
        assert_eq!(drain_all_of(&mut device, sender), (0..100).collect::<Vec<_>>());
    }
}

/// The scrapes that one sender is handed.
fn drain_all_of(device: &mut Device, sender: usize) -> Vec<i64> {
    let mut arrived = Arrived::new();
    while send(device, sender, &mut arrived) > 0 {}
    scrapes_of(&arrived)
}

/// A segment has room for sixteen numbers. With those of an endpoint that had been renamed, the ring knew sixteen, of which
/// the present lanes' were added to until there was no room: the new endpoint's were dropped. Once all others were delivered, a
/// restart took it to have come as far as they, and what had waited for it was gone without a count.
#[test]
fn a_renamed_endpoint_keeps_its_place_where_the_ring_knows_many_lanes() {
    let endpoints = |name: &str| {
        [with_classes(live_first("a"), 1), with_classes(name.into(), 1), live_first("d"), EndpointLanes::from("e")]
    };
    let drain = |device: &mut Device, drained: &[usize]| {
        let mut arrived = Arrived::new();
        for sender in 0..device.buffer.senders().len() {
            if drained.contains(&device.buffer.senders()[sender].endpoint) {
                while send(device, sender, &mut arrived) > 0 {}
            }
        }
        arrived.len()
    };
    let mut device = Device::new(&endpoints("b"), SERIES);
    device.run(100);
    drain(&mut device, &[1, 2, 3]);
    device.buffer.close().unwrap();
    let mut device = device.reboot(&endpoints("c"));
    device.run(1);
    drain(&mut device, &[0, 2, 3]);
    device.buffer.close().unwrap();
    let mut device = device.reboot(&endpoints("c"));
    assert_eq!(drain(&mut device, &[1]), 101 * SERIES, "what was waiting for the renamed one");
}

/// One step of a device's life.
#[derive(Clone, Debug)]
enum Step {
    Run(u32),
    Send { sender: usize, windows: u32, acknowledges: bool },
    Restart { is_clean: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let send = (0usize..6, 1u32..5, any::<bool>(), any::<bool>());
    let step = prop_oneof![
        6 => (1u32..60).prop_map(Step::Run),
        6 => send.prop_map(|(sender, windows, a, b)| Step::Send { sender, windows, acknowledges: a || b }),
        1 => any::<bool>().prop_map(|is_clean| Step::Restart { is_clean }),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Through outages, evictions, kills and restarts: each sample arrives or is counted as given up; twice only after a restart;
    /// and what a restart takes was in
    /// memory only, or with a sender when the ring gave it up.
    #[test]
    fn every_sample_is_delivered_or_counted(steps in steps(), is_live_first: bool, has_classes: bool) {
        let endpoint = || {
            let endpoint = EndpointLanes { is_live_first, ..EndpointLanes::from("a") };
            if has_classes { with_classes(endpoint, 7) } else { endpoint }
        };
        let mut device = Device::new(&[endpoint()], SERIES);
        let (mut arrived, mut dropped, mut restarts, mut killed) = (Arrived::new(), 0, 0, 0);
        let mut held: [Option<Window>; 6] = Default::default();
        for step in steps {
            match step {
                Step::Run(seconds) => device.run(seconds),
                Step::Send { sender, windows, acknowledges } => {
                    let sender = sender % device.buffer.senders().len();
                    let kept = held[sender].take();
                    kept.iter().for_each(|window| _ = deliver(&mut device, sender, window, &mut arrived));
                    (0..windows).for_each(|_| _ = send(&mut device, sender, &mut arrived));
                    if !acknowledges {
                        held[sender] = take(&mut device, sender);
                    }
                }
                Step::Restart { is_clean } => {
                    if is_clean {
                        device.buffer.close().unwrap();
                    }
                    killed += if is_clean { 0 } else { device.buffer.fill().stage_samples };
                    // The ring may have given up what senders still held.
                    killed += held.iter_mut().filter_map(Option::take).map(|window| window.samples()).sum::<usize>();
                    dropped += device.counters.endpoint(0).dropped_total();
                    device = device.reboot(&[endpoint()]);
                    restarts += 1;
                }
            }
            if restarts == 0 {
                prop_assert!(arrived.values().all(|times| *times == 1), "sent twice");
            }
        }
        for (sender, window) in held.iter().enumerate().filter_map(|(sender, held)| Some((sender, held.as_ref()?))) {
            deliver(&mut device, sender, window, &mut arrived);
        }
        drain_all(&mut device, &mut arrived);
        dropped += device.counters.endpoint(0).dropped_total();
        let all = device.scrapes as u64 * SERIES as u64;
        if restarts == 0 {
            prop_assert_eq!(arrived.len() as u64 + dropped, all);
        }
        // What is counted may have arrived before a restart made the agent forget it.
        prop_assert!(arrived.len() as u64 + dropped + killed as u64 >= all, "{} {dropped} {killed} {all}", arrived.len());
    }
}
