//! The built agent and receivers behind TLS: each way in which it can be refused is one clear line in the log, and loses
//! nothing.

mod support;

use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::tls::*;
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A scrape every 100 ms; `endpoint` is more of the endpoint's keys.
fn config(exporter: &Server, url: &str, endpoint: &str) -> String {
    format!(
        "[global]\nscrape_interval = '100ms'\nscrape_timeout = '100ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = '{url}'\nprotobuf_message = 'prometheus.WriteRequest'\nremote_timeout = '5s'\n{endpoint}\n\
         queue_config = {{ batch_send_deadline = '200ms', max_backoff = '300ms' }}\n\
         [buffer]\npath = 'ring'\nsize = '256KiB'\nsegment_size = '16KiB'\n",
        exporter.address
    )
}

fn counting() -> Server {
    exporter(|n| format!("n {n}\n"))
}

fn wait_for_scrape(receiver: &Receiver, number: usize) {
    eventually(&format!("scrape {number} and all before it"), PATIENCE, || {
        let arrived: Vec<u64> = receiver.series("n{").values().map(|value| *value as u64).collect();
        (0..=number as u64).all(|number| arrived.contains(&number)).then_some(())
    });
}

/// A line of the log that says so, and all of it.
fn assert_said(agent: &Agent, said: &[&str]) {
    let log = agent.log();
    assert!(log.lines().any(|line| said.iter().all(|part| line.contains(part))), "{said:?} is in no line of\n{log}");
}

#[test]
fn a_receiver_that_is_not_trusted_is_a_clear_line_and_gets_everything_once_it_is() {
    let (authority, other) = (Authority::new(), Authority::new());
    let good = || authority.server("localhost", |_| {});
    let date = rcgen::date_time_ymd;
    let both = "authority that is trusted here; name the right CA in tls_config ca_file";
    for (bad, keys, said) in [
        (authority.server("localhost", |params| params.not_after = date(2020, 1, 1)), "", "has expired; renew it"),
        (authority.server("localhost", |params| params.not_before = date(4000, 1, 1)), "", "is not valid yet; check"),
        (
            authority.server("elsewhere.example", |_| {}),
            "",
            "is not for \"localhost\" but for \"elsewhere.example\"; use the name",
        ),
        (other.server("localhost", |_| {}), "", both),
        (
            authority.server_of(&[&TLS13], None, "localhost", |_| {}),
            "max_version = 'TLS12'",
            "check tls_config min_version",
        ),
        (
            authority.server_of(&[&TLS12], None, "localhost", |_| {}),
            "min_version = 'TLS13'",
            "check tls_config min_version",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
        let (exporter, receiver) = (counting(), Receiver::start());
        let front = Front::start("127.0.0.1", receiver.address(), bad);
        let keys = format!(
            "tls_config = {{ {} }}",
            ["ca_file = 'ca.pem'", keys].join(if keys.is_empty() { "" } else { ", " })
        );
        let agent = Agent::start(folder.path(), &config(&exporter, &front.url(), &keys));
        agent.wait_for_log(said);
        assert_said(&agent, &[said, &front.url()]);
        assert!(receiver.samples.lock().unwrap().is_empty(), "{said}: nothing was sent");
        front.become_another(good());
        wait_for_scrape(&receiver, exporter.requests());
        assert!(agent.stop().0.success());
    }
}

#[test]
fn receivers_of_either_version_are_spoken_to_and_met_again_by_a_short_handshake() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
        let (exporter, receiver) = (counting(), Receiver::start());
        let front =
            Front::start("127.0.0.1", receiver.address(), authority.server_of(&[version], None, "localhost", |_| {}));
        let keys = "tls_config = { ca_file = 'ca.pem' }\nheaders = { X-Scope-OrgID = 'fleet' }";
        let agent = Agent::start(folder.path(), &config(&exporter, &front.url(), keys));
        let kept = front.wait_for_requests(5);
        assert_eq!(kept.handshakes, [HandshakeKind::Full], "{version:?}: one connection for all");
        assert!(kept.heads.iter().all(|head| head.contains("\r\nx-scope-orgid: fleet\r\n")), "{}", kept.heads[0]);

        front.close_after_each(true);
        let closed = front.wait_for_requests(kept.heads.len() + 6);
        assert!(closed.handshakes.len() >= 4, "{:?}", closed.handshakes);
        assert!(closed.handshakes[1..].iter().all(|kind| *kind == HandshakeKind::Resumed), "{:?}", closed.handshakes);
        wait_for_scrape(&receiver, exporter.requests());
        assert_eq!(receiver.repeats.load(std::sync::atomic::Ordering::SeqCst), 0);
        assert!(agent.stop().0.success());
    }
}

#[test]
fn a_client_certificate_that_is_replaced_is_shown_without_a_restart() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    for version in [&TLS12, &TLS13] {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| targets::replace(&folder.path().join(name), text);
        let show = |authority: &Authority| {
            let (certificate, key) = authority.sign("device", |_| {});
            write("cert.pem", &certificate);
            write("key.pem", &key);
        };
        write("ca.pem", &authority.pem);
        show(&strangers);
        let (exporter, receiver) = (counting(), Receiver::start());
        let server = authority.server_of(&[version], Some(&clients), "localhost", |_| {});
        let front = Front::start("127.0.0.1", receiver.address(), server);
        let keys = "tls_config = { ca_file = 'ca.pem', cert_file = 'cert.pem', key_file = 'key.pem' }";
        let agent = Agent::start(folder.path(), &config(&exporter, &front.url(), keys));
        agent.wait_for_log("not delivered, will retry");
        show(&clients);
        wait_for_scrape(&receiver, exporter.requests());
        assert!(agent.stop().0.success());
    }
}

/// Starts with these roots as the system's.
fn start_with_roots(folder: &Path, roots: &Path, config: &str) -> Agent {
    let mut command = Command::new(env!("CARGO_BIN_EXE_narthex"));
    command.env("SSL_CERT_FILE", roots).env("SSL_CERT_DIR", folder.join("none"));
    Agent::start_by(command, folder, config)
}

#[test]
fn the_systems_roots_are_trusted_and_those_built_in_where_it_has_none() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("system.pem");
    fs::write(&roots, &authority.pem).unwrap();
    let (exporter, receiver) = (counting(), Receiver::start());
    let front = Front::start("127.0.0.1", receiver.address(), authority.server("localhost", |_| {}));
    let text = config(&exporter, &front.url(), "");
    let agent = start_with_roots(folder.path(), &folder.path().join("none.pem"), &text);
    agent.wait_for_log("the system has no root certificates; using those built in");
    agent.wait_for_log("is not signed by an authority");
    assert!(agent.stop().0.success());
    let agent = start_with_roots(folder.path(), &roots, &text);
    wait_for_scrape(&receiver, 5);
    assert!(agent.stop().0.success());
}
