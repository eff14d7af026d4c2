//! The built agent between an exporter and a receiver: outages, kills, restarts, receivers and rings that misbehave.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration with a scrape every 100 ms.
fn config(targets: &[&Server], receivers: &[&str], buffer: &str) -> String {
    let targets: Vec<String> = targets.iter().map(|server| format!("{:?}", server.address.to_string())).collect();
    let mut text = format!(
        "[global]\nscrape_interval = '100ms'\nscrape_timeout = '100ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = [{}] }}]\n",
        targets.join(", ")
    );
    for (i, url) in receivers.iter().enumerate() {
        text += &format!(
            "[[remote_write]]\nurl = '{url}'\nname = 'r{i}'\nremote_timeout = '2s'\n\
             queue_config = {{ batch_send_deadline = '200ms', max_backoff = '500ms' }}\n"
        );
    }
    text + &format!("[buffer]\npath = 'ring'\nsize = '256KiB'\nsegment_size = '16KiB'\n{buffer}\n")
}

/// An exporter of one series `n`, whose value is the number of the scrape.
fn counting_exporter() -> Server {
    exporter(|n| format!("# TYPE n counter\nn {n}\n"))
}

fn url(receiver: &Receiver) -> String {
    format!("http://{}/api/v1/write", receiver.address())
}

/// Numbers of scrapes that arrived, staleness markers aside.
fn arrived(receiver: &Receiver) -> Vec<u64> {
    receiver.series("n{").values().filter(|value| !value.is_nan()).map(|value| *value as u64).collect()
}

fn wait_until_arrived(receiver: &Receiver, number: usize) {
    eventually(&format!("scrape {number} at the receiver"), PATIENCE, || {
        (arrived(receiver).last() >= Some(&(number as u64))).then_some(())
    });
}

#[test]
fn every_committed_scrape_arrives_once_through_an_outage_and_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, mut receiver) = (counting_exporter(), Receiver::start());
    let config = config(&[&exporter], &[&url(&receiver)], "commit_interval = '300ms'");
    let agent = Agent::start(folder.path(), &config);
    wait_until_arrived(&receiver, 5);
    let address = receiver.go_away();
    let down_at = exporter.requests();
    eventually("twenty scrapes offline", PATIENCE, || (exporter.requests() > down_at + 20).then_some(()));
    agent.kill();
    let killed_at = exporter.requests() as u64;

    let agent = Agent::start(folder.path(), &config);
    eventually("ten more", PATIENCE, || (exporter.requests() as u64 > killed_at + 10).then_some(()));
    receiver.back_at(address);
    wait_until_arrived(&receiver, exporter.requests() + 5);
    assert!(agent.stop().0.success());

    let arrived = arrived(&receiver);
    let missing: Vec<u64> = (0..*arrived.last().unwrap()).filter(|n| !arrived.contains(n)).collect();
    // Three scrapes of commit interval, one in flight, and some for a slow machine.
    let allowed = killed_at.saturating_sub(8)..killed_at + 1;
    assert!(missing.iter().all(|n| allowed.contains(n)), "missing {missing:?}, killed at {killed_at}");
    assert_eq!(receiver.repeats.load(Ordering::SeqCst), 0, "nothing is sent twice");
}

#[test]
fn while_the_receiver_keeps_up_the_ring_stays_blank() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, receiver) = (counting_exporter(), Receiver::start());
    let config = config(&[&exporter], &[&url(&receiver)], "commit_interval = '5s'");
    // What is learnt of a receiver is remembered in the ring.
    let config =
        config.replace("[[remote_write]]\n", "[[remote_write]]\nprotobuf_message = 'prometheus.WriteRequest'\n");
    let agent = Agent::start(folder.path(), &config);
    wait_until_arrived(&receiver, 30);
    assert!(agent.stop().0.success());
    assert!(fs::read(folder.path().join("ring")).unwrap().iter().all(|byte| *byte == 0));
    let stale = receiver.series("n{").values().last().unwrap().to_bits();
    assert_eq!(stale, narthex::model::STALE_NAN_BITS, "a clean stop ends with a staleness marker");
}

