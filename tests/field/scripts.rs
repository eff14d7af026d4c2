//! The fixed scripts: each is one story of a device in the field, and names what it is about.

use super::exporter::Growth;
use super::plan::{Endpoint, Plan, Setup, Step};
use super::receiver::Answer::*;
use super::receiver::Speaks;

pub fn all() -> Vec<Plan> {
    vec![answers_are_slow_or_cut(), bodies_are_too_large(), the_clock_jumps(), power_cuts()]
}

const SECOND: u64 = 1000;

fn endpoints(speak: &[Speaks]) -> Vec<Endpoint> {
    speak.iter().map(|speaks| Endpoint::of(*speaks)).collect()
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
