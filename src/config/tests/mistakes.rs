//! Every kind of mistake, with the line that tells of it.

use super::*;
use crate::limits::TARGETS_MAX;

/// Each text, with the one line that it is answered with. Most texts have no [buffer]: that is not told unless it is the line.
pub(super) fn assert_mistakes(mistakes: &[(&str, &str)]) {
    for (text, line) in mistakes {
        let errors = read_text(text).expect_err(text).to_string();
        let is_told = |told: &&str| told == line || !told.contains("needs a [buffer]");
        assert_eq!(errors.lines().filter(is_told).collect::<Vec<_>>(), [*line], "\n{text}");
    }
}

#[test]
fn keys_that_are_not_read_are_refused() {
    assert_mistakes(&[
        (
            "[[scrape_configs]]\njob_name = 'a'\nscrape_intervall = '1m'",
            "n.toml:3: scrape_configs.scrape_intervall: unknown key; did you mean scrape_interval?",
        ),
        ("[globl]", "n.toml:1: globl: unknown key; did you mean global?"),
        (
            "[buffer]\npath = 'r'\ndirectory = 'x'",
            "n.toml:3: buffer.directory: unknown key; the nearest are size, path, erase_block, and docs/configuration.md has them all",
        ),
        (
            "b = 1",
            "n.toml:1: b: unknown key; the nearest are buffer, global, limits, and docs/configuration.md has them all",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\nscrape_classic_histograms = true",
            "n.toml:3: scrape_configs.scrape_classic_histograms: unknown key; did you mean always_scrape_classic_histograms?",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\nstatic_configs = [{ targets = [], server = 'a' }]",
            "n.toml:3: scrape_configs.static_configs.server: unknown key; the keys here are targets, labels",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\n[[scrape_configs.static_configs]]\ntarget = ['a']",
            "n.toml:4: scrape_configs.static_configs.target: unknown key; did you mean targets?",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nqueue_config = { max_backof = '1s' }",
            "n.toml:3: remote_write.queue_config.max_backof: unknown key; did you mean max_backoff?",
        ),
        (
            "\"a\\nb\" = 1",
            "n.toml:1: \"a\\nb\": unknown key; the nearest are global, status, buffer, and docs/configuration.md has them all",
        ),
        (
            "rule_files = []",
            "n.toml:1: rule_files: is not supported: rules are evaluated where the samples are sent to",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\nkeep_dropped_targets = 10",
            "n.toml:3: scrape_configs.keep_dropped_targets: is not supported: the status page counts dropped \
             targets and shows the first 100",
        ),
        ("[status]", "n.toml:1: status.listen: is missing; write listen = \"127.0.0.1:9095\""),
        (
            "[status]\nlisten = ':9095'",
            "n.toml:2: status.listen: \":9095\" is not an IP address and a port; write one such as \"127.0.0.1:9095\"",
        ),
        (
            "[status]\nlisten = 9095",
            "n.toml:2: status.listen: is the integer 9095; write a string such as \"127.0.0.1:9095\"",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\n[[scrape_configs.consul_sd_configs]]",
            "n.toml:3: scrape_configs.consul_sd_configs: is not supported: Narthex does not ask this interface; \
             have its targets written to a file (file_sd_configs) or served by HTTP (http_sd_configs)",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\n[remote_write.google_iam]",
            "n.toml:3: remote_write.google_iam: is not supported by Narthex; remove it",
        ),
        (
            "[[remote_write]]\nurl = 'https://a'\ntls_config.cert_ref = 'x'",
            "n.toml:3: remote_write.tls_config.cert_ref: is not supported by Narthex; remove it",
        ),
    ]);
}

