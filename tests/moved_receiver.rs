//! The built agent whose receiver's name comes to lead to another address. Its name is in a hosts file of its own, in a mount
//! namespace: as root, or where users may make namespaces. Elsewhere these tests say so and check nothing.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "receiver.test";

/// A server that keeps its connections and gives each request this answer, and how many connections it had.
fn keeping_server(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let counted = connections.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || while answer_one(&stream, answer).is_some() {});
        }
    });
    (address, connections)
}

fn answer_one(mut stream: &TcpStream, answer: &[u8]) -> Option<()> {
    let (mut reader, mut line, mut length) = (BufReader::new(stream), String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    stream.write_all(answer).ok().filter(|()| !answer.is_empty())
}

/// What runs a command with this hosts file in place of the machine's; `None` if that is not allowed here.
fn with_hosts(hosts: &Path) -> Option<Command> {
    let command = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c"]);
        command.args(["mount --bind \"$0\" /etc/hosts && exec \"$@\""]).arg(hosts);
        command
    };
    let works = command().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    works.then(command).or_else(|| {
        println!("no mount namespaces here: nothing is checked");
        None
    })
}

fn start(folder: &Path, hosts: &Path, exporter: &Server, port: u16) -> Option<Agent> {
    let mut command = with_hosts(hosts)?;
    command.arg(env!("CARGO_BIN_EXE_narthex"));
    let config = format!(
        "[global]\nscrape_interval = '200ms'\nscrape_timeout = '200ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = 'http://{NAME}:{port}/write'\nremote_timeout = '2s'\n\
         queue_config = {{ batch_send_deadline = '200ms', max_backoff = '300ms' }}\n\
         [buffer]\npath = 'ring'\nsize = '256KiB'\nsegment_size = '16KiB'\n[uplink]\nspread = '0s'\n",
        exporter.address
    );
    Some(Agent::start_by(command, folder, &config))
}

fn arrived(receiver: &Receiver) -> usize {
    receiver.series("n{").len()
}

/// A connection that is kept used to be used as long as it was answered over, whatever the answer: the name was never looked up
/// again.
#[test]
fn a_receiver_that_moved_is_found_although_the_old_address_answers() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    let exporter = exporter(|n| format!("n {n}\n"));
    let (old, connections) = keeping_server(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    let receiver = Receiver::start_at(&format!("127.0.0.2:{}", old.port()));
    std::fs::write(&hosts, format!("127.0.0.1 {NAME}\n")).unwrap();
    let Some(agent) = start(folder.path(), &hosts, &exporter, old.port()) else { return };
    agent.wait_for_log("503");
    // In place: the file is mounted.
    std::fs::write(&hosts, format!("127.0.0.2 {NAME}\n")).unwrap();
    eventually("samples at the new address", PATIENCE, || (arrived(&receiver) > 10).then_some(()));
    agent.wait_for_log("127.0.0.2 takes the place of 127.0.0.1, which failed");
    assert_eq!(connections.load(Ordering::SeqCst), 1, "it was kept until then");
    assert!(agent.stop().0.success());
}

/// The first address of a name that took connections and answered nothing was asked again and again.
#[test]
fn of_two_addresses_the_one_that_fails_is_not_tried_first_again() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    let exporter = exporter(|n| format!("n {n}\n"));
    let (dead, _) = keeping_server(b"");
    let receiver = Receiver::start_at(&format!("127.0.0.2:{}", dead.port()));
    std::fs::write(&hosts, format!("127.0.0.1 {NAME}\n127.0.0.2 {NAME}\n")).unwrap();
    let Some(agent) = start(folder.path(), &hosts, &exporter, dead.port()) else { return };
    eventually("samples at the other address", PATIENCE, || (arrived(&receiver) > 10).then_some(()));
    assert!(agent.stop().0.success());
}
