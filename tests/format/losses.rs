//! The counts of lost samples in a note, read as docs/FORMAT.md has them.

/// FNV-1a, 32 bits, of an entry's name.
pub fn key(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Endpoint (the upper half of its id), bit of the cause, samples.
pub fn counts(mut entry: &[u8]) -> Vec<(u32, u32, u64)> {
    let mut counts = Vec::new();
    while !entry.is_empty() {
        let endpoint = u32::from_le_bytes(entry[..4].try_into().unwrap());
        let bits = u16::from_le_bytes(entry[4..6].try_into().unwrap());
        entry = &entry[6..];
        for bit in (0..16).filter(|bit| bits >> bit & 1 == 1) {
            let end = entry.iter().position(|byte| *byte < 0x80).unwrap() + 1;
            let samples = entry[..end].iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
            counts.push((endpoint, bit, samples));
            entry = &entry[end..];
        }
    }
    counts
}
