//! Why Narthex leaves out what Prometheus has: the reason that stands in the error.

const NO_ROLE: &str =
    "no role is assumed, which takes a token service; write the keys of a user who may do nothing but write";

/// Keys that are left out on purpose, and why.
const REASONS: [(&str, &str); 25] = [
    ("alerting", "alerts are evaluated where the samples are sent to"),
    ("bearer_token", "write authorization = { credentials = \"...\" } instead"),
    ("bearer_token_file", "write authorization = { credentials_file = \"...\" } instead"),
    ("enable_http2", "HTTP/1.1 is spoken, which each exporter and receiver understands"),
    ("evaluation_interval", "rules are evaluated where the samples are sent to"),
    ("keep_dropped_targets", "the status page counts dropped targets and shows the first 100"),
    ("max_shards", "one request is under way at a time, so that samples arrive in order"),
    ("min_shards", "one request is under way at a time, so that samples arrive in order"),
    ("otlp", "nothing is taken that is pushed; scrape the exporter instead"),
    ("query_log_file", "queries are answered where the samples are sent to"),
    ("remote_read", "nothing is read back from receivers"),
    ("rule_files", "rules are evaluated where the samples are sent to"),
    ("rule_query_offset", "rules are evaluated where the samples are sent to"),
    ("runtime", "it tunes Go's runtime"),
    ("scrape_config_files", "one file holds the whole configuration; write the jobs into it"),
    ("scrape_failure_log_file", "a file of failures would wear the flash out; they are in the log"),
    ("external_id", NO_ROLE),
    ("profile", "the files of AWS's tools are not read; write access_key and secret_key, or secret_key_file"),
    ("role_arn", NO_ROLE),
    ("session_name", NO_ROLE),
    ("tags", NO_ROLE),
    ("use_fips_sts_endpoint", NO_ROLE),
    ("azuread", "requests are not signed; put a proxy that signs before the receiver"),
    ("storage", "samples wait in the ring; see [buffer]"),
    ("tracing", "Narthex does not trace itself"),
];

/// Discoveries that ask a programming interface of their own.
const OF_DISCOVERY: &str = "Narthex does not ask this interface; have its targets written to a file (file_sd_configs) or served by HTTP (http_sd_configs)";

/// What to say of a key that only Prometheus reads.
pub(super) fn complaint(key: &str) -> String {
    let reason = REASONS.iter().find(|(left_out, _)| *left_out == key).map(|(_, reason)| *reason);
    match reason.or_else(|| key.ends_with("_sd_configs").then_some(OF_DISCOVERY)) {
        Some(reason) => format!("is not supported: {reason}"),
        None => "is not supported by Narthex; remove it".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_stands_on_one_line() {
        for (key, reason) in REASONS {
            assert!(!reason.contains('\n') && !reason.ends_with('.'), "{key}");
            assert_eq!(REASONS.iter().filter(|(other, _)| *other == key).count(), 1, "{key}");
        }
    }
}
