//! What an answer, or the lack of one, means for the request: the one table of it.
//!
//! | answer                                                    | verdict                                                    |
//! |-----------------------------------------------------------|------------------------------------------------------------|
//! | 2xx                                                       | delivered                                                  |
//! | 2xx with HTML or a JSON error; 1xx, 3xx                   | retry: a captive portal or proxy answered, or the url is wrong |
//! | 429, 5xx, no valid answer at all                          | retry, not before `Retry-After`                            |
//! | 2.0: 400, 409, 422 that tell of samples written           | partly written: the rest is refused for good               |
//! | 400, 409, 415, 422                                        | refused: the answer speaks of the samples or the message   |
//! | 413                                                       | too large: parts of it may be accepted                     |
//! | every other 4xx                                           | hold: credentials, route or proxy are at fault             |
//! | a status of `give_up_on`; 429 without `retry_on_http_429` | given up                                                   |
//!
//! Remote-Write 1.0 leaves 1xx and 3xx open and lets senders drop what gets any 4xx; Prometheus does so. But a 401 or 404 says
//! nothing about the samples: expired credentials would burn a backlog within seconds. Only 400, 409, 413, 415 and 422 are about a request.
//! Prometheus follows a redirect by 301, 302 or 303 with a GET, whose answer is taken for the request's, so
//! that what a captive portal answered for is dropped. Here such a redirect is the answer, and nothing is lost. 307 and 308 are
//! followed by both, with the request as it is, unless `follow_redirects` is off; this table sees the answer of who is last.
//!
//! What `protocol` knows of the receiver comes on top: a 2xx may be another's than the receiver's.

use super::protocol::{Version, Written};
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
    pub body: BodyKind,
    /// Error text of the receiver: one line, within `RECEIVER_TEXT_BYTES_MAX`. Empty if the status is 2xx.
    pub text: String,
    /// What it says it has written, if it says so.
    pub written: Option<Written>,
}

/// Kind of an answer's body, as far as its first bytes tell. Receivers of 1.0 mostly send none with a 2xx.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyKind {
    #[default]
    Empty,
    /// A web page, whatever its `Content-Type`.
    Html,
    /// JSON that tells of an error.
    JsonError,
    Other,
}

impl BodyKind {
    /// Whether no receiver sends such a body with a 2xx.
    pub fn is_impostor(self) -> bool {
        matches!(self, BodyKind::Html | BodyKind::JsonError)
    }
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
    /// A receiver of 2.0 has written a part of the samples and refused the others for good. Nothing of it is sent again.
    PartlyWritten(Written),
    /// Send the same again, and not before this time has passed.
    Retry {
        after: Duration,
    },
    /// As `Retry`, with waits that grow up to `HOLD_WAIT_MAX`: the way to the receiver is at fault, and somebody has to mend it.
    Hold {
        after: Duration,
    },
    /// The receiver does not take the request as it is.
    Refused,
    /// As `Refused`, for its size.
    TooLarge,
    /// Dropped at once, as it was configured.
    GivenUp,
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
        matches!(classify(&self.result, Version::V1, &[]), Verdict::Retry { .. })
    }

    pub fn cause(&self) -> Cause {
        match &self.result {
            Ok(answer) => Cause::Status(answer.status),
            Err(failure) => Cause::NoAnswer(failure.kind),
        }
    }
}

impl Cause {
    /// Whether the receiver speaks of samples, some of which it may take without the others.
    pub(super) fn is_about_samples(self) -> bool {
        matches!(self, Cause::Status(400 | 409 | 422))
    }
}

/// Whether a receiver refused samples because it has them, or newer ones: what Prometheus, Mimir (`sample-out-of-order`) and their
/// kin say. It decides what they are counted as, and nothing else.
pub(super) fn says_repeated(text: &str) -> bool {
    const WORDS: [&str; 3] = ["out of order", "duplicate sample", "sample duplicate timestamp"];
    let plain = text.to_ascii_lowercase().replace('-', " ");
    WORDS.iter().any(|words| plain.contains(words))
}

