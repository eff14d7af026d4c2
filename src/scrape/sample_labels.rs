//! The labels that a sample gets: the page's, the target's, and what becomes of those that both have.
//!
//! ```text
//!  page's labels + target's (honor_labels, or exported_*) ─► metric_relabel_configs ─► names, limits ─► series, or dropped
//! ```
//!
//! Follows `mutateSampleLabels`, `resolveConflictingExposedLabels`, `verifyLabelLimits` and `mutateReportSampleLabels` of
//! Prometheus.

use super::series_text::{LabelText, SeriesText};
use crate::limits::LABELS_PER_SERIES_MAX;
use crate::model::{Labels, LabelsBuilder, LabelsError};
use crate::relabel::{LabelLimitError, SampleRules, Verdict};
use std::fmt;

/// What a page's own label is called when the target has one of that name.
const EXPORTED_PREFIX: &str = "exported_";

const METRIC_NAME: &str = "__name__";

/// Why a series of a page can't be taken, and with it the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleLabelsError {
    /// The name between the braces is empty.
    NameMissing,
    /// A label's name is empty, or a name is not of the job's scheme.
    NameInvalid,
    /// Past a limit, or the same label twice.
    Limit(LabelsError),
    /// Past one of the job's limits.
    JobLimit(LabelLimitError),
}

impl fmt::Display for SampleLabelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SampleLabelsError::NameMissing => f.write_str("missing metric name (__name__ label)"),
            SampleLabelsError::NameInvalid => f.write_str("invalid metric name or label names"),
            SampleLabelsError::Limit(error) => error.fmt(f),
            SampleLabelsError::JobLimit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SampleLabelsError {}

impl From<LabelsError> for SampleLabelsError {
    fn from(error: LabelsError) -> Self {
        SampleLabelsError::Limit(error)
    }
}

impl From<LabelLimitError> for SampleLabelsError {
    fn from(error: LabelLimitError) -> Self {
        SampleLabelsError::JobLimit(error)
    }
}

/// The labels of a sample that `series` names on the page of a target with these labels. `None` if the rules drop it.
pub fn sample_labels(
    series: &SeriesText<'_>,
    target: &Labels,
    rules: &SampleRules,
) -> Result<Option<Labels>, SampleLabelsError> {
    let exposed = series.labels().ok_or(SampleLabelsError::NameInvalid)?;
    if exposed.len() > LABELS_PER_SERIES_MAX {
        return Err(LabelsError::TooMany(exposed.len()).into());
    }
    let mut labels = join(&exposed, target, rules.honor_labels);
    if rules.rules.apply(&mut labels)? == Verdict::Drop || labels.is_empty() {
        return Ok(None);
    }
    let Some(metric_name) = labels.get(METRIC_NAME) else { return Err(SampleLabelsError::NameMissing) };
    if !rules.scheme.allows_metric(metric_name) || !labels.iter().all(|(name, _)| rules.scheme.allows_label(name)) {
        return Err(SampleLabelsError::NameInvalid);
    }
    let labels = labels.build()?;
    rules.limits.check(&labels)?;
    Ok(Some(labels))
}

/// Both sets in one. The page's labels are its base: see [`LabelsBuilder`].
fn join(exposed: &[LabelText<'_>], target: &Labels, honor_labels: bool) -> LabelsBuilder {
    let first = |name: &str| exposed.iter().find(|(exposed, _)| exposed == name).map(|(_, value)| value.as_ref());
    // An empty value is no label, and takes its namesakes with it.
    let is_label = |name: &str| !exposed.iter().any(|(other, value)| other == name && value.is_empty());
    let base = exposed.iter().filter(|(name, _)| is_label(name));
    let mut labels = LabelsBuilder::over_base(base.map(|(name, value)| (name.as_ref(), value.as_ref())));
    let mut conflicts = Vec::new();
    for (name, value) in target {
        match first(name) {
            // Even an empty one: so a page can keep the target's label away.
            Some(_) if honor_labels => continue,
            Some(exposed) if !exposed.is_empty() => conflicts.push((name, exposed)),
            _ => {}
        }
        labels.set(name, value);
    }
    rename_conflicts(&mut labels, conflicts);
    labels
}

/// The shortest name first, each with as many prefixes as it takes to be free.
fn rename_conflicts(builder: &mut LabelsBuilder, mut conflicts: Vec<(&str, &str)>) {
    conflicts.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then(a.cmp(b)));
    for (name, value) in conflicts {
        let mut free = format!("{EXPORTED_PREFIX}{name}");
        while builder.get(&free).is_some() {
            free.insert_str(0, EXPORTED_PREFIX);
        }
        builder.set(&free, value);
    }
}

