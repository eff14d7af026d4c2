//! What the built agent shows of itself on its status page.

mod support;

use serde_json::Value;
use support::*;

fn config(receiver: &Receiver, exporter: &Server, broken: &Server) -> String {
    format!(
        "global = {{ scrape_interval = '200ms', scrape_timeout = '200ms' }}\n\
         status = {{ listen = '127.0.0.1:0' }}\n\
         [[scrape_configs]]\njob_name = 'node'\n\
         static_configs = [{{ targets = ['{}', '{}', 'dropped:1'], labels = {{ site = 'north' }} }}]\n\
         relabel_configs = [{{ action = 'drop', source_labels = ['__address__'], regex = 'dropped:.*' }}]\n\
         [[remote_write]]\nname = 'here'\nurl = 'http://{}/write'\n[buffer]\npath = 'ring'\nsize = '1MiB'\n",
        exporter.address,
        broken.address,
        receiver.address()
    )
}

#[test]
fn targets_tell_how_their_scrapes_went_and_counts_are_there_to_be_scraped() {
    let folder = tempfile::tempdir().unwrap();
    let (receiver, works) = (Receiver::start(), exporter(|_| "v 1\n".into()));
    let broken = exporter(|_| "v 1\nv 2 3 4\n".into());
    let agent = Agent::start(folder.path(), &config(&receiver, &works, &broken));
    let address = agent.status_address();

    let targets = eventually("both scrapes", std::time::Duration::from_secs(20), || {
        let answer: Value = serde_json::from_str(&get(&address, "/api/v1/targets")).unwrap();
        let known = |target: &Value| target["health"] != "unknown";
        let data = answer["data"].clone();
        data["activeTargets"].as_array().unwrap().iter().all(known).then_some(data)
    });
    let find = |server: &Server| {
        let instance = server.address.to_string();
        let active = targets["activeTargets"].as_array().unwrap().iter();
        active.clone().find(|target| target["labels"]["instance"] == *instance).unwrap().clone()
    };
    let (up, down) = (find(&works), find(&broken));
    assert_eq!((&up["health"], &up["lastError"]), (&"up".into(), &"".into()));
    assert_eq!(
        (&up["labels"]["site"], &up["discoveredLabels"]["__scrape_interval__"]),
        (&"north".into(), &"200ms".into())
    );
    assert_eq!(up["scrapeUrl"], works.url("/metrics"));
    assert_eq!(down["health"], "down");
    assert!(down["lastError"].as_str().unwrap().contains("line 2"), "{down}");
    assert_eq!(targets["droppedTargets"][0]["discoveredLabels"]["__address__"], "dropped:1");
    assert_eq!(targets["droppedTargetCounts"]["node"], 1);

    let metrics = eventually("a delivery", std::time::Duration::from_secs(20), || {
        let page = get(&address, "/metrics");
        let delivered =
            page.lines().find_map(|line| line.strip_prefix("narthex_samples_delivered_total{endpoint=\"here\"} "));
        delivered.is_some_and(|count| count != "0").then_some(page)
    });
    assert!(metrics.contains("narthex_samples_dropped_total{endpoint=\"here\",cause=\"ring_full\"} 0\n"), "{metrics}");
    assert_eq!(get(&address, "/-/ready"), "narthex is ready\n");
    assert!(get(&address, "/api/v2").starts_with("there are"));
    assert!(agent.stop().0.success());
}

#[test]
fn a_port_that_is_taken_is_said_at_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (receiver, works) = (Receiver::start(), exporter(|_| "v 1\n".into()));
    let text = config(&receiver, &works, &works).replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    let (status, log) = Agent::start(folder.path(), &text).wait();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("can't be listened on") && log.contains("write another address or port"), "{log}");
}
