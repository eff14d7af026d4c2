//! What a job does with the labels of samples, and how many of everything it takes; `[global]` has the limits' defaults.

use super::error::ConfigError;
use super::reader::{Table, Value, quoted};
use super::relabel::read_rules;
use crate::model::{NameScheme, Params};
use crate::relabel::{LabelLimits, SampleRules};

/// `metric_name_validation_scheme` and the limits: what jobs fall back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleDefaults {
    pub scheme: NameScheme,
    pub label_limits: LabelLimits,
    /// See [`crate::discovery::JobOptions::target_limit`].
    pub target_limit: Option<usize>,
}

/// Those of a table, where it has them; 0 is as good as none, as in Prometheus.
pub(super) fn read_sample_defaults(table: &Table, inherited: &SampleDefaults) -> Result<SampleDefaults, ConfigError> {
    let limit = |key: &str, inherited: Option<usize>| -> Result<Option<usize>, ConfigError> {
        let written = table.get_or(key, 0, |value| value.number(0, u64::from(u32::MAX)))?;
        Ok(if written == 0 { inherited } else { usize::try_from(written).ok() })
    };
    Ok(SampleDefaults {
        scheme: table.get_or("metric_name_validation_scheme", inherited.scheme, read_scheme)?,
        label_limits: LabelLimits {
            count: limit("label_limit", inherited.label_limits.count)?,
            name_bytes: limit("label_name_length_limit", inherited.label_limits.name_bytes)?,
            value_bytes: limit("label_value_length_limit", inherited.label_limits.value_bytes)?,
        },
        target_limit: limit("target_limit", inherited.target_limit)?,
    })
}

pub(super) fn read_sample_rules(table: &Table, defaults: &SampleDefaults) -> Result<SampleRules, ConfigError> {
    Ok(SampleRules {
        honor_labels: table.get_or("honor_labels", false, Value::flag)?,
        rules: read_rules(table, "metric_relabel_configs", defaults.scheme),
        scheme: defaults.scheme,
        limits: defaults.label_limits,
    })
}

/// `params`: a list of values for each name.
pub(super) fn read_params(params: &Value) -> Result<Params, ConfigError> {
    let mut read = Params::new();
    for (name, values) in params.table("write { module = [\"http_2xx\"] }")?.entries() {
        let values = values.list("[\"http_2xx\"]")?.map(|value| value.text("\"http_2xx\"").map(str::to_owned));
        read.insert(name.into(), values.collect::<Result<_, _>>()?);
    }
    Ok(read)
}

fn read_scheme(value: &Value) -> Result<NameScheme, ConfigError> {
    let name = value.text("\"utf8\" or \"legacy\"")?;
    let unknown = || value.error(format_args!("{} is not a scheme; write \"utf8\" or \"legacy\"", quoted(name)));
    NameScheme::parse(name).ok_or_else(unknown)
}
