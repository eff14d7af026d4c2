//! The link goes and comes back; or it stays, and nothing comes of what is sent.

use crate::namespaces::{AGENT, DEVICE, RECEIVER, on_a_link};
use crate::support::*;
use crate::*;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Instant;

/// Each wait after a failure is five minutes: only what the kernel tells can end it.
const FIVE_MINUTES: &str = "remote_timeout = '2s'\n\
     queue_config = { batch_send_deadline = '200ms', min_backoff = '5m', max_backoff = '5m' }";

/// An uplink that came back used to be noticed at the end of the wait.
#[test]
#[ignore = "needs root and network namespaces: cargo on-a-link"]
fn an_uplink_that_comes_back_is_noticed_at_once() {
    on_a_link(|link| {
        let folder = tempfile::tempdir().unwrap();
        let (exporter, receiver) = (exporter_on(link, 0), receiver());
        let config = config(&exporter, "200ms", &receiver.address().to_string(), FIVE_MINUTES);
        // What a fleet is spared for is not what is measured.
        let agent = start_on(link, folder.path(), &format!("{config}[uplink]\nspread = '0s'\n"));
        wait_until_arrived(&receiver, 5, PATIENCE);
        let take = |end: &str| format!("link set {DEVICE} {end}");
        for (what, is_receivers, down, up) in [
            ("the link", false, take("down"), take("up")),
            ("its carrier", true, take("down"), take("up")),
            (
                "an address",
                false,
                format!("address del {AGENT}/24 dev {DEVICE}"),
                format!("address add {AGENT}/24 dev {DEVICE}"),
            ),
            (
                "a route",
                false,
                format!("route del 10.77.0.0/24 dev {DEVICE}"),
                format!("route add 10.77.0.0/24 dev {DEVICE}"),
            ),
        ] {
            let ip = |words: &str| if is_receivers { link.receiver_ip(words) } else { link.agent_ip(words) };
            // Early attempts are at least three seconds apart.
            sleep(seconds(4));
            ip(&down);
            // It fails by then, at once or by its timeout, and waits.
            sleep(seconds(6));
            let (held, scrapes) = (arrived(&receiver).len(), exporter.requests());
            sleep(seconds(2));
            assert_eq!(arrived(&receiver).len(), held, "{what} was not down");
            let up_at = Instant::now();
            ip(&up);
            // Two seconds, and as many again on a machine that is busy.
            wait_until_arrived(&receiver, scrapes - 1, seconds(4));
            println!("{what}: back after {:?}", up_at.elapsed());
        }
        assert_eq!(receiver.repeats.load(Ordering::SeqCst), 0);
        assert_whole(&receiver);
        assert!(agent.stop().0.success());
    });
}

/// Requests that follow an outage of more than ten seconds are some seconds apart.
#[test]
#[ignore = "needs root and network namespaces: cargo on-a-link"]
fn with_the_default_spread_an_uplink_that_comes_back_brings_everything_soon() {
    on_a_link(|link| {
        let folder = tempfile::tempdir().unwrap();
        let (exporter, receiver) = (exporter_on(link, 0), receiver());
        let keys = "remote_timeout = '2s'\nqueue_config = { min_backoff = '5m', max_backoff = '5m' }";
        let config = config(&exporter, "200ms", &receiver.address().to_string(), keys);
        let agent = start_on(link, folder.path(), &config);
        wait_until_arrived(&receiver, 5, PATIENCE);
        link.agent_ip(&format!("link set {DEVICE} down"));
        agent.wait_for_log("not delivered, will retry");
        sleep(seconds(12));
        let scrapes = exporter.requests();
        link.agent_ip(&format!("link set {DEVICE} up"));
        // Two seconds, a wait of at most one and a half times the spread, and a batch_send_deadline.
        wait_until_arrived(&receiver, scrapes - 1, seconds(20));
        assert_whole(&receiver);
        assert!(agent.stop().0.success());
    });
}

