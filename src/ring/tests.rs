//! The ring against a simple model: what was synced is read back, whatever happens in between.

use super::*;
use crate::counters::Counters;
use crate::sim::SimFlash;
use std::rc::Rc;

const LAYOUT: Layout = Layout { segment_size_bytes: 4096, segment_count: 4 };

fn flash() -> SimFlash {
    SimFlash::new(LAYOUT.size_bytes() as usize)
}

fn open(flash: &SimFlash) -> Ring<SimFlash> {
    Ring::open(flash.clone(), LAYOUT, Rc::default()).unwrap().0
}

fn acks(next_record: u64) -> Acks {
    [Ack { endpoint: 1, next_record }].into_iter().collect()
}

/// A frame of one record that weighs ten samples; its payload tells its number.
fn frame(record: u64, payload_bytes: usize) -> Frame {
    let payload = (0..payload_bytes).map(|i| (record as usize * 31 + i) as u8).collect();
    Frame { meta: FrameMeta { first_record: record, sample_counts: vec![10], acks: Acks::new() }, payload }
}

/// Appends as the buffer does: to the current segment while there is room, else to a new one.
fn append(ring: &mut Ring<SimFlash>, frame: &Frame) -> Result<Appended, RingError> {
    let placement = if ring.fits(frame, Placement::Current) { Placement::Current } else { Placement::NewSegment };
    ring.append(frame, placement, &acks(0))
}

/// Every record that can be read, with its payload.
fn contents(ring: &Ring<SimFlash>) -> Vec<(u64, Vec<u8>)> {
    let (mut found, mut bytes) = (Vec::new(), Vec::new());
    let mut at = ring.find(0);
    while let Some(here) = at {
        at = match ring.read(here, &mut bytes).unwrap() {
            Read::Frame { meta, payload_at, next } => {
                found.push((meta.first_record, bytes[payload_at..].to_vec()));
                Some(next)
            }
            Read::EndOfSegment { next } => Some(next),
            Read::EndOfRing => None,
        };
    }
    found
}

fn records(ring: &Ring<SimFlash>) -> Vec<u64> {
    contents(ring).into_iter().map(|(record, _)| record).collect()
}

#[test]
fn a_blank_medium_is_an_empty_ring_and_opening_it_writes_nothing() {
    let flash = flash();
    let ring = open(&flash);
    assert_eq!((records(&ring), ring.next_record()), (vec![], 0));
    assert_eq!(flash.image(), vec![0; 16384]);
}

#[test]
fn what_was_appended_is_read_back_after_reopening() {
    let flash = flash();
    let mut ring = open(&flash);
    for record in 0..3 {
        append(&mut ring, &frame(record, 700)).unwrap();
    }
    let before = contents(&ring);
    drop(ring);
    let ring = open(&flash);
    assert_eq!(contents(&ring), before);
    assert_eq!(ring.next_record(), 3);
    assert_eq!(before[2].1, frame(2, 700).payload);
}

/// A new segment was programmed, its sync failed, and the process was killed; the next one found it and wrote a second frame behind
/// its first. A cut took header and first frame and left the second, with an acknowledgement of its record. The segment was begun
/// anew, by another record of a smaller number: the second frame followed it again, its acknowledgement was believed, and the
/// new record, synced as it was, was never sent nor counted. Seed 88 of the power-cut suite saw it: "endpoint 0 is handed []".
#[test]
fn a_frame_whose_header_a_cut_took_does_not_come_to_light_behind_the_next_ones() {
    let flash = flash();
    let mut ring = open(&flash);
    ring.append(&frame(0, 100), Placement::NewSegment, &acks(0)).unwrap();
    let before = flash.image();
    ring.append(&frame(1, 100), Placement::NewSegment, &acks(0)).unwrap();
    let mut second = frame(2, 100);
    second.meta.acks = acks(3);
    ring.append(&second, Placement::Current, &acks(0)).unwrap();
    let slot = 2 * LAYOUT.segment_size_bytes as usize;
    flash.damage(slot, &before[slot..slot + 1024]);
    let mut ring = open(&flash);
    let next = ring.next_record();
    assert_eq!(records(&ring), [0]);
    ring.append(&frame(next, 100), Placement::NewSegment, &acks(0)).unwrap();
    let ring = open(&flash);
    assert_eq!((records(&ring), ring.acks()), (vec![0, next], &acks(0)));
    assert_eq!(ring.next_record(), next + 1);
}

