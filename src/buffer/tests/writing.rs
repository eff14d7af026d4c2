//! While a write is under way everything else goes on.

use super::*;

/// A device whose second endpoint lacks what is committed, with the first write of a commit under way.
fn writing() -> (Device, crate::ring::Write) {
    let mut device = Device::new(&["keeps up", "lags"], 100);
    device.buffer.write_elsewhere();
    device.scrape();
    device.buffer.commit(device.now).unwrap();
    (1..40).for_each(|_| {
        device.now += SECOND;
        device.scrape();
    });
    assert!(device.buffer.commit_due().is_some_and(|due| due <= device.now));
    let write = device.buffer.next_write(device.now).unwrap().expect("a frame");
    (device, write)
}

fn finish(device: &mut Device, write: crate::ring::Write) -> Result<(), RingError> {
    let written = write.perform(&mut device.flash.clone());
    device.buffer.wrote(written, device.now)?;
    device.buffer.commit(device.now)
}

/// A card that blocked held up scrapes, windows and acknowledgements.
#[test]
fn scrapes_windows_and_acknowledgements_go_on_while_a_write_is_under_way() {
    let (mut device, write) = writing();
    for _ in 0..10 {
        device.now += SECOND;
        device.scrape();
    }
    assert_eq!(device.drain(0), (0..50).collect::<Vec<_>>());
    assert!(device.buffer.next_write(device.now).is_err(), "one write at a time");
    finish(&mut device, write).unwrap();
    let mut device = device.reboot(&["keeps up", "lags"]);
    let drained = device.drain(1);
    assert!(drained.starts_with(&(0..40).collect::<Vec<_>>()), "what was under way is on flash: {drained:?}");
    assert_eq!(device.counters.endpoint(1).dropped_total(), 0);
}

#[test]
fn a_window_of_what_is_being_written_comes_from_memory() {
    let (mut device, write) = writing();
    let window = device.buffer.window(1).unwrap().unwrap();
    assert_eq!(window.batches.len(), 40);
    finish(&mut device, write).unwrap();
    device.buffer.ack(1, window.next_record, device.now);
    assert_eq!(device.drain(1), Vec::<i64>::new());
}

#[test]
fn a_write_that_fails_leaves_everything_in_memory() {
    let (mut device, write) = writing();
    device.flash.fail_after(0);
    assert!(finish(&mut device, write).is_err());
    device.flash.mend();
    device.buffer.commit(device.now).unwrap();
    let mut device = device.reboot(&["keeps up", "lags"]);
    assert_eq!(device.drain(1), (0..40).collect::<Vec<_>>());
}

/// A card that blocks for longer than memory lasts costs the oldest samples. They are counted once, though the write may have
/// brought them to flash in the end.
#[test]
fn memory_stays_bounded_while_a_write_is_under_way_and_what_is_dropped_is_counted() {
    let (mut device, write) = writing();
    while device.counters.endpoint(1).dropped(DropCause::StageFull) == 0 {
        device.now += SECOND;
        device.scrape();
        assert!(device.buffer.stage.bytes() <= STAGE_BYTES_MAX + 2000);
    }
    (0..100).for_each(|_| device.scrape());
    assert!(finish(&mut device, write).is_err(), "it counts as failed");
    device.buffer.commit(device.now).unwrap();
    let scraped = device.scrapes as u64 * 100;
    let drained = device.drain(1);
    let dropped = device.counters.endpoint(1).dropped_total();
    assert_eq!(drained.len() as u64 * 100 + dropped, scraped);
}

#[test]
fn a_commit_is_due_before_memory_is_full_and_pushing_writes_nothing() {
    let mut device = Device::new(&["a"], 500);
    device.buffer.write_elsewhere();
    while device.buffer.commit_due().is_none_or(|due| due > device.now) {
        let (series, values) = (device.list.clone(), vec![1.0; 500]);
        let batch = ScrapeBatch { target: 0, timestamp_ms: 0, series, values, own_timestamps: vec![], extras: None };
        device.buffer.push(batch, device.now);
    }
    assert!(device.buffer.stage.bytes() < STAGE_BYTES_MAX);
    assert_eq!(device.flash_bytes(), 0);
    device.buffer.commit(device.now).unwrap();
    assert!(device.buffer.commit_due().is_none_or(|due| due > device.now), "no commit is due right after one");
}
