//! The note: what outlives the process beside acknowledgements, and what it costs.

use super::*;

/// A device with a segment or more on flash, whose endpoint has everything.
fn drained_device() -> Device {
    let mut device = Device::new(&["a"], 20);
    device.run(40);
    device.drain(0);
    device.now += COMMIT;
    device.commit_if_due().unwrap();
    device
}

#[test]
fn a_note_is_written_when_the_buffer_is_closed_even_where_nothing_else_ever_was() {
    let mut device = Device::new(&["a"], 20);
    device.buffer.remember("uplink", b"1234");
    device.buffer.close().unwrap();
    let mut device = device.reboot(&["a"]);
    assert_eq!(device.buffer.remembered("uplink"), Some(&b"1234"[..]));
    device.buffer.close().unwrap();
    assert_eq!(device.flash_bytes(), 0, "what is there already is not written again");
}

#[test]
fn a_note_that_changes_costs_no_write_of_its_own() {
    let mut device = drained_device();
    let before = device.flash_bytes();
    for second in 0..3600u32 {
        device.run(1);
        device.drain(0);
        device.buffer.remember("uplink", &second.to_le_bytes());
    }
    assert_eq!(device.flash_bytes(), before, "while the endpoint keeps up");
    device.run(31);
    assert!(device.flash_bytes() > before, "the outage is written");
    let mut device = device.reboot(&["a"]);
    assert_eq!(device.drain(0).len(), 31);
}

#[test]
fn a_note_that_is_wanted_on_flash_is_there_after_as_long_as_acknowledgements_take() {
    let mut device = drained_device();
    device.buffer.remember("uplink", b"1234");
    device.buffer.write_note(device.now);
    let before = device.counters.flash_programs.get();
    assert_eq!(device.buffer.commit_due(), Some(device.now + COMMIT));
    for _ in 0..100 {
        device.run(1);
        device.drain(0);
    }
    assert_eq!(device.counters.flash_programs.get(), before + 1);
    let device = device.reboot(&["a"]);
    assert_eq!(device.buffer.remembered("uplink"), Some(&b"1234"[..]));
}

/// Frames with records have no room for it: it waits for acknowledgements alone, or for the next segment's header.
#[test]
fn a_note_outlives_the_segments_that_it_was_written_to() {
    let mut device = Device::new(&["a"], 100);
    device.buffer.remember("uplink", b"1234");
    device.run(3600);
    assert!(device.buffer.segments_opened() > 2 * u64::from(LAYOUT.segment_count));
    let device = device.reboot(&["a"]);
    assert_eq!(device.buffer.remembered("uplink"), Some(&b"1234"[..]));
}

/// They were written 30 seconds later, and a device that lost its power in these sent an hour of samples again.
#[test]
fn acknowledgements_are_written_at_once_when_a_backlog_has_drained_and_never_else() {
    let mut device = Device::new(&["a", "b"], 20);
    device.run(100);
    let before = device.counters.flash_programs.get();
    device.drain(0);
    device.commit_if_due().unwrap();
    assert_eq!(device.counters.flash_programs.get(), before + 1, "one has caught up");
    device.drain(1);
    device.commit_if_due().unwrap();
    assert_eq!(device.counters.flash_programs.get(), before + 2, "and so has the other");
    for _ in 0..600 {
        device.run(1);
        device.drain(0);
        device.drain(1);
    }
    assert_eq!(device.counters.flash_programs.get(), before + 2, "endpoints that keep up cost no write");
    let mut device = device.reboot(&["a", "b"]);
    assert_eq!((device.drain(0).len(), device.drain(1).len()), (0, 0));
}

/// Each scrape is on flash when it is acknowledged, and the next one's frame carries the acknowledgement.
#[test]
fn endpoints_that_keep_up_with_a_commit_for_each_scrape_cost_one_write_a_scrape() {
    let mut device = Device::new(&["a"], 20);
    device.buffer.commit_interval = Duration::ZERO;
    for scrape in 1..25 {
        device.run(1);
        device.drain(0);
        device.commit_if_due().unwrap();
        // The very first segment's header goes alone.
        assert_eq!(device.counters.flash_programs.get(), scrape + 1);
    }
}

/// Acknowledgements that were due took along what had been scraped the moment before; that was acknowledged a little later,
/// which made acknowledgements due again: a write every 30 seconds for as long as the process ran, though nobody was behind.
#[test]
fn acknowledgements_alone_take_nothing_along_that_need_not_be_written() {
    let mut device = Device::new(&["a"], 20);
    device.run(40);
    device.drain(0);
    let before = device.counters.flash_programs.get();
    for _ in 0..600 {
        device.run(1);
        device.drain(0);
    }
    assert_eq!(device.counters.flash_programs.get(), before + 1, "of the acknowledgements, once");
}
