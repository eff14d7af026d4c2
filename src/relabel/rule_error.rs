//! Which rules there can't be: Prometheus's `Config.Validate`, with what to write instead.

use super::regex::{Regex, RegexError};
use super::rule::{Action, RuleOptions};
use crate::limits::{RELABEL_SOURCE_LABELS_MAX, RELABEL_TEXT_BYTES_MAX};
use crate::model::NameScheme;
use std::fmt;

/// Why a rule can't be. Texts are shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleError {
    Regex(RegexError),
    SourceLabelInvalid,
    TooManySourceLabels(usize),
    /// The key's text is past `limits.rs`.
    TextTooLong {
        key: &'static str,
        bytes: usize,
    },
    ModulusMissing,
    TargetMissing(Action),
    TargetInvalid {
        target_label: String,
        action: Action,
    },
    ReplacementInvalid(String),
    /// The action has no use for this key.
    NotAllowed {
        key: &'static str,
        action: Action,
    },
}

impl RuleError {
    /// The key that is at fault.
    pub fn key(&self) -> &'static str {
        match self {
            RuleError::Regex(_) => "regex",
            RuleError::SourceLabelInvalid | RuleError::TooManySourceLabels(_) => "source_labels",
            RuleError::ModulusMissing => "modulus",
            RuleError::TargetMissing(_) | RuleError::TargetInvalid { .. } => "target_label",
            RuleError::ReplacementInvalid(_) => "replacement",
            RuleError::TextTooLong { key, .. } | RuleError::NotAllowed { key, .. } => key,
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleError::Regex(error) => write!(f, "{error}; write an expression in RE2 syntax such as \"(.*):9100\""),
            RuleError::SourceLabelInvalid => f.write_str("has an empty name; write names such as [\"job\"]"),
            RuleError::TooManySourceLabels(count) => {
                write!(f, "has {count} names; write at most {RELABEL_SOURCE_LABELS_MAX}")
            }
            RuleError::TextTooLong { bytes, .. } => {
                write!(f, "is {bytes} bytes long; write at most {RELABEL_TEXT_BYTES_MAX}")
            }
            RuleError::ModulusMissing => f.write_str("is missing, and hashmod requires it; write modulus = 4"),
            RuleError::TargetMissing(action) => {
                let action = action.name();
                write!(f, "is missing, and {action} requires it; write target_label = \"instance\"")
            }
            RuleError::TargetInvalid { target_label, action } => {
                let action = action.name();
                write!(
                    f,
                    "{target_label:?} is no label's name, so invalid for {action}; write one such as \"instance\""
                )
            }
            RuleError::ReplacementInvalid(replacement) => {
                write!(f, "{replacement:?} is no label's name, so invalid for labelmap; write one such as \"$1\"")
            }
            RuleError::NotAllowed { action, .. } => write!(f, "is not used by {}; remove it", action.name()),
        }
    }
}

impl std::error::Error for RuleError {}

impl RuleOptions {
    /// Whether all but the regular expression can be.
    pub(super) fn validate(&self, scheme: NameScheme) -> Result<(), RuleError> {
        self.check_bounds()?;
        let action = self.action;
        if self.source_labels.iter().flatten().any(String::is_empty) {
            return Err(RuleError::SourceLabelInvalid);
        }
        if self.modulus == 0 && action == Action::HashMod {
            return Err(RuleError::ModulusMissing);
        }
        let writes =
            !matches!(action, Action::Keep | Action::Drop | Action::LabelMap | Action::LabelDrop | Action::LabelKeep);
        if writes && self.target_label.is_empty() {
            return Err(RuleError::TargetMissing(action));
        }
        let target_fits = match action {
            Action::Replace if self.target_label.contains('$') => allows_template(scheme, &self.target_label),
            _ => !writes || scheme.allows_label(&self.target_label),
        };
        if !target_fits {
            return Err(RuleError::TargetInvalid { target_label: shortened(&self.target_label), action });
        }
        if action == Action::LabelMap && !allows_template(scheme, &self.replacement) {
            return Err(RuleError::ReplacementInvalid(shortened(&self.replacement)));
        }
        match self.unused_keys().next() {
            Some(key) => Err(RuleError::NotAllowed { key, action }),
            None => Ok(()),
        }
    }

    fn check_bounds(&self) -> Result<(), RuleError> {
        let count = self.source_labels.iter().flatten().count();
        if count > RELABEL_SOURCE_LABELS_MAX {
            return Err(RuleError::TooManySourceLabels(count));
        }
        let longest_source = self.source_labels.iter().flatten().map(String::len).max().unwrap_or_default();
        for (key, bytes) in [
            ("source_labels", longest_source),
            ("separator", self.separator.len()),
            ("target_label", self.target_label.len()),
            ("replacement", self.replacement.len()),
        ] {
            if bytes > RELABEL_TEXT_BYTES_MAX {
                return Err(RuleError::TextTooLong { key, bytes });
            }
        }
        Ok(())
    }

    /// Keys that are written, and that Prometheus refuses beside the action.
    fn unused_keys(&self) -> impl Iterator<Item = &'static str> {
        let defaults = RuleOptions::default();
        let equal = matches!(self.action, Action::KeepEqual | Action::DropEqual);
        let by_name = matches!(self.action, Action::LabelDrop | Action::LabelKeep);
        let by_letter = matches!(self.action, Action::Lowercase | Action::Uppercase);
        let written = [
            ("replacement", self.replacement != defaults.replacement, equal || by_name || by_letter),
            ("regex", self.regex.is_some(), equal),
            ("modulus", self.modulus != defaults.modulus, equal || by_name),
            ("separator", self.separator != defaults.separator, equal || by_name),
            ("source_labels", self.source_labels.is_some(), by_name),
            ("target_label", self.target_label != defaults.target_label, by_name),
        ];
        written.into_iter().filter(|(_, is_written, is_unused)| *is_written && *is_unused).map(|(key, ..)| key)
    }
}

/// Whether a name with `$1` in it may become a label's.
fn allows_template(scheme: NameScheme, template: &str) -> bool {
    match scheme {
        NameScheme::Utf8 => scheme.allows_label(template),
        NameScheme::Legacy => {
            Regex::new(r"^(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+$").is_ok_and(|legacy| legacy.is_match(template))
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
