//! FNV-1a: a hash that is the same in every version, for what is kept.

/// What a hash of nothing before is continued from.
pub const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits, of what `from` is the hash of and the bytes behind it.
pub fn fnv1a(from: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(from, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
