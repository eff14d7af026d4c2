//! A receiver that knows 1.0 alone is asked for 2.0 once a day, not once a start: each time costs a request, on a link that costs money.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::*;

/// Requests of 2.0 and of 1.0 that came.
#[derive(Default)]
struct Came {
    v2: AtomicUsize,
    v1: AtomicUsize,
}

#[test]
fn what_was_learnt_of_a_receiver_outlives_a_restart() {
    let (folder, exporter, came) =
        (tempfile::tempdir().unwrap(), exporter(|n| format!("n {n}\n")), Arc::<Came>::default());
    let counted = came.clone();
    let receiver = Server::start(move |_, request| {
        let is_v2 = request.head.contains("proto=io.prometheus.write.v2.Request");
        if is_v2 { &counted.v2 } else { &counted.v1 }.fetch_add(1, Ordering::SeqCst);
        if is_v2 { respond("415 Unsupported Media Type", "", b"only 1.0") } else { respond("204 No Content", "", b"") }
    });
    for (path, v2_expected) in [("/write", 1), ("/write", 1), ("/write", 1), ("/elsewhere", 2)] {
        let config = format!(
            "[global]\nscrape_interval = '100ms'\n[[scrape_configs]]\njob_name = 'test'\n\
             static_configs = [{{ targets = [{:?}] }}]\n[buffer]\npath = 'ring'\nsize = '256KiB'\n\
             [[remote_write]]\nurl = '{}'\nname = 'r'\nqueue_config = {{ batch_send_deadline = '100ms' }}\n",
            exporter.address.to_string(),
            receiver.url(path),
        );
        let (agent, before) = (Agent::start(folder.path(), &config), came.v1.load(Ordering::SeqCst));
        eventually("five requests", Duration::from_secs(60), || {
            (came.v1.load(Ordering::SeqCst) > before + 5).then_some(())
        });
        assert!(agent.stop().0.success());
        assert_eq!(came.v2.load(Ordering::SeqCst), v2_expected, "{path}");
    }
}
