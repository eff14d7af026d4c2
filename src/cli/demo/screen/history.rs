//! What the last minutes were like, second by second: the curves of the picture.

use super::View;
use std::collections::VecDeque;

/// Seconds remembered: more than a picture has columns.
const SECONDS_MAX: usize = 120;

/// Seconds that a rate is taken over.
const RATE_SECONDS: usize = 5;

#[derive(Default)]
pub struct History {
    /// The last one is still under way.
    seconds: VecDeque<Second>,
    second: u64,
    scraped_before: u64,
    delivered_before: u64,
}

#[derive(Clone, Copy)]
struct Second {
    scraped: u64,
    delivered: u64,
    /// The most that waited.
    held: u64,
    /// Throughout.
    uplink_up: bool,
}

impl History {
    /// Takes note of a view; views come in order of time, one a second at least.
    pub fn note(&mut self, view: &View) {
        let second = view.elapsed.as_secs();
        if self.seconds.is_empty() || second > self.second {
            if self.seconds.len() == SECONDS_MAX {
                self.seconds.pop_front();
            }
            self.seconds.push_back(Second { scraped: 0, delivered: 0, held: 0, uplink_up: true });
            self.second = second;
        }
        if let Some(now) = self.seconds.back_mut() {
            now.scraped += view.samples_scraped.saturating_sub(self.scraped_before);
            now.delivered += view.samples_delivered.saturating_sub(self.delivered_before);
            now.held = now.held.max(view.samples_held());
            now.uplink_up &= view.uplink_up;
        }
        self.scraped_before = view.samples_scraped;
        self.delivered_before = view.samples_delivered;
    }

    pub fn scraped_per_second(&self) -> u64 {
        self.rate(|second| second.scraped)
    }

    pub fn delivered_per_second(&self) -> u64 {
        self.rate(|second| second.delivered)
    }

    /// Samples scraped in each of the last `columns` seconds, oldest first; and likewise the others.
    pub(super) fn scraped(&self, columns: usize) -> Vec<u64> {
        self.last(columns).map(|second| second.scraped).collect()
    }

    pub(super) fn held(&self, columns: usize) -> Vec<u64> {
        self.last(columns).map(|second| second.held).collect()
    }

    pub(super) fn delivered(&self, columns: usize) -> Vec<u64> {
        self.last(columns).map(|second| second.delivered).collect()
    }

    pub(super) fn uplink(&self, columns: usize) -> Vec<bool> {
        self.last(columns).map(|second| second.uplink_up).collect()
    }

    fn last(&self, columns: usize) -> impl Iterator<Item = &Second> {
        self.seconds.range(self.seconds.len().saturating_sub(columns)..)
    }

    /// Over the last seconds that are complete.
    fn rate(&self, of: impl Fn(&Second) -> u64) -> u64 {
        let complete = self.seconds.len().saturating_sub(1);
        let over = complete.min(RATE_SECONDS);
        if over == 0 {
            return 0;
        }
        self.seconds.range(complete - over..complete).map(of).sum::<u64>() / over as u64
    }
}
