//! Signals that reach the built agent.

mod support;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::targets::{config, constant};
use support::*;

/// The agent as the only program of a terminal, as it is in an ssh session without a shell.
struct InTerminal {
    agent: Child,
    /// Dropped, the terminal is closed.
    terminal: Option<OwnedFd>,
}

impl InTerminal {
    fn start(config_file: &str) -> InTerminal {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let path = ptsname(&terminal, vec![]).unwrap().into_string().unwrap();
        let side = || Stdio::from(File::options().read(true).write(true).open(&path).unwrap());
        let agent = Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_narthex"), "run", "--log-level", "debug", "--config", config_file])
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .unwrap();
        InTerminal { agent, terminal: Some(terminal) }
    }

    fn signal(&self, name: &str) {
        let pid = self.agent.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for InTerminal {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.agent.kill();
        _ = self.agent.wait();
    }
}

/// SIGHUP's default action ended the agent on the spot, exit code 129, and everything that it held in memory was lost: with an
/// uplink that was down, a commit interval's worth of samples.
#[test]
fn a_terminal_that_closes_costs_no_sample() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, mut receiver) = (exporter(|n| format!("n {n}\n")), Receiver::start());
    let job = format!("static_configs = [{{ targets = ['{}'] }}]", exporter.address);
    let file = folder.path().join("narthex.toml");
    fs::write(&file, config(&receiver, &job)).unwrap();
    let mut session = InTerminal::start(file.to_str().unwrap());
    eventually("some samples", Duration::from_secs(30), || (receiver.series("n{").len() > 2).then_some(()));

    let address = receiver.go_away();
    let before = exporter.requests();
    eventually("pending samples", Duration::from_secs(30), || (exporter.requests() > before + 3).then_some(()));
    session.terminal = None;
    let closed = exporter.requests();
    eventually("scrapes without a terminal", Duration::from_secs(30), || {
        (exporter.requests() > closed + 5).then_some(())
    });
    // Each failed attempt to deliver is a line that nobody can read.
    session.signal("-TERM");
    let status = session.agent.wait().unwrap();
    assert!(status.success(), "{status}");

    let scraped = exporter.requests() as u64;
    receiver.back_at(address);
    let agent = Agent::start(folder.path(), &config(&receiver, &job));
    eventually("every sample", Duration::from_secs(30), || {
        let arrived: Vec<u64> = receiver.series("n{").values().map(|value| *value as u64).collect();
        (0..scraped - 1).all(|n| arrived.contains(&n)).then_some(())
    });
    assert!(agent.stop().0.success());
}

/// Prometheus reloads on SIGHUP, so that `systemctl reload` units and scripts send it.
#[test]
fn sighup_is_answered_by_a_line_and_the_agent_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, receiver) = (constant(1), Receiver::start());
    let job = format!("static_configs = [{{ targets = ['{}'] }}]", exporter.address);
    let agent = Agent::start(folder.path(), &config(&receiver, &job));
    agent.wait_for_log("is running");
    agent.signal("-HUP");
    agent.wait_for_log("SIGHUP is ignored");
    let heard = exporter.requests();
    eventually("further scrapes", Duration::from_secs(30), || (exporter.requests() > heard + 3).then_some(()));
    assert!(agent.stop().0.success());
}
