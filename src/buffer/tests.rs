//! The buffer over simulated flash: what goes in comes out, once, for each endpoint, whatever happens in between.

mod budget;
mod cut_short;
mod lanes;
mod losses;
mod measure;
mod memory_only;
mod note;
mod resting;
mod writing;

use super::*;
use crate::model::{LabelsBuilder, Series};
use crate::ring::Layout;
use crate::sim::SimFlash;

const LAYOUT: Layout = Layout { segment_size_bytes: 16 * 1024, segment_count: 8 };
const SECOND: Duration = Duration::from_secs(1);
const COMMIT: Duration = Duration::from_secs(30);

/// A device: its flash, its process' memory, and one target of `series` series.
struct Device {
    flash: SimFlash,
    counters: Rc<Counters>,
    table: Rc<SeriesTable>,
    buffer: Buffer<SimFlash>,
    list: Rc<[Series]>,
    now: Duration,
    scrapes: i64,
}

impl Device {
    fn new(endpoints: &[impl Clone + Into<EndpointLanes>], series: usize) -> Device {
        Device::boot(SimFlash::new(LAYOUT.size_bytes() as usize), endpoints, series, 0)
    }

    fn boot(flash: SimFlash, endpoints: &[impl Clone + Into<EndpointLanes>], series: usize, scrapes: i64) -> Device {
        let (counters, table) = (Rc::<Counters>::default(), Rc::<SeriesTable>::default());
        let opened = Buffer::open(flash.clone(), LAYOUT, COMMIT, endpoints, table.clone(), counters.clone());
        let name = |i: usize| LabelsBuilder::from_iter([("__name__", "m"), ("i", i.to_string().as_str())]);
        let list = (0..series).map(|i| table.intern(&name(i).build().unwrap())).collect();
        Device { flash, counters, table, buffer: opened.unwrap().0, list, now: Duration::ZERO, scrapes }
    }

    /// The power goes and comes back: memory is lost.
    fn reboot(self, endpoints: &[impl Clone + Into<EndpointLanes>]) -> Device {
        self.flash.cut(&mut fastrand::Rng::with_seed(1));
        Device::boot(self.flash, endpoints, self.list.len(), self.scrapes)
    }

    /// One scrape; its timestamp is its number, and its values follow from it.
    fn scrape(&mut self) {
        let values = (0..self.list.len()).map(|i| value(self.scrapes, i)).collect();
        let series = self.list.clone();
        let batch =
            ScrapeBatch { target: 0, timestamp_ms: self.scrapes, series, values, own_timestamps: vec![], extras: None };
        self.scrapes += 1;
        self.buffer.push(batch, self.now);
    }

    /// Scrapes once a second for a while; commits whenever it is due.
    fn run(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.now += SECOND;
            self.scrape();
            self.commit_if_due().unwrap();
        }
    }

    fn commit_if_due(&mut self) -> Result<(), RingError> {
        match self.buffer.commit_due() {
            Some(due) if due <= self.now => self.buffer.commit(self.now),
            _ => Ok(()),
        }
    }

    /// Everything that an endpoint lacks: the scrapes' numbers, their values checked. Acknowledged as it is taken.
    fn drain(&mut self, endpoint: usize) -> Vec<i64> {
        let mut scrapes = Vec::new();
        while let Some(window) = self.buffer.window(endpoint).unwrap() {
            for batch in &window.batches {
                for (series, found) in batch.series.iter().zip(&batch.values) {
                    let i: usize = series.get("i").unwrap().parse().unwrap();
                    assert_eq!(*found, value(batch.timestamp_ms, i), "{series} at {}", batch.timestamp_ms);
                }
                if scrapes.last() != Some(&batch.timestamp_ms) {
                    scrapes.push(batch.timestamp_ms);
                }
            }
            self.buffer.ack(endpoint, window.next_record, self.now);
        }
        scrapes
    }

    fn flash_bytes(&self) -> u64 {
        self.counters.flash_bytes_written.get()
    }
}

/// Nothing that a codec could make small: a sample takes about eight bytes.
fn value(scrape: i64, i: usize) -> f64 {
    ((scrape * 7919 + i as i64 * 104_729) as f64).sin()
}

