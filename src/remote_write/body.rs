//! The body of a request, compressed as one snappy block.
//!
//! A request of short series can be hundreds of kilobytes before compression, so it is never held whole. Snappy itself
//! compresses in pieces of 64 KiB that do not refer to each other; each piece is compressed as soon as it is full:
//!
//! ```text
//!  series ─► `plain`, 64 KiB ─► body: [length of it all][piece][piece]...
//! ```

use super::wire::Varint;

/// Pieces that snappy compresses on their own, in bytes (`kBlockSize` of the format's reference implementation).
pub const PIECE_BYTES: usize = 64 * 1024;

/// Bytes kept free at the front of a body, for the length of what is in it: a varint of at most 32 bits.
const LENGTH_BYTES_MAX: usize = 5;

/// The compressed body of one request. Kept and written anew, so that its memory is used again.
#[derive(Default)]
pub struct Body {
    bytes: Vec<u8>,
    start: usize,
}

impl Body {
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Fills one body after the other, with the same memory for each.
pub struct BodyWriter {
    plain: Vec<u8>,
    plain_bytes: usize,
    snappy: snap::raw::Encoder,
}

impl BodyWriter {
    pub fn new() -> Self {
        BodyWriter { plain: Vec::new(), plain_bytes: 0, snappy: snap::raw::Encoder::new() }
    }

    /// Empties the body.
    pub fn begin(&mut self, body: &mut Body) {
        body.bytes.clear();
        body.bytes.resize(LENGTH_BYTES_MAX, 0);
        self.plain.clear();
        self.plain_bytes = 0;
    }

    /// Lets `write` append to the request.
    pub fn append(&mut self, body: &mut Body, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.plain);
        while self.plain.len() >= PIECE_BYTES {
            self.compress(PIECE_BYTES, body);
        }
    }

    /// After the last piece.
    pub fn finish(&mut self, body: &mut Body) {
        self.compress(self.plain.len(), body);
        let length = Varint::of(self.plain_bytes as u64);
        body.start = LENGTH_BYTES_MAX - length.as_bytes().len();
        body.bytes[body.start..LENGTH_BYTES_MAX].copy_from_slice(length.as_bytes());
    }

    /// Bytes of memory that wait to be compressed, at most.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.plain.capacity()
    }

    /// Moves the first `count` bytes of `plain` into the body, compressed.
    fn compress(&mut self, count: usize, body: &mut Body) {
        let start = body.bytes.len();
        body.bytes.resize(start + snap::raw::max_compress_len(count), 0);
        let written = self.snappy.compress(&self.plain[..count], &mut body.bytes[start..]);
        let written = written.expect("the piece is small and there is room for the worst case");
        body.bytes.truncate(start + written);
        // Each piece comes with its own length in front; the body has one length for all of them.
        body.bytes.drain(start..start + Varint::of(count as u64).as_bytes().len());
        self.plain.drain(..count);
        self.plain_bytes += count;
    }
}