#[test]
fn values_of_the_wrong_type_are_told_what_to_be() {
    assert_mistakes(&[
        (
            "[global]\n\nscrape_interval = 15",
            "n.toml:3: global.scrape_interval: is the integer 15; write a duration such as \"15s\"",
        ),
        (
            "global.scrape_interval = 1.5",
            "n.toml:1: global.scrape_interval: is the number 1.5; write a duration such as \"15s\"",
        ),
        ("global = 'x'", "n.toml:1: global: is a string; write [global]"),
        ("[scrape_configs]\njob_name = 'a'", "n.toml:1: scrape_configs: is a table; write [[scrape_configs]]"),
        ("remote_write = [1]", "n.toml:1: remote_write: is the integer 1; write [[remote_write]]"),
        (
            "[[scrape_configs]]\njob_name = 'a'\n[scrape_configs.static_configs]\ntargets = []",
            "n.toml:3: scrape_configs.static_configs: is a table; write [[scrape_configs.static_configs]]",
        ),
        (
            "[[scrape_configs]]\njob_name = true",
            "n.toml:2: scrape_configs.job_name: is true; write a string such as \"node\"",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\nstatic_configs = [{ targets = 'a:1' }]",
            "n.toml:3: scrape_configs.static_configs.targets: is a string; write a list such as [\"127.0.0.1:9100\"]",
        ),
        (
            "[global.external_labels]\nrack = 3",
            "n.toml:2: global.external_labels.rack: is the integer 3; write a string such as \"north\"",
        ),
        ("global.external_labels = 'x'", "n.toml:1: global.external_labels: is a string; write { site = \"north\" }"),
        (
            "[[remote_write]]\nurl = 'https://a'\ntls_config.insecure_skip_verify = 'no'",
            "n.toml:3: remote_write.tls_config.insecure_skip_verify: is a string; write true or false",
        ),
        (
            "[[remote_write]]\nurl = 'https://a'\nqueue_config.max_samples_per_send = '5'",
            "n.toml:3: remote_write.queue_config.max_samples_per_send: is a string; write a whole number from 1 to 50000",
        ),
        (
            "buffer = { path = [] }",
            "n.toml:1: buffer.path: is a list; write a string such as \"/var/lib/narthex/ring\"",
        ),
        (
            "buffer = { path = 'a', size = 67108864 }",
            "n.toml:1: buffer.size: is the integer 67108864; write a size such as \"64MiB\"",
        ),
        (
            "buffer = { path = 2020-01-01 }",
            "n.toml:1: buffer.path: is the date 2020-01-01; write a string such as \"/var/lib/narthex/ring\"",
        ),
    ]);
}

#[test]
fn timing_that_can_not_be_is_refused() {
    assert_mistakes(&[
        (
            "global.scrape_interval = '15'",
            "n.toml:1: global.scrape_interval: \"15\" is not a duration; write it as \"15s\", \"1m30s\" or \"500ms\"",
        ),
        (
            "global.scrape_interval = '0s'",
            "n.toml:1: global.scrape_interval: is zero; write a duration such as \"15s\", or leave the key out",
        ),
        (
            "global.scrape_interval = '293y'",
            "n.toml:1: global.scrape_interval: \"293y\" is too long; the longest duration is \"292y\"",
        ),
        (
            "[global]\nscrape_interval = '15s'\nscrape_timeout = '20s'",
            "n.toml:3: global.scrape_timeout: \"20s\" is longer than the scrape_interval; write at most \"15s\"",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\nscrape_timeout = '61s'",
            "n.toml:3: scrape_configs.scrape_timeout: \"1m1s\" is longer than the scrape_interval; write at most \"1m\"",
        ),
    ]);
}

#[test]
fn pages_that_can_not_be_asked_for_are_refused() {
    for (line, problem) in [
        (
            "scrape_protocols = ['text']",
            "scrape_protocols: \"text\" is not a protocol; write one of PrometheusProto, OpenMetricsText1.0.0, \
             OpenMetricsText0.0.1, PrometheusText1.0.0, PrometheusText0.0.4",
        ),
        (
            "scrape_protocols = []",
            "scrape_protocols: is empty; write a list such as [\"OpenMetricsText1.0.0\", \"PrometheusText0.0.4\"]",
        ),
        (
            "scrape_protocols = ['PrometheusText0.0.4', 'PrometheusText0.0.4']",
            "scrape_protocols: \"PrometheusText0.0.4\" stands twice; write it once",
        ),
        (
            "metric_name_escaping_scheme = 'none'",
            "metric_name_escaping_scheme: \"none\" is not an escaping scheme; write one of allow-utf-8, underscores, \
             dots, values",
        ),
        (
            "metric_name_escaping_scheme = 'allow-utf-8'\nmetric_name_validation_scheme = 'legacy'",
            "metric_name_escaping_scheme: asks for names that metric_name_validation_scheme \"legacy\" forbids; write \
             \"underscores\"",
        ),
        (
            "native_histogram_min_bucket_factor = 'x'",
            "native_histogram_min_bucket_factor: is a string; write a number such as 1.1",
        ),
        (
            "native_histogram_min_bucket_factor = -1.5",
            "native_histogram_min_bucket_factor: is -1.5; write a number such as 1.1",
        ),
        ("sample_limit = -1", "sample_limit: is -1; write a number from 0 to 2147483648"),
        (
            "convert_classic_histograms_to_nhcb = true",
            "convert_classic_histograms_to_nhcb: is not supported, since the buckets of a page would have to be held \
             until its end; classic histograms are sent as they are: write false",
        ),
        (
            "scrape_failure_log_file = 'x'",
            "scrape_failure_log_file: is not supported: a file of failures would wear the flash out; they are in the log",
        ),
    ] {
        let text = format!("[[scrape_configs]]\njob_name = 'a'\n{line}");
        assert_mistakes(&[(&text, &format!("n.toml:3: scrape_configs.{problem}"))]);
    }
    assert_mistakes(&[(
        "limits.max_series = 0",
        "n.toml:1: limits.max_series: is 0; write a number from 1 to 16777216",
    )]);
}

