//! The binary under test as a child.

use crate::process::{Process, now_ms};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

const STOP_MAX: Duration = Duration::from_secs(5);

pub struct Agent(Process);

impl Agent {
    pub fn start(config: &Path, log: &Path) -> Agent {
        let binary = std::env::var("NARTHEX_BINARY").unwrap_or(env!("CARGO_BIN_EXE_narthex").into());
        let mut command = Command::new(binary);
        command.args(["run", "--log-level", "debug", "--config"]).arg(config);
        Agent(Process::start("narthex", &mut command, log))
    }

    pub fn assert_running(&mut self) {
        self.0.assert_running();
    }

    /// SIGKILL. Gives the time just before.
    pub fn kill(&mut self) -> i64 {
        let at_ms = now_ms();
        self.0.assert_running();
        self.0.kill();
        at_ms
    }

    /// SIGTERM: it must end well, and soon. Gives the time just before.
    pub fn stop(&mut self) -> i64 {
        self.0.assert_running();
        let (at_ms, began) = (now_ms(), Instant::now());
        self.0.terminate();
        loop {
            if let Some(status) = self.0.exited() {
                assert!(status.success(), "narthex ended with {status} after SIGTERM");
                return at_ms;
            }
            assert!(began.elapsed() < STOP_MAX, "narthex still runs {STOP_MAX:?} after SIGTERM");
            sleep(Duration::from_millis(20));
        }
    }
}
