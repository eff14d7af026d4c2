//! Whose turn it is where several lanes of one endpoint share its gate: classes in their order, and within one what is new.
//!
//! ```text
//!  high    ──wait──► go            high    (waits for the hours) ...
//!  low     ──────wait──────► go    low     ──► go
//!          both for the rate               the rate is not what high waits for
//! ```
//!
//! Bytes are set aside when a request goes, since another lane may ask before it has ended.

use super::super::retry::Outcome;
use super::{Gate, Traffic};
use std::time::Duration;

/// How soon a lane asks again whose turn has not come though the one before it could go.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// One endpoint's gate, and who waits at it.
pub struct Turns {
    gate: Gate,
    waiting: Vec<Waiting>,
}

struct Waiting {
    lane: usize,
    traffic: Traffic,
    bytes: u64,
}

impl Turns {
    pub fn new(gate: Gate) -> Turns {
        Turns { gate, waiting: Vec::new() }
    }

    /// `None`: this lane's request of about so many bytes goes now, and they are set aside. Else it is to be asked again at that time,
    /// or to [leave](Self::leave).
    pub fn ready_at(
        &mut self,
        lane: usize,
        now: Duration,
        wall_ms: i64,
        traffic: Traffic,
        bytes: u64,
    ) -> Option<Duration> {
        self.leave(lane);
        let turn = self.turn_at(now, wall_ms, |other| other.traffic < traffic);
        let ready_at = self.ready_after(turn, now, wall_ms, traffic, bytes);
        if ready_at.is_some() {
            self.waiting.push(Waiting { lane, traffic, bytes });
        }
        ready_at
    }

    /// As [`ready_at`](Self::ready_at), for what goes where no lane waits for the rate, and holds none up itself.
    pub fn ready_beside_at(&mut self, now: Duration, wall_ms: i64, traffic: Traffic, bytes: u64) -> Option<Duration> {
        let turn = self.turn_at(now, wall_ms, |_| true);
        self.ready_after(turn, now, wall_ms, traffic, bytes)
    }

    /// When lanes that go before are likely to have gone, as far as the rate is what they wait for.
    fn turn_at(&self, now: Duration, wall_ms: i64, goes_before: impl Fn(&Waiting) -> bool) -> Option<Duration> {
        let before = self.waiting.iter().filter(|other| goes_before(other));
        let turns = before.filter_map(|other| self.gate.rate_ready_at(now, wall_ms, other.traffic, other.bytes));
        turns.max().map(|at| at.max(now + ASK_AGAIN))
    }

    fn ready_after(
        &mut self,
        turn: Option<Duration>,
        now: Duration,
        wall_ms: i64,
        traffic: Traffic,
        bytes: u64,
    ) -> Option<Duration> {
        let ready_at = [turn, self.gate.ready_at(now, wall_ms, traffic, bytes)].into_iter().flatten().max();
        if ready_at.is_none() {
            self.gate.reserve(now, traffic, bytes);
        }
        ready_at
    }

    /// Whether some lane waits, which may go earlier than it was told if another one took less than was set aside.
    pub fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The lane waits no more.
    pub fn leave(&mut self, lane: usize) {
        self.waiting.retain(|waiting| waiting.lane != lane);
    }

    /// A request that went took so many bytes, whatever became of it, where so many were set aside.
    pub fn spent(&mut self, now: Duration, wall_ms: i64, traffic: Traffic, reserved_bytes: u64, bytes: u64) {
        self.gate.give_back(now, traffic, reserved_bytes);
        self.gate.spent(now, wall_ms, traffic, bytes);
    }

    /// See [`Gate::ended`].
    pub fn ended(&mut self, now: Duration, took: Duration, outcome: &Outcome) {
        self.gate.ended(now, took, outcome);
    }

    /// See [`Gate::hurry`].
    pub fn hurry(&mut self) {
        self.gate.hurry();
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Meter, RateOptions, UplinkOptions};
    use super::*;
    use crate::model::Class;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    const WALL_MS: i64 = 1_763_722_000_000;

