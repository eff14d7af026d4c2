//! An adaptive binary range coder: turns decisions and the guesses about them into bytes, and back.
//!
//! A decision that was expected costs a small part of a bit, a surprise several bits. The interval is kept as LZMA
//! keeps it (32 bits, a byte out whenever the range falls below 2^24); a carry is added to the bytes already written.
//!
//! Both directions are one [`Coder`]: code written once against it, given what to write, encodes with a [`RangeEncoder`]
//! and decodes with a [`RangeDecoder`], which ignores what it is given. So the two sides can't learn different things.

/// Bits of a probability.
const PROBABILITY_BITS: u32 = 12;
const RANGE_MIN: u32 = 1 << 24;

/// A direct number may have this many bits at most.
pub const DIRECT_BITS_MAX: u32 = 16;

/// What is known about one kind of yes-or-no decision: how likely a "no" is, and how sure that is.
///
/// ```text
/// [probability of false: 12 bits][decisions seen, up to 15: 4 bits]
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit(u16);

impl Default for Bit {
    fn default() -> Self {
        Bit(1 << 15)
    }
}

/// By how far a decision moves the probability, after so many seen: the first ones count for more.
const RATES: [u8; 16] = [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5];

impl Bit {
    /// Between 1 and 4095: the slowest rate stops 31 short of either end.
    fn probability_of_false(self) -> u32 {
        u32::from(self.0 >> 4)
    }

    fn learn(&mut self, decision: bool) {
        let (probability, seen) = (self.0 >> 4, self.0 & 15);
        let rate = RATES[usize::from(seen)];
        let moved =
            if decision { probability - (probability >> rate) } else { probability + ((4096 - probability) >> rate) };
        self.0 = moved << 4 | (seen + 1).min(15);
    }
}

/// Either direction.
pub trait Coder {
    const ENCODES: bool;

    /// Codes one decision and learns from it. Returns the decision.
    fn bit(&mut self, model: &mut Bit, decision: bool) -> bool;

    /// Codes the lowest `count` bits as they are, [`DIRECT_BITS_MAX`] at most. Returns them.
    fn direct(&mut self, value: u32, count: u32) -> u32;

    /// More was decoded than there is.
    fn overran(&self) -> bool;
}

/// Appends to `out`.
pub struct RangeEncoder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    low: u32,
    range: u32,
}

impl<'a> RangeEncoder<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        RangeEncoder { out, start, low: 0, range: u32::MAX }
    }

    /// Writes the shortest end that a decoder, which reads zeros after it, takes for a number within the interval.
    pub fn finish(mut self) {
        for bytes in 1..=4 {
            let rest = u32::MAX.checked_shr(8 * bytes).unwrap_or(0);
            let up = rest - (self.low.wrapping_sub(1) & rest);
            let up = if self.low & rest == 0 { 0 } else { up };
            if up < self.range {
                self.add(up);
                return self.out.extend_from_slice(&self.low.to_be_bytes()[..bytes as usize]);
            }
        }
    }

    fn add(&mut self, amount: u32) {
        let (low, carry) = self.low.overflowing_add(amount);
        self.low = low;
        if carry {
            for byte in self.out[self.start..].iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
    }

    #[inline]
    fn normalize(&mut self) {
        while self.range < RANGE_MIN {
            self.out.push((self.low >> 24) as u8);
            self.low <<= 8;
            self.range <<= 8;
        }
    }
}

impl Coder for RangeEncoder<'_> {
    const ENCODES: bool = true;

    #[inline]
    fn bit(&mut self, model: &mut Bit, decision: bool) -> bool {
        let bound = (self.range >> PROBABILITY_BITS) * model.probability_of_false();
        if decision {
            self.add(bound);
            self.range -= bound;
        } else {
            self.range = bound;
        }
        model.learn(decision);
        self.normalize();
        decision
    }

    #[inline]
    fn direct(&mut self, value: u32, count: u32) -> u32 {
        self.range >>= count;
        let value = value & ((1 << count) - 1);
        self.add(value * self.range);
        self.normalize();
        value
    }

    fn overran(&self) -> bool {
        false
    }
}

/// Reads what a [`RangeEncoder`] wrote. Of other bytes it makes some decisions or other; past their end it reads zeros,
/// so that whoever decodes lists asks [`Coder::overran`] in between.
pub struct RangeDecoder<'a> {
    bytes: &'a [u8],
    read: usize,
    code: u32,
    range: u32,
}

