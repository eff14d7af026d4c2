//! What some samples of a batch have besides a value.

use super::histogram::Histogram;
use super::labels::Labels;
use std::ops::Range;
use std::rc::Rc;

/// An observation that stands for others, such as the trace of one request.
#[derive(Clone, Debug)]
pub struct Exemplar {
    pub labels: Labels,
    pub value: f64,
    /// Its own, or its sample's where the page gives none.
    pub timestamp_ms: i64,
}

impl PartialEq for Exemplar {
    /// By the bits of the value.
    fn eq(&self, other: &Self) -> bool {
        (&self.labels, self.value.to_bits(), self.timestamp_ms)
            == (&other.labels, other.value.to_bits(), other.timestamp_ms)
    }
}

impl Eq for Exemplar {}

impl Exemplar {
    /// Bytes of memory that it takes.
    pub fn held_bytes(&self) -> usize {
        size_of::<Exemplar>() + self.labels.packed().len()
    }
}

/// By position in the batch's `series` and `values`, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// One at most for each sample; the sample's value is the histogram's sum.
    pub histograms: Vec<(u32, Rc<Histogram>)>,
    /// A sample may have several, oldest first.
    pub exemplars: Vec<(u32, Rc<Exemplar>)>,
    pub start_timestamps: StartTimestamps,
}

/// When the counts of samples began, in milliseconds, by position; one at most for each, in order. Scrapes of an unchanged
/// page share them.
#[derive(Clone, Debug, Default)]
pub struct StartTimestamps(Option<Rc<[(u32, i64)]>>);

impl StartTimestamps {
    pub fn as_slice(&self) -> &[(u32, i64)] {
        self.0.as_deref().unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b) || a == b,
            (None, None) => true,
            _ => false,
        }
    }
}

impl PartialEq for StartTimestamps {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl Eq for StartTimestamps {}

impl From<&[(u32, i64)]> for StartTimestamps {
    fn from(starts: &[(u32, i64)]) -> Self {
        StartTimestamps((!starts.is_empty()).then(|| starts.into()))
    }
}

impl Extras {
    pub fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.exemplars.is_empty() && self.start_timestamps.is_empty()
    }

    pub fn histogram_at(&self, index: usize) -> Option<&Rc<Histogram>> {
        let found = self.histograms.binary_search_by_key(&(index as u32), |(at, _)| *at).ok()?;
        Some(&self.histograms[found].1)
    }

    pub fn exemplars_at(&self, index: usize) -> impl Iterator<Item = &Rc<Exemplar>> {
        let first = self.exemplars.partition_point(|(at, _)| (*at as usize) < index);
        self.exemplars[first..].iter().take_while(move |(at, _)| *at as usize == index).map(|(_, exemplar)| exemplar)
    }

    pub fn start_timestamp_ms_at(&self, index: usize) -> Option<i64> {
        let starts = self.start_timestamps.as_slice();
        let found = starts.binary_search_by_key(&(index as u32), |(at, _)| *at).ok()?;
        Some(starts[found].1)
    }

    /// Those of samples in this range, with positions from its start.
    pub fn part(&self, range: Range<usize>) -> Extras {
        let starts: Vec<_> = within(self.start_timestamps.as_slice(), &range).collect();
        Extras {
            histograms: within(&self.histograms, &range).collect(),
            exemplars: within(&self.exemplars, &range).collect(),
            start_timestamps: starts[..].into(),
        }
    }

    /// Those of samples at these positions, which are in order.
    pub fn select(&self, positions: &[u32]) -> Extras {
        let starts: Vec<_> = among(self.start_timestamps.as_slice(), positions).collect();
        Extras {
            histograms: among(&self.histograms, positions).collect(),
            exemplars: among(&self.exemplars, positions).collect(),
            start_timestamps: starts[..].into(),
        }
    }

    /// Bytes of memory that they take, with all that is shared.
    pub fn held_bytes(&self) -> usize {
        let histograms = self.histograms.iter().map(|(_, histogram)| 16 + histogram.held_bytes());
        let exemplars = self.exemplars.iter().map(|(_, exemplar)| 16 + exemplar.held_bytes());
        size_of::<Extras>()
            + size_of_val(self.start_timestamps.as_slice())
            + histograms.sum::<usize>()
            + exemplars.sum::<usize>()
    }
}

fn among<'a, T: Clone>(items: &'a [(u32, T)], positions: &'a [u32]) -> impl Iterator<Item = (u32, T)> + 'a {
    items.iter().filter_map(|(at, item)| Some((positions.binary_search(at).ok()? as u32, item.clone())))
}

fn within<'a, T: Clone>(items: &'a [(u32, T)], range: &'a Range<usize>) -> impl Iterator<Item = (u32, T)> + 'a {
    let start = range.start as u32;
    let first = items.partition_point(|(at, _)| *at < start);
    let items = items[first..].iter().take_while(|(at, _)| (*at as usize) < range.end);
    items.map(move |(at, item)| (at - start, item.clone()))
}