/// Many small targets, or flash that refused writes for a while, leave more records in memory than a frame may have. Where a frame had
/// taken more than half of those that it was tried with, the next one was tried with more than it may have, and no reader takes such a frame:
/// all that was in it and behind it was lost.
#[test]
fn more_records_than_a_frame_may_have_are_written_in_several() {
    let mut device = Device::new(&["a"], 1);
    for timestamp_ms in 0..10_000 {
        let (series, values) = (device.list.clone(), vec![1.0]);
        let batch = ScrapeBatch { target: 0, timestamp_ms, series, values, own_timestamps: vec![], extras: None };
        device.buffer.push(batch, device.now);
    }
    device.buffer.commit(COMMIT).unwrap();
    assert_eq!(device.counters.samples_committed.get(), 10_000);
    let mut device = device.reboot(&["a"]);
    let mut arrived = 0;
    while let Some(window) = device.buffer.window(0).unwrap() {
        arrived += window.samples();
        device.buffer.ack(0, window.next_record, device.now);
    }
    assert_eq!(arrived, 10_000);
}

#[test]
fn while_every_endpoint_keeps_up_nothing_is_written_to_flash() {
    let mut device = Device::new(&["a", "b"], 100);
    for round in 0..100 {
        device.run(1);
        assert_eq!((device.drain(0), device.drain(1)), (vec![round], vec![round]));
    }
    device.buffer.close().unwrap();
    assert_eq!((device.flash_bytes(), device.counters.samples_accepted.get()), (0, 10_000));
    assert_eq!(device.buffer.fill().stage_samples, 0);
}

#[test]
fn what_is_not_acknowledged_within_the_commit_interval_survives_a_power_cut() {
    let mut device = Device::new(&["a"], 100);
    device.run(20);
    assert_eq!(device.drain(0).len(), 20);
    device.run(100);
    let mut device = device.reboot(&["a"]);
    let found = device.drain(0);
    assert_eq!(
        found,
        (20..20 + found.len() as i64).collect::<Vec<_>>(),
        "from the first that was lacking, without a gap"
    );
    assert!(found.len() >= 70, "at most the last commit interval is lost: {}", found.len());
    device.run(1);
    assert_eq!(device.drain(0), [120]);
}

#[test]
fn a_clean_stop_keeps_everything_and_an_acknowledged_backlog_is_not_sent_again() {
    let mut device = Device::new(&["a"], 100);
    device.run(95);
    device.buffer.close().unwrap();
    let mut device = device.reboot(&["a"]);
    assert_eq!(device.drain(0), (0..95).collect::<Vec<_>>());
    device.buffer.close().unwrap();
    let mut device = device.reboot(&["a"]);
    assert_eq!(device.drain(0), Vec::<i64>::new());
}

#[test]
fn an_endpoint_that_is_down_holds_back_none_of_the_others() {
    let mut device = Device::new(&["up", "down"], 50);
    for round in 0..200 {
        device.run(1);
        assert_eq!(device.drain(0), [round]);
    }
    assert_eq!(device.drain(1), (0..200).collect::<Vec<_>>());
    assert_eq!(device.counters.endpoint(0).dropped_total() + device.counters.endpoint(1).dropped_total(), 0);
}

#[test]
fn every_sample_that_a_full_ring_gives_up_is_counted_for_the_endpoint_that_lacked_it() {
    let mut device = Device::new(&["up", "down"], 200);
    for _ in 0..300 {
        device.run(1);
        device.drain(0);
    }
    let delivered = device.drain(1).len() as u64 * 200;
    let dropped = device.counters.endpoint(1).dropped(DropCause::RingFull);
    assert!(dropped > 0, "the ring was meant to be too small");
    assert_eq!(delivered + dropped, 300 * 200);
    assert_eq!(device.counters.endpoint(0).dropped_total(), 0);
}

#[test]
fn the_count_of_what_was_given_up_holds_over_restarts() {
    let mut device = Device::new(&["a"], 200);
    for _ in 0..10 {
        device.run(60);
        device.buffer.close().unwrap();
        device = device.reboot(&["a"]);
    }
    let delivered = device.drain(0).len() as u64 * 200;
    let dropped = device.counters.endpoint(0).dropped_total();
    assert!(dropped > 0);
    assert_eq!(delivered + dropped, 600 * 200);
}

#[test]
fn a_commit_that_fails_loses_nothing_and_is_made_again() {
    for calls in 0..6 {
        let mut device = Device::new(&["a"], 100);
        device.run(40);
        device.flash.fail_after(calls);
        for _ in 0..40 {
            device.now += SECOND;
            device.scrape();
            // Whether it fails depends on how many calls were left; what counts is that nothing is lost.
            if let Err(error) = device.commit_if_due() {
                assert!(matches!(error, RingError::Device { .. }), "{error}");
            }
        }
        device.flash.mend();
        device.buffer.close().unwrap();
        let mut device = device.reboot(&["a"]);
        assert_eq!(device.drain(0), (0..80).collect::<Vec<_>>(), "after {calls} calls");
    }
}

