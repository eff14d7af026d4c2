//! The series of one target's last page, walked in step with the next page.
//!
//! ```text
//!  last page     a{x="1"}   a{x="2"}   b   c          list:  up .. scrape_series_added | a1 a2 b c
//!  this page     a{x="1"}   a{x="2"}   b   c          every line as expected: the same list, nothing parsed
//!  this page     a{x="1"}   n          b   c          from `n` on lines are looked up by their text; a new list
//! ```
//!
//! A list starts with the target's report series, which are there on each scrape. Texts whose series relabelling drops are
//! lines without a place in the list, so that they cost no more than others the next time. Knows which texts are which series;
//! refuses to know values, times and staleness.

use super::series_text::SeriesText;
use crate::model::{Series, SeriesTable, SharedText};
use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::ops::Deref;
use std::rc::Rc;

pub struct Cache {
    /// Of the last page that was taken whole; targets with the same series texts share them.
    lines: Lines<SharedText>,
    /// Report series, then each series of `lines` once, in order.
    list: Rc<[Series]>,
    /// Series that were first seen on pages that then failed; when they come again, they are not new.
    strays: HashMap<Box<[u8]>, Series>,
    report_len: usize,
}

/// The position of a line whose series is dropped.
const DROPPED: u32 = u32::MAX;

/// Set in the position of a line whose text stands on the page before it.
const AGAIN: u32 = 1 << 31;

/// Lines of a page: the text of the series, and its position in the list, perhaps with [`AGAIN`], or [`DROPPED`].
#[derive(Default)]
struct Lines<T = Vec<u8>> {
    text: T,
    ends: Vec<u32>,
    positions: Vec<u32>,
}

/// A walk over one page, in step with the page before.
pub struct Walk<'c> {
    cache: &'c Cache,
    /// The line of the last page that should come next.
    next_line: usize,
    /// What the new page consists of, from the moment it differs.
    changed: Option<Changed<'c>>,
}

struct Changed<'c> {
    lines: Lines,
    list: Vec<Series>,
    positions: HashMap<Series, u32>,
    known: HashMap<&'c [u8], u32>,
    /// New series and their texts' places in `lines`.
    added: Vec<usize>,
    /// The texts in `lines` by their hashes, from the moment that a series comes again.
    texts: Option<Texts>,
}

/// Texts of which 64 bits of a keyed hash are kept.
#[derive(Default)]
struct Texts {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

/// Where a sample belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// In the page's list. Positions are given out in order: a series that has come before has a smaller one.
    pub position: u32,
    /// The text has been seen on an earlier page.
    pub known: bool,
    /// The text stands before on this page.
    pub again: bool,
}

impl Place {
    /// `None` if the series is dropped.
    fn of(position: u32, known: bool) -> Option<Place> {
        (position != DROPPED).then_some(Place { position: position & !AGAIN, known, again: position & AGAIN != 0 })
    }
}

impl Taken {
    fn of(position: u32, known: bool) -> Taken {
        Place::of(position, known).map_or(Taken::Dropped, Taken::At)
    }
}

/// What became of a series that was never seen before.
pub enum Made {
    Series(Series),
    /// Relabelling drops it.
    Dropped,
    /// `limits.max_series` allows no more. It is not remembered: the next page asks again.
    Refused,
}

/// What a walk knows of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    At(Place),
    Dropped,
    Refused,
}

/// What a walk found out, to be handed to [`Cache::replace`] or [`Cache::remember`].
pub struct ChangedPage {
    lines: Lines,
    list: Vec<Series>,
    added: Vec<usize>,
}

impl Cache {
    /// A cache that knows of no page yet.
    pub fn new(report: Rc<[Series]>) -> Self {
        Cache { lines: Lines::default(), report_len: report.len(), list: report, strays: HashMap::new() }
    }

    /// Report series, then the series of the last page that was taken whole.
    pub fn list(&self) -> &Rc<[Series]> {
        &self.list
    }

    /// `None` if it is dropped.
    fn series_at(&self, line: usize) -> Option<Series> {
        let place = Place::of(self.lines.positions[line], true)?;
        Some(self.list[place.position as usize].clone())
    }