impl<'a> RangeDecoder<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = RangeDecoder { bytes, read: 0, code: 0, range: u32::MAX };
        for _ in 0..4 {
            decoder.shift();
        }
        decoder
    }

    /// Everything was decoded that the bytes hold: up to four bytes are read ahead, of which an end has one at least.
    pub fn is_spent(&self) -> bool {
        self.read >= self.bytes.len()
    }

    #[inline]
    fn shift(&mut self) {
        self.code = self.code << 8 | u32::from(self.bytes.get(self.read).copied().unwrap_or(0));
        self.read += 1;
    }

    #[inline]
    fn normalize(&mut self) {
        while self.range < RANGE_MIN {
            self.range <<= 8;
            self.shift();
        }
    }
}

impl Coder for RangeDecoder<'_> {
    const ENCODES: bool = false;

    #[inline]
    fn bit(&mut self, model: &mut Bit, _: bool) -> bool {
        let bound = (self.range >> PROBABILITY_BITS) * model.probability_of_false();
        let decision = self.code >= bound;
        if decision {
            self.code -= bound;
            self.range -= bound;
        } else {
            self.range = bound;
        }
        model.learn(decision);
        self.normalize();
        decision
    }

    #[inline]
    fn direct(&mut self, _: u32, count: u32) -> u32 {
        self.range >>= count;
        let value = (self.code / self.range).min((1 << count) - 1);
        self.code -= value * self.range;
        self.normalize();
        value
    }

    fn overran(&self) -> bool {
        self.read > self.bytes.len() + 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decisions of a model each, true with this many chances in 256, and direct numbers in between.
    fn code<C: Coder>(coder: &mut C, given: &[(u8, bool, u32, u32)]) -> Vec<(u8, bool, u32, u32)> {
        let mut models = [Bit::default(); 256];
        let decide = |&(model, decision, value, count): &(u8, bool, u32, u32)| {
            let decision = coder.bit(&mut models[usize::from(model)], decision);
            (model, decision, coder.direct(value, count), count)
        };
        given.iter().map(decide).collect()
    }

    #[test]
    fn decisions_come_back_whatever_their_chances() {
        let mut random = fastrand::Rng::with_seed(5);
        for chances in [0, 1, 20, 128, 250, 255, 256] {
            for length in [0, 1, 2, 7, 5000] {
                let mut one = || {
                    let (model, count) =
                        (random.u8(..), if random.u8(0..9) == 0 { random.u32(0..=DIRECT_BITS_MAX) } else { 0 });
                    (model, random.u16(0..256) < chances, random.u32(..) & ((1 << count) - 1), count)
                };
                let given: Vec<_> = (0..length).map(|_| one()).collect();
                let mut bytes = b"before".to_vec();
                let mut encoder = RangeEncoder::new(&mut bytes);
                code(&mut encoder, &given);
                encoder.finish();
                assert!(bytes.starts_with(b"before"));
                let mut decoder = RangeDecoder::new(&bytes[6..]);
                assert_eq!(code(&mut decoder, &given.iter().map(|g| (g.0, false, 0, g.3)).collect::<Vec<_>>()), given);
                assert!(decoder.is_spent() && !decoder.overran(), "{length} decisions, {chances} chances");
            }
        }
    }

    #[test]
    fn what_is_always_so_costs_a_ninetieth_of_a_bit() {
        let mut bytes = Vec::new();
        let mut encoder = RangeEncoder::new(&mut bytes);
        let mut model = Bit::default();
        assert!((0..90_000).all(|_| encoder.bit(&mut model, true)));
        encoder.finish();
        assert!((100..130).contains(&bytes.len()), "{} bytes", bytes.len());
    }

    /// The figure that the worst case of a batch is reckoned by: see `DECISION_HALF_BITS` in segment.rs.
    #[test]
    fn no_decisions_of_a_fresh_model_cost_more_than_one_and_a_half_bits_each() {
        let bits = |chances: u32| 12.0 - f64::from(chances).log2();
        // costs[seen][probability]: the most that so many further decisions can cost.
        let mut costs = vec![vec![0f64; 4096]; 16];
        for decisions in 1..=60 {
            let most = |seen: usize, probability: usize| {
                let model = Bit((probability as u16) << 4 | seen as u16);
                let [no, yes] = [false, true].map(|decision| {
                    let mut after = model;
                    after.learn(decision);
                    costs[usize::from(after.0 & 15)][usize::from(after.0 >> 4)]
                });
                (bits(probability as u32) + no).max(bits(4096 - probability as u32) + yes)
            };
            let reach = |seen: usize| (1..4096).map(move |probability| (seen, probability));
            let next = (0..16).map(|seen| {
                std::iter::once(0.0).chain(reach(seen).map(|(seen, probability)| most(seen, probability))).collect()
            });
            costs = next.collect();
            assert!(costs[0][2048] <= 1.5 * f64::from(decisions), "{decisions} decisions: {} bits", costs[0][2048]);
        }
        assert!(costs[0][2048] < 1.2 * 60.0);
    }
}
