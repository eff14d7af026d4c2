//! A target group, as Prometheus calls it: what a discovery hands on, whatever it is.

use crate::limits::{DISCOVERED_TARGETS_MAX, LABELS_PER_SERIES_MAX};
use crate::model::LabelsBuilder;
use std::borrow::Cow;
use std::fmt;

/// The label that says where a target is.
pub const ADDRESS_LABEL: &str = "__address__";

/// Labels as discovered: any names, empty values too; no name twice.
pub type Pairs = Vec<(Cow<'static, str>, String)>;

/// Targets that come from one place and share labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Where it comes from, for messages: a file and the group's number in it, a name, a URL.
    pub source: String,
    pub labels: Pairs,
    /// The labels of each target's own, [`ADDRESS_LABEL`] among them.
    pub targets: Vec<Pairs>,
}

impl Group {
    /// A group of addresses.
    pub fn of_addresses(addresses: impl IntoIterator<Item = String>, labels: Pairs) -> Group {
        let targets = addresses.into_iter().map(|address| vec![(Cow::Borrowed(ADDRESS_LABEL), address)]).collect();
        Group { source: String::new(), labels, targets }
    }

    /// The labels of each target, before any relabelling: its own win over the group's.
    pub fn discovered(&self) -> impl Iterator<Item = LabelsBuilder> {
        self.targets.iter().map(|target| {
            let has_own = |name: &str| target.iter().any(|(own, _)| own == name);
            let shared = self.labels.iter().filter(|(name, _)| !has_own(name));
            shared.chain(target).map(|(name, value)| (name.as_ref(), value.as_str())).collect()
        })
    }

    /// Sets a label of the group.
    pub fn set_label(&mut self, name: &'static str, value: &str) {
        match self.labels.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.labels.push((Cow::Borrowed(name), value.into())),
        }
    }
}

/// Why a list of groups can't be taken, whatever it is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListError {
    /// Groups, or targets in them, past [`DISCOVERED_TARGETS_MAX`].
    TooMany,
    /// Labels of one group past [`LABELS_PER_SERIES_MAX`].
    TooManyLabels,
    EmptyLabelName,
    /// An entry of the list is null.
    NoGroup,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListError::TooMany => {
                write!(f, "there are more than {DISCOVERED_TARGETS_MAX} groups or targets; list fewer")
            }
            ListError::TooManyLabels => {
                write!(f, "a group has more than {LABELS_PER_SERIES_MAX} labels; write fewer")
            }
            ListError::EmptyLabelName => write!(f, "a label has no name; write one such as site"),
            ListError::NoGroup => write!(f, "a group is null; write targets and labels, or remove it"),
        }
    }
}

/// Adds a label unless there are too many; the answer is whether the name is new.
pub(super) fn add_label(labels: &mut Pairs, name: String, value: String) -> Result<bool, ListError> {
    if name.is_empty() {
        return Err(ListError::EmptyLabelName);
    }
    if let Some((_, old)) = labels.iter_mut().find(|(known, _)| *known == name) {
        *old = value;
        return Ok(false);
    }
    if labels.len() == LABELS_PER_SERIES_MAX {
        return Err(ListError::TooManyLabels);
    }
    labels.push((Cow::Owned(name), value));
    Ok(true)
}

/// Counts groups and targets of one list.
#[derive(Default)]
pub(super) struct Tally(usize);

impl Tally {
    pub fn one_more(&mut self) -> Result<(), ListError> {
        self.0 += 1;
        if self.0 > DISCOVERED_TARGETS_MAX { Err(ListError::TooMany) } else { Ok(()) }
    }
}

#[cfg(test)]
impl Group {
    /// Addresses, then the group's labels, for tables of cases.
    pub(super) fn shown(&self) -> String {
        let targets: Vec<_> = self.targets.iter().map(|target| target[0].1.as_str()).collect();
        let labels: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {}", targets.join(","), labels.join(",")).trim().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_targets_own_labels_win_over_the_groups_even_when_they_are_empty() {
        let group = Group {
            source: String::new(),
            labels: vec![("a".into(), "group".into()), ("b".into(), "group".into())],
            targets: vec![vec![(ADDRESS_LABEL.into(), "x:1".into()), ("a".into(), String::new())]],
        };
        let labels = group.discovered().next().unwrap().build().unwrap();
        assert_eq!(labels.to_string(), r#"{__address__="x:1", b="group"}"#);
    }
}
