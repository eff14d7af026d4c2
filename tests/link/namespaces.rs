//! Two network namespaces and the link between them, gone with their test.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub const AGENT: &str = "10.77.0.1";
pub const RECEIVER: &str = "10.77.0.2";
/// The link's end, in either namespace.
pub const DEVICE: &str = "up0";

pub struct Link {
    agent: String,
    receiver: String,
}

/// Runs a test at the receiver's end of a new link.
pub fn on_a_link(test: impl FnOnce(&Link) + Send) {
    let link = Link::new();
    inside(&link.receiver, || test(&link));
}

/// On a thread in this namespace. Threads and programs that it starts are in it as well.
fn inside<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let file = File::open(format!("/run/netns/{namespace}")).unwrap();
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Link {
    fn new() -> Link {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let link = Link { agent: format!("narthex-a-{number}"), receiver: format!("narthex-r-{number}") };
        let Link { agent, receiver } = &link;
        for (namespace, address) in [(agent, AGENT), (receiver, RECEIVER)] {
            needed(&format!("ip netns add {namespace}"));
            needed(&format!("ip -n {namespace} link set lo up"));
            if address == RECEIVER {
                needed(&format!("ip -n {agent} link add {DEVICE} type veth peer name {DEVICE} netns {receiver}"));
            }
        }
        for (namespace, address) in [(agent, AGENT), (receiver, RECEIVER)] {
            needed(&format!("ip -n {namespace} address add {address}/24 dev {DEVICE}"));
            needed(&format!("ip -n {namespace} link set {DEVICE} up"));
        }
        link
    }

    /// The name of its namespace.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    pub fn at_the_agent<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(&self.agent, work)
    }

    /// `ip` with these words in the agent's namespace.
    pub fn agent_ip(&self, words: &str) {
        needed(&format!("ip -n {} {words}", self.agent));
    }

    pub fn receiver_ip(&self, words: &str) {
        needed(&format!("ip -n {} {words}", self.receiver));
    }

    /// Limits the rate in both directions. What waits for longer than two seconds is dropped.
    pub fn limit_rate(&self, kbit: u32) {
        for namespace in [&self.agent, &self.receiver] {
            needed(&format!("tc -n {namespace} qdisc add dev {DEVICE} root tbf rate {kbit}kbit burst 4kb latency 2s"));
        }
    }

    /// What programs in the agent's namespace find in `/etc/resolv.conf`, from their start on.
    pub fn set_resolv_conf(&self, text: &str) {
        let folder = self.resolver_folder();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("resolv.conf"), text).unwrap();
    }

    fn resolver_folder(&self) -> PathBuf {
        PathBuf::from("/etc/netns").join(&self.agent)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Nothing is to be done about a failure here.
        _ = fs::remove_dir_all(self.resolver_folder());
        for namespace in [&self.agent, &self.receiver] {
            _ = run(&format!("ip netns del {namespace}"));
        }
    }
}

fn needed(command: &str) {
    if let Err(error) = run(command) {
        panic!(
            "{command}: {error}\nThis test needs network namespaces: run it as root, with iproute2 installed, and in a \
             container with CAP_SYS_ADMIN and CAP_NET_ADMIN (docker run --privileged)"
        );
    }
}

fn run(command: &str) -> Result<(), String> {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().into()) }
}
