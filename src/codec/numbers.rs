//! Numbers by size: how many bits a number has is learnt, and so are its first bits; the rest is written as it is.

use super::range_coder::{Bit, Coder, DIRECT_BITS_MAX};

/// What is known about the bit lengths of one kind of number.
pub type Lengths = [Bit; 64];

/// Bits after the leading one that are learnt.
const TOP_BITS: u32 = 2;

/// What is known about the first bits of numbers of one length each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tops([[Bit; 1 << TOP_BITS]; 65]);

impl Default for Tops {
    fn default() -> Self {
        Tops([Default::default(); 65])
    }
}

/// One kind of number on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    lengths: Lengths,
    tops: Tops,
}

impl Default for Number {
    fn default() -> Self {
        Number { lengths: [Bit::default(); 64], tops: Tops::default() }
    }
}

impl Number {
    pub fn code<C: Coder>(&mut self, coder: &mut C, value: u64) -> u64 {
        code_number(coder, &mut self.lengths, &mut self.tops, value)
    }

    pub fn code_signed<C: Coder>(&mut self, coder: &mut C, value: i64) -> i64 {
        unfold(self.code(coder, fold(value)))
    }
}

pub fn code_number<C: Coder>(coder: &mut C, lengths: &mut Lengths, tops: &mut Tops, value: u64) -> u64 {
    let length = code_length(coder, lengths, bit_length(value));
    if length < 2 {
        return u64::from(length);
    }
    let (mut result, mut left) = (1u64, length - 1);
    let top = &mut tops.0[length as usize];
    while left > 0 && result < 1 << TOP_BITS {
        left -= 1;
        let bit = coder.bit(&mut top[result as usize], value >> left & 1 != 0);
        result = result << 1 | u64::from(bit);
    }
    while left > 0 {
        let count = left.min(DIRECT_BITS_MAX);
        left -= count;
        result = result << count | u64::from(coder.direct((value >> left) as u32, count));
    }
    result
}

/// 0 to 64, of which the last two share a leaf of the tree and are told apart by one more bit.
fn code_length<C: Coder>(coder: &mut C, lengths: &mut Lengths, length: u32) -> u32 {
    let leaf = code_symbol(coder, lengths, length.min(63));
    if leaf < 63 { leaf } else { 63 + coder.direct(u32::from(length == 64), 1) }
}

/// One of as many symbols as there are models, which are the nodes of a binary tree: a power of two.
pub fn code_symbol<C: Coder>(coder: &mut C, nodes: &mut [Bit], symbol: u32) -> u32 {
    let mut node = 1;
    let mut left = nodes.len().trailing_zeros();
    while left > 0 {
        left -= 1;
        let bit = coder.bit(&mut nodes[node], symbol >> left & 1 != 0);
        node = node << 1 | usize::from(bit);
    }
    (node - nodes.len()) as u32
}

pub fn bit_length(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// 0, -1, 1, -2, 2 ... become 0, 1, 2, 3, 4 ...
pub fn fold(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

pub fn unfold(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::super::range_coder::{RangeDecoder, RangeEncoder};
    use super::*;

    #[test]
    fn numbers_of_any_length_come_back() {
        let edges = (0..64).map(|shift| 1u64 << shift).flat_map(|power| [power - 1, power, power + 1, power / 2 * 3]);
        let given: Vec<u64> = edges.chain([u64::MAX, u64::MAX - 1, 0]).collect();
        let mut bytes = Vec::new();
        let mut encoder = RangeEncoder::new(&mut bytes);
        let mut number = Number::default();
        for &value in &given {
            assert_eq!(number.code(&mut encoder, value), value);
        }
        encoder.finish();
        let (mut decoder, mut again) = (RangeDecoder::new(&bytes), Number::default());
        let decoded: Vec<u64> = given.iter().map(|_| again.code(&mut decoder, 0)).collect();
        assert_eq!(decoded, given);
        assert_eq!(again, number);
    }

    #[test]
    fn small_numbers_of_either_sign_fold_to_small_ones() {
        assert_eq!([0, -1, 1, -2, 2].map(fold), [0, 1, 2, 3, 4]);
        for value in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(unfold(fold(value)), value);
        }
    }
}
