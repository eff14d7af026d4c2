//! The built agent in the lab: started, killed, stopped, held up, its clock set and its card made to fail.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Debian's libfaketime; without it the clock can't be set.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// How a device is started.
pub struct Device {
    pub folder: PathBuf,
    /// Whether its wall clock can be set by [`Device::set_clock`].
    has_clock: bool,
    /// Whether its `/etc/hosts` is a file of the lab.
    has_hosts: bool,
    process: Option<Process>,
    log: Arc<Mutex<String>>,
}

struct Process {
    child: Child,
    /// Length of the log when it started.
    log_from: usize,
}

pub fn can_set_clock() -> bool {
    Path::new(FAKETIME).exists()
}

/// Whether this user may give a process mounts of its own.
pub fn can_unshare() -> bool {
    Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Device {
    pub fn new(folder: &Path, has_clock: bool, has_hosts: bool) -> Device {
        let device = Device { folder: folder.into(), has_clock, has_hosts, process: None, log: Arc::default() };
        device.set_clock(0);
        device.set_hosts("127.0.0.1");
        device
    }

    /// How far its wall clock is ahead of this machine's.
    pub fn set_clock(&self, offset_s: i64) {
        let text = if offset_s < 0 { format!("{offset_s}s\n") } else { format!("+{offset_s}s\n") };
        std::fs::write(self.folder.join("clock"), text).unwrap();
    }

    /// Where the name `receiver.test` leads to.
    pub fn set_hosts(&self, address: &str) {
        std::fs::write(self.folder.join("hosts"), format!("127.0.0.1 localhost\n{address} receiver.test\n")).unwrap();
    }

    pub fn start(&mut self, config: &str) {
        let file = self.folder.join("narthex.toml");
        std::fs::write(&file, config).unwrap();
        // A write beyond the file size limit, by which the lab makes the card fail, is an error then and no signal.
        let mut script = String::from("trap '' XFSZ; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        if self.has_hosts {
            let hosts = self.folder.join("hosts");
            script = format!("mount --bind '{}' /etc/hosts; {script}", hosts.display());
            command = Command::new("unshare");
            command.args(["-m", "--propagation", "slave", "sh"]);
        }
        command.args(["-c", &script, env!("CARGO_BIN_EXE_narthex"), "run", "--log-level", "debug", "--config"]);
        command.arg(&file).stderr(Stdio::piped()).stdin(Stdio::null());
        if self.has_clock {
            command.env("LD_PRELOAD", FAKETIME).env("FAKETIME_TIMESTAMP_FILE", self.folder.join("clock"));
            command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let mut child = command.spawn().unwrap();
        let log_from = self.log.lock().unwrap().len();
        let (stderr, kept) = (child.stderr.take().unwrap(), self.log.clone());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        self.process = Some(Process { child, log_from });
    }

    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.child.kill().unwrap();
            process.child.wait().unwrap();
        }
    }

    /// SIGTERM. `None` if it did not end in this time, and was killed.
    pub fn stop(&mut self, within: Duration) -> Option<ExitStatus> {
        self.signal("TERM");
        let mut process = self.process.take()?;
        let until = Instant::now() + within;
        while Instant::now() < until {
            if let Some(status) = process.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        process.child.kill().unwrap();
        process.child.wait().unwrap();
        None
    }

    /// How it ended by itself, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_mut()?.child.try_wait().unwrap();
        if status.is_some() {
            self.process = None;
        }
        status
    }

    pub fn signal(&self, name: &str) {
        let Some(process) = &self.process else { return };
        let status = Command::new("kill").args([&format!("-{name}"), &process.child.id().to_string()]).status();
        assert!(status.unwrap().success(), "the signal {name} can't be sent");
    }

    /// Makes writes to files fail, or lets them go on.
    pub fn fail_writes(&self, fail: bool) {
        let Some(process) = &self.process else { return };
        let limit = if fail { "--fsize=0:unlimited" } else { "--fsize=unlimited:unlimited" };
        let status = Command::new("prlimit").args(["--pid", &process.child.id().to_string(), limit]).status();
        assert!(status.unwrap().success(), "prlimit failed");
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Every sample of `/metrics`, by its text up to the value; `None` while it does not answer.
    pub fn metrics(&self) -> Option<BTreeMap<String, f64>> {
        let address = {
            let log = self.log.lock().unwrap();
            let of_this_run = &log[self.process.as_ref()?.log_from..];
            of_this_run.split("status: http://").nth(1)?.split('/').next()?.to_owned()
        };
        let mut stream = TcpStream::connect(&address).ok()?;
        stream.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let lines = answer.split_once("\r\n\r\n")?.1.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.rsplit_once(' ').and_then(|(name, value)| Some((name.into(), value.parse().ok()?))))
            .collect()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.kill();
    }
}
