//! `write_relabel_configs`: what one endpoint gets of a window, and under which labels.
//!
//! ```text
//!  window ─► each batch's list of series ─► external labels, then rules ─► the batch with another list, or fewer samples
//!                    └─ remembered, by list and by series: an unchanged page costs a copy of its values
//! ```
//!
//! Follows `StoreSeries` of Prometheus's queue manager. Of an endpoint with a lane for each class (`priority.rs`), a lane gets its
//! own series only. Refuses to know how requests are made.

use super::priority::{ClassFilter, classes, take_class};
use crate::model::{Class, Labels, LabelsBuilder, LabelsError, ScrapeBatch, Series, SeriesTable, Window};
use crate::relabel::{Rules, Verdict};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Windows that a target may be missing from before its list is forgotten.
const FORGET_AFTER_WINDOWS: u64 = 64;

/// One endpoint's rules, and what they made of the series seen lately.
pub struct WriteRelabeling {
    rules: Rules,
    external_labels: Labels,
    table: SeriesTable,
    filter: Option<ClassFilter>,
    /// Classes that the endpoint has lanes for.
    lanes: Vec<Class>,
    /// `None` if it is not sent.
    known: HashMap<Series, Option<Series>>,
    /// Of those that are not sent: those that another lane sends.
    elsewhere: HashSet<Series>,
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
    /// How many the rules drop.
    dropped: usize,
    /// The last window that it was in.
    window: u64,
}

impl WriteRelabeling {
    /// `None` if there are no rules: then the encoder adds external labels, and windows are sent as they are.
    pub fn new(rules: &Rules, external_labels: &Labels, filter: Option<ClassFilter>) -> Option<Self> {
        (!rules.is_empty()).then(|| WriteRelabeling {
            rules: rules.clone(),
            external_labels: external_labels.clone(),
            table: SeriesTable::new(),
            filter,
            lanes: filter.and_then(|filter| classes(rules, filter.default)).unwrap_or_default(),
            known: HashMap::new(),
            elsewhere: HashSet::new(),
            lists: HashMap::new(),
            windows: 0,
            complained: false,
        })
    }

    /// The window as the endpoint gets it, and how many samples of it were dropped. Of several lanes, the one of the endpoint's
    /// own class tells of these.
    pub fn apply(&mut self, window: Window) -> (Window, usize) {
        self.windows += 1;
        let mut dropped = 0;
        let (mut batches, mut records) = (Vec::new(), Vec::new());
        for (at, batch) in window.batches.iter().enumerate() {
            if let Some(batch) = self.batch(batch, &mut dropped) {
                batches.push(batch);
                records.extend(window.records.get(at));
            }
        }
        let extras_bytes = batches.iter().map(|batch: &Rc<ScrapeBatch>| batch.extras_bytes()).sum();
        let relabelled = Window { batches, records, next_record: window.next_record, extras_bytes };
        self.forget();
        let tells = self.filter.is_none_or(|filter| filter.class == filter.default);
        (relabelled, if tells { dropped } else { 0 })
    }

    /// `None` if nothing is left of it.
    fn batch(&mut self, batch: &ScrapeBatch, dropped: &mut usize) -> Option<Rc<ScrapeBatch>> {
        let known = self.lists.get(&batch.target).is_some_and(|list| Rc::ptr_eq(&list.from, &batch.series));
        if !known {
            let list = self.list(&batch.series);
            self.lists.insert(batch.target, list);
        }
        let list = self.lists.get_mut(&batch.target)?;
        list.window = self.windows;
        *dropped += list.dropped;
        (!list.to.is_empty()).then(|| Rc::new(batch.select(&list.kept, list.to.clone())))
    }

    fn list(&mut self, from: &Rc<[Series]>) -> Relabelled {
        let (mut to, mut kept, mut elsewhere) = (Vec::with_capacity(from.len()), Vec::with_capacity(from.len()), 0);
        for (series, position) in from.iter().zip(0..) {
            match self.series(series) {
                Some(relabelled) => {
                    to.push(relabelled);
                    kept.push(position);
                }
                None => elsewhere += usize::from(self.elsewhere.contains(series)),
            }
        }
        let dropped = from.len() - to.len() - elsewhere;
        Relabelled { from: from.clone(), to: to.into(), kept, dropped, window: self.windows }
    }

