use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);
const ID: u64 = 0x1111_2222_3333_4444;

fn fresh(divides: bool) -> Lane {
    Lane::restore(0, None, ID, divides, &Acks::new(), 0)
}

fn restored(lane: &Lane, divides: bool) -> Lane {
    Lane::restore(0, None, ID, divides, &lane.acks().collect(), 0)
}

fn lacked(lane: &Lane, until: u64) -> Vec<u64> {
    (0..until).filter(|record| lane.lacks(*record)).collect()
}

/// Gives the live head what memory holds, behind a process that has run long enough to know an outage.
fn fall_behind(lane: &mut Lane, memory_from: u64, now: Duration) -> bool {
    lane.observe(memory_from, now);
    lane.divide(memory_from, now + BEHIND_MIN)
}

#[test]
fn a_lane_divides_after_an_outage_and_is_one_again_when_the_backlog_is_delivered() {
    let mut lane = fresh(true);
    lane.ack(Part::Live, 10);
    lane.observe(10, SECOND);
    assert!(!lane.divide(10, 100 * SECOND), "it is in memory");
    assert!(fall_behind(&mut lane, 50, 100 * SECOND));
    assert_eq!((lane.next_record(Part::Live), lane.next_record(Part::Old), lane.end(Part::Old)), (50, 10, 50));
    lane.ack(Part::Live, 70);
    assert_eq!(lacked(&lane, 72), (10..50).chain(70..72).collect::<Vec<_>>());
    assert_eq!((lane.next_needed(0), lane.next_needed(45), lane.next_needed(50)), (10, 45, 70));
    lane.ack(Part::Old, 50);
    assert_eq!(lacked(&lane, 72), [70, 71]);
    assert!(lane.acks().all(|ack| ack.next_record == 70), "all of its numbers say the same now");
}

#[test]
fn a_request_that_takes_long_divides_nothing() {
    let mut lane = fresh(true);
    lane.observe(0, SECOND);
    lane.observe(5, 2 * SECOND);
    lane.observe(9, 10 * SECOND);
    assert!(!lane.divide(9, 2 * SECOND + BEHIND_MIN - Duration::from_millis(1)));
    assert!(lane.divide(9, 2 * SECOND + BEHIND_MIN), "since it fell behind, and not since it was looked at last");
}

#[test]
fn oldest_first_never_divides() {
    let mut lane = fresh(false);
    assert!(!fall_behind(&mut lane, 50, SECOND));
    assert_eq!(lane.acks().collect::<Vec<_>>(), [Ack { endpoint: ID, next_record: 0 }]);
    assert_eq!(lane.parts().collect::<Vec<_>>(), [Part::Live]);
}

#[test]
fn what_came_between_two_outages_is_passed_over_and_not_lacked() {
    let mut lane = fresh(true);
    assert!(fall_behind(&mut lane, 50, SECOND));
    lane.ack(Part::Live, 60);
    lane.ack(Part::Old, 20);
    assert!(fall_behind(&mut lane, 90, 100 * SECOND));
    assert_eq!(lacked(&lane, 90), (20..50).chain(60..90).collect::<Vec<_>>());
    let passed_over: Vec<u64> = (0..95).filter(|record| lane.is_passed_over(Part::Old, *record)).collect();
    assert_eq!(passed_over, (50..60).collect::<Vec<_>>());
    assert!(!lane.is_passed_over(Part::Live, 55));
    assert_eq!(lacked(&restored(&lane, true), 90), (20..90).collect::<Vec<_>>(), "a restart sends it again");
}

#[test]
fn more_outages_than_are_remembered_repeat_the_shortest_stretch() {
    let mut lane = fresh(true);
    let mut at = 0;
    for outage in 0..=DELIVERED_RANGES_MAX as u64 + 1 {
        at += 100;
        assert!(fall_behind(&mut lane, at, 100 * outage as u32 * SECOND));
        at += if outage == 7 { 3 } else { 10 };
        lane.ack(Part::Live, at);
    }
    assert_eq!((at - 10, lane.end(Part::Old)), (lane.end(Part::Old), at - 10));
    let passed_over = (0..at).filter(|record| lane.is_passed_over(Part::Old, *record)).count();
    assert_eq!(passed_over, 10 * DELIVERED_RANGES_MAX);
}

#[test]
fn what_senders_hold_is_not_lost_with_the_ring_until_they_end() {
    let mut lane = fresh(true);
    assert!(fall_behind(&mut lane, 50, SECOND));
    lane.hand_out(Part::Old, 8);
    lane.hand_out(Part::Live, 53);
    assert_eq!(lacked(&lane, 55), (8..50).chain(53..55).collect::<Vec<_>>());
    assert_eq!(lane.next_needed(0), 0, "but it stays needed");
    lane.forget_handed_out();
    assert_eq!(lacked(&lane, 55), (0..55).collect::<Vec<_>>());
}