/// The deadline is what the user gave up for bytes. Once more samples waited than fit into a request they were sent at once, so
/// that a page of a request's size never had two samples of a series together.
#[test]
fn a_long_deadline_lets_samples_of_a_series_go_together_however_many_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, receiver) = (exporter(|n| numbered_page(n, 20)), Receiver::start());
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    receiver.answer_with(move |request| {
        let together = request.timeseries.iter().map(|series| series.samples.len()).max();
        seen.fetch_max(together.unwrap_or(0), Ordering::SeqCst);
        None
    });
    let text = config(&[&exporter], &[&url(&receiver)], "commit_interval = '30s'");
    let text = text.replace("batch_send_deadline = '200ms'", "batch_send_deadline = '2s', max_samples_per_send = 20");
    // What auto finds out of a receiver is remembered on flash.
    let text = text.replace("[[remote_write]]", "[[remote_write]]\nprotobuf_message = 'prometheus.WriteRequest'");
    let agent = Agent::start(folder.path(), &text);
    eventually("samples that go together", PATIENCE, || (most.load(Ordering::SeqCst) >= 4).then_some(()));
    assert!(agent.stop().0.success());
    assert!(fs::read(folder.path().join("ring")).unwrap().iter().all(|byte| *byte == 0), "nothing is written");

    let text = text.replace("commit_interval = '30s'", "commit_interval = '1s'");
    let agent = Agent::start(folder.path(), &text);
    agent.wait_for_log("every sample is written to flash before it is sent");
}

#[test]
fn a_target_that_never_answers_delays_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let silent = Server::start(|_, _| {
        std::thread::sleep(Duration::from_secs(3600));
        vec![]
    });
    let (exporter, receiver) = (counting_exporter(), Receiver::start());
    let text =
        config(&[&silent, &exporter], &[&url(&receiver)], "").replace("timeout = '100ms'", "timeout = '100ms' # ");
    let agent = Agent::start(folder.path(), &text);
    wait_until_arrived(&receiver, 30);
    let times: Vec<i64> = receiver.series("n{").into_keys().collect();
    let slow = times.windows(2).filter(|pair| pair[1] - pair[0] > 150).count();
    assert!(slow <= times.len() / 5, "{slow} of {} scrapes came late", times.len());
    let down = receiver.series(&format!("up{{instance=\"{}\"", silent.address));
    assert!(!down.is_empty() && down.values().all(|up| *up == 0.0), "{down:?}");
    assert!(agent.stop().0.success());
}

#[test]
fn a_clean_stop_is_quick_with_a_hanging_uplink_and_keeps_what_was_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let silent = Server::start(|_, _| {
        std::thread::sleep(Duration::from_secs(3600));
        vec![]
    });
    let (exporter, receiver) = (counting_exporter(), Receiver::start());
    let slow = |url: &str| config(&[&exporter], &[url], "").replace("remote_timeout = '2s'", "remote_timeout = '30s'");
    let agent = Agent::start(folder.path(), &slow(&silent.url("/")));
    eventually("some scrapes", PATIENCE, || (exporter.requests() > 10 && silent.requests() > 0).then_some(()));
    let (status, took) = agent.stop();
    assert!(status.success() && took < Duration::from_secs(5), "{status} after {took:?}");

    let before = exporter.requests() as u64;
    let agent = Agent::start(folder.path(), &slow(&url(&receiver)));
    wait_until_arrived(&receiver, before as usize + 3);
    let arrived = arrived(&receiver);
    assert!((0..before - 1).all(|n| arrived.contains(&n)), "{before}: {arrived:?}");
    assert!(agent.stop().0.success());
}

#[test]
fn an_endpoint_that_is_down_holds_back_none_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, up, mut down) = (counting_exporter(), Receiver::start(), Receiver::start());
    let urls = [url(&up), url(&down)];
    let address = down.go_away();
    let config = config(&[&exporter], &[&urls[0], &urls[1]], "commit_interval = '300ms'");
    let agent = Agent::start(folder.path(), &config);
    wait_until_arrived(&up, 30);
    down.back_at(address);
    wait_until_arrived(&down, 40);
    wait_until_arrived(&up, 40);
    let (up, down) = (arrived(&up), arrived(&down));
    assert!((0..=40).all(|n| up.contains(&n) && down.contains(&n)), "{up:?}\n{down:?}");
    assert!(agent.stop().0.success());
}

