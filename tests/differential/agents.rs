//! The two agents under comparison: Prometheus with a `prometheus.yml`, Narthex with what `narthex import` makes of it.

use crate::receiver::{Receiver, Who};
use crate::support::{Agent, eventually, narthex};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// Which semantics a Prometheus has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// Debian's 2.42.
    Two,
    Three,
}

pub struct Prometheus {
    pub program: PathBuf,
    pub era: Era,
}

impl Prometheus {
    /// Those that `NARTHEX_TEST_PROMETHEUS` names, separated by colons; else Debian's and the one that
    /// `.ci/install-prometheus` built, as far as they are there.
    pub fn all() -> Vec<Prometheus> {
        let named = std::env::var("NARTHEX_TEST_PROMETHEUS").ok();
        let is_named = named.is_some();
        let named =
            named.unwrap_or_else(|| format!("prometheus:{}/target/prometheus/prometheus", env!("CARGO_MANIFEST_DIR")));
        let found: Vec<Prometheus> = named.split(':').filter_map(|program| Prometheus::at(program.into())).collect();
        assert!(!is_named || found.len() == named.split(':').count(), "not all of {named} can be run");
        assert!(!found.is_empty(), "there is no Prometheus; run .ci/install-prometheus or .ci/install-servers");
        found
    }

    /// Runs it as a server that takes Remote-Write, of both versions.
    pub fn start_as_receiver(&self, folder: &Path) -> Running {
        let config = folder.join("receiver.yml");
        fs::write(&config, "storage: {exemplars: {max_exemplars: 1000}}\n").unwrap();
        let mut command = Command::new(&self.program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
            .args(["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage,native-histograms"]);
        Running::start(command, folder)
    }

    fn at(program: PathBuf) -> Option<Prometheus> {
        let told = Command::new(&program).arg("--version").output().ok()?;
        // One that is built as a dependency has no version.
        let era = if String::from_utf8_lossy(&told.stdout).contains("version 2.") { Era::Two } else { Era::Three };
        Some(Prometheus { program, era })
    }
}

impl std::fmt::Display for Prometheus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let era = match self.era {
            Era::Two => "2",
            Era::Three => "3",
        };
        write!(f, "Prometheus {era}, {}", self.program.display())
    }
}

/// A Prometheus that runs; it is killed when this is dropped.
pub struct Running {
    child: Child,
    /// Without a path.
    pub url: String,
}

impl Running {
    /// Returns when it says that it is ready. Its log goes into the folder.
    fn start(mut command: Command, folder: &Path) -> Running {
        let url = format!("http://127.0.0.1:{}", free_port());
        let log = File::create(folder.join("prometheus.log")).unwrap();
        let address = url.trim_start_matches("http://");
        command.arg(format!("--web.listen-address={address}")).stdout(log.try_clone().unwrap()).stderr(log);
        let mut running = Running { child: command.spawn().unwrap(), url };
        eventually("Prometheus being ready", Duration::from_secs(120), || {
            if let Some(status) = running.child.try_wait().unwrap() {
                panic!("Prometheus ended: {status}\n{}", fs::read_to_string(folder.join("prometheus.log")).unwrap());
            }
            ureq::get(format!("{}/-/ready", running.url)).call().ok().map(|_| ())
        });
        running
    }

    /// What its API answers.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let answer = ureq::get(format!("{}{path}", self.url)).query_pairs(query.iter().copied()).call().unwrap();
        serde_json::from_str(&answer.into_body().read_to_string().unwrap()).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Both agents, running.
pub struct Agents {
    narthex: Option<Agent>,
    _prometheus: Running,
}

impl Agents {
    /// Returns when Prometheus says that it is ready. `jobs` are `scrape_configs` in Prometheus's own words.
    pub fn start(
        prometheus: &Prometheus,
        folder: &Path,
        global: &Value,
        jobs: &[Value],
        receiver: &Receiver,
    ) -> Agents {
        let config = folder.join("prometheus.yml");
        // JSON is YAML.
        fs::write(&config, serde_json::to_string_pretty(&yaml_of(global, jobs, receiver)).unwrap()).unwrap();
        let narthex = Agent::start(folder, &imported(&config, receiver));
        let mut command = Command::new(&prometheus.program);
        match prometheus.era {
            Era::Two => command.arg("--enable-feature=agent,exemplar-storage"),
            Era::Three => command.args(["--agent", "--enable-feature=exemplar-storage"]),
        };
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.agent.path={}", folder.join("wal").display()));
        Agents { narthex: Some(narthex), _prometheus: Running::start(command, folder) }
    }
}

impl Agents {
    /// Cleanly, so that it says what ends.
    pub fn stop_narthex(&mut self) {
        let (status, _) = self.narthex.take().expect("it is stopped once").stop();
        assert!(status.success(), "narthex ended with {status}");
    }
}

/// A port below those that the kernel gives to outgoing connections, of which a run makes thousands.
fn free_port() -> u16 {
    let first = 12_000 + (std::process::id() % 10_000) as u16;
    let mut ports = first..first + 8000;
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("one of thousands of ports is free")
}

fn yaml_of(global: &Value, jobs: &[Value], receiver: &Receiver) -> Value {
    let remote_write = json!([{
        "url": receiver.url(Who::Prometheus),
        "send_native_histograms": true,
        "send_exemplars": true,
        "queue_config": {"batch_send_deadline": "500ms"},
    }]);
    json!({"global": global, "scrape_configs": jobs, "remote_write": remote_write})
}

/// What `narthex import` makes of the file that Prometheus runs with, with a receiver and a ring of its own.
fn imported(config: &Path, receiver: &Receiver) -> String {
    let output = narthex(&["import", config.to_str().expect("a folder with a plain name")]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "import leaves something out:\n{told}");
    let toml = String::from_utf8(output.stdout).expect("TOML is UTF-8");
    let (theirs, mine) = (receiver.url(Who::Prometheus), receiver.url(Who::Narthex));
    assert_eq!(toml.matches(&theirs).count(), 1, "one receiver:\n{toml}");
    toml.replace(&theirs, &mine).replace("path = \"/var/lib/narthex/ring\"", "path = \"ring\"\nsize = \"64MiB\"")
}
