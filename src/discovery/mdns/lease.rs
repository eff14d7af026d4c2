//! How long something learned holds, and when to ask for it again (RFC 6762, section 5.2).

use crate::limits::MDNS_TTL_MAX;
use std::time::Duration;

/// What is said to be gone stays this long, in case that somebody else still has it.
const GOODBYE_TIME: Duration = Duration::from_secs(1);

/// Waits between questions that nobody answers: at first, and at most.
const ASK_WAIT_MIN: Duration = Duration::from_secs(1);
const ASK_WAIT_MAX: Duration = Duration::from_secs(3600);

/// Something learned: asked for again at 80, 85, 90 and 95 % of its time. Times are of the monotonic clock.
#[derive(Clone, Debug)]
pub struct Lease {
    received: Duration,
    ttl: Duration,
    asked: u32,
}

impl Lease {
    /// A TTL of zero says goodbye.
    pub fn new(now: Duration, ttl_s: u32) -> Lease {
        match ttl_s {
            0 => Lease { received: now, ttl: GOODBYE_TIME, asked: 4 },
            ttl_s => Lease { received: now, ttl: Duration::from_secs(ttl_s.into()).min(MDNS_TTL_MAX), asked: 0 },
        }
    }

    pub fn expires(&self) -> Duration {
        self.received + self.ttl
    }

    /// When something is to be done about it: ask again, or forget it.
    pub fn due(&self) -> Duration {
        self.received + self.ttl * (80 + 5 * self.asked) / 100
    }

    /// Whether to ask now.
    pub fn ask(&mut self, now: Duration) -> bool {
        let is_due = self.asked < 4 && self.due() <= now;
        while self.asked < 4 && self.due() <= now {
            self.asked += 1;
        }
        is_due
    }

    /// A newer record stands in for this one, unless that came just now.
    pub fn flush(&mut self, now: Duration) {
        if self.received + GOODBYE_TIME < now && self.expires() > now + GOODBYE_TIME {
            *self = Lease::new(now, 0);
        }
    }

    /// The seconds that are left, if it is more than half: then it need not be told again.
    pub fn known_s(&self, now: Duration) -> Option<u32> {
        let left = self.expires().saturating_sub(now);
        (left > self.ttl / 2).then_some(left.as_secs() as u32)
    }
}

/// Something that is to be learned: asked for at once, and then ever more seldom.
#[derive(Clone, Debug)]
pub struct Wanted {
    next: Duration,
    wait: Duration,
}

impl Wanted {
    pub fn new(now: Duration) -> Wanted {
        Wanted { next: now, wait: ASK_WAIT_MIN }
    }

    pub fn due(&self) -> Duration {
        self.next
    }

    /// Whether to ask now.
    pub fn ask(&mut self, now: Duration) -> bool {
        let is_due = self.next <= now;
        if is_due {
            self.next = now + self.wait;
            self.wait = (self.wait * 2).min(ASK_WAIT_MAX);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_is_renewed_four_times_before_it_ends() {
        let mut lease = Lease::new(s(1000), 100);
        let mut asked = Vec::new();
        for now in 1000..=1100 {
            if lease.ask(s(now)) {
                asked.push(now);
            }
        }
        assert_eq!(asked, [1080, 1085, 1090, 1095]);
        assert_eq!((lease.due(), lease.expires()), (s(1100), s(1100)));
        assert_eq!((lease.known_s(s(1049)), lease.known_s(s(1050))), (Some(51), None));
    }

    #[test]
    fn a_goodbye_holds_for_a_second_and_no_lease_for_ever() {
        assert_eq!(Lease::new(s(5), 0).expires(), s(6));
        assert!(!Lease::new(s(5), 0).ask(s(6)));
        assert_eq!(Lease::new(s(0), u32::MAX).expires(), MDNS_TTL_MAX);
        let (mut old, mut new) = (Lease::new(s(0), 100), Lease::new(s(9), 100));
        old.flush(s(10));
        new.flush(s(10));
        assert_eq!((old.expires(), new.expires()), (s(11), s(109)));
    }

    #[test]
    fn what_nobody_answers_is_asked_ever_more_seldom() {
        let mut wanted = Wanted::new(s(0));
        let asked: Vec<u64> = (0..9000).filter(|now| wanted.ask(s(*now))).collect();
        assert_eq!(asked[..5], [0, 1, 3, 7, 15]);
        assert_eq!(asked.last_chunk(), Some(&[4095, 7695]));
    }
}
