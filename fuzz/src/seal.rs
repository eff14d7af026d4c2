//! Makes the checksums of an image hold, so that what lies behind them is reached too. Written from docs/FORMAT.md.

use crate::LAYOUT;

const UNIT: usize = 512;

/// Gives each segment of the image a magic and a checksum, and each frame that its lengths lead to.
pub fn seal(image: &mut [u8]) {
    for segment in image.chunks_exact_mut(LAYOUT.segment_size_bytes as usize) {
        segment[..8].copy_from_slice(b"NARTHEX\n");
        segment[8..10].copy_from_slice(&2u16.to_le_bytes());
        segment[12..16].copy_from_slice(&LAYOUT.segment_size_bytes.to_le_bytes());
        segment[16..20].copy_from_slice(&LAYOUT.segment_count.to_le_bytes());
        segment[20..24].copy_from_slice(&(UNIT as u32).to_le_bytes());
        let crc = crc32fast::hash(&segment[..UNIT - 4]);
        segment[UNIT - 4..UNIT].copy_from_slice(&crc.to_le_bytes());
        let segment_seq: [u8; 8] = segment[24..32].try_into().expect("eight bytes");
        seal_frames(segment, segment_seq);
    }
}

fn seal_frames(segment: &mut [u8], segment_seq: [u8; 8]) {
    let mut offset = UNIT;
    while offset + UNIT <= segment.len() {
        let len_bytes: [u8; 4] = segment[offset + 4..offset + 8].try_into().expect("four bytes");
        let len = u32::from_le_bytes(len_bytes) as usize;
        if !(24..=segment.len() - offset).contains(&len) {
            return;
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&segment_seq);
        crc.update(&(offset as u32).to_le_bytes());
        crc.update(&segment[offset + 4..offset + len]);
        segment[offset..offset + 4].copy_from_slice(&crc.finalize().to_le_bytes());
        offset += len.next_multiple_of(UNIT);
    }
}
