//! Names that nobody answers for, beside names that somebody does.

mod support;

use std::fs;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use support::*;

/// An address of this machine for each test that listens on the one port that `resolv.conf` knows.
const SERVERS: [&str; 2] = ["127.53.0.1", "127.53.0.2"];

/// A name server that knows some names and never answers for others.
struct NameServer {
    /// Names that it was asked for, with the dots.
    asked: Arc<Mutex<Vec<String>>>,
    lost: Arc<AtomicUsize>,
}

impl NameServer {
    /// `None` where the port is for root alone, or taken.
    fn start(address: &str, answer: impl Fn(&str, u16) -> Option<Answer> + Send + 'static) -> Option<NameServer> {
        let socket = match UdpSocket::bind((address, 53)) {
            Ok(socket) => socket,
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::AddrInUse) => {
                eprintln!("SKIPPED: {address}:53 can't be listened on ({error}); run it as root");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let server = NameServer { asked: Arc::default(), lost: Arc::default() };
        let (asked, lost) = (server.asked.clone(), server.lost.clone());
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((received, from)) = socket.recv_from(&mut query) {
                let (name, kind) = question(&query[..received]);
                asked.lock().unwrap().push(name.clone());
                match answer(&name, kind) {
                    Some(answer) => drop(socket.send_to(&reply(&query[..received], &answer), from)),
                    None => drop(lost.fetch_add(1, Ordering::SeqCst)),
                }
            }
        });
        Some(server)
    }
}

/// A code, and the addresses' bytes.
type Answer = (u16, Vec<Vec<u8>>);

const A: u16 = 1;
const NO_SUCH_NAME: u16 = 3;

/// The name that a query is about, in small letters, and the type.
fn question(query: &[u8]) -> (String, u16) {
    let (mut name, mut at) = (String::new(), 12);
    while query[at] != 0 {
        let label = &query[at + 1..at + 1 + usize::from(query[at])];
        name += &String::from_utf8_lossy(label).to_ascii_lowercase();
        name += ".";
        at += 1 + label.len();
    }
    (name, u16::from_be_bytes([query[at + 1], query[at + 2]]))
}

fn reply(query: &[u8], (code, addresses): &Answer) -> Vec<u8> {
    let question_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut out = query[..2].to_vec();
    [0x8180 | code, 1, addresses.len() as u16, 0, 0].iter().for_each(|number| out.extend(number.to_be_bytes()));
    out.extend(&query[12..question_end]);
    for address in addresses {
        // The question's name, its type and class, 60 s.
        out.extend([0xc0, 12]);
        out.extend(&query[question_end - 4..question_end]);
        out.extend([0, 0, 0, 60, 0, address.len() as u8]);
        out.extend(address);
    }
    out
}

/// A command that sees these files in `/etc`, and this machine's otherwise.
fn with_etc(folder: &Path, hosts: &str, resolv_conf: &str) -> Option<Command> {
    let files = [("hosts", hosts), ("resolv.conf", resolv_conf), ("nsswitch.conf", "hosts: files dns\n")];
    let mut script = String::new();
    for (name, text) in files {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        script +=
            &format!("if [ -e /etc/{name} ]; then mount --bind '{}' /etc/{name} || exit 99; fi; ", file.display());
    }
    let unshared = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_narthex")]);
        command
    };
    let is_allowed = unshared(&(script.clone() + "true")).status().is_ok_and(|status| status.success());
    if !is_allowed {
        eprintln!("SKIPPED: this machine allows no mounts of one's own");
        return None;
    }
    Some(unshared(&(script + "exec \"$0\" \"$@\"")))
}

