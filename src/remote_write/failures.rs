//! What an endpoint says in the log. A device without its uplink must not fill its log.
//!
//! - Each cause of an outage once, when it first comes; then one line each ten minutes; then one when the outage is over.
//! - Each kind of refusal once, when it first comes; then at most one line each ten minutes, with counts.
//!
//! Gives lines and writes none.

use super::retry::Cause;
use crate::limits::FAILURE_KINDS_MAX;
use crate::model::{LOG_REPEAT_INTERVAL, LineBudget, Lost, TimeRange, format_duration};
use heapless::Vec;
use std::time::Duration;

/// What was done about a failure, and its cause: all that two failures need to share to be spoken of as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureEvent {
    /// The request was refused, and its halves are sent.
    Halved(Cause),
    /// The request was refused, as is everything else: it is kept.
    Held(Cause),
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
    /// Failures that cost samples or mean refusals, each kind by itself.
    kinds: Vec<Kind, FAILURE_KINDS_MAX>,
    /// Of the samples that are spoken of.
    times: Option<TimeRange>,
    outage: Option<Outage>,
    budget: LineBudget,
}

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
pub struct FailureLine {
    pub text: String,
    /// Nothing is delivered at present: what is pending belongs into the line.
    pub is_outage: bool,
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
    cause: Cause,
    /// Of the newest failure.
    text: String,
    /// When the log was told last.
    logged_at: Option<Duration>,
    /// Causes that the log was told of.
    told: Vec<Cause, FAILURE_KINDS_MAX>,
}

impl FailureLog {
    /// What is noted from now on is about samples of these times.
    pub fn speak_of(&mut self, times: Option<TimeRange>) {
        self.times = times;
    }

    /// Takes down an attempt that failed and whose request is sent again as it is.
    pub fn note_retry(&mut self, now: Duration, cause: Cause, text: String) {
        let new = || Outage { since: now, attempts: 0, cause, text: String::new(), logged_at: None, told: Vec::new() };
        let outage = self.outage.get_or_insert_with(new);
        (outage.cause, outage.text) = (cause, text);
        outage.attempts += 1;
    }

    /// Takes down one failure, and how many samples of its request it is about.
    pub fn note(&mut self, event: FailureEvent, samples: usize, text: String) {
        let times = self.times.filter(|_| samples > 0);
        let kind = self.kind_mut(event);
        kind.failures += 1;
        kind.samples.add(Lost { samples: samples as u64, times });
        kind.text = text;
    }

    /// The next line that is due for the log. To be asked for until there is none.
    pub fn take_due(&mut self, now: Duration) -> Option<FailureLine> {
        let budget = &mut self.budget;
        if let Some(text) = self.outage.as_mut().and_then(|outage| outage.take_due(now, budget)) {
            return Some(FailureLine { text, is_outage: true });
        }
        let is_due = |kind: &&mut Kind| {
            kind.failures > 0 && kind.logged_at.is_none_or(|logged| now >= logged + LOG_REPEAT_INTERVAL)
        };
        let kind = self.kinds.iter_mut().find(is_due)?;
        let text = kind.line();
        (kind.logged_at, kind.failures, kind.samples) = (Some(now), 0, Lost::default());
        Some(FailureLine { text, is_outage: false })
    }

