//! Interned label sets: two series are the same if and only if they are the same place in memory.

use super::labels::{Labels, LabelsIter};
use crate::limits::SERIES_MAX;
use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// A series' labels, shared by whoever holds it; cloning copies a pointer. Comes from a [`SeriesTable`] only.
#[derive(Clone)]
pub struct Series(Rc<[u8]>);

impl Series {
    pub fn labels(&self) -> LabelsIter<'_> {
        LabelsIter::over_checked(&self.0)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.labels().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The packed form that [`Labels::from_packed`] takes.
    pub fn packed(&self) -> &[u8] {
        &self.0
    }

    /// The identity of the series as a number, valid for as long as somebody holds it.
    pub fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }
}

impl PartialEq for Series {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

impl Eq for Series {}

impl Hash for Series {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.address().hash(state);
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.labels().fmt_series(f)
    }
}

impl fmt::Debug for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The one table of all series in the process: scrape caches, codec dictionaries and batches share their labels through it.
///
/// A series that nobody holds any more is forgotten at the next sweep, which comes whenever the table has doubled.
pub struct SeriesTable {
    inner: RefCell<Inner>,
    series_max: usize,
}

impl Default for SeriesTable {
    fn default() -> Self {
        SeriesTable::with_series_max(SERIES_MAX)
    }
}

#[derive(Default)]
struct Inner {
    known: HashSet<ByContent>,
    sweep_at: usize,
}

impl SeriesTable {
    pub fn new() -> Self {
        Self::default()
    }

    /// A table that takes no more series than these from pages.
    pub fn with_series_max(series_max: usize) -> Self {
        SeriesTable { inner: RefCell::default(), series_max }
    }

    pub fn series_max(&self) -> usize {
        self.series_max
    }

    /// `None` if the series is new and there are as many as there may be.
    pub fn intern_within_limit(&self, labels: &Labels) -> Option<Series> {
        let has_room = {
            let mut inner = self.inner.borrow_mut();
            inner.known.len() < self.series_max || inner.known.contains(labels.packed()) || {
                inner.sweep();
                inner.known.len() < self.series_max
            }
        };
        has_room.then(|| self.intern(labels))
    }

    pub fn intern(&self, labels: &Labels) -> Series {
        let mut inner = self.inner.borrow_mut();
        if let Some(ByContent(known)) = inner.known.get(labels.packed()) {
            return Series(known.clone());
        }
        if inner.known.len() >= inner.sweep_at {
            inner.sweep();
        }
        let new: Rc<[u8]> = labels.packed().into();
        inner.known.insert(ByContent(new.clone()));
        Series(new)
    }

    /// Series held in memory, those included that wait for the next sweep.
    pub fn len(&self) -> usize {
        self.inner.borrow().known.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Inner {
    fn sweep(&mut self) {
        self.known.retain(|ByContent(held)| Rc::strong_count(held) > 1);
        self.sweep_at = (self.known.len() * 2).max(256);
    }
}

#[derive(PartialEq, Eq, Hash)]
struct ByContent(Rc<[u8]>);

impl Borrow<[u8]> for ByContent {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LabelsBuilder;

    fn labels(value: &str) -> Labels {
        LabelsBuilder::from_iter([("__name__", "m"), ("l", value)]).build().unwrap()
    }

    #[test]
    fn equal_labels_are_one_series() {
        let table = SeriesTable::new();
        let (a, b) = (table.intern(&labels("1")), table.intern(&labels("1")));
        assert_eq!(a, b);
        assert_ne!(a, table.intern(&labels("2")));
        assert_eq!(a.get("l"), Some("1"));
    }

    #[test]
    fn a_full_table_takes_no_new_series_until_others_are_let_go() {
        let table = SeriesTable::with_series_max(2);
        let (a, b) = (table.intern_within_limit(&labels("a")), table.intern_within_limit(&labels("b")));
        assert!(a.is_some() && b.is_some());
        assert_eq!(table.intern_within_limit(&labels("c")), None);
        assert_eq!(table.intern_within_limit(&labels("a")), a, "known ones are no matter");
        drop(b);
        assert!(table.intern_within_limit(&labels("c")).is_some());
        assert!(Some(table.intern(&labels("d"))) != a, "what is read back from the ring is not held to it");
    }

    #[test]
    fn series_that_nobody_holds_are_swept() {
        let table = SeriesTable::new();
        let kept = table.intern(&labels("kept"));
        for i in 0..10_000 {
            table.intern(&labels(&i.to_string()));
        }
        assert!(table.len() <= 512, "{} series are still held", table.len());
        assert_eq!(table.intern(&labels("kept")), kept);
    }
}
