//! The labels that a sample gets: the page's, the target's, and what becomes of those that both have.
//!
//! Follows `mutateSampleLabels`, `resolveConflictingExposedLabels` and `mutateReportSampleLabels` of Prometheus with
//! `honor_labels: false`. Relabelling, when it comes, has its place between the two steps of [`sample_labels`].

use super::series_text::{LabelText, SeriesText};
use crate::limits::LABELS_PER_SERIES_MAX;
use crate::model::{Labels, LabelsBuilder, LabelsError};
use std::fmt;

/// What a page's own label is called when the target has one of that name.
const EXPORTED_PREFIX: &str = "exported_";

const METRIC_NAME: &str = "__name__";

/// Why a series of a page can't be taken, and with it the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SampleLabelsError {
    /// The name between the braces is empty.
    NameMissing,
    /// A label's name is empty, or a name is not UTF-8.
    NameInvalid,
    /// The same label twice.
    Duplicate(String),
    /// Past a limit.
    Limit(LabelsError),
}

impl fmt::Display for SampleLabelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SampleLabelsError::NameMissing => f.write_str("missing metric name (__name__ label)"),
            SampleLabelsError::NameInvalid => f.write_str("invalid metric name or label names"),
            SampleLabelsError::Duplicate(name) => write!(f, "label name {name:?} is not unique"),
            SampleLabelsError::Limit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SampleLabelsError {}

impl From<LabelsError> for SampleLabelsError {
    fn from(error: LabelsError) -> Self {
        SampleLabelsError::Limit(error)
    }
}

/// The labels of a sample that `series` names on the page of a target with these labels.
pub fn sample_labels(series: &SeriesText<'_>, target: &Labels) -> Result<Labels, SampleLabelsError> {
    let exposed = series.labels().ok_or(SampleLabelsError::NameInvalid)?;
    if exposed.len() > LABELS_PER_SERIES_MAX {
        return Err(LabelsError::TooMany(exposed.len()).into());
    }
    let mut builder = LabelsBuilder::new();
    let mut conflicts: Vec<&LabelText<'_>> = Vec::new();
    for label @ (name, value) in &exposed {
        // An empty value is no label, and takes its namesakes with it.
        if exposed.iter().any(|(other, value)| other == name && value.is_empty()) {
            continue;
        }
        if name.is_empty() {
            return Err(SampleLabelsError::NameInvalid);
        }
        if target.get(name).is_some() {
            if !conflicts.iter().any(|(conflict, _)| conflict == name) {
                conflicts.push(label);
            }
        } else if builder.get(name).is_some() {
            return Err(SampleLabelsError::Duplicate(name.to_string()));
        } else {
            builder.set(name, value);
        }
    }
    for (name, value) in target {
        builder.set(name, value);
    }
    rename_conflicts(&mut builder, conflicts);
    if builder.get(METRIC_NAME).is_none() {
        return Err(SampleLabelsError::NameMissing);
    }
    Ok(builder.build()?)
}

/// The shortest name first, each with as many prefixes as it takes to be free.
fn rename_conflicts(builder: &mut LabelsBuilder, mut conflicts: Vec<&LabelText<'_>>) {
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

    fn target(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().copied().collect::<LabelsBuilder>().build().unwrap()
    }

    fn labels(line: &str, target: &Labels) -> Result<String, SampleLabelsError> {
        let Ok(Some(Entry::Sample(sample))) = TextParser::new(line.as_bytes()).next(None) else {
            panic!("not a sample: {line}");
        };
        sample_labels(&sample.series, target).map(|labels| labels.to_string())
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
            (r#"a{job="x",job="y"} 1"#, r#"a{exported_job="x", instance="h:1", job="node"}"#),
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
                shown.push(sample_labels(&sample.series, &Labels::default()).unwrap().to_string());
            }
        }
        assert_eq!(shown, [r#"h_bucket{le="1.0", quantile="1"}"#, r#"h_bucket{le="x"}"#]);
    }

    #[test]
    fn series_that_prometheus_refuses_are_refused() {
        let many: String = (0..LABELS_PER_SERIES_MAX).map(|i| format!("l{i}=\"1\",")).collect();
        for (line, error) in [
            (r#"a{b="1",b="2"} 1"#, SampleLabelsError::Duplicate("b".into())),
            (r#"a{__name__="b"} 1"#, SampleLabelsError::Duplicate("__name__".into())),
            (r#"{""} 1"#, SampleLabelsError::NameMissing),
            (r#"{"a",""="x"} 1"#, SampleLabelsError::NameInvalid),
            (&format!("a{{{many}}} 1"), LabelsError::TooMany(LABELS_PER_SERIES_MAX + 1).into()),
        ] {
            assert_eq!(labels(line, &Labels::default()), Err(error), "{line}");
        }
        let series = SeriesText { raw: b"{\"a\xff\"}", format: Format::Text, metric_type: Default::default() };
        assert_eq!(sample_labels(&series, &Labels::default()), Err(SampleLabelsError::NameInvalid));
    }

    #[test]
    fn report_series_have_the_targets_labels() {
        let node = target(&[("instance", "h:1"), ("job", "node")]);
        assert_eq!(report_labels("up", &node).unwrap().to_string(), r#"up{instance="h:1", job="node"}"#);
        let odd = target(&[("exported_job", "x"), ("job", "node")]);
        assert_eq!(report_labels("up", &odd).unwrap().to_string(), r#"up{job="node"}"#, "as Prometheus does it");
    }
}