    /// Series that the cache holds, those aside that the scrape itself reports.
    pub fn held(&self) -> usize {
        self.list.len() - self.report_len + self.strays.len()
    }

    pub fn walk(&self) -> Walk<'_> {
        Walk { cache: self, next_line: 0, changed: None }
    }

    /// A page was taken whole: it is what the next one is compared with.
    pub fn replace(&mut self, page: Option<ChangedPage>, table: &SeriesTable) {
        self.strays = HashMap::new();
        let Some(page) = page else { return };
        self.lines = page.lines.shared_in(table);
        if *self.list != *page.list {
            self.list = page.list.into();
        }
    }

    /// A page failed: its new series are remembered, unless they are so many that the target must be making them up, and but
    /// for those at the positions `untaken`, which stay new.
    pub fn remember(&mut self, page: Option<ChangedPage>, untaken: &[u32]) {
        let Some(page) = page else { return };
        for line in page.added {
            let Some(Place { position, .. }) = Place::of(page.lines.positions[line], false) else { continue };
            if untaken.binary_search(&position).is_err() {
                self.strays.insert(page.lines.get(line).into(), page.list[position as usize].clone());
            }
        }
        // Prometheus's bound: twice the last good page, and a thousand more.
        if self.strays.len() > self.lines.len() + 1000 {
            self.strays = HashMap::new();
        }
    }
}

impl<'c> Walk<'c> {
    /// The text of the series that comes next if the page has not changed.
    pub fn expected(&self) -> Option<&'c [u8]> {
        (self.next_line < self.cache.lines.len()).then(|| self.cache.lines.get(self.next_line))
    }

    /// Takes the page's next series. `as_expected` tells that its text is [`Walk::expected`]; `positions_taken` are the
    /// positions given out so far, report series included; `make` is called for a series that was never seen, and is told
    /// how many were made for this page before.
    pub fn take<E>(
        &mut self,
        text: &SeriesText<'_>,
        as_expected: bool,
        positions_taken: usize,
        make: impl FnOnce(usize) -> Result<Made, E>,
    ) -> Result<Taken, E> {
        let as_expected = as_expected || self.expected() == Some(text.raw);
        if as_expected && self.changed.is_none() {
            let position = self.cache.lines.positions[self.next_line];
            self.next_line += 1;
            return Ok(Taken::of(position, true));
        }
        let (cache, next_line) = (self.cache, self.next_line);
        let changed = self.changed.get_or_insert_with(|| Changed::after(cache, next_line, positions_taken));
        let line = if as_expected { Some(next_line) } else { changed.known.get(text.raw).map(|line| *line as usize) };
        let (series, known) = match (line, cache.strays.get(text.raw)) {
            (Some(line), _) => {
                self.next_line = line + 1;
                (cache.series_at(line), true)
            }
            (None, Some(stray)) => (Some(stray.clone()), true),
            (None, None) => match make(changed.added.len())? {
                Made::Series(series) => (Some(series), false),
                Made::Dropped => (None, false),
                Made::Refused => return Ok(Taken::Refused),
            },
        };
        Ok(Taken::of(changed.push(text.raw, series, !known), known))
    }

    /// Whether the series of this text is kept; `None` if it is not known, as far as that can be told without looking at
    /// each line.
    pub fn keeps(&self, raw: &[u8]) -> Option<bool> {
        let known = self.changed.as_ref().and_then(|changed| changed.known.get(raw)).map(|line| *line as usize);
        let line = known.or_else(|| (self.expected() == Some(raw)).then_some(self.next_line));
        match line {
            Some(line) => Some(self.cache.lines.positions[line] != DROPPED),
            None => self.cache.strays.contains_key(raw).then_some(true),
        }
    }

    /// The series at the place given out last is not taken: it is as new when it comes again.
    pub fn forget(&mut self, place: Place) {
        if let Some(changed) = self.changed.as_mut().filter(|_| !place.known) {
            changed.added.pop();
        }
    }

    /// The series at a place that was given out.
    pub fn series(&self, place: Place) -> &Series {
        let list = self.changed.as_ref().map_or(&self.cache.list[..], |changed| &changed.list);
        &list[place.position as usize]
    }

    /// `None` if the page is the last one again.
    pub fn finish(mut self, positions_taken: usize) -> Option<ChangedPage> {
        if self.changed.is_none() && self.next_line < self.cache.lines.len() {
            self.changed = Some(Changed::after(self.cache, self.next_line, positions_taken));
        }
        self.changed.map(|Changed { lines, list, added, .. }| ChangedPage { lines, list, added })
    }

    /// What is new on a page that failed before its end.
    pub fn abandon(self) -> Option<ChangedPage> {
        self.changed.map(|Changed { lines, list, added, .. }| ChangedPage { lines, list, added })
    }
}

