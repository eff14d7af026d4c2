//! What happened to the device, as far as the account has to know it; and which losses and repeats the documentation allows for it.

use super::account::{Death, Offset, Span};
use super::plan::Setup;

/// What a busy machine may add to the time from a scrape to its commit.
const COMMIT_SLACK_MS: i64 = 1500;

/// From a receiver's answer to the acknowledgement on flash, at most, as the documentation names it; and a busy machine.
const REPEATS_MS: i64 = 30_000 + 2000;

/// How long senders go on after the order to stop, less what a busy machine may take of it.
const DRAINS_FOR_MS: i64 = 1500;

#[derive(Default)]
pub struct History {
    pub deaths: Vec<Death>,
    pub runs: Vec<Span>,
    pub stalls: Vec<Span>,
    pub deaf: Vec<Span>,
    pub offsets: Vec<Offset>,
    pub stops: u64,
    started_ms: i64,
    /// Since when what is scraped may be in memory only, and until when (a failed commit is tried again after a while).
    card_fails: Option<Span>,
}

impl History {
    pub fn kills(&self) -> usize {
        self.deaths.iter().filter(|death| death.is_kill).count()
    }

    pub fn started(&mut self, at_ms: i64) {
        self.started_ms = at_ms;
    }

    /// The process was killed, which takes seconds where a write to a busy disk is under way; it did nothing meanwhile.
    pub fn killed(&mut self, told_ms: i64, at_ms: i64, setup: &Setup) {
        let died_for_ms = at_ms - told_ms;
        let loses_ms = self.loses_ms(at_ms, setup) + died_for_ms;
        // What was due for a commit while the process was held up was not written before it was killed.
        let is_recent = |stall: &&Span| stall.to_ms + loses_ms > told_ms;
        let loses_ms =
            loses_ms + self.stalls.iter().filter(is_recent).map(|stall| stall.to_ms - stall.from_ms).sum::<i64>();
        let repeats_ms = repeats_ms(setup).saturating_add(died_for_ms);
        self.ended(Death { at_ms, is_kill: true, loses_ms, repeats_ms });
    }

    /// The process was told to stop, and ended.
    pub fn stopped(&mut self, told_ms: i64, at_ms: i64, setup: &Setup) {
        let fails = self.card_fails_at(told_ms);
        // What was asked for when the order came may be dropped.
        let in_flight_ms = at_ms - told_ms + setup.interval_ms as i64;
        let loses_ms = if fails { self.loses_ms(at_ms, setup) } else { in_flight_ms };
        let repeats_ms = if fails || is_live_first(setup) { repeats_ms(setup) } else { 0 };
        self.deaf.push(Span { from_ms: told_ms + DRAINS_FOR_MS, to_ms: at_ms + 1 });
        self.stops += 1;
        self.ended(Death { at_ms, is_kill: false, loses_ms, repeats_ms });
    }

    fn ended(&mut self, death: Death) {
        self.runs.push(Span { from_ms: self.started_ms, to_ms: death.at_ms });
        self.deaths.push(death);
    }

    pub fn stalled(&mut self, stall: Span) {
        self.stalls.push(stall);
    }

    pub fn clock_set(&mut self, from_ms: i64, offset_s: i64) {
        self.offsets.push(Offset { from_ms, offset_ms: offset_s * 1000 });
    }

    /// If no attempt is sure to have come since it failed before, it is one failure.
    pub fn card_fails(&mut self, at_ms: i64) {
        let before = self.card_fails.filter(|span| at_ms < span.to_ms);
        self.card_fails = Some(Span { from_ms: before.map_or(at_ms, |span| span.from_ms), to_ms: i64::MAX });
    }

    /// The next attempt comes after as long a wait as all waits before it, and a minute at most.
    pub fn card_heals(&mut self, at_ms: i64) {
        if let Some(span) = self.card_fails.as_mut().filter(|span| span.to_ms == i64::MAX) {
            span.to_ms = at_ms + (2 * (at_ms - span.from_ms) + 2000).min(62_000);
        }
    }

    /// A new process commits to a card that works.
    pub fn card_is_well(&mut self) {
        self.card_fails = None;
    }

    pub fn card_fails_at(&self, at_ms: i64) -> bool {
        self.card_fails.is_some_and(|span| at_ms < span.to_ms)
    }

    /// What the documentation allows to be lost of what was scraped, if the process ends now without a commit.
    fn loses_ms(&self, at_ms: i64, setup: &Setup) -> i64 {
        let usual = setup.commit_interval_ms as i64 + COMMIT_SLACK_MS;
        match self.card_fails {
            Some(span) if at_ms < span.to_ms => at_ms - span.from_ms + usual,
            _ => usual,
        }
    }
}

fn is_live_first(setup: &Setup) -> bool {
    setup.endpoints.iter().any(|endpoint| endpoint.is_live_first)
}

fn repeats_ms(setup: &Setup) -> i64 {
    // Stretches between outages are sent again after a restart in a backlog.
    if is_live_first(setup) { i64::MAX / 4 } else { REPEATS_MS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_fails_again_before_the_next_attempt_has_failed_throughout() {
        let (mut history, setup) = (History::default(), Setup::usual());
        history.card_fails(1000);
        history.card_heals(5000);
        history.card_fails(8000);
        history.killed(9000, 9000, &setup);
        assert_eq!(history.deaths[0].loses_ms, 8000 + 500 + COMMIT_SLACK_MS);
        history.card_heals(10_000);
        history.card_fails(100_000);
        history.killed(101_000, 101_000, &setup);
        assert_eq!(history.deaths[1].loses_ms, 1000 + 500 + COMMIT_SLACK_MS);
    }
}