#[test]
fn jobs_that_can_not_be_are_refused() {
    assert_mistakes(&[
        ("[[scrape_configs]]", "n.toml:1: scrape_configs.job_name: is missing; write job_name = \"node\""),
        (
            "[[scrape_configs]]\njob_name = ''",
            "n.toml:2: scrape_configs.job_name: is empty; write a name such as \"node\"",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\n[[scrape_configs]]\njob_name = 'a'",
            "n.toml:4: scrape_configs.job_name: \"a\" is the job on line 2 too; give each job its own name",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\nscheme = 'HTTP'",
            "n.toml:3: scrape_configs.scheme: \"HTTP\" is not a scheme; write \"http\" or \"https\"",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\nmetrics_path = 'metrics'",
            "n.toml:3: scrape_configs.metrics_path: \"metrics\" does not start with /; write a path such as \"/metrics\"",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\nmetrics_path = '/probe?target=x'",
            "n.toml:3: scrape_configs.metrics_path: \"/probe?target=x\" has a query; write the path alone, \
             and params = { name = [\"value\"] }",
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\nstatic_configs = [{}]",
            "n.toml:3: scrape_configs.static_configs.targets: is missing; write targets = [\"127.0.0.1:9100\"]",
        ),
    ]);
}

#[test]
fn targets_that_can_not_be_scraped_are_refused() {
    let too_many = |n| format!("targets = [\n{}]", "'a',\n".repeat(n));
    let long_label = format!("targets = ['a']\nlabels.x = '{}'", "x".repeat(16 * 1024 + 1));
    for (static_config, line, problem) in [
        (
            "targets = [\n'a:1',\n'http://b:2/metrics']",
            6,
            "targets: is a URL; write \"b:2\" here, and scheme and metrics_path in its [[scrape_configs]]",
        ),
        (
            "targets = ['https://u:hunter2@b']",
            4,
            "targets: is a URL; write \"b\" here, and scheme and metrics_path in its [[scrape_configs]]",
        ),
        (
            "targets = ['u:hunter2@b']",
            4,
            "targets: has a user or password in it; write an address such as \"127.0.0.1:9100\"",
        ),
        (
            "targets = ['b:2/metrics']",
            4,
            "targets: \"b:2/metrics\" has a path; write \"b:2\" here, and metrics_path in its [[scrape_configs]]",
        ),
        (
            "targets = ['']",
            4,
            "targets: \"\" is not an address; write one such as \"127.0.0.1:9100\" or \"[::1]:9100\"",
        ),
        (
            "targets = ['::1']",
            4,
            "targets: \"::1\" is not an address; write one such as \"127.0.0.1:9100\" or \"[::1]:9100\"",
        ),
        ("targets = ['a', 1]", 4, "targets: is the integer 1; write a string such as \"127.0.0.1:9100\""),
        (&too_many(TARGETS_MAX + 1), 1029, "targets: is target 1025; list at most 1024 in all jobs together"),
        (
            "targets = ['a']\nlabels.__scheme__ = 'ftp'",
            4,
            "targets: \"ftp\" in __scheme__ is not a scheme; write \"http\" or \"https\"",
        ),
        (
            "targets = ['a']\nlabels.__address__ = 'b'",
            5,
            "labels.__address__: is not supported; write the address in targets",
        ),
        ("targets = ['a']\nlabels.'' = 'b'", 5, "labels.\"\": a label needs a name; write one such as site"),
        (&long_label, 5, "labels: label \"x\" is 16385 bytes long, past the limit; write fewer or shorter ones"),
    ] {
        let text = format!("[[scrape_configs]]\njob_name = 'j'\n[[scrape_configs.static_configs]]\n{static_config}");
        let expected = format!("n.toml:{line}: scrape_configs.static_configs.{problem}");
        assert_mistakes(&[(&text, &expected)]);
    }
    assert_eq!(
        valid(&format!(
            "[[scrape_configs]]\njob_name = 'j'\n[[scrape_configs.static_configs]]\n{}",
            too_many(TARGETS_MAX)
        ))
        .jobs[0]
            .static_configs[0]
            .targets
            .len(),
        TARGETS_MAX
    );
}