#[test]
fn a_full_ring_gives_up_its_oldest_segment_and_says_which() {
    let flash = flash();
    let mut ring = open(&flash);
    let evicted: Vec<_> = (0..9).filter_map(|r| append(&mut ring, &frame(r, 1500)).unwrap().evicted).collect();
    assert_eq!(evicted.iter().map(|s| (s.seq, s.first_record)).collect::<Vec<_>>(), [(1, 0)]);
    assert_eq!(records(&ring), [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(records(&open(&flash)), [2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn samples_of_a_segment_are_known_even_where_its_frames_are_not() {
    let flash = flash();
    let mut ring = open(&flash);
    for record in 0..4 {
        append(&mut ring, &frame(record, 1500)).unwrap();
    }
    let first = ring.segments().next().unwrap();
    assert_eq!((ring.samples_in(first), ring.end_of(first)), (20, 2));
    // slot 1 holds segment 1
    flash.damage(4096 + 512, b"damage");
    assert_eq!(records(&ring), [2, 3], "a damaged frame ends its segment, and only that");
}

/// Found by the fuzz target `open_ring`: the next append took the damaged frame's place, and frames behind it came back.
#[test]
fn damage_in_the_newest_segment_is_not_its_end_and_nothing_behind_it_comes_back() {
    let flash = flash();
    let mut ring = open(&flash);
    ring.append(&frame(0, 300), Placement::NewSegment, &acks(0)).unwrap();
    for record in 1..4 {
        ring.append(&frame(record, 300), Placement::Current, &acks(0)).unwrap();
    }
    flash.damage(4096 + 1024 + 100, b"damage");
    let mut ring = open(&flash);
    assert_eq!((records(&ring), ring.next_record()), (vec![0], 4), "no record number is used twice");
    let newest = ring.segments().next_back().unwrap();
    assert_eq!(ring.samples_in(newest), 30, "all but those of the damaged frame, which nothing tells");
    append(&mut ring, &frame(4, 300)).unwrap();
    append(&mut ring, &frame(5, 300)).unwrap();
    assert_eq!(records(&ring), [0, 4, 5]);
    assert_eq!(records(&open(&flash)), [0, 4, 5]);
}

#[test]
fn acknowledgements_travel_in_frames_and_headers() {
    let flash = flash();
    let mut ring = open(&flash);
    ring.append(&frame(5, 100), Placement::NewSegment, &acks(3)).unwrap();
    assert_eq!(ring.acks(), &acks(3));
    let note = Frame { meta: FrameMeta { first_record: 6, sample_counts: vec![], acks: acks(6) }, payload: vec![] };
    ring.append(&note, Placement::Current, &acks(6)).unwrap();
    let reopened = open(&flash);
    assert_eq!((reopened.acks(), reopened.next_record()), (&acks(6), 6));
}

#[test]
fn a_failed_append_changes_nothing_and_can_be_repeated() {
    for calls in 0..2 {
        let flash = flash();
        let mut ring = open(&flash);
        append(&mut ring, &frame(0, 700)).unwrap();
        flash.fail_after(calls);
        assert!(matches!(append(&mut ring, &frame(1, 700)), Err(RingError::Device { .. })));
        assert_eq!(records(&ring), [0]);
        flash.mend();
        append(&mut ring, &frame(1, 700)).unwrap();
        append(&mut ring, &frame(2, 700)).unwrap();
        assert_eq!(records(&open(&flash)), [0, 1, 2]);
    }
}

/// A commit whose sync failed may be on the medium all the same, and the next one can be larger or smaller.
#[test]
fn after_a_failed_append_no_record_number_is_used_twice_whatever_comes_next() {
    use Placement::*;
    let of_records = |count: usize, payload_bytes| {
        let meta = FrameMeta { sample_counts: vec![10; count], ..frame(1, 0).meta };
        Frame { meta, payload: vec![3; payload_bytes] }
    };
    let sizes = [(1, 3), (3, 1)];
    let places = [(NewSegment, Current), (Current, NewSegment), (Current, Current), (NewSegment, NewSegment)];
    for ((first, second), (failed, next)) in sizes.into_iter().flat_map(|size| places.map(|place| (size, place))) {
        let flash = flash();
        let mut ring = open(&flash);
        append(&mut ring, &frame(0, 700)).unwrap();
        // Programmed whole, never synced.
        flash.fail_after(1);
        assert!(ring.append(&of_records(first, 900), failed, &acks(0)).is_err());
        flash.mend();
        let frame = of_records(second, 100);
        let placement = if ring.fits(&frame, next) { next } else { NewSegment };
        ring.append(&frame, placement, &acks(0)).unwrap();
        let case = format!("{first} records, {failed:?}, then {second}, {next:?}");
        for ring in [ring, open(&flash)] {
            let payloads: Vec<usize> = contents(&ring).into_iter().map(|(_, payload)| payload.len()).collect();
            assert_eq!((payloads, ring.next_record()), (vec![700, 100], 1 + second as u64), "{case}");
            let samples: u64 = ring.segments().map(|segment| ring.samples_in(segment)).sum();
            assert_eq!(samples, 10 + 10 * second as u64, "{case}");
        }
    }
}

#[test]
fn a_record_number_is_not_taken_twice() {
    let mut ring = open(&flash());
    append(&mut ring, &frame(7, 10)).unwrap();
    assert!(matches!(append(&mut ring, &frame(7, 10)), Err(RingError::Bug(_))));
}

#[test]
fn whatever_a_power_cut_leaves_the_synced_records_are_there_and_the_ring_goes_on() {
    for seed in 0..3000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let flash = flash();
        let (mut next, mut synced) = (0, Vec::new());
        for _ in 0..random.u32(1..4) {
            let mut ring = open(&flash);
            let readable = records(&ring);
            // Beyond what was synced there can be one more: the append that the cut interrupted.
            next = readable.last().map_or(next, |last| last + 1).max(next);
            let kept: Vec<u64> =
                synced.iter().copied().filter(|r| *r >= readable.first().copied().unwrap_or(0)).collect();
            assert!(kept.iter().all(|record| readable.contains(record)), "seed {seed}: {kept:?} in {readable:?}");
            for _ in 0..random.u32(0..12) {
                flash.fail_after(u32::MAX);
                let cut_here = random.u32(0..8) == 0;
                if cut_here {
                    flash.fail_after(random.u32(0..2));
                }
                let evicts = ring.next_evicted();
                if append(&mut ring, &frame(next, random.usize(0..1500))).is_err() {
                    // The segment that was to make room may be gone.
                    if let Some(oldest) = evicts {
                        let end = ring.end_of(oldest);
                        synced.retain(|record| *record >= end);
                    }
                    next += 1;
                    break;
                }
                synced.push(next);
                next += 1;
                let first = records(&ring)[0];
                synced.retain(|record| *record >= first);
            }
            flash.cut(&mut random);
            flash.mend();
            let image = flash.image();
            let (first, second) = (contents(&open(&flash)), contents(&open(&flash)));
            assert_eq!(first, second, "seed {seed}: opening twice gives the same");
            assert_eq!(image, flash.image(), "seed {seed}: opening changes nothing");
            for (record, payload) in &first {
                assert_eq!(payload, &frame(*record, payload.len()).payload, "seed {seed}: nothing is invented");
            }
        }
        let readable = records(&open(&flash));
        for record in &synced {
            assert!(readable.contains(record), "seed {seed}: record {record} is lost; there are {readable:?}");
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Slot {
    Written,
    Blank,
    /// A header of which the end is missing.
    Torn,
    /// Another program's data throughout.
    Foreign,
    /// A first unit that says nothing, and nothing behind it.
    Garbage,
    /// A segment whose header can't be read.
    Unreadable,
}

/// Flash on which segment `n` is in slot `n % 4` and holds record `n - 1`, as far as these slots show it.
fn flash_of(slots: &[Slot]) -> SimFlash {
    let full = flash();
    let mut ring = open(&full);
    for record in 0..4 {
        ring.append(&frame(record, 100), Placement::NewSegment, &acks(0)).unwrap();
    }
    let image = flash();
    for (i, slot) in slots.iter().enumerate() {
        let mut bytes = full.image()[i * 4096..(i + 1) * 4096].to_vec();
        match slot {
            Slot::Written | Slot::Unreadable => {}
            Slot::Blank => bytes.fill(0),
            Slot::Torn => bytes[40..].fill(0),
            Slot::Foreign => bytes.fill(b'x'),
            Slot::Garbage => {
                bytes.fill(0);
                bytes[..512].fill(b'x');
            }
        }
        image.damage(i * 4096, &bytes);
        if *slot == Slot::Unreadable {
            image.make_unreadable(i * 4096);
        }
    }
    image
}

/// Which headers are there decides what the ring is: each combination of what four slots can hold.
#[test]
fn recovery_knows_every_combination_of_slots() {
    use Slot::*;
    const ALL: [Slot; 6] = [Written, Blank, Torn, Foreign, Garbage, Unreadable];
    for code in 0..ALL.len().pow(4) {
        let slots: Vec<Slot> = (0..4u32).map(|i| ALL[code / ALL.len().pow(i) % ALL.len()]).collect();
        let count = |wanted: &[Slot]| slots.iter().filter(|slot| wanted.contains(slot)).count();
        let image = flash_of(&slots);
        let opened = Ring::open(image.clone(), LAYOUT, Rc::<Counters>::default()).map(|(ring, _)| ring);
        let expected: Vec<u64> = (0..4).filter(|record| slots[(*record as usize + 1) % 4] == Written).collect();
        let first_alone = matches!(slots[1], Garbage | Unreadable) && count(&[Blank]) == 3;
        // A single slot that can't be read and is not at the start tells nothing.
        let is_empty = count(&[Blank]) == 4
            || first_alone
            || count(&[Blank]) == 3 && (count(&[Torn]) == 1 || count(&[Unreadable]) == 1 && slots[0] != Unreadable);
        match opened {
            Ok(ring) => {
                assert!(count(&[Unreadable]) <= 1 && (is_empty || !expected.is_empty()), "{slots:?}");
                assert_eq!(records(&ring), expected, "{slots:?}");
            }
            Err(RingError::Foreign { .. }) => assert!(expected.is_empty() && !is_empty, "{slots:?}"),
            Err(RingError::Device { .. }) => {
                let is_alone = expected.is_empty() && !is_empty;
                assert!(count(&[Unreadable]) > 1 || count(&[Unreadable]) == 1 && is_alone, "{slots:?}");
            }
            Err(error) => panic!("{slots:?}: {error}"),
        }
        let before = flash_of(&slots).image();
        assert_eq!(image.image(), before, "{slots:?}: opening changes nothing");
    }
}

/// Whatever can't be read when the ring is opened, and can be read again later: no number of a record or a segment is used
/// twice, what was there comes back, and so does what was appended meanwhile. Every unit of 512 bytes is tried, in rings from
/// empty to many laps.
#[test]
fn no_number_is_used_twice_whatever_can_not_be_read() {
    for appends in 0..24 {
        let flash = flash();
        let mut ring = open(&flash);
        for record in 0..appends {
            append(&mut ring, &frame(record, 700)).unwrap();
        }
        let before: Vec<(u64, Vec<u8>)> = contents(&open(&flash));
        let image = flash.image();
        for unit in 0..image.len() / 512 {
            let case = format!("{appends} appends, unit {unit}");
            let flash = SimFlash::new(image.len());
            flash.damage(0, &image);
            flash.make_unreadable(unit * 512);
            let mut ring = match Ring::open(flash.clone(), LAYOUT, Rc::default()) {
                Ok((ring, _)) => ring,
                Err(RingError::Device { .. }) if appends == 0 && unit < 8 => continue,
                Err(error) => panic!("{case}: {error}"),
            };
            let seqs: Vec<u64> = ring.segments().map(|segment| segment.seq).collect();
            let mut expected = before.clone();
            for _ in 0..2 {
                let frame = frame(ring.next_record(), 700);
                append(&mut ring, &frame).unwrap();
                expected.push((frame.meta.first_record, frame.payload));
            }
            let newest = ring.segments().next_back().unwrap().seq;
            flash.make_readable();
            let again = open(&flash);
            // Of those that can be read, one at the most makes room for the next.
            let gone = seqs.iter().filter(|seq| **seq + 4 <= newest).count();
            let kept_from = again.segments().next().unwrap().first_record;
            assert!(gone <= 1, "{case}: {gone} segments made room");
            expected.retain(|(record, _)| *record >= kept_from);
            assert_eq!(contents(&again), expected, "{case}");
        }
    }
}

#[test]
fn a_ring_of_which_nothing_can_be_read_is_not_taken_for_an_empty_one() {
    let flash = flash_of(&[Slot::Written; 4]);
    (0..4).for_each(|slot| flash.make_unreadable(slot * 4096));
    let error = Ring::open(flash, LAYOUT, Rc::<Counters>::default()).err().unwrap();
    assert!(matches!(error, RingError::Device { .. }), "{error}");
}

/// The frames behind a header that had decayed came back as those of the segment that took its number.
#[test]
fn frames_of_a_segment_whose_header_decayed_do_not_come_back_in_the_one_that_takes_its_place() {
    let flash = flash();
    let mut ring = open(&flash);
    ring.append(&frame(0, 700), Placement::NewSegment, &acks(0)).unwrap();
    ring.append(&frame(1, 300), Placement::NewSegment, &acks(0)).unwrap();
    ring.append(&frame(2, 300), Placement::Current, &acks(0)).unwrap();
    flash.damage(2 * 4096 + 100, b"decayed");
    let mut ring = open(&flash);
    assert_eq!((records(&ring), ring.next_record()), (vec![0], 4));
    ring.append(&frame(4, 300), Placement::NewSegment, &acks(0)).unwrap();
    assert_eq!(records(&open(&flash)), [0, 4]);
}

#[test]
fn a_ring_of_another_geometry_is_refused_and_left_alone() {
    let flash = flash();
    for record in 0..4 {
        append(&mut open(&flash), &frame(record, 3000)).unwrap();
    }
    let image = flash.image();
    let other = Layout { segment_size_bytes: 8192, segment_count: 2 };
    let error = Ring::open(flash.clone(), other, Rc::<Counters>::default()).err().unwrap();
    assert!(matches!(error, RingError::OtherGeometry { size_bytes: 16384, segment_size_bytes: 4096 }), "{error}");
    assert_eq!(flash.image(), image);
}

/// Behind the newest frame damage is looked for, and in the slot that comes next what a cut left of a segment without its header: by the
/// first bytes of each unit, whatever an earlier lap left there.
#[test]
fn opening_does_not_read_what_an_earlier_lap_left() {
    let layout = Layout { segment_size_bytes: 64 * 1024, segment_count: 4 };
    let flash = SimFlash::new(layout.size_bytes() as usize);
    let mut ring = Ring::open(flash.clone(), layout, Rc::default()).unwrap().0;
    // Seven frames to a segment, and one in the newest.
    for record in 0..57 {
        append(&mut ring, &frame(record, 9000)).unwrap();
    }
    let before = flash.read_bytes();
    let ring = Ring::open(flash.clone(), layout, Rc::<Counters>::default()).unwrap().0;
    let read = flash.read_bytes() - before;
    assert_eq!(ring.next_record(), 57);
    // The old frame right behind the newest one is read, to see that it is none.
    let (headers, two_frames, looked_at) = (4 * 512, 2 * (24 + 9216), 2 * 128 * 24);
    assert!(read <= headers + two_frames + looked_at, "{read} bytes were read");
}

#[test]
fn opening_reads_the_headers_and_the_newest_segment_only() {
    let layout = Layout { segment_size_bytes: 64 * 1024, segment_count: 64 };
    let flash = SimFlash::new(layout.size_bytes() as usize);
    let mut ring = Ring::open(flash.clone(), layout, Rc::default()).unwrap().0;
    for record in 0..400 {
        append(&mut ring, &frame(record, 9000)).unwrap();
    }
    let before = flash.read_bytes();
    Ring::open(flash.clone(), layout, Rc::<Counters>::default()).unwrap();
    let read = flash.read_bytes() - before;
    assert!(read <= 64 * 512 + 64 * 1024 + 4096, "{read} bytes were read");
}
