//! Hours of the day in which an uplink may be used, in UTC.

use super::calendar::DAY_MS;
use std::fmt;

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: u16 = 24 * 60;

/// From one minute of the day until before another; over midnight where the end is not after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from_minute: u16,
    until_minute: u16,
}

impl Hours {
    /// `01:00-05:00`, or `22:30-04:00`; `24:00` is the end of the day.
    pub fn parse(text: &str) -> Option<Hours> {
        let (from, until) = text.split_once('-')?;
        let (from_minute, until_minute) = (minute(from)?, minute(until)?);
        (from_minute != until_minute && from_minute < DAY_MINUTES).then_some(Hours { from_minute, until_minute })
    }

    /// When they are open next, at or after this time.
    pub(super) fn open_at_ms(self, wall_ms: i64) -> i64 {
        let (day, in_day) = (wall_ms.div_euclid(DAY_MS), wall_ms.rem_euclid(DAY_MS));
        let (from, until) = (i64::from(self.from_minute) * MINUTE_MS, i64::from(self.until_minute) * MINUTE_MS);
        let is_open = match from < until {
            true => (from..until).contains(&in_day),
            false => in_day >= from || in_day < until,
        };
        match is_open {
            true => wall_ms,
            false if in_day < from => day * DAY_MS + from,
            false => (day + 1) * DAY_MS + from,
        }
    }
}

fn minute(text: &str) -> Option<u16> {
    let is_written_out =
        text.len() == 5 && text.bytes().enumerate().all(|(at, byte)| byte.is_ascii_digit() != (at == 2));
    let (hour, minute) = text.split_once(':').filter(|_| is_written_out)?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY_MINUTES).then_some(minutes)
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hours { from_minute: from, until_minute: until } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_and_written() {
        for text in ["01:00-05:00", "22:30-04:00", "00:00-24:00", "23:59-00:00"] {
            assert_eq!(Hours::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "1:00-5:00",
            "01:00",
            "01:00-01:00",
            "24:00-01:00",
            "01:60-02:00",
            "24:01-02:00",
            "01:00 - 02:00",
            "0100-0200",
            "ab:cd-ef:gh",
            "+1:00-02:00",
        ] {
            assert_eq!(Hours::parse(text), None, "{text}");
        }
    }

    #[test]
    fn they_open_when_they_say_and_over_midnight() {
        let at = |day: i64, hour: i64, minute: i64| day * DAY_MS + (hour * 60 + minute) * MINUTE_MS;
        for (text, now, open) in [
            ("01:00-05:00", at(7, 0, 59), at(7, 1, 0)),
            ("01:00-05:00", at(7, 4, 59), at(7, 4, 59)),
            ("01:00-05:00", at(7, 5, 0), at(8, 1, 0)),
            ("22:30-04:00", at(7, 3, 59), at(7, 3, 59)),
            ("22:30-04:00", at(7, 4, 0), at(7, 22, 30)),
            ("22:30-04:00", at(7, 23, 0), at(7, 23, 0)),
            ("20:00-24:00", at(7, 23, 59), at(7, 23, 59)),
            ("20:00-24:00", at(8, 0, 0), at(8, 20, 0)),
            ("20:00-00:00", at(8, 0, 0), at(8, 20, 0)),
        ] {
            assert_eq!(Hours::parse(text).unwrap().open_at_ms(now), open, "{text}");
        }
    }
}
