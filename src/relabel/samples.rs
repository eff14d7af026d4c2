//! What a job does to the labels that its targets expose.

use super::Rules;
use crate::model::NameScheme;

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