    fn series(&mut self, series: &Series) -> Option<Series> {
        if let Some(known) = self.known.get(series) {
            return known.clone();
        }
        let class_of =
            |labels: &mut LabelsBuilder| self.filter.map(|filter| take_class(labels, filter.default, &self.lanes));
        let kept = relabelled(&self.rules, &self.external_labels, series.labels(), class_of).unwrap_or_else(|error| {
            if !std::mem::replace(&mut self.complained, true) {
                log::warn!("write_relabel_configs: {series} and maybe others are dropped: {error}; make rules shorter");
            }
            None
        });
        let relabelled = match kept {
            Some((_, class)) if class != self.filter.map(|filter| filter.class) => {
                self.elsewhere.insert(series.clone());
                None
            }
            kept => kept.map(|(labels, _)| self.table.intern(&labels)),
        };
        self.known.insert(series.clone(), relabelled.clone());
        relabelled
    }

    /// Forgets targets that are gone, and series when there are many more than there are now.
    fn forget(&mut self) {
        let oldest = self.windows.saturating_sub(FORGET_AFTER_WINDOWS);
        self.lists.retain(|_, list| list.window >= oldest);
        let current: usize = self.lists.values().map(|list| list.from.len()).sum();
        if self.known.len() > 2 * current + 1024 {
            (self.known, self.elsewhere) = (HashMap::new(), HashSet::new());
        }
    }

    /// Forgets everything, as long as there is nothing to send.
    pub fn rest(&mut self) {
        if !self.known.is_empty() {
            (self.known, self.elsewhere, self.lists) = (HashMap::new(), HashSet::new(), HashMap::new());
            self.table = SeriesTable::new();
        }
    }
}

