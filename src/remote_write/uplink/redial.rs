//! When to leave a connection that still works: its receiver's name may lead elsewhere by now, and whoever answers at the old
//! address refuses. A new connection looks the name up and prefers addresses that have not failed.
//!
//! Given outcomes and times; opens nothing.

use super::super::retry::{Answer, Failure, FailureKind};
use std::time::Duration;

/// Failures in a row, and how long they last, before a connection is left.
const FAILURES_MIN: u32 = 3;
/// See [`FAILURES_MIN`].
const FAILING_MIN: Duration = Duration::from_secs(5);

/// From then on a connection is left no more often than this: a handshake is work for a receiver that has too much.
const INTERVAL: Duration = Duration::from_secs(30);

/// What an outcome tells of the address that the connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// The receiver is there.
    Right,
    /// The answer, or that there is none, may be another server's or a dead one's.
    Doubtful,
    /// It was not asked.
    Unknown,
}

pub(super) fn address_of(result: &Result<Answer, Failure>) -> Address {
    match result {
        Err(Failure { kind: FailureKind::Secret | FailureKind::Name, .. }) => Address::Unknown,
        Err(_) => Address::Doubtful,
        Ok(answer) => match answer.status {
            200..300 if !answer.body.is_impostor() => Address::Right,
            // These speak of the request, or of how many there are.
            400 | 409 | 413 | 415 | 422 | 429 => Address::Right,
            _ => Address::Doubtful,
        },
    }
}

/// One connection's.
#[derive(Default)]
pub(super) struct Redial {
    failures: u32,
    failing_since: Duration,
    not_before: Duration,
}

impl Redial {
    /// Whether to leave the connection, after an exchange that ended now.
    pub(super) fn ended(&mut self, now: Duration, address: Address) -> bool {
        match address {
            Address::Right => *self = Redial::default(),
            Address::Unknown => {}
            Address::Doubtful => {
                if self.failures == 0 {
                    self.failing_since = now;
                }
                self.failures = self.failures.saturating_add(1);
            }
        }
        let is_due = self.failures >= FAILURES_MIN && now >= self.failing_since + FAILING_MIN && now >= self.not_before;
        if is_due {
            self.not_before = now + INTERVAL;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::retry::BodyKind;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_outcome_tells_something_of_the_address() {
        let answered = |status, body| address_of(&Ok(Answer { status, body, ..Answer::default() }));
        for status in [200, 204, 400, 409, 413, 415, 422, 429] {
            assert_eq!(answered(status, BodyKind::default()), Address::Right, "{status}");
        }
        for status in [302, 401, 403, 404, 405, 421, 500, 502, 503, 504] {
            assert_eq!(answered(status, BodyKind::default()), Address::Doubtful, "{status}");
        }
        assert_eq!(answered(200, BodyKind::Html), Address::Doubtful, "a captive portal");
        let failed = |kind| address_of(&Err(Failure { kind, text: String::new() }));
        for kind in [FailureKind::Connect, FailureKind::Tls, FailureKind::Timeout, FailureKind::Broken] {
            assert_eq!(failed(kind), Address::Doubtful, "{kind:?}");
        }
        assert_eq!(failed(FailureKind::Name), Address::Unknown);
    }

    #[test]
    fn a_connection_is_left_after_five_seconds_of_failures_and_then_every_thirty() {
        let mut redial = Redial::default();
        let left: Vec<u32> = (0..100).filter(|s| redial.ended(SECOND * *s, Address::Doubtful)).collect();
        assert_eq!(left, [5, 35, 65, 95]);
    }

    #[test]
    fn a_failure_now_and_then_leaves_none() {
        let mut redial = Redial::default();
        for second in 0..100 {
            let address = if second % 3 == 0 { Address::Right } else { Address::Doubtful };
            assert!(!redial.ended(SECOND * second, address));
        }
        assert!(!redial.ended(200 * SECOND, Address::Doubtful), "two in two minutes");
    }
}
