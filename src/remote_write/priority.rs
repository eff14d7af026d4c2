//! `__priority__`: which class a series is of, where `write_relabel_configs` say so.
//!
//! ```text
//!  series ─► external labels ─► rules ─► __priority__ = "high" | "normal" | "low" ─► taken off, and the series goes in that lane
//!                                        without one, or with another value: the endpoint's own class
//! ```
//!
//! Only rules whose `target_label` is `__priority__` make lanes: an endpoint without one has one lane, and pays nothing.

use super::relabeling::relabelled;
use crate::model::{Class, ClassCounts, FNV_START, Labels, LabelsBuilder, ScrapeBatch, Series, fnv1a};
use crate::relabel::{Action, Rule, RuleOptions, Rules};
use std::rc::Rc;

/// The label that says it. It is never sent.
pub const PRIORITY_LABEL: &str = "__priority__";

/// Lists of series whose classes are remembered.
const LISTS_MAX: usize = 64;

/// Which samples a lane takes of an endpoint that has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassFilter {
    pub class: Class,
    /// The endpoint's own class, which series are of that the rules say nothing of.
    pub default: Class,
}

/// Whether a rule says which class a series is of.
pub fn sets_priority(rule: &RuleOptions) -> bool {
    rule.target_label == PRIORITY_LABEL
}

/// What a rule writes into its target whatever it is applied to. `None`: that depends on the series.
pub fn fixed_replacement(rule: &RuleOptions) -> Option<&str> {
    (rule.action == Action::Replace && !rule.replacement.contains('$')).then_some(rule.replacement.as_str())
}

/// The classes that these rules can give to series, the one that goes first first. `None`: no rule gives one.
pub fn classes(rules: &Rules, default: Class) -> Option<Vec<Class>> {
    let mut setting = rules.iter().map(Rule::options).filter(|rule| sets_priority(rule)).peekable();
    setting.peek()?;
    let given: Option<Vec<&str>> = setting.map(fixed_replacement).collect();
    let is_possible = |class: &Class| match &given {
        Some(names) => *class == default || names.contains(&class.name()),
        None => true,
    };
    Some(Class::ALL.into_iter().filter(is_possible).collect())
}

/// Takes the label off and says what it said. A page, external labels or `labelmap` may say a class that no lane is there for: its
/// samples are of the endpoint's own, as nobody would send them otherwise.
pub(super) fn take_class(labels: &mut LabelsBuilder, default: Class, lanes: &[Class]) -> Class {
    let said = labels.get(PRIORITY_LABEL).and_then(Class::parse);
    labels.remove(PRIORITY_LABEL);
    said.filter(|class| lanes.contains(class)).unwrap_or(default)
}

/// Differs, as good as always, if any series may be of another class: a hash of all that decides it, for the ring to keep.
pub fn rules_hash(rules: &Rules, external_labels: &Labels, default: Class) -> u64 {
    // No text has this byte in it: it is no part of UTF-8.
    let part = |hash: u64, text: &str| fnv1a(fnv1a(hash, text.as_bytes()), &[0xff]);
    let mut hash = part(FNV_START, default.name());
    for (name, value) in external_labels {
        hash = part(part(hash, name), value);
    }
    for rule in rules.iter().map(Rule::options) {
        hash = part(hash, rule.action.name());
        let joined = || rule.source_labels.iter().flatten();
        hash = joined().fold(part(hash, &joined().count().to_string()), |hash, label| part(hash, label));
        let (modulus, regex) = (rule.modulus.to_string(), rule.regex.as_deref().unwrap_or("(.*)"));
        for text in [&rule.separator, regex, &modulus, &rule.target_label, &rule.replacement] {
            hash = part(hash, text);
        }
    }
    hash
}

/// Counts how many samples of a batch are of each class; what the rules drop is of the endpoint's own.
pub struct ClassCounter {
    rules: Rules,
    external_labels: Labels,
    default: Class,
    lanes: Vec<Class>,
    lists: Vec<(Rc<[Series]>, ClassCounts)>,
}

impl ClassCounter {
    pub fn new(rules: &Rules, external_labels: &Labels, default: Class) -> Self {
        let lanes = classes(rules, default).unwrap_or_default();
        let (rules, external_labels) = (rules.clone(), external_labels.clone());
        ClassCounter { rules, external_labels, default, lanes, lists: Vec::new() }
    }

    pub fn count(&mut self, batch: &ScrapeBatch) -> ClassCounts {
        if let Some((_, counts)) = self.lists.iter().find(|(list, _)| Rc::ptr_eq(list, &batch.series)) {
            return *counts;
        }
        let mut counts = ClassCounts::default();
        for series in batch.series.iter() {
            let kept = relabelled(&self.rules, &self.external_labels, series.labels(), |labels| {
                take_class(labels, self.default, &self.lanes)
            });
            let class = kept.ok().flatten().map_or(self.default, |(_, class)| class);
            counts[class as usize] += 1;
        }
        if self.lists.len() == LISTS_MAX {
            self.lists.clear();
        }
        self.lists.push((batch.series.clone(), counts));
        counts
    }
}

#[cfg(test)]
mod tests;
