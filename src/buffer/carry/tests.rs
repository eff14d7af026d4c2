//! Rings carried over into other shapes: every endpoint gets what it lacked, in order, less what was counted as given up.

use super::super::Buffer;
use super::*;
use crate::model::{LabelsBuilder, Series};
use crate::ring::Layout;
use crate::sim::SimFlash;
use std::time::Duration;

const ENDPOINTS: [&str; 2] = ["up", "behind"];

const OLD: Layout = Layout { segment_size_bytes: 16 * 1024, segment_count: 8 };

/// After everything.
const LATE: Duration = Duration::from_secs(1 << 30);

type Opened = (Buffer<SimFlash>, Rc<SeriesTable>, Rc<Counters>);

fn open(flash: &SimFlash, layout: Layout) -> Opened {
    let (table, counters) = (Rc::<SeriesTable>::default(), Rc::<Counters>::default());
    let interval = Duration::from_secs(30);
    let opened = Buffer::open(flash.clone(), layout, interval, &ENDPOINTS, table.clone(), counters.clone());
    (opened.unwrap().0, table, counters)
}

fn series(table: &SeriesTable, count: usize) -> Rc<[Series]> {
    let labels = |i: usize| LabelsBuilder::from_iter([("__name__", "m"), ("i", i.to_string().as_str())]);
    (0..count).map(|i| table.intern(&labels(i).build().unwrap())).collect()
}

/// Nothing that a codec could make small.
fn value(scrape: i64, i: usize) -> f64 {
    ((scrape * 7919 + i as i64 * 104_729) as f64).sin()
}

fn push(buffer: &mut Buffer<SimFlash>, list: &Rc<[Series]>, scrape: i64) {
    let values = (0..list.len()).map(|i| value(scrape, i)).collect();
    let batch = ScrapeBatch {
        target: 0,
        timestamp_ms: scrape,
        series: list.clone(),
        values,
        own_timestamps: vec![],
        extras: None,
    };
    buffer.push(batch, Duration::from_secs(scrape as u64));
}

/// A ring in which `scrapes` scrapes were committed three at a time, and the first endpoint has taken most of them.
fn ring_of(scrapes: i64, series_count: usize) -> SimFlash {
    let flash = SimFlash::new(OLD.size_bytes() as usize);
    let (mut buffer, table, _) = open(&flash, OLD);
    let list = series(&table, series_count);
    for scrape in 0..scrapes {
        push(&mut buffer, &list, scrape);
        if scrape % 3 == 2 {
            buffer.commit(LATE).unwrap();
        }
        if scrape == scrapes * 3 / 4 {
            while let Some(window) = buffer.window(0).unwrap() {
                buffer.ack(0, window.next_record, Duration::ZERO);
            }
        }
    }
    buffer.close().unwrap();
    flash
}

fn copy_of(flash: &SimFlash) -> SimFlash {
    let image = flash.image();
    let copy = SimFlash::new(image.len());
    copy.damage(0, &image);
    copy
}

/// Every sample that an endpoint lacks, as (scrape, series), its value checked. Acknowledged as it is taken.
fn drain(buffer: &mut Buffer<SimFlash>, endpoint: usize) -> Vec<(i64, usize)> {
    let mut samples = Vec::new();
    while let Some(window) = buffer.window(endpoint).unwrap() {
        for batch in &window.batches {
            for (series, found) in batch.series.iter().zip(&batch.values) {
                let i: usize = series.get("i").unwrap().parse().unwrap();
                assert_eq!(*found, value(batch.timestamp_ms, i));
                samples.push((batch.timestamp_ms, i));
            }
        }
        buffer.ack(endpoint, window.next_record, LATE);
    }
    samples
}

fn carry(old: &SimFlash, layout: Layout) -> (SimFlash, u64, Rc<Counters>) {
    let (new, counters) = (SimFlash::new(layout.size_bytes() as usize), Rc::<Counters>::default());
    let (from, _) = Ring::open(old.clone(), OLD, Rc::default()).unwrap();
    let (to, _) = Ring::open(new.clone(), layout, Rc::default()).unwrap();
    let (_, carried) = Carrier::new(&from, to, &ENDPOINTS, counters.clone()).carry().unwrap();
    (new, carried, counters)
}

