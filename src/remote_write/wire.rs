//! Protobuf as it is on the wire, as far as requests need it. As in all of proto3, zeros are left out.

/// Wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;

/// Seven bits a byte, lowest first; the top bit is set in all but the last.
pub struct Varint {
    bytes: [u8; 10],
    len: usize,
}

impl Varint {
    pub fn of(mut number: u64) -> Self {
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

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// `sint32` and `sint64`.
pub fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

/// A number that is left out if it is zero.
pub fn put_number(out: &mut Vec<u8>, field: u32, number: u64) {
    if number != 0 {
        put_present_number(out, field, number);
    }
}

/// A number of a `oneof`, which is there even if it is zero.
pub fn put_present_number(out: &mut Vec<u8>, field: u32, number: u64) {
    put_tag(out, field, VARINT);
    put_varint(out, number);
}

/// By its bits: a staleness marker stays one, and -0 stays -0.
pub fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    if value.to_bits() != 0 {
        put_present_double(out, field, value);
    }
}

/// A double of a `oneof`.
pub fn put_present_double(out: &mut Vec<u8>, field: u32, value: f64) {
    put_tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_tag(out, field, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A message or a packed list: its length is known once it is written, and put in front of it then.
pub fn put_message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_tag(out, field, BYTES);
    let start = out.len();
    // Most are shorter than 128 bytes.
    out.push(0);
    write(out);
    let len = out.len() - start - 1;
    match u8::try_from(len) {
        Ok(short) if short < 0x80 => out[start] = short,
        _ => drop(out.splice(start..=start, Varint::of(len as u64).as_bytes().iter().copied())),
    }
}

fn put_tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    put_varint(out, u64::from(field << 3 | wire_type));
}
