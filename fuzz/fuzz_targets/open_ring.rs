//! Any image opened as a ring, read to its end by the ring and by the buffer, and appended to. Checksums are made to hold
//! in some of them, so that forged numbers are reached as well.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use narthex::buffer::{Buffer, endpoint_id};
use narthex::codec::SegmentCodec;
use narthex::counters::Counters;
use narthex::model::SeriesTable;
use narthex::ring::{Ack, Acks, Frame, FrameMeta, Placement, Read, Ring, probe};
use narthex_fuzz::{LAYOUT, MemoryMedium, batches, seal};
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// Which of the written rings is changed.
    records: u8,
    /// Bytes that replace those at a place.
    edits: Vec<(u16, &'a [u8])>,
    is_sealed: bool,
}

fuzz_target!(|input: Input| {
    let mut image = WRITTEN[usize::from(input.records) % WRITTEN.len()].clone();
    for (at, bytes) in input.edits {
        let at = usize::from(at) % image.len();
        let len = bytes.len().min(image.len() - at);
        image[at..at + len].copy_from_slice(&bytes[..len]);
    }
    if input.is_sealed {
        seal(&mut image);
    }
    // Whether or not it is a ring, this ends.
    _ = probe(&MemoryMedium::new(image.clone()));
    let medium = MemoryMedium::new(image.clone());
    let Ok((ring, recovery)) = Ring::open(medium.clone(), LAYOUT, Rc::default()) else { return };
    let found = contents(&ring);
    let (again, same) = Ring::open(medium.clone(), LAYOUT, Rc::default()).expect("it opened before");
    assert_eq!((&same, contents(&again)), (&recovery, found.clone()), "opening twice gives the same");
    assert_eq!(medium.image(), image, "opening and reading change nothing");
    go_on(ring, &found, input.is_sealed);
    through_the_buffer(MemoryMedium::new(image));
});

/// Rings after so many commits; the later ones have been around more than once.
static WRITTEN: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| (0..40).map(written_ring).collect());

fn written_ring(records: u32) -> Vec<u8> {
    let medium = MemoryMedium::new(vec![0; LAYOUT.size_bytes() as usize]);
    let (mut ring, _) = Ring::open(medium.clone(), LAYOUT, Rc::default()).expect("it is blank");
    let (table, mut codec) = (SeriesTable::new(), SegmentCodec::new());
    for (record, batch) in (0..).zip(batches(&table, records)) {
        let placement = if record % 5 == 0 { Placement::NewSegment } else { Placement::Current };
        if placement == Placement::NewSegment {
            codec = SegmentCodec::new();
        }
        let mut payload = Vec::new();
        codec.encode(std::slice::from_ref(&batch), &mut payload);
        let acks: Acks = [Ack { endpoint: endpoint_id("a"), next_record: record / 2 }].into_iter().collect();
        let meta = FrameMeta { first_record: record, sample_counts: vec![batch.len() as u32], acks: acks.clone() };
        ring.append(&Frame { meta, payload }, placement, &acks).expect("five small frames fit a segment");
    }
    medium.image()
}

/// First record, samples and payload of every frame.
fn contents(ring: &Ring<MemoryMedium>) -> Vec<(u64, u64, Vec<u8>)> {
    let (mut found, mut bytes) = (Vec::new(), Vec::new());
    let mut at = ring.find(0);
    while let Some(here) = at {
        at = match ring.read(here, &mut bytes).expect("memory can be read") {
            Read::Frame { meta, payload_at, next } => {
                found.push((meta.first_record, meta.samples(), bytes[payload_at..].to_vec()));
                Some(next)
            }
            Read::EndOfSegment { next } => Some(next),
            Read::EndOfRing => None,
        };
    }
    for segment in ring.segments() {
        _ = (ring.samples_in(segment), ring.end_of(segment), ring.slot_now(segment.seq).expect("memory can be read"));
    }
    found
}

/// Appends here and in a new segment; what was there in the segments that are left is there still, and nothing else,
/// unless checksums were forged.
fn go_on(mut ring: Ring<MemoryMedium>, before: &[(u64, u64, Vec<u8>)], is_forged: bool) {
    for placement in [Placement::Current, Placement::NewSegment] {
        let meta = FrameMeta { first_record: ring.next_record(), sample_counts: vec![3], acks: Acks::new() };
        let frame = Frame { meta, payload: b"new".to_vec() };
        if !ring.fits(&frame, placement) {
            continue;
        }
        let record = frame.meta.first_record;
        ring.append(&frame, placement, &Acks::new()).expect("memory can be written");
        let after = contents(&ring);
        assert!(after.iter().any(|(found, ..)| *found == record));
        assert!(is_forged || after.iter().rev().skip(1).all(|frame| before.contains(frame) || frame.2 == b"new"));
    }
}

/// As an agent does it: everything is handed out, a scrape comes in, all of it is committed and opened again.
fn through_the_buffer(medium: MemoryMedium) {
    let open = || {
        let (table, counters) = (Rc::new(SeriesTable::new()), Rc::<Counters>::default());
        Buffer::open(medium.clone(), LAYOUT, Duration::from_secs(1), &["a", "b"], table, counters)
            .expect("it opened before")
            .0
    };
    let mut buffer = open();
    for now in (1..3).map(Duration::from_secs) {
        // As many windows as there can be: four segments of eight frames of many records at the most.
        for _ in 0..200 {
            let Some(window) = buffer.window(0).expect("memory can be read") else { break };
            buffer.ack(0, window.next_record, now);
        }
        _ = (buffer.fill(), buffer.waiting(1), buffer.commit_due());
        for batch in batches(&SeriesTable::new(), 2) {
            buffer.push((*batch).clone(), now);
        }
        buffer.commit(now).expect("memory can be written");
    }
    buffer.close().expect("memory can be written");
    drop(buffer);
    while let Some(window) = open().window(1).expect("memory can be read") {
        if window.next_record > 0 {
            return;
        }
    }
}
