//! What an endpoint says in the log: each kind of failure at once when it first comes, then at most once a minute with a
//! count, and a line when an outage that was spoken of is over. A device without its uplink must not fill its log.
//!
//! Gives lines and writes none.

use super::retry::Cause;
use crate::limits::FAILURE_KINDS_MAX;
use crate::model::{Lost, TimeRange, format_duration};
use std::time::Duration;

/// How often failures of one kind are spoken of.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// What was done about a failure, and its cause: all that two failures need to share to be spoken of as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureEvent {
    /// The request is sent again as it is.
    Retried(Cause),
    /// The request was refused, and its halves are sent.
    Halved(Cause),
    /// The request was refused for good.
    Dropped(Cause),
    /// It was delivered, and the receiver tells of other counts than were sent.
    WrittenDiffers,
    /// They were not sent, as they are older than `sample_age_limit`.
    TooOld,
}

/// One endpoint's failures since their last line. Times are of the monotonic clock.
#[derive(Default)]
pub struct FailureLog {
    kinds: heapless::Vec<Kind, FAILURE_KINDS_MAX>,
    /// Of the samples that are spoken of.
    times: Option<TimeRange>,
    outage: Option<Outage>,
}

struct Kind {
    event: FailureEvent,
    /// Of the newest failure.
    text: String,
    logged_at: Option<Duration>,
    /// Since `logged_at`.
    failures: u64,
    samples: Lost,
}

/// Attempts that failed one after the other.
struct Outage {
    since: Duration,
    attempts: u64,
    logged: bool,
}

impl FailureLog {
    /// What is noted from now on is about samples of these times.
    pub fn speak_of(&mut self, times: Option<TimeRange>) {
        self.times = times;
    }

    /// Takes down one failure, and how many samples of its request it is about.
    pub fn note(&mut self, now: Duration, event: FailureEvent, samples: usize, text: String) {
        if matches!(event, FailureEvent::Retried(_)) {
            self.outage.get_or_insert(Outage { since: now, attempts: 0, logged: false }).attempts += 1;
        }
        let times = self.times.filter(|_| samples > 0);
        let kind = self.kind_mut(event);
        kind.failures += 1;
        kind.samples.add(Lost { samples: samples as u64, times });
        kind.text = text;
    }

    /// The next line that is due for the log. To be asked for until there is none.
    pub fn take_due(&mut self, now: Duration) -> Option<String> {
        let is_due =
            |kind: &&mut Kind| kind.failures > 0 && kind.logged_at.is_none_or(|logged| now >= logged + REPEAT_INTERVAL);
        let kind = self.kinds.iter_mut().find(is_due)?;
        let line = kind.line();
        (kind.logged_at, kind.failures, kind.samples) = (Some(now), 0, Lost::default());
        if let Some(outage) = self.outage.as_mut().filter(|_| matches!(kind.event, FailureEvent::Retried(_))) {
            outage.logged = true;
        }
        Some(line)
    }

    /// A request was delivered. Gives a line if an outage that the log has spoken of is over by it.
    pub fn delivered(&mut self, now: Duration) -> Option<String> {
        let outage = self.outage.take().filter(|outage| outage.logged)?;
        let lasted = now.saturating_sub(outage.since);
        let shown = if lasted.as_secs() > 0 { Duration::from_secs(lasted.as_secs()) } else { lasted };
        Some(format!("delivered again after {}, {} failed attempts", format_duration(shown), outage.attempts))
    }

    fn kind_mut(&mut self, event: FailureEvent) -> &mut Kind {
        let known = self.kinds.iter().position(|kind| kind.event == event);
        let index = known.unwrap_or_else(|| {
            if self.kinds.is_full() {
                // What was last spoken of the longest ago; its counts go on in the endpoint's counters.
                let oldest = (0..self.kinds.len()).min_by_key(|index| self.kinds[*index].logged_at).unwrap_or(0);
                self.kinds.swap_remove(oldest);
            }
            let new = Kind { event, text: String::new(), logged_at: None, failures: 0, samples: Lost::default() };
            let pushed = self.kinds.push(new);
            debug_assert!(pushed.is_ok(), "room was made above");
            self.kinds.len() - 1
        });
        &mut self.kinds[index]
    }
}