#[test]
#[ignore = "needs root and network namespaces: cargo on-a-link"]
fn a_link_that_flaps_makes_no_attempts_without_end() {
    on_a_link(|link| {
        let folder = tempfile::tempdir().unwrap();
        let exporter = exporter_on(link, 0);
        let refusing = Server::start_at(&format!("{RECEIVER}:0"), |_, _| respond("503 No", "", b"not now\n"));
        let config = config(&exporter, "200ms", &refusing.address.to_string(), FIVE_MINUTES);
        let agent = start_on(link, folder.path(), &config);
        agent.wait_for_log("not now");
        let (attempts, since) = (refusing.requests(), Instant::now());
        for _ in 0..36 {
            link.agent_ip(&format!("address add 10.78.0.1/24 dev {DEVICE}"));
            sleep(Duration::from_millis(200));
            link.agent_ip(&format!("address del 10.78.0.1/24 dev {DEVICE}"));
            sleep(Duration::from_millis(100));
        }
        let attempts = refusing.requests() - attempts;
        // One each three seconds.
        let possible = since.elapsed().as_secs() as usize / 3 + 2;
        assert!(
            (2..=possible).contains(&attempts),
            "{attempts} attempts while the link flapped for {:?}",
            since.elapsed()
        );
        assert!(agent.stop().0.success());
    });
}

/// First the receiver reads and never answers, then packets get lost.
#[test]
#[ignore = "needs root and network namespaces: cargo on-a-link"]
fn what_a_black_hole_swallows_is_sent_again_after_remote_timeout() {
    const OUTAGE: Duration = seconds(10);
    on_a_link(|link| {
        let folder = tempfile::tempdir().unwrap();
        let (exporter, mut receiver) = (exporter_on(link, 0), receiver());
        let keys = "remote_timeout = '2s'\nqueue_config = { batch_send_deadline = '200ms', max_backoff = '500ms' }";
        let config = config(&exporter, "200ms", &receiver.address().to_string(), keys);
        let agent = start_on(link, folder.path(), &config);
        wait_until_arrived(&receiver, 5, PATIENCE);

        let address = receiver.go_away();
        let hole = Server::start_at(&address.to_string(), |_, _| {
            sleep(seconds(3600));
            Vec::new()
        });
        agent.wait_for_log("did not answer within 2s");
        let (swallowed, since) = (hole.requests(), Instant::now());
        sleep(OUTAGE);
        let swallowed = hole.requests() - swallowed;
        // One each two seconds and the wait after it.
        let possible = since.elapsed().as_secs() as usize / 2 + 1;
        assert!((3..=possible).contains(&swallowed), "{swallowed} requests in {:?}", since.elapsed());
        drop(hole);
        let scrapes = exporter.requests();
        receiver.back_at(address);
        wait_until_arrived(&receiver, scrapes, seconds(10));
        assert_whole(&receiver);
        assert_eq!(receiver.repeats.load(Ordering::SeqCst), 0, "what was swallowed did not arrive");

        // Whatever goes to the agent gets lost.
        link.receiver_ip(&format!("route add blackhole {AGENT}/32"));
        sleep(seconds(3));
        let held = arrived(&receiver).len();
        sleep(OUTAGE);
        assert!(arrived(&receiver).len() <= held, "packets get through");
        let scrapes = exporter.requests();
        link.receiver_ip(&format!("route del blackhole {AGENT}/32"));
        wait_until_arrived(&receiver, scrapes, seconds(10));
        assert_whole(&receiver);
        let (repeats, lines) = (receiver.repeats.load(Ordering::SeqCst), agent.log().matches("did not answer").count());
        assert!(repeats <= 100, "{repeats} samples came twice: more than the request that was under way");
        assert!((1..=4).contains(&lines), "{lines} lines in the log:\n{}", agent.log());
        assert!(agent.stop().0.success());
    });
}
