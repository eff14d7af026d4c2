//! Child processes that end with their test, and the little that waiting for them needs.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::{panicking, sleep};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LOG_LINES_SHOWN: usize = 150;

/// A running program whose output goes to a file. Dropping it kills it; while panicking, also shows its log.
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// `log` is appended to.
    pub fn start(name: &'static str, command: &mut Command, log: &Path) -> Process {
        let output = File::options().create(true).append(true).open(log).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {:?}: {error}", command.get_program()));
        Process { name, child, log: log.to_path_buf() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    pub fn assert_running(&mut self) {
        if let Some(status) = self.exited() {
            panic!("{} ended by itself: {status}", self.name);
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The shell's own `kill`: a bare Debian has no other.
    pub fn terminate(&self) {
        let status = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.pid())]).status().unwrap();
        assert!(status.success(), "cannot signal {}", self.name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; there is nothing to do about a failure here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if panicking() {
            let text = fs::read(&self.log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<_> = text.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("--- the last of {} lines that {} logged:\n{}\n---", lines.len(), self.name, shown.join("\n"));
        }
    }
}

/// A port of 127.0.0.1 below those that the kernel gives to outgoing connections, so that none of these can take it while
/// nobody listens there.
pub fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 18_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + ((u32::from(start) + u32::from(offset)) % u32::from(COUNT)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free on 127.0.0.1");
}

/// Asks again and again until there is an answer; an error says what is lacking, and is shown should the time run out.
pub fn wait_for<T>(within: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(lacking) if started.elapsed() > within => panic!("not within {within:?}: {lacking}"),
            Err(_) => sleep(Duration::from_millis(100)),
        }
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
