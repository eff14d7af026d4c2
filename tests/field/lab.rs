//! Carries out a plan: targets, receivers and a device of its own, in a folder and on ports of its own; then the account.

use super::account::{Account, Facts, Rules, Span, Violation, account};
use super::card::Card;
use super::device::{Device, can_set_clock, can_unshare};
use super::exporter::{self, Exporter};
use super::history::History;
use super::lab_clock::LabClock;
use super::plan::{CardKind, Life, Plan, REMOTE_TIMEOUT_S, Step};
use super::receiver::{self, Receiver};
use super::tally::Tally;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// How long everything may take to arrive once all is put right.
const SETTLES_WITHIN_MS: i64 = 120_000;

/// How long a stop may take: two seconds, one commit, and a busy machine.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

const TICK: Duration = Duration::from_millis(25);

/// What came of a plan.
pub struct Report {
    pub name: String,
    /// One for each endpoint.
    pub accounts: Vec<Account>,
    pub kills: usize,
    /// What could not be done on this machine; the plan was not carried out then.
    pub not_run: Option<&'static str>,
    /// The folder with the configuration, the ring and the log, kept if a promise was broken.
    pub kept: Option<PathBuf>,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.accounts.iter().all(|account| account.violations.is_empty())
    }
}

pub fn carry_out(plan: Plan) -> Report {
    let not_run =
        |reason| Report { name: plan.name.clone(), accounts: vec![], kills: 0, not_run: Some(reason), kept: None };
    if plan.setup.has_clock && !can_set_clock() {
        return not_run("libfaketime is not installed");
    }
    if plan.setup.has_hosts && !can_unshare() {
        return not_run("this user may not mount");
    }
    let folder = tempfile::Builder::new().prefix("narthex-field-").tempdir().unwrap();
    let card = match plan.setup.card {
        CardKind::Folder => Some(Card::folder(folder.path())),
        CardKind::Mounted | CardKind::MountedReadOnly => Card::mounted(folder.path()),
    };
    let Some(card) = card else { return not_run("this machine or user has no loop devices") };
    card.set_read_only(plan.setup.card == CardKind::MountedReadOnly);
    let mut lab = Lab::new(plan, folder.path().into(), card);
    lab.take_steps();
    lab.put_right();
    let report = lab.report();
    if !report.is_clean() {
        lab.keep(&report);
        let kept = Some(folder.keep());
        return Report { kept, ..report };
    }
    report
}

struct Lab {
    plan: Plan,
    clock: LabClock,
    exporters: Vec<Exporter>,
    receivers: Vec<Receiver>,
    device: Device,
    card: Card,
    tally: Tally,
    history: History,
    /// While the process is stopped by a signal: since when, and until when.
    stall: Option<Span>,
    is_frozen: bool,
    /// Promises that the account knows nothing of.
    broken: Vec<Violation>,
}

impl Lab {
    fn new(plan: Plan, folder: PathBuf, card: Card) -> Lab {
        let (clock, setup) = (LabClock::start(), &plan.setup);
        let exporters = setup.targets.iter().enumerate();
        let exporters = exporters.map(|(number, growth)| Exporter::start(number, *growth, clock)).collect();
        let timeout = Duration::from_secs(REMOTE_TIMEOUT_S);
        let receivers = setup.endpoints.iter().map(|endpoint| {
            let receiver = Receiver::start(endpoint.speaks, timeout, clock);
            receiver.answer_by(endpoint.starts_with);
            receiver
        });
        let receivers = receivers.collect();
        let mut history = History::default();
        if setup.card == CardKind::MountedReadOnly {
            history.card_fails(0);
        }
        Lab {
            device: Device::new(&folder, setup.has_clock, setup.has_hosts),
            tally: Tally::new(setup.endpoints.len()),
            history,
            stall: None,
            is_frozen: false,
            broken: Vec::new(),
            plan,
            clock,
            exporters,
            receivers,
            card,
        }
    }

    fn take_steps(&mut self) {
        self.start();
        for (at_ms, step) in self.plan.steps.clone() {
            self.pass_time(at_ms as i64);
            self.take(step);
        }
        self.pass_time(self.plan.ends_ms as i64);
    }

    /// Until this time of the lab.
    fn pass_time(&mut self, until_ms: i64) {
        while self.clock.now_ms() < until_ms {
            self.tick();
        }
    }