/// Four lookups at a time took ten seconds each: with a dozen names of devices that were gone, a healthy target with a name was up
/// 0 most of the time, one in `/etc/hosts` too.
#[test]
fn no_name_waits_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let known = |name: &str, kind: u16| match (name, kind) {
        ("good.test.", A) => Some((0, vec![vec![127, 0, 0, 1]])),
        ("good.test.", _) => Some((0, vec![])),
        _ => None,
    };
    let Some(server) = NameServer::start(SERVERS[0], known) else { return };
    let resolv_conf = format!("nameserver {}\n", SERVERS[0]);
    let Some(command) = with_etc(folder.path(), "127.0.0.1 localhost inhosts\n", &resolv_conf) else { return };
    let (exporter, receiver) = (exporter(|_| "v 1\n".into()), Receiver::start());
    let port = exporter.address.port();
    let gone: String = (0..12).map(|n| format!("'gone-{n}.test:9', ")).collect();
    let config = format!(
        "[global]\nscrape_interval = '1s'\nscrape_timeout = '1s'\n\
         [[scrape_configs]]\njob_name = 'j'\nstatic_configs = [{{ targets = [{gone} 'good.test:{port}', 'inhosts:{port}'] }}]\n\
         [[remote_write]]\nurl = 'http://{}/api/v1/write'\nqueue_config = {{ batch_send_deadline = '200ms' }}\n\
         [buffer]\npath = 'ring'\nsize = '256KiB'\nsegment_size = '16KiB'\n",
        receiver.address()
    );
    let agent = Agent::start_by(command, folder.path(), &config);
    let ups =
        |host: &str| receiver.series(&format!("up{{instance=\"{host}:{port}\"")).into_values().collect::<Vec<_>>();
    eventually("eight scrapes of both", Duration::from_secs(60), || {
        (ups("good.test").len() >= 8 && ups("inhosts").len() >= 8).then_some(())
    });
    for host in ["good.test", "inhosts"] {
        let (up, down): (Vec<f64>, Vec<f64>) = ups(host).into_iter().partition(|up| *up == 1.0);
        // A busy machine may be late for a scrape.
        assert!(up.len() >= 4 * down.len(), "{host}: up {} times of {}", up.len(), up.len() + down.len());
    }
    assert!(server.lost.load(Ordering::SeqCst) >= 24, "the others were asked for, and not answered");
    agent.wait_for_log("gone-3.test");
    assert!(agent.stop().0.success());
}

/// What a name may be short for, which kinds of addresses it has, and a server that is silent are for the resolver to go through.
#[test]
fn names_are_looked_up_as_resolv_conf_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let passed_over = AtomicUsize::new(0);
    let known = move |name: &str, kind: u16| match (name, kind) {
        ("plc.plant.example.", A) => Some((0, vec![vec![127, 0, 0, 1]])),
        // Some servers keep silent about the other kind, some refuse.
        ("plc.plant.example.", _) => None,
        ("refused.example.", A) => Some((0, vec![vec![127, 0, 0, 1]])),
        ("refused.example.", _) => Some((2, vec![])),
        // One answer for each socket: the second question comes alone.
        ("firewalled.example.", A) if passed_over.fetch_add(1, Ordering::SeqCst) == 0 => None,
        ("firewalled.example.", A) => Some((0, vec![vec![127, 0, 0, 1]])),
        ("firewalled.example.", _) => Some((0, vec![])),
        _ => Some((NO_SUCH_NAME, vec![])),
    };
    let Some(server) = NameServer::start(SERVERS[1], known) else { return };
    // Nobody listens at the first.
    let resolv_conf =
        format!("nameserver 127.53.0.99\nnameserver {}\nsearch other.example plant.example\n", SERVERS[1]);
    let Some(mut command) = with_etc(folder.path(), "127.0.0.1 localhost\n", &resolv_conf) else { return };
    let exporter = exporter(|_| "v 1\n".into());
    let port = exporter.address.port();
    let hosts = ["plc", "refused.example", "firewalled.example", "none.example"];
    let targets: Vec<String> = hosts.map(|host| format!("'{host}:{port}'")).into();
    let file = folder.path().join("n.toml");
    let config = format!(
        "[[scrape_configs]]\njob_name = 'j'\nscrape_interval = '20s'\nscrape_timeout = '20s'\n\
         static_configs = [{{ targets = [{}] }}]\n",
        targets.join(", ")
    );
    fs::write(&file, config).unwrap();
    let output = command.args(["scrape", "--config", file.to_str().unwrap()]).output().unwrap();
    let [shown, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    for (host, up) in hosts.into_iter().zip([1, 1, 1, 0]) {
        assert!(
            shown.contains(&format!("up{{instance=\"{host}:{port}\",job=\"j\"}} {up} ")),
            "{host}: {shown}{errors}"
        );
    }
    assert!(errors.contains("can't resolve \"none.example\": no name server knows the name"), "{errors}");
    let asked = server.asked.lock().unwrap();
    let first_of = |name: &str| asked.iter().position(|asked| asked == name);
    assert!(first_of("plc.other.example.") < first_of("plc.plant.example."), "{asked:?}");
    assert!(first_of("plc.").is_none(), "it was found before: {asked:?}");
}
