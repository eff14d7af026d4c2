//! Decisions and numbers of a payload, as docs/FORMAT.md says.

use std::collections::HashMap;

/// A model of a bit: p and seen.
#[derive(Clone, Copy)]
struct Model(u32, usize);

/// Every model has a name and indices, and is there once it is asked for.
#[derive(Default)]
pub struct Models(HashMap<(&'static str, [usize; 3]), Model>);

pub struct Coder<'a> {
    bytes: &'a [u8],
    pub taken: usize,
    code: u32,
    range: u32,
}

impl<'a> Coder<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut coder = Coder { bytes, taken: 0, code: 0, range: u32::MAX };
        (0..4).for_each(|_| coder.take());
        coder
    }

    fn take(&mut self) {
        self.code = self.code << 8 | u32::from(*self.bytes.get(self.taken).unwrap_or(&0));
        self.taken += 1;
    }

    fn after_decision(&mut self) {
        while self.range < 1 << 24 {
            self.range <<= 8;
            self.take();
        }
    }

    pub fn bit(&mut self, models: &mut Models, name: &'static str, index: [usize; 3]) -> usize {
        const S: [u32; 16] = [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5];
        let Model(p, seen) = models.0.entry((name, index)).or_insert(Model(2048, 0));
        let bound = (self.range >> 12) * *p;
        let bit = usize::from(self.code >= bound);
        if bit == 0 {
            self.range = bound;
            *p += (4096 - *p) >> S[*seen];
        } else {
            self.code -= bound;
            self.range -= bound;
            *p -= *p >> S[*seen];
        }
        *seen = (*seen + 1).min(15);
        self.after_decision();
        bit
    }

    pub fn direct(&mut self, k: u32) -> u64 {
        self.range >>= k;
        let value = (self.code / self.range).min((1 << k) - 1);
        self.code -= value * self.range;
        self.after_decision();
        u64::from(value)
    }

    pub fn symbol(&mut self, models: &mut Models, name: &'static str, [a, b]: [usize; 2], k: u32) -> usize {
        let mut node = 1;
        for _ in 0..k {
            node = 2 * node + self.bit(models, name, [a, b, node]);
        }
        node - (1 << k)
    }

    pub fn number(&mut self, models: &mut Models, name: &'static str, index: usize) -> u64 {
        self.number_with(models, (name, [index, 0]), (name, index))
    }

    pub fn number_with(
        &mut self,
        models: &mut Models,
        (lengths, index): (&'static str, [usize; 2]),
        (tops, top_index): (&'static str, usize),
    ) -> u64 {
        let mut length = self.symbol(models, lengths, index, 6) as u64;
        if length == 63 {
            length += self.direct(1);
        }
        if length < 2 {
            return length;
        }
        let (mut v, mut left) = (1u64, length - 1);
        for _ in 0..left.min(2) {
            // Apart from the lengths, whose middle index is below 1000.
            v = 2 * v + self.bit(models, tops, [top_index, 1000 + length as usize, v as usize]) as u64;
            left -= 1;
        }
        while left > 0 {
            let now = left.min(16);
            v = v << now | self.direct(now as u32);
            left -= now;
        }
        v
    }

    pub fn signed(&mut self, models: &mut Models, name: &'static str) -> i64 {
        unfold(self.number(models, name, 0))
    }
}

pub fn unfold(u: u64) -> i64 {
    if u.is_multiple_of(2) { (u >> 1) as i64 } else { -((u >> 1) as i64) - 1 }
}