impl ChangedPage {
    /// Report series, then each series of the page once.
    pub fn list(&self) -> &[Series] {
        &self.list
    }
}

impl<'c> Changed<'c> {
    /// The page was the last one up to this line.
    fn after(cache: &'c Cache, line: usize, positions_taken: usize) -> Self {
        let list = cache.list[..positions_taken.max(cache.report_len)].to_vec();
        let positions = list.iter().cloned().zip(0..).collect();
        let known = (0..cache.lines.len()).map(|line| (cache.lines.get(line), line as u32)).collect();
        Changed { lines: cache.lines.up_to(line), list, positions, known, added: Vec::new(), texts: None }
    }

    fn push(&mut self, text: &[u8], series: Option<Series>, is_new: bool) -> u32 {
        let Some(series) = series else {
            self.lines.push(text, DROPPED);
            return DROPPED;
        };
        let position = match self.positions.entry(series) {
            Entry::Occupied(position) => {
                let lines = &self.lines;
                let texts = self.texts.get_or_insert_with(|| Texts::of(lines));
                *position.get() | if texts.insert(text) { 0 } else { AGAIN }
            }
            Entry::Vacant(place) => {
                self.list.push(place.key().clone());
                self.texts.as_mut().map(|texts| texts.insert(text));
                *place.insert(self.list.len() as u32 - 1)
            }
        };
        if is_new {
            self.added.push(self.lines.len());
        }
        self.lines.push(text, position);
        position
    }
}

impl Texts {
    fn of(lines: &Lines) -> Texts {
        let mut texts = Texts::default();
        (0..lines.len()).for_each(|line| _ = texts.insert(lines.get(line)));
        texts
    }

    /// Whether it was not there.
    fn insert(&mut self, text: &[u8]) -> bool {
        self.hashes.insert(self.hasher.hash_one(text))
    }
}

impl<T: Deref<Target = [u8]>> Lines<T> {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, line: usize) -> &[u8] {
        let start = if line == 0 { 0 } else { self.ends[line - 1] as usize };
        &self.text[start..self.ends[line] as usize]
    }

    fn up_to(&self, line: usize) -> Lines {
        let end = if line == 0 { 0 } else { self.ends[line - 1] as usize };
        Lines {
            text: self.text[..end].to_vec(),
            ends: self.ends[..line].to_vec(),
            positions: self.positions[..line].to_vec(),
        }
    }
}

impl Lines {
    fn push(&mut self, text: &[u8], position: u32) {
        self.text.extend_from_slice(text);
        self.ends.push(self.text.len() as u32);
        self.positions.push(position);
    }