    fn tick(&mut self) {
        thread::sleep(TICK);
        if self.stall.is_some_and(|stall| stall.to_ms <= self.clock.now_ms()) {
            self.resume();
        }
        if self.stall.is_none() {
            self.tally.note(self.device.metrics());
        }
        if let Some(status) = self.device.ended() {
            let at_ms = self.clock.now_ms();
            self.broken.push(Violation {
                promise: "the agent runs until it is told to stop",
                count: 1,
                first: format!("it ended at {at_ms} ms with {status}"),
            });
            self.history.killed(at_ms, at_ms, &self.plan.setup);
            self.ended(true);
        }
    }

    fn take(&mut self, step: Step) {
        let now_ms = self.clock.now_ms();
        match step {
            Step::Answers(endpoint, answer) => self.receivers[endpoint].answer_by(answer),
            Step::Pages(target, answer) => self.exporters[target].answer_by(answer),
            Step::Kill => self.kill(),
            Step::Stop => self.stop(),
            Step::Start => self.start(),
            Step::Stall { ms } => {
                self.device.signal("STOP");
                self.stall = Some(Span { from_ms: now_ms, to_ms: now_ms + ms as i64 });
            }
            Step::CardFails => {
                self.device.fail_writes(true);
                self.history.card_fails(now_ms);
            }
            Step::CardHeals => self.heal(),
            Step::CardFreezes => {
                self.card.freeze();
                self.is_frozen = true;
                self.history.card_fails(now_ms);
            }
            Step::CardThaws => self.heal(),
            Step::CardIsReadOnly(is_read_only) => {
                self.card.set_read_only(is_read_only);
                if !is_read_only {
                    self.heal();
                }
            }
            Step::RingDeleted => std::fs::remove_file(self.card.ring()).unwrap(),
            Step::RingSize { kib } => self.plan.setup.ring_kib = kib,
            Step::CommitInterval { ms } => self.plan.setup.commit_interval_ms = ms,
            Step::Path(endpoint, path) => self.plan.setup.endpoints[endpoint].path = path,
            Step::Clock { offset_s } => {
                self.device.set_clock(offset_s);
                self.history.clock_set(now_ms, offset_s);
            }
            Step::Moves => {
                self.receivers[0].move_to([127, 0, 0, 2]);
                self.device.set_hosts("127.0.0.2");
            }
        }
    }

    fn config(&self) -> String {
        let targets: Vec<String> = self.exporters.iter().map(Exporter::address).collect();
        let address = |receiver: &Receiver| match self.plan.setup.has_hosts {
            true => format!("receiver.test:{}", receiver.address().port()),
            false => receiver.address().to_string(),
        };
        let receivers: Vec<String> = self.receivers.iter().map(address).collect();
        let life = Life { lab: self.clock.lab(), number: self.history.deaths.len() };
        self.plan.setup.config(&life, self.card.ring().to_str().unwrap(), &targets, &receivers)
    }

    fn start(&mut self) {
        if self.device.is_running() {
            return;
        }
        self.history.started(self.clock.now_ms());
        self.device.start(&self.config());
    }

    fn kill(&mut self) {
        self.make_movable();
        if !self.device.is_running() {
            return;
        }
        self.tally.note(self.device.metrics());
        let told_ms = self.clock.now_ms();
        self.device.kill();
        self.history.killed(told_ms, self.clock.now_ms(), &self.plan.setup);
        self.ended(true);
    }

    fn stop(&mut self) {
        self.make_movable();
        if !self.device.is_running() {
            return;
        }
        self.tally.note(self.device.metrics());
        let told_ms = self.clock.now_ms();
        let status = self.device.stop(STOPS_WITHIN);
        let at_ms = self.clock.now_ms();
        // An agent that could not write says so by its status.
        if !status.is_some_and(|status| status.success() || self.history.card_fails_at(told_ms)) {
            let first = format!("told at {told_ms} ms, and at {at_ms} ms its status is {status:?}");
            self.broken.push(Violation { promise: "a stop is clean and takes no longer than said", count: 1, first });
        }
        self.history.stopped(told_ms, at_ms, &self.plan.setup);
        // What was not written before is lost with the process, as in a kill.
        self.ended(self.history.card_fails_at(told_ms));
    }

    fn ended(&mut self, was_killed: bool) {
        self.tally.life_ended(was_killed);
        if self.plan.setup.card == CardKind::Folder {
            // The limit was the process's.
            self.history.card_is_well();
        }
    }

    /// A process that is held up by a signal or a frozen card takes no orders.
    fn make_movable(&mut self) {
        if self.stall.is_some() {
            self.resume();
        }
        if self.is_frozen {
            self.heal();
        }
    }

    fn resume(&mut self) {
        let Some(stall) = self.stall.take() else { return };
        self.device.signal("CONT");
        self.history.stalled(Span { to_ms: self.clock.now_ms(), ..stall });
    }

