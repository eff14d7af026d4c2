//! A window of scrapes becomes requests in which the samples of one series stand together.
//!
//! Labels are most of a request's bytes, so that many samples of few series cost far less than few samples of many.
//! Batches in succession that share their list of series form a *run*, which is a table; a [`Block`] is a rectangle of
//! it. Nothing is copied: a request is a list of rectangles.
//!
//! ```text
//!             series 0  1  2  3  4  5  6  7
//!  batch 10   |-------------|  |  |  |  |      a run is cut in time first, into parts about as long as a request of
//!  batch 11   |   block     |  |  |  |  |      `max_samples_per_send` is wide, then into series: older blocks go before
//!  batch 12   |-------------|  |  |  |  |      newer ones, and so does every sample of every series
//! ```
//!
//! Longer parts would not be smaller: labels are repeated less, but times more, which a request has for each series anew.
//!
//! Batches of one target resemble each other, so batches are put in order of their targets, a *group* for each; except that
//! targets with a series in common (the target was renumbered by a restart, or two targets expose the same series) share a group
//! and stay in the order in which they were scraped, as the protocol asks for time order in each series. Targets resemble each
//! other too: groups with few samples of each series take turns, so that `x{instance="a"}` and `x{instance="b"}` come one after
//! the other, and a request's texts are those of a few metrics.
//!
//! Refuses to know how a request is written and whether it was delivered.

use crate::model::{ScrapeBatch, TimeRange};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

/// Runs up to this long take turns; longer ones take fewer bytes in one piece, where the same times follow on one another.
const TURNS_TIMES_MAX: usize = 12;

/// Series of one turn.
const TURN_SERIES: usize = 4;

/// Some series of some batches in succession, all of which have the same list of series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Positions in the window's batches, as [`super::Attempt`] lists them.
    pub batches: Range<usize>,
    /// Positions in each of these batches.
    pub series: Range<usize>,
}

/// One sample of a [`Block`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleAt {
    /// Position in the window's batches.
    pub batch: usize,
    pub timestamp_ms: i64,
    pub value: f64,
    /// It is the sample before once more, by time and value: an exporter that gives times of its own shows the same sample
    /// again and again until it has a newer one. Nothing is lost if it is left out.
    pub is_repeated: bool,
}

/// What is sent at once. Of two blocks with a series in common, the older comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub blocks: Vec<Block>,
}

/// Hands out the requests of one window, one after the other.
#[derive(Clone)]
pub struct Batching {
    batches: Vec<Rc<ScrapeBatch>>,
    samples_max: usize,
    /// In the order of their turns.
    groups: VecDeque<Group>,
}

/// Batches of targets that have no series in common with any others.
#[derive(Clone)]
struct Group {
    /// Those of which no request has anything yet.
    upcoming: Range<usize>,
    /// What no request has taken yet of the run in hand.
    rest: Block,
}

impl Batching {
    /// `batches` oldest first; requests of at most `samples_max` samples, and at least one.
    pub fn new(batches: Vec<Rc<ScrapeBatch>>, samples_max: usize) -> Self {
        let (batches, groups) = by_target(batches);
        let groups = groups.into_iter().map(|upcoming| Group { upcoming, rest: Block::default() }).collect();
        Batching { batches, samples_max: samples_max.max(1), groups }
    }

    /// The window's batches in the order that blocks count them.
    pub fn batches(&self) -> &[Rc<ScrapeBatch>] {
        &self.batches
    }

    /// Adds the samples that no request has taken yet to the counts, one for each batch.
    pub fn add_untaken(&self, counts: &mut [u64]) {
        for group in &self.groups {
            group.rest.add_samples(counts);
            for at in group.upcoming.clone() {
                counts[at] += self.batches[at].len() as u64;
            }
        }
    }

    /// From now on requests have at most `samples_max` samples, unless one series of the run in hand has more.
    pub fn limit_samples(&mut self, samples_max: usize) {
        self.samples_max = samples_max.max(1);
    }

    /// Whether [`next_request`](Self::next_request) gives another one.
    pub fn has_more(&self) -> bool {
        self.groups.iter().any(|group| !group.rest.series.is_empty() || !group.upcoming.is_empty())
    }

