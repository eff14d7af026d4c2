//! A receiver whose name stops resolving: its server is silent, or says that there is no such name.

use crate::namespaces::{RECEIVER, on_a_link};
use crate::*;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::{self, sleep};

const ANSWER: u8 = 0;
const SILENCE: u8 = 1;
const NO_SUCH_NAME: u8 = 2;

/// A name server on port 53 that knows every name: it is the receiver.
fn name_server(mode: Arc<AtomicU8>) {
    let socket = UdpSocket::bind((RECEIVER, 53)).unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let mode = mode.load(Ordering::SeqCst);
            if mode != SILENCE {
                _ = socket.send_to(&answer(&query[..length], mode), from);
            }
        }
    });
}

fn answer(query: &[u8], mode: u8) -> Vec<u8> {
    let name_bytes = query[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let question = &query[12..12 + name_bytes + 4];
    let is_known = mode == ANSWER && question[name_bytes..][..2] == [0, 1];
    let code = if mode == NO_SUCH_NAME { 3 } else { 0 };
    let mut answer = [&query[..2], &[0x81, 0x80 | code, 0, 1, 0, u8::from(is_known), 0, 0, 0, 0], question].concat();
    if is_known {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 10, 77, 0, 2]);
    }
    answer
}

#[test]
#[ignore = "needs root and network namespaces: cargo on-a-link"]
fn a_name_that_stops_resolving_for_a_while_loses_nothing() {
    on_a_link(|link| {
        let folder = tempfile::tempdir().unwrap();
        let (exporter, receiver) = (exporter_on(link, 0), receiver());
        let mode = Arc::new(AtomicU8::new(ANSWER));
        name_server(mode.clone());
        link.set_resolv_conf(&format!("nameserver {RECEIVER}\noptions timeout:1 attempts:1\n"));
        let keys = "remote_timeout = '5s'\nqueue_config = { batch_send_deadline = '200ms', max_backoff = '500ms' }";
        let host = format!("receiver.example:{}", receiver.address().port());
        let agent = start_on(link, folder.path(), &config(&exporter, "200ms", &host, keys));
        wait_until_arrived(&receiver, 5, PATIENCE);
        for outage in [SILENCE, NO_SUCH_NAME] {
            mode.store(outage, Ordering::SeqCst);
            agent.wait_for_log("can't look up host \"receiver.example\"");
            sleep(seconds(5));
            let (held, scrapes) = (arrived(&receiver).len(), exporter.requests());
            sleep(seconds(2));
            assert_eq!(arrived(&receiver).len(), held, "the name resolves");
            mode.store(ANSWER, Ordering::SeqCst);
            wait_until_arrived(&receiver, scrapes, seconds(10));
        }
        assert_whole(&receiver);
        assert_eq!(receiver.repeats.load(Ordering::SeqCst), 0);
        assert!(agent.log().contains("check the url, the network and its DNS server"), "{}", agent.log());
        assert!(agent.stop().0.success());
    });
}
