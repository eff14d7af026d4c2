//! What pages say of their metrics: type, help and unit of each family. Whoever reads pages puts it here, whoever sends looks it up.
//!
//! ```text
//!  target 0  job a, instance 1   ─┬─► http_requests  counter  "Requests."      each family once,
//!  target 1  job a, instance 2   ─┘─► temperature    gauge    "In degrees."    in order of names
//! ```
//!
//! Bounded: what has no room is not kept. Refuses to know formats and messages.

use super::series::Series;
use crate::limits::METADATA_BYTES_MAX;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// What a page says that a metric is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricType {
    /// `untyped` in the text format, `unknown` in OpenMetrics, or nothing said so far.
    #[default]
    Unknown,
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
}

/// One family of metrics: a name, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricFamily {
    pub metric_type: MetricType,
    /// Name, unit and help, one behind the other.
    text: Box<str>,
    name_len: u32,
    unit_len: u32,
}

impl MetricFamily {
    /// `None` if the texts together are past all bounds.
    pub fn new(name: &str, metric_type: MetricType, help: &str, unit: &str) -> Option<Self> {
        let text = [name, unit, help].concat();
        if text.len() > METADATA_BYTES_MAX {
            return None;
        }
        // Within that bound, which fits into 32 bits.
        Some(MetricFamily { metric_type, text: text.into(), name_len: name.len() as u32, unit_len: unit.len() as u32 })
    }

    pub fn name(&self) -> &str {
        &self.text[..self.name_len as usize]
    }

    pub fn unit(&self) -> &str {
        &self.text[self.name_len as usize..][..self.unit_len as usize]
    }

    pub fn help(&self) -> &str {
        &self.text[(self.name_len + self.unit_len) as usize..]
    }

    /// Whether a series of this name is of this family; Prometheus's `isSeriesPartOfFamily`.
    fn has(&self, series_name: &str) -> bool {
        let cut = |name: &'_ str, suffixes: &[&str]| {
            let cut = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
            cut.map_or(name.len(), str::len)
        };
        let (of_family, of_series): (&[&str], &[&str]) = match self.metric_type {
            MetricType::Counter => (&["_total"], &["_total"]),
            MetricType::Histogram => (&[], &["_bucket", "_sum", "_count"]),
            MetricType::GaugeHistogram => (&[], &["_bucket", "_gsum", "_gcount"]),
            MetricType::Summary => (&[], &["_sum", "_count"]),
            MetricType::Info => (&["_info"], &["_info"]),
            MetricType::Unknown | MetricType::Gauge | MetricType::StateSet => (&[], &[]),
        };
        let name = self.name();
        series_name.starts_with(name) && name[..cut(name, of_family)] == series_name[..cut(series_name, of_series)]
    }

    /// Memory that it takes.
    fn held_bytes(&self) -> usize {
        size_of::<MetricFamily>() + 2 * size_of::<usize>() + self.text.len()
    }
}

