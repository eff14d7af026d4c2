//! A buffer without a ring hands out what memory holds, and moves into the ring once it opens.

use super::*;

/// A ring in which the second endpoint has a backlog of a hundred scrapes.
fn with_backlog(endpoints: &[EndpointLanes]) -> (SimFlash, i64) {
    let mut device = Device::new(endpoints, 10);
    device.run(100);
    device.drain(0);
    device.buffer.close().unwrap();
    device.flash.end_process();
    (device.flash, device.scrapes)
}

/// A process that could not open its ring.
fn without_ring(endpoints: &[EndpointLanes], scrapes: i64) -> Device {
    let mut device = Device::boot(SimFlash::new(LAYOUT.size_bytes() as usize), endpoints, 10, scrapes);
    device.buffer = device.buffer.in_memory_only();
    device
}

fn open_late(device: &mut Device, flash: SimFlash, endpoints: &[EndpointLanes]) {
    let (table, counters) = (device.table.clone(), device.counters.clone());
    let opened = Buffer::open(flash.clone(), LAYOUT, COMMIT, endpoints, table, counters).unwrap().0;
    device.buffer.move_into(opened, device.now);
    device.flash = flash;
}

fn scrape(device: &mut Device, scrapes: u32) {
    (0..scrapes).for_each(|_| {
        device.now += SECOND;
        device.scrape();
    });
}

fn endpoints(is_live_first: bool) -> Vec<EndpointLanes> {
    ["keeps up", "lags"].map(|name| EndpointLanes { is_live_first, ..name.into() }).into()
}

/// A device whose card was read-only at boot scraped nothing at all.
#[test]
fn what_memory_holds_goes_to_the_ring_that_opens_late_and_the_ring_s_backlog_arrives() {
    let endpoints = endpoints(false);
    let (flash, scrapes) = with_backlog(&endpoints);
    let mut device = without_ring(&endpoints, scrapes);
    assert!(!device.buffer.has_ring());
    scrape(&mut device, 20);
    assert_eq!(device.drain(0), (100..120).collect::<Vec<_>>());
    open_late(&mut device, flash, &endpoints);
    assert!(device.buffer.has_ring());
    device.run(60);
    assert_eq!(device.drain(0), (120..180).collect::<Vec<_>>());
    device.buffer.close().unwrap();
    let mut device = device.reboot(&endpoints);
    assert_eq!(device.drain(0), Vec::<i64>::new());
    assert_eq!(device.drain(1), (0..180).collect::<Vec<_>>());
    assert_eq!(device.counters.endpoint(1).dropped_total(), 0);
}

#[test]
fn what_was_delivered_from_memory_is_not_delivered_again() {
    let endpoints = endpoints(false);
    let (flash, scrapes) = with_backlog(&endpoints);
    let mut device = without_ring(&endpoints, scrapes);
    scrape(&mut device, 20);
    assert_eq!(device.drain(1), (100..120).collect::<Vec<_>>());
    scrape(&mut device, 5);
    let with_sender = device.buffer.window(1).unwrap().unwrap();
    assert_eq!(with_sender.batches.len(), 5);
    open_late(&mut device, flash, &endpoints);
    device.buffer.ack(1, with_sender.next_record, device.now);
    device.run(60);
    assert_eq!(device.drain(1), (0..100).chain(125..185).collect::<Vec<_>>());
    assert_eq!(device.drain(0), (100..185).collect::<Vec<_>>());
    device.buffer.close().unwrap();
    let mut device = device.reboot(&endpoints);
    assert_eq!((device.drain(0).len(), device.drain(1).len()), (0, 0));
}

