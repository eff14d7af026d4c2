//! `narthex demo`: this machine's own figures, scraped and delivered, while the uplink is taken away and given back.
//!
//! One process, one executor: the exporter, the agent with a ring in a temporary folder, and the receiver. The uplink goes
//! away by closing the receiver's listener and all its connections.

pub mod exporter;
pub mod receiver;
pub mod screen;

use super::output::output_failed;
use crate::agent::{Agent, AgentError, Monitor};
use crate::config::{self, ConfigErrors};
use crate::http_server::{Limits, Request, Server};
use crate::model::format_duration;
use crate::ring::RingError;
use async_signal::{Signal, Signals};
use receiver::Ledger;
use screen::{Screen, Totals, View};
use smol::channel::bounded;
use smol::future::or;
use smol::stream::StreamExt;
use smol::{LocalExecutor, Task, Timer};
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The only endpoint of the demo's agent.
const ENDPOINT: usize = 0;

/// Exit code after Ctrl-C, as shells have it: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

const DRAWING: &str = "drawing";

const DRAW_INTERVAL: Duration = Duration::from_millis(250);

/// How the demo goes: its pace, and what happens for how long.
struct Script {
    scrape_interval: Duration,
    commit_interval: Duration,
    phases: [Phase; 3],
}

struct Phase {
    name: &'static str,
    uplink_up: bool,
    lasts: Duration,
}

impl Script {
    fn new(is_fast: bool) -> Script {
        let (unit, scrape_interval) = if is_fast { (500, 200) } else { (3000, 1000) };
        let lasts = |units: u64| Duration::from_millis(units * unit);
        let phase = |name, uplink_up, units| Phase { name, uplink_up, lasts: lasts(units) };
        Script {
            scrape_interval: Duration::from_millis(scrape_interval),
            commit_interval: Duration::from_millis(scrape_interval * 6),
            phases: [
                phase("the uplink is up: nothing touches the flash", true, 5),
                phase("the uplink is gone: samples go to the ring", false, 8),
                phase("the uplink is back: the backlog drains", true, 6),
            ],
        }
    }
}

/// Why the demo could not be shown to its end.
#[derive(Debug)]
enum DemoError {
    Io { doing: &'static str, cause: io::Error },
    Config(ConfigErrors),
    Agent(AgentError),
    Ring(RingError),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DemoError::Io { doing, cause } => write!(f, "{doing} failed: {cause}"),
            DemoError::Config(error) => error.fmt(f),
            DemoError::Agent(error) => error.fmt(f),
            DemoError::Ring(error) => error.fmt(f),
        }
    }
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> DemoError {
    move |cause| DemoError::Io { doing, cause }
}

/// Exit code 0 if every sample arrived once; 1 if anything was lost, or the demo could not be run.
pub fn demo(is_fast: bool) -> ExitCode {
    // Lines of the log would tear the picture; failing requests are what it shows.
    log::set_max_level(log::LevelFilter::Error);
    let executor = Rc::new(LocalExecutor::new());
    let mut signals = match Signals::new([Signal::Term, Signal::Int, Signal::Hup]) {
        Ok(signals) => signals,
        Err(error) => return super::refuse(&format!("cannot install signal handlers: {error}")),
    };
    let script = Script::new(is_fast);
    // Whichever ends first: a demo that is interrupted still removes its folder.
    let played = or(async { Some(play(executor.clone(), &script).await) }, async {
        signals.next().await;
        None
    });
    match smol::block_on(executor.run(played)) {
        Some(Ok(true)) => ExitCode::SUCCESS,
        Some(Ok(false)) => ExitCode::FAILURE,
        Some(Err(DemoError::Io { doing: DRAWING, cause })) => output_failed(&cause),
        Some(Err(error)) => super::refuse(&error),
        None => ExitCode::from(INTERRUPTED),
    }
}

/// Whether everything went as it should.
async fn play(executor: Rc<LocalExecutor<'static>>, script: &Script) -> Result<bool, DemoError> {
    let folder = Folder::make().map_err(failed("making a temporary folder"))?;
    let exporter = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let exporter_address = exporter.local_addr();
    let answer = Rc::new(|request: Request| exporter::answer(&request));
    let _exporter = executor.spawn(exporter.serve(answer, smol::future::pending()));
    let uplink = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let ledger = Rc::new(RefCell::new(Ledger::new()));
    let receiver_address = uplink.local_addr();
    let serving = serve(&executor, uplink, &ledger);

    let text = configuration(script, exporter_address, receiver_address);
    let config = config::parse(&text, &folder.path.join("demo.toml")).map_err(DemoError::Config)?;
    let agent = Agent::open(&config).map_err(DemoError::Agent)?;
    let mut show = Show {
        script,
        monitor: agent.monitor(),
        ledger,
        screen: Screen::on_stdout(),
        exporter: exporter_address,
        receiver: receiver_address,
        begun: Instant::now(),
        outage: Duration::ZERO,
        resident_bytes_max: None,
    };
    let (stop, stopped) = bounded::<()>(1);
    let running = executor.clone();
    let agent = executor.spawn(async move {
        let stopping = async { _ = stopped.recv().await };
        agent.run(&running, stopping).await
    });
    show.play_phases(&executor, serving).await?;
    drop(stop);
    agent.await.map_err(DemoError::Ring)?;
    show.finish()
}

fn bind(address: SocketAddr) -> Result<Server, DemoError> {
    Server::bind(address, Limits::default()).map_err(failed("listening on the loopback interface"))
}

fn serve(executor: &LocalExecutor<'static>, server: Server, ledger: &Rc<RefCell<Ledger>>) -> Task<()> {
    let ledger = ledger.clone();
    let answer = move |request: Request| receiver::answer(&request, &mut ledger.borrow_mut());
    executor.spawn(server.serve(Rc::new(answer), smol::future::pending()))
}

