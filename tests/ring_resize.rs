//! The built agent over a ring whose size or segment size was changed in the configuration, with samples waiting in it.

mod support;

use narthex::buffer::Buffer;
use narthex::counters::Counters;
use narthex::model::{LabelsBuilder, ScrapeBatch, SeriesTable};
use narthex::ring::{FileMedium, Layout};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Scrapes that wait in the ring, and series of each.
const SCRAPES: i64 = 120;
const SERIES: usize = 100;

const LAYOUT: Layout = Layout { segment_size_bytes: 16 * 1024, segment_count: 16 };

/// Nothing that a codec could make small.
fn value(scrape: i64, i: usize) -> f64 {
    ((scrape * 7919 + i as i64 * 104_729) as f64).sin()
}

/// A ring in which an endpoint named `r` lacks everything: series `n` with the scrape's number, and noise.
fn make_ring(path: &Path) {
    let table = Rc::new(SeriesTable::new());
    let (medium, _) = FileMedium::open(path, LAYOUT).unwrap();
    let interval = Duration::from_secs(30);
    let (mut buffer, _) =
        Buffer::open(medium, LAYOUT, interval, &["r"], table.clone(), Rc::<Counters>::default()).unwrap();
    let named = |name: &str, i: &str| LabelsBuilder::from_iter([("__name__", name), ("i", i)]).build().unwrap();
    let noise = (1..SERIES).map(|i| named("noise", &i.to_string()));
    let list: Rc<[_]> = [named("n", "")].into_iter().chain(noise).map(|labels| table.intern(&labels)).collect();
    for scrape in 0..SCRAPES {
        let noise = (1..SERIES).map(|i| value(scrape, i));
        let values = [scrape as f64].into_iter().chain(noise).collect();
        let timestamp_ms = now_ms() - (SCRAPES - scrape) * 1000;
        let batch =
            ScrapeBatch { target: 0, timestamp_ms, series: list.clone(), values, own_timestamps: vec![], extras: None };
        buffer.push(batch, Duration::from_secs(scrape as u64));
        if scrape % 5 == 4 {
            buffer.commit(Duration::from_secs(1 << 20)).unwrap();
        }
    }
    buffer.close().unwrap();
}

fn now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A configuration that scrapes nothing that would stand in the way.
fn config(receiver: &str, sizes: &str) -> String {
    format!(
        "[global]\nscrape_interval = '1h'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['127.0.0.1:9'] }}]\n\
         [[remote_write]]\nurl = 'http://{receiver}/api/v1/write'\nname = 'r'\nremote_timeout = '2s'\n\
         queue_config = {{ batch_send_deadline = '200ms', max_backoff = '500ms' }}\n\
         [buffer]\npath = 'ring'\n{sizes}\n"
    )
}

/// Numbers of the scrapes of which all samples arrived, each with its value.
fn arrived(receiver: &Receiver) -> Vec<i64> {
    let held = receiver.samples.lock().unwrap();
    let Some((_, numbers)) = held.iter().find(|(series, _)| series.starts_with("n{")) else { return vec![] };
    let has_all = |at: &i64, scrape: i64| {
        let noise = held.iter().filter(|(series, _)| series.starts_with("noise{"));
        let found: Vec<f64> = noise.filter_map(|(_, samples)| samples.get(at).copied()).collect();
        let sum = |values: &mut dyn Iterator<Item = f64>| values.map(f64::abs).sum::<f64>();
        let expected = sum(&mut (1..SERIES).map(|i| value(scrape, i)));
        found.len() == SERIES - 1 && (sum(&mut found.into_iter()) - expected).abs() < 1e-9
    };
    numbers.iter().map(|(at, n)| (at, *n as i64)).filter(|(at, n)| has_all(at, *n)).map(|(_, n)| n).collect()
}

fn wait_for_last(receiver: &Receiver) -> Vec<i64> {
    eventually("the last scrape at the receiver", PATIENCE, || {
        let arrived = arrived(receiver);
        (arrived.last() == Some(&(SCRAPES - 1))).then_some(arrived)
    })
}

fn all() -> Vec<i64> {
    (0..SCRAPES).collect()
}

#[test]
fn a_ring_made_larger_or_of_other_segments_loses_nothing() {
    for (sizes, length) in [
        ("size = '1MiB'", 1 << 20),
        ("size = '512KiB'\nsegment_size = '4KiB'", 512 << 10),
        ("size = '256KiB'\nsegment_size = '64KiB'", 256 << 10),
        ("size = '512KiB'\nerase_block = '24KiB'\nsegment_size = '48KiB'", 0),
        ("size = '480KiB'\nerase_block = '24KiB'\nsegment_size = '48KiB'", 480 << 10),
        ("size = '512KiB'\nsegment_size = '32KiB'\nprogram_unit = '4KiB'", 512 << 10),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ring = folder.path().join("ring");
        make_ring(&ring);
        let before = fs::read(&ring).unwrap();
        let receiver = Receiver::start();
        let agent = Agent::start(folder.path(), &config(&receiver.address().to_string(), sizes));
        if length == 0 {
            let (status, log) = agent.wait();
            assert!(!status.success() && log.contains("is not a multiple of"), "{log}");
            assert_eq!(fs::read(&ring).unwrap(), before, "{sizes}");
            continue;
        }
        assert_eq!(wait_for_last(&receiver), all(), "{sizes}");
        assert_eq!(receiver.repeats.load(Ordering::SeqCst), 0, "{sizes}");
        assert!(!agent.log().contains("evicted"), "{}", agent.log());
        assert!(agent.stop().0.success());
        assert_eq!(fs::metadata(&ring).unwrap().len(), length, "{sizes}");
        assert!(!folder.path().join("ring.resizing").exists());
    }
}

