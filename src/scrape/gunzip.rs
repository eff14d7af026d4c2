//! Pages that come compressed, as they come: gzip (RFC 1952), member after member, into the page itself.
//!
//! ```text
//!  header ──► deflate ──► trailer ──► header of the next member, or the end
//! ```
//!
//! As strict as Go's `gzip.Reader` with what Prometheus reads: checksums and sizes must hold, and nothing but further
//! members may follow. What was inflated so far is the window, so that a page costs no second one. Refuses to know how
//! large a page may be: it takes one step at a time, and whoever calls looks at the page in between.

use crc32fast::Hasher;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use std::fmt;

const FLAG_HEADER_CRC: u8 = 2;
const FLAG_EXTRA: u8 = 4;
const FLAG_NAME: u8 = 8;
const FLAG_COMMENT: u8 = 16;

/// Bytes of a name or comment with its zero; Go takes no more.
const TEXT_BYTES_MAX: usize = 512;

const TRAILER_BYTES: usize = 8;

/// Bytes by which a page grows in one step.
const STEP_BYTES: usize = 16 * 1024;

/// Why a compressed page can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GunzipError {
    Header,
    Data,
    Checksum,
    Truncated,
}

impl fmt::Display for GunzipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GunzipError::Header => "what should be a gzip header is none",
            GunzipError::Data => "the deflated data is damaged",
            GunzipError::Checksum => "the data does not match its checksum",
            GunzipError::Truncated => "the data ends before its end",
        })
    }
}

/// One compressed page under way.
#[derive(Default)]
pub struct Gunzip {
    place: Place,
    /// Bytes of a header or trailer that is not complete.
    pending: Vec<u8>,
    inflate: Box<DecompressorOxide>,
    /// Of the current member.
    crc: Hasher,
    /// Where the current member's data starts in the page.
    member_start: usize,
    members: u32,
}

#[derive(Default)]
enum Place {
    #[default]
    Header,
    Data,
    Trailer,
}

impl Gunzip {
    /// Takes some of the input, or puts some bytes behind the page, or both; the answer is how much of the input it
    /// took. When it does neither, it waits for more.
    pub fn step(&mut self, input: &[u8], page: &mut Vec<u8>) -> Result<usize, GunzipError> {
        match self.place {
            Place::Header => self.header(input, page.len()),
            Place::Data => self.data(input, page),
            Place::Trailer => self.trailer(input, page.len()),
        }
    }

    /// There is no more input.
    pub fn finish(&self) -> Result<(), GunzipError> {
        match self.place {
            Place::Header if self.pending.is_empty() && self.members > 0 => Ok(()),
            _ => Err(GunzipError::Truncated),
        }
    }

    fn header(&mut self, input: &[u8], page_len: usize) -> Result<usize, GunzipError> {
        let before = self.pending.len();
        self.pending.extend_from_slice(input);
        let Some(len) = header_len(&self.pending)? else { return Ok(input.len()) };
        self.pending = Vec::new();
        self.inflate.init();
        self.crc = Hasher::new();
        self.member_start = page_len;
        self.place = Place::Data;
        Ok(len - before)
    }

    fn data(&mut self, input: &[u8], page: &mut Vec<u8>) -> Result<usize, GunzipError> {
        let before = page.len();
        page.resize(before + STEP_BYTES, 0);
        let flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (window, at) = (&mut page[self.member_start..], before - self.member_start);
        let (status, consumed, produced) = decompress(&mut self.inflate, input, window, at, flags);
        page.truncate(before + produced);
        self.crc.update(&page[before..]);
        match status {
            TINFLStatus::Done => self.place = Place::Trailer,
            TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => {}
            _ => return Err(GunzipError::Data),
        }
        Ok(consumed)
    }

    fn trailer(&mut self, input: &[u8], page_len: usize) -> Result<usize, GunzipError> {
        let used = input.len().min(TRAILER_BYTES - self.pending.len());
        self.pending.extend_from_slice(&input[..used]);
        if let [c0, c1, c2, c3, s0, s1, s2, s3] = self.pending[..] {
            let member_bytes = (page_len - self.member_start) as u32;
            let crc = std::mem::take(&mut self.crc).finalize();
            if u32::from_le_bytes([c0, c1, c2, c3]) != crc || u32::from_le_bytes([s0, s1, s2, s3]) != member_bytes {
                return Err(GunzipError::Checksum);
            }
            self.pending = Vec::new();
            self.members = self.members.saturating_add(1);
            self.place = Place::Header;
        }
        Ok(used)
    }
}