#[test]
fn every_endpoint_gets_the_newest_that_fits_and_the_rest_is_counted() {
    let layout = |segment_kib: u32, segment_count| Layout { segment_size_bytes: segment_kib * 1024, segment_count };
    let once = ring_of(40, 100);
    // Has gone round several times.
    let full = ring_of(300, 100);
    // Pages of which several fit into an old segment, and not one into a small one.
    let large = ring_of(30, 700);
    for (old, scrapes, series_count, layout, loses) in [
        (&once, 40, 100, layout(16, 16), false),
        (&once, 40, 100, layout(32, 4), false),
        (&once, 40, 100, layout(8, 32), false),
        (&full, 300, 100, layout(16, 64), false),
        (&full, 300, 100, layout(64, 8), false),
        (&full, 300, 100, layout(16, 4), true),
        (&full, 300, 100, layout(4, 16), true),
        (&large, 30, 700, layout(4, 256), false),
        (&large, 30, 700, layout(4, 20), true),
    ] {
        let old = copy_of(old);
        let case = format!("{scrapes} x {series_count} into {layout:?}");
        let before = old.image();
        let (new, carried, counters) = carry(&old, layout);
        assert_eq!(before, old.image(), "{case}: the old ring is only read");
        let ((mut from, _, from_counters), (mut to, table, _)) = (open(&old, OLD), open(&new, layout));
        let mut lost = 0;
        for endpoint in 0..2 {
            let (lacked, got) = (drain(&mut from, endpoint), drain(&mut to, endpoint));
            let dropped = counters.endpoint(endpoint).dropped(DropCause::Resized) as usize;
            // The old ring's count goes on.
            let dropped_before = from_counters.endpoint(endpoint).dropped_total() as usize;
            assert_eq!(counters.endpoint(endpoint).dropped_total() as usize, dropped_before + dropped, "{case}");
            assert_eq!(lacked.len(), dropped + got.len(), "{case}: endpoint {endpoint}");
            assert!(!got.is_empty() && lacked.ends_with(&got), "{case}: the newest is kept, in order");
            lost += dropped;
        }
        // It goes on, and nothing comes twice.
        push(&mut to, &series(&table, series_count), scrapes);
        to.commit(LATE).unwrap();
        for endpoint in 0..2 {
            let next: Vec<_> = (0..series_count).map(|i| (scrapes, i)).collect();
            assert_eq!(drain(&mut to, endpoint), next, "{case}");
        }
        assert_eq!(lost > 0, loses, "{case}: {lost}");
        assert!(carried > 0);
    }
}

#[test]
fn what_everyone_has_stays_behind() {
    let old = ring_of(100, 100);
    let (mut buffer, ..) = open(&old, OLD);
    drain(&mut buffer, 0);
    drain(&mut buffer, 1);
    buffer.close().unwrap();
    let (new, carried, counters) = carry(&old, Layout { segment_size_bytes: 8192, segment_count: 4 });
    assert_eq!((carried, counters.endpoint(1).dropped_total()), (0, 0));
    assert_eq!(new.image(), vec![0; 32768]);
}

#[test]
fn what_an_endpoint_acknowledged_it_does_not_get_again_whatever_becomes_of_the_records() {
    let old = ring_of(30, 700);
    let (mut buffer, ..) = open(&old, OLD);
    let window = buffer.window(0).unwrap().unwrap();
    let record = |before: u64| window.next_record - before;
    buffer.ack(0, record(5), Duration::ZERO);
    buffer.ack(1, record(8), Duration::ZERO);
    buffer.close().unwrap();
    let expected = [0, 1].map(|endpoint| drain(&mut open(&copy_of(&old), OLD).0, endpoint));
    for layout in [
        // Each of them is cut into several.
        Layout { segment_size_bytes: 4096, segment_count: 256 },
        // All are in one segment, whose header was written before any was reached.
        Layout { segment_size_bytes: 1 << 20, segment_count: 4 },
    ] {
        let (new, carried, _) = carry(&old, layout);
        let (mut to, ..) = open(&new, layout);
        assert_eq!([0, 1].map(|endpoint| drain(&mut to, endpoint)), expected);
        assert_eq!(carried, expected[1].len() as u64, "what both have is not written again");
    }
}

#[test]
fn damage_in_the_old_ring_is_counted_as_damage() {
    let old = ring_of(60, 100);
    let whole = drain(&mut open(&old, OLD).0, 1).len() as u64;
    let (from, _) = Ring::open(old.clone(), OLD, Rc::default()).unwrap();
    let victim = from.segments().nth(1).unwrap();
    let slot = (victim.seq % u64::from(OLD.segment_count)) as usize * OLD.segment_size_bytes as usize;
    old.damage(slot + 512 + 30, b"oops");
    let layout = Layout { segment_size_bytes: 32768, segment_count: 8 };
    let (new, _, counters) = carry(&old, layout);
    let lost = counters.endpoint(1).dropped(DropCause::RingDamaged);
    assert_eq!((lost, counters.endpoint(0).dropped_total()), (from.samples_in(victim), 0));
    assert_eq!(drain(&mut open(&new, layout).0, 1).len() as u64, whole - lost);
}

#[test]
fn the_note_is_carried_over_whether_samples_wait_or_not() {
    for takes_all in [false, true] {
        let old = ring_of(40, 100);
        let (mut buffer, _, _) = open(&old, OLD);
        if takes_all {
            (0..2).for_each(|endpoint| _ = drain(&mut buffer, endpoint));
        }
        buffer.remember("uplink", b"1234");
        buffer.close().unwrap();
        let layout = Layout { segment_size_bytes: 8 * 1024, segment_count: 32 };
        let (new, _, _) = carry(&old, layout);
        let (mut buffer, _, _) = open(&new, layout);
        assert_eq!(buffer.remembered("uplink"), Some(&b"1234"[..]));
        assert_eq!(drain(&mut buffer, 1).is_empty(), takes_all);
    }
}
