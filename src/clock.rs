//! Time as a parameter, and the only place that asks the system for the wall clock.
//!
//! On 32-bit musl the `time_t` of Rust's standard library has 32 bits, and `SystemTime::now` panics once the clock says 2038: a
//! real-time clock without a battery is enough. There the kernel is asked by rustix, whose times have 64 bits on every target.
//! `tests/wall_clock.rs` holds the rest of the source to that.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Whether libraries may call `SystemTime::now` whatever the clock says.
const STD_IS_64_BIT: bool = cfg!(not(all(target_env = "musl", target_pointer_width = "32")));

/// The wall clock's time; it may jump either way.
pub fn system_time() -> SystemTime {
    #[cfg(target_pointer_width = "64")]
    return SystemTime::now();
    #[cfg(not(target_pointer_width = "64"))]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let nanoseconds = Duration::from_nanos(time.tv_nsec as u64);
        let seconds = Duration::from_secs(time.tv_sec.unsigned_abs());
        if time.tv_sec < 0 { UNIX_EPOCH - seconds + nanoseconds } else { UNIX_EPOCH + seconds + nanoseconds }
    }
}

/// Whether a library that asks the standard library for the wall clock would panic now.
pub fn is_past_std() -> bool {
    !STD_IS_64_BIT && system_time() > UNIX_EPOCH + Duration::from_secs(i32::MAX as u64 - 60)
}

/// Where the agent has the time from.
pub trait Clock {
    /// Milliseconds since 1970 by the wall clock, which may jump either way.
    fn wall_ms(&self) -> i64;

    /// Time since some fixed moment; never goes back, and is what timers are set by.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clocks.
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    pub fn new() -> Self {
        SystemClock { origin: Instant::now() }
    }

    /// The instant at which [`Clock::monotonic`] will give `at`: what a timer is set to.
    pub fn instant(&self, at: Duration) -> Instant {
        self.origin + at
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        match system_time().duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_millis() as i64,
            Err(before) => -(before.duration().as_millis() as i64),
        }
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_64_bit_clock_and_the_standard_librarys_agree() {
        let before = system_time();
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        let kernels = UNIX_EPOCH + Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
        assert!(before <= kernels && kernels <= system_time());
        assert_eq!(size_of_val(&time.tv_sec), 8, "on every target");
    }
}
