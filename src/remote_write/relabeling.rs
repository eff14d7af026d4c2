//! `write_relabel_configs`: what one endpoint gets of a window, and under which labels.
//!
//! ```text
//!  window ─► each batch's list of series ─► external labels, then rules ─► the batch with another list, or fewer samples
//!                    └─ remembered, by list and by series: an unchanged page costs a copy of its values
//! ```
//!
//! Follows `StoreSeries` of Prometheus's queue manager. Refuses to know how requests are made.

use crate::model::{Labels, LabelsBuilder, LabelsError, ScrapeBatch, Series, SeriesTable, Window};
use crate::relabel::{Rules, Verdict};
use std::collections::HashMap;
use std::rc::Rc;

/// Windows that a target may be missing from before its list is forgotten.
const FORGET_AFTER_WINDOWS: u64 = 64;

/// One endpoint's rules, and what they made of the series seen lately.
pub struct WriteRelabeling {
    rules: Rules,
    external_labels: Labels,
    table: SeriesTable,
    /// `None` if it is dropped.
    known: HashMap<Series, Option<Series>>,
    /// The last list of each target.
    lists: HashMap<u32, Relabelled>,
    windows: u64,
    /// That labels are past a limit is said once.
    complained: bool,
}

/// What became of a list.
struct Relabelled {
    from: Rc<[Series]>,
    to: Rc<[Series]>,
    /// Positions in `from`, one for each of `to`.
    kept: Vec<u32>,
    /// The last window that it was in.
    window: u64,
}

impl WriteRelabeling {
    /// `None` if there are no rules: then the encoder adds external labels, and windows are sent as they are.
    pub fn new(rules: &Rules, external_labels: &Labels) -> Option<Self> {
        (!rules.is_empty()).then(|| WriteRelabeling {
            rules: rules.clone(),
            external_labels: external_labels.clone(),
            table: SeriesTable::new(),
            known: HashMap::new(),
            lists: HashMap::new(),
            windows: 0,
            complained: false,
        })
    }

    /// The window as the endpoint gets it, and how many samples of it were dropped.
    pub fn apply(&mut self, window: Window) -> (Window, usize) {
        self.windows += 1;
        let samples = window.samples();
        let batches: Vec<_> = window.batches.iter().filter_map(|batch| self.batch(batch)).collect();
        let extras_bytes = batches.iter().map(|batch| batch.extras_bytes()).sum();
        let relabelled = Window { batches, next_record: window.next_record, extras_bytes };
        self.forget();
        let dropped = samples - relabelled.samples();
        (relabelled, dropped)
    }

    /// `None` if nothing is left of it.
    fn batch(&mut self, batch: &ScrapeBatch) -> Option<Rc<ScrapeBatch>> {
        let known = self.lists.get(&batch.target).is_some_and(|list| Rc::ptr_eq(&list.from, &batch.series));
        if !known {
            let list = self.list(&batch.series);
            self.lists.insert(batch.target, list);
        }
        let list = self.lists.get_mut(&batch.target)?;
        list.window = self.windows;
        (!list.to.is_empty()).then(|| Rc::new(batch.select(&list.kept, list.to.clone())))
    }

    fn list(&mut self, from: &Rc<[Series]>) -> Relabelled {
        let (mut to, mut kept) = (Vec::with_capacity(from.len()), Vec::with_capacity(from.len()));
        for (series, position) in from.iter().zip(0..) {
            if let Some(relabelled) = self.series(series) {
                to.push(relabelled);
                kept.push(position);
            }
        }
        Relabelled { from: from.clone(), to: to.into(), kept, window: self.windows }
    }

    fn series(&mut self, series: &Series) -> Option<Series> {
        if let Some(known) = self.known.get(series) {
            return known.clone();
        }
        let relabelled = self.relabel(series).unwrap_or_else(|error| {
            if !std::mem::replace(&mut self.complained, true) {
                log::warn!("write_relabel_configs: {series} and maybe others are dropped: {error}; make rules shorter");
            }
            None
        });
        let relabelled = relabelled.map(|labels| self.table.intern(&labels));
        self.known.insert(series.clone(), relabelled.clone());
        relabelled
    }

    fn relabel(&self, series: &Series) -> Result<Option<Labels>, LabelsError> {
        let mut labels = LabelsBuilder::over_base(series.labels());
        for (name, value) in &self.external_labels {
            if labels.get(name).is_none() {
                labels.set(name, value);
            }
        }
        match self.rules.apply(&mut labels)? {
            Verdict::Drop => Ok(None),
            Verdict::Keep => labels.build().map(Some),
        }
    }

