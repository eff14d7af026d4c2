//! What a device that is no ring holds, by the bytes that others leave at its start.

/// Offset, bytes, and what has them there. The first that is found counts: those that say less come last.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"LUKS\xba\xbe", "an encrypted LUKS volume"),
    (0, b"XFSB", "an XFS file system"),
    (0, b"hsqs", "a squashfs file system"),
    (0, b"UBI#", "a UBI volume"),
    (0, b"\x31\x18\x10\x06", "a UBIFS file system"),
    (0, b"\x85\x19", "a JFFS2 file system"),
    (3, b"NTFS    ", "an NTFS file system"),
    (3, b"EXFAT   ", "an exFAT file system"),
    (54, b"FAT1", "a FAT file system"),
    (82, b"FAT32   ", "a FAT file system"),
    (512, b"EFI PART", "a GPT partition table"),
    (4096, b"EFI PART", "a GPT partition table"),
    (512, b"LABELONE", "an LVM volume"),
    (1024, b"\xe2\xe1\xf5\xe0", "an EROFS file system"),
    (1024, b"\x10\x20\xf5\xf2", "an F2FS file system"),
    (1080, b"\x53\xef", "an ext2, ext3 or ext4 file system"),
    (4086, b"SWAPSPACE2", "swap"),
    (4096, b"\xfc\x4e\x2b\xa9", "a part of a RAID array"),
    (65600, b"_BHRfS_M", "a btrfs file system"),
    (510, b"\x55\xaa", "a boot sector or partition table"),
];

/// A few words for what is there, as far as it can be told.
pub(super) fn name(start: &[u8]) -> &'static str {
    let is_there = |at: usize, bytes: &[u8]| start.get(at..at + bytes.len()) == Some(bytes);
    SIGNATURES.iter().find(|(at, bytes, _)| is_there(*at, bytes)).map_or("data", |(_, _, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signature_is_known_by_its_name() {
        for (at, bytes, expected) in SIGNATURES {
            let mut start = vec![0; 128 * 1024];
            start[*at..at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(name(&start), *expected);
        }
        assert_eq!((name(b"x"), name(&[7; 128 * 1024])), ("data", "data"));
    }
}