impl Kind {
    fn line(&self) -> String {
        let Kind { text, failures, samples, .. } = self;
        let times = if *failures > 1 { format!(" ({failures} times since last reported)") } else { String::new() };
        match self.event {
            FailureEvent::Retried(_) => format!("not delivered, will retry: {text}{times}"),
            FailureEvent::Halved(_) => format!("a request was refused and is sent again in halves: {text}{times}"),
            FailureEvent::WrittenDiffers if samples.samples > 0 => {
                format!("{samples} dropped: the receiver answered 2xx and did not write them: {text}{times}")
            }
            FailureEvent::WrittenDiffers => {
                format!("the receiver answered 2xx and tells of other counts than were sent: {text}{times}")
            }
            FailureEvent::TooOld => format!("{samples} dropped: older than sample_age_limit{times}"),
            FailureEvent::Dropped(_) => format!("{samples} dropped, refused for good: {text}{times}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote_write::retry::FailureKind;

    const DOWN: FailureEvent = FailureEvent::Retried(Cause::NoAnswer(FailureKind::Connect));

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn lines(log: &mut FailureLog, now: Duration) -> Vec<String> {
        std::iter::from_fn(|| log.take_due(now)).collect()
    }

    #[test]
    fn an_outage_is_a_line_at_once_one_a_minute_and_one_at_its_end() {
        let mut log = FailureLog::default();
        let mut said = Vec::new();
        for second in (0..200).step_by(4) {
            log.note(at(second), DOWN, 10, "connection refused".into());
            said.extend(lines(&mut log, at(second)));
        }
        said.extend(log.delivered(at(200)));
        assert_eq!(
            said,
            [
                "not delivered, will retry: connection refused",
                "not delivered, will retry: connection refused (15 times since last reported)",
                "not delivered, will retry: connection refused (15 times since last reported)",
                "not delivered, will retry: connection refused (15 times since last reported)",
                "delivered again after 3m20s, 50 failed attempts",
            ]
        );
        assert_eq!(log.delivered(at(201)), None, "an outage ends once");
    }

    #[test]
    fn a_link_that_flaps_does_not_fill_the_log() {
        let mut log = FailureLog::default();
        let mut said = 0;
        for second in 0..600 {
            let event = if second % 2 == 0 { DOWN } else { FailureEvent::Retried(Cause::Status(503)) };
            log.note(at(second), event, 1, format!("request id {second}"));
            said += lines(&mut log, at(second)).len() + usize::from(log.delivered(at(second)).is_some());
        }
        assert_eq!(said, 2 * 2 * 10, "each of two kinds, and the recovery from it, once a minute");
    }

    #[test]
    fn dropped_samples_are_summed_up_and_not_forgotten_when_no_more_follow() {
        let dropped = FailureEvent::Dropped(Cause::Status(400));
        let mut log = FailureLog::default();
        log.speak_of(Some(TimeRange { from_ms: 1000, to_ms: 2000 }));
        log.note(at(0), dropped, 1, "bad".into());
        assert_eq!(
            lines(&mut log, at(0)),
            ["1 samples from 1970-01-01T00:00:01Z to 1970-01-01T00:00:02Z dropped, refused for good: bad"]
        );
        log.note(at(1), dropped, 20, "bad".into());
        log.speak_of(Some(TimeRange { from_ms: 5000, to_ms: 8000 }));
        log.note(at(2), dropped, 3, "worse".into());
        assert!(lines(&mut log, at(59)).is_empty());
        assert_eq!(
            lines(&mut log, at(60)),
            [
                "23 samples from 1970-01-01T00:00:01Z to 1970-01-01T00:00:08Z dropped, refused for good: worse (2 times since last reported)"
            ]
        );
        assert_eq!(log.delivered(at(61)), None, "a refusal is no outage");
    }

    #[test]
    fn more_kinds_than_there_is_room_for_push_out_the_oldest() {
        let mut log = FailureLog::default();
        for status in 0..50 {
            log.note(at(status), FailureEvent::Retried(Cause::Status(500 + status as u16)), 1, String::new());
            assert_eq!(lines(&mut log, at(status)).len(), 1);
        }
        assert_eq!(log.kinds.len(), FAILURE_KINDS_MAX);
    }
}
