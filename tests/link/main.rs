//! The built agent behind a link of its own: it goes, comes back, is slow, swallows packets, and names on it stop resolving.
//!
//! ```text
//!  namespace of the agent                namespace of the receiver
//!   exporter ◄── narthex run ─ veth ═════ veth ─► receiver, black hole, name server, or a proxy that takes its time
//!   127.0.0.1                 10.77.0.1   10.77.0.2
//! ```
//!
//! Needs root, `ip` and `tc`; hence all are `#[ignore]`d: run them by `cargo on-a-link`. The rate is limited by the kernel
//! (`tc tbf`); its `netem` is not in every kernel, so that latency is the proxy's.

mod names;
mod namespaces;
mod outages;
mod slow;
#[path = "../support/mod.rs"]
mod support;

use namespaces::{Link, RECEIVER};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::*;

const PATIENCE: Duration = Duration::from_secs(30);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// One target, scraped at this interval, and one endpoint of this host and port with these keys.
fn config(exporter: &Server, interval: &str, receiver: &str, endpoint: &str) -> String {
    format!(
        "[global]\nscrape_interval = '{interval}'\nscrape_timeout = '{interval}'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = 'http://{receiver}/api/v1/write'\nprotobuf_message = 'prometheus.WriteRequest'\n{endpoint}\n\
         [buffer]\npath = 'ring'\nsize = '1MiB'\nsegment_size = '64KiB'\n",
        exporter.address
    )
}

/// An exporter beside the agent; its series `n` is the number of the scrape.
fn exporter_on(link: &Link, others: usize) -> Server {
    link.at_the_agent(move || {
        exporter(move |n| {
            let others = (0..others).map(|i| format!("other{{i=\"{i}\"}} {}\n", n * (i + 1) % 97));
            format!("n {n}\n{}", others.collect::<String>())
        })
    })
}

fn start_on(link: &Link, folder: &Path, config: &str) -> Agent {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", link.agent(), env!("CARGO_BIN_EXE_narthex")]);
    Agent::start_by(command, folder, config)
}

fn receiver() -> Receiver {
    Receiver::start_at(&format!("{RECEIVER}:0"))
}

/// Numbers of the scrapes that arrived.
fn arrived(receiver: &Receiver) -> BTreeSet<u64> {
    receiver.series("n{").values().filter(|value| !value.is_nan()).map(|value| *value as u64).collect()
}

fn wait_until_arrived(receiver: &Receiver, number: usize, within: Duration) {
    eventually(&format!("scrape {number} at the receiver"), within, || {
        arrived(receiver).last().is_some_and(|last| *last >= number as u64).then_some(())
    });
}

/// Everything up to what is there now.
fn assert_whole(receiver: &Receiver) {
    let arrived = arrived(receiver);
    let missing: Vec<u64> = (0..*arrived.last().unwrap()).filter(|number| !arrived.contains(number)).collect();
    assert!(missing.is_empty(), "scrapes {missing:?} are missing");
}