/// What external labels and rules make of a series, and what `look` makes of the labels before they are taken. `None`: dropped.
pub(super) fn relabelled<'l, T>(
    rules: &Rules,
    external_labels: &Labels,
    labels: impl IntoIterator<Item = (&'l str, &'l str)>,
    look: impl FnOnce(&mut LabelsBuilder) -> T,
) -> Result<Option<(Labels, T)>, LabelsError> {
    let mut labels = LabelsBuilder::over_base(labels);
    for (name, value) in external_labels {
        if labels.get(name).is_none() {
            labels.set(name, value);
        }
    }
    if rules.apply(&mut labels)? == Verdict::Drop {
        return Ok(None);
    }
    let seen = look(&mut labels);
    Ok(Some((labels.build()?, seen)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{batch, labels, series_list};
    use super::*;
    use crate::model::{NameScheme, OwnTimestamp};
    use crate::relabel::{Action, Rule, RuleOptions};
    use crate::remote_write::ClassCounter;

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
        Window { batches, next_record: 9, ..Window::default() }
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
        let mut relabeling =
            WriteRelabeling::new(&rules([drop_where("i", "1"), site, labeldrop]), &external, None).unwrap();
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
        let mut relabeling =
            WriteRelabeling::new(&rules([drop_where("job", "gone")]), &Labels::default(), None).unwrap();
        let table = SeriesTable::new();
        let (long, short, gone) =
            (series_list(&table, "j", 3), series_list(&table, "j", 2), series_list(&table, "gone", 5));
        let (sent, dropped) =
            relabeling.apply(window(vec![batch(0, 1, &long), batch(1, 1, &gone), batch(0, 2, &short)]));
        assert_eq!((sent.batches.len(), dropped), (2, 5));
        assert_eq!(sent.batches[0].series[..2], sent.batches[1].series[..]);
        let nothing = relabeling.apply(window(vec![batch(1, 2, &gone)]));
        assert_eq!((nothing.0.batches.len(), nothing.0.next_record, nothing.1), (0, 9, 5));
        assert!(WriteRelabeling::new(&Rules::default(), &Labels::default(), None).is_none());
    }

    #[test]
    fn lanes_of_classes_share_a_window_between_them_and_never_send_the_label() {
        let set = |regex: &str, class: &str| RuleOptions {
            source_labels: Some(vec!["i".into()]),
            regex: Some(regex.into()),
            target_label: "__priority__".into(),
            replacement: class.into(),
            ..RuleOptions::default()
        };
        let rules = rules([set("0|1", "high"), set("1|2", "low"), set("3", "odd"), drop_where("i", "4")]);
        let list = series_list(&SeriesTable::new(), "j", 6);
        for default in Class::ALL {
            let mut counter = ClassCounter::new(&rules, &Labels::default(), default);
            let (mut all, mut counts, mut dropped) = (Vec::new(), [0; 3], 0);
            for class in Class::ALL {
                let mut lane =
                    WriteRelabeling::new(&rules, &Labels::default(), Some(ClassFilter { class, default })).unwrap();
                for _ in 0..2 {
                    let (sent, gone) = lane.apply(window(vec![batch(0, 1, &list)]));
                    let shown: Vec<String> = sent.batches.iter().flat_map(|batch| shown(batch)).collect();
                    assert!(shown.iter().all(|series| !series.contains("__priority__")), "{shown:?}");
                    counts[class as usize] = (sent.samples() + gone) as u64;
                    all.extend(shown.into_iter().map(|series| (series, class)));
                    dropped += gone;
                    lane.rest();
                }
            }
            assert_eq!((all.len(), dropped), (2 * 5, 2), "each lane was asked twice");
            let class_of = |i: u64| all.iter().find(|(series, _)| series.contains(&format!("i=\"{i}\""))).unwrap().1;
            assert_eq!([0, 1, 2, 3, 5].map(class_of), [Class::High, Class::Low, Class::Low, default, default]);
            assert_eq!(counter.count(&batch(0, 1, &list)), counts, "as many as the lanes send or tell of");
        }
    }

    /// A rule gives the class high and no other, so that there are two lanes; a series that its page calls low was in neither.
    #[test]
    fn a_series_of_a_class_without_a_lane_is_sent_with_those_of_the_endpoints_own() {
        let high = RuleOptions {
            source_labels: Some(vec!["i".into()]),
            regex: Some("0".into()),
            target_label: "__priority__".into(),
            replacement: "high".into(),
            ..RuleOptions::default()
        };
        let (rules, table, none) = (rules([high]), SeriesTable::new(), Labels::default());
        let series =
            |i: &str, said: &str| table.intern(&labels(&[("__name__", "m"), ("__priority__", said), ("i", i)]));
        let list: Rc<[Series]> = [series("0", "low"), series("1", "low"), series("2", "high")].into();
        let mut counter = ClassCounter::new(&rules, &none, Class::Normal);
        let mut sent = Vec::new();
        for class in crate::remote_write::classes(&rules, Class::Normal).unwrap() {
            let filter = ClassFilter { class, default: Class::Normal };
            let mut lane = WriteRelabeling::new(&rules, &none, Some(filter)).unwrap();
            let (window, dropped) = lane.apply(window(vec![batch(0, 1, &list)]));
            sent.extend(window.batches.iter().flat_map(|batch| shown(batch)).map(|series| (class, series)));
            assert_eq!(dropped, 0);
        }
        let expected = [(Class::High, 0), (Class::High, 2), (Class::Normal, 1)];
        assert_eq!(sent, expected.map(|(class, i)| (class, format!("m{{i=\"{i}\"}} 1"))));
        assert_eq!(counter.count(&batch(0, 1, &list)), [2, 1, 0]);
    }

    #[test]
    fn memory_is_bounded_while_pages_change() {
        let mut relabeling = WriteRelabeling::new(&rules([drop_where("job", "x")]), &Labels::default(), None).unwrap();
        let table = SeriesTable::new();
        for job in 0..3000 {
            let list = series_list(&table, &job.to_string(), 4);
            relabeling.apply(window(vec![batch(job, 1, &list)]));
            assert!(relabeling.known.len() <= 2 * 4 * 66 + 1024 + 4 && relabeling.lists.len() <= 66);
        }
    }
}