    fn turns(bytes_per_second: Option<u64>, backlog_bytes_per_second: Option<u64>) -> Turns {
        let options = UplinkOptions { spread: Some(Duration::ZERO), ..UplinkOptions::default() };
        let meter = Rc::new(RefCell::new(Meter::new(options, Class::ALL, None)));
        let rates = RateOptions { bytes_per_second, backlog_bytes_per_second };
        Turns::new(Gate::new(rates, meter, Duration::ZERO, Duration::ZERO, 1))
    }

    fn traffic(class: Class) -> Traffic {
        Traffic::Samples { class, is_backlog: false }
    }

    /// Lanes that always have something to send, and requests of so many bytes: how many each got through in a minute.
    fn a_minute(turns: &mut Turns, lanes: &[(Traffic, u64)]) -> Vec<u64> {
        let mut done = vec![0; lanes.len()];
        let mut asks_at = vec![Duration::ZERO; lanes.len()];
        while let Some((lane, now)) =
            asks_at.iter().copied().enumerate().min_by_key(|(lane, at)| (*at, usize::MAX - lane))
        {
            if now > Duration::from_secs(60) {
                break;
            }
            let (traffic, bytes) = lanes[lane];
            asks_at[lane] = match turns.ready_at(lane, now, WALL_MS, traffic, bytes) {
                Some(at) => at,
                None => {
                    let end = now + Duration::from_millis(1);
                    turns.spent(end, WALL_MS, traffic, bytes, bytes);
                    done[lane] += bytes;
                    end
                }
            };
        }
        done
    }

    #[test]
    fn what_waits_for_something_else_holds_nobody_up() {
        let mut turns = turns(Some(10_000), Some(100));
        let backlog = Traffic::Samples { class: Class::High, is_backlog: true };
        let done = a_minute(&mut turns, &[(backlog, 5000), (traffic(Class::Low), 5000)]);
        assert!(done[0] <= 15_000, "its own rate is small: {done:?}");
        assert!(done[1] >= 500_000, "and low gets the rest: {done:?}");
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let mut turns = turns(None, None);
        for (lane, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(turns.ready_at(lane, Duration::ZERO, WALL_MS, traffic(class), 1 << 20), None);
        }
    }

    #[test]
    fn what_goes_beside_lanes_waits_for_all_of_them_and_holds_none_up() {
        let (mut turns, second) = (turns(Some(10_000), Some(1)), Duration::from_secs(1));
        let low = traffic(Class::Low);
        assert_eq!(turns.ready_beside_at(Duration::ZERO, WALL_MS, Traffic::Metadata, 9000), None);
        assert!(
            turns.ready_beside_at(Duration::ZERO, WALL_MS, Traffic::Metadata, 9000).is_some(),
            "it is held to the rate"
        );
        assert!(!turns.is_waited_for());
        assert!(turns.ready_at(0, Duration::ZERO, WALL_MS, low, 9000).is_some_and(|at| at < second));
        let at = turns.ready_beside_at(second, WALL_MS, Traffic::Metadata, 1).unwrap();
        assert_eq!(at, second + ASK_AGAIN, "the lane that waits goes first");
        assert_eq!(turns.ready_at(0, second, WALL_MS, low, 9000), None);
    }

    #[test]
    fn two_lanes_do_not_spend_the_same_bytes() {
        let mut turns = turns(Some(10_000), None);
        assert_eq!(turns.ready_at(0, Duration::ZERO, WALL_MS, traffic(Class::Normal), 9000), None);
        assert!(turns.ready_at(1, Duration::ZERO, WALL_MS, traffic(Class::Normal), 9000).is_some());
    }

    proptest! {
        /// Under a small rate the high class gets nearly all of it as long as it has something to send, the low one the rest.
        #[test]
        fn high_overtakes_low_under_a_small_rate(rate in 1000u64..20_000, high in 100u64..3000, low in 100u64..3000) {
            let mut turns = turns(Some(rate), None);
            let done = a_minute(&mut turns, &[(traffic(Class::Low), low), (traffic(Class::High), high)]);
            prop_assert!(done[1] + 3 * (high + low) + rate > 54 * rate, "{:?} of {}", done, 60 * rate);
            prop_assert!(done[0] <= rate + 3 * low + 6 * rate, "{:?}", done);
            prop_assert!(done[0] + done[1] <= 62 * rate + high + low);
        }
    }
}
