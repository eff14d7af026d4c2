//! The lab's own time, by which everything that happens in it is noted: milliseconds since it began.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy)]
pub struct LabClock {
    begun: Instant,
    begun_wall_ms: i64,
    lab: u64,
}

impl LabClock {
    pub fn start() -> LabClock {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("this machine's clock is past 1970");
        LabClock { begun: Instant::now(), begun_wall_ms: since.as_millis() as i64, lab: fastrand::u64(..) }
    }

    /// A number that no other lab has.
    pub fn lab(&self) -> u64 {
        self.lab
    }

    pub fn now_ms(&self) -> i64 {
        self.begun.elapsed().as_millis() as i64
    }

    /// The wall clock's time at a time of the lab.
    pub fn wall_ms(&self, at_ms: i64) -> i64 {
        self.begun_wall_ms + at_ms
    }
}
