//! The `Retry-After` header (RFC 9110, 10.2.3) becomes a wait. Pure.

use std::time::Duration;

/// The wait that a `Retry-After` header asks for: seconds, or a date, which is measured against the same answer's `Date`
/// and not against this device's clock, as that may not be set. None if either is not to be understood.
pub fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (until_s, now_s) = (parse_http_date(value)?, parse_http_date(date?)?);
    Some(Duration::from_secs(u64::try_from(until_s - now_s).unwrap_or(0)))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that senders may use (RFC 9110, 5.6.7).
fn parse_http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.trim().strip_suffix(" GMT")?.split_once(", ")?.1.split([' ', ':']);
    let mut number = |most: i64| words.next()?.parse().ok().filter(|n| (0..=most).contains(n));
    let day = number(31)?;
    let month = words.next().and_then(|name| MONTHS.iter().position(|month| *month == name))?;
    let mut number = |most: i64| words.next()?.parse().ok().filter(|n| (0..=most).contains(n));
    let (year, hour, minute, second) = (number(9999)?, number(23)?, number(59)?, number(60)?);

    // Years are counted from March, so that the leap day is the last of its year.
    let year_from_march = if month < 2 { year - 1 } else { year };
    let days_of_months = (153 * ((month as i64 + 10) % 12) + 2) / 5 + day - 1;
    let leap_days = year_from_march / 4 - year_from_march / 100 + year_from_march / 400;
    let days = year_from_march * 365 + leap_days + days_of_months - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_measured_against_the_answers_own() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, date, expected_s) in [
            ("120", None, Some(120)),
            ("0", None, Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", date, Some(120)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", date, Some(86400)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", date, Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", None, None),
            ("-5", None, None),
            ("soon", date, None),
            ("Sun, 06 Nov", date, None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", date, None),
            ("", None, None),
        ] {
            assert_eq!(retry_after(value, date), expected_s.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn dates_are_counted_right_across_months_and_leap_years() {
        for (text, expected_s) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Fri, 31 Dec 2100 00:00:00 GMT", 4_133_894_400),
        ] {
            assert_eq!(parse_http_date(text), Some(expected_s), "{text}");
        }
    }
}