/// Each way in which a receiver can fail for a while: nothing is lost by it.
#[test]
fn receivers_that_fail_for_a_while_get_everything_in_the_end() {
    let too_many = || respond("429 Too Many Requests", "Retry-After: 1\r\n", b"slow down\n");
    let redirect = respond("302 Found", "Location: http://127.0.0.1:1/login?session=hunter2\r\n", b"");
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("302", redirect, "captive portal"),
        ("500", respond("500 Internal Server Error", "", b"disk on fire\n"), "disk on fire"),
        ("429", too_many(), "slow down"),
        ("garbage", b"\x00\x01\x02 this is not HTTP\r\n\r\n".to_vec(), "not"),
        ("nothing", Vec::new(), "closed"),
        ("portal", respond("200 OK", "Content-Type: text/html\r\n", b"<html>log in</html>"), "portal"),
    ];
    for (name, refusal, said) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (exporter, receiver) = (counting_exporter(), Receiver::start());
        let refused = Arc::new(AtomicUsize::new(0));
        let count = refused.clone();
        receiver.answer_with(move |_| (count.fetch_add(1, Ordering::SeqCst) < 3).then(|| refusal.clone()));
        let url = url(&receiver) + "?token=hunter2";
        let agent = Agent::start(folder.path(), &config(&[&exporter], &[&url], ""));
        wait_until_arrived(&receiver, 15);
        let arrived = arrived(&receiver);
        assert!((0..=15).all(|n| arrived.contains(&n)), "{name}: {arrived:?}");
        assert!(refused.load(Ordering::SeqCst) >= 3, "{name}");
        assert!(agent.log().contains(said), "{name}: {said:?} is not in the log:\n{}", agent.log());
        assert!(!agent.log().contains("hunter2"), "{name}: a url's query may hold a token:\n{}", agent.log());
        assert!(agent.stop().0.success(), "{name}");
    }
}

#[test]
fn one_series_that_a_receiver_refuses_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = exporter(|n| format!("n {n}\npoison 1\nother {n}\n"));
    let receiver = Receiver::start();
    let alone = Arc::new(AtomicUsize::new(0));
    let refused_alone = alone.clone();
    receiver.answer_with(move |message| {
        let is_poison = |series: &narthex::remote_write::messages::TimeSeries| {
            series.labels.iter().any(|label| label.name == "__name__" && label.value == "poison")
        };
        let refused = message.timeseries.iter().any(is_poison);
        if refused && message.timeseries.iter().map(|series| series.samples.len()).sum::<usize>() == 1 {
            refused_alone.fetch_add(1, Ordering::SeqCst);
        }
        refused.then(|| respond("400 Bad Request", "", b"label value too long\n"))
    });
    let text = config(&[&exporter], &[&url(&receiver)], "") + "[status]\nlisten = '127.0.0.1:0'\n";
    let agent = Agent::start(folder.path(), &text);
    let address = agent.status_address();
    wait_until_arrived(&receiver, 10);
    agent.wait_for_log("label value too long");
    eventually("each refused sample being counted, and nothing else", PATIENCE, || {
        let alone = alone.load(Ordering::SeqCst);
        let line = format!("narthex_samples_dropped_total{{endpoint=\"r0\",cause=\"rejected\"}} {alone}\n");
        (alone >= 5 && get(&address, "/metrics").contains(&line)).then_some(())
    });
    assert!(agent.stop().0.success());
    let (n, other) = (arrived(&receiver), receiver.series("other{"));
    assert!((0..=10).all(|number| n.contains(&number)), "{n:?}");
    assert!(other.len() >= 10 && receiver.series("poison{").is_empty());
    assert!(!receiver.series("up{").is_empty(), "report series get through");
}

