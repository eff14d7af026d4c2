//! Any rules over any labels: a rule is refused or it works, twice the same, and what it leaves can be a series' labels.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use narthex::model::{LabelsBuilder, NameScheme};
use narthex::relabel::{Action, Rule, RuleOptions, Rules, Verdict};

#[derive(Arbitrary, Debug)]
struct Input {
    legacy: bool,
    rules: Vec<RuleInput>,
    base: Vec<(String, String)>,
    set: Vec<(String, String)>,
}

#[derive(Arbitrary, Debug)]
struct RuleInput {
    action: u8,
    source_labels: Option<Vec<String>>,
    separator: Option<String>,
    regex: Option<String>,
    modulus: u8,
    target_label: String,
    replacement: Option<String>,
}

fuzz_target!(|input: Input| {
    let scheme = if input.legacy { NameScheme::Legacy } else { NameScheme::Utf8 };
    let rules: Rules = input.rules.into_iter().take(8).filter_map(|rule| Rule::new(options(rule), scheme).ok()).collect();
    let run = || {
        let base = input.base.iter().filter(|(_, value)| !value.is_empty());
        let mut labels = LabelsBuilder::over_base(base.map(|(name, value)| (name.as_str(), value.as_str())));
        input.set.iter().for_each(|(name, value)| labels.set(name, value));
        rules.apply(&mut labels).map(|verdict| (verdict, labels.build()))
    };
    let found = run();
    if let Ok((Verdict::Keep, Ok(labels))) = &found {
        assert!(labels.iter().all(|(_, value)| !value.is_empty()));
    }
    assert_eq!(found, run());
});

fn options(rule: RuleInput) -> RuleOptions {
    let defaults = RuleOptions::default();
    RuleOptions {
        action: Action::ALL[usize::from(rule.action) % Action::ALL.len()],
        source_labels: rule.source_labels,
        separator: rule.separator.unwrap_or(defaults.separator),
        regex: rule.regex,
        modulus: u64::from(rule.modulus),
        target_label: rule.target_label,
        replacement: rule.replacement.unwrap_or(defaults.replacement),
    }
}
