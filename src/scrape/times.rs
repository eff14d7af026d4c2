//! How far the series of a target have come, if its pages give times of their own.
//!
//! ```text
//!  page 1   a 1            scraped at 100     a: 100
//!  page 2   a 2 90         refused            a: 100    and `a` is not followed for staleness any more
//!  page 3   a 3 400                           a: 400
//!  page 4   a 4            scraped at 115     refused until 400 is over
//! ```
//!
//! Prometheus's storage refuses a sample that is not newer than the last one of its series, marker or value; so does a receiver, and
//! with it whatever else is in the request. Of a target that never gives a time nothing is kept here: its samples go forward
//! by themselves.
//!
//! Refuses to know what is on the page that is being read.

use super::gather::Gathered;
use crate::model::Series;
use std::collections::{HashMap, HashSet};

#[derive(Default)]
pub struct Times {
    /// Newest sample of each series, once the target has given a time.
    newest_ms: HashMap<Series, i64>,
    /// Series of the last page that had no sample taken yet: they are new when they come again.
    untaken: HashSet<Series>,
    /// When the series of the last page that was taken got their samples, or their markers since.
    last_ms: i64,
}

impl Times {
    /// The newest sample of a series before this page; `known` tells that it was on the last page that was taken.
    pub fn newest_ms(&self, series: &Series, known: bool) -> Option<i64> {
        match self.newest_ms.is_empty() {
            true => known.then_some(self.last_ms),
            false => self.newest_ms.get(series).copied(),
        }
    }

    /// Whether samples without a time can be out of order.
    pub fn are_given(&self) -> bool {
        !self.newest_ms.is_empty()
    }

    /// Whether a marker at this time can follow what the series has.
    pub fn allow(&self, series: &Series, at_ms: i64) -> bool {
        self.newest_ms.get(series).is_none_or(|newest_ms| *newest_ms < at_ms)
    }

    pub fn is_untaken(&self, series: &Series) -> bool {
        self.untaken.contains(series)
    }

    /// A page was taken. `before` and `list` are the series of the page before and of this one, `first` is the position of
    /// the first that is not a report series; `gone` got markers.
    pub fn follow(&mut self, before: &[Series], list: &[Series], gathered: &Gathered, first: usize, gone: &[Series]) {
        let gives_times =
            !(gathered.own_timestamps.is_empty() && gathered.refused.is_empty() && gathered.repeats.is_empty());
        if gives_times && !self.are_given() {
            self.newest_ms.extend(before.iter().skip(first).map(|series| (series.clone(), self.last_ms)));
        }
        self.last_ms = gathered.timestamp_ms;
        self.untaken.clear();
        if !gives_times && !self.are_given() {
            return;
        }
        self.untaken.extend(gathered.untaken.iter().map(|position| list[*position as usize].clone()));
        for (series, position) in list.iter().zip(0u32..).skip(first) {
            if let Some(newest_ms) = gathered.newest_on_page(position) {
                self.advance(series, newest_ms);
            }
        }
        gone.iter().for_each(|series| self.advance(series, gathered.timestamp_ms));
        // As Prometheus bounds its cache: what is gone is remembered while it is no more than what is there, and a thousand.
        if self.newest_ms.len() > 2 * list.len() + 1000 {
            let there: HashSet<&Series> = list.iter().collect();
            self.newest_ms.retain(|series, _| there.contains(series));
        }
    }

    /// Series got markers because there was no page to take.
    pub fn end(&mut self, marked: &[Series], timestamp_ms: i64) {
        self.last_ms = timestamp_ms;
        if self.are_given() {
            marked.iter().for_each(|series| self.advance(series, timestamp_ms));
        }
    }

    fn advance(&mut self, series: &Series, at_ms: i64) {
        match self.newest_ms.get_mut(series) {
            Some(newest_ms) => *newest_ms = at_ms.max(*newest_ms),
            None => drop(self.newest_ms.insert(series.clone(), at_ms)),
        }
    }
}