    pub fn next_request(&mut self) -> Option<Request> {
        let mut request = Request::default();
        let mut room = self.samples_max;
        while let Some(mut group) = self.groups.pop_front() {
            if !group.take_run(&self.batches, self.samples_max.isqrt()) {
                continue;
            }
            let least = usize::from(request.blocks.is_empty());
            let series_that_fit = (room / group.rest.batches.len()).max(least).min(group.rest.series.len());
            if series_that_fit == 0 {
                self.groups.push_front(group);
                break;
            }
            let is_short = group.rest.batches.len() <= TURNS_TIMES_MAX;
            let block = group.rest.take_series(series_that_fit.min(if is_short { TURN_SERIES } else { usize::MAX }));
            room = room.saturating_sub(block.samples());
            request.push(block);
            self.groups.push_back(group);
        }
        (!request.blocks.is_empty()).then_some(request)
    }
}

impl Group {
    /// Sees to it that there is a run in hand; `false` at the end of the window.
    fn take_run(&mut self, batches: &[Rc<ScrapeBatch>], best: usize) -> bool {
        while self.rest.series.is_empty() {
            let start = self.upcoming.start;
            let Some((first, later)) = batches[self.upcoming.clone()].split_first() else { return false };
            let same = later.iter().take_while(|batch| same_series(first, batch)).count();
            self.upcoming.start += part_of_run(1 + same, best);
            self.rest = Block { batches: start..self.upcoming.start, series: 0..first.len() };
        }
        true
    }
}

impl Request {
    fn push(&mut self, block: Block) {
        match self.blocks.last_mut() {
            Some(last) if last.batches == block.batches && last.series.end == block.series.start => {
                last.series.end = block.series.end;
            }
            _ => self.blocks.push(block),
        }
    }

    /// From its oldest sample to its newest, as far as the times of scrapes tell.
    pub fn times(&self, batches: &[Rc<ScrapeBatch>]) -> Option<TimeRange> {
        let of_blocks = self.blocks.iter().flat_map(|block| &batches[block.batches.clone()]);
        of_blocks.map(|batch| batch.times()).reduce(TimeRange::and)
    }

    /// Adds its samples to the counts, one for each batch.
    pub fn add_samples(&self, counts: &mut [u64]) {
        self.blocks.iter().for_each(|block| block.add_samples(counts));
    }

    /// Repeats that `SampleAt::is_repeated` tells of are counted here: their value is delivered, once.
    pub fn samples(&self) -> usize {
        self.blocks.iter().map(Block::samples).sum()
    }

    /// Two requests that together hold what this one does, the one to send first first. `None` for a single sample.
    ///
    /// Blocks are parted first, after those that were taken in turns are put together. A single block is cut into series if it has
    /// several, as one of them is likely to be at fault where a request was refused.
    pub fn halves(&self) -> Option<(Request, Request)> {
        let whole = self.without_turns();
        if let [block] = whole.blocks.as_slice() {
            let (times, series) = (block.batches.len(), block.series.len());
            let (first, second) = match (series > 1, times > 1) {
                (true, _) => block.split_series(series / 2),
                (false, true) => block.split_batches(times / 2),
                (false, false) => return None,
            };
            return Some((Request { blocks: vec![first] }, Request { blocks: vec![second] }));
        }
        let (first, second) = whole.blocks.split_at(whole.blocks.len() / 2);
        (!first.is_empty()).then(|| (Request { blocks: first.to_vec() }, Request { blocks: second.to_vec() }))
    }

    /// The same samples, in at most so many requests, oldest scrapes of each target first.
    pub fn time_slices(&self, most: usize) -> Vec<Request> {
        let mut times: Vec<usize> = self.blocks.iter().flat_map(|block| block.batches.clone()).collect();
        times.sort_unstable();
        times.dedup();
        let slice = |times: &[usize]| {
            let (from, until) = (times[0], times[times.len() - 1] + 1);
            let cut = |block: &Block| Block {
                batches: block.batches.start.max(from)..block.batches.end.min(until),
                series: block.series.clone(),
            };
            let blocks =
                self.without_turns().blocks.iter().map(cut).filter(|block| !block.batches.is_empty()).collect();
            Request { blocks }
        };
        times.chunks(times.len().div_ceil(most).max(1)).map(slice).collect()
    }

    /// The same samples, group by group and run by run: of two blocks with a series in common, the older comes first in any case.
    fn without_turns(&self) -> Request {
        let mut blocks = self.blocks.clone();
        blocks.sort_by_key(|block| (block.batches.start, block.series.start));
        let mut whole = Request::default();
        blocks.into_iter().for_each(|block| whole.push(block));
        whole
    }
}

