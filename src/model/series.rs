//! Interned label sets: two series are the same if and only if they are the same place in memory.

use super::labels::{Labels, LabelsIter};
use crate::limits::SERIES_MAX;
use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;
use triomphe::ThinArc;

/// A series' labels, shared by whoever holds it; cloning copies a pointer, of one word. Comes from a [`SeriesTable`] only.
#[derive(Clone)]
pub struct Series(ThinArc<(), u8>);

impl Series {
    pub fn labels(&self) -> LabelsIter<'_> {
        LabelsIter::over_checked(self.packed())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.labels().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The packed form that [`Labels::from_packed`] takes.
    pub fn packed(&self) -> &[u8] {
        &self.0.slice
    }

    /// The identity of the series as a number, valid for as long as somebody holds it.
    pub fn address(&self) -> usize {
        self.packed().as_ptr().addr()
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
    /// Live series of all targets; see [`LiveSeries`].
    live: Cell<usize>,
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
    texts: HashSet<ByContent>,
}

impl SeriesTable {
    pub fn new() -> Self {
        Self::default()
    }

    /// A table for targets that may have no more than `series_max` live series together.
    pub fn with_series_max(series_max: usize) -> Self {
        SeriesTable { inner: RefCell::default(), series_max, live: Cell::new(0) }
    }

    pub fn series_max(&self) -> usize {
        self.series_max
    }

    /// Series that the targets expose now, all targets together.
    pub fn live(&self) -> usize {
        self.live.get()
    }

    pub fn intern(&self, labels: &Labels) -> Series {
        let mut inner = self.inner.borrow_mut();
        if let Some(ByContent(known)) = inner.known.get(labels.packed()) {
            return Series(known.clone());
        }
        if inner.known.len() >= inner.sweep_at {
            inner.sweep();
        }
        let new = ThinArc::from_header_and_slice((), labels.packed());
        inner.known.insert(ByContent(new.clone()));
        Series(new)
    }

    /// Holds a text once, however many have it.
    pub fn share_text(&self, text: &[u8]) -> SharedText {
        let mut inner = self.inner.borrow_mut();
        if let Some(ByContent(known)) = inner.texts.get(text) {
            return SharedText(known.clone());
        }
        sweep(&mut inner.texts);
        let new = ThinArc::from_header_and_slice((), text);
        inner.texts.insert(ByContent(new.clone()));
        SharedText(new)
    }

    /// Forgets what nobody holds any more, and gives back the room that it took.
    pub fn sweep(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.sweep();
        sweep(&mut inner.texts);
        if inner.known.capacity() > 4 * inner.known.len() {
            inner.known.shrink_to_fit();
        }
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
        sweep(&mut self.known);
        self.sweep_at = (self.known.len() * 2).max(256);
    }
}

/// How many live series one target has: those of its last page. The limit of the [`SeriesTable`] is on the sum of all targets.
///
/// Series that are only in batches or in a codec's dictionary are not live: they leave memory by themselves, and must not keep
/// a target in the dark meanwhile.
pub struct LiveSeries {
    table: Rc<SeriesTable>,
    count: usize,
}

impl LiveSeries {
    pub fn new(table: Rc<SeriesTable>) -> Self {
        LiveSeries { table, count: 0 }
    }

    /// Whether the limit allows one more, when `added` are not counted yet.
    pub fn has_room(&self, added: usize) -> bool {
        self.table.live() + added < self.table.series_max()
    }

    pub fn set(&mut self, count: usize) {
        self.table.live.set(self.table.live() - self.count + count);
        self.count = count;
    }
}

impl Drop for LiveSeries {
    fn drop(&mut self) {
        self.set(0);
    }
}

fn sweep(held: &mut HashSet<ByContent>) {
    held.retain(|ByContent(held)| ThinArc::strong_count(held) > 1);
}

/// A text that several hold; see [`SeriesTable::share_text`].
#[derive(Clone)]
pub struct SharedText(ThinArc<(), u8>);

impl Default for SharedText {
    fn default() -> Self {
        SharedText(ThinArc::from_header_and_slice((), &[]))
    }
}

impl Deref for SharedText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.slice
    }
}

struct ByContent(ThinArc<(), u8>);

impl PartialEq for ByContent {
    fn eq(&self, other: &Self) -> bool {
        self.0.slice == other.0.slice
    }
}

impl Eq for ByContent {}

/// As the bytes alone, which it is looked up by.
impl Hash for ByContent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.slice.hash(state);
    }
}

impl Borrow<[u8]> for ByContent {
    fn borrow(&self) -> &[u8] {
        &self.0.slice
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
    fn live_series_are_counted_over_all_targets_until_they_go() {
        let table = Rc::new(SeriesTable::with_series_max(3));
        let (mut a, mut b) = (LiveSeries::new(table.clone()), LiveSeries::new(table.clone()));
        a.set(2);
        assert_eq!((b.has_room(0), b.has_room(1)), (true, false));
        b.set(1);
        assert_eq!((a.has_room(0), table.live()), (false, 3));
        a.set(1);
        assert!(b.has_room(0));
        drop(a);
        assert_eq!(table.live(), 1);
        table.intern(&labels("of a batch"));
        assert_eq!(table.live(), 1, "what is read back from the ring is not live");
    }

    #[test]
    fn equal_texts_are_held_once_while_somebody_holds_them() {
        let table = SeriesTable::new();
        let (a, b) = (table.share_text(b"page"), table.share_text(b"page"));
        assert_eq!((a.as_ptr(), &*a), (b.as_ptr(), &b"page"[..]));
        drop((a, b));
        table.sweep();
        assert!(table.inner.borrow().texts.is_empty());
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
        table.sweep();
        assert_eq!(table.len(), 1);
        assert!(table.inner.borrow().known.capacity() < 16, "the room goes too");
    }
}
