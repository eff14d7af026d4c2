//! Writes a request as Remote-Write 1.0 has it: a `WriteRequest` in proto3, compressed as one snappy block.
//!
//! A request of short series can be hundreds of kilobytes before compression, so it is never held whole. Snappy itself
//! compresses in pieces of 64 KiB that do not refer to each other; each piece is compressed as soon as it is full:
//!
//! ```text
//!  one series ─► `series` ─► `plain`, 64 KiB ─► body: [length of it all][piece][piece]...
//! ```

use super::batching::{Block, Request};
use crate::model::{Labels, LabelsIter, ScrapeBatch};
use std::rc::Rc;

/// The headers that tell a receiver what the body is.
pub const HEADERS: [(&str, &str); 3] = [
    ("Content-Encoding", "snappy"),
    ("Content-Type", "application/x-protobuf"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// Pieces that snappy compresses on their own, in bytes (`kBlockSize` of the format's reference implementation).
const PIECE_BYTES: usize = 64 * 1024;

/// Bytes kept free at the front of a body, for the length of what is in it: a varint of at most 32 bits.
const LENGTH_BYTES_MAX: usize = 5;

/// Tag bytes: field number times 8, and the wire type.
mod tag {
    pub const REQUEST_TIMESERIES: u8 = 1 << 3 | 2;
    pub const SERIES_LABELS: u8 = 1 << 3 | 2;
    pub const SERIES_SAMPLES: u8 = 2 << 3 | 2;
    pub const LABEL_NAME: u8 = 1 << 3 | 2;
    pub const LABEL_VALUE: u8 = 2 << 3 | 2;
    pub const SAMPLE_VALUE: u8 = 1 << 3 | 1;
    pub const SAMPLE_TIMESTAMP: u8 = 2 << 3;
}

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

/// Writes requests one after the other, with the same memory for each.
pub struct Encoder {
    external_labels: Labels,
    series: Vec<u8>,
    plain: Vec<u8>,
    snappy: snap::raw::Encoder,
}

impl Encoder {
    /// `external_labels` are added to each series that has no label of that name.
    pub fn new(external_labels: Labels) -> Self {
        Encoder { external_labels, series: Vec::new(), plain: Vec::new(), snappy: snap::raw::Encoder::new() }
    }

    /// Puts the request into `body`, in place of what was in it. `batches` are those that the request was made of.
    pub fn encode(&mut self, batches: &[Rc<ScrapeBatch>], request: &Request, body: &mut Body) {
        body.bytes.clear();
        body.bytes.resize(LENGTH_BYTES_MAX, 0);
        self.plain.clear();
        let mut plain_bytes = 0;
        for block in &request.blocks {
            for series in block.series.clone() {
                self.put_series(batches, block, series);
                while self.plain.len() >= PIECE_BYTES {
                    plain_bytes += self.compress(PIECE_BYTES, body);
                }
            }
        }
        plain_bytes += self.compress(self.plain.len(), body);

        let length = Varint::of(plain_bytes as u64);
        body.start = LENGTH_BYTES_MAX - length.as_bytes().len();
        body.bytes[body.start..LENGTH_BYTES_MAX].copy_from_slice(length.as_bytes());
    }

    fn put_series(&mut self, batches: &[Rc<ScrapeBatch>], block: &Block, series: usize) {
        self.series.clear();
        let labels = batches[block.batches.start].series[series].labels();
        for (name, value) in merge(labels, self.external_labels.iter()) {
            put_label(&mut self.series, name, value);
        }
        for (timestamp_ms, value) in block.samples_of(batches, series) {
            put_sample(&mut self.series, timestamp_ms, value);
        }
        put_bytes(&mut self.plain, tag::REQUEST_TIMESERIES, &self.series);
    }

    /// Moves the first `count` bytes of `plain` into the body, compressed, and gives `count` back.
    fn compress(&mut self, count: usize, body: &mut Body) -> usize {
        let start = body.bytes.len();
        body.bytes.resize(start + snap::raw::max_compress_len(count), 0);
        let written = self.snappy.compress(&self.plain[..count], &mut body.bytes[start..]);
        let written = written.expect("the piece is small and there is room for the worst case");
        body.bytes.truncate(start + written);
        // Each piece comes with its own length in front; the body has one length for all of them.
        body.bytes.drain(start..start + Varint::of(count as u64).as_bytes().len());
        self.plain.drain(..count);
        count
    }
}

/// Both sets in one order; where both have a name, the series' own value stands.
fn merge<'a>(own: LabelsIter<'a>, external: LabelsIter<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let (mut own, mut external) = (own.peekable(), external.peekable());
    std::iter::from_fn(move || match (own.peek(), external.peek()) {
        (Some((own_name, _)), Some((external_name, _))) if external_name < own_name => external.next(),
        (Some((own_name, _)), Some((external_name, _))) => {
            if own_name == external_name {
                external.next();
            }
            own.next()
        }
        (Some(_), None) => own.next(),
        (None, _) => external.next(),
    })
}

fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let text_bytes = |text: &str| 1 + Varint::of(text.len() as u64).as_bytes().len() + text.len();
    out.push(tag::SERIES_LABELS);
    put_varint(out, (text_bytes(name) + text_bytes(value)) as u64);
    put_bytes(out, tag::LABEL_NAME, name.as_bytes());
    put_bytes(out, tag::LABEL_VALUE, value.as_bytes());
}

/// Values are written by their bits: a staleness marker stays one, and -0 stays -0. As in all of proto3, 0 is left out.
fn put_sample(out: &mut Vec<u8>, timestamp_ms: i64, value: f64) {
    let time = Varint::of(timestamp_ms as u64);
    let (has_value, has_time) = (value.to_bits() != 0, timestamp_ms != 0);
    let value_bytes = if has_value { 1 + size_of::<f64>() } else { 0 };
    let time_bytes = if has_time { 1 + time.as_bytes().len() } else { 0 };
    out.push(tag::SERIES_SAMPLES);
    put_varint(out, (value_bytes + time_bytes) as u64);
    if has_value {
        out.push(tag::SAMPLE_VALUE);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    if has_time {
        out.push(tag::SAMPLE_TIMESTAMP);
        out.extend_from_slice(time.as_bytes());
    }
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(Varint::of(number).as_bytes());
}

/// Seven bits a byte, lowest first; the top bit is set in all but the last.
struct Varint {
    bytes: [u8; 10],
    len: usize,
}

impl Varint {
    fn of(mut number: u64) -> Self {
        let mut varint = Varint { bytes: [0; 10], len: 0 };
        while number >= 0x80 {
            varint.bytes[varint.len] = number as u8 | 0x80;
            varint.len += 1;
            number >>= 7;
        }
        varint.bytes[varint.len] = number as u8;
        varint.len += 1;
        varint
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests;
