//! What the log is told of the samples that are pending, and of how long the ring has room for more.

use super::shared::Shared;
use crate::clock::Clock;
use crate::model::format_duration;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How long the agent runs before it says how long its ring lasts: by then each target with a usual interval was scraped.
const RATE_KNOWN_AFTER: Duration = Duration::from_secs(60);

/// What one sample takes in the ring where nothing was written yet by which to tell: on the high side for node exporters.
const USUAL_BYTES_PER_SAMPLE: f64 = 1.3;

/// Where an outage began, as far as the ring's bytes go.
#[derive(Clone, Copy)]
struct Baseline {
    samples_delivered: u64,
    at: Duration,
    flash_bytes: u64,
}

/// Describes, each time that it is called, what one sender's endpoint has pending while its uplink is down.
pub(super) fn backlog_reporter(shared: Rc<Shared>, sender: usize, endpoint: usize) -> Box<dyn Fn() -> String> {
    let baseline = Cell::new(None::<Baseline>);
    Box::new(move || {
        let now = Baseline {
            samples_delivered: shared.counters.endpoint(endpoint).samples_delivered.get(),
            at: shared.clock.monotonic(),
            flash_bytes: shared.counters.flash_bytes_written.get(),
        };
        let begun = baseline.get().filter(|begun| begun.samples_delivered == now.samples_delivered).unwrap_or(now);
        baseline.set(Some(begun));
        let (elapsed, written) = (now.at.saturating_sub(begun.at), now.flash_bytes.saturating_sub(begun.flash_bytes));
        let buffer = shared.buffer.borrow();
        let fill = buffer.fill();
        let room = Room {
            used_bytes: fill.ring_used_bytes,
            size_bytes: fill.ring_size_bytes,
            bytes_per_second: written as f64 / elapsed.as_secs_f64().max(1.0),
        };
        format!("{} samples pending, {}", buffer.pending_samples(sender), room.describe())
    })
}

/// Says once how long the ring lasts without an uplink, when the rate of samples is known.
pub(super) async fn tell_how_long_the_ring_lasts(shared: Rc<Shared>) {
    let started = shared.clock.monotonic();
    shared.sleep_until(started + RATE_KNOWN_AFTER).await;
    let counters = &shared.counters;
    let seconds = shared.clock.monotonic().saturating_sub(started).as_secs_f64();
    let samples_per_second = counters.samples_accepted.get() as f64 / seconds.max(1.0);
    let bytes_per_sample = match counters.samples_committed.get() {
        0 => USUAL_BYTES_PER_SAMPLE,
        committed => counters.flash_bytes_written.get() as f64 / committed as f64,
    };
    let size_bytes = shared.buffer.borrow().fill().ring_size_bytes;
    let room = Room { used_bytes: 0, size_bytes, bytes_per_second: samples_per_second * bytes_per_sample };
    if let Some(lasts) = room.lasts() {
        let lasts = format_duration(lasts);
        log::info!("the ring has room for an outage of about {lasts} at {samples_per_second:.1} samples a second");
    }
}

/// How much of the ring is taken by pending samples, and how fast it fills.
struct Room {
    used_bytes: u64,
    size_bytes: u64,
    bytes_per_second: f64,
}

impl Room {
    /// Until the ring is full, in whole minutes, or whole hours if it is more than a day. `None` if nothing is written, or it lasts
    /// longer than ten years.
    fn lasts(&self) -> Option<Duration> {
        const LONGEST_S: f64 = 10.0 * 366.0 * 86_400.0;
        let left_bytes = self.size_bytes.saturating_sub(self.used_bytes) as f64;
        let seconds = left_bytes / self.bytes_per_second;
        let unit = if seconds > 86_400.0 { 3600.0 } else { 60.0 };
        let is_known = self.bytes_per_second > 0.0 && seconds < LONGEST_S;
        is_known.then(|| Duration::from_secs((seconds / unit) as u64 * unit as u64))
    }

    fn describe(&self) -> String {
        let percent = self.used_bytes * 100 / self.size_bytes.max(1);
        match self.lasts() {
            _ if percent >= 100 => "ring full: it evicts its oldest samples".into(),
            Some(lasts) => format!("ring {percent} % full, room for about {}", format_duration(lasts)),
            None => format!("ring {percent} % full"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_in_units_that_a_person_reads() {
        let room = |used_bytes, bytes_per_second| Room { used_bytes, size_bytes: 100_000, bytes_per_second }.describe();
        assert_eq!(room(0, 0.0), "ring 0 % full");
        assert_eq!(room(40_000, 10.0), "ring 40 % full, room for about 1h40m");
        assert_eq!(room(40_000, 0.1), "ring 40 % full, room for about 6d22h");
        assert_eq!(room(40_000, 1e-12), "ring 40 % full", "longer than anybody plans for");
        assert_eq!(room(100_000, 10.0), "ring full: it evicts its oldest samples");
    }
}
