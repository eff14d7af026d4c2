//! What happens in a lab, and when: the device's configuration and a list of steps. A plan is data; `lab.rs` carries it out.

use super::exporter::{self, Growth};
use super::receiver::{self, Speaks};
use std::fmt::Write as _;

#[derive(Clone, Debug)]
pub struct Plan {
    pub name: String,
    pub setup: Setup,
    /// In the order of their times, in milliseconds.
    pub steps: Vec<(u64, Step)>,
    /// When the last step has been taken for long enough; then everything is put right, and the account drawn up.
    pub ends_ms: u64,
    pub doubles_max: Option<usize>,
    /// Causes for which samples may be lost.
    pub causes: &'static [&'static str],
}

#[derive(Clone, Debug)]
pub struct Setup {
    pub interval_ms: u64,
    pub targets: Vec<Growth>,
    pub endpoints: Vec<Endpoint>,
    pub ring_kib: u64,
    pub segment_kib: u64,
    pub commit_interval_ms: u64,
    pub max_series: Option<u64>,
    /// `None`: the default.
    pub spread: Option<&'static str>,
    pub card: CardKind,
    pub has_clock: bool,
    pub has_hosts: bool,
}

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub speaks: Speaks,
    pub starts_with: receiver::Answer,
    /// Part of the url, which a step may change.
    pub path: String,
    pub is_live_first: bool,
    /// Lines of TOML.
    pub keys: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardKind {
    Folder,
    Mounted,
    MountedReadOnly,
}

#[derive(Clone, Debug)]
#[allow(dead_code)]
pub enum Step {
    /// How an endpoint's receiver answers from now on.
    Answers(usize, receiver::Answer),
    /// How a target answers from now on.
    Pages(usize, exporter::Answer),
    Kill,
    Stop,
    Start,
    /// The process is stopped by a signal for so long.
    Stall {
        ms: u64,
    },
    CardFails,
    CardHeals,
    CardFreezes,
    CardThaws,
    CardIsReadOnly(bool),
    RingDeleted,
    /// Takes effect at the next start.
    RingSize {
        kib: u64,
    },
    CommitInterval {
        ms: u64,
    },
    Path(usize, String),
    /// How far the device's wall clock is ahead of this machine's.
    Clock {
        offset_s: i64,
    },
    /// The name of the receivers leads to another address, where a receiver of the first endpoint is.
    Moves,
}

/// What the requests of one life of a device have in them, so that a device that some earlier lab left behind is not taken for it.
pub struct Life {
    pub lab: u64,
    pub number: usize,
}

impl Setup {
    /// Two targets of twenty series scraped twice a second, one endpoint of 2.0, a ring of 1 MiB.
    pub fn usual() -> Setup {
        let growth = Growth { live: 20, new_each_page: 0 };
        Setup {
            interval_ms: 500,
            targets: vec![growth, growth],
            endpoints: vec![Endpoint::of(Speaks::V2)],
            ring_kib: 1024,
            segment_kib: 32,
            commit_interval_ms: 500,
            max_series: None,
            spread: Some("0s"),
            card: CardKind::Folder,
            has_clock: false,
            has_hosts: false,
        }
    }

    /// The configuration of one of the device's lives. `targets` and `receivers` are addresses.
    pub fn config(&self, life: &Life, ring: &str, targets: &[String], receivers: &[String]) -> String {
        let interval = self.interval_ms;
        let mut text = format!("[global]\nscrape_interval = '{interval}ms'\nscrape_timeout = '{interval}ms'\n");
        text += "[status]\nlisten = '127.0.0.1:0'\n[[scrape_configs]]\njob_name = 'lab'\n";
        _ = writeln!(text, "metrics_path = '/{}'", life.lab);
        for (number, address) in targets.iter().enumerate() {
            text += "[[scrape_configs.static_configs]]\n";
            _ = writeln!(text, "targets = ['{address}']\nlabels = {{ number = '{number}' }}");
        }
        for (number, (endpoint, address)) in self.endpoints.iter().zip(receivers).enumerate() {
            _ = writeln!(text, "[[remote_write]]\nname = 'r{number}'\nurl = 'http://{address}{}'", endpoint.path);
            _ = writeln!(text, "remote_timeout = '{REMOTE_TIMEOUT_S}s'\n{}", endpoint.keys);
            _ = writeln!(text, "headers = {{ X-Life = '{} {}' }}", life.lab, life.number);
            if endpoint.is_live_first {
                text += "catch_up = 'live_first'\n";
            }
            text += "queue_config = { batch_send_deadline = '100ms', max_backoff = '500ms' }\n";
        }
        if let Some(spread) = self.spread {
            _ = writeln!(text, "[uplink]\nspread = '{spread}'");
        }
        if let Some(max_series) = self.max_series {
            _ = writeln!(text, "[limits]\nmax_series = {max_series}");
        }
        let (size, segment, commit) = (self.ring_kib, self.segment_kib, self.commit_interval_ms);
        let buffer = format!("path = '{ring}'\nsize = '{size}KiB'\nsegment_size = '{segment}KiB'\n");
        text + &format!("[buffer]\n{buffer}commit_interval = '{commit}ms'\n")
    }
}

/// `remote_timeout` of every endpoint.
pub const REMOTE_TIMEOUT_S: u64 = 5;

impl Endpoint {
    pub fn of(speaks: Speaks) -> Endpoint {
        Endpoint {
            speaks,
            starts_with: receiver::Answer::Take,
            path: "/api/v1/write".into(),
            is_live_first: false,
            keys: String::new(),
        }
    }
}

impl Plan {
    pub fn new(name: &str, setup: Setup) -> Plan {
        Plan { name: name.into(), setup, steps: Vec::new(), ends_ms: 0, doubles_max: None, causes: &[] }
    }

    /// Adds a step at this time, no earlier than the one before it.
    pub fn at(mut self, ms: u64, step: Step) -> Plan {
        assert!(self.steps.last().is_none_or(|(before, _)| *before <= ms), "steps are in the order of their times");
        self.steps.push((ms, step));
        self.ends_ms = ms;
        self
    }

    pub fn may_lose(self, causes: &'static [&'static str]) -> Plan {
        Plan { causes, ..self }
    }

    pub fn until(mut self, ms: u64) -> Plan {
        self.ends_ms = ms;
        self
    }
}
