//! The fixed scripts: each is one story of a device in the field, and names what it is about.

use super::exporter::Growth;
use super::plan::{CardKind, Endpoint, Plan, Setup, Step};
use super::receiver::Answer::*;
use super::receiver::{Impostor, Speaks};

pub fn all() -> Vec<Plan> {
    vec![
        credentials_expire(),
        impostors_answer(),
        overflow_across_restarts(),
        drained_then_killed(),
        answers_are_slow_or_cut(),
        everything_is_refused(),
        samples_are_poisoned(),
        half_of_it_is_written(),
        bodies_are_too_large(),
        the_address_moves(),
        the_ring_is_deleted(),
        the_card_is_read_only_at_boot(),
        series_come_and_go(),
        the_process_is_held_up(),
        the_card_refuses_writes(),
        the_card_blocks(),
        the_clock_jumps(),
        power_cuts(),
    ]
}

const SECOND: u64 = 1000;

fn endpoints(speak: &[Speaks]) -> Vec<Endpoint> {
    speak.iter().map(|speaks| Endpoint::of(*speaks)).collect()
}

/// A receiver that is misconfigured refuses every request, and then none.
fn everything_is_refused() -> Plan {
    Plan::new("refusals", Setup { endpoints: endpoints(&[Speaks::V2, Speaks::V1]), ..Setup::usual() })
        .at(0, Step::Answers(0, Status(400)))
        .at(0, Step::Answers(1, Status(422)))
        .at(5 * SECOND, Step::Kill)
        .at(5 * SECOND, Step::Start)
        .at(10 * SECOND, Step::Answers(0, Take))
        .at(10 * SECOND, Step::Answers(1, Take))
}

/// A login page, a proxy, another service answers 2xx in the receiver's place.
fn impostors_answer() -> Plan {
    let mut plan = Plan::new("impostors", Setup { endpoints: endpoints(&[Speaks::V2, Speaks::V1]), ..Setup::usual() });
    let impostors = [Impostor::OkText, Impostor::JsonError, Impostor::Html, Impostor::HtmlWithoutType];
    for (number, impostor) in impostors.into_iter().enumerate() {
        let at = 2 * SECOND + number as u64 * 3 * SECOND;
        plan = plan.at(at, Step::Answers(0, Impostor(impostor))).at(at, Step::Answers(1, Impostor(impostor)));
        plan = plan.at(at + 2 * SECOND, Step::Answers(0, Take)).at(at + 2 * SECOND, Step::Answers(1, Take));
    }
    // An empty 204 is what a receiver of 1.0 answers itself.
    plan.at(14 * SECOND, Step::Answers(0, Impostor(Impostor::Empty204))).until(16 * SECOND)
}

/// Statuses that say nothing of the samples; the device is restarted meanwhile.
fn credentials_expire() -> Plan {
    let mut plan =
        Plan::new("credentials", Setup { endpoints: endpoints(&[Speaks::V2, Speaks::V1]), ..Setup::usual() });
    let statuses = [401, 403, 404, 405, 407, 408, 421, 423, 425, 426, 451];
    for (number, status) in statuses.into_iter().enumerate() {
        let at = SECOND + number as u64 * SECOND;
        plan = plan.at(at, Step::Answers(0, Status(status))).at(at, Step::Answers(1, Status(status)));
        if status == 407 {
            plan = plan.at(at + 500, Step::Stop).at(at + 600, Step::Start);
        }
    }
    plan.until(12 * SECOND)
}

/// One sample in a few pages is refused for good; the others are not lost with it, and it is counted.
fn samples_are_poisoned() -> Plan {
    Plan::new("poison", Setup { endpoints: endpoints(&[Speaks::V2, Speaks::V1]), ..Setup::usual() })
        .at(0, Step::Answers(0, HangUp))
        .at(0, Step::Answers(1, HangUp))
        .at(4 * SECOND, Step::Answers(0, Poison))
        .at(4 * SECOND, Step::Answers(1, Poison))
        .until(14 * SECOND)
        .may_lose(&["rejected"])
}

