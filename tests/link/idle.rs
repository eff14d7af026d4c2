//! What a link that costs by the byte carries for a small target: every byte of every packet, as the kernel counts them.

use crate::namespaces::{DEVICE, RECEIVER, on_a_link};
use crate::support::tls::{Authority, Front};
use crate::*;
use rcgen::SanType;
use rustls::HandshakeKind;
use rustls::server::NoServerSessionStorage;
use std::fs;
use std::sync::Arc;
use std::thread::sleep;

/// Scrapes of one measurement. Each is sent by itself.
const REQUESTS: usize = 4;

/// Other names that the receiver's certificate is for: they make it as large as the chains of public authorities, 3 kB.
const NAMES: usize = 100;

fn name(number: usize) -> String {
    format!("receiver-{number:03}.example.com")
}

/// Bytes that went through this end of the link, both ways, and packets.
fn traffic() -> (u64, u64) {
    let text = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{DEVICE}:"))).unwrap();
    let fields: Vec<u64> = line.split_whitespace().map(|field| field.parse().unwrap()).collect();
    (fields[0] + fields[8], fields[1] + fields[9])
}

/// One target, one request a scrape: on a connection that is kept, on one that the receiver closes after each answer and a short
/// handshake opens again, and with a receiver that resumes no sessions. `NARTHEX_IDLE_INTERVAL` is another scrape interval; the
/// figures stay.
#[test]
#[ignore = "needs root and network namespaces: cargo on-a-link"]
fn an_idle_hour_costs_what_its_requests_do() {
    let interval = std::env::var("NARTHEX_IDLE_INTERVAL").unwrap_or("2s".into());
    on_a_link(|link| {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
        let (exporter, receiver) = (exporter_on(link, 10), Receiver::start());
        let server = authority.server("localhost", |params| {
            params.subject_alt_names.extend((0..NAMES).map(|i| SanType::DnsName(name(i).try_into().unwrap())));
        });
        let mut forgetful = (*server).clone();
        forgetful.session_storage = Arc::new(NoServerSessionStorage {});
        forgetful.send_tls13_tickets = 0;
        let front = Front::start(RECEIVER, receiver.address(), server);
        let keys = "queue_config = { batch_send_deadline = '100ms' }\n\
                    tls_config = { ca_file = 'ca.pem', server_name = 'localhost' }";
        let text = config(&exporter, &interval, &format!("{RECEIVER}:{}", front.port), keys);
        let agent = start_on(link, folder.path(), &text.replace("url = 'http:", "url = 'https:"));

        let kept = measure(&front, "a connection that is kept");
        assert_eq!(front.seen().handshakes, [HandshakeKind::Full]);
        front.close_after_each(true);
        let short = measure(&front, "a short handshake for each");
        assert!(front.seen().handshakes[1..].iter().all(|kind| *kind == HandshakeKind::Resumed));
        assert!(front.seen().handshakes.len() > REQUESTS);
        front.become_another(Arc::new(forgetful));
        let full = measure(&front, "a full handshake for each");
        assert!(kept < 1500 && short < 3500 && short + 2000 < full, "{kept}, {short} and {full} bytes a request");
        assert!(agent.stop().0.success());
    });
}

/// Bytes of each request from now on, and all that comes with it.
fn measure(front: &Front, what: &str) -> u64 {
    let wait = |count| {
        let asked = || Some(front.seen().heads.len()).filter(|asked| *asked >= count);
        let asked = eventually("requests", seconds(3600), asked);
        sleep(Duration::from_millis(500));
        (asked, traffic())
    };
    // The change is not counted.
    let (before, (bytes_before, packets_before)) = wait(front.seen().heads.len() + 1);
    let (after, (bytes_after, packets_after)) = wait(before + REQUESTS);
    let requests = (after - before) as u64;
    let (bytes, packets) = ((bytes_after - bytes_before) / requests, (packets_after - packets_before) / requests);
    println!("{what}: {bytes} bytes in {packets} packets a request; {} kB an hour at one a minute", bytes * 60 / 1000);
    bytes
}