impl Ord for MetricFamily {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |family: &Self| (family.metric_type, family.unit_len);
        (self.name().cmp(other.name()))
            .then_with(|| key(self).cmp(&key(other)))
            .then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for MetricFamily {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Suffixes that a series' name may have behind its family's.
const SUFFIXES: [&str; 7] = ["_total", "_bucket", "_sum", "_count", "_gsum", "_gcount", "_info"];

/// The families of all targets, each once.
pub struct MetadataTable {
    inner: RefCell<Inner>,
    /// Of series that no page lists.
    reported: Vec<Rc<MetricFamily>>,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    /// In order.
    families: Vec<Rc<MetricFamily>>,
    targets: HashMap<u32, OfTarget>,
}

/// What one target's last page said.
struct OfTarget {
    job: Box<str>,
    instance: Box<str>,
    /// In order.
    families: Box<[Rc<MetricFamily>]>,
    /// The target is no more, but its last samples may not have been sent yet.
    is_gone: bool,
}

impl MetadataTable {
    /// `reported` is what is known of series that no page lists, such as `up`.
    pub fn new(reported: impl IntoIterator<Item = MetricFamily>) -> Self {
        Self::with_bytes_max(reported, METADATA_BYTES_MAX)
    }

    fn with_bytes_max(reported: impl IntoIterator<Item = MetricFamily>, bytes_max: usize) -> Self {
        let mut reported: Vec<_> = reported.into_iter().map(Rc::new).collect();
        reported.sort();
        MetadataTable { inner: RefCell::default(), reported, bytes_max }
    }

    /// Puts what a target's page says, each name once, in place of what its last one said. The target is known by its number,
    /// and its series by job and instance.
    pub fn publish(&self, target: u32, job: &str, instance: &str, families: impl IntoIterator<Item = MetricFamily>) {
        let mut inner = self.inner.borrow_mut();
        // Until the new ones are there, so that what stays is not made again.
        let before = inner.targets.remove(&target);
        if inner.held_bytes() > self.bytes_max / 2 {
            inner.targets.retain(|_, target| !target.is_gone);
            inner.sweep();
        }
        let mut held = inner.held_bytes() + size_of::<OfTarget>() + job.len() + instance.len();
        let mut kept = Vec::new();
        for family in families {
            let place = inner.families.binary_search_by(|known| known.as_ref().cmp(&family));
            let pointer = size_of::<Rc<MetricFamily>>();
            let cost = if place.is_ok() { pointer } else { 2 * pointer + family.held_bytes() };
            if held + cost > self.bytes_max {
                continue;
            }
            held += cost;
            let at = place.unwrap_or_else(|at| {
                inner.families.insert(at, Rc::new(family));
                at
            });
            kept.push(inner.families[at].clone());
        }
        drop(before);
        kept.sort();
        let families = kept.into_boxed_slice();
        inner.targets.insert(target, OfTarget { job: job.into(), instance: instance.into(), families, is_gone: false });
        inner.sweep();
    }

    /// The target is gone. What it said is still found, for its last samples and staleness markers, until another takes its number or
    /// the room is needed.
    pub fn retire(&self, target: u32) {
        if let Some(target) = self.inner.borrow_mut().targets.get_mut(&target) {
            target.is_gone = true;
        }
    }

    /// All families of all targets that there are, each once, in order of their names. A name comes twice where targets differ.
    pub fn families(&self) -> Vec<Rc<MetricFamily>> {
        let inner = self.inner.borrow();
        let listed = inner.listed(|target| !target.is_gone);
        inner.families.iter().filter(|family| listed.contains(&Rc::as_ptr(family))).cloned().collect()
    }

    /// Returns the family of a series. `None` if no page describes it, or if several targets describe it differently and the
    /// target with the series' own `job` and `instance` is not among them.
    ///
    /// Each family of the series' own target comes before any family of another target, as in Prometheus, which knows no others.
    pub fn find(&self, series: &Series) -> Option<Rc<MetricFamily>> {
        let name = series.get("__name__")?;
        if let Some(reported) = named(&self.reported, name).first() {
            return Some(reported.clone());
        }
        let inner = self.inner.borrow();
        let fits = |family: &&Rc<MetricFamily>| family.has(name);
        let mut described = described(&inner.families, name);
        let (first, second) = (described.next()?, described.next());
        if second.is_none() {
            return Some(first).filter(fits).cloned();
        }
        let own = inner.target_of(series).map_or(&[][..], |target| &target.families);
        match self::described(own, name).next() {
            Some(_) => self::described(own, name).find(fits).cloned(),
            None => self::described(&inner.families, name)
                .filter(fits)
                .find(|family| named(&inner.families, family.name()).len() == 1)
                .cloned(),
        }
    }

    /// Memory that the families of targets take.
    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        self.inner.borrow().held_bytes()
    }
}

impl Inner {
    fn target_of(&self, series: &Series) -> Option<&OfTarget> {
        let (job, instance) = (series.get("job").unwrap_or(""), series.get("instance").unwrap_or(""));
        let its_own = |target: &&OfTarget| &*target.job == job && &*target.instance == instance;
        self.targets.values().filter(its_own).min_by_key(|target| target.is_gone)
    }

    /// The families of these targets.
    fn listed(&self, is_meant: impl Fn(&OfTarget) -> bool) -> HashSet<*const MetricFamily> {
        let targets = self.targets.values().filter(|target| is_meant(target));
        targets.flat_map(|target| target.families.iter().map(Rc::as_ptr)).collect()
    }

    fn sweep(&mut self) {
        // Not by their counts: whoever sends them may hold some for longer.
        let listed = self.listed(|_| true);
        self.families.retain(|family| listed.contains(&Rc::as_ptr(family)));
    }