    fn shared_in(mut self, table: &SeriesTable) -> Lines<SharedText> {
        self.ends.shrink_to_fit();
        self.positions.shrink_to_fit();
        Lines { text: table.share_text(&self.text), ends: self.ends, positions: self.positions }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;
    use crate::model::{LabelsBuilder, SeriesTable};
    use std::convert::Infallible;

    /// Walks a page of bare names. The answer: which lines came as expected, and which series had to be made.
    /// Names that start with `-` are dropped.
    fn walk(cache: &mut Cache, table: &SeriesTable, page: &[&str]) -> (Vec<bool>, Vec<String>) {
        let (mut as_expected, mut made) = (Vec::new(), Vec::new());
        let mut walk = cache.walk();
        let mut taken = 0;
        for name in page {
            let text = SeriesText { raw: name.as_bytes(), format: Format::Text, metric_type: Default::default() };
            as_expected.push(walk.expected() == Some(text.raw));
            let make = |_| {
                made.push(name.to_string());
                let labels = LabelsBuilder::from_iter([("__name__", *name)]).build().unwrap();
                let is_dropped = name.starts_with('-');
                Ok::<_, Infallible>(if is_dropped { Made::Dropped } else { Made::Series(table.intern(&labels)) })
            };
            let place = walk.take(&text, false, taken, make).unwrap();
            assert_eq!(place == Taken::Dropped, name.starts_with('-'));
            if let Taken::At(place) = place {
                taken = taken.max(place.position as usize + 1);
            }
        }
        let changed = walk.finish(taken);
        cache.replace(changed, table);
        (as_expected, made)
    }

    #[test]
    fn only_what_is_new_is_made_and_the_walk_falls_into_step_again() {
        let (table, mut cache) = (SeriesTable::new(), Cache::new(Rc::new([])));
        assert_eq!(walk(&mut cache, &table, &["a", "b", "c", "d"]).1, ["a", "b", "c", "d"]);
        let list = cache.list().clone();
        assert_eq!(walk(&mut cache, &table, &["a", "b", "c", "d"]), (vec![true; 4], vec![]));
        assert!(Rc::ptr_eq(&list, cache.list()));
        // One comes in between, one goes: only the lines at these places are looked up.
        assert_eq!(walk(&mut cache, &table, &["a", "x", "b", "c"]), (vec![true, false, true, true], vec!["x".into()]));
        assert_eq!(walk(&mut cache, &table, &["x", "b", "c"]), (vec![false, true, true], vec![]));
        assert_eq!(cache.list().iter().map(|series| series.to_string()).collect::<Vec<_>>(), ["x", "b", "c"]);
    }

    /// Prometheus knows a duplicate by its text: `a{}` is none of `a`, though it is the same series.
    #[test]
    fn a_text_that_comes_again_is_told_from_another_text_of_its_series() {
        let (table, mut cache) = (SeriesTable::new(), Cache::new(Rc::new([])));
        let page = [("b", false), ("a", false), ("a{}", false), ("a", true), ("b", true), ("a{}", true), ("c", false)];
        let changed = [&[("new", false)][..], &page].concat();
        for page in [&page[..], &page, &changed, &changed, &page[..4], &page] {
            let (mut walk, mut taken) = (cache.walk(), 0);
            for (name, again) in page {
                let text = SeriesText { raw: name.as_bytes(), format: Format::Text, metric_type: Default::default() };
                let make = |_| {
                    let labels = LabelsBuilder::from_iter([("__name__", name.trim_end_matches("{}"))]).build().unwrap();
                    Ok::<_, Infallible>(Made::Series(table.intern(&labels)))
                };
                let Taken::At(place) = walk.take(&text, false, taken, make).unwrap() else { panic!("{name}") };
                assert_eq!(place.again, *again, "{name} of {page:?}");
                taken = taken.max(place.position as usize + 1);
            }
            let changed = walk.finish(taken);
            cache.replace(changed, &table);
        }
    }

    #[test]
    fn what_is_dropped_is_remembered_too() {
        let (table, mut cache) = (SeriesTable::new(), Cache::new(Rc::new([])));
        assert_eq!(walk(&mut cache, &table, &["-x", "a", "-y", "b"]).1, ["-x", "a", "-y", "b"]);
        let list = cache.list().clone();
        assert_eq!(walk(&mut cache, &table, &["-x", "a", "-y", "b"]), (vec![true; 4], vec![]));
        assert!(Rc::ptr_eq(&list, cache.list()));
        assert_eq!(
            walk(&mut cache, &table, &["a", "-x", "-z", "b"]),
            (vec![false, false, false, false], vec!["-z".into()])
        );
        assert_eq!(cache.list().iter().map(|series| series.to_string()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(walk(&mut cache, &table, &["-x", "-z"]), (vec![false, true], vec![]));
        assert_eq!(walk(&mut cache, &table, &["-x", "-z"]), (vec![true, true], vec![]));
        assert!(cache.list().is_empty());
    }
}
