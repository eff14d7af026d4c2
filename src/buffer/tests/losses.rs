//! What is lost is counted, and the counts outlive the process.

use super::*;

/// One endpoint whose sender holds a window that is as large as the ring, which has evicted most of it since.
fn device_with_a_held_window() -> (Device, Window) {
    let mut device = Device::new(&["a"], 100);
    device.run(120);
    let window = device.buffer.window(0).unwrap().unwrap();
    device.run(200);
    (device, window)
}

fn ring_full(device: &Device) -> u64 {
    device.counters.endpoint(0).dropped(DropCause::RingFull)
}

#[test]
fn what_a_sender_holds_of_evicted_segments_is_counted_when_it_ends() {
    let (mut device, window) = device_with_a_held_window();
    // Of each record but the first, a half was delivered.
    let unfinished = window.records.iter().skip(1).map(|record| (*record, 50));
    device.buffer.settle(0, unfinished);
    device.buffer.close().unwrap();
    let evicted = window.records.iter().filter(|record| **record < device.buffer.in_ring_from()).count() as u64;
    assert!(evicted > 10, "{evicted} records of the window are evicted");
    let (lost, scraped, delivered) = (ring_full(&device), 100 * device.scrapes as u64, 50 * (evicted + 1));
    let mut device = device.reboot(&["a"]);
    assert_eq!(ring_full(&device), lost, "the next process goes on from there");
    assert_eq!(100 * device.drain(0).len() as u64 + delivered + lost, scraped);
}

#[test]
fn a_process_that_is_killed_leaves_the_count_of_what_its_sender_held() {
    let (device, _) = device_with_a_held_window();
    let scrapes = device.scrapes as u64;
    let mut device = device.reboot(&["a"]);
    let (lost, found) = (ring_full(&device), device.drain(0).len() as u64);
    let in_memory = scrapes - found - lost / 100;
    assert!(
        lost.is_multiple_of(100) && in_memory <= 30,
        "{lost} samples are counted, {found} of {scrapes} scrapes are left"
    );
}

/// Flash counts as lost what the ring has evicted, until it is told that the sender has delivered it after all.
#[test]
fn what_is_delivered_after_its_eviction_is_counted_no_more() {
    let (mut device, window) = device_with_a_held_window();
    let counted_now = ring_full(&device);
    device.buffer.ack(0, window.next_record, device.now);
    assert_eq!(device.buffer.commit_due(), Some(device.now), "it is told at once");
    device.commit_if_due().unwrap();
    assert_eq!(ring_full(&device.reboot(&["a"])), counted_now);
}

/// An acknowledgement that reached flash before the count would pass over samples that nobody has counted.
#[test]
fn no_acknowledgement_goes_to_flash_ahead_of_the_counts_of_what_it_passes_over() {
    let mut device = Device::new(&["a", "b"], 20);
    device.run(40);
    let window = device.buffer.window(0).unwrap().unwrap();
    device.counters.endpoint(0).drop_samples(DropCause::Rejected, 7);
    device.buffer.ack(0, window.next_record, device.now);
    device.buffer.acks_due = Some(device.now + 1000 * SECOND);
    device.run(31);
    let mut device = device.reboot(&["a", "b"]);
    let rejected = device.counters.endpoint(0).dropped(DropCause::Rejected);
    let is_handed_again = device.drain(0)[0] == 0;
    assert!(
        is_handed_again || rejected == 7,
        "the endpoint lacks scrapes from the first on, or the 7 samples are counted"
    );
}

#[test]
fn counts_of_an_endpoint_that_is_not_configured_wait_for_it() {
    let mut device = Device::new(&["a"], 100);
    device.run(400);
    device.buffer.close().unwrap();
    let lost = ring_full(&device);
    let mut device = device.reboot(&["b"]);
    assert_eq!(ring_full(&device), 0, "they are those of a");
    device.run(100);
    device.buffer.close().unwrap();
    assert!(lost > 0 && ring_full(&device.reboot(&["a"])) == lost);
}

#[test]
fn flash_that_refuses_the_last_write_costs_what_was_in_memory_only_and_it_is_counted() {
    let mut device = Device::new(&["a", "b"], 100);
    device.run(40);
    device.drain(1);
    device.flash.fail_after(0);
    let in_memory = device.buffer.fill().stage_samples as u64;
    assert!(device.buffer.close().is_err());
    let lost = [0, 1].map(|endpoint| device.counters.endpoint(endpoint).dropped(DropCause::Uncommitted));
    assert_eq!(lost, [in_memory, 0]);
}
