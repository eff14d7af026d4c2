//! A frame: what one commit adds to a segment.
//!
//! ```text
//!   0   4  CRC-32 of segment_seq (8 bytes), the frame's offset in the segment (4 bytes) and bytes 4.. to the end
//!   4   4  length of the whole frame in bytes, padding excluded
//!   8   2  number of acknowledgements, n
//!  10   2  number of records, r
//!  12   4  zero
//!  16   8  number of the first record; the others follow without a gap
//!  24  16n acknowledgements, as in the segment header
//!  ..  4r  samples in each record
//!  ..      payload; in a frame without records: the note, if there is one
//!  ..      zeros up to the next program unit
//! ```
//!
//! The salt makes a frame that an earlier lap left, or that stands in another place, fail its checksum.

use super::header::{Acks, acks_bytes, put_acks, take_acks, u16_at, u32_at, u64_at};
use crate::bugs::{Bug, planted};
use crate::limits::{COUNT_MAX, ENDPOINTS_MAX, FRAME_RECORDS_MAX};
use crate::model::Note;

pub(super) const FRAME_HEADER_BYTES: usize = 24;

const _: () = assert!(FRAME_RECORDS_MAX <= u16::MAX as usize);

/// What a frame says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FrameMeta {
    pub first_record: u64,
    /// Samples in each record, in order of their numbers.
    pub sample_counts: Vec<u32>,
    pub acks: Acks,
}

impl FrameMeta {
    /// Number of the first record that is not in this frame any more.
    pub fn end_record(&self) -> u64 {
        self.first_record + self.sample_counts.len() as u64
    }

    pub fn samples(&self) -> u64 {
        self.sample_counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// Bytes before the payload.
    pub(super) fn overhead_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + acks_bytes(self.acks.len()) + 4 * self.sample_counts.len()
    }
}

/// A frame to be written. One without records has the note for its payload, or none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Frame {
    pub meta: FrameMeta,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Bytes in a segment, padding included.
    pub fn padded_bytes(&self, program_unit_bytes: u32) -> usize {
        padded(self.meta.overhead_bytes() + self.payload.len(), program_unit_bytes)
    }

    /// Adds the padded frame to `out`, for this place.
    pub(super) fn encode(&self, segment_seq: u64, offset: u32, program_unit_bytes: u32, out: &mut Vec<u8>) {
        let start = out.len();
        let meta = &self.meta;
        let len = meta.overhead_bytes() + self.payload.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(len as u32).to_le_bytes());
        out.extend_from_slice(&(meta.acks.len() as u16).to_le_bytes());
        out.extend_from_slice(&(meta.sample_counts.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&meta.first_record.to_le_bytes());
        let acks_at = out.len();
        out.resize(acks_at + acks_bytes(meta.acks.len()), 0);
        put_acks(&mut out[acks_at..], &meta.acks);
        for count in &meta.sample_counts {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.extend_from_slice(&self.payload);
        let crc = checksum(segment_seq, offset, &out[start + 4..]);
        out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
        out.resize(start + padded(len, program_unit_bytes), 0);
    }
}

/// Length that a frame at the start of these bytes claims, if it can be one that fits into `room` bytes.
pub(super) fn claimed_bytes(head: &[u8; FRAME_HEADER_BYTES], room: usize) -> Option<usize> {
    let len = u32_at(head, 4) as usize;
    (FRAME_HEADER_BYTES..=room).contains(&len).then_some(len)
}

/// Whether a frame with records from `next_record` on can start with these bytes: cheaper than its checksum, and nearly as sure.
pub(super) fn can_start(head: &[u8; FRAME_HEADER_BYTES], next_record: u64) -> bool {
    let (ack_count, record_count) = (u16_at(head, 8) as usize, u16_at(head, 10) as usize);
    let is_possible = u32_at(head, 12) == 0 && ack_count <= ENDPOINTS_MAX && record_count <= FRAME_RECORDS_MAX;
    is_possible && (next_record..=COUNT_MAX).contains(&u64_at(head, 16))
}