/// A receiver of 2.0 writes the first half of a request and answers 400 with that count.
fn half_of_it_is_written() -> Plan {
    Plan::new("halves", Setup::usual())
        .at(3 * SECOND, Step::Answers(0, Half400))
        .at(6 * SECOND, Step::Answers(0, Take))
        .until(8 * SECOND)
        .may_lose(&["rejected"])
}

/// 413 above a thousand bytes, which the backlog of an outage meets.
fn bodies_are_too_large() -> Plan {
    let growth = Growth { live: 100, new_each_page: 0 };
    let setup = Setup { targets: vec![growth; 2], endpoints: endpoints(&[Speaks::V2, Speaks::V1]), ..Setup::usual() };
    Plan::new("limits", setup)
        .at(2 * SECOND, Step::Answers(0, HangUp))
        .at(2 * SECOND, Step::Answers(1, HangUp))
        .at(6 * SECOND, Step::Answers(0, Limit { bytes: 1000 }))
        .at(6 * SECOND, Step::Answers(1, Limit { bytes: 2000 }))
        .until(15 * SECOND)
}

/// Answers that take two seconds, come byte by byte, stop in the middle, or are lost in a reset.
fn answers_are_slow_or_cut() -> Plan {
    Plan::new("slow", Setup { endpoints: endpoints(&[Speaks::V2, Speaks::V1]), ..Setup::usual() })
        .at(SECOND, Step::Answers(0, Slow { ms: 2000 }))
        .at(SECOND, Step::Answers(1, Trickle { ms: 1500 }))
        .at(8 * SECOND, Step::Answers(0, Truncated))
        .at(8 * SECOND, Step::Answers(1, TakeAndReset))
        .at(10 * SECOND, Step::Answers(0, RetryAfter { status: 503, seconds: 2 }))
        .at(10 * SECOND, Step::Answers(1, RetryAfter { status: 429, seconds: 2 }))
        .at(12 * SECOND, Step::Answers(0, Reset))
        .at(12 * SECOND, Step::Answers(1, HangUp))
        .until(14 * SECOND)
}

/// The receiver's name leads elsewhere, and 503 is answered where it led before.
fn the_address_moves() -> Plan {
    Plan::new("moves", Setup { has_hosts: true, ..Setup::usual() }).at(4 * SECOND, Step::Moves).until(8 * SECOND)
}

/// A ring that is far too small for the outage, with a clean stop in it.
fn overflow_across_restarts() -> Plan {
    let growth = Growth { live: 300, new_each_page: 0 };
    let targets = vec![growth; 4];
    Plan::new("overflow", Setup { interval_ms: 250, targets, ring_kib: 64, segment_kib: 8, ..Setup::usual() })
        .at(2 * SECOND, Step::Answers(0, HangUp))
        .at(10 * SECOND, Step::Stop)
        .at(10 * SECOND, Step::Start)
        .at(16 * SECOND, Step::Answers(0, Take))
        .until(18 * SECOND)
        .may_lose(&["ring_full"])
}

/// A backlog is delivered, and soon after the power is cut; the receiver refuses what is out of order.
fn drained_then_killed() -> Plan {
    let mut endpoint = Endpoint::of(Speaks::V2);
    endpoint.starts_with = Strict;
    Plan::new("drained", Setup { endpoints: vec![endpoint], ..Setup::usual() })
        .at(SECOND, Step::Answers(0, HangUp))
        .at(8 * SECOND, Step::Answers(0, Strict))
        .at(14 * SECOND, Step::Kill)
        .at(14 * SECOND, Step::Start)
        .until(17 * SECOND)
}

/// The ring's file is deleted under the agent in an outage, and it is killed later.
fn the_ring_is_deleted() -> Plan {
    Plan::new("deleted", Setup::usual())
        .at(2 * SECOND, Step::Answers(0, HangUp))
        .at(6 * SECOND, Step::RingDeleted)
        .at(12 * SECOND, Step::Kill)
        .at(12 * SECOND, Step::Start)
        .at(13 * SECOND, Step::Answers(0, Take))
        .until(14 * SECOND)
}