    fn heal(&mut self) {
        let now_ms = self.clock.now_ms();
        if std::mem::take(&mut self.is_frozen) {
            self.card.thaw();
        }
        self.device.fail_writes(false);
        self.history.card_heals(now_ms);
    }

    /// Everything works again, until all that is owed has arrived or is counted; then a clean stop.
    fn put_right(&mut self) {
        self.make_movable();
        if self.history.card_fails_at(self.clock.now_ms()) {
            self.card.set_read_only(false);
            self.heal();
        }
        for (receiver, endpoint) in self.receivers.iter().zip(&self.plan.setup.endpoints) {
            let is_strict = endpoint.starts_with == receiver::Answer::Strict;
            receiver.answer_by(if is_strict { receiver::Answer::Strict } else { receiver::Answer::Take });
        }
        self.exporters.iter().for_each(|exporter| exporter.answer_by(exporter::Answer::Whole));
        self.start();
        let begun_ms = self.clock.now_ms();
        while !self.is_settled(begun_ms) && self.clock.now_ms() - begun_ms < SETTLES_WITHIN_MS {
            self.pass_time(self.clock.now_ms() + 500);
        }
        self.stop();
    }

    /// Whether all that was scraped before everything was put right is accounted for, and all but what was scraped just now.
    fn is_settled(&self, put_right_ms: i64) -> bool {
        let has_backlog = self.tally.gauge("narthex_ring_samples") != Some(0.0);
        let until_ms = (self.clock.now_ms() - 2500).max(put_right_ms);
        !has_backlog
            && (0..self.receivers.len()).all(|endpoint| {
                let mut facts = self.facts(endpoint);
                facts.pages.retain(|page| page.ended_ms < until_ms);
                let account = account(&facts);
                account.samples_missing <= account.samples_counted
            })
    }

    fn facts(&self, endpoint: usize) -> Facts {
        let setup = &self.plan.setup;
        let asked: Vec<_> = self.exporters.iter().flat_map(Exporter::asked).collect();
        let pages: Vec<_> = self.exporters.iter().flat_map(Exporter::pages).collect();
        let of_a_page = setup.targets.iter().map(|growth| growth.live + 10).max().unwrap_or(0);
        let gone: u64 = setup.targets.iter().map(|growth| growth.new_each_page).max().unwrap_or(0);
        let failed = (asked.len() - pages.len()) as u64;
        let ends = (self.history.stops + failed) * of_a_page * setup.targets.len() as u64;
        Facts {
            rules: Rules {
                interval_ms: setup.interval_ms as i64,
                timeout_ms: setup.interval_ms as i64,
                is_in_order: !setup.has_clock && !setup.endpoints[endpoint].is_live_first,
                doubles_max: self.plan.doubles_max,
                causes: self.plan.causes,
                markers_max: ends + asked.len() as u64 * gone + self.tally.raised_by_kills(endpoint),
            },
            pages,
            asked,
            arrivals: self.receivers[endpoint].arrivals(),
            counted: self.tally.counted(endpoint),
            deaths: self.history.deaths.clone(),
            runs: self.history.runs.clone(),
            stalls: self.history.stalls.clone(),
            deaf: self.history.deaf.clone(),
            offsets: self.history.offsets.clone(),
            wall_start_ms: self.clock.wall_ms(0),
        }
    }

    fn report(&self) -> Report {
        let accounts = (0..self.receivers.len()).map(|endpoint| account(&self.facts(endpoint)));
        let mut accounts: Vec<Account> = accounts.collect();
        accounts[0].violations.extend(self.broken.iter().cloned());
        Report { name: self.plan.name.clone(), accounts, kills: self.history.kills(), not_run: None, kept: None }
    }

    /// Writes what is needed to understand a broken promise into the folder.
    fn keep(&self, report: &Report) {
        let facts: Vec<Facts> = (0..self.receivers.len()).map(|endpoint| self.facts(endpoint)).collect();
        let write = |name: &str, text: String| std::fs::write(self.device.folder.join(name), text).unwrap();
        write("log", self.device.log());
        write("plan", format!("{:#?}", self.plan));
        write("violations", format!("{:#?}", report.accounts));
        write("deaths", format!("{:#?}\n{:#?}\n{:#?}", facts[0].deaths, facts[0].stalls, facts[0].runs));
        for (number, facts) in facts.iter().enumerate() {
            let lines = facts.arrivals.iter().map(|arrival| format!("{arrival:?}\n"));
            write(&format!("arrivals.{number}"), lines.collect());
        }
        let lines = facts[0].pages.iter().map(|page| format!("{page:?}\n"));
        write("pages", lines.collect());
    }
}