/// The frame in these bytes, as long as it claims to be: its meta and where in `bytes` its payload starts.
pub(super) fn decode(bytes: &[u8], segment_seq: u64, offset: u32) -> Option<(FrameMeta, usize)> {
    let is_sound = bytes.len() >= FRAME_HEADER_BYTES && u32_at(bytes, 0) == checksum(segment_seq, offset, &bytes[4..]);
    if is_sound || planted(Bug::BadFrameAccepted) { decode_checked(bytes) } else { None }
}

fn decode_checked(bytes: &[u8]) -> Option<(FrameMeta, usize)> {
    let (ack_count, record_count) = (u16_at(bytes, 8) as usize, u16_at(bytes, 10) as usize);
    let acks = take_acks(&bytes[FRAME_HEADER_BYTES..], ack_count)?;
    let counts_at = FRAME_HEADER_BYTES + acks_bytes(ack_count);
    let payload_at = counts_at + 4 * record_count;
    let counts = bytes.get(counts_at..payload_at)?;
    let first_record = u64_at(bytes, 16);
    let sample_counts = counts.chunks_exact(4).map(|c| u32_at(c, 0)).collect();
    let is_possible = record_count <= FRAME_RECORDS_MAX && first_record <= COUNT_MAX;
    is_possible.then_some((FrameMeta { first_record, sample_counts, acks }, payload_at))
}

/// The note that a frame brings. Rings from before there were notes have none in such frames, and what is too long is none.
pub(super) fn note_in(meta: &FrameMeta, payload: &[u8]) -> Option<Note> {
    let is_note = meta.sample_counts.is_empty() && !payload.is_empty();
    Note::from_slice(payload).ok().filter(|_| is_note)
}

fn checksum(segment_seq: u64, offset: u32, rest: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    if !planted(Bug::UnsaltedCrc) {
        crc.update(&segment_seq.to_le_bytes());
    }
    crc.update(&offset.to_le_bytes());
    crc.update(rest);
    crc.finalize()
}

pub(super) fn padded(len: usize, program_unit_bytes: u32) -> usize {
    len.next_multiple_of(program_unit_bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::super::header::Ack;
    use super::*;

    fn frame() -> Frame {
        Frame {
            meta: FrameMeta {
                first_record: 1000,
                sample_counts: vec![512, 5],
                acks: [Ack { endpoint: 1, next_record: 990 }].into_iter().collect(),
            },
            payload: b"payload".to_vec(),
        }
    }

    fn encoded() -> Vec<u8> {
        let mut out = Vec::new();
        frame().encode(3, 512, 512, &mut out);
        assert_eq!(out.len(), frame().padded_bytes(512));
        let len = claimed_bytes(out[..FRAME_HEADER_BYTES].try_into().unwrap(), out.len()).unwrap();
        out.truncate(len);
        out
    }

    #[test]
    fn a_frame_survives_a_round_trip() {
        let bytes = encoded();
        let (meta, payload_at) = decode(&bytes, 3, 512).unwrap();
        assert_eq!(meta, frame().meta);
        assert_eq!(&bytes[payload_at..], b"payload");
        assert_eq!((meta.end_record(), meta.samples()), (1002, 517));
    }

    #[test]
    fn a_frame_of_another_lap_or_place_is_refused() {
        assert_eq!(decode(&encoded(), 4, 512), None, "another segment_seq");
        assert_eq!(decode(&encoded(), 3, 1024), None, "another offset");
    }

    #[test]
    fn record_numbers_that_no_ring_reaches_are_refused_even_where_the_checksum_holds() {
        for (first_record, is_taken) in [(COUNT_MAX, true), (COUNT_MAX + 1, false), (u64::MAX, false)] {
            let mut out = Vec::new();
            let meta = FrameMeta { first_record, sample_counts: vec![1], ..FrameMeta::default() };
            Frame { meta, payload: Vec::new() }.encode(3, 512, 512, &mut out);
            assert_eq!(decode(&out[..28], 3, 512).is_some(), is_taken, "{first_record}");
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        for at in 0..encoded().len() {
            let mut bytes = encoded();
            bytes[at] ^= 1;
            assert_eq!(decode(&bytes, 3, 512), None, "byte {at}");
        }
    }
}
