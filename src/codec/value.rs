//! One sample's value, given what its series did before: the same code encodes and decodes.
//!
//! ```text
//! [changed?]                     by the series' last six answers and those of the two samples before it in the batch
//!   no:  done
//!   yes: [unit as before?]       else [unit or stale: a symbol of 32]; stale: done
//!        [step as that of the changed sample before?]
//!          no: [error of the guess: length by this series' usual length, first bits, the rest]
//! ```
//!
//! A value is taken as a whole number of some unit (see [`units`](super::units)), so that the difference of two is a
//! small whole number. What is written is how far the difference is from the guess, which is none or the series'
//! average step, whichever did better lately.

use super::numbers::{Lengths, Tops, bit_length, code_number, code_symbol, fold, unfold};
use super::range_coder::{Bit, Coder};
use super::units::{self, Unit};
use crate::model::STALE_NAN_BITS;

/// Leaf that stands for the staleness marker in place of a unit.
const STALE: u32 = 31;

/// What one series did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueState {
    /// Bits of the last value that was no staleness marker.
    last: u64,
    /// Average step, in 1/8 units.
    drift: i64,
    unit: Unit,
    /// Whether the value changed, last answer lowest, a 1 above the oldest: 1 before the first sample, then 2 or 3 ...
    history: u8,
    /// Average bit length of what was written, in 1/8 bits; [`LENGTH_UNKNOWN`] before the first.
    length: u16,
    /// Above zero: the average step is the better guess.
    steadiness: i8,
    /// Whether the last two steps were those of the sample before.
    repeats: u8,
}

const LENGTH_UNKNOWN: u16 = u16::MAX;
const LENGTH_CONTEXTS: usize = 40;

impl Default for ValueState {
    fn default() -> Self {
        ValueState {
            last: 0,
            drift: 0,
            unit: Unit::UNSET,
            history: 1,
            length: LENGTH_UNKNOWN,
            steadiness: 0,
            repeats: 0,
        }
    }
}

/// What all series have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueModels {
    changed: [[Bit; 4]; 128],
    same_unit: [Bit; 32],
    unit: [[Bit; 32]; 4],
    repeat: [[Bit; 4]; 4],
    lengths: [[Lengths; LENGTH_CONTEXTS]; 3],
    tops: [Tops; 3],
}

impl Default for ValueModels {
    fn default() -> Self {
        ValueModels {
            changed: [[Bit::default(); 4]; 128],
            same_unit: [Bit::default(); 32],
            unit: [[Bit::default(); 32]; 4],
            repeat: [[Bit::default(); 4]; 4],
            lengths: [[[Bit::default(); 64]; LENGTH_CONTEXTS]; 3],
            tops: Default::default(),
        }
    }
}

/// What the samples before in the same batch did.
#[derive(Default)]
pub struct Neighbours {
    /// Whether the last two changed, the last one lowest.
    changed: u8,
    /// Unit and step of the last one that changed.
    step: Option<(Unit, i64)>,
}

impl ValueModels {
    /// Codes the bits of one value and takes them into account.
    pub fn code<C: Coder>(&mut self, coder: &mut C, near: &mut Neighbours, series: &mut ValueState, value: u64) -> u64 {
        let model = &mut self.changed[usize::from(series.history)][usize::from(near.changed)];
        let changed = coder.bit(model, value != series.last);
        let fresh = series.history < 4;
        series.answer(changed);
        near.changed = near.changed << 1 & 2 | u8::from(changed);
        if !changed {
            return series.last;
        }
        let wanted = if !C::ENCODES {
            None
        } else if value == STALE_NAN_BITS {
            Some(STALE)
        } else {
            Some(u32::from(units::choose(series.unit, series.last, value).0))
        };
        let unit = self.code_unit(coder, series.unit, fresh, wanted);
        if unit == STALE {
            return STALE_NAN_BITS;
        }
        let unit = Unit(unit as u8);
        if unit != series.unit {
            (series.unit, series.drift, series.length, series.steadiness) = (unit, 0, LENGTH_UNKNOWN, 0);
        }
        let old = unit.nearest(series.last);
        let step = if C::ENCODES { unit.nearest(value).wrapping_sub(old) } else { 0 };
        let step = self.code_step(coder, near, series, step);
        series.last = unit.value(old.wrapping_add(step));
        series.last
    }

    fn code_unit<C: Coder>(&mut self, coder: &mut C, before: Unit, fresh: bool, wanted: Option<u32>) -> u32 {
        let before = u32::from(before.0);
        if coder.bit(&mut self.same_unit[before as usize], wanted == Some(before)) {
            return before;
        }
        let context = if fresh { 3 } else { Unit(before as u8).group() };
        code_symbol(coder, &mut self.unit[context], wanted.unwrap_or(0))
    }

    fn code_step<C: Coder>(&mut self, coder: &mut C, near: &mut Neighbours, series: &mut ValueState, step: i64) -> i64 {
        let group = series.unit.group();
        let guess = if series.steadiness > 0 { (series.drift.wrapping_add(4)) >> 3 } else { 0 };
        let mut step = step;
        let mut repeated = false;
        if let Some((unit, before)) = near.step
            && unit == series.unit
        {
            let surprise = if before == guess { 1 } else { 0 };
            let model = &mut self.repeat[usize::from(series.repeats)][group.min(1) << 1 | surprise];
            repeated = coder.bit(model, step == before);
            series.repeats = series.repeats << 1 & 2 | u8::from(repeated);
            if repeated {
                step = before;
            }
        }
        if !repeated {
            let context = match series.length {
                LENGTH_UNKNOWN => LENGTH_CONTEXTS - 1,
                known => length_context(known),
            };
            let error = fold(step.wrapping_sub(guess));
            let error = code_number(coder, &mut self.lengths[group][context], &mut self.tops[group], error);
            step = unfold(error).wrapping_add(guess);
        }
        series.learn(step, guess);
        near.step = Some((series.unit, step));
        step
    }
}

fn length_context(length: u16) -> usize {
    usize::from(if length < 20 * 8 { length / 6 } else { 26 + (length - 160) / 32 }).min(LENGTH_CONTEXTS - 2)
}

impl ValueState {
    fn answer(&mut self, changed: bool) {
        let longer = self.history << 1 | u8::from(changed);
        self.history = if longer < 128 { longer } else { longer & 63 | 64 };
    }

    fn learn(&mut self, step: i64, guess: i64) {
        let drift = (self.drift.wrapping_add(4)) >> 3;
        let (plain, steady) = (bit_length(fold(step)) as i8, bit_length(fold(step.wrapping_sub(drift))) as i8);
        self.steadiness = (self.steadiness - self.steadiness / 4) + (plain - steady).clamp(-8, 8);
        self.drift = self.drift.wrapping_add(step.wrapping_mul(8).wrapping_sub(self.drift) >> 2);
        let written = bit_length(fold(step.wrapping_sub(guess))) as u16 * 8;
        self.length = match self.length {
            LENGTH_UNKNOWN => written,
            known => (known * 3 + written + 2) / 4,
        };
    }
}
