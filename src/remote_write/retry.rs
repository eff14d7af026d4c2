//! What an answer, or the lack of one, means for the request: the one table of it.
//!
//! | answer                           | verdict                                                              |
//! |----------------------------------|----------------------------------------------------------------------|
//! | 2xx                              | delivered                                                            |
//! | 2xx with a web page, 3xx         | retry: a captive portal or proxy answered, or the url is wrong       |
//! | 429, 5xx, no valid answer at all | retry, not before `Retry-After`; 429 only with `retry_on_http_429`   |
//! | 400, 413, 422                    | refused; halves may be accepted, as a few samples or the size offend |
//! | other 4xx                        | refused                                                              |
//! | whatever is left (1xx)           | retry                                                                |
//!
//! As Remote-Write 1.0 asks, which leaves 1xx and 3xx open, and mostly as Prometheus does. There `retry_on_http_429` is off
//! by default; and a redirect by 301, 302 or 303 is followed with a GET, whose answer is taken for the request's, so
//! that what a captive portal answered for is dropped. Here such a redirect is the answer, and nothing is lost. 307 and 308 are
//! followed by both, with the request as it is, unless `follow_redirects` is off; this table sees the answer of who is last.

use super::protocol::Written;
use crate::limits::RETRY_AFTER_MAX;
use std::fmt;
use std::time::Duration;

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Of the body; zero if no connection came about.
    pub bytes_sent: u64,
    pub result: Result<Answer, Failure>,
}

/// What a receiver answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// The answer is a web page.
    pub html: bool,
    /// What the receiver had to say: one line, within `RECEIVER_TEXT_BYTES_MAX`. Empty if it was content.
    pub text: String,
    /// What it says it has written, if it says so.
    pub written: Option<Written>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    /// One line, with what to do about it.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The password or token could not be read.
    Secret,
    /// The host's name could not be looked up.
    Name,
    /// No connection came about.
    Connect,
    Tls,
    Timeout,
    /// The connection broke, or was closed before an answer came.
    Broken,
    /// What came back is not HTTP.
    NotHttp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// Send the same again, and not before this time has passed.
    Retry {
        after: Duration,
    },
    /// Never send this again; if `halve`, a part of it may be accepted.
    Refused {
        halve: bool,
    },
}

/// What failures are told apart by. Receivers put times and ids into their texts, so that these do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Status(u16),
    NoAnswer(FailureKind),
}

impl Outcome {
    /// Whether the receiver, or the way to it, can't take requests just now. So says a 429 even to who gives its samples up
    /// (`retry_on_http_429` off): the faster requests follow, the more of them are lost.
    pub(super) fn says_not_now(&self) -> bool {
        matches!(classify(&self.result, true), Verdict::Retry { .. })
    }

    pub fn cause(&self) -> Cause {
        match &self.result {
            Ok(answer) => Cause::Status(answer.status),
            Err(failure) => Cause::NoAnswer(failure.kind),
        }
    }
}

pub fn classify(result: &Result<Answer, Failure>, retry_on_http_429: bool) -> Verdict {
    let Ok(answer) = result else {
        return Verdict::Retry { after: Duration::ZERO };
    };
    let retry_after = answer.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    match answer.status {
        200..300 if !answer.html => Verdict::Delivered,
        400 | 413 | 422 => Verdict::Refused { halve: true },
        429 if retry_on_http_429 => Verdict::Retry { after: retry_after },
        400..500 => Verdict::Refused { halve: false },
        _ => Verdict::Retry { after: retry_after },
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(answer) => answer.fmt(f),
            Err(failure) => f.write_str(&failure.text),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        match self.status {
            200..300 if self.html => {
                return f.write_str(
                    " with a web page, which no receiver sends: a captive portal or proxy answered; \
                     log in to the network, or check the url",
                );
            }
            300..=399 => f.write_str(
                " (the receiver redirects, which is not followed: log in to the network if a captive portal answered, \
                 else set url to where the receiver is)",
            )?,
            401 | 403 => f.write_str(" (check basic_auth or authorization)")?,
            404 | 405 => f.write_str(" (check the url's path, and that the receiver accepts remote write)")?,
            _ => {}
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

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

    fn verdict(status: u16) -> Verdict {
        classify(&Ok(Answer { status, ..Answer::default() }), true)
    }

    #[test]
    fn each_status_has_one_verdict() {
        let retry = Verdict::Retry { after: Duration::ZERO };
        let table: [(&[u16], Verdict); 4] = [
            (&[200, 202, 204, 299], Verdict::Delivered),
            (&[101, 300, 301, 302, 303, 304, 307, 308, 399, 429, 500, 502, 503, 504, 511, 599, 999], retry),
            (&[400, 413, 422], Verdict::Refused { halve: true }),
            (&[401, 403, 404, 405, 409, 415, 499], Verdict::Refused { halve: false }),
        ];
        for (statuses, expected) in table {
            for status in statuses {
                assert_eq!(verdict(*status), expected, "{status}");
            }
        }
    }

    #[test]
    fn without_retry_on_http_429_it_is_refused_whole_as_by_prometheus() {
        let answer = Answer { status: 429, retry_after: Some(Duration::from_secs(7)), ..Answer::default() };
        assert_eq!(classify(&Ok(answer), false), Verdict::Refused { halve: false });
        let answer = Answer { status: 503, ..Answer::default() };
        assert_eq!(classify(&Ok(answer), false), Verdict::Retry { after: Duration::ZERO });
    }

    #[test]
    fn whatever_is_not_an_answer_is_retried() {
        let failure = Failure { kind: FailureKind::Timeout, text: String::new() };
        assert_eq!(classify(&Err(failure), true), Verdict::Retry { after: Duration::ZERO });
        let portal = Answer { status: 200, html: true, ..Answer::default() };
        assert_eq!(classify(&Ok(portal), true), Verdict::Retry { after: Duration::ZERO });
    }

    #[test]
    fn retry_after_counts_for_what_is_retried_up_to_an_hour() {
        for (asked_s, waits_s) in [(0, 0), (7, 7), (3600, 3600), (u64::MAX, 3600)] {
            for status in [302, 429, 503] {
                let retry_after = Some(Duration::from_secs(asked_s));
                let answer = Answer { status, retry_after, ..Answer::default() };
                assert_eq!(classify(&Ok(answer), true), Verdict::Retry { after: Duration::from_secs(waits_s) });
            }
        }
        let refused = Answer { status: 400, retry_after: Some(Duration::from_secs(7)), ..Answer::default() };
        assert_eq!(classify(&Ok(refused), true), Verdict::Refused { halve: true });
    }

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

    #[test]
    fn the_receivers_text_is_shown_with_what_to_do() {
        let shown = |status, text: &str| Answer { status, text: text.into(), ..Answer::default() }.to_string();
        assert_eq!(shown(400, "out of order sample"), "HTTP 400: out of order sample");
        assert_eq!(shown(503, ""), "HTTP 503");
        let redirected = shown(302, "");
        assert!(redirected.contains("captive portal") && redirected.contains("set url"), "{redirected}");
        assert_eq!(shown(401, "no"), "HTTP 401 (check basic_auth or authorization): no");
    }
}