#[test]
fn reads_that_fail_in_the_middle_of_a_window_lose_nothing() {
    for reads in 0..40 {
        let mut device = Device::new(&["a"], 100);
        device.run(80);
        device.buffer.close().unwrap();
        let mut device = device.reboot(&["a"]);
        device.flash.fail_reads_after(reads);
        let mut found = Vec::new();
        for _ in 0..3 {
            while let Ok(Some(window)) = device.buffer.window(0) {
                found.extend(window.batches.iter().map(|batch| batch.timestamp_ms));
                device.buffer.ack(0, window.next_record, device.now);
            }
        }
        device.flash.mend();
        found.extend(device.drain(0));
        assert_eq!(found, (0..80).collect::<Vec<_>>(), "after {reads} reads");
        assert_eq!(device.counters.endpoint(0).dropped_total(), 0);
    }
}

#[test]
fn storage_that_is_away_for_minutes_costs_nothing_and_for_good_it_is_counted() {
    for (reads, delivered_scrapes) in [(100, 80), (10_000, 0)] {
        let mut device = Device::new(&["a"], 100);
        device.run(80);
        device.buffer.close().unwrap();
        let mut device = device.reboot(&["a"]);
        device.flash.fail_reads_after(0);
        let mut windows = (0..reads).filter_map(|_| device.buffer.window(0).ok());
        assert!(windows.all(|window| window.is_none()));
        drop(windows);
        device.flash.mend();
        assert_eq!(device.drain(0).len(), delivered_scrapes);
        let dropped = device.counters.endpoint(0).dropped(DropCause::RingDamaged);
        assert_eq!(dropped, (80 - delivered_scrapes as u64) * 100);
        device.run(1);
        assert_eq!(device.drain(0), [80], "and it goes on");
    }
}

#[test]
fn a_window_that_is_not_acknowledged_is_handed_out_again() {
    let mut device = Device::new(&["a"], 2);
    let scrapes = 3 * WINDOW_BATCHES_MAX as i64;
    device.run(scrapes as u32);
    let first = device.buffer.window(0).unwrap().unwrap();
    let again = device.buffer.window(0).unwrap().unwrap();
    assert_eq!(first.batches[0].timestamp_ms, again.batches[0].timestamp_ms);
    assert_eq!(device.drain(0), (0..scrapes).collect::<Vec<_>>());
}

#[test]
fn an_endpoint_takes_no_more_samples_at_a_time_than_it_has_room_for() {
    let mut device = Device::new(&["a", "b"], 10);
    device.run(100);
    for (capacity, scrapes) in [(5, 1), (10, 1), (35, 3), (usize::MAX, 100)] {
        device.buffer.limit_window(0, capacity);
        assert_eq!(device.buffer.window(0).unwrap().unwrap().batches.len(), scrapes, "{capacity}");
        assert_eq!(device.buffer.window(1).unwrap().unwrap().batches.len(), 100);
    }
    device.buffer.limit_window(0, 35);
    assert_eq!(device.drain(0), (0..100).collect::<Vec<_>>());
}

#[test]
fn flash_that_refuses_for_too_long_costs_the_oldest_samples_and_they_are_counted() {
    let mut device = Device::new(&["a"], 2000);
    device.flash.fail_after(0);
    let scrapes = 2 * STAGE_BYTES_MAX as i64 / (2000 * 8);
    for _ in 0..scrapes {
        device.now += SECOND;
        device.scrape();
    }
    assert!(matches!(device.commit_if_due(), Err(RingError::Device { .. })));
    let delivered = device.drain(0).len() as u64 * 2000;
    let dropped = device.counters.endpoint(0).dropped(DropCause::StageFull);
    assert!(dropped > 0 && delivered + dropped >= scrapes as u64 * 2000, "{delivered} + {dropped}");
}

#[test]
fn memory_that_fills_before_a_commit_is_due_is_committed_and_not_given_up() {
    let mut device = Device::new(&["a"], 500);
    let scrapes = 3 * STAGE_BYTES_MAX / (500 * 8);
    for timestamp_ms in 0..scrapes as i64 {
        let (series, values) = (device.list.clone(), vec![1.0; 500]);
        let batch = ScrapeBatch { target: 0, timestamp_ms, series, values, own_timestamps: vec![], extras: None };
        device.buffer.push(batch, device.now);
        assert!(device.buffer.stage.bytes() <= STAGE_BYTES_MAX);
    }
    let mut samples = 0;
    while let Some(window) = device.buffer.window(0).unwrap() {
        samples += window.samples();
        device.buffer.ack(0, window.next_record, device.now);
    }
    assert_eq!((samples, device.counters.endpoint(0).dropped_total()), (scrapes * 500, 0));
}

