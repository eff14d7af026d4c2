//! Rules, parameters and limits: what is inherited, what is refused, what static targets come to.

use super::*;
use crate::model::NameScheme;
use crate::relabel::{Populated, populate};

fn job_error(rest: &str) -> String {
    let text = format!("[[scrape_configs]]\njob_name = 'j'\n{rest}");
    read_text(&text).expect_err(&text).to_string()
}

#[test]
fn limits_and_scheme_are_inherited_where_a_job_has_none_or_zero() {
    let config = valid(
        r#"
        [global]
        label_limit = 10
        target_limit = 3
        label_value_length_limit = 7
        metric_name_validation_scheme = "legacy"
        [[scrape_configs]]
        job_name = "a"
        label_limit = 0
        label_value_length_limit = 9
        [[scrape_configs]]
        job_name = "b"
        metric_name_validation_scheme = "utf8"
        honor_labels = true
        "#,
    );
    let [a, b] = &config.jobs[..] else { panic!("two jobs") };
    assert_eq!((a.samples.limits.count, a.samples.limits.value_bytes, a.target_limit), (Some(10), Some(9), Some(3)));
    assert_eq!((a.samples.limits.name_bytes, a.samples.scheme), (None, NameScheme::Legacy));
    assert_eq!((b.samples.limits.count, b.samples.scheme), (Some(10), NameScheme::Utf8));
    assert_eq!((a.samples.honor_labels, b.samples.honor_labels), (false, true));
}

/// The example that every Prometheus user with a prober has.
#[test]
fn static_targets_are_relabelled() {
    let config = valid(
        r#"
        [[scrape_configs]]
        job_name = "probe"
        metrics_path = "/probe"
        params = { module = ["http_2xx"] }
        static_configs = [{ targets = ["https://site.example/", "spare"], labels = { __tmp_keep = "1" } }]
        relabel_configs = [
            { source_labels = ["__address__"], regex = "spare", action = "drop" },
            { source_labels = ["__address__"], target_label = "__param_target" },
            { source_labels = ["__param_target"], target_label = "instance" },
            { target_label = "__address__", replacement = "127.0.0.1:9115" },
        ]
        "#,
    );
    let (job, groups) = (&config.jobs[0], config.jobs[0].static_groups());
    let found = groups.iter().flat_map(|group| group.discovered());
    let found: Vec<_> = found.map(|labels| populate(labels, &job.target_defaults()).unwrap()).collect();
    let targets = found.iter().filter_map(|found| match found {
        Populated::Target(target) => Some(target),
        Populated::Dropped => None,
    });
    let [target] = &targets.collect::<Vec<_>>()[..] else { panic!("one target") };
    assert_eq!(target.url(), "http://127.0.0.1:9115/probe?module=http_2xx&target=https%3A%2F%2Fsite.example%2F");
    assert_eq!(target.labels.to_string(), r#"{instance="https://site.example/", job="probe"}"#);
    assert_eq!(found.len(), 2, "one was dropped");
}

#[test]
fn rules_that_can_not_be_are_told_with_line_and_key() {
    for (text, line) in [
        (
            "relabel_configs = [{ action = 'kep' }]",
            "n.toml:3: scrape_configs.relabel_configs.action: \"kep\" is not an action; write one of replace, keep, drop, \
             keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, lowercase, uppercase",
        ),
        (
            "[[scrape_configs.relabel_configs]]\nregex = '('\ntarget_label = 'a'",
            "n.toml:4: scrape_configs.relabel_configs.regex: error parsing regexp: missing closing ): `^(?s:()$`; write an \
             expression in RE2 syntax such as \"(.*):9100\"",
        ),
        (
            "[[scrape_configs.metric_relabel_configs]]\naction = 'hashmod'\ntarget_label = 'a'",
            "n.toml:3: scrape_configs.metric_relabel_configs.modulus: is missing, and hashmod requires it; write modulus = 4",
        ),
        (
            "metric_relabel_configs = [{ source_labels = 'a' }]",
            "n.toml:3: scrape_configs.metric_relabel_configs.source_labels: is a string; write a list such as \
             [\"__address__\"]",
        ),
        (
            "metric_name_validation_scheme = 'legacy'\nrelabel_configs = [{ target_label = 'a.b' }]",
            "n.toml:4: scrape_configs.relabel_configs.target_label: \"a.b\" is no label's name, so invalid for replace; \
             write one such as \"instance\"",
        ),
        (
            "metric_name_validation_scheme = 'ascii'",
            "n.toml:3: scrape_configs.metric_name_validation_scheme: \"ascii\" is not a scheme; write \"utf8\" or \"legacy\"",
        ),
        (
            "relabel_configs = [{ targetlabel = 'a' }]",
            "n.toml:3: scrape_configs.relabel_configs.targetlabel: unknown key; did you mean target_label?",
        ),
        ("params = { a = 'b' }", "n.toml:3: scrape_configs.params.a: is a string; write a list such as [\"http_2xx\"]"),
        ("label_limit = -1", "n.toml:3: scrape_configs.label_limit: is -1; write a number from 0 to 4294967295"),
        (
            "static_configs = [{ targets = ['a'] }]\nrelabel_configs = [{ target_label = '__address__', replacement = '' }]",
            "n.toml:3: scrape_configs.static_configs.targets: no address; let relabel_configs leave one in __address__",
        ),
    ] {
        assert_eq!(job_error(text), line, "{text}");
    }
    let legacy = "[global]\nmetric_name_validation_scheme = 'legacy'\nexternal_labels = { 'a.b' = 'c' }";
    assert_eq!(
        read_text(legacy).unwrap_err().to_string(),
        "n.toml:3: global.external_labels: \"a.b\" is not a label's name in the scheme legacy; write letters, digits and _"
    );
}
