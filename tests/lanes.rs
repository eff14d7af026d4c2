//! The built agent after an outage, before a receiver that takes its time: what arrives first, and that all of it arrives.

mod support;

use narthex::remote_write::messages::{TimeSeries, WriteRequest};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use support::*;

const PATIENCE: Duration = Duration::from_secs(90);
const SERIES: usize = 20;

/// One scrape of `n`, its number, and of some noise, every 100 ms; requests are small.
fn config(exporter: &Server, address: &str, endpoint: &str) -> String {
    format!(
        "[global]\nscrape_interval = '100ms'\nscrape_timeout = '100ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = 'http://{address}/write'\nname = 'r'\nremote_timeout = '10s'\n\
         queue_config = {{ batch_send_deadline = '200ms', max_backoff = '300ms', max_samples_per_send = 100, \
         max_bytes_per_send = '1KiB' }}\n{endpoint}\n\
         [buffer]\npath = 'ring'\nsize = '2MiB'\nsegment_size = '64KiB'\ncommit_interval = '300ms'\n",
        exporter.address
    )
}

fn exporter_with_noise() -> Server {
    exporter(|n| {
        let noise: Vec<String> =
            (0..SERIES).map(|i| format!("noise{{i=\"{i}\"}} {}\n", (n * 7919 + i) % 1000)).collect();
        format!("n {n}\n{}", noise.concat())
    })
}

fn name(series: &TimeSeries) -> &str {
    series.labels.iter().find(|label| label.name == "__name__").map_or("", |label| &label.value)
}

/// In the order of their arrival: numbers of scrapes that `n` tells of, and samples of noise as `None`.
type Arrivals = Arc<Mutex<Vec<Option<u64>>>>;

/// Makes the receiver take a tenth of a second for each request, one at a time, as a slow link would.
fn slowly(receiver: &Receiver) -> Arrivals {
    let arrivals = Arrivals::default();
    let seen = arrivals.clone();
    receiver.answer_with(move |message: &WriteRequest| {
        thread::sleep(Duration::from_millis(100));
        let mut seen = seen.lock().unwrap();
        for series in &message.timeseries {
            assert!(series.labels.iter().all(|label| !label.name.starts_with("__p")), "{:?}", series.labels);
            let samples = series.samples.iter().map(|sample| sample.value).filter(|value| !value.is_nan());
            seen.extend(
                samples
                    .filter(|_| ["n", "noise"].contains(&name(series)))
                    .map(|value| (name(series) == "n").then_some(value as u64)),
            );
        }
        None
    });
    arrivals
}

fn numbers(arrivals: &Arrivals) -> Vec<u64> {
    arrivals.lock().unwrap().iter().flatten().copied().collect()
}

/// Runs the agent without its receiver for so many scrapes, and stops it: they wait in the ring.
fn outage(folder: &Path, exporter: &Server, text: &str, scrapes: usize) -> u64 {
    let agent = Agent::start(folder, text);
    eventually("the outage", PATIENCE, || (exporter.requests() > scrapes).then_some(()));
    assert!(agent.stop().0.success());
    exporter.requests() as u64
}

/// Every scrape's number arrived, and nothing arrived twice.
fn all_arrived_once(receiver: &Receiver, until: u64) {
    let held = receiver.series("n{");
    let held: Vec<u64> = held.values().filter(|value| !value.is_nan()).map(|value| *value as u64).collect();
    // A page may have been asked for and not waited for when the agent stopped.
    let missing: Vec<u64> = (0..until).filter(|n| !held.contains(n)).collect();
    assert!(missing.len() <= 2, "{missing:?}");
    for i in 0..SERIES {
        let noise = receiver.series(&format!("noise{{i=\"{i}\""));
        assert!(noise.len() as u64 + 2 >= until, "{} of {until}", noise.len());
    }
    assert_eq!(receiver.repeats.load(std::sync::atomic::Ordering::SeqCst), 0, "nothing is sent twice");
}

/// Waits until as much noise arrived as there is up to this scrape.
fn wait_for_noise(arrivals: &Arrivals, until: u64) {
    eventually("the noise", PATIENCE, || {
        let noise = arrivals.lock().unwrap().iter().filter(|arrival| arrival.is_none()).count();
        (noise > (until as usize + 10) * SERIES).then_some(())
    });
}

fn wait_for_all(arrivals: &Arrivals, backlog: u64) {
    eventually("the backlog", PATIENCE, || {
        let numbers = numbers(arrivals);
        ((0..backlog).filter(|n| numbers.contains(n)).count() as u64 >= backlog - 2).then_some(())
    });
}

