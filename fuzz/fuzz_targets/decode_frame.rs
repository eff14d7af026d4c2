//! Any payloads, after valid ones of the same segment or none: a decoder ends with batches that hold their promises, or an error.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use narthex::codec::SegmentCodec;
use narthex::limits::FRAME_EXTRAS_BYTES_MAX;
use narthex::model::{ScrapeBatch, SeriesTable};
use narthex_fuzz::batches;
use std::rc::Rc;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    valid_frames: u8,
    /// Taken out of the last valid payload, to go on from there.
    kept_bytes: u8,
    payloads: Vec<&'a [u8]>,
}

fuzz_target!(|input: Input| {
    let table = SeriesTable::new();
    let (mut writer, mut reader) = (SegmentCodec::new(), SegmentCodec::new());
    let (mut payload, mut decoded) = (Vec::new(), Vec::new());
    for frame in batches(&table, u32::from(input.valid_frames % 12)).chunks(3) {
        payload.clear();
        writer.encode(frame, &mut payload);
        decoded.clear();
        reader.decode(&payload, &table, &mut decoded).expect("what was encoded can be decoded");
        assert!(frame.iter().zip(&decoded).all(|(given, found)| is_same(given, found)));
    }
    payload.truncate(usize::from(input.kept_bytes));
    let mut prefix = payload;
    for forged in input.payloads {
        prefix.extend_from_slice(forged);
        decoded.clear();
        let result = reader.decode(&prefix, &table, &mut decoded);
        decoded.iter().for_each(check);
        if result.is_err() {
            return;
        }
        // Whatever was decoded can be written again, and means the same.
        let again: Vec<Rc<ScrapeBatch>> = decoded.iter().cloned().map(Rc::new).collect();
        let (mut fresh, mut bytes, mut found) = (SegmentCodec::new(), Vec::new(), Vec::new());
        fresh.encode(&again, &mut bytes);
        SegmentCodec::new().decode(&bytes, &table, &mut found).expect("what was encoded can be decoded");
        assert!(again.len() == found.len() && again.iter().zip(&found).all(|(a, b)| is_same(a, b)));
        prefix.clear();
    }
});

fn check(batch: &ScrapeBatch) {
    assert_eq!(batch.series.len(), batch.values.len());
    assert!(batch.own_timestamps.iter().all(|own| (own.index as usize) < batch.len()));
    assert!(batch.own_timestamps.is_sorted_by(|a, b| a.index < b.index));
    let Some(extras) = &batch.extras else { return };
    assert!(extras.held_bytes() < 2 * FRAME_EXTRAS_BYTES_MAX);
    assert!(extras.histograms.iter().all(|(at, _)| (*at as usize) < batch.len()));
    assert!(extras.exemplars.iter().all(|(at, _)| (*at as usize) < batch.len()));
    assert!(extras.start_timestamps.as_slice().iter().all(|(at, _)| (*at as usize) < batch.len()));
}

fn is_same(a: &ScrapeBatch, b: &ScrapeBatch) -> bool {
    let bits = |batch: &ScrapeBatch| batch.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    a.timestamp_ms == b.timestamp_ms
        && a.series == b.series
        && bits(a) == bits(b)
        && a.own_timestamps == b.own_timestamps
        && a.extras == b.extras
}
