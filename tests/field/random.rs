//! A plan made from a seed: a device, and everything that may happen to it, in any order.

use super::exporter::{self, Growth};
use super::plan::{CardKind, Endpoint, Plan, Setup, Step};
use super::receiver::{Answer, Impostor, Speaks};
use fastrand::Rng;

pub fn plan(seed: u64) -> Plan {
    let mut random = Rng::with_seed(seed);
    let setup = setup(&mut random);
    let mut plan = Plan::new(&format!("seed {seed}"), setup);
    let ends_ms = random.u64(20_000..40_000);
    let mut at_ms = random.u64(..3000);
    let mut device = Device { is_running: true, ..Device::default() };
    while at_ms < ends_ms {
        for step in steps(&mut random, &plan.setup, &mut device) {
            plan = plan.at(at_ms, step);
        }
        at_ms += random.u64(200..4000);
    }
    let causes = &["ring_full", "resized", "rejected", "not_written", "stage_full", "uncommitted", "several"];
    plan.until(ends_ms).may_lose(causes)
}

/// What is so at a time of the plan.
#[derive(Default)]
struct Device {
    is_running: bool,
    card_fails: bool,
    card_is_frozen: bool,
}

fn setup(random: &mut Rng) -> Setup {
    let targets = (0..random.usize(1..6)).map(|_| {
        let live = random.u64(1..80);
        Growth { live, new_each_page: *pick(random, &[0, 0, 0, 1, live.min(5)]) }
    });
    let targets = targets.collect();
    let ring_kib = *pick(random, &[64, 256, 1024, 4096]);
    Setup {
        interval_ms: *pick(random, &[250, 500, 1000]),
        targets,
        endpoints: (0..random.usize(1..3)).map(|_| endpoint(random)).collect(),
        ring_kib,
        segment_kib: *pick(random, if ring_kib == 64 { &[4, 8] } else { &[8, 32, 64] }),
        commit_interval_ms: *pick(random, &[0, 300, 1000, 3000]),
        max_series: None,
        spread: *pick(random, &[Some("0s"), None]),
        card: *pick(random, &[CardKind::Folder, CardKind::Folder, CardKind::Mounted]),
        has_clock: false,
        has_hosts: false,
    }
}

fn endpoint(random: &mut Rng) -> Endpoint {
    let mut endpoint = Endpoint::of(*pick(random, &[Speaks::V1, Speaks::V2, Speaks::V2]));
    endpoint.is_live_first = random.u8(..5) == 0;
    if !endpoint.is_live_first && random.u8(..3) == 0 {
        endpoint.starts_with = Answer::Strict;
    }
    endpoint
}

/// What happens at one moment.
fn steps(random: &mut Rng, setup: &Setup, device: &mut Device) -> Vec<Step> {
    if !device.is_running {
        device.is_running = true;
        return vec![Step::Start];
    }
    match random.u8(..20) {
        0..=8 => {
            let endpoint = random.usize(..setup.endpoints.len());
            vec![Step::Answers(endpoint, answer(random, &setup.endpoints[endpoint]))]
        }
        9 | 10 => vec![Step::Pages(random.usize(..setup.targets.len()), pages(random))],
        11..=14 => ended(random, device, Step::Kill),
        15 => ended(random, device, Step::Stop),
        16 => vec![Step::Stall { ms: random.u64(200..3500) }],
        17 | 18 => card(random, setup, device),
        _ => match random.u8(..3) {
            0 => vec![Step::RingSize { kib: *pick(random, &[256, 1024, 4096]) }],
            1 => vec![Step::CommitInterval { ms: *pick(random, &[0, 300, 3000]) }],
            _ => vec![Step::Path(random.usize(..setup.endpoints.len()), format!("/{}/write", random.u8(..3)))],
        },
    }
}

/// An end of the process: mostly it starts again at once.
fn ended(random: &mut Rng, device: &mut Device, end: Step) -> Vec<Step> {
    *device = Device { is_running: random.u8(..4) > 0, ..Device::default() };
    if device.is_running { vec![end, Step::Start] } else { vec![end] }
}

fn card(random: &mut Rng, setup: &Setup, device: &mut Device) -> Vec<Step> {
    if device.card_is_frozen {
        device.card_is_frozen = false;
        return vec![Step::CardThaws];
    }
    if device.card_fails {
        device.card_fails = false;
        return vec![Step::CardHeals];
    }
    if setup.card == CardKind::Mounted && random.bool() {
        device.card_is_frozen = true;
        return vec![Step::CardFreezes];
    }
    device.card_fails = true;
    vec![Step::CardFails]
}

fn answer(random: &mut Rng, endpoint: &Endpoint) -> Answer {
    let accepting = endpoint.starts_with;
    let refusing = [401, 403, 404, 407, 408, 500, 503];
    match random.u8(..24) {
        0..=7 => accepting,
        8..=11 => Answer::HangUp,
        12 => Answer::Reset,
        13 => Answer::Slow { ms: random.u64(100..3000) },
        14 => Answer::Trickle { ms: random.u64(100..2000) },
        15 => Answer::Truncated,
        16 => Answer::TakeAndReset,
        17 => Answer::Limit { bytes: random.usize(800..4000) },
        18 => Answer::RetryAfter { status: *pick(random, &[429, 503]), seconds: random.u64(1..4) },
        19 => Answer::Impostor(impostor(random, endpoint.speaks)),
        20 => Answer::Poison,
        // It would refuse what it has of the stretches that `live_first` sends again after a restart.
        21 if !endpoint.is_live_first => Answer::Half400,
        _ => Answer::Status(*pick(random, &refusing)),
    }
}

fn impostor(random: &mut Rng, speaks: Speaks) -> Impostor {
    let any = [Impostor::OkText, Impostor::JsonError, Impostor::Html, Impostor::HtmlWithoutType, Impostor::Empty204];
    // An empty 204 is what a receiver of 1.0 answers itself.
    *pick(random, if speaks == Speaks::V1 { &any[..4] } else { &any })
}

fn pages(random: &mut Rng) -> exporter::Answer {
    use exporter::Answer::*;
    *pick(random, &[Whole, Whole, Whole, Late { ms: 60 }, Cut, Wrong, Status500, HangsUp])
}

fn pick<'t, T>(random: &mut Rng, of: &'t [T]) -> &'t T {
    &of[random.usize(..of.len())]
}
