//! What metrics are, told to receivers of both versions, and to none that does not want it.

mod support;

use narthex::counters::EndpointCounters;
use narthex::model::{LabelsBuilder, MetadataTable, Params, Scheme, ScrapeBatch, Target, Window};
use narthex::remote_write::{
    Action, Answer, Attempt, Body, Content, Encoder, MetadataEncoder, Outcome, ProtobufMessage, Queue, QueueOptions,
    Version, Written,
};
use narthex::scrape::{Cycle, Format, ScrapeOptions, reported_families};
use prost::Message;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<Empty>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<MetricMetadata>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct MetricMetadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    family: String,
    #[prost(string, tag = "4")]
    help: String,
    #[prost(string, tag = "5")]
    unit: String,
}

/// What a receiver has seen.
#[derive(Default)]
struct Seen {
    metadata: Vec<MetricMetadata>,
    samples: usize,
    /// Texts of bodies, as far as they are texts.
    bodies: String,
}

/// A receiver that does with requests of nothing but metadata what it is told to, and takes all others.
fn receiver(version: u8, on_metadata: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> (Server, Arc<Mutex<Seen>>) {
    let seen = Arc::<Mutex<Seen>>::default();
    let kept = seen.clone();
    let server = Server::start(move |_, request| {
        let plain = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
        if request.head.contains("proto=io.prometheus.write.v2.Request") {
            if version == 1 {
                return respond("415 Unsupported Media Type", "", b"only 1.0");
            }
            let mut seen = kept.lock().unwrap();
            seen.samples += 1;
            seen.bodies += &String::from_utf8_lossy(&plain);
            return respond("204 No Content", "X-Prometheus-Remote-Write-Samples-Written: 1000\r\n", b"");
        }
        let message = WriteRequest::decode(&plain[..]).unwrap();
        if !message.metadata.is_empty() {
            assert!(message.timeseries.is_empty(), "they travel apart");
            kept.lock().unwrap().metadata.extend(message.metadata);
            return on_metadata();
        }
        kept.lock().unwrap().samples += 1;
        respond("204 No Content", "", b"")
    });
    (server, seen)
}

fn config(targets: &[&Server], receivers: &[(&Server, &str)]) -> String {
    let targets: Vec<String> = targets.iter().map(|server| format!("{:?}", server.address.to_string())).collect();
    let mut text = format!(
        "[global]\nscrape_interval = '100ms'\n[[scrape_configs]]\njob_name = 'test'\n\
         static_configs = [{{ targets = [{}] }}]\n[buffer]\npath = 'ring'\nsize = '256KiB'\n",
        targets.join(", ")
    );
    for (i, (receiver, keys)) in receivers.iter().enumerate() {
        text += &format!(
            "[[remote_write]]\nurl = '{}'\nname = 'r{i}'\nqueue_config = {{ batch_send_deadline = '100ms' }}\n{keys}\n",
            receiver.url("/api/v1/write")
        );
    }
    text
}

const PAGE: &str = "# HELP requests_total All requests.\n# TYPE requests_total counter\nrequests_total 1\n";
const WANTED: &str = "metadata_config = { send = true, send_interval = '500ms' }";

#[test]
fn receivers_that_want_it_are_told_what_metrics_are() {
    let taken = || respond("204 No Content", "", b"");
    let (folder, exporter, other) =
        (tempfile::tempdir().unwrap(), exporter(|_| PAGE.into()), exporter(|_| PAGE.into()));
    let ((v1, seen_v1), (v2, seen_v2), (none, seen_none)) =
        (receiver(1, taken), receiver(2, taken), receiver(1, taken));
    let config = config(&[&exporter, &other], &[(&v1, WANTED), (&v2, WANTED), (&none, "")]);
    let agent = Agent::start(folder.path(), &config);
    eventually("two intervals' metadata", PATIENCE, || (seen_v1.lock().unwrap().metadata.len() >= 2).then_some(()));
    eventually("samples", PATIENCE, || (seen_v2.lock().unwrap().samples > 3).then_some(()));
    eventually("samples", PATIENCE, || (seen_none.lock().unwrap().samples > 3).then_some(()));
    assert!(agent.stop().0.success());
    let family =
        MetricMetadata { kind: 1, family: "requests_total".into(), help: "All requests.".into(), unit: "".into() };
    assert!(
        seen_v1.lock().unwrap().metadata.iter().all(|metadata| *metadata == family),
        "each family once an interval"
    );
    assert_eq!(seen_none.lock().unwrap().metadata, []);
    let v2 = seen_v2.lock().unwrap();
    assert!(v2.bodies.contains("All requests.") && v2.bodies.contains("Health of the scrape target."));
    assert_eq!(v2.metadata, []);
}

/// A receiver that never answers requests of metadata, and one that refuses them, get all samples all the same.
#[test]
fn samples_never_wait_for_metadata() {
    let hangs = || {
        thread::sleep(Duration::from_secs(20));
        Vec::new()
    };
    let (folder, exporter) = (tempfile::tempdir().unwrap(), exporter(|_| PAGE.into()));
    let (hanging, seen_hanging) = receiver(1, hangs);
    let (refusing, seen_refusing) = receiver(1, || respond("400 Bad Request", "", b"no metadata here, please\n"));
    let config = config(&[&exporter], &[(&hanging, WANTED), (&refusing, WANTED)]);
    let agent = Agent::start(folder.path(), &config);
    for seen in [&seen_hanging, &seen_refusing] {
        eventually("metadata", PATIENCE, || (!seen.lock().unwrap().metadata.is_empty()).then_some(()));
        let before = seen.lock().unwrap().samples;
        eventually("samples", Duration::from_secs(10), || (seen.lock().unwrap().samples > before + 10).then_some(()));
    }
    assert_eq!(seen_hanging.lock().unwrap().metadata.len(), 1, "one request is under way");
    agent.wait_for_log("\"r1\": metadata: HTTP 400: no metadata here, please");
    let log = agent.log();
    assert!(!log.contains("dropped"), "{log}");
    assert!(agent.stop().0.success());
}

fn new_cycle() -> Cycle {
    let labels = [("instance", "127.0.0.1:9100"), ("job", "node")].into_iter().collect::<LabelsBuilder>().build();
    let target = Target {
        scheme: Scheme::Http,
        address: "127.0.0.1:9100".into(),
        metrics_path: "/metrics".into(),
        params: Params::new(),
        labels: labels.unwrap(),
        interval: Duration::from_secs(15),
        timeout: Duration::from_secs(10),
        socket: None,
        durations_as_written: None,
    };
    Cycle::new(0, Rc::new(target), ScrapeOptions::default(), Rc::default(), Rc::default()).unwrap()
}

/// Recorded pages as one target's, a scrape every 15 s: what a minute of 1.0 costs, and a sample of 2.0.
#[test]
#[ignore = "needs recorded pages: NARTHEX_PAGES"]
fn what_it_costs() {
    let folder = std::env::var("NARTHEX_PAGES").expect("the folder of recorded pages");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let metadata = Rc::new(MetadataTable::new(reported_families()));
    let mut cycle = new_cycle().with_metadata(metadata.clone());
    // Ten pages 1.5 s apart are 15 s.
    let scrape = |(n, file): (usize, &std::path::PathBuf)| {
        let page = std::fs::read(file).unwrap();
        Rc::new(cycle.complete(Some((&page, Format::Text)), 15_000 * n as i64, Duration::from_millis(20)).batch)
    };
    let batches: Vec<Rc<ScrapeBatch>> = files.iter().step_by(10).enumerate().map(scrape).collect();
    for (what, mut cycle) in
        [("without", new_cycle()), ("with", new_cycle().with_metadata(Rc::new(MetadataTable::new([]))))]
    {
        let page = std::fs::read(&files[0]).unwrap();
        let mut scrape = |at_ms| cycle.complete(Some((&page, Format::Text)), at_ms, Duration::ZERO).batch.len();
        scrape(0);
        let begun = Instant::now();
        let samples: usize = (1..=200).map(scrape).sum();
        println!("{} ns a sample of a repeated page {what}", begun.elapsed().as_nanos() / samples as u128);
    }
    let mut body = Body::default();
    MetadataEncoder::default().encode(&metadata.families(), &mut body);
    println!("{} families: {} bytes once a minute for 1.0", metadata.families().len(), body.as_bytes().len());
    for scrapes in [1, 4, 10, 30] {
        let [without, with] = [false, true].map(|send| bytes_a_sample(&batches, scrapes, send.then_some(&metadata)));
        println!("{scrapes} scrapes a window, 2.0: {without:.2} bytes a sample without, {with:.2} with");
    }
}

fn bytes_a_sample(batches: &[Rc<ScrapeBatch>], scrapes: usize, metadata: Option<&Rc<MetadataTable>>) -> f64 {
    let (mut encoder, mut body) = (Encoder::new(Content::default()), Body::default());
    metadata.into_iter().for_each(|table| encoder.send_metadata(table.clone()));
    let (mut bytes, mut samples) = (0, 0);
    // Without the first one, which is smaller.
    for window in batches[1..].chunks_exact(scrapes) {
        let message = ProtobufMessage::Always(Version::V2);
        let mut queue = Queue::new("r", &QueueOptions::default(), message, 1);
        queue.offer(Window { batches: window.to_vec(), ..Window::default() });
        while let Action::Send(Attempt { batches, request, .. }) = queue.poll(Duration::ZERO) {
            let sent = encoder.encode(Version::V2, batches, request, &mut body);
            (bytes, samples) = (bytes + body.as_bytes().len(), samples + sent.samples);
            let written = Some(Written { samples: sent.samples, ..Written::default() });
            let result = Ok(Answer { status: 204, written, ..Answer::default() });
            queue.on_outcome(Duration::ZERO, &sent, &Outcome { bytes_sent: 0, result }, &EndpointCounters::default());
        }
    }
    bytes as f64 / samples as f64
}
