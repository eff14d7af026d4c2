//! What a job does to the labels that its targets expose.

use super::Rules;
use crate::model::{Labels, NameScheme};
use std::fmt;

/// A job's settings for the labels of samples; shared by its targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleRules {
    /// Where page and target have a label of one name, the page's stands, rather than being renamed to `exported_*`.
    pub honor_labels: bool,
    /// `metric_relabel_configs`.
    pub rules: Rules,
    /// Which names a page may use.
    pub scheme: NameScheme,
    pub limits: LabelLimits,
}

/// What a series may have after relabelling; one that has more fails the scrape. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelLimits {
    /// `label_limit`, `__name__` included.
    pub count: Option<usize>,
    /// `label_name_length_limit`
    pub name_bytes: Option<usize>,
    /// `label_value_length_limit`
    pub value_bytes: Option<usize>,
}

/// Which of [`LabelLimits`] a series is past. Texts are shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelLimitError {
    Count { metric: String, labels: usize, limit: usize },
    NameLength { metric: String, name: String, bytes: usize, limit: usize },
    ValueLength { metric: String, name: String, value: String, bytes: usize, limit: usize },
}

impl fmt::Display for LabelLimitError {
    /// Prometheus's words, and what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelLimitError::Count { metric, labels, limit } => {
                write!(f, "label_limit exceeded (metric: {metric}, number of labels: {labels}, limit: {limit})")
            }
            LabelLimitError::NameLength { metric, name, bytes, limit } => {
                write!(f, "label_name_length_limit exceeded (metric: {metric}, label name: {name}, length: {bytes}, ")?;
                write!(f, "limit: {limit})")
            }
            LabelLimitError::ValueLength { metric, name, value, bytes, limit } => {
                write!(
                    f,
                    "label_value_length_limit exceeded (metric: {metric}, label name: {name}, value: {value:?}, "
                )?;
                write!(f, "length: {bytes}, limit: {limit})")
            }
        }?;
        f.write_str("; raise the limit, or drop labels or series with metric_relabel_configs")
    }
}

impl std::error::Error for LabelLimitError {}

impl LabelLimits {
    /// Prometheus's `verifyLabelLimits`.
    pub fn check(&self, labels: &Labels) -> Result<(), LabelLimitError> {
        let past = |limit: Option<usize>, found: usize| limit.filter(|limit| found > *limit);
        let metric = || shortened(labels.get("__name__").unwrap_or_default());
        let count = labels.iter().count();
        if let Some(limit) = past(self.count, count) {
            return Err(LabelLimitError::Count { metric: metric(), labels: count, limit });
        }
        for (name, value) in labels {
            if let Some(limit) = past(self.name_bytes, name.len()) {
                let (metric, bytes) = (metric(), name.len());
                return Err(LabelLimitError::NameLength { metric, name: shortened(name), bytes, limit });
            }
            if let Some(limit) = past(self.value_bytes, value.len()) {
                let (name, value, bytes) = (shortened(name), shortened(value), value.len());
                return Err(LabelLimitError::ValueLength { metric: metric(), name, value, bytes, limit });
            }
        }
        Ok(())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(50).collect()
}
