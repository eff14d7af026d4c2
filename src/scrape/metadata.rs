//! What one target's pages say of their metrics, taken down when it changes.
//!
//! ```text
//!  page ─► each # line ─► hash ── as on the last page: nothing more
//!                              └─ another: the page's # lines are read once more, and go to the table
//! ```
//!
//! As Prometheus's `scrapeCache` does it, but for two things: a page that fails changes nothing, and what a page no longer says is
//! gone with it, where Prometheus remembers it for ten scrapes. Refuses to know who wants it.

use super::content_type::Format;
use super::entry::Entry;
use super::parser::Parser;
use super::protobuf::HistogramForms;
use crate::limits::METADATA_BYTES_MAX;
use crate::model::{MetadataTable, MetricFamily, MetricType, Target};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// Of what one page says of its metrics, as it is read.
#[derive(Default)]
pub struct MetadataHash(DefaultHasher);

impl MetadataHash {
    pub fn note(&mut self, entry: &Entry<'_>) {
        match entry {
            Entry::Type { name, metric_type } => (0, name, *metric_type as u8).hash(&mut self.0),
            Entry::Help { name, text } => (1, name, text).hash(&mut self.0),
            Entry::Unit { name, unit } => (2, name, unit).hash(&mut self.0),
            Entry::Sample(_) | Entry::Comment => {}
        }
    }
}

/// Keeps one target's part of the table.
pub struct Collector {
    table: Rc<MetadataTable>,
    number: u32,
    target: Rc<Target>,
    /// Of the last page.
    hash: Option<(u64, Format)>,
}

impl Collector {
    pub fn new(table: Rc<MetadataTable>, number: u32, target: Rc<Target>) -> Self {
        Collector { table, number, target, hash: None }
    }

    /// After a page that was taken whole.
    pub fn follow(&mut self, hash: Option<MetadataHash>, page: &[u8], format: Format) {
        let Some(MetadataHash(hasher)) = hash else { return };
        let hash = Some((hasher.finish(), format));
        if self.hash == hash {
            return;
        }
        self.hash = hash;
        let label = |name| self.target.labels.get(name).unwrap_or("");
        self.table.publish(self.number, label("job"), label("instance"), families(page, format));
    }
}

impl Drop for Collector {
    /// The target is scraped no more.
    fn drop(&mut self) {
        self.table.retire(self.number);
    }
}

/// What is said of one family, by its name.
#[derive(Default)]
struct Said {
    metric_type: MetricType,
    help: String,
    unit: String,
}

/// The families of a page that was read before, in order of their names.
fn families(page: &[u8], format: Format) -> impl Iterator<Item = MetricFamily> {
    let mut parser = Parser::new(page, format, HistogramForms::default());
    let (mut families, mut bytes) = (BTreeMap::<String, Said>::new(), 0);
    while let Ok(Some(entry)) = parser.next(None) {
        let (Entry::Type { name, .. } | Entry::Help { name, .. } | Entry::Unit { name, .. }) = entry else { continue };
        let Ok(name) = std::str::from_utf8(name) else { continue };
        bytes += name.len() + size_of::<Said>();
        // All that there can be room for was read.
        if bytes > METADATA_BYTES_MAX {
            break;
        }
        let said = families.entry(name.into()).or_default();
        match entry {
            Entry::Type { metric_type, .. } => said.metric_type = metric_type,
            Entry::Help { text, .. } => {
                bytes += text.len();
                said.help = help_of(text, format).into();
            }
            Entry::Unit { unit, .. } => {
                bytes += unit.len();
                said.unit = String::from_utf8_lossy(unit).into();
            }
            Entry::Sample(_) | Entry::Comment => {}
        }
    }
    let family =
        |(name, Said { metric_type, help, unit }): (String, Said)| MetricFamily::new(&name, metric_type, &help, &unit);
    families.into_iter().filter_map(family)
}

/// Resolves what the format escapes in a help text.
fn help_of(text: &str, format: Format) -> Cow<'_, str> {
    if format == Format::Protobuf || !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let resolved = match chars.peek() {
            Some('\\') if char == '\\' => Some('\\'),
            Some('n') if char == '\\' => Some('\n'),
            Some('"') if char == '\\' && format == Format::OpenMetrics => Some('"'),
            _ => None,
        };
        plain.push(resolved.unwrap_or(char));
        if resolved.is_some() {
            chars.next();
        }
    }
    Cow::Owned(plain)
}

/// What Prometheus says of the series that each scrape reports.
pub fn reported_families() -> impl Iterator<Item = MetricFamily> {
    let said = [
        ("up", "Health of the scrape target. 1 means the target is healthy, 0 if the scrape failed.", "targets"),
        ("scrape_duration_seconds", "Duration of the last scrape in seconds.", "seconds"),
        ("scrape_samples_scraped", "Number of samples last scraped.", "samples"),
        (
            "scrape_samples_post_metric_relabeling",
            "Number of samples remaining after metric relabeling was applied.",
            "samples",
        ),
        ("scrape_series_added", "Number of series in the last scrape.", "series"),
        ("scrape_timeout_seconds", "The configured scrape timeout for a target.", "seconds"),
        (
            "scrape_sample_limit",
            "The configured sample limit for a target. Returns zero if there is no limit configured.",
            "samples",
        ),
        (
            "scrape_body_size_bytes",
            "The uncompressed size of the last scrape response, if successful. Scrapes failing because body_size_limit is \
             exceeded report -1, other scrape failures report 0.",
            "bytes",
        ),
    ];
    said.into_iter().filter_map(|(name, help, unit)| MetricFamily::new(name, MetricType::Gauge, help, unit))
}