    /// Forgets targets that are gone, and series when there are many more than there are now.
    fn forget(&mut self) {
        let oldest = self.windows.saturating_sub(FORGET_AFTER_WINDOWS);
        self.lists.retain(|_, list| list.window >= oldest);
        let current: usize = self.lists.values().map(|list| list.from.len()).sum();
        if self.known.len() > 2 * current + 1024 {
            self.known = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, labels, series_list};
    use super::*;
    use crate::model::{NameScheme, OwnTimestamp};
    use crate::relabel::{Action, Rule, RuleOptions};

    fn rules(options: impl IntoIterator<Item = RuleOptions>) -> Rules {
        options.into_iter().map(|options| Rule::new(options, NameScheme::Utf8).unwrap()).collect()
    }

    fn drop_where(label: &str, regex: &str) -> RuleOptions {
        RuleOptions {
            action: Action::Drop,
            source_labels: Some(vec![label.into()]),
            regex: Some(regex.into()),
            ..RuleOptions::default()
        }
    }

    fn window(batches: Vec<Rc<ScrapeBatch>>) -> Window {
        Window { batches, next_record: 9, extras_bytes: 0 }
    }

    fn shown(batch: &ScrapeBatch) -> Vec<String> {
        batch.series.iter().zip(&batch.values).map(|(series, value)| format!("{series} {value}")).collect()
    }

    #[test]
    fn rules_see_external_labels_and_samples_of_dropped_series_are_counted() {
        let site = RuleOptions {
            source_labels: Some(vec!["site".into(), "i".into()]),
            target_label: "where".into(),
            ..RuleOptions::default()
        };
        let labeldrop =
            RuleOptions { action: Action::LabelDrop, regex: Some("site|job".into()), ..RuleOptions::default() };
        let external = labels(&[("job", "mine"), ("site", "north")]);
        let mut relabeling = WriteRelabeling::new(&rules([drop_where("i", "1"), site, labeldrop]), &external).unwrap();
        let table = SeriesTable::new();
        let list = series_list(&table, "j", 3);
        let mut second = (*batch(0, 2000, &list)).clone();
        second.own_timestamps =
            [0, 1, 2].map(|index| OwnTimestamp { index, timestamp_ms: 500 + i64::from(index) }).into();
        let (sent, dropped) = relabeling.apply(window(vec![batch(0, 1000, &list), Rc::new(second)]));
        assert_eq!((sent.next_record, dropped, sent.samples()), (9, 2, 4));
        let [first, second] = &sent.batches[..] else { panic!("two batches") };
        assert_eq!(shown(first), [r#"m{i="0", where="north;0"} 1000"#, r#"m{i="2", where="north;2"} 1000"#]);
        assert!(Rc::ptr_eq(&first.series, &second.series), "an unchanged list stays one");
        assert_eq!((second.timestamp_ms_at(0), second.timestamp_ms_at(1)), (500, 502));
    }

    #[test]
    fn a_batch_of_which_nothing_is_left_is_not_sent_and_a_changed_page_keeps_its_series() {
        let mut relabeling = WriteRelabeling::new(&rules([drop_where("job", "gone")]), &Labels::default()).unwrap();
        let table = SeriesTable::new();
        let (long, short, gone) =
            (series_list(&table, "j", 3), series_list(&table, "j", 2), series_list(&table, "gone", 5));
        let (sent, dropped) =
            relabeling.apply(window(vec![batch(0, 1, &long), batch(1, 1, &gone), batch(0, 2, &short)]));
        assert_eq!((sent.batches.len(), dropped), (2, 5));
        assert_eq!(sent.batches[0].series[..2], sent.batches[1].series[..]);
        let nothing = relabeling.apply(window(vec![batch(1, 2, &gone)]));
        assert_eq!((nothing.0.batches.len(), nothing.0.next_record, nothing.1), (0, 9, 5));
        assert!(WriteRelabeling::new(&Rules::default(), &Labels::default()).is_none());
    }

    #[test]
    fn memory_is_bounded_while_pages_change() {
        let mut relabeling = WriteRelabeling::new(&rules([drop_where("job", "x")]), &Labels::default()).unwrap();
        let table = SeriesTable::new();
        for job in 0..3000 {
            let list = series_list(&table, &job.to_string(), 4);
            relabeling.apply(window(vec![batch(job, 1, &list)]));
            assert!(relabeling.known.len() <= 2 * 4 * 66 + 1024 + 4 && relabeling.lists.len() <= 66);
        }
    }
}