fn configuration(script: &Script, exporter: SocketAddr, receiver: SocketAddr) -> String {
    let scrape = format_duration(script.scrape_interval);
    // Sent twice in each commit interval, so that nothing is written while the uplink is up.
    let (send, commit) = (format_duration(script.commit_interval / 2), format_duration(script.commit_interval));
    let path = receiver::PATH;
    format!(
        "[global]\nscrape_interval = \"{scrape}\"\nscrape_timeout = \"{scrape}\"\n\
         [[scrape_configs]]\njob_name = \"demo\"\nstatic_configs = [{{ targets = [\"{exporter}\"] }}]\n\
         [[remote_write]]\nurl = \"http://{receiver}{path}\"\nname = \"demo\"\n\
         protobuf_message = \"prometheus.WriteRequest\"\n\
         queue_config = {{ max_samples_per_send = 5000, batch_send_deadline = \"{send}\", max_backoff = \"1s\" }}\n\
         [buffer]\npath = \"ring\"\nsize = \"1MiB\"\nsegment_size = \"32KiB\"\ncommit_interval = \"{commit}\"\n"
    )
}

/// What is shown, and what for.
struct Show<'a> {
    script: &'a Script,
    monitor: Monitor,
    ledger: Rc<RefCell<Ledger>>,
    screen: Screen<io::Stdout>,
    exporter: SocketAddr,
    receiver: SocketAddr,
    begun: Instant,
    outage: Duration,
    resident_bytes_max: Option<u64>,
}

impl Show<'_> {
    async fn play_phases(&mut self, executor: &LocalExecutor<'static>, serving: Task<()>) -> Result<(), DemoError> {
        let mut serving = Some(serving);
        for (number, phase) in self.script.phases.iter().enumerate() {
            match (serving.take(), phase.uplink_up) {
                (None, true) => serving = Some(serve(executor, bind(self.receiver)?, &self.ledger)),
                (Some(up), false) => _ = up.cancel().await,
                (unchanged, _) => serving = unchanged,
            }
            let begun = Instant::now();
            while begun.elapsed() < phase.lasts {
                let left = phase.lasts.saturating_sub(begun.elapsed());
                let view = self.view(number, left);
                self.screen.draw(&view).map_err(failed(DRAWING))?;
                Timer::after(DRAW_INTERVAL.min(left)).await;
            }
            if !phase.uplink_up {
                self.outage += begun.elapsed();
            }
        }
        // The receiver goes on until the process ends, so that the agent's last samples arrive.
        serving.into_iter().for_each(Task::detach);
        Ok(())
    }

    fn view(&mut self, number: usize, phase_left: Duration) -> View {
        let (counters, fill) = (self.monitor.counters(), self.monitor.fill());
        let endpoint = counters.endpoint(ENDPOINT);
        let phase = &self.script.phases[number];
        let (delivered, dropped) = (endpoint.samples_delivered.get(), endpoint.dropped_total());
        let waiting = counters.samples_accepted.get().saturating_sub(delivered + dropped);
        let resident_bytes = exporter::resident_bytes();
        self.resident_bytes_max = self.resident_bytes_max.max(resident_bytes);
        View {
            phase: phase.name.into(),
            phase_number: number + 1,
            phases: self.script.phases.len(),
            phase_left,
            elapsed: self.begun.elapsed(),
            uplink_up: phase.uplink_up,
            exporter: self.exporter,
            receiver: self.receiver,
            scrapes: counters.scrapes.get(),
            samples_scraped: counters.samples_accepted.get(),
            samples_in_stage: fill.stage_samples as u64,
            samples_in_ring: fill.ring_samples.min(waiting.saturating_sub(fill.stage_samples as u64)),
            ring_used_bytes: fill.ring_used_bytes,
            ring_size_bytes: fill.ring_size_bytes,
            samples_delivered: delivered,
            samples_dropped: dropped,
            samples_committed: counters.samples_committed.get(),
            flash_bytes_written: counters.flash_bytes_written.get(),
            bytes_sent: endpoint.bytes_sent.get(),
            resident_bytes,
        }
    }

    /// The account, from what the receiver holds, not from what the agent thinks it delivered.
    fn finish(mut self) -> Result<bool, DemoError> {
        let (counters, fill) = (self.monitor.counters(), self.monitor.fill());
        let received = self.ledger.borrow().received();
        let totals = Totals {
            elapsed: self.begun.elapsed(),
            outage: self.outage,
            scrape_interval: self.script.scrape_interval,
            samples_scraped: counters.samples_accepted.get(),
            samples_delivered: received.samples_distinct,
            samples_held: fill.stage_samples as u64 + fill.ring_samples,
            samples_dropped: counters.endpoint(ENDPOINT).dropped_total(),
            samples_repeated: received.samples_repeated,
            samples_conflicting: received.samples_conflicting,
            samples_out_of_order: received.samples_out_of_order,
            longest_gap: Duration::from_millis(self.ledger.borrow().longest_gap_ms().unsigned_abs()),
            samples_committed: counters.samples_committed.get(),
            flash_bytes_written: counters.flash_bytes_written.get(),
            requests: received.requests,
            requests_refused: received.requests_refused,
            bytes_sent: received.wire_bytes,
            resident_bytes_max: self.resident_bytes_max,
        };
        self.screen.finish(&totals).map_err(failed(DRAWING))?;
        Ok(totals.is_flawless())
    }
}

/// A temporary folder that is removed with what is in it.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn make() -> io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("narthex-demo-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Folder { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            log::error!("{} was left behind: {error}", self.path.display());
        }
    }
}
