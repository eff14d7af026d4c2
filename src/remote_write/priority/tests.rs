use super::super::testing::labels;
use super::*;
use crate::model::NameScheme;
use std::slice::from_ref;

fn rules(options: &[RuleOptions]) -> Rules {
    options.iter().map(|options| Rule::new(options.clone(), NameScheme::Utf8).unwrap()).collect()
}

fn setting(label: &str, replacement: &str) -> RuleOptions {
    RuleOptions {
        source_labels: Some(vec!["job".into()]),
        target_label: label.into(),
        replacement: replacement.into(),
        ..RuleOptions::default()
    }
}

#[test]
fn there_are_lanes_for_the_classes_that_rules_can_give_and_no_others() {
    use Class::{High, Low, Normal};
    let lower = RuleOptions { action: Action::Lowercase, ..setting(PRIORITY_LABEL, "$1") };
    for (options, own, expected) in [
        (vec![], Normal, None),
        (vec![setting("priority", "high")], Normal, None),
        (vec![setting(PRIORITY_LABEL, "high")], Normal, Some(vec![High, Normal])),
        (vec![setting(PRIORITY_LABEL, "low"), setting(PRIORITY_LABEL, "")], High, Some(vec![High, Low])),
        (vec![setting(PRIORITY_LABEL, "high")], High, Some(vec![High])),
        (vec![setting(PRIORITY_LABEL, "$1")], Normal, Some(Class::ALL.to_vec())),
        (vec![setting(PRIORITY_LABEL, "high"), lower], Normal, Some(Class::ALL.to_vec())),
    ] {
        assert_eq!(classes(&rules(&options), own), expected, "{options:?}");
    }
}

/// A series that another rule makes more urgent must not be passed over by a lane that is further on: the lanes are others then.
#[test]
fn whatever_may_change_a_series_class_changes_the_hash() {
    let (one, two) = (setting(PRIORITY_LABEL, "high"), setting(PRIORITY_LABEL, "low"));
    let none = Labels::default();
    let hash = |options: &[RuleOptions]| rules_hash(&rules(options), &none, Class::Normal);
    let mut hashes = vec![
        hash(from_ref(&one)),
        hash(from_ref(&two)),
        hash(&[one.clone(), two.clone()]),
        hash(&[two, one.clone()]),
        hash(&[RuleOptions { regex: Some("a".into()), ..one.clone() }]),
        hash(&[RuleOptions { separator: ",".into(), ..one.clone() }]),
        hash(&[RuleOptions { source_labels: Some(vec!["jo".into(), "b".into()]), ..one.clone() }]),
        rules_hash(&rules(from_ref(&one)), &labels(&[("a", "b")]), Class::Normal),
        rules_hash(&rules(from_ref(&one)), &labels(&[("a", "c")]), Class::Normal),
        rules_hash(&rules(from_ref(&one)), &none, Class::Low),
    ];
    assert_eq!(hashes[0], hash(&[one]));
    assert_eq!(hashes[0], HASH_OF_ONE, "rings hold it: another one sends again what they hold");
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

const HASH_OF_ONE: u64 = 5296984472059842675;