#[test]
fn what_the_ring_gives_up_is_not_counted_while_memory_still_has_it() {
    let mut device = Device::new(&["a"], 1000);
    device.run(40);
    assert!(device.buffer.ring.segments().next().unwrap().seq > 1, "the ring was meant to be too small for a commit");
    let delivered = device.drain(0).len() as u64 * 1000;
    let dropped = device.counters.endpoint(0).dropped_total();
    assert_eq!((delivered, dropped), (39 * 1000, 1000), "the first was in neither any more");

    let mut device = Device::new(&["a"], 1000);
    device.run(100);
    let delivered = device.drain(0).len() as u64 * 1000;
    let dropped = device.counters.endpoint(0).dropped(DropCause::RingFull);
    assert!(dropped > 0, "memory keeps records for a while only");
    assert_eq!((delivered + dropped, device.counters.endpoint(0).dropped_total()), (100 * 1000, dropped));
}

#[test]
fn a_sample_too_large_for_the_ring_is_delivered_from_memory_or_counted() {
    for delivered in [true, false] {
        let mut device = Device::new(&["a"], 10);
        device.run(20);
        let mut random = fastrand::Rng::with_seed(1);
        let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(15_000).collect();
        let labels = LabelsBuilder::from_iter([("__name__", "large"), ("l", noise.as_str())]).build().unwrap();
        let series = [device.table.intern(&labels)].into();
        let batch =
            ScrapeBatch { target: 1, timestamp_ms: 0, series, values: vec![1.0], own_timestamps: vec![], extras: None };
        device.buffer.push(batch, device.now);
        device.run(12);
        assert_eq!(device.buffer.commit_due(), Some(device.now + COMMIT), "a commit was due");
        assert_eq!(device.counters.endpoint(0).dropped_total(), 0, "it is still in memory");
        if delivered {
            let window = device.buffer.window(0).unwrap().unwrap();
            assert!(window.batches.iter().any(|batch| batch.target == 1));
            device.buffer.ack(0, window.next_record, device.now);
        }
        device.run(60);
        let counters = device.counters.endpoint(0);
        let lost = u64::from(!delivered);
        assert_eq!((counters.dropped(DropCause::TooLarge), counters.dropped_total()), (lost, lost));
    }
}

#[test]
fn a_frame_brings_in_no_more_labels_than_a_reader_takes() {
    let mut device = Device::new(&["a"], 0);
    let long = "x".repeat(16_000);
    let labels = |list: usize, i: usize| {
        let (list, i) = (list.to_string(), i.to_string());
        LabelsBuilder::from_iter([("list", list.as_str()), ("i", &i), ("long", &long)]).build().unwrap()
    };
    for list in 0..3 {
        let series: Rc<[Series]> = (0..2000).map(|i| device.table.intern(&labels(list, i))).collect();
        let values = vec![1.0; series.len()];
        let batch =
            ScrapeBatch { target: list as u32, timestamp_ms: 0, series, values, own_timestamps: vec![], extras: None };
        let parts = device.buffer.splitter.split(batch, usize::MAX);
        assert_eq!(parts.len(), 1);
        device.buffer.stage.push(Rc::new(parts.pop().unwrap()), device.now);
    }
    let mut gathered = Vec::new();
    device.buffer.gather(0, &mut gathered);
    assert_eq!(gathered.len(), 2, "32 MB each");
    let whole = device.buffer.stage.from(0).flat_map(|(_, batch)| batch.series.to_vec()).collect::<Rc<[Series]>>();
    let values = vec![1.0; whole.len()];
    let batch = ScrapeBatch { target: 9, timestamp_ms: 0, series: whole, values, own_timestamps: vec![], extras: None };
    assert_eq!(device.buffer.splitter.split(batch, usize::MAX).len(), 2, "96 MB");
}

#[test]
fn a_page_larger_than_a_segment_is_kept_in_parts() {
    let mut device = Device::new(&["a"], 3000);
    device.run(3);
    device.buffer.close().unwrap();
    let mut device = device.reboot(&["a"]);
    let (mut samples, mut records) = (0, 0);
    while let Some(window) = device.buffer.window(0).unwrap() {
        samples += window.samples();
        records += window.batches.len();
        device.buffer.ack(0, window.next_record, device.now);
    }
    assert_eq!(samples, 3 * 3000);
    assert!(records > 3 * 2, "{records} records");
}

