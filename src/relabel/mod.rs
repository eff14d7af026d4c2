//! Relabelling as Prometheus 3 does it: rules that change, add, keep and drop label sets.
//!
//! ```text
//!  discovered labels ─► target: defaults ─► rules ─► address, interval, labels ─► Target, or dropped
//!  a series' labels ──► rules ─► labels, or dropped
//!                         └─ each: rule ─► regex (Go's syntax), template ($1)
//! ```
//!
//! Pure: label sets in, label sets out. Refuses to know where labels come from and what is done with a target or a series.

mod case;
mod regex;
mod rule;
mod rule_error;
#[cfg(test)]
mod rule_tests;
mod samples;
mod target;

pub use regex::RegexError;
pub use rule::{Action, Rule, RuleOptions};
pub use rule_error::RuleError;
pub use samples::{LabelLimitError, LabelLimits, SampleRules};
pub use target::{PopulateError, Populated, TargetDefaults, discovered_labels, populate};

use crate::model::{LabelsBuilder, LabelsError};
use std::rc::Rc;

/// Rules in the order in which they apply; cloning copies a pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Option<Rc<[Rule]>>);

/// What becomes of a label set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    Drop,
}

impl Rules {
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter().flat_map(|rules| rules.iter())
    }

    /// Changes the labels; of dropped ones nothing is to be expected. Fails if a rule makes them longer than any series or
    /// target may be.
    pub fn apply(&self, labels: &mut LabelsBuilder) -> Result<Verdict, LabelsError> {
        for rule in self.iter() {
            if rule.apply(labels)? == Verdict::Drop {
                return Ok(Verdict::Drop);
            }
        }
        Ok(Verdict::Keep)
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let rules: Rc<[Rule]> = rules.into_iter().collect();
        Rules((!rules.is_empty()).then_some(rules))
    }
}
