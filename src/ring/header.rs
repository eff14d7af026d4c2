//! The header of a segment: one program unit, of which it takes the first 512 bytes.
//!
//! ```text
//!   0   8  magic "NARTHEX\n"
//!   8   2  format version
//!  10   2  number of acknowledgements, n
//!  12   4  segment size in bytes
//!  16   4  segments in the ring
//!  20   4  program unit in bytes
//!  24   8  segment_seq, from 1
//!  32   8  number of the first record that this segment or a later one can hold
//!  40   8  samples in all records that were ever written to earlier segments
//!  48  16n acknowledgements: endpoint id, number of the first record it lacks
//!  ..      zero
//! 304   2  length of the note, m
//! 306   m  note
//!  ..      zero
//! 508   4  CRC-32 of bytes 0..508
//!  ..      zeros up to the end of the program unit
//! ```

use crate::limits::{
    COUNT_MAX, ENDPOINTS_MAX, NOTE_BYTES_MAX, PROGRAM_UNIT_BYTES, PROGRAM_UNIT_BYTES_MAX, SEGMENT_BYTES_MAX,
    SEGMENT_UNITS_MIN, SEGMENTS_MAX,
};
use crate::model::Note;

pub(super) const HEADER_BYTES: usize = PROGRAM_UNIT_BYTES;
pub(super) const FORMAT_VERSION: u16 = 2;
const MAGIC: &[u8; 8] = b"NARTHEX\n";
const ACKS_AT: usize = 48;
const ACK_BYTES: usize = 16;
const CRC_AT: usize = HEADER_BYTES - 4;

/// Rings from before there were notes have zeros here, and so none.
const NOTE_LENGTH_AT: usize = 304;
const NOTE_AT: usize = NOTE_LENGTH_AT + 2;

const _: () = assert!(ACKS_AT + ENDPOINTS_MAX * ACK_BYTES <= NOTE_LENGTH_AT);
const _: () = assert!(NOTE_AT + NOTE_BYTES_MAX <= CRC_AT);

/// How far one endpoint has come: every record before `next_record` was acknowledged by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    pub endpoint: u64,
    pub next_record: u64,
}

pub type Acks = heapless::Vec<Ack, ENDPOINTS_MAX>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub segment_size_bytes: u32,
    pub segment_count: u32,
    pub program_unit_bytes: u32,
    pub segment_seq: u64,
    pub first_record: u64,
    pub samples_before: u64,
    pub acks: Acks,
    pub note: Note,
}