#[test]
fn damage_in_one_segment_costs_that_segment_and_is_counted() {
    let mut device = Device::new(&["a"], 200);
    device.run(60);
    device.buffer.close().unwrap();
    let mut device = device.reboot(&["a"]);
    let segments = device.buffer.ring.segments().count();
    assert!(segments >= 3, "{segments}");
    let victim = device.buffer.ring.segments().nth(1).unwrap();
    let expected_loss = device.buffer.ring.samples_in(victim);
    let slot = (victim.seq % u64::from(LAYOUT.segment_count)) as usize * LAYOUT.segment_size_bytes as usize;
    device.flash.damage(slot + 512 + 30, b"oops");
    let dropped_before = device.counters.endpoint(0).dropped_total();
    assert_eq!(dropped_before, 0);
    let delivered = device.drain(0).len() as u64 * 200;
    assert_eq!(device.counters.endpoint(0).dropped(DropCause::RingDamaged), expected_loss);
    assert_eq!(delivered + expected_loss, 60 * 200);
}

#[test]
fn an_endpoint_that_is_new_gets_what_is_still_waiting() {
    let mut device = Device::new(&["old"], 50);
    device.run(100);
    device.buffer.close().unwrap();
    let mut device = device.reboot(&["new"]);
    assert_eq!(device.drain(0), (0..100).collect::<Vec<_>>());
}

#[test]
fn series_that_come_back_from_flash_are_the_same_as_those_scraped_now() {
    let mut device = Device::new(&["a"], 5);
    device.run(60);
    device.buffer.close().unwrap();
    let mut device = device.reboot(&["a"]);
    let window = device.buffer.window(0).unwrap().unwrap();
    assert_eq!(window.batches[0].series[3], device.list[3]);
    assert_eq!(device.table.len(), 5);
}

/// Of the newest segment, the frame behind the first one.
const SECOND_FRAME: usize = 16 * 1024 + 512 + 2560;

/// The newest segment was found damaged by a reader, and commits went on into it: nobody came to read them. Each further look
/// at the damage was counted as a loss once more.
#[test]
fn a_segment_that_is_found_damaged_is_not_continued_and_its_loss_is_counted_once() {
    for is_unreadable in [false, true] {
        let mut device = Device::new(&["a", "b"], 30);
        let write = |device: &mut Device, scrapes: u32| {
            for _ in 0..scrapes {
                device.now += COMMIT;
                device.scrape();
                device.buffer.commit(device.now).unwrap();
            }
        };
        write(&mut device, 12);
        match is_unreadable {
            true => device.flash.make_unreadable(SECOND_FRAME),
            false => device.flash.damage(SECOND_FRAME, b"damage"),
        }
        let dropped = |device: &Device, endpoint| device.counters.endpoint(endpoint).dropped(DropCause::RingDamaged);
        let scrapes = |window: &Window| window.batches.iter().map(|batch| batch.timestamp_ms).collect::<Vec<_>>();
        // A place that can't be read is tried some times; what is not acknowledged is handed out again.
        let drain = |device: &mut Device, endpoint, found: &mut Vec<i64>| {
            for _ in 0..20 {
                let Ok(Some(first)) = device.buffer.window(endpoint) else { continue };
                _ = device.buffer.window(endpoint);
                found.extend(scrapes(&first));
                device.buffer.ack(endpoint, first.next_record, device.now);
            }
        };
        let mut found = [Vec::new(), Vec::new()];
        drain(&mut device, 0, &mut found[0]);
        assert_eq!((&found[0][..5], found[0].last()), (&[0, 1, 2, 3, 4][..], Some(&11)), "the last is in memory");
        assert_eq!(dropped(&device, 0), (12 - found[0].len() as u64) * 30);
        write(&mut device, 6);
        for endpoint in 0..2 {
            let found = &mut found[endpoint];
            drain(&mut device, endpoint, found);
            let lost: Vec<i64> = (0..18).filter(|scrape| !found.contains(scrape)).collect();
            assert!(found.is_sorted() && lost.iter().all(|scrape| *scrape < 12), "{found:?}");
            assert_eq!(dropped(&device, endpoint), lost.len() as u64 * 30, "{lost:?} are lost for {endpoint}");
        }
    }
}
