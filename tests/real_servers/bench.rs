//! Everything around the agent: exporters, receivers, fronts, its configuration.

use crate::agent::Agent;
use crate::certificate;
use crate::front::Front;
use crate::pages::{Exporter, PAGE_NUMBER, odd_page};
use crate::process::{Process, free_port, now_ms, wait_for};
use crate::receiver::{Product, Receiver};
use crate::series::Held;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Added by the agent to all that it ships.
pub const EXTERNAL_LABELS: &[(&str, &str)] = &[("site", "test bench")];
const RING_BYTES: u64 = 16 << 20;

/// Children are fields before the directory that they write to: what is first is dropped first.
pub struct Bench {
    pub exporters: [Exporter; 2],
    pub prometheus: Uplink,
    pub victoria: Uplink,
    _node_exporter: Process,
    directory: TempDir,
}

/// A receiver and the way to it.
pub struct Uplink {
    pub receiver: Receiver,
    pub front: Front,
}

impl Bench {
    /// `message` is the endpoints' `protobuf_message`.
    pub fn new(commit_interval: Duration, message: &str) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let identity = certificate::issue();
        let (_node_exporter, node_address) = start_node_exporter(&directory);
        let node = Exporter::start("node", EXTERNAL_LABELS, move |_| fetch(&node_address));
        let odd = Exporter::start("odd", EXTERNAL_LABELS, odd_page);
        let [prometheus, victoria] = [Product::Prometheus, Product::VictoriaMetrics].map(|product| {
            let receiver = Receiver::start(product, directory.path());
            let front = Front::open(receiver.port, identity.server.clone());
            Uplink { receiver, front }
        });
        fs::write(directory.path().join("ca.pem"), identity.ca_pem).unwrap();
        let bench = Bench { exporters: [node, odd], prometheus, victoria, _node_exporter, directory };
        fs::write(bench.config(), bench.configuration(commit_interval, message)).unwrap();
        bench
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("narthex.toml")
    }

    fn ring(&self) -> PathBuf {
        self.directory.path().join("narthex.ring")
    }

    fn configuration(&self, commit_interval: Duration, message: &str) -> String {
        let labels = EXTERNAL_LABELS.iter().map(|(name, value)| format!("{name} = {value:?}")).collect::<Vec<_>>();
        let mut text = format!(
            "[global]\nscrape_interval = \"1s\"\nscrape_timeout = \"1s\"\nexternal_labels = {{ {} }}\n\n\
             [buffer]\npath = {:?}\nsize = \"{}MiB\"\ncommit_interval = \"{}s\"\n",
            labels.join(", "),
            self.ring(),
            RING_BYTES >> 20,
            commit_interval.as_secs(),
        );
        for exporter in &self.exporters {
            let (job, address) = (exporter.job, &exporter.address);
            text += &format!(
                "\n[[scrape_configs]]\njob_name = {job:?}\nstatic_configs = [{{ targets = [{address:?}] }}]\n"
            );
        }
        for uplink in [&self.prometheus, &self.victoria] {
            text += &format!(
                "\n[[remote_write]]\nname = \"{:?}\"\nurl = \"https://127.0.0.1:{}/api/v1/write\"\n\
                 remote_timeout = \"5s\"\nprotobuf_message = {message:?}\n\
                 queue_config = {{ batch_send_deadline = \"1s\", min_backoff = \"100ms\", max_backoff = \"1s\" }}\n\
                 tls_config = {{ ca_file = {:?} }}\n",
                uplink.receiver.product,
                uplink.front.port,
                self.directory.path().join("ca.pem"),
            );
        }
        text
    }

    pub fn start_agent(&self) -> Agent {
        Agent::start(&self.config(), &self.directory.path().join("narthex.log"))
    }

    pub fn uplinks(&self) -> [&Uplink; 2] {
        [&self.prometheus, &self.victoria]
    }

    /// Bytes of the ring's file other than zero.
    pub fn ring_bytes_written(&self) -> usize {
        let ring = fs::read(self.ring()).unwrap();
        assert_eq!(ring.len() as u64, RING_BYTES, "the ring's file has not the configured size");
        ring.iter().filter(|byte| **byte != 0).count()
    }

    /// Waits for a moment in which no scrape is under way nor soon due. There is one in each second: two targets can't
    /// fill it.
    pub fn wait_between_scrapes(&self) {
        wait_for(Duration::from_secs(20), || {
            let quiet_ms = self.exporters.iter().map(Exporter::quiet_ms).min().unwrap();
            if (300..450).contains(&quiet_ms) { Ok(()) } else { Err(format!("scrapes leave no gap: {quiet_ms} ms")) }
        });
    }
}

impl Uplink {
    /// Numbers of the pages of `job` that the receiver has, and the timestamp of the newest.
    pub fn pages_held(&self, job: &str) -> (BTreeSet<u64>, Option<i64>) {
        let stored = self.receiver.read(&format!("{PAGE_NUMBER}{{job=\"{job}\"}}"));
        let points: Vec<_> = stored.into_values().flatten().collect();
        let numbers = points.iter().filter_map(|point| match point.held {
            Held::Value(number) => Some(number as u64),
            Held::StaleMarker => None,
        });
        (numbers.collect(), points.iter().map(|point| point.at_ms).max())
    }

    /// How many scrapes of that job failed, as `up` says.
    pub fn failed_scrapes(&self, job: &str) -> usize {
        let stored = self.receiver.read(&format!("up{{job=\"{job}\"}}"));
        stored.into_values().flatten().filter(|point| point.held == Held::Value(0.0)).count()
    }

    /// How old the newest sample of that job is that the receiver has.
    pub fn lag_ms(&self, job: &str) -> Option<i64> {
        let now_ms = now_ms();
        self.pages_held(job).1.map(|newest_ms| now_ms - newest_ms)
    }
}

fn start_node_exporter(directory: &TempDir) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address={address}"));
    let mut process = Process::start("node exporter", &mut command, &directory.path().join("node-exporter.log"));
    wait_for(Duration::from_secs(30), || {
        process.assert_running();
        fetch(&address).map_err(|error| format!("the node exporter is not ready: {error}"))
    });
    (process, address)
}

fn fetch(address: &str) -> io::Result<String> {
    let mut response = ureq::get(format!("http://{address}/metrics")).call().map_err(io::Error::other)?;
    response.body_mut().read_to_string().map_err(io::Error::other)
}