#[test]
fn external_labels_that_would_be_lost_are_refused() {
    assert_mistakes(&[
        (
            "[global]\nexternal_labels = { device = '${HOST}' }",
            "n.toml:2: global.external_labels.device: the environment variable \"HOST\" is not set; set it, or write $$ \
             for a dollar sign",
        ),
        (
            "[global]\nexternal_labels = { device = '$EMPTY' }",
            "n.toml:2: global.external_labels.device: the environment variable \"EMPTY\" is not set; set it, or write $$ \
             for a dollar sign",
        ),
        (
            "[global]\nexternal_labels = { price = '5$' }",
            "n.toml:2: global.external_labels.price: has a $ without a variable's name; write ${NAME}, or $$ for a \
             dollar sign",
        ),
        (
            "[global]\nexternal_labels = { device = '${}' }",
            "n.toml:2: global.external_labels.device: has a $ without a variable's name; write ${NAME}, or $$ for a \
             dollar sign",
        ),
        (
            "[global]\nexternal_labels = { device = '${DEVICE' }",
            "n.toml:2: global.external_labels.device: has a $ without a variable's name; write ${NAME}, or $$ for a \
             dollar sign",
        ),
    ]);
}

#[test]
fn endpoints_that_can_not_be_written_to_are_refused() {
    let seventeen: String = (0..17).map(|n| format!("[[remote_write]]\nurl = 'http://a/{n}'\n")).collect();
    assert_mistakes(&[
        ("[[remote_write]]", "n.toml:1: remote_write.url: is missing; write url = \"https://host/api/v1/write\""),
        (
            "[[remote_write]]\nurl = 'host/write'",
            "n.toml:2: remote_write.url: does not start with http:// or https://; write one such as \
             \"https://host/api/v1/write\"",
        ),
        (
            "[[remote_write]]\nurl = 'https:///write'",
            "n.toml:2: remote_write.url: is not a URL; write one such as \"https://host/api/v1/write\"",
        ),
        (
            "[[remote_write]]\nurl = 'https://u:hunter2@host/write'",
            "n.toml:2: remote_write.url: has a user or password in it; write them in basic_auth",
        ),
        (
            "[[remote_write]]\nurl = 'https://host/write#x'",
            "n.toml:2: remote_write.url: has a fragment; remove # and what follows it",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nname = ''",
            "n.toml:3: remote_write.name: is empty; write a name such as \"cloud\", or leave the key out",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nname = \"a\\n\"",
            "n.toml:3: remote_write.name: has a control character or line break; write a name such as \"cloud\"",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nname = 'x'\n[[remote_write]]\nurl = 'http://b'\nname = 'x'",
            "n.toml:6: remote_write.name: \"x\" is the name of an endpoint above too; write another",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\n[[remote_write]]\nurl = 'http://a'",
            "n.toml:3: remote_write.name: is missing, and an endpoint above has the same url or name; write a name for \
             each",
        ),
        (&seventeen, "n.toml:33: remote_write: is one too many; write at most 16"),
    ]);
}

#[test]
fn lanes_that_can_not_be_are_refused() {
    let live_first = |n: usize| format!("[[remote_write]]\nurl = 'http://{n}'\ncatch_up = 'live_first'\n");
    let six: String = (0..6).map(live_first).collect();
    assert_mistakes(&[
        (
            "[[remote_write]]\nurl = 'http://a'\ncatch_up = 'newest'",
            "n.toml:3: remote_write.catch_up: \"newest\" is no order to catch up in; write \"oldest_first\" or \
             \"live_first\"",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nwrite_relabel_configs = [{ target_label = '__priority__', replacement = 'urgent' }]",
            "n.toml:3: remote_write.write_relabel_configs: a rule writes \"urgent\" into __priority__; write \"high\", \
             \"normal\" or \"low\" as its replacement",
        ),
        (
            &six,
            "n.toml:16: remote_write: needs 3 of the 16 places that the ring has for how far endpoints have come, and 1 are \
             left: one for each class that write_relabel_configs give, three for each with catch_up = \"live_first\"; write \
             fewer of these",
        ),
    ]);
}

