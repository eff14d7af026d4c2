//! What becomes of requests that a receiver refuses (400, 409, 415, 422) while it accepts nothing else: they are held, as the receiver
//! may be misconfigured. Given the time; sends nothing itself.
//!
//! ```text
//!  refused ──► held ──► the next request goes, as a probe ──┬─ accepted: what is held is rejected, and counted
//!               ▲                                           └─ refused: held, too. After 1, 1, 2, 4, 8 ... probes
//!               │     a wait that grows up to five minutes ◄────┘
//!               └── the first held request goes again ──┬─ refused: the next probes
//!                                                       └─ accepted: everything that was held goes again, in order
//! ```
//!
//! So nothing is rejected unless the receiver took another request of this endpoint; a receiver that was mended gets everything, in order;
//! and one poisoned request holds up nothing, be it the only one, as the next samples come in.

use super::backoff::Backoff;
use super::halving::Refused;
use crate::limits::PROBES_MAX;
use std::time::Duration;

/// Rounds after which there are more probes in each.
const ROUNDS_OF_ONE_PROBE: u32 = 2;

/// Rounds after which the first held request is halved once more, one level deeper.
const ROUNDS_PER_LEVEL: u32 = 3;

/// Of one lane. Times are of the monotonic clock.
pub struct Holding {
    backoff: Backoff,
    held: Option<Held>,
}

struct Held {
    /// Requests of this endpoint that were accepted when something was refused first.
    accepted_before: u64,
    /// The first held request is under way again.
    is_checking: bool,
    /// Requests that may go before the next wait.
    probes_left: u32,
    round: u32,
    /// What is held.
    refused: Vec<Rejection>,
    /// After this time the next round begins. `None`: probes are under way.
    next_round_at: Option<Duration>,
}

/// Samples that are rejected once another request is accepted.
pub struct Rejection {
    pub part: Refused,
    /// An earlier process delivered it, it seems.
    pub is_repeated: bool,
}

/// What may be done while something is held.
#[derive(Debug, PartialEq, Eq)]
pub enum Pass {
    /// Go on: nothing is held, or a probe may go.
    Go,
    Wait(Duration),
    /// The next round begins: the first held request goes again.
    Restart,
}

impl Holding {
    pub fn new(backoff: Backoff) -> Self {
        Holding { backoff, held: None }
    }

    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Levels of parts of the first held request that are tried although nothing is accepted, when it goes again: several of its samples
    /// may be at fault. `None`: it is not halved this time.
    pub fn patience(&self) -> Option<u32> {
        let Some(held) = self.held.as_ref().filter(|held| held.is_checking) else { return Some(0) };
        (held.round % ROUNDS_PER_LEVEL == 0).then_some(held.round / ROUNDS_PER_LEVEL)
    }

