//! Rules and lists of rules. Every expectation is what Prometheus 3 (`model/relabel`) makes of the same.

use super::{Action, Rule, RuleError, RuleOptions, Rules, Verdict};
use crate::model::{LabelsBuilder, NameScheme};

fn rule(options: RuleOptions) -> Rule {
    Rule::new(options, NameScheme::Utf8).unwrap()
}

/// `action source,labels regex target replacement`, where `_` is a key that is not written.
fn written(text: &str) -> RuleOptions {
    let parts: Vec<&str> = text.split(' ').collect();
    let part = |index: usize| parts.get(index).copied().filter(|part| *part != "_");
    let defaults = RuleOptions::default();
    RuleOptions {
        action: Action::parse(part(0).unwrap()).unwrap(),
        source_labels: part(1).map(|names| names.split(',').map(str::to_owned).collect()),
        regex: part(2).map(str::to_owned),
        target_label: part(3).unwrap_or_default().into(),
        replacement: part(4).unwrap_or(&defaults.replacement).into(),
        modulus: part(5).map_or(0, |modulus| modulus.parse().unwrap()),
        ..defaults
    }
}

/// The labels `a=foo b=bar c=baz` and those given, after the rules; `dropped` if they are.
fn relabelled(more: &[(&str, &str)], rules: &[&str]) -> String {
    let base = [("a", "foo"), ("b", "bar"), ("c", "baz")];
    let mut labels = LabelsBuilder::over_base(base.into_iter().chain(more.iter().copied()));
    let rules: Rules = rules.iter().map(|text| rule(written(text))).collect();
    match rules.apply(&mut labels).unwrap() {
        Verdict::Drop => "dropped".into(),
        Verdict::Keep => {
            let labels = labels.build().unwrap();
            labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        }
    }
}

#[test]
fn actions_do_what_prometheus_does() {
    for (rules, expected) in [
        (&["replace a f(.*) d ch${1}-ch${1}"][..], "a=foo b=bar c=baz d=choo-choo"),
        (&["replace a,b f(.*);(.*)r d b${1}${2}m"], "a=foo b=bar c=baz d=boobam"),
        (&["replace a f d x"], "a=foo b=bar c=baz"),
        (&["replace a (f).* $1 x"], "a=foo b=bar c=baz f=x"),
        (&["replace a .* a "], "b=bar c=baz"),
        (&["replace _ _ d fixed"], "a=foo b=bar c=baz d=fixed"),
        (&["replace _ _ a $2"], "b=bar c=baz"),
        (&["replace missing,a _ d"], "a=foo b=bar c=baz d=;foo"),
        (&["keep a foo|x"], "a=foo b=bar c=baz"),
        (&["keep a fo"], "dropped"),
        (&["drop a .*o.*"], "dropped"),
        (&["drop a o"], "a=foo b=bar c=baz"),
        (&["drop a fo{2}", "replace _ _ a never"], "dropped"),
        (&["keep a a)|(?:foo"], "a=foo b=bar c=baz"),
        (&["keepequal a _ a"], "a=foo b=bar c=baz"),
        (&["keepequal a _ b"], "dropped"),
        (&["dropequal a _ a"], "dropped"),
        (&["dropequal missing _ missing2"], "dropped"),
        (&["dropequal a _ b"], "a=foo b=bar c=baz"),
        (&["hashmod c _ d _ 1000"], "a=foo b=bar c=baz d=976"),
        (&["labelmap _ (b.*) _ bar_${1}"], "a=foo b=bar bar_b=bar c=baz"),
        (&["labelmap _ [ab] _ x"], "a=foo b=bar c=baz x=bar"),
        (&["labeldrop _ [bc]"], "a=foo"),
        (&["labelkeep _ [bc]"], "b=bar c=baz"),
        (&["uppercase a _ a", "lowercase a _ d"], "a=FOO b=bar c=baz d=foo"),
        (&["replace a _ __tmp_a", "labeldrop _ __tmp.*"], "a=foo b=bar c=baz"),
    ] {
        assert_eq!(relabelled(&[], rules), expected, "{rules:?}");
    }
}

/// A page may give one label twice; rules see the first, and can remove or set both.
#[test]
fn labels_that_come_twice_can_be_cured() {
    let twice = &[("a", "second")];
    assert_eq!(relabelled(twice, &["replace a (.*) a ${1}!"]), "a=foo! b=bar c=baz");
    assert_eq!(relabelled(twice, &["labeldrop _ a"]), "b=bar c=baz");
}

#[test]
fn rules_that_cannot_be_are_refused_at_their_key() {
    for (text, key) in [
        ("replace a", "target_label"),
        ("keepequal a", "target_label"),
        ("hashmod a _ d", "modulus"),
        ("replace a ( d", "regex"),
        ("lowercase a _ d x", "replacement"),
        ("keepequal a (.*) d", "regex"),
        ("dropequal a _ d x", "replacement"),
        ("keepequal a _ d _ 3", "modulus"),
        ("labeldrop a", "source_labels"),
        ("labelkeep _ _ d", "target_label"),
        ("labeldrop _ _ _ x", "replacement"),
        ("replace , _ d", "source_labels"),
        ("labelmap _ a _ ", "replacement"),
    ] {
        assert_eq!(Rule::new(written(text), NameScheme::Utf8).unwrap_err().key(), key, "{text}");
    }
    for (text, legacy, utf8) in [
        ("replace a _ b.c", false, true),
        ("replace a _ ${1}_x$2", true, true),
        ("replace a _ ${1.x}", false, true),
        ("hashmod a _ $1 _ 2", false, true),
        ("uppercase a _ 1a", false, true),
        ("labelmap _ a _ b-$1", false, true),
        ("labelmap _ a _ b_$1", true, true),
        ("labelmap _ a _ 9", false, true),
    ] {
        assert_eq!(Rule::new(written(text), NameScheme::Legacy).is_ok(), legacy, "{text}");
        assert_eq!(Rule::new(written(text), NameScheme::Utf8).is_ok(), utf8, "{text}");
    }
}

/// A rule that doubles a value, again and again, fails before it takes much memory.
#[test]
fn what_grows_without_end_fails() {
    let doubling: Rules = (0..40).map(|_| rule(written("replace a _ a ${1}${1}"))).collect();
    assert!(doubling.apply(&mut LabelsBuilder::over_base([("a", "foo")])).is_err());
    let multiplying: Rules = (0..40).map(|i| rule(written(&format!("labelmap _ (.*) _ x{i}_$1")))).collect();
    assert!(multiplying.apply(&mut LabelsBuilder::over_base([("a", "1"), ("b", "2")])).is_err());
    let long = RuleOptions { separator: "x".repeat(2000), target_label: "a".into(), ..RuleOptions::default() };
    assert!(matches!(Rule::new(long, NameScheme::Utf8), Err(RuleError::TextTooLong { key: "separator", .. })));
}