/// The header's length, once all of it is there.
fn header_len(bytes: &[u8]) -> Result<Option<usize>, GunzipError> {
    let fixed = [0x1f, 0x8b, 8];
    if bytes.iter().zip(fixed).any(|(byte, fixed)| *byte != fixed) {
        return Err(GunzipError::Header);
    }
    let Some(flags) = bytes.get(3).filter(|_| bytes.len() >= 10) else { return Ok(None) };
    let mut at = 10;
    if flags & FLAG_EXTRA != 0 {
        let Some([low, high]) = bytes.get(at..at + 2) else { return Ok(None) };
        at += 2 + usize::from(u16::from_le_bytes([*low, *high]));
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let text = bytes.get(at..).unwrap_or_default();
            match text.iter().take(TEXT_BYTES_MAX).position(|byte| *byte == 0) {
                Some(end) => at += end + 1,
                None if text.len() >= TEXT_BYTES_MAX => return Err(GunzipError::Header),
                None => return Ok(None),
            }
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        let Some([low, high]) = bytes.get(at..at + 2) else { return Ok(None) };
        if u16::from_le_bytes([*low, *high]) != crc32fast::hash(&bytes[..at]) as u16 {
            return Err(GunzipError::Header);
        }
        at += 2;
    }
    Ok((at <= bytes.len()).then_some(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A member; deflate's stored blocks serve for most tests.
    fn member(data: &[u8], flags: u8, extra: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255];
        bytes.extend_from_slice(extra);
        bytes.extend(miniz_oxide::deflate::compress_to_vec(data, 6));
        bytes.extend(crc32fast::hash(data).to_le_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes
    }

    /// The page, the input given in pieces of this size.
    fn gunzip(input: &[u8], piece_bytes: usize) -> Result<Vec<u8>, GunzipError> {
        let (mut gunzip, mut page) = (Gunzip::default(), Vec::new());
        for mut piece in input.chunks(piece_bytes) {
            loop {
                let before = page.len();
                let used = gunzip.step(piece, &mut page)?;
                piece = &piece[used..];
                if used == 0 && page.len() == before {
                    assert!(piece.is_empty());
                    break;
                }
            }
        }
        gunzip.finish().map(|()| page)
    }

    fn with_header_crc() -> Vec<u8> {
        let mut bytes = vec![0x1f, 0x8b, 8, FLAG_HEADER_CRC, 0, 0, 0, 0, 0, 255];
        let crc = crc32fast::hash(&bytes) as u16;
        bytes = member(b"a 1\n", FLAG_HEADER_CRC, &crc.to_le_bytes());
        bytes
    }

    #[test]
    fn members_are_read_in_pieces_of_any_size() {
        let long = b"metric{label=\"value\"} 1\n".repeat(5000);
        let whole = [member(&long, 0, b""), member(b"a 1\n", 0, b""), member(b"", 0, b"")].concat();
        for piece_bytes in [1, 7, 1000, whole.len()] {
            assert_eq!(gunzip(&whole, piece_bytes), Ok([&long[..], b"a 1\n"].concat()), "{piece_bytes}");
        }
        for (flags, extra) in [
            (FLAG_EXTRA, &b"\x03\x00abc"[..]),
            (FLAG_NAME, b"page.txt\0"),
            (FLAG_COMMENT, b"\0"),
            (FLAG_EXTRA | FLAG_NAME | FLAG_COMMENT, b"\x00\x00n\0c\0"),
        ] {
            assert_eq!(gunzip(&member(b"a 1\n", flags, extra), 3).as_deref(), Ok(&b"a 1\n"[..]));
        }
        assert_eq!(gunzip(&with_header_crc(), 1).as_deref(), Ok(&b"a 1\n"[..]));
    }

    #[test]
    fn what_is_no_gzip_says_what_is_wrong() {
        let good = member(b"a 1\n", 0, b"");
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= byte;
            bytes
        };
        let cases = [
            (vec![], GunzipError::Truncated),
            (b"a 1\n".to_vec(), GunzipError::Header),
            (with(2, 1), GunzipError::Header),
            (with(good.len() - 1, 1), GunzipError::Checksum),
            (with(good.len() - 8, 1), GunzipError::Checksum),
            (with(10, 0x06), GunzipError::Data),
            ([good.clone(), b"x".to_vec()].concat(), GunzipError::Header),
            ([good.clone(), vec![0; 8]].concat(), GunzipError::Header),
            (member(b"a", FLAG_NAME, &[b'n'; 600]), GunzipError::Header),
            (member(b"a", FLAG_HEADER_CRC, b"\0\0"), GunzipError::Header),
        ];
        for (bytes, error) in cases {
            assert_eq!(gunzip(&bytes, 5), Err(error), "{bytes:?}");
        }
        for len in 0..good.len() {
            assert_eq!(gunzip(&good[..len], 4), Err(GunzipError::Truncated), "cut to {len}");
        }
    }

    #[test]
    fn a_member_sees_nothing_of_the_one_before() {
        // A match that reaches back four bytes, at the start of a member's data.
        let mut second = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        second.extend([0x03, 0x11, 0x00]);
        assert_eq!(gunzip(&[member(b"a 1\n", 0, b""), second].concat(), 100), Err(GunzipError::Data));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_pieces_make_no_difference(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
            piece_bytes in 1..40usize,
        ) {
            let mut bytes = [member(&b"a_metric 1\n".repeat(40), FLAG_NAME, b"n\0"), member(b"b 2\n", 0, b"")].concat();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            prop_assert_eq!(gunzip(&bytes, piece_bytes), gunzip(&bytes, bytes.len()));
        }
    }
}