#[test]
fn a_lane_that_sends_new_samples_first_leaves_the_ring_to_its_backlog() {
    let endpoints = endpoints(true);
    // Senders: the live one and the backlog's of each endpoint.
    let (flash, scrapes) = with_backlog(&endpoints);
    let mut device = without_ring(&endpoints, scrapes);
    scrape(&mut device, 20);
    assert_eq!(device.drain(2), (100..120).collect::<Vec<_>>());
    scrape(&mut device, 5);
    let with_sender = device.buffer.window(2).unwrap().unwrap();
    open_late(&mut device, flash, &endpoints);
    device.buffer.ack(2, with_sender.next_record, device.now);
    scrape(&mut device, 10);
    assert_eq!(device.drain(2), (125..135).collect::<Vec<_>>());
    assert_eq!(device.drain(3), (0..100).collect::<Vec<_>>());
}

/// Samples that the second endpoint lost, by every cause.
fn lost(device: &Device) -> u64 {
    device.counters.endpoint(1).dropped_total()
}

#[test]
fn memory_that_is_full_before_the_ring_opens_is_counted_and_the_ring_knows_of_it() {
    let endpoints = endpoints(false);
    let mut device = without_ring(&endpoints, 0);
    let mut scraped = 0;
    while device.counters.endpoint(1).dropped(DropCause::StageFull) == 0 {
        scrape(&mut device, 1000);
        scraped += 1000;
    }
    open_late(&mut device, SimFlash::new(LAYOUT.size_bytes() as usize), &endpoints);
    device.buffer.commit(device.now).unwrap();
    assert!(device.counters.endpoint(1).dropped(DropCause::RingFull) > 0, "the ring is smaller than memory");
    let mut device = device.reboot(&endpoints);
    assert!(device.counters.endpoint(1).dropped(DropCause::StageFull) > 0);
    assert_eq!(10 * device.drain(1).len() as u64 + lost(&device), 10 * scraped);
}

/// A ring counts what earlier processes lost; what this one has lost is not in that, whatever the counters say.
#[test]
fn losses_from_before_the_ring_opens_are_written_although_nothing_else_is() {
    let endpoints = endpoints(false);
    let mut device = without_ring(&endpoints, 0);
    while lost(&device) == 0 {
        scrape(&mut device, 1000);
    }
    device.drain(0);
    device.drain(1);
    let counted = lost(&device);
    open_late(&mut device, SimFlash::new(LAYOUT.size_bytes() as usize), &endpoints);
    device.commit_if_due().unwrap();
    assert_eq!(lost(&device.reboot(&endpoints)), counted);
}

/// The sender of the second endpoint has a window from the time without a ring, of which the receiver has taken the first scrape.
/// By the time that it ends the ring has evicted all of it.
fn held_over_the_opening(flash: SimFlash, mut device: Device, endpoints: &[EndpointLanes]) -> Device {
    scrape(&mut device, 5);
    let held = device.buffer.window(1).unwrap().unwrap();
    assert_eq!(held.batches.len(), 5);
    open_late(&mut device, flash, endpoints);
    device.buffer.settle(1, held.records[1..].iter().map(|record| (*record, 10)));
    for _ in 0..60 {
        device.run(60);
        device.drain(0);
    }
    let oldest = device.buffer.ring.segments().next().unwrap();
    assert!(oldest.first_record > device.scrapes as u64 - 3600, "the window is evicted");
    device.buffer.close().unwrap();
    device.reboot(endpoints)
}

#[test]
fn what_a_sender_holds_from_before_the_ring_opens_is_counted_if_it_is_lost() {
    let endpoints = endpoints(false);
    let flash = SimFlash::new(LAYOUT.size_bytes() as usize);
    let device = without_ring(&endpoints, 0);
    let mut device = held_over_the_opening(flash, device, &endpoints);
    let delivered = device.drain(1);
    assert_eq!(lost(&device), 10 * (*delivered.first().unwrap() as u64 - 1));
}

#[test]
fn what_a_sender_holds_from_before_the_ring_opens_is_counted_beside_the_ring_s_backlog() {
    let endpoints = endpoints(false);
    let (flash, scrapes) = with_backlog(&endpoints);
    let device = without_ring(&endpoints, scrapes);
    let mut device = held_over_the_opening(flash, device, &endpoints);
    let delivered = device.drain(1);
    assert_eq!(lost(&device), 10 * (*delivered.first().unwrap() as u64 - 1));
}