/// The labels of `up` and its like.
pub fn report_labels(name: &str, target: &Labels) -> Result<Labels, LabelsError> {
    let mut builder = LabelsBuilder::new();
    builder.set(METRIC_NAME, name);
    for (name, value) in target {
        builder.remove(&format!("{EXPORTED_PREFIX}{name}"));
        builder.set(name, value);
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, Format, TextParser};
    use super::*;
    use crate::model::NameScheme;
    use crate::relabel::{Action, LabelLimits, Rule, RuleOptions};

    fn target(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().copied().collect::<LabelsBuilder>().build().unwrap()
    }

    fn labels(line: &str, target: &Labels) -> Result<String, SampleLabelsError> {
        let Ok(Some(Entry::Sample(sample))) = TextParser::new(line.as_bytes()).next(None) else {
            panic!("not a sample: {line}");
        };
        relabelled(&sample.series, target, &SampleRules::default())
    }

    fn relabelled(series: &SeriesText<'_>, target: &Labels, rules: &SampleRules) -> Result<String, SampleLabelsError> {
        sample_labels(series, target, rules).map(|labels| labels.map_or("dropped".into(), |labels| labels.to_string()))
    }

    fn text(raw: &str) -> SeriesText<'_> {
        SeriesText { raw: raw.as_bytes(), metric_type: Default::default(), format: Format::Text }
    }

    #[test]
    fn a_page_that_is_honored_keeps_its_labels_even_empty_ones() {
        let node = target(&[("instance", "h:1"), ("job", "node")]);
        let honoring = SampleRules { honor_labels: true, ..SampleRules::default() };
        for (raw, expected) in [
            ("a", r#"a{instance="h:1", job="node"}"#),
            (r#"a{job="x"}"#, r#"a{instance="h:1", job="x"}"#),
            (r#"a{job="x",exported_job="y"}"#, r#"a{exported_job="y", instance="h:1", job="x"}"#),
            (r#"a{job="",instance="i"}"#, r#"a{instance="i"}"#),
        ] {
            assert_eq!(relabelled(&text(raw), &node, &honoring).as_deref(), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn rules_see_the_joined_labels_and_limits_see_what_they_leave() {
        let node = target(&[("instance", "h:1"), ("job", "node")]);
        let rule = |options| Rule::new(options, NameScheme::Utf8).unwrap();
        let drop = |name: &str, regex: &str| RuleOptions {
            action: Action::Drop,
            source_labels: Some(vec![name.into()]),
            regex: Some(regex.into()),
            ..RuleOptions::default()
        };
        let labeldrop = |regex: &str| RuleOptions {
            action: Action::LabelDrop,
            regex: Some(regex.into()),
            ..RuleOptions::default()
        };
        let rename = RuleOptions {
            source_labels: Some(vec!["exported_job".into()]),
            regex: Some("(.+)".into()),
            target_label: "job".into(),
            ..RuleOptions::default()
        };
        let rules = SampleRules {
            rules: [drop("__name__", "go_.*"), rename, labeldrop("exported_.*|twice|le")]
                .map(rule)
                .into_iter()
                .collect(),
            limits: LabelLimits { count: Some(4), name_bytes: Some(8), value_bytes: Some(5) },
            scheme: NameScheme::Legacy,
            ..SampleRules::default()
        };
        for (raw, expected) in [
            ("go_x", Ok("dropped")),
            (r#"a{job="x",twice="1",twice="2",le="too long"}"#, Ok(r#"a{instance="h:1", job="x"}"#)),
            (r#"a{b="1",c="2"}"#, Err("label_limit exceeded (metric: a, number of labels: 5, limit: 4)")),
            (
                r#"a{b="123456"}"#,
                Err(
                    r#"label_value_length_limit exceeded (metric: a, label name: b, value: "123456", length: 6, limit: 5)"#,
                ),
            ),
            (r#"{"a.b"}"#, Err("invalid metric name or label names")),
            (r#"{"a","b.c"="1"}"#, Err("invalid metric name or label names")),
        ] {
            let found = relabelled(&text(raw), &node, &rules).map_err(|error| error.to_string());
            match expected {
                Ok(labels) => assert_eq!(found.as_deref(), Ok(labels), "{raw}"),
                Err(start) => assert!(found.as_ref().is_err_and(|found| found.starts_with(start)), "{raw}: {found:?}"),
            }
        }
        let named =
            SampleRules { limits: LabelLimits { name_bytes: Some(7), ..LabelLimits::default() }, ..rules.clone() };
        let found = relabelled(&text("a"), &node, &named).unwrap_err().to_string();
        let start = "label_name_length_limit exceeded (metric: a, label name: __name__, length: 8, limit: 7)";
        assert!(found.starts_with(start), "{found}");
        let nothing = SampleRules { rules: [rule(labeldrop(".*"))].into_iter().collect(), ..SampleRules::default() };
        assert_eq!(relabelled(&text("a"), &node, &nothing).as_deref(), Ok("dropped"));
        let nameless =
            SampleRules { rules: [rule(labeldrop("__name__"))].into_iter().collect(), ..SampleRules::default() };
        assert_eq!(relabelled(&text("a"), &node, &nameless), Err(SampleLabelsError::NameMissing));
    }

    #[test]
    fn the_targets_labels_win_and_the_pages_are_renamed() {
        let node = target(&[("instance", "h:1"), ("job", "node")]);
        for (line, expected) in [
            ("up 1", r#"up{instance="h:1", job="node"}"#),
            (r#"a{b="c"} 1"#, r#"a{b="c", instance="h:1", job="node"}"#),
            (r#"a{b="",job=""} 1"#, r#"a{instance="h:1", job="node"}"#),
            (r#"a{job="x"} 1"#, r#"a{exported_job="x", instance="h:1", job="node"}"#),
            (
                r#"a{job="x",exported_job="y"} 1"#,
                r#"a{exported_exported_job="x", exported_job="y", instance="h:1", job="node"}"#,
            ),
            (r#"{"näme",job="x"} 1"#, r#"näme{exported_job="x", instance="h:1", job="node"}"#),
            (" a 1", r#" a{instance="h:1", job="node"}"#),
        ] {
            assert_eq!(labels(line, &node).as_deref(), Ok(expected), "{line}");
        }
        let both = target(&[("exported_foo", "t1"), ("foo", "t2")]);
        assert_eq!(
            labels(r#"m{exported_foo="1",foo="2"} 0"#, &both).unwrap(),
            r#"m{exported_exported_exported_foo="1", exported_exported_foo="2", exported_foo="t1", foo="t2"}"#
        );
    }

    #[test]
    fn bounds_are_written_as_openmetrics_writes_them() {
        let page = b"# TYPE h histogram\nh_bucket{le=\"1\",quantile=\"1\"} 1\nh_bucket{le=\"x\"} 1\n";
        let mut parser = TextParser::new(page);
        let mut shown = Vec::new();
        while let Some(entry) = parser.next(None).unwrap() {
            if let Entry::Sample(sample) = entry {
                shown.push(relabelled(&sample.series, &Labels::default(), &SampleRules::default()).unwrap());
            }
        }
        assert_eq!(shown, [r#"h_bucket{le="1.0", quantile="1"}"#, r#"h_bucket{le="x"}"#]);
    }

    #[test]
    fn series_that_prometheus_refuses_are_refused() {
        let many: String = (0..LABELS_PER_SERIES_MAX).map(|i| format!("l{i}=\"1\",")).collect();
        for (line, error) in [
            (r#"a{b="1",b="2"} 1"#, LabelsError::Repeated("b".into()).into()),
            (r#"a{__name__="b"} 1"#, LabelsError::Repeated("__name__".into()).into()),
            (r#"a{job="x",job="y"} 1"#, LabelsError::Repeated("job".into()).into()),
            (r#"{""} 1"#, SampleLabelsError::NameMissing),
            (r#"{"a",""="x"} 1"#, SampleLabelsError::NameInvalid),
            (&format!("a{{{many}}} 1"), LabelsError::TooMany(LABELS_PER_SERIES_MAX + 1).into()),
        ] {
            assert_eq!(labels(line, &target(&[("job", "node")])), Err(error), "{line}");
        }
        let series = SeriesText { raw: b"{\"a\xff\"}", format: Format::Text, metric_type: Default::default() };
        let rules = SampleRules::default();
        assert_eq!(sample_labels(&series, &Labels::default(), &rules), Err(SampleLabelsError::NameInvalid));
    }

    /// A rule that sets a label leaves the other one of that name on the page where it is, as in Prometheus: the page fails. The
    /// differential test left this out until it was followed.
    #[test]
    fn a_rule_does_not_make_one_label_of_two() {
        let rename = |regex: &str| RuleOptions {
            source_labels: Some(vec![METRIC_NAME.into()]),
            regex: Some(regex.into()),
            replacement: "c".into(),
            target_label: METRIC_NAME.into(),
            ..RuleOptions::default()
        };
        let clear = RuleOptions { replacement: String::new(), ..rename("a") };
        let rules = |options: &[RuleOptions]| SampleRules {
            rules: options.iter().map(|options| Rule::new(options.clone(), NameScheme::Utf8).unwrap()).collect(),
            ..SampleRules::default()
        };
        let twice = || Err(SampleLabelsError::Limit(LabelsError::Repeated(METRIC_NAME.into())));
        let both = text(r#"a{__name__="b"}"#);
        for (options, expected) in [
            (vec![rename("a")], twice()),
            (vec![rename("other")], twice()),
            (vec![clear.clone()], Err(SampleLabelsError::NameMissing)),
            (vec![clear, rename("")], Ok(r#"c{job="node"}"#.to_string())),
        ] {
            assert_eq!(relabelled(&both, &target(&[("job", "node")]), &rules(&options)), expected, "{options:?}");
        }
    }

    #[test]
    fn report_series_have_the_targets_labels() {
        let node = target(&[("instance", "h:1"), ("job", "node")]);
        assert_eq!(report_labels("up", &node).unwrap().to_string(), r#"up{instance="h:1", job="node"}"#);
        let odd = target(&[("exported_job", "x"), ("job", "node")]);
        assert_eq!(report_labels("up", &odd).unwrap().to_string(), r#"up{job="node"}"#, "as Prometheus does it");
    }
}