/// What a header's place was found to hold.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
pub(super) enum HeaderUnit {
    Valid(SegmentHeader),
    /// All zeros or all ones: never written, or erased.
    Blank,
    /// A header whose checksum holds, of a format that is not [`FORMAT_VERSION`].
    OtherFormat(u16),
    /// It starts as a header does, but is torn or changed.
    Damaged,
    Foreign,
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut unit = [0; HEADER_BYTES];
        unit[0..8].copy_from_slice(MAGIC);
        unit[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        unit[10..12].copy_from_slice(&(self.acks.len() as u16).to_le_bytes());
        unit[12..16].copy_from_slice(&self.segment_size_bytes.to_le_bytes());
        unit[16..20].copy_from_slice(&self.segment_count.to_le_bytes());
        unit[20..24].copy_from_slice(&self.program_unit_bytes.to_le_bytes());
        unit[24..32].copy_from_slice(&self.segment_seq.to_le_bytes());
        unit[32..40].copy_from_slice(&self.first_record.to_le_bytes());
        unit[40..48].copy_from_slice(&self.samples_before.to_le_bytes());
        put_acks(&mut unit[ACKS_AT..], &self.acks);
        unit[NOTE_LENGTH_AT..NOTE_AT].copy_from_slice(&(self.note.len() as u16).to_le_bytes());
        unit[NOTE_AT..NOTE_AT + self.note.len()].copy_from_slice(&self.note);
        let crc = crc32fast::hash(&unit[..CRC_AT]);
        unit[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        unit
    }

    pub fn decode(unit: &[u8; HEADER_BYTES]) -> HeaderUnit {
        if unit.iter().all(|byte| *byte == 0) || unit.iter().all(|byte| *byte == 0xff) {
            return HeaderUnit::Blank;
        }
        if &unit[0..8] != MAGIC {
            return if is_torn_magic(unit) { HeaderUnit::Damaged } else { HeaderUnit::Foreign };
        }
        if u32_at(unit, CRC_AT) != crc32fast::hash(&unit[..CRC_AT]) {
            return HeaderUnit::Damaged;
        }
        let version = u16_at(unit, 8);
        if version != FORMAT_VERSION {
            return HeaderUnit::OtherFormat(version);
        }
        if [24, 32, 40].iter().any(|at| u64_at(unit, *at) > COUNT_MAX) {
            return HeaderUnit::Damaged;
        }
        let acks = take_acks(&unit[ACKS_AT..CRC_AT], u16_at(unit, 10) as usize);
        let note_bytes = unit[NOTE_AT..CRC_AT].get(..u16_at(unit, NOTE_LENGTH_AT) as usize);
        let note = note_bytes.and_then(|bytes| Note::from_slice(bytes).ok());
        let (Some(acks), Some(note)) = (acks, note) else {
            return HeaderUnit::Damaged;
        };
        let header = SegmentHeader {
            segment_size_bytes: u32_at(unit, 12),
            segment_count: u32_at(unit, 16),
            program_unit_bytes: u32_at(unit, 20),
            segment_seq: u64_at(unit, 24),
            first_record: u64_at(unit, 32),
            samples_before: u64_at(unit, 40),
            acks,
            note,
        };
        if header.has_possible_sizes() { HeaderUnit::Valid(header) } else { HeaderUnit::Damaged }
    }

    /// Whether a ring can have these sizes at all: whoever reads the segment relies on it.
    fn has_possible_sizes(&self) -> bool {
        let (unit, segment) = (u64::from(self.program_unit_bytes), u64::from(self.segment_size_bytes));
        (PROGRAM_UNIT_BYTES..=PROGRAM_UNIT_BYTES_MAX).contains(&(unit as usize))
            && unit.is_power_of_two()
            && (SEGMENT_UNITS_MIN * unit..=SEGMENT_BYTES_MAX).contains(&segment)
            && segment.is_multiple_of(unit)
            && (1..=SEGMENTS_MAX).contains(&u64::from(self.segment_count))
            && self.segment_seq > 0
    }
}

/// Whether a cut left a part of the magic on a unit that was blank.
fn is_torn_magic(unit: &[u8; HEADER_BYTES]) -> bool {
    let same = unit.iter().zip(MAGIC).take_while(|(a, b)| a == b).count();
    let rest = &unit[same..];
    same > 0 && (rest.iter().all(|byte| *byte == 0) || rest.iter().all(|byte| *byte == 0xff))
}

/// Bytes that this many acknowledgements take.
pub(super) const fn acks_bytes(count: usize) -> usize {
    count * ACK_BYTES
}

pub(super) fn put_acks(into: &mut [u8], acks: &Acks) {
    for (ack, place) in acks.iter().zip(into.chunks_exact_mut(ACK_BYTES)) {
        place[0..8].copy_from_slice(&ack.endpoint.to_le_bytes());
        place[8..16].copy_from_slice(&ack.next_record.to_le_bytes());
    }
}

/// `None` where there are more than fit, or `from` is too short, or a number is past [`COUNT_MAX`].
pub(super) fn take_acks(from: &[u8], count: usize) -> Option<Acks> {
    let places = from.get(..acks_bytes(count))?;
    let acks = places.chunks_exact(ACK_BYTES).map(|p| Ack { endpoint: u64_at(p, 0), next_record: u64_at(p, 8) });
    let is_possible = count <= ENDPOINTS_MAX && acks.clone().all(|ack| ack.next_record <= COUNT_MAX);
    is_possible.then(|| acks.collect())
}

/// The two, four or eight bytes at a place that the caller knows to be there.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            segment_size_bytes: 65536,
            segment_count: 16,
            program_unit_bytes: 4096,
            segment_seq: 0x0102030405060708,
            first_record: 42,
            samples_before: 1 << 40,
            acks: [Ack { endpoint: 7, next_record: 41 }, Ack { endpoint: 9, next_record: 42 }].into_iter().collect(),
            note: Note::from_slice(b"a note").unwrap(),
        }
    }

    #[test]
    fn a_header_survives_a_round_trip() {
        assert_eq!(SegmentHeader::decode(&header().encode()), HeaderUnit::Valid(header()));
    }

    #[test]
    fn a_note_has_room_beside_every_endpoint_and_is_never_longer() {
        let acks = (0..ENDPOINTS_MAX as u64).map(|endpoint| Ack { endpoint, next_record: endpoint }).collect();
        let full = SegmentHeader { acks, note: [7; NOTE_BYTES_MAX].into_iter().collect(), ..header() };
        let mut unit = full.encode();
        assert_eq!(SegmentHeader::decode(&unit), HeaderUnit::Valid(full));
        unit[NOTE_LENGTH_AT..NOTE_AT].copy_from_slice(&(NOTE_BYTES_MAX as u16 + 1).to_le_bytes());
        let crc = crc32fast::hash(&unit[..CRC_AT]);
        unit[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&unit), HeaderUnit::Damaged);
    }

    #[test]
    fn sizes_that_no_ring_has_are_damage_even_where_the_checksum_holds() {
        for (segment_size_bytes, segment_count, program_unit_bytes) in [
            (0, 16, 512),
            (65536, 0, 512),
            (65536, 16, 0),
            (65536, 16, 8192),
            (65536, 16, 768),
            (2048, 16, 1024),
            (65536, 1 << 20, 512),
        ] {
            let header = SegmentHeader { segment_size_bytes, segment_count, program_unit_bytes, ..header() };
            assert_eq!(SegmentHeader::decode(&header.encode()), HeaderUnit::Damaged, "{header:?}");
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        for at in 0..HEADER_BYTES {
            let mut unit = header().encode();
            unit[at] ^= 0x10;
            let found = SegmentHeader::decode(&unit);
            assert_eq!(found, if at < 8 { HeaderUnit::Foreign } else { HeaderUnit::Damaged }, "byte {at}");
        }
    }

    /// Found by the fuzz target `open_ring`: sums of such numbers overflowed.
    #[test]
    fn numbers_that_no_ring_reaches_are_damage_even_where_the_checksum_holds() {
        let ack = |next_record| [Ack { endpoint: 1, next_record }].into_iter().collect();
        for wrong in [
            SegmentHeader { segment_seq: u64::MAX, ..header() },
            SegmentHeader { first_record: COUNT_MAX + 1, ..header() },
            SegmentHeader { samples_before: u64::MAX, ..header() },
            SegmentHeader { acks: ack(u64::MAX), ..header() },
        ] {
            assert_eq!(SegmentHeader::decode(&wrong.encode()), HeaderUnit::Damaged, "{wrong:?}");
        }
        let last = SegmentHeader { segment_seq: COUNT_MAX, acks: ack(COUNT_MAX), ..header() };
        assert_eq!(SegmentHeader::decode(&last.encode()), HeaderUnit::Valid(last));
    }

    #[test]
    fn blank_units_and_other_formats_are_told_apart() {
        assert_eq!(SegmentHeader::decode(&[0; HEADER_BYTES]), HeaderUnit::Blank);
        assert_eq!(SegmentHeader::decode(&[0xff; HEADER_BYTES]), HeaderUnit::Blank);
        for version in [FORMAT_VERSION - 1, FORMAT_VERSION + 1] {
            let mut unit = header().encode();
            unit[8..10].copy_from_slice(&version.to_le_bytes());
            let crc = crc32fast::hash(&unit[..CRC_AT]);
            unit[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(SegmentHeader::decode(&unit), HeaderUnit::OtherFormat(version));
        }
    }
}
