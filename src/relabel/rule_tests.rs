//! Rules and lists of rules. Every expectation is what Prometheus 3 (`model/relabel`) makes of the same.

use super::{Action, Rule, RuleError, RuleOptions, Rules, Verdict};
use crate::model::{LabelsBuilder, LabelsError, NameScheme};
use proptest::prelude::*;

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

/// A page may give one label twice; rules see the first, and can remove both, but replace only one, as in Prometheus.
#[test]
fn labels_that_come_twice_can_be_cured() {
    let twice = &[("a", "second")];
    assert_eq!(relabelled(twice, &["labeldrop _ a"]), "b=bar c=baz");
    assert_eq!(
        relabelled(twice, &["replace a (.*) d", "labeldrop _ a", "replace d (.*) a ${1}!"]),
        "a=foo! b=bar c=baz d=foo"
    );
    let mut labels = LabelsBuilder::over_base([("a", "foo"), ("a", "second")]);
    rule(written("replace a (.*) a ${1}!")).apply(&mut labels).unwrap();
    assert_eq!(labels.get("a"), Some("foo!"));
    assert_eq!(labels.build(), Err(LabelsError::Repeated("a".into())));
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

/// Patterns from pieces that mean something, and from anything.
fn any_pattern() -> impl Strategy<Value = String> {
    let pieces = r"a b . .* (a) (b|c) | ( ) [a-c] [^b] [ \d \pL \Q \E \b ^ $ {2} {0,1} * +? (?i) (?P<n>a) é";
    let pieces: Vec<&str> = pieces.split(' ').collect();
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(pieces), 0..8).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
    ]
}

fn any_rule() -> impl Strategy<Value = RuleOptions> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d", "x.y", "$1", "t_${1}", "é"]).prop_map(str::to_owned);
    let sources = prop::option::of(prop::collection::vec(name(), 0..3));
    let replacement = prop::sample::select(vec!["$1", "${n}", "$0$0", "", "x", "$"]).prop_map(str::to_owned);
    (prop::sample::select(Action::ALL.to_vec()), sources, prop::option::of(any_pattern()), name(), replacement, 0..9u64)
        .prop_map(|(action, source_labels, regex, target_label, replacement, modulus)| {
            let by_name = matches!(action, Action::LabelDrop | Action::LabelKeep);
            let equal = matches!(action, Action::KeepEqual | Action::DropEqual);
            let defaults = RuleOptions::default();
            RuleOptions {
                action,
                source_labels: source_labels.filter(|_| !by_name),
                regex: regex.filter(|_| !equal),
                target_label: if by_name { String::new() } else { target_label },
                modulus: if action == Action::HashMod { modulus } else { 0 },
                replacement: match action {
                    Action::Replace | Action::LabelMap => replacement,
                    _ => defaults.replacement,
                },
                separator: defaults.separator,
            }
        })
}

proptest! {
    /// No rule panics; what is kept can be a series' labels, unless labelmap leaves one without a name, and is the same each
    /// time.
    #[test]
    fn rules_leave_valid_labels(
        options in prop::collection::vec(any_rule(), 0..6),
        labels in prop::collection::vec(("[a-d]|x.y|é", "[a-c;é]{0,4}"), 0..6),
    ) {
        let rules: Rules = options.into_iter().filter_map(|options| Rule::new(options, NameScheme::Utf8).ok()).collect();
        let run = || {
            let mut builder: LabelsBuilder = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            rules.apply(&mut builder).map(|verdict| (verdict, builder.build()))
        };
        let found = run();
        if let Ok((Verdict::Keep, labels)) = &found {
            match labels {
                Ok(labels) => prop_assert!(labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty())),
                Err(error) => prop_assert_eq!(error, &LabelsError::NameEmpty),
            }
        }
        prop_assert_eq!(found, run());
    }

    /// A value that is kept by a pattern is dropped by it, and the other way round.
    #[test]
    fn keep_and_drop_are_each_others_opposite(pattern in any_pattern(), value in "[a-cé]{0,5}|\\PC*") {
        let verdict = |action| {
            let source_labels = Some(vec!["v".into()]);
            let options = RuleOptions { action, source_labels, regex: Some(pattern.clone()), ..RuleOptions::default() };
            let rules: Rules = Rule::new(options, NameScheme::Utf8).into_iter().collect();
            rules.apply(&mut [("v", value.as_str())].into_iter().collect()).map(|verdict| (rules.is_empty(), verdict))
        };
        match (verdict(Action::Keep), verdict(Action::Drop)) {
            (Ok((false, keep)), Ok((false, drop))) => prop_assert_ne!(keep, drop),
            (keep, drop) => prop_assert_eq!(keep, drop),
        }
    }
}
