//! The ring's file is emptied, or goes away with the process: nothing is lost without a count.

use super::*;

/// All that the ring says was in the file: counts began at zero with the next process.
#[test]
fn counts_outlive_a_ring_that_was_emptied_although_everything_is_delivered() {
    let mut device = Device::new(&["a"], 20);
    device.run(2000);
    device.drain(0);
    let counted = device.counters.endpoint(0).dropped(DropCause::RingFull);
    assert!(counted > 0);
    device.flash = SimFlash::new(LAYOUT.size_bytes() as usize);
    device.buffer.lose_beyond(0);
    device.buffer.replace_medium(device.flash.clone());
    device.buffer.close().unwrap();
    let device = device.reboot(&["a"]);
    assert_eq!(device.counters.endpoint(0).dropped_total(), counted);
}

/// Of what is in the ring, in memory, and in both, each sample counts once. A segment that an endpoint has in part counts as a whole.
#[test]
fn what_goes_away_with_its_medium_is_counted() {
    let mut device = Device::new(&["a", "b"], 20);
    device.run(1000);
    device.drain(0);
    device.run(50);
    let reason = || RingError::Bug("no room for a copy");
    assert!(device.buffer.close_without_medium(reason()).is_err());
    let delivered = 1000 * 20 - device.counters.endpoint(0).dropped(DropCause::RingFull);
    let counted = device.counters.endpoint(0).dropped_total() + delivered;
    assert!((1050 * 20..1150 * 20).contains(&counted), "{counted}");
    assert_eq!(device.counters.endpoint(1).dropped_total(), 1050 * 20);
}