#[test]
fn live_first_sends_what_is_new_while_the_backlog_drains() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, mut receiver) = (exporter_with_noise(), Receiver::start());
    let address = receiver.go_away();
    let text = config(&exporter, &address.to_string(), "catch_up = 'live_first'");
    let backlog = outage(folder.path(), &exporter, &text, 150);
    receiver.back_at(address);
    let arrivals = slowly(&receiver);
    let agent = Agent::start(folder.path(), &text);
    let first_new = eventually("a new scrape", PATIENCE, || {
        let numbers = numbers(&arrivals);
        numbers.iter().any(|n| *n > backlog).then_some(numbers.len() as u64)
    });
    assert!(first_new < backlog / 2, "{first_new} of {backlog} went before the first new one");
    wait_for_all(&arrivals, backlog);
    let done = *numbers(&arrivals).iter().max().unwrap();
    assert!(done > backlog + 10, "new ones went on beside it: {done} after {backlog}");
    wait_for_noise(&arrivals, done);
    assert!(agent.stop().0.success());
    all_arrived_once(&receiver, done);
    let old: Vec<u64> = numbers(&arrivals).into_iter().filter(|n| *n < backlog).collect();
    assert!(old.is_sorted(), "each lane is in order: {old:?}");
}

/// The process lives on through the outage, which has to last until the samples are in the ring only.
#[test]
fn live_first_divides_after_an_outage_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, mut receiver) = (exporter_with_noise(), Receiver::start());
    let text = config(&exporter, &receiver.address().to_string(), "catch_up = 'live_first'");
    let arrivals = slowly(&receiver);
    let agent = Agent::start(folder.path(), &text);
    eventually("ten scrapes", PATIENCE, || (numbers(&arrivals).len() > 10).then_some(()));
    let address = receiver.go_away();
    thread::sleep(Duration::from_secs(40));
    let backlog = exporter.requests() as u64;
    receiver.back_at(address);
    // Of what came in the outage, the last 15 s are in memory and go first.
    eventually("what is in memory", PATIENCE, || numbers(&arrivals).iter().any(|n| n + 120 > backlog).then_some(()));
    let old = numbers(&arrivals).iter().filter(|n| **n + 180 < backlog).count() as u64;
    assert!(old < (backlog - 180) * 3 / 4, "{old} of {} went before it", backlog - 180);
    wait_for_all(&arrivals, backlog);
    let done = *numbers(&arrivals).iter().max().unwrap();
    wait_for_noise(&arrivals, done);
    assert!(agent.stop().0.success());
    all_arrived_once(&receiver, done);
}

#[test]
fn oldest_first_sends_everything_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, mut receiver) = (exporter_with_noise(), Receiver::start());
    let address = receiver.go_away();
    let text = config(&exporter, &address.to_string(), "");
    let backlog = outage(folder.path(), &exporter, &text, 80);
    receiver.back_at(address);
    let arrivals = slowly(&receiver);
    let agent = Agent::start(folder.path(), &text);
    eventually("a new scrape", PATIENCE, || numbers(&arrivals).iter().any(|n| *n > backlog).then_some(()));
    let numbers = numbers(&arrivals);
    assert!(numbers.is_sorted() && numbers.len() as u64 >= backlog - 2, "{numbers:?}");
    wait_for_noise(&arrivals, *numbers.last().unwrap());
    assert!(agent.stop().0.success());
    all_arrived_once(&receiver, *numbers.last().unwrap());
}

#[test]
fn what_matters_goes_ahead_of_what_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, mut receiver) = (exporter_with_noise(), Receiver::start());
    let address = receiver.go_away();
    let rule = "write_relabel_configs = [{ source_labels = ['__name__'], regex = 'n', target_label = '__priority__', \
                replacement = 'high' }]";
    let text = config(&exporter, &address.to_string(), rule);
    let backlog = outage(folder.path(), &exporter, &text, 80);
    receiver.back_at(address);
    let arrivals = slowly(&receiver);
    let agent = Agent::start(folder.path(), &text);
    wait_for_all(&arrivals, backlog);
    let noise = arrivals.lock().unwrap().iter().filter(|arrival| arrival.is_none()).count();
    assert!(noise < backlog as usize * SERIES / 2, "{noise} samples of noise before the last that matters");
    let done = *numbers(&arrivals).iter().max().unwrap();
    wait_for_noise(&arrivals, done);
    assert!(agent.stop().0.success());
    all_arrived_once(&receiver, done);
}

/// Both classes have a backlog, and the link has room for little.
#[test]
fn under_a_small_rate_what_matters_has_nearly_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, mut receiver) = (exporter_with_noise(), Receiver::start());
    let address = receiver.go_away();
    let rule = "max_bytes_per_second = '4KiB'\n\
                write_relabel_configs = [{ source_labels = ['__name__'], regex = 'n', target_label = '__priority__', \
                replacement = 'high' }]";
    let text = config(&exporter, &address.to_string(), rule);
    let backlog = outage(folder.path(), &exporter, &text, 100);
    receiver.back_at(address);
    let arrivals = slowly(&receiver);
    let agent = Agent::start(folder.path(), &text);
    wait_for_all(&arrivals, backlog);
    let noise = arrivals.lock().unwrap().iter().filter(|arrival| arrival.is_none()).count();
    assert!(noise < backlog as usize * SERIES / 2, "{noise} samples of noise before the last that matters");
    assert!(agent.stop().0.success());
}