    pub fn is_checking(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.is_checking)
    }

    /// The first held request was refused again: probes may go.
    pub fn checked(&mut self) {
        if let Some(held) = &mut self.held {
            held.is_checking = false;
        }
    }

    /// The first held request was accepted: nothing is held any more, and all that was goes again.
    pub fn forget(&mut self) {
        self.backoff.reset();
        self.held = None;
    }

    /// Whether another lane's request was accepted since this round began.
    pub fn is_other_accepted(&self, accepted: u64) -> bool {
        self.held.as_ref().is_some_and(|held| held.accepted_before != accepted)
    }

    /// Holds what was refused of a request. `accepted` is how many requests of the endpoint were accepted so far. True if nothing
    /// was held before.
    pub fn hold(&mut self, now: Duration, accepted: u64, refused: Vec<Rejection>) -> bool {
        let is_first = self.held.is_none();
        let held = self.held.get_or_insert(Held {
            accepted_before: accepted,
            is_checking: false,
            probes_left: 2,
            round: 0,
            refused: Vec::new(),
            next_round_at: None,
        });
        held.refused.extend(refused);
        held.probes_left -= held.probes_left.min(1);
        if held.probes_left == 0 {
            held.next_round_at.get_or_insert_with(|| now + self.backoff.next_wait());
        }
        is_first
    }

    /// There is nothing to probe with. Until the next round, which may then begin at the time that is given, samples that come in go
    /// at once.
    pub fn nothing_ahead(&mut self, now: Duration) -> Option<Duration> {
        let held = self.held.as_mut()?;
        Some(*held.next_round_at.get_or_insert_with(|| now + self.backoff.next_wait()))
    }

    pub fn pass(&mut self, now: Duration) -> Pass {
        let Some(held) = &mut self.held else { return Pass::Go };
        match held.next_round_at {
            None => Pass::Go,
            Some(at) if now < at && held.probes_left > 0 => Pass::Go,
            Some(at) if now < at => Pass::Wait(at),
            Some(_) => {
                held.is_checking = true;
                held.next_round_at = None;
                held.round = held.round.saturating_add(1);
                let doublings = held.round.saturating_sub(ROUNDS_OF_ONE_PROBE).min(PROBES_MAX.ilog2());
                held.probes_left = 1 << doublings;
                Pass::Restart
            }
        }
    }

    /// Another request was accepted: gives what is rejected by it.
    pub fn accepted(&mut self) -> Vec<Rejection> {
        self.backoff.reset();
        self.held.take().map(|held| held.refused).unwrap_or_default()
    }

    /// A link came up: the next round may begin early.
    pub fn hurry(&mut self, now: Duration) {
        if let Some(held) = &mut self.held
            && let Some(at) = &mut held.next_round_at
        {
            *at = (*at).min(self.backoff.early(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote_write::batching::Request;
    use crate::remote_write::retry::Cause;

    fn holding() -> Holding {
        Holding::new(Backoff::new(Duration::from_secs(1), Duration::from_secs(300), 1))
    }

    fn rejection(samples: u64) -> Vec<Rejection> {
        let part = Refused {
            request: Request::default(),
            samples,
            histograms_left_out: 0,
            too_old: 0,
            cause: Cause::Status(400),
            text: String::new(),
        };
        vec![Rejection { part, is_repeated: false }]
    }

    #[test]
    fn one_refused_request_is_rejected_when_the_next_one_is_accepted() {
        let mut holding = holding();
        assert!(holding.hold(Duration::ZERO, 0, rejection(3)));
        assert_eq!(holding.pass(Duration::ZERO), Pass::Go);
        assert_eq!(holding.accepted().iter().map(|rejection| rejection.part.samples).sum::<u64>(), 3);
        assert!(!holding.is_holding() && holding.accepted().is_empty());
    }

    #[test]
    fn rounds_have_more_and_more_probes_and_longer_and_longer_waits() {
        let (mut holding, mut now, mut rounds) = (holding(), Duration::ZERO, Vec::new());
        holding.hold(now, 0, rejection(1));
        let mut probes = 1;
        while now < Duration::from_secs(3600) {
            match holding.pass(now) {
                Pass::Wait(until) => {
                    rounds.push(probes);
                    (now, probes) = (until, 0);
                }
                Pass::Restart => holding.checked(),
                Pass::Go => {
                    holding.hold(now, 0, rejection(1));
                    probes += 1;
                }
            }
        }
        assert_eq!(rounds[..6], [2, 1, 1, 2, 4, 8]);
        assert!((15..45).contains(&rounds.len()), "{} rounds in an hour", rounds.len());
        assert!(rounds.iter().all(|probes| *probes <= PROBES_MAX));
    }

    #[test]
    fn where_there_is_nothing_to_probe_with_it_is_waited_for() {
        let mut holding = holding();
        holding.hold(Duration::ZERO, 0, rejection(1));
        let until = holding.nothing_ahead(Duration::ZERO).unwrap();
        assert_eq!(holding.pass(Duration::ZERO), Pass::Go, "what comes in may go");
        assert_eq!(holding.pass(until), Pass::Restart);
        assert_eq!(holding.pass(until), Pass::Go);
        assert!(holding.is_checking());
    }
}
