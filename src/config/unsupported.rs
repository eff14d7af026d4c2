//! Why Narthex leaves out what Prometheus has: the reason that stands in the error.

/// Keys that are left out on purpose, and why.
const REASONS: [(&str, &str); 20] = [
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
    ("sigv4", "requests are not signed; put a proxy that signs before the receiver"),
    ("azuread", "requests are not signed; put a proxy that signs before the receiver"),
    ("storage", "samples wait in the ring; see [buffer]"),
    ("tracing", "Narthex does not trace itself"),
];

/// Discoveries that ask a programming interface of their own.
const OF_DISCOVERY: &str =
    "it asks a data centre's own interface; have its machines written to a file, or served by HTTP";

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