#[test]
fn the_ring_may_know_less_and_nothing_but_repeats_comes_of_it() {
    let mut lane = fresh(true);
    assert!(fall_behind(&mut lane, 50, SECOND));
    lane.ack(Part::Live, 60);
    lane.ack(Part::Old, 20);
    let all: Acks = lane.acks().collect();
    let without = |id: u64| all.iter().copied().filter(|ack| ack.endpoint != id).collect::<Acks>();
    for (acks, divides, expected) in [
        (all.clone(), true, (20..50).chain(60..65).collect::<Vec<_>>()),
        (all.clone(), false, (20..65).collect()),
        (without(join_id(ID)), true, (20..65).collect()),
        (without(live_id(ID)), true, (20..65).collect()),
        (without(ID), true, (5..50).chain(60..65).collect()),
    ] {
        assert_eq!(lacked(&Lane::restore(0, None, ID, divides, &acks, 5), 65), expected, "{acks:?} {divides}");
    }
}

#[test]
fn a_backlog_that_is_found_at_the_start_divides_at_once() {
    let mut lane = restored(&fresh(true), true);
    assert!(lane.divide(40, Duration::ZERO));
    assert_eq!(lane.end(Part::Old), 40);
}

#[test]
fn ids_tell_which_belong_together_and_no_name_has_them() {
    let ids = [endpoint_id("a"), join_id(endpoint_id("a")), live_id(endpoint_id("a")), endpoint_id("b")];
    assert!(ids[..3].iter().all(|id| id >> 32 == ids[0] >> 32) && ids[3] >> 32 != ids[0] >> 32);
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
}

/// What a receiver has, kept in the simplest way: each record's number of arrivals.
struct World {
    lane: Lane,
    arrived: Vec<u32>,
    memory_from: u64,
    now: Duration,
    /// Numbers as some commit wrote them.
    on_flash: Acks,
}

impl World {
    /// A sender takes some of what its part lacks, in order, as the buffer hands it out.
    fn send(&mut self, part: Part, count: u64) {
        if part == Part::Live {
            self.lane.divide(self.memory_from, self.now);
        }
        let end = self.lane.end(part).min(self.arrived.len() as u64);
        let from = self.lane.next_record(part);
        let until = (from + count).min(end).max(from);
        self.lane.hand_out(part, until);
        for record in from..until {
            if !self.lane.is_passed_over(part, record) {
                self.arrived[record as usize] += 1;
            }
        }
        self.lane.ack(part, until);
    }

    fn restart(&mut self, has_closed: bool) {
        let acks = if has_closed { self.lane.acks().collect() } else { self.on_flash.clone() };
        self.lane = Lane::restore(0, None, ID, true, &acks, 0);
        self.memory_from = self.arrived.len() as u64;
        self.now = Duration::ZERO;
    }
}

proptest! {
    /// Whatever happens: what the lane says it does not lack has arrived, without a restart nothing arrives twice, and in the
    /// end everything has arrived.
    #[test]
    fn nothing_is_missed_and_only_restarts_repeat(steps in prop::collection::vec((0u8..16, 1u64..40), 1..400)) {
        let mut world = World {
            lane: fresh(true),
            arrived: Vec::new(),
            memory_from: 0,
            now: Duration::ZERO,
            on_flash: Acks::new(),
        };
        let mut has_restarted = false;
        for (kind, count) in steps {
            match kind {
                0..=4 => {
                    world.arrived.resize(world.arrived.len() + count as usize, 0);
                    world.lane.observe(world.memory_from, world.now);
                }
                5..=8 => world.send(Part::Live, count),
                9..=11 => world.send(Part::Old, count),
                12 => world.now += count as u32 * SECOND,
                13 => world.memory_from = (world.memory_from + 2 * count).min(world.arrived.len() as u64),
                14 => world.on_flash = world.lane.acks().collect(),
                _ => {
                    world.restart(count % 2 == 0);
                    has_restarted = true;
                }
            }
            for (record, arrivals) in (0..).zip(&world.arrived) {
                prop_assert!(*arrivals > 0 || world.lane.lacks(record), "{record} is missed");
                prop_assert!(*arrivals < 2 || has_restarted, "{record} was sent twice");
            }
            let acks: Vec<_> = world.lane.acks().map(|ack| ack.next_record).collect();
            prop_assert!(acks.is_sorted(), "{:?}", acks);
        }
        for part in [Part::Live, Part::Old] {
            world.send(part, u64::MAX / 4);
        }
        prop_assert!(world.arrived.iter().all(|arrivals| *arrivals > 0));
        let end = world.arrived.len() as u64;
        prop_assert_eq!(world.lane.next_lacking(0), end);
    }
}