#[test]
fn a_ring_made_smaller_keeps_the_newest_and_says_how_much_it_gave_up() {
    let folder = tempfile::tempdir().unwrap();
    make_ring(&folder.path().join("ring"));
    let receiver = Receiver::start();
    let agent = Agent::start(folder.path(), &config(&receiver.address().to_string(), "size = '64KiB'"));
    let arrived = wait_for_last(&receiver);
    let first = arrived[0];
    assert!(first > 0 && first < SCRAPES / 2 + SCRAPES / 4, "{first}");
    assert_eq!(arrived, (first..SCRAPES).collect::<Vec<_>>());
    let log = agent.log();
    let given_up: u64 = log
        .lines()
        .filter_map(|line| line.split_once(" samples from ")?.0.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(given_up, first as u64 * SERIES as u64, "{log}");
    assert!(agent.stop().0.success());
}

/// Whenever it is killed, the old ring is there whole, or the new one is.
#[test]
fn killed_in_the_middle_of_the_change_it_loses_nothing() {
    let made = tempfile::tempdir().unwrap();
    make_ring(&made.path().join("ring"));
    let image = fs::read(made.path().join("ring")).unwrap();
    let sizes = "size = '4MiB'\nsegment_size = '32KiB'";
    let mut receiver = Receiver::start();
    let address = receiver.go_away();
    let config = config(&address.to_string(), sizes);
    // How long it takes here.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ring"), &image).unwrap();
    let begun = Instant::now();
    let agent = Agent::start(folder.path(), &config);
    agent.wait_for_log("samples were carried over");
    let whole = begun.elapsed();
    agent.kill();
    let (mut old, mut new) = (0, 0);
    for part in [0, 10, 30, 50, 70, 85, 95, 120] {
        let folder = tempfile::tempdir().unwrap();
        let (ring, second) = (folder.path().join("ring"), folder.path().join("ring.resizing"));
        fs::write(&ring, &image).unwrap();
        let begun = Instant::now();
        let agent = Agent::start(folder.path(), &config);
        match part {
            0 => eventually("the second file", PATIENCE, || second.exists().then_some(())),
            part => std::thread::sleep((whole * part / 100).saturating_sub(begun.elapsed())),
        }
        agent.kill();
        match fs::metadata(&ring).unwrap().len() {
            length if length == image.len() as u64 => {
                assert_eq!(fs::read(&ring).unwrap(), image, "killed at {part} %");
                old += 1;
            }
            length => {
                assert_eq!(length, 4 << 20, "killed at {part} %");
                new += 1;
            }
        }
        let agent = Agent::start(folder.path(), &config);
        agent.wait_for_log("the ring holds");
        assert!(!second.exists(), "killed at {part} %");
        receiver.back_at(address);
        assert_eq!(wait_for_last(&receiver), all(), "killed at {part} %");
        assert_eq!(receiver.repeats.load(Ordering::SeqCst), 0, "killed at {part} %");
        assert!(agent.stop().0.success());
        receiver.go_away();
        receiver.samples.lock().unwrap().clear();
    }
    assert!(old >= 2 && new >= 1, "{old} kills before the new ring took its place, {new} after");
}

/// A ring of the format after this one: its first header says so, and its checksum holds.
#[test]
fn a_ring_of_another_format_is_refused_and_left_as_it_is() {
    const SIZES: [&str; 3] = ["size = '256KiB'", "size = '1MiB'", "size = '256KiB'\nsegment_size = '64KiB'"];
    for (sizes, format) in SIZES.iter().flat_map(|sizes| [(sizes, 1u16), (sizes, 3)]) {
        let folder = tempfile::tempdir().unwrap();
        let ring = folder.path().join("ring");
        make_ring(&ring);
        let mut image = fs::read(&ring).unwrap();
        for at in (0..image.len()).step_by(LAYOUT.segment_size_bytes as usize) {
            let header = &mut image[at..at + 512];
            if header.starts_with(b"NARTHEX\n") {
                header[8..10].copy_from_slice(&format.to_le_bytes());
                let crc = crc32fast::hash(&header[..508]);
                header[508..].copy_from_slice(&crc.to_le_bytes());
            }
        }
        fs::write(&ring, &image).unwrap();
        let (status, log) = Agent::start(folder.path(), &config("127.0.0.1:9", sizes)).wait();
        assert_eq!(status.code(), Some(1), "{log}");
        let line = format!("the ring has format {format}, this Narthex knows 2; it was left untouched");
        assert!(log.contains(&line), "{log}");
        assert_eq!(fs::read(&ring).unwrap(), image, "{sizes}");
    }
}

/// While the uplink is well nothing is ever written; then another size is just another blank file.
#[test]
fn a_ring_that_was_never_written_takes_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start();
    for size_kib in [256, 1024, 128] {
        let sizes = format!("size = '{size_kib}KiB'");
        let agent = Agent::start(folder.path(), &config(&receiver.address().to_string(), &sizes));
        agent.wait_for_log("a new ring was made");
        agent.kill();
        assert_eq!(fs::read(folder.path().join("ring")).unwrap(), vec![0; size_kib * 1024]);
    }
}
