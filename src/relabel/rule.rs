//! One rule: what is configured, whether it can be, and what it does to a label set.
//!
//! ```text
//!  source_labels ─ joined by separator ─► value ─ regex ─► groups ─► target_label = replacement
//! ```
//!
//! Follows `relabel.Config`, its `Validate` and `relabel` of Prometheus.

use super::case::{to_lower, to_upper};
use super::regex::{Regex, RegexError, Template};
use super::{RuleError, Verdict};
use crate::limits::{LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, RELABEL_LABELS_MAX};
use crate::model::{LabelsBuilder, LabelsError, NameScheme};

/// The pattern of a rule that names none; its one group is the whole value.
const DEFAULT_REGEX: &str = "(.*)";

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    #[default]
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl Action {
    pub const ALL: [Action; 11] = [
        Action::Replace,
        Action::Keep,
        Action::Drop,
        Action::KeepEqual,
        Action::DropEqual,
        Action::HashMod,
        Action::LabelMap,
        Action::LabelDrop,
        Action::LabelKeep,
        Action::Lowercase,
        Action::Uppercase,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Action::Replace => "replace",
            Action::Keep => "keep",
            Action::Drop => "drop",
            Action::KeepEqual => "keepequal",
            Action::DropEqual => "dropequal",
            Action::HashMod => "hashmod",
            Action::LabelMap => "labelmap",
            Action::LabelDrop => "labeldrop",
            Action::LabelKeep => "labelkeep",
            Action::Lowercase => "lowercase",
            Action::Uppercase => "uppercase",
        }
    }

    /// Case does not count. `None` if there is no such action.
    pub fn parse(name: &str) -> Option<Action> {
        let name = to_lower(name);
        Action::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// A rule as it is written, with Prometheus's names and defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOptions {
    pub action: Action,
    /// `None` if the rule does not name any, which is not the same as an empty list.
    pub source_labels: Option<Vec<String>>,
    pub separator: String,
    /// `None` if the rule has none: the default, `(.*)`.
    pub regex: Option<String>,
    /// 0 if the rule has none.
    pub modulus: u64,
    /// Empty if the rule has none.
    pub target_label: String,
    pub replacement: String,
}

impl Default for RuleOptions {
    fn default() -> Self {
        RuleOptions {
            action: Action::Replace,
            source_labels: None,
            separator: ";".into(),
            regex: None,
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".into(),
        }
    }
}

/// A rule that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    options: RuleOptions,
    scheme: NameScheme,
    regex: Regex,
    target_label: Template,
    replacement: Template,
}

impl Rule {
    /// `scheme` is what names the rule may make.
    pub fn new(options: RuleOptions, scheme: NameScheme) -> Result<Rule, RuleError> {
        let regex = anchored(options.regex.as_deref().unwrap_or(DEFAULT_REGEX)).map_err(RuleError::Regex)?;
        options.validate(scheme)?;
        let target_label = Template::new(&options.target_label, &regex);
        let replacement = Template::new(&options.replacement, &regex);
        Ok(Rule { options, scheme, regex, target_label, replacement })
    }

    pub fn options(&self) -> &RuleOptions {
        &self.options
    }

    pub(super) fn apply(&self, labels: &mut LabelsBuilder) -> Result<Verdict, LabelsError> {
        let keep = match self.options.action {
            Action::Keep => self.regex.is_match(&self.value(labels)),
            Action::Drop => !self.regex.is_match(&self.value(labels)),
            Action::KeepEqual => self.is_equal(labels),
            Action::DropEqual => !self.is_equal(labels),
            Action::Replace => return self.replace(labels),
            Action::HashMod => {
                let number = hash(&self.value(labels)) % self.options.modulus;
                return set(labels, &self.options.target_label, &number.to_string());
            }
            Action::Lowercase => return set(labels, &self.options.target_label, &to_lower(&self.value(labels))),
            Action::Uppercase => return set(labels, &self.options.target_label, &to_upper(&self.value(labels))),
            Action::LabelMap => return self.map_labels(labels),
            Action::LabelDrop => {
                labels.retain(|name| !self.regex.is_match(name));
                true
            }
            Action::LabelKeep => {
                labels.retain(|name| self.regex.is_match(name));
                true
            }
        };
        Ok(if keep { Verdict::Keep } else { Verdict::Drop })
    }

    fn value(&self, labels: &LabelsBuilder) -> String {
        let mut value = String::new();
        for (index, name) in self.options.source_labels.iter().flatten().enumerate() {
            if index > 0 {
                value += &self.options.separator;
            }
            value += labels.get(name).unwrap_or_default();
        }
        value
    }

    fn is_equal(&self, labels: &LabelsBuilder) -> bool {
        labels.get(&self.options.target_label).unwrap_or_default() == self.value(labels)
    }

    fn replace(&self, labels: &mut LabelsBuilder) -> Result<Verdict, LabelsError> {
        let value = self.value(labels);
        let Some(captures) = self.regex.captures(&value) else { return Ok(Verdict::Keep) };
        let (mut name, mut replacement) = (String::new(), String::new());
        self.target_label.expand(&captures, &value, &mut name);
        if !self.scheme.allows_label(&name) {
            return Ok(Verdict::Keep);
        }
        self.replacement.expand(&captures, &value, &mut replacement);
        set(labels, &name, &replacement)
    }

    /// All labels are looked at before the first is added; of two that become one, the later stands.
    fn map_labels(&self, labels: &mut LabelsBuilder) -> Result<Verdict, LabelsError> {
        let matching = labels.iter().filter(|(name, _)| self.regex.is_match(name));
        let mapped: Vec<(String, String)> =
            matching.map(|(name, value)| (self.regex.replace_all(name, &self.replacement), value.to_owned())).collect();
        for (name, value) in mapped {
            set(labels, &name, &value)?;
        }
        Ok(Verdict::Keep)
    }
}

/// As Prometheus anchors a pattern. One with unbalanced parentheses may slip out of it, there as here.
fn anchored(pattern: &str) -> Result<Regex, RegexError> {
    Regex::new(&format!("^(?s:{pattern})$"))
}

/// The last eight bytes of the value's MD5 sum, as a number.
fn hash(value: &str) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = md5::compute(value).0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Sets a label, or removes it if `value` is empty, within the limits of a label set that relabelling works on.
fn set(labels: &mut LabelsBuilder, name: &str, value: &str) -> Result<Verdict, LabelsError> {
    if name.len() > LABEL_NAME_BYTES_MAX || value.len() > LABEL_VALUE_BYTES_MAX {
        let label = name.chars().take(64).collect();
        return Err(LabelsError::TooLong { label, bytes: name.len().max(value.len()) });
    }
    labels.set(name, value);
    if labels.len() > RELABEL_LABELS_MAX {
        return Err(LabelsError::TooMany(labels.len()));
    }
    Ok(Verdict::Keep)
}
