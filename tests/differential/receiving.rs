//! Prometheus 3 on the other side: what it holds of a page that the built agent scraped in protobuf and sent by Remote-Write 2.0.

use crate::agents::{Era, Prometheus, Running};
use crate::client_model::{COUNTER, Counter, HISTOGRAM, Metric, both_forms, exemplar, family, labels, page};
use crate::protobuf::PROTOBUF;
use crate::support::{Agent, Server, eventually, respond};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn config(target: &Server, receiver: &Running) -> String {
    format!(
        "[global]\nscrape_interval = '500ms'\nscrape_timeout = '500ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nscrape_native_histograms = true\n\
         static_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = '{}/api/v1/write'\nname = 'three'\nprotobuf_message = 'io.prometheus.write.v2.Request'\n\
         send_native_histograms = true\nsend_exemplars = true\nmetadata_config = {{ send = true }}\n\
         queue_config = {{ batch_send_deadline = '500ms' }}\n\
         [uplink]\nspread = '0s'\n\
         [status]\nlisten = '127.0.0.1:0'\n\
         [buffer]\npath = 'ring'\nsize = '1MiB'\n",
        target.address, receiver.url
    )
}

#[test]
#[ignore = "needs Prometheus"]
fn prometheus_3_takes_samples_histograms_and_exemplars_by_remote_write_2_0() {
    let Some(prometheus) = Prometheus::all().into_iter().find(|prometheus| prometheus.era == Era::Three) else {
        return println!("NOT RUN: there is no Prometheus 3; run .ci/install-prometheus");
    };
    let folder = tempfile::tempdir().unwrap();
    let receiver = prometheus.start_as_receiver(folder.path());
    let target = Server::start(|n, _| {
        // Its exemplar has no time: it gets that of its scrape.
        let counter = Counter { value: 1000.0 + n as f64, exemplar: Some(exemplar("abc", 0.5, None)), start: None };
        let counter = Metric { label: labels(&[("a", "b")]), counter: Some(counter), ..Metric::default() };
        let histogram = Metric { histogram: Some(both_forms()), ..Metric::default() };
        let families = [family("c_total", COUNTER, vec![counter]), family("h", HISTOGRAM, vec![histogram])];
        respond("200 OK", &format!("Content-Type: {PROTOBUF}\r\n"), &page(&families))
    });
    let agent = Agent::start(folder.path(), &config(&target, &receiver));

    let count = format!("{}", both_forms().count);
    for (query, expected) in [
        ("count_over_time(c_total{a=\"b\",job=\"test\"}[1m]) >= bool 5", "1"),
        ("min_over_time(c_total[1m]) >= bool 1000", "1"),
        ("histogram_count(h)", &count),
        ("count(up{job=\"test\"} == 1)", "1"),
    ] {
        eventually(query, PATIENCE, || {
            let answer = receiver.get("/api/v1/query", &[("query", query)]);
            (answer["data"]["result"][0]["value"][1].as_str() == Some(expected)).then_some(())
        });
    }
    let shown = receiver.get("/api/v1/query_exemplars", &[("query", "c_total"), ("start", "0"), ("end", "9999999999")]);
    let held = &shown["data"][0]["exemplars"][0];
    assert_eq!((&held["labels"]["trace_id"], &held["value"]), (&Value::from("abc"), &Value::from("0.5")), "{shown}");

    assert!(!agent.log().contains("other counts"), "{}", agent.log());
    assert!(agent.stop().0.success());
    eventually("staleness at the end", PATIENCE, || {
        let answer = receiver.get("/api/v1/query", &[("query", "c_total")]);
        answer["data"]["result"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
}
