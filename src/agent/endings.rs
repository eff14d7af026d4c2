//! Series of targets that have gone, between the end and their staleness markers.
//!
//! ```text
//!  last scrape     next would have been     the one after that, and a tenth of the interval
//!  ──────●───────────────────┬──────────────────────────┬──────
//!                      time of the markers      markers are written, but for series
//!                                               that came again since then
//! ```
//!
//! So a target that another one takes the place of leaves no gap. The rules are those of Prometheus's
//! `endOfRunStaleness`, whose storage refuses markers that are older than a series' newest sample.

use crate::model::{ScrapeBatch, Series};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::{Rc, Weak};

#[derive(Default)]
pub(super) struct Endings {
    waiting: RefCell<Vec<Weak<RefCell<Waiting>>>>,
}

struct Waiting {
    /// Time of the markers.
    timestamp_ms: i64,
    /// What still is to get one.
    series: HashSet<Series>,
}

/// Staleness markers that wait.
pub(super) struct Ending {
    markers: ScrapeBatch,
    waiting: Rc<RefCell<Waiting>>,
}

impl Endings {
    pub fn begin(&self, markers: ScrapeBatch) -> Ending {
        let series = markers.series.iter().cloned().collect();
        let waiting = Rc::new(RefCell::new(Waiting { timestamp_ms: markers.timestamp_ms, series }));
        self.waiting.borrow_mut().push(Rc::downgrade(&waiting));
        Ending { markers, waiting }
    }

    /// A batch enters the buffer: what it has newer samples of needs no marker.
    pub fn note(&self, batch: &ScrapeBatch) {
        let mut endings = self.waiting.borrow_mut();
        if endings.is_empty() {
            return;
        }
        endings.retain(|ending| {
            let Some(waiting) = ending.upgrade() else { return false };
            let Waiting { timestamp_ms, series } = &mut *waiting.borrow_mut();
            for (index, again) in batch.series.iter().enumerate() {
                if batch.timestamp_ms_at(index) >= *timestamp_ms {
                    series.remove(again);
                }
            }
            true
        });
    }
}

impl Ending {
    /// The markers of what has not come again. `None` if all of it has.
    pub fn markers(self) -> Option<ScrapeBatch> {
        let Ending { mut markers, waiting } = self;
        let kept = &waiting.borrow().series;
        if kept.len() < markers.series.len() {
            let positions = |markers: &ScrapeBatch| {
                let gone = markers.series.iter().enumerate().filter(|(_, series)| kept.contains(*series));
                gone.map(|(index, series)| (series.clone(), markers.values[index])).unzip::<_, _, Vec<_>, Vec<_>>()
            };
            let (series, values) = positions(&markers);
            (markers.series, markers.values) = (series.into(), values);
        }
        (!markers.is_empty()).then_some(markers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabelsBuilder, OwnTimestamp, SeriesTable, stale_nan};

    fn batch(table: &SeriesTable, names: &[&str], timestamp_ms: i64) -> ScrapeBatch {
        let series = names.iter().map(|name| {
            let labels = LabelsBuilder::from_iter([("__name__", *name)]).build().unwrap();
            table.intern(&labels)
        });
        let values = vec![stale_nan(); names.len()];
        ScrapeBatch {
            target: 0,
            timestamp_ms,
            series: series.collect(),
            values,
            own_timestamps: Vec::new(),
            extras: None,
        }
    }

    fn shown(markers: Option<ScrapeBatch>) -> Vec<String> {
        markers.map(|m| m.series.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    #[test]
    fn series_that_came_again_get_no_marker() {
        let (table, endings) = (SeriesTable::new(), Endings::default());
        let ending = endings.begin(batch(&table, &["a", "b", "c"], 1000));
        endings.note(&batch(&table, &["a"], 999));
        endings.note(&batch(&table, &["b", "d"], 1000));
        let mut own = batch(&table, &["c"], 2000);
        own.own_timestamps.push(OwnTimestamp { index: 0, timestamp_ms: 500 });
        endings.note(&own);
        assert_eq!(shown(ending.markers()), ["a", "c"]);
    }

    #[test]
    fn nothing_is_left_to_mark_if_all_of_it_came_again() {
        let (table, endings) = (SeriesTable::new(), Endings::default());
        let ending = endings.begin(batch(&table, &["a"], 1000));
        let other = endings.begin(batch(&table, &["a"], 3000));
        endings.note(&batch(&table, &["a"], 2000));
        assert!(ending.markers().is_none());
        assert_eq!(shown(other.markers()), ["a"]);
        endings.note(&batch(&table, &["a"], 2000));
        assert!(endings.waiting.borrow().is_empty(), "those that are over are forgotten");
    }
}
