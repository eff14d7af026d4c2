//! Days and months of UTC, as numbers, and when they start.

pub(super) const DAY_MS: i64 = 24 * 3600 * 1000;

/// 2020-01-01: a clock that shows less is not set.
const SET_FROM_MS: i64 = 1_577_836_800_000;

pub(super) fn is_set(wall_ms: i64) -> bool {
    wall_ms >= SET_FROM_MS
}

/// Of which a budget is spent in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cycle {
    Day,
    /// From this day of each month on, 1 to 28.
    Month {
        starts_on: u8,
    },
}

impl Cycle {
    /// The number of the day or month that this time is in: counted from 1970, or from the year 0.
    pub fn index(self, wall_ms: i64) -> i64 {
        let day = wall_ms.div_euclid(DAY_MS);
        match self {
            Cycle::Day => day,
            Cycle::Month { starts_on } => {
                let (year, month, day_of_month) = date(day);
                year * 12 + month - i64::from(day_of_month < i64::from(starts_on))
            }
        }
    }

    /// When the day or month of this number starts.
    pub fn start_ms(self, index: i64) -> i64 {
        match self {
            Cycle::Day => index * DAY_MS,
            Cycle::Month { starts_on } => {
                (day_of(index.div_euclid(12), index.rem_euclid(12)) + i64::from(starts_on) - 1) * DAY_MS
            }
        }
    }
}

/// Days from 1970 to the first of a month; months count from 0. Years are counted from March, so that the leap day is the last.
fn day_of(year: i64, month: i64) -> i64 {
    let year_from_march = if month < 2 { year - 1 } else { year };
    let days_of_months = (153 * ((month + 10) % 12) + 2) / 5;
    let leap_days = year_from_march.div_euclid(4) - year_from_march.div_euclid(100) + year_from_march.div_euclid(400);
    year_from_march * 365 + leap_days + days_of_months - 719_468
}

/// Year, month from 0, day from 1.
fn date(day: i64) -> (i64, i64, i64) {
    // Four hundred years have 146,097 days: near enough to be a month off at most.
    let mut month = (day + 719_528).div_euclid(1) * 4800 / 146_097;
    let start = |month: i64| day_of(month.div_euclid(12), month.rem_euclid(12));
    while start(month) > day {
        month -= 1;
    }
    while start(month + 1) <= day {
        month += 1;
    }
    (month.div_euclid(12), month.rem_euclid(12), day - start(month) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", (1970, 0, 1)),
            ("2000-02-29T23:59:59Z", (2000, 1, 29)),
            ("2026-11-21T16:41:16Z", (2026, 10, 21)),
            ("2100-03-01T00:00:00Z", (2100, 2, 1)),
        ] {
            let seconds =
                humantime::parse_rfc3339(text).unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            assert_eq!(date((seconds / 86_400) as i64), expected, "{text}");
        }
        for day in -800_000..800_000 {
            let (year, month, day_of_month) = date(day);
            assert_eq!(day_of(year, month) + day_of_month - 1, day);
        }
    }

    #[test]
    fn days_and_months_follow_each_other_without_a_gap() {
        for cycle in [Cycle::Day, Cycle::Month { starts_on: 1 }, Cycle::Month { starts_on: 28 }] {
            for day in 18_000..25_000 {
                let wall_ms = day * DAY_MS + 4321;
                let index = cycle.index(wall_ms);
                assert!((cycle.start_ms(index)..cycle.start_ms(index + 1)).contains(&wall_ms), "{cycle:?} {day}");
            }
        }
    }
}
