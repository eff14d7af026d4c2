//! Values as whole numbers of a unit: exporters count bytes, pages, hundredths of a second, and only then make an `f64`
//! of it. A unit fits a value if the very bits of the value come back from the whole number.

/// Which unit; its number is what is stored.
///
/// ```text
/// 0..=2    n * 4096, n * 1024, n * 512
/// 3        n
/// 4..=12   n / 10^1 ..= n / 10^9
/// 13..=15  n * 0.001, n * 0.000001, n * 0.000000001    which round otherwise than the quotients do
/// 16       the bits of the value
/// ```
///
/// Any other number is treated as 16; [`Unit::UNSET`] fits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit(pub u8);

const BITS: u8 = 16;
const FACTORS: [f64; 4] = [4096.0, 1024.0, 512.0, 1.0];
const QUOTIENTS: [f64; 9] = [1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
const SMALL_FACTORS: [f64; 3] = [1e-3, 1e-6, 1e-9];

/// Whole numbers up to here are exact in an `f64`.
const EXACT_MAX: u64 = 1 << 53;

impl Unit {
    /// Of a series without a value.
    pub const UNSET: Unit = Unit(30);

    /// How values of this unit behave: whole numbers, fractions, bits.
    pub fn group(self) -> usize {
        match self.0 {
            0..=3 => 0,
            4..=15 => 1,
            _ => 2,
        }
    }

    /// The whole number whose value is nearest to this one, more or less: exact if the unit fits.
    pub fn nearest(self, bits: u64) -> i64 {
        let value = f64::from_bits(bits);
        let scaled = match self.0 {
            unit @ 0..=3 => value / FACTORS[usize::from(unit)],
            unit @ 4..=12 => value * QUOTIENTS[usize::from(unit - 4)],
            unit @ 13..=15 => value * QUOTIENTS[usize::from(unit - 13) * 3 + 2],
            _ => return bits as i64,
        };
        (scaled + 0.5f64.copysign(scaled)) as i64
    }

    /// The bits of so many of this unit.
    pub fn value(self, count: i64) -> u64 {
        let value = match self.0 {
            unit @ 0..=3 => count as f64 * FACTORS[usize::from(unit)],
            unit @ 4..=12 => count as f64 / QUOTIENTS[usize::from(unit - 4)],
            unit @ 13..=15 => count as f64 * SMALL_FACTORS[usize::from(unit - 13)],
            _ => return count as u64,
        };
        value.to_bits()
    }

    fn fits(self, bits: u64) -> bool {
        if self.0 >= BITS {
            return self.0 == BITS;
        }
        let count = self.nearest(bits);
        count.unsigned_abs() <= EXACT_MAX && self.value(count) == bits
    }
}

/// The unit to write `value` in: the one before as long as it fits, else the coarsest that fits, best with the last value too.
pub fn choose(before: Unit, last: u64, value: u64) -> Unit {
    if before.0 != BITS && before.fits(value) {
        return before;
    }
    let mut fitting = (0..=BITS).map(Unit).filter(|unit| unit.fits(value));
    let first = fitting.next().unwrap_or(Unit(BITS));
    if before == Unit::UNSET || first.fits(last) {
        return first;
    }
    fitting.find(|unit| unit.0 != BITS && unit.fits(last)).unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarsest_unit_that_fits_is_taken_and_kept() {
        let cases = [
            (Unit::UNSET, 0.0, 8192.0, Unit(0)),
            (Unit::UNSET, 0.0, 3072.0, Unit(1)),
            (Unit::UNSET, 0.0, 7.0, Unit(3)),
            (Unit(0), 8192.0, 8193.0, Unit(3)),
            (Unit(3), 7.0, 4096.0, Unit(3)),
            (Unit(3), 7.0, 7.25, Unit(5)),
            // 98.609 as a quotient of whole numbers, and as Go makes it of 98609 milliseconds.
            (Unit(3), 98.0, 98.609, Unit(6)),
            (Unit(6), 98.56, 98.609_000_000_000_01, Unit(13)),
            (Unit(3), 1.0, std::f64::consts::PI, Unit(BITS)),
            (Unit(BITS), std::f64::consts::PI, 5.0, Unit(3)),
            (Unit(3), 0.0, -0.0, Unit(BITS)),
            (Unit(3), 0.0, f64::INFINITY, Unit(BITS)),
        ];
        for (before, last, value, expected) in cases {
            assert_eq!(choose(before, last.to_bits(), value.to_bits()), expected, "{last} to {value}");
        }
    }

    #[test]
    fn whole_numbers_of_any_unit_come_back() {
        for unit in (0..=31).map(Unit) {
            for count in [0, 1, -1, 98_609, -4_970_952, 1 << 52] {
                assert_eq!(unit.nearest(unit.value(count)), count, "{unit:?}");
            }
        }
    }
}
