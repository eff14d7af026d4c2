//! Lists of relabelling rules: `relabel_configs`, `metric_relabel_configs`, `write_relabel_configs`.

use super::error::ConfigError;
use super::keys;
use super::reader::{Table, Value, quoted};
use crate::limits::RELABEL_RULES_MAX;
use crate::model::NameScheme;
use crate::relabel::{Action, Rule, RuleOptions, Rules};
use serde::Serialize;

const SOURCE_LABELS_EXAMPLE: &str = "[\"__address__\"]";

/// The rules of an array of tables, without those that are noted to be wrong; `scheme` is what names they may make.
pub(super) fn read_rules(table: &Table, key: &str, scheme: NameScheme) -> Rules {
    let source = table.source;
    let tables = source.noted(table.tables(key, &keys::RELABEL_CONFIG)).unwrap_or_default();
    if let Some(extra) = tables.get(RELABEL_RULES_MAX) {
        let problem = format!("is one too many; write at most {RELABEL_RULES_MAX}");
        source.noted::<()>(Err(extra.error_here(problem)));
        return Rules::default();
    }
    tables.iter().filter_map(|rule| source.noted(read_rule(rule, scheme)).flatten()).collect()
}

/// `None` if one of its keys is wrong by itself.
fn read_rule(table: &Table, scheme: NameScheme) -> Result<Option<Rule>, ConfigError> {
    let defaults = RuleOptions::default();
    let text = |key: &str, default: String, example: &str| {
        table.get_or(key, default, |value| value.text(example).map(str::to_owned))
    };
    let options = RuleOptions {
        action: table.get_or("action", defaults.action, read_action)?,
        source_labels: table.get_or("source_labels", None, |value| read_source_labels(value).map(Some))?,
        separator: text("separator", defaults.separator, "\";\"")?,
        regex: table.get_or("regex", None, |value| value.text("\"(.*):9100\"").map(|text| Some(text.to_owned())))?,
        modulus: table.get_or("modulus", defaults.modulus, |value| value.number(1, i64::MAX as u64))?,
        target_label: text("target_label", defaults.target_label, "\"instance\"")?,
        replacement: text("replacement", defaults.replacement, "\"$1\"")?,
    };
    match table.is_clean() {
        true => Rule::new(options, scheme).map(Some).map_err(|error| table.error(error.key(), error)),
        false => Ok(None),
    }
}

fn read_action(value: &Value) -> Result<Action, ConfigError> {
    let name = value.text("\"keep\"")?;
    Action::parse(name).ok_or_else(|| {
        let actions: Vec<&str> = Action::ALL.into_iter().map(Action::name).collect();
        value.error(format_args!("{} is not an action; write one of {}", quoted(name), actions.join(", ")))
    })
}

fn read_source_labels(value: &Value) -> Result<Vec<String>, ConfigError> {
    let names = value.list(SOURCE_LABELS_EXAMPLE)?;
    names.map(|name| name.text("\"__address__\"").map(str::to_owned)).collect()
}

/// A rule as it is shown: its action and what differs from the defaults, because some actions refuse what they don't use.
#[derive(Serialize)]
pub(super) struct ShownRule<'c> {
    action: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_labels: Option<&'c [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    separator: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modulus: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_label: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replacement: Option<&'c str>,
}

impl<'c> From<&'c Rule> for ShownRule<'c> {
    fn from(rule: &'c Rule) -> Self {
        let (options, defaults) = (rule.options(), RuleOptions::default());
        ShownRule {
            action: options.action.name(),
            source_labels: options.source_labels.as_deref(),
            separator: (options.separator != defaults.separator).then_some(&options.separator),
            regex: options.regex.as_deref(),
            modulus: (options.modulus != defaults.modulus).then_some(options.modulus),
            target_label: (!options.target_label.is_empty()).then_some(&options.target_label),
            replacement: (options.replacement != defaults.replacement).then_some(&options.replacement),
        }
    }
}