    /// A request was delivered. Gives a line if an outage that the log has spoken of is over by it.
    pub fn delivered(&mut self, now: Duration) -> Option<String> {
        let outage = self.outage.take().filter(|outage| outage.logged_at.is_some())?;
        let lasted = format_duration(shown(now.saturating_sub(outage.since)));
        Some(format!("delivered again after {lasted}, {} failed attempts", outage.attempts))
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

impl Outage {
    fn take_due(&mut self, now: Duration, budget: &mut LineBudget) -> Option<String> {
        let is_repetition = self.logged_at.is_some_and(|logged_at| now >= logged_at + LOG_REPEAT_INTERVAL);
        let is_told = self.told.contains(&self.cause);
        if !is_repetition && (is_told || !budget.take(now)) {
            return None;
        }
        self.logged_at = Some(now);
        if !is_told && self.told.push(self.cause).is_err() {
            self.told.clear();
        }
        Some(match is_repetition {
            false => format!("not delivered, will retry: {}", self.text),
            true => {
                let lasted = format_duration(shown(now.saturating_sub(self.since)));
                format!("down for {lasted}, {} attempts: {}", self.attempts, self.text)
            }
        })
    }
}

/// Whole seconds, if it is that long.
fn shown(lasted: Duration) -> Duration {
    if lasted.as_secs() > 0 { Duration::from_secs(lasted.as_secs()) } else { lasted }
}

impl Kind {
    fn line(&self) -> String {
        let Kind { text, failures, samples, .. } = self;
        let times = if *failures > 1 { format!(" ({failures} times since last reported)") } else { String::new() };
        match self.event {
            FailureEvent::Halved(_) => format!("a request was refused and is sent again in halves: {text}{times}"),
            FailureEvent::Held(_) => format!(
                "the receiver refuses every request: samples are kept until it accepts another; check its configuration, \
                 and what it says: {text}{times}"
            ),
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

    const DOWN: Cause = Cause::NoAnswer(FailureKind::Connect);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn lines(log: &mut FailureLog, now: Duration) -> std::vec::Vec<String> {
        std::iter::from_fn(|| log.take_due(now)).map(|line| line.text).collect()
    }

    /// It was a line each minute: 270 kB a day.
    #[test]
    fn an_outage_is_a_line_at_once_one_each_ten_minutes_and_one_at_its_end() {
        let mut log = FailureLog::default();
        let mut said = vec![];
        for second in (0..1300).step_by(4) {
            log.note_retry(at(second), DOWN, "connection refused".into());
            said.extend(lines(&mut log, at(second)));
        }
        said.extend(log.delivered(at(1300)));
        assert_eq!(
            said,
            [
                "not delivered, will retry: connection refused",
                "down for 10m, 151 attempts: connection refused",
                "down for 20m, 301 attempts: connection refused",
                "delivered again after 21m40s, 325 failed attempts",
            ]
        );
        assert_eq!(log.delivered(at(1301)), None, "an outage ends once");
    }

    /// Attempts of an outage that was over were told once more: "delivered again", then "not delivered (13 times)".
    #[test]
    fn an_outage_that_is_over_is_not_told_again() {
        let mut log = FailureLog::default();
        for second in 0..5 {
            log.note_retry(at(second), DOWN, "connection refused".into());
            lines(&mut log, at(second));
        }
        assert!(log.delivered(at(5)).is_some());
        assert!(lines(&mut log, at(700)).is_empty());
        log.note_retry(at(701), DOWN, "connection refused".into());
        assert_eq!(lines(&mut log, at(701)), ["not delivered, will retry: connection refused"], "another one is");
    }

    #[test]
    fn another_cause_is_said_when_it_first_comes() {
        let mut log = FailureLog::default();
        let mut said = vec![];
        for second in 0..100 {
            let (cause, text) = match second % 2 {
                0 => (DOWN, "connection refused"),
                _ => (Cause::Status(503), "503"),
            };
            log.note_retry(at(second), cause, text.into());
            said.extend(lines(&mut log, at(second)));
        }
        assert_eq!(said, ["not delivered, will retry: connection refused", "not delivered, will retry: 503"]);
    }

    #[test]
    fn a_link_that_flaps_does_not_fill_the_log() {
        let mut log = FailureLog::default();
        let mut said = 0;
        for second in 0..6000 {
            log.note_retry(at(second), DOWN, format!("request id {second}"));
            said += lines(&mut log, at(second)).len() + usize::from(log.delivered(at(second)).is_some());
        }
        assert_eq!(said, 2 * (10 + 9), "a burst, then an outage and its end each ten minutes");
    }

    #[test]
    fn dropped_samples_are_summed_up_and_not_forgotten_when_no_more_follow() {
        let dropped = FailureEvent::Dropped(Cause::Status(400));
        let mut log = FailureLog::default();
        log.speak_of(Some(TimeRange { from_ms: 1000, to_ms: 2000 }));
        log.note(dropped, 1, "bad".into());
        assert_eq!(
            lines(&mut log, at(0)),
            ["1 samples from 1970-01-01T00:00:01Z to 1970-01-01T00:00:02Z dropped, refused for good: bad"]
        );
        log.note(dropped, 20, "bad".into());
        log.speak_of(Some(TimeRange { from_ms: 5000, to_ms: 8000 }));
        log.note(dropped, 3, "worse".into());
        assert!(lines(&mut log, at(599)).is_empty());
        assert_eq!(
            lines(&mut log, at(600)),
            [
                "23 samples from 1970-01-01T00:00:01Z to 1970-01-01T00:00:08Z dropped, refused for good: worse (2 times since last reported)"
            ]
        );
        assert_eq!(log.delivered(at(601)), None, "a refusal is no outage");
    }

    #[test]
    fn more_kinds_than_there_is_room_for_push_out_the_oldest() {
        let mut log = FailureLog::default();
        for status in 0..50 {
            log.note(FailureEvent::Dropped(Cause::Status(400 + status as u16)), 1, String::new());
            assert_eq!(lines(&mut log, at(status)).len(), 1);
        }
        assert_eq!(log.kinds.len(), FAILURE_KINDS_MAX);
    }
}
