//! Label tables: those of static configurations, and the external labels with their environment variables.

use super::error::ConfigError;
use super::reader::{Value, quoted};
use crate::model::{Labels, LabelsBuilder};

const REMEDY: &str = "write { site = \"north\" }";

/// The labels of a table, in order of their names. An empty value is no label, as in Prometheus.
///
/// Names may be any text, as Prometheus 3 has it. Those that start with `__` are for relabelling, and tell where and how often
/// to scrape.
pub(super) fn read_target_labels(labels_value: &Value) -> Result<Vec<(String, String)>, ConfigError> {
    let mut labels = Vec::new();
    for (name, value) in labels_value.table(REMEDY)?.entries() {
        let text = read_label(name, &value)?;
        if name == "__address__" {
            return Err(value.error("is not supported; write the address in targets"));
        }
        if !text.is_empty() {
            labels.push((name.into(), text.into()));
        }
    }
    Ok(labels)
}

/// `external_labels`, with `$NAME` and `${NAME}` replaced as Prometheus does.
pub(super) fn read_external_labels(labels_value: &Value) -> Result<Labels, ConfigError> {
    let mut labels = LabelsBuilder::new();
    for (name, value) in labels_value.table(REMEDY)?.entries() {
        labels.set(name, &expand(read_label(name, &value)?, &value)?);
    }
    labels.build().map_err(|error| labels_value.error(format_args!("{error}; write fewer or shorter ones")))
}

/// Text that [`read_external_labels`] reads back as `value`.
pub(super) fn escape_external_label(value: &str) -> String {
    value.replace('$', "$$")
}

fn read_label<'t>(name: &str, value: &Value<'t>) -> Result<&'t str, ConfigError> {
    if name.is_empty() {
        return Err(value.error("a label needs a name; write one such as site"));
    }
    value.text("\"north\"")
}

/// As Go's `os.Expand`: `$NAME`, `${NAME}`, and `$$` for a dollar sign. Prometheus takes a variable that is not set as empty;
/// here it is refused, because devices that lose the label that tells them apart would write into one another's series.
fn expand(text: &str, value: &Value) -> Result<String, ConfigError> {
    let (mut expanded, mut rest) = (String::new(), text);
    while let Some(dollar) = rest.find('$') {
        expanded += &rest[..dollar];
        let after = &rest[dollar + 1..];
        let (name, next) = variable_name(after)
            .ok_or_else(|| value.error("has a $ without a variable's name; write ${NAME}, or $$ for a dollar sign"))?;
        match name {
            "$" => expanded.push('$'),
            _ => match (value.source.environment)(name).filter(|set| !set.is_empty()) {
                Some(set) => expanded += &set,
                None => {
                    let name = quoted(name);
                    return Err(value.error(format_args!(
                        "the environment variable {name} is not set; set it, or write $$ for a dollar sign"
                    )));
                }
            },
        }
        rest = next;
    }
    Ok(expanded + rest)
}

/// What stands after a `$`: the variable's name, and what follows it.
fn variable_name(after: &str) -> Option<(&str, &str)> {
    if let Some(braced) = after.strip_prefix('{') {
        return braced.split_once('}').filter(|(name, _)| !name.is_empty());
    }
    let name_len = match after.bytes().next()? {
        b'$' => 1,
        _ => after.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count(),
    };
    (name_len > 0).then(|| after.split_at(name_len))
}