/// Each endpoint gets what its own rules leave, with external labels that only they can see.
#[test]
fn endpoints_get_what_their_rules_leave() {
    let folder = tempfile::tempdir().unwrap();
    let (all, some) = (Receiver::start(), Receiver::start());
    let exporter = counting_exporter();
    let text = config(&[&exporter], &[&url(&all), &url(&some)], "")
        .replace("[global]", "[global]\nexternal_labels = { site = 'north' }")
        .replace(
            "name = 'r1'",
            "name = 'r1'\nwrite_relabel_configs = [{ action = 'drop', source_labels = ['site', '__name__'], regex = 'north;up' },
             { source_labels = ['site'], target_label = 'place' }, { action = 'labelkeep', regex = 'place|__name__' }]",
        );
    let agent = Agent::start(folder.path(), &text);
    wait_until_arrived(&all, 20);
    let relabelled = "n{place=\"north\"}";
    eventually("twenty at the other", PATIENCE, || (some.series(relabelled).len() > 20).then_some(()));
    assert!(agent.stop().0.success());
    assert!(!all.series("up{instance=").is_empty() && some.series("up{").is_empty());
    assert!(all.series("n{").keys().eq(some.series(relabelled).keys()));
}

#[test]
fn rings_that_are_damaged_are_told_apart_and_nothing_is_lost_that_need_not_be() {
    let folder = tempfile::tempdir().unwrap();
    let ring = folder.path().join("ring");
    let (exporter, mut receiver) = (exporter(|n| numbered_page(n, 200)), Receiver::start());
    let url = url(&receiver);
    let address = receiver.go_away();
    let config = config(&[&exporter], &[&url], "commit_interval = '300ms'");
    let agent = Agent::start(folder.path(), &config);
    eventually("sixty scrapes", PATIENCE, || (exporter.requests() > 60).then_some(()));
    assert!(agent.stop().0.success());
    let whole = fs::read(&ring).unwrap();

    fs::write(&ring, b"# another program's file\n".repeat(1000)).unwrap();
    let (status, log) = Agent::start(folder.path(), &config).wait();
    assert!(!status.success() && log.contains("is not a ring"), "{log}");
    assert_eq!(fs::read(&ring).unwrap(), b"# another program's file\n".repeat(1000), "it is left as it was");

    fs::write(&ring, vec![0; whole.len()]).unwrap();
    let agent = Agent::start(folder.path(), &config);
    agent.wait_for_log("the ring holds 0 segments");
    agent.kill();

    // Segments go to slots 1, 2, ...: the first is whole, the second loses its end.
    fs::write(&ring, &whole[..2 * 16384 + 3000]).unwrap();
    let agent = Agent::start(folder.path(), &config);
    agent.wait_for_log("cut short");
    receiver.back_at(address);
    wait_until_arrived(&receiver, exporter.requests());
    assert!(arrived(&receiver).contains(&0), "what was in the segment that is left arrives");
    assert!(agent.stop().0.success());
}

/// A page of which nearly everything changes, so that segments fill.
fn numbered_page(n: usize, series: usize) -> String {
    let random = |i: usize| ((n * 7919 + i) as f64).sin();
    let lines: Vec<String> = (0..series).map(|i| format!("noise{{i=\"{i}\"}} {}\n", random(i))).collect();
    format!("n {n}\n{}", lines.concat())
}

#[test]
fn what_can_not_start_says_why_in_a_line_for_each_reason() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| {
        let file = folder.path().join("n.toml");
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_string()
    };
    const NO_BUFFER: &str = "there is no [buffer]";
    const NO_ENDPOINT: &str = "there is nowhere to send samples to";
    const NO_TARGET: &str = "there is nothing to scrape";
    let cases: BTreeMap<&str, &[&str]> = [
        ("", &[NO_BUFFER, NO_ENDPOINT, NO_TARGET][..]),
        ("[buffer]\npath = 'ring'\n", &[NO_ENDPOINT, NO_TARGET]),
        ("[buffer]\npath = 'ring'\n[[remote_write]]\nurl = 'http://a/'\n", &[NO_TARGET]),
        ("[global]\nscrape_intervall = '1s'\n", &["did you mean"]),
        ("[buffer]\npath = '/proc/ring'\n[[remote_write]]\nurl = 'http://a/'\n[[scrape_configs]]\njob_name = 'j'\nstatic_configs = [{ targets = ['a:1'] }]\n", &["/proc/ring"]),
    ]
    .into();
    for (text, expected) in cases {
        let output = narthex(&["run", "--config", &write(text)]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert_eq!(error.lines().count(), expected.len(), "{text}: {error}");
        assert!(error.lines().zip(expected).all(|(line, reason)| line.contains(reason)), "{text}: {error}");
    }
    assert!(!Path::new(folder.path()).join("ring").exists(), "nothing is made for a configuration that can't run");
}