    fn held_bytes(&self) -> usize {
        let of_target = |target: &OfTarget| {
            let families = size_of_val(&*target.families);
            size_of::<OfTarget>() + target.job.len() + target.instance.len() + families
        };
        let families = self.families.iter().map(|family| size_of::<Rc<MetricFamily>>() + family.held_bytes());
        families.chain(self.targets.values().map(of_target)).sum()
    }
}

/// Families that a series of this name may belong to, among families in order: those of its exact name first.
fn described<'f>(families: &'f [Rc<MetricFamily>], series_name: &str) -> impl Iterator<Item = &'f Rc<MetricFamily>> {
    let stripped = SUFFIXES.iter().filter_map(|suffix| series_name.strip_suffix(suffix));
    std::iter::once(series_name).chain(stripped).flat_map(|name| named(families, name))
}

/// Those of this name among families in order.
fn named<'f>(families: &'f [Rc<MetricFamily>], name: &str) -> &'f [Rc<MetricFamily>] {
    let start = families.partition_point(|family| family.name() < name);
    let len = families[start..].iter().take_while(|family| family.name() == name).count();
    &families[start..start + len]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabelsBuilder, SeriesTable};

    fn family(name: &str, metric_type: MetricType, help: &str) -> MetricFamily {
        MetricFamily::new(name, metric_type, help, "").unwrap()
    }

    fn series(name: &str, job: &str, instance: &str) -> Series {
        let mut labels = LabelsBuilder::from_iter([("__name__", name), ("job", job), ("instance", instance)]);
        SeriesTable::new().intern(&labels.build().unwrap())
    }

    fn help(table: &MetadataTable, name: &str) -> Option<String> {
        table.find(&series(name, "j", "i")).map(|family| family.help().to_string())
    }

    /// The cases of Prometheus's `TestIsSeriesPartOfFamily`, and the other types.
    #[test]
    fn series_belong_to_families_as_in_prometheus() {
        use MetricType::*;
        for (series, name, metric_type, expected) in [
            ("http_requests_total", "http_requests_total", Counter, true),
            ("http_requests_total", "http_requests", Counter, true),
            ("http_requests_total", "http_requests_total", Unknown, true),
            ("http_requests_total", "http_requests", Unknown, false),
            ("http_requests2_total", "http_requests_total", Counter, false),
            ("http_requests_requests_total", "http_requests", Counter, false),
            ("http_requests_created", "http_requests", Counter, false),
            ("http_requests_count", "http_requests_count", Gauge, true),
            ("http_requests_count", "http_requests_count", Unknown, true),
            ("http_requests_count2", "http_requests_count", Counter, false),
            ("http_requests_seconds_sum", "http_requests_seconds", Histogram, true),
            ("http_requests_seconds_count", "http_requests_seconds", Histogram, true),
            ("http_requests_seconds_bucket", "http_requests_seconds", Histogram, true),
            ("http_requests_seconds", "http_requests_seconds", Histogram, true),
            ("http_requests_seconds_sum", "http_requests_seconds", Unknown, false),
            ("http_requests_seconds2_sum", "http_requests_seconds", Histogram, false),
            ("a_count", "a_count", Histogram, false),
            ("a_gsum", "a", GaugeHistogram, true),
            ("a_gcount", "a", GaugeHistogram, true),
            ("a_sum", "a", GaugeHistogram, false),
            ("a_sum", "a", Summary, true),
            ("a", "a", Summary, true),
            ("a_bucket", "a", Summary, false),
            ("build_info", "build", Info, true),
            ("build_info", "build_info", Info, true),
            ("build", "build_info", Info, false),
            ("s", "s", StateSet, true),
        ] {
            assert_eq!(family(name, metric_type, "").has(series), expected, "{series} {name} {metric_type:?}");
            let table = MetadataTable::new([]);
            table.publish(0, "j", "i", [family(name, metric_type, "h")]);
            assert_eq!(help(&table, series).is_some(), expected, "{series} {name} {metric_type:?}");
        }
    }

    #[test]
    fn a_family_has_its_texts() {
        let family = MetricFamily::new("name", MetricType::Gauge, "what it is", "seconds").unwrap();
        assert_eq!((family.name(), family.help(), family.unit()), ("name", "what it is", "seconds"));
    }

    #[test]
    fn what_targets_agree_on_is_held_once_and_goes_with_the_last_of_them() {
        let table = MetadataTable::new([]);
        let page = || [family("b", MetricType::Gauge, "B"), family("a", MetricType::Gauge, "A")];
        table.publish(0, "j", "0", page());
        let held = table.held_bytes();
        table.publish(1, "j", "1", page());
        assert!(table.held_bytes() - held < 120, "{} more", table.held_bytes() - held);
        let names = || table.families().iter().map(|family| family.name().to_string()).collect::<Vec<_>>();
        assert_eq!(names(), ["a", "b"]);
        table.publish(1, "j", "1", [family("a", MetricType::Gauge, "A")]);
        assert_eq!(names(), ["a", "b"]);
        table.publish(0, "j", "0", []);
        assert_eq!(names(), ["a"]);
        assert!(table.held_bytes() < held);
    }

    /// The staleness markers of a target that has gone are sent when it is no more: they are to be of the same type as ever.
    #[test]
    fn what_a_target_said_outlives_it_for_its_last_samples() {
        let table = MetadataTable::new([]);
        table.publish(0, "j", "i", [family("a", MetricType::Gauge, "A")]);
        table.retire(0);
        assert_eq!((help(&table, "a").as_deref(), table.families().len()), (Some("A"), 0));
        table.publish(1, "j", "i", [family("a", MetricType::Gauge, "anew")]);
        assert_eq!((help(&table, "a").as_deref(), table.families().len()), (Some("anew"), 1));
        table.publish(0, "j", "other", []);
        assert_eq!(table.inner.borrow().families.len(), 1);
    }

    #[test]
    fn where_targets_differ_each_series_has_what_its_own_says() {
        let table = MetadataTable::new([]);
        table.publish(0, "j", "0", [family("a", MetricType::Gauge, "old"), family("b", MetricType::Gauge, "b")]);
        table.publish(1, "j", "1", [family("a", MetricType::Counter, "new")]);
        let found = |name, instance| table.find(&series(name, "j", instance)).map(|family| family.help().to_string());
        assert_eq!((found("a", "0"), found("a", "1")), (Some("old".into()), Some("new".into())));
        assert_eq!(found("a_total", "1").as_deref(), Some("new"));
        assert_eq!(found("a_total", "0"), None, "a gauge has no such series");
        assert_eq!(found("a", "2"), None, "it could be either");
        assert_eq!(found("b", "2").as_deref(), Some("b"), "there is but one");
        assert_eq!(table.families().len(), 3);
    }

    /// One target's page in OpenMetrics has `process_cpu_seconds` and a histogram `q`, another's in text has
    /// `process_cpu_seconds_total` and a gauge `q_count`: series of the first got help and type of the second.
    #[test]
    fn every_family_of_the_own_target_comes_before_an_exact_name_of_another() {
        use MetricType::*;
        let table = MetadataTable::new([]);
        table.publish(0, "j", "0", [family("process_cpu_seconds", Counter, "open"), family("q", Histogram, "open")]);
        let text = [family("process_cpu_seconds_total", Counter, "text"), family("q_count", Gauge, "text")];
        table.publish(1, "j", "1", text);
        let found = |name, instance| {
            let family = table.find(&series(name, "j", instance))?;
            Some((family.help().to_string(), family.metric_type))
        };
        assert_eq!(found("process_cpu_seconds_total", "0"), Some(("open".into(), Counter)));
        assert_eq!(found("process_cpu_seconds_total", "1"), Some(("text".into(), Counter)));
        assert_eq!(found("q_count", "0"), Some(("open".into(), Histogram)));
        assert_eq!(found("q_count", "1"), Some(("text".into(), Gauge)));
        assert_eq!(found("q_count", "2"), Some(("text".into(), Gauge)), "a series of no target: the exact name");
    }

    #[test]
    fn what_is_reported_is_found_and_not_listed() {
        let table = MetadataTable::new([family("up", MetricType::Gauge, "Health")]);
        table.publish(0, "j", "i", [family("up", MetricType::Counter, "a page's own")]);
        assert_eq!(help(&table, "up").as_deref(), Some("Health"));
        assert_eq!(table.families().len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_what_fits_is_kept() {
        let table = MetadataTable::with_bytes_max([], 10_000);
        let page = |from: usize| (from..from + 1000).map(|i| family(&format!("m{i:05}"), MetricType::Gauge, "help"));
        for target in 0..20 {
            table.publish(target, "j", "i", page(100 * target as usize));
            assert!(table.held_bytes() <= 10_000 + 2000, "{}", table.held_bytes());
        }
        assert_eq!(help(&table, "m00000").as_deref(), Some("help"));
        assert_eq!(help(&table, "m01999"), None);
        (0..20).for_each(|target| table.retire(target));
        table.publish(20, "j", "i", page(1999));
        assert_eq!((help(&table, "m01999").as_deref(), help(&table, "m00000")), (Some("help"), None));
        assert!(MetricFamily::new("m", MetricType::Gauge, &"x".repeat(METADATA_BYTES_MAX), "").is_none());
    }
}
