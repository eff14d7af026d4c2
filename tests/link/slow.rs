//! A modem: 64 kbit/s and a second from request to answer.

use crate::namespaces::{DEVICE, RECEIVER, on_a_link};
use crate::*;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::{self, sleep};
use std::time::Instant;

const ONE_WAY: Duration = Duration::from_millis(500);

/// Passes connections on to `to`; each byte takes half a second, either way. Gives its own address.
fn distant(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((RECEIVER, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(to) else { continue };
            pass_on(near.try_clone().unwrap(), far.try_clone().unwrap());
            pass_on(far, near);
        }
    });
    address
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let (on_the_way, arriving) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            on_the_way.send((Instant::now() + ONE_WAY, bytes[..read].into())).unwrap_or_default();
        }
    });
    thread::spawn(move || {
        for (at, bytes) in arriving {
            sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
        sleep(ONE_WAY);
        _ = to.shutdown(Shutdown::Write);
    });
}

#[test]
#[ignore = "needs root and network namespaces: cargo on-a-link"]
fn a_slow_link_with_a_second_of_latency_carries_everything_once() {
    on_a_link(|link| {
        let folder = tempfile::tempdir().unwrap();
        let (exporter, receiver) = (exporter_on(link, 50), receiver());
        link.limit_rate(64);
        let keys = "remote_timeout = '10s'\nqueue_config = { batch_send_deadline = '2s' }";
        let config = config(&exporter, "500ms", &distant(receiver.address()).to_string(), keys);
        let agent = start_on(link, folder.path(), &config);
        let began = Instant::now();
        wait_until_arrived(&receiver, 10, PATIENCE);
        // A backlog as well.
        link.agent_ip(&format!("link set {DEVICE} down"));
        sleep(seconds(12));
        link.agent_ip(&format!("link set {DEVICE} up"));
        sleep(seconds(15));
        wait_until_arrived(&receiver, exporter.requests(), seconds(10));
        let elapsed = began.elapsed();
        assert!(agent.log().matches("did not answer").count() <= 1, "{}", agent.log());
        assert!(agent.stop().0.success());
        let (requests, repeats) =
            (receiver.server.as_ref().unwrap().requests(), receiver.repeats.load(Ordering::SeqCst));
        let samples: usize = receiver.samples.lock().unwrap().values().map(|series| series.len()).sum();
        println!("{samples} samples in {requests} requests within {elapsed:?}, {repeats} of them twice");
        assert_whole(&receiver);
        assert!(requests <= elapsed.as_secs() as usize / 2 + 4, "{requests} requests in {elapsed:?}");
        // Only what was under way as the link went.
        assert!(repeats <= 2000, "{repeats} samples came twice");
    });
}