fn the_card_is_read_only_at_boot() -> Plan {
    Plan::new("read-only", Setup { card: CardKind::MountedReadOnly, ..Setup::usual() })
        .at(4 * SECOND, Step::Answers(0, HangUp))
        .at(6 * SECOND, Step::CardIsReadOnly(false))
        .at(10 * SECOND, Step::Answers(0, Take))
        .until(12 * SECOND)
}

/// A target brings new series on each page: few at a time, in an outage far more than `max_series` in all.
fn series_come_and_go() -> Plan {
    let targets = vec![Growth { live: 40, new_each_page: 20 }, Growth { live: 60, new_each_page: 0 }];
    let setup = Setup { targets, max_series: Some(256), ring_kib: 4096, segment_kib: 512, ..Setup::usual() };
    Plan::new("series", setup)
        .at(2 * SECOND, Step::Answers(0, HangUp))
        .at(14 * SECOND, Step::Answers(0, Take))
        .until(18 * SECOND)
}

/// Nothing of the process runs for seconds, thrice.
fn the_process_is_held_up() -> Plan {
    let targets = vec![Growth { live: 10, new_each_page: 0 }; 10];
    let mut plan = Plan::new("stalls", Setup { interval_ms: 1000, targets, ..Setup::usual() })
        .at(3 * SECOND, Step::Stall { ms: 3300 })
        .at(9 * SECOND, Step::Stall { ms: 2400 })
        .at(14 * SECOND, Step::Stall { ms: 1500 })
        .until(18 * SECOND);
    plan.doubles_max = Some(4);
    plan
}

/// Writes fail in an outage; the device is stopped meanwhile, and a while after.
fn the_card_refuses_writes() -> Plan {
    Plan::new("card", Setup::usual())
        .at(2 * SECOND, Step::Answers(0, HangUp))
        .at(4 * SECOND, Step::CardFails)
        .at(7 * SECOND, Step::CardHeals)
        .at(12 * SECOND, Step::CardFails)
        .at(14 * SECOND, Step::Stop)
        .at(14 * SECOND, Step::Start)
        .at(15 * SECOND, Step::Answers(0, Take))
        .until(16 * SECOND)
}

fn the_card_blocks() -> Plan {
    Plan::new("frozen", Setup { card: CardKind::Mounted, ..Setup::usual() })
        .at(2 * SECOND, Step::Answers(0, HangUp))
        .at(4 * SECOND, Step::CardFreezes)
        .at(8 * SECOND, Step::CardThaws)
        .at(12 * SECOND, Step::Answers(0, Take))
        .until(14 * SECOND)
}

/// Ahead by a day, to 2039, and back.
fn the_clock_jumps() -> Plan {
    Plan::new("clock", Setup { has_clock: true, ..Setup::usual() })
        .at(2 * SECOND, Step::Answers(0, HangUp))
        .at(4 * SECOND, Step::Clock { offset_s: 86_400 })
        .at(6 * SECOND, Step::Kill)
        .at(6 * SECOND, Step::Clock { offset_s: 13 * 366 * 86_400 })
        .at(6 * SECOND, Step::Start)
        .at(10 * SECOND, Step::Answers(0, Take))
        .at(12 * SECOND, Step::Clock { offset_s: 0 })
        .until(15 * SECOND)
}

/// Cut and back, with the uplink there and away, five times.
fn power_cuts() -> Plan {
    let mut plan = Plan::new("kills", Setup { endpoints: endpoints(&[Speaks::V2, Speaks::V1]), ..Setup::usual() });
    for number in 0..5 {
        let (at, answer) = (number * 3 * SECOND, if number % 2 == 0 { HangUp } else { Take });
        plan = plan.at(at + SECOND, Step::Answers(0, answer)).at(at + 2 * SECOND, Step::Answers(1, answer));
        plan = plan.at(at + 2500, Step::Kill).at(at + 2500, Step::Start);
    }
    plan.until(16 * SECOND)
}
