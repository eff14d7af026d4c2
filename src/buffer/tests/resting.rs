//! What the state of the open segment may hold, and that it is released.

use super::*;
use crate::limits::SEGMENT_GONE_SERIES_MAX;

/// Each scrape has other series, so that all before are gone: without a bound the dictionary held them until its segment was full.
#[test]
fn a_segment_whose_series_are_gone_makes_room_for_the_next_one() {
    let layout = Layout { segment_size_bytes: 4 * 1024 * 1024, segment_count: 8 };
    let (counters, table) = (Rc::<Counters>::default(), Rc::<SeriesTable>::default());
    let flash = SimFlash::new(layout.size_bytes() as usize);
    let mut buffer = Buffer::open(flash, layout, COMMIT, &["a"], table.clone(), counters.clone()).unwrap().0;
    let (mut now, mut most) = (Duration::ZERO, 0);
    for round in 0..20i64 {
        let name =
            |i: i64| LabelsBuilder::from_iter([("__name__", "m"), ("i", (round << 16 | i).to_string().as_str())]);
        let list: Rc<[Series]> = (0..2000).map(|i| table.intern(&name(i).build().unwrap())).collect();
        let values = vec![round as f64; list.len()];
        let batch =
            ScrapeBatch { target: 0, timestamp_ms: round, series: list, values, own_timestamps: vec![], extras: None };
        now += COMMIT;
        buffer.push(batch, now);
        buffer.commit(now).unwrap();
        most = most.max(buffer.codec.as_ref().map_or(0, SegmentCodec::series_len));
    }
    assert!(most <= SEGMENT_GONE_SERIES_MAX + 2 * 2000, "{most} series");
    assert_eq!(counters.flash_erases.get(), 2, "and no segment more than that takes");
    let mut rounds = Vec::new();
    while let Some(window) = buffer.window(0).unwrap() {
        rounds.extend(window.batches.iter().map(|batch| (batch.timestamp_ms, batch.values[1999])));
        buffer.ack(0, window.next_record, now);
    }
    assert_eq!(rounds, (0..20).map(|round| (round, round as f64)).collect::<Vec<_>>());
}

#[test]
fn the_open_segments_state_is_released_once_all_is_delivered_and_read_back_for_the_next_outage() {
    let mut device = Device::new(&["a", "b"], 5);
    device.run(60);
    assert_eq!(device.buffer.rest_due(), None, "while it is needed");
    assert_eq!(device.drain(0).len(), 60);
    assert_eq!(device.buffer.rest_due(), None, "by any endpoint");
    assert_eq!(device.drain(1).len(), 60);
    let due = device.buffer.rest_due().unwrap();
    assert!(due <= device.now + COMMIT, "{due:?}");
    device.buffer.rest();
    assert_eq!((device.buffer.rest_due(), device.buffer.codec.is_none()), (None, true));
    let erases = device.counters.flash_erases.get();
    device.run(40);
    assert_eq!(device.counters.flash_erases.get(), erases, "the segment goes on");
    let mut device = device.reboot(&["a", "b"]);
    assert_eq!(device.drain(0).first(), Some(&60));
}