#[cfg(test)]
mod tests {
    use super::super::client_model as client;
    use super::super::{Cycle, ScrapeOptions};
    use super::*;
    use crate::model::{LabelsBuilder, Params, Scheme, SeriesTable};
    use prost::Message;
    use std::time::Duration;

    fn cycle(table: &Rc<MetadataTable>, number: u32) -> Cycle {
        let target = Target {
            scheme: Scheme::Http,
            address: "a:1".into(),
            metrics_path: "/metrics".into(),
            params: Params::new(),
            labels: LabelsBuilder::from_iter([("job", "j"), ("instance", "i")]).build().unwrap(),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            socket: None,
            durations_as_written: None,
        };
        let cycle =
            Cycle::new(number, Rc::new(target), ScrapeOptions::default(), Rc::new(SeriesTable::new()), Rc::default());
        cycle.unwrap().with_metadata(table.clone())
    }

    fn scrape(cycle: &mut Cycle, page: &[u8], format: Format) {
        cycle.complete(Some((page, format)), 1000, Duration::ZERO);
    }

    /// Name, type, unit and help of each family.
    fn shown(table: &MetadataTable) -> Vec<String> {
        let line = |family: &Rc<MetricFamily>| {
            format!("{} {:?} {:?} {:?}", family.name(), family.metric_type, family.unit(), family.help())
        };
        table.families().iter().map(line).collect()
    }

    #[test]
    fn each_format_tells_what_its_metrics_are() {
        let text = "# HELP b What \\\\ it\\nis \\\"quoted\\\".\n# TYPE b counter\nb 1\n# TYPE a gauge\na 2\n# HELP c No type.\nc 3\n";
        let open = "# HELP b What \\\\ it\\nis \\\"quoted\\\".\n# TYPE b_seconds counter\n# UNIT b_seconds seconds\nb_seconds_total 1\n# EOF\n";
        let family = client::MetricFamily {
            name: "b".into(),
            help: "What \\n it is.".into(),
            kind: 4,
            unit: "seconds".into(),
            metric: vec![client::Metric::default()],
        };
        for (page, format, expected) in [
            (
                text.as_bytes().to_vec(),
                Format::Text,
                vec![
                    r#"a Gauge "" """#,
                    r#"b Counter "" "What \\ it\nis \\\"quoted\\\".""#,
                    r#"c Unknown "" "No type.""#,
                ],
            ),
            (
                open.as_bytes().to_vec(),
                Format::OpenMetrics,
                vec![r#"b Unknown "" "What \\ it\nis \"quoted\".""#, r#"b_seconds Counter "seconds" """#],
            ),
            (
                family.encode_length_delimited_to_vec(),
                Format::Protobuf,
                vec![r#"b Histogram "seconds" "What \\n it is.""#],
            ),
        ] {
            let table = Rc::new(MetadataTable::new([]));
            let mut cycle = cycle(&table, 0);
            scrape(&mut cycle, &page, format);
            assert_eq!(shown(&table), expected);
        }
    }

    #[test]
    fn the_table_follows_the_pages_and_forgets_a_target_that_is_gone() {
        let table = Rc::new(MetadataTable::new([]));
        let mut cycle = cycle(&table, 0);
        scrape(&mut cycle, b"# TYPE a gauge\na 1\n", Format::Text);
        let first = table.families();
        scrape(&mut cycle, b"# TYPE a gauge\na 2\n", Format::Text);
        assert!(Rc::ptr_eq(&first[0], &table.families()[0]), "nothing is made again");
        scrape(&mut cycle, b"# TYPE b gauge\nb 2\nbroken", Format::Text);
        cycle.complete(None, 2000, Duration::ZERO);
        assert_eq!(shown(&table), [r#"a Gauge "" """#], "a scrape that fails changes nothing");
        scrape(&mut cycle, b"# TYPE a counter\na 2\n# TYPE b gauge\nb 2\n", Format::Text);
        assert_eq!(shown(&table), [r#"a Counter "" """#, r#"b Gauge "" """#]);
        scrape(&mut cycle, b"# TYPE b gauge\nb 2\n", Format::Text);
        assert_eq!(shown(&table), [r#"b Gauge "" """#]);
        drop(cycle);
        assert_eq!(table.families().len(), 0);
    }

    #[test]
    fn what_a_hostile_page_says_is_bounded() {
        let table = Rc::new(MetadataTable::new([]));
        let mut cycle = cycle(&table, 0);
        let help = "x".repeat(100_000);
        let page: String = (0..50).map(|i| format!("# HELP m{i} {help}\nm{i} 1\n")).collect();
        scrape(&mut cycle, page.as_bytes(), Format::Text);
        let kept: usize = table.families().iter().map(|family| family.help().len()).sum();
        assert!((500_000..=METADATA_BYTES_MAX).contains(&kept), "{kept}");
    }
}