#[test]
fn endpoints_that_can_not_be_are_refused() {
    assert_mistakes(&[
        (
            "[[remote_write]]\nurl = 'http://a'\nremote_timeout = '0s'",
            "n.toml:3: remote_write.remote_timeout: is zero; write a duration such as \"15s\", or leave the key out",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nprotobuf_message = 'io.prometheus.write.v3.Request'",
            "n.toml:3: remote_write.protobuf_message: \"io.prometheus.write.v3.Request\" is not supported; write \
             \"auto\", \"prometheus.WriteRequest\" or \"io.prometheus.write.v2.Request\"",
        ),
        (
            "[[remote_write]]\nurl = 'https://a'\ntls_config.ca_file = ''",
            "n.toml:3: remote_write.tls_config.ca_file: is empty; write a path such as \"ca.pem\"",
        ),
    ]);
}

#[test]
fn authentication_that_can_not_be_is_refused_without_a_word_of_it() {
    for (auth, problem) in [
        (
            "basic_auth = { username = 'u', password = 'hunter2' }\nauthorization = { credentials = 'hunter2' }",
            "4: remote_write.authorization: conflicts with basic_auth; remove one of them",
        ),
        ("basic_auth = 'u:hunter2'", "3: remote_write.basic_auth: is a string; write [remote_write.basic_auth]"),
        ("authorization = ['hunter2']", "3: remote_write.authorization: is a list; write [remote_write.authorization]"),
        ("basic_auth = {}", "3: remote_write.basic_auth: is empty; write username and password, or leave it out"),
        (
            "basic_auth = { username = 'u', password = 'hunter2', password_file = 'f' }",
            "3: remote_write.basic_auth.password_file: conflicts with password; remove one of them",
        ),
        (
            "basic_auth = { username = 'u', password = 12345 }",
            "3: remote_write.basic_auth.password: is not a string; write it in quotes",
        ),
        (
            "authorization = { credentials = \"hunter2\\n\" }",
            "3: remote_write.authorization.credentials: is empty or has a line break or control character; write the \
             token alone",
        ),
        (
            "authorization = { credentials = '' }",
            "3: remote_write.authorization.credentials: is missing; write credentials or credentials_file",
        ),
        (
            "basic_auth = { username = 'u', password = '<secret>' }",
            "3: remote_write.basic_auth.password: is what Narthex shows instead of a secret; write the secret itself",
        ),
        (
            "authorization = { type = ' BASIC ', credentials = 'hunter2' }",
            "3: remote_write.authorization.type: is \"basic\"; write basic_auth with username and password instead of \
             authorization",
        ),
        (
            "authorization = { type = 'Bearer hunter2' }",
            "3: remote_write.authorization.type: is not one word; write a type such as \"Bearer\", and the rest in \
             credentials",
        ),
        (
            "authorization = { type = 'Bearer' }",
            "3: remote_write.authorization.credentials: is missing; write credentials or credentials_file",
        ),
        ("authorization.credentials = hunter2", "3: is not TOML: a text needs quotes; write it as \"...\""),
    ] {
        let text = format!("[[remote_write]]\nurl = 'http://a'\n{auth}");
        assert_mistakes(&[(&text, &format!("n.toml:{problem}"))]);
        assert!(!problem.contains("hunter2") && !problem.contains("12345"));
    }
}