/// The verdict on a request of this version. `give_up_on` has statuses of 4xx.
pub fn classify(result: &Result<Answer, Failure>, version: Version, give_up_on: &[u16]) -> Verdict {
    let Ok(answer) = result else {
        return Verdict::Retry { after: Duration::ZERO };
    };
    let after = answer.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
    let written = answer.written.filter(|written| version == Version::V2 && written.samples + written.histograms > 0);
    match (answer.status, written) {
        (200..300, _) if !answer.body.is_impostor() => Verdict::Delivered,
        (400 | 409 | 422, Some(written)) => Verdict::PartlyWritten(written),
        (status, _) if give_up_on.contains(&status) => Verdict::GivenUp,
        (400 | 409 | 415 | 422, _) => Verdict::Refused,
        (413, _) => Verdict::TooLarge,
        (429, _) => Verdict::Retry { after },
        (400..500, _) => Verdict::Hold { after },
        _ => Verdict::Retry { after },
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
        f.write_str(match self.status {
            200..300 if self.body == BodyKind::Html => {
                " with a web page, which no receiver sends: a captive portal or proxy answered; \
                 log in to the network, or check the url"
            }
            200..300 if self.body == BodyKind::JsonError => {
                " with an error as JSON, which no receiver sends: a gateway or proxy answered; check the url"
            }
            300..=399 => {
                " (the receiver redirects, which is not followed: log in to the network if a captive portal answered, \
                 else set url to where the receiver is)"
            }
            401 | 403 => " (check basic_auth, authorization or oauth2, and that the user may write)",
            404 | 405 => " (check the url's path, and that the receiver accepts remote write)",
            407 => " (check proxy_url and the proxy's credentials)",
            421 => " (check the url's host and tls_config server_name)",
            429 | 400 | 409 | 413 | 415 | 422 => "",
            400..=499 => " (check the url, the credentials, and what stands between this device and the receiver)",
            _ => "",
        })?;
        if self.text.is_empty() { Ok(()) } else { write!(f, ": {}", self.text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Written = Written { samples: 0, histograms: 0, exemplars: 0 };
    const SOME: Written = Written { samples: 3, histograms: 1, exemplars: 0 };

    fn verdict(status: u16) -> Verdict {
        classify(&Ok(Answer { status, ..Answer::default() }), Version::V1, &[])
    }

    /// Every status, with every other thing that the table looks at: version, counts of what was written, body, `give_up_on`.
    #[test]
    fn each_answer_has_one_verdict() {
        let retry = Verdict::Retry { after: Duration::ZERO };
        for status in 100..=599 {
            for version in [Version::V1, Version::V2] {
                for written in [None, Some(NOTHING), Some(SOME)] {
                    for body in [BodyKind::Empty, BodyKind::Other, BodyKind::Html, BodyKind::JsonError] {
                        for give_up_on in [&[][..], &[401, 404], &[429], &[400]] {
                            let answer = Answer { status, written, body, ..Answer::default() };
                            let is_partial = version == Version::V2 && written == Some(SOME);
                            let expected = match status {
                                200..=299 if matches!(body, BodyKind::Empty | BodyKind::Other) => Verdict::Delivered,
                                100..=399 | 500..=599 => retry,
                                400 | 409 | 422 if is_partial => Verdict::PartlyWritten(SOME),
                                _ if give_up_on.contains(&status) => Verdict::GivenUp,
                                400 | 409 | 415 | 422 => Verdict::Refused,
                                413 => Verdict::TooLarge,
                                429 => retry,
                                _ => Verdict::Hold { after: Duration::ZERO },
                            };
                            let found = classify(&Ok(answer.clone()), version, give_up_on);
                            assert_eq!(found, expected, "{answer:?}, {version:?}, {give_up_on:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn only_five_statuses_speak_about_a_request() {
        let about: Vec<u16> = (400..500)
            .filter(|status| matches!(verdict(*status), Verdict::Refused | Verdict::TooLarge | Verdict::GivenUp))
            .collect();
        assert_eq!(about, [400, 409, 413, 415, 422]);
    }

    #[test]
    fn whatever_is_not_an_answer_is_retried() {
        let failure = Failure { kind: FailureKind::Timeout, text: String::new() };
        assert_eq!(classify(&Err(failure), Version::V1, &[]), Verdict::Retry { after: Duration::ZERO });
    }

    #[test]
    fn retry_after_counts_for_what_is_retried_up_to_an_hour() {
        for (asked_s, waits_s) in [(0, 0), (7, 7), (3600, 3600), (u64::MAX, 3600)] {
            for status in [302, 429, 503, 401] {
                let retry_after = Some(Duration::from_secs(asked_s));
                let answer = Answer { status, retry_after, ..Answer::default() };
                let after = Duration::from_secs(waits_s);
                let expected = if status == 401 { Verdict::Hold { after } } else { Verdict::Retry { after } };
                assert_eq!(classify(&Ok(answer), Version::V1, &[]), expected);
            }
        }
        let refused = Answer { status: 400, retry_after: Some(Duration::from_secs(7)), ..Answer::default() };
        assert_eq!(classify(&Ok(refused), Version::V1, &[]), Verdict::Refused);
    }

    #[test]
    fn the_receivers_text_is_shown_with_what_to_do() {
        let shown = |status, text: &str| Answer { status, text: text.into(), ..Answer::default() }.to_string();
        assert_eq!(shown(400, "out of order sample"), "HTTP 400: out of order sample");
        assert_eq!(shown(503, ""), "HTTP 503");
        let redirected = shown(302, "");
        assert!(redirected.contains("captive portal") && redirected.contains("set url"), "{redirected}");
        assert_eq!(
            shown(401, "no"),
            "HTTP 401 (check basic_auth, authorization or oauth2, and that the user may write): no"
        );
    }
}
