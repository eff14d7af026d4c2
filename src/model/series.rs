//! Interned label sets: two series are the same if and only if they are the same place in memory.

use super::labels::{Labels, LabelsIter};
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
#[derive(Default)]
pub struct SeriesTable {
    inner: RefCell<Inner>,
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

    pub fn intern(&self, labels: &Labels) -> Series {
        let mut inner = self.inner.borrow_mut();
        if let Some(ByContent(known)) = inner.known.get(labels.packed()) {
            return Series(known.clone());
        }
        if inner.known.len() >= inner.sweep_at {
            inner.known.retain(|ByContent(held)| Rc::strong_count(held) > 1);
            inner.sweep_at = (inner.known.len() * 2).max(256);
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