#[test]
fn rings_that_can_not_be_are_refused_by_the_relation_that_fails() {
    assert_mistakes(&[
        (
            "[global]\n[[remote_write]]\nurl = 'http://a'",
            "n.toml:2: remote_write: needs a [buffer]; write one with path = \"/var/lib/narthex/ring\"",
        ),
        ("[buffer]", "n.toml:1: buffer.path: is missing; write path = \"/var/lib/narthex/ring\""),
    ]);
    for (sizes, problem) in [
        ("size = '64'", "2: buffer.size: \"64\" is not a size; write it as \"64MiB\" or \"512KiB\""),
        ("size = '32KiB'", "2: buffer.size: \"32KiB\" is out of range; write \"64KiB\" to \"64GiB\""),
        ("size = '1TiB'", "2: buffer.size: \"1TiB\" is out of range; write \"64KiB\" to \"64GiB\""),
        ("segment_size = '2KiB'", "2: buffer.segment_size: \"2KiB\" is out of range; write \"4KiB\" to \"64MiB\""),
        ("segment_size = '6KiB'", "2: buffer.segment_size: \"6KiB\" is not a multiple of \"4KiB\"; write \"4KiB\""),
        (
            "size = '1MiB'\nsegment_size = '512KiB'",
            "3: buffer.segment_size: \"512KiB\" leaves \"1MiB\" fewer than 4 segments; write at most \"256KiB\"",
        ),
        (
            "size = '64MiB'\nsegment_size = '8KiB'",
            "3: buffer.segment_size: \"8KiB\" makes \"64MiB\" more than 4096 segments; write at least \"16KiB\"",
        ),
        (
            "size = '65MiB'\nsegment_size = '2MiB'",
            "2: buffer.size: \"65MiB\" is not a multiple of the segment_size \"2MiB\"; write \"64MiB\"",
        ),
        (
            "size = '68KiB'",
            "2: buffer.size: \"68KiB\" is not a multiple of the segment_size \"16KiB\"; write \"64KiB\"",
        ),
        (
            "size = '32MiB'\nsegment_size = '1MiB'\nerase_block = '384KiB'",
            "3: buffer.segment_size: \"1MiB\" is not a multiple of the erase_block \"384KiB\"; write \"1152KiB\"",
        ),
        (
            "size = '4MiB'\nerase_block = '2MiB'",
            "3: buffer.erase_block: \"2MiB\" leaves \"4MiB\" fewer than 4 of them; write at most \"1MiB\"",
        ),
        ("erase_block = '128MiB'", "2: buffer.erase_block: \"128MiB\" is out of range; write \"512B\" to \"64MiB\""),
        (
            "erase_block = '5KiB'\nprogram_unit = '2KiB'",
            "2: buffer.erase_block: \"5KiB\" is not a multiple of the program_unit \"2KiB\"; write \"6KiB\"",
        ),
        (
            "program_unit = '8KiB'",
            "2: buffer.program_unit: \"8KiB\" can not be; write \"512B\", \"1KiB\", \"2KiB\" or \"4KiB\"",
        ),
        (
            "segment_size = '8KiB'\nsize = '1MiB'\nprogram_unit = '4KiB'",
            "2: buffer.segment_size: \"8KiB\" is too small for a program_unit of \"4KiB\"; write at least \"16KiB\"",
        ),
    ] {
        assert_mistakes(&[(
            &format!("buffer.path = 'a'\nbuffer.{}", sizes.replace('\n', "\nbuffer.")),
            &format!("n.toml:{problem}"),
        )]);
    }
}

#[test]
fn commits_and_wear_that_can_not_be_are_refused() {
    for (keys, problem) in [
        ("commit_interval = 30", "2: buffer.commit_interval: is the integer 30; write a duration such as \"15s\""),
        (
            "commit_interval = '1h'\ncommit_interval_max = '30m'",
            "3: buffer.commit_interval_max: \"30m\" is less than the commit_interval \"1h\"; write \"1h\" or more",
        ),
        (
            "commit_interval = '0s'\ncommit_interval_max = '0s'",
            "3: buffer.commit_interval_max: is zero; write a duration such as \"15s\", or leave the key out",
        ),
        (
            "write_budget = '50MiB'",
            "2: buffer.write_budget: \"50MiB\" is not a budget; write it as \"50MiB/day\" or \"4MiB/hour\"",
        ),
        (
            "write_budget = '1KiB/day'",
            "2: buffer.write_budget: \"1KiB/day\" is out of range; write 64KiB to 1TiB for each day or hour, or leave the key out for no budget",
        ),
        ("write_budget = 50", "2: buffer.write_budget: is the integer 50; write a string such as \"50MiB/day\""),
        ("rated_cycles = 0", "2: buffer.rated_cycles: is 0; write a number from 1 to 10000000"),
        ("erase_block = 4096", "2: buffer.erase_block: is the integer 4096; write a size such as \"64MiB\""),
    ] {
        assert_mistakes(&[(
            &format!("buffer.path = 'a'\nbuffer.{}", keys.replace('\n', "\nbuffer.")),
            &format!("n.toml:{problem}"),
        )]);
    }
}