impl Block {
    pub fn samples(&self) -> usize {
        self.batches.len() * self.series.len()
    }

    fn add_samples(&self, counts: &mut [u64]) {
        self.batches.clone().for_each(|at| counts[at] += self.series.len() as u64);
    }

    /// The block's samples of one series, in the order they were scraped.
    pub fn samples_of(&self, batches: &[Rc<ScrapeBatch>], series: usize) -> impl Iterator<Item = SampleAt> {
        let mut before = None;
        self.batches.clone().map(move |at| {
            let batch = &batches[at];
            let (timestamp_ms, value) = (batch.timestamp_ms_at(series), batch.values[series]);
            let this = (timestamp_ms, value.to_bits(), batch.histogram_at(series));
            let is_repeated = before.replace(this) == Some(this);
            SampleAt { batch: at, timestamp_ms, value, is_repeated }
        })
    }

    /// Its first so many series, without which it is left.
    fn take_series(&mut self, count: usize) -> Block {
        let (taken, rest) = self.split_series(count);
        *self = rest;
        taken
    }

    fn split_series(&self, count: usize) -> (Block, Block) {
        let middle = self.series.start + count;
        (
            Block { series: self.series.start..middle, batches: self.batches.clone() },
            Block { series: middle..self.series.end, batches: self.batches.clone() },
        )
    }

    fn split_batches(&self, count: usize) -> (Block, Block) {
        let middle = self.batches.start + count;
        (
            Block { batches: self.batches.start..middle, series: self.series.clone() },
            Block { batches: middle..self.batches.end, series: self.series.clone() },
        )
    }
}

/// Length of the first of the even parts of a run that come nearest to the best length.
fn part_of_run(run: usize, best: usize) -> usize {
    let parts = ((run + best / 2) / best).max(1);
    run.div_ceil(parts)
}

fn same_series(a: &ScrapeBatch, b: &ScrapeBatch) -> bool {
    Rc::ptr_eq(&a.series, &b.series) || a.series == b.series
}

/// Puts batches of one target together, and those of targets with a series in common; within these, order stays. Where each of
/// these groups lies.
fn by_target(batches: Vec<Rc<ScrapeBatch>>) -> (Vec<Rc<ScrapeBatch>>, Vec<Range<usize>>) {
    let mut targets: Vec<u32> = Vec::new();
    let group_of_batch: Vec<usize> = (batches.iter())
        .map(|batch| {
            targets.iter().position(|target| *target == batch.target).unwrap_or_else(|| {
                targets.push(batch.target);
                targets.len() - 1
            })
        })
        .collect();
    if targets.len() < 2 {
        let all = 0..batches.len();
        return (batches, vec![all]);
    }
    let merged = merge_groups(&batches, &group_of_batch, targets.len());
    let mut ordered: Vec<_> = group_of_batch.iter().map(|group| merged[*group]).zip(batches).collect();
    ordered.sort_by_key(|(group, _)| *group);
    let mut start = 0;
    let groups = ordered.chunk_by(|(a, _), (b, _)| a == b).map(|group| {
        let range = start..start + group.len();
        start = range.end;
        range
    });
    let groups = groups.collect();
    (ordered.into_iter().map(|(_, batch)| batch).collect(), groups)
}

/// For each group, the first group that it has a series in common with, directly or through others; mostly itself.
fn merge_groups(batches: &[Rc<ScrapeBatch>], group_of_batch: &[usize], groups: usize) -> Vec<usize> {
    let mut holders: Vec<(usize, usize)> = Vec::new();
    let mut last_list_of_group: Vec<Option<&Rc<[_]>>> = vec![None; groups];
    for (batch, &group) in batches.iter().zip(group_of_batch) {
        let last = last_list_of_group[group].replace(&batch.series);
        if !last.is_some_and(|last| Rc::ptr_eq(last, &batch.series)) {
            holders.extend(batch.series.iter().map(|series| (series.address(), group)));
        }
    }
    holders.sort_unstable();

    let mut parents: Vec<usize> = (0..groups).collect();
    for pair in holders.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let (a, b) = (root(&parents, pair[0].1), root(&parents, pair[1].1));
        parents[a.max(b)] = a.min(b);
    }
    (0..groups).map(|group| root(&parents, group)).collect()
}

fn root(parents: &[usize], mut group: usize) -> usize {
    while parents[group] != group {
        group = parents[group];
    }
    group
}

#[cfg(test)]
mod tests;
