//! The keys of each table: those that Narthex reads, those that only Prometheus does, and what to say about any other.

use super::unsupported;

/// Keys that are named for one that is unknown.
const NEAREST_SHOWN: usize = 3;

/// Bytes of an unknown key that are compared with those that are known: any longer one is another word.
const COMPARED_BYTES_MAX: usize = 64;

/// Which keys a table may have.
pub(super) struct Keys {
    known: &'static [&'static str],
    /// Prometheus reads them; Narthex does not.
    unsupported: &'static [&'static str],
}

pub(super) const DOCUMENT: Keys = Keys {
    known: &["global", "scrape_configs", "remote_write", "buffer", "limits", "status", "uplink"],
    unsupported: &[
        "alerting",
        "otlp",
        "remote_read",
        "rule_files",
        "runtime",
        "scrape_config_files",
        "storage",
        "tracing",
    ],
};

pub(super) const GLOBAL: Keys = Keys {
    known: &[
        "scrape_interval",
        "scrape_timeout",
        "external_labels",
        "metric_name_validation_scheme",
        "label_limit",
        "label_name_length_limit",
        "label_value_length_limit",
        "target_limit",
        "always_scrape_classic_histograms",
        "body_size_limit",
        "convert_classic_histograms_to_nhcb",
        "extra_scrape_metrics",
        "metric_name_escaping_scheme",
        "sample_limit",
        "scrape_native_histograms",
        "scrape_protocols",
    ],
    unsupported: &[
        "evaluation_interval",
        "keep_dropped_targets",
        "query_log_file",
        "rule_query_offset",
        "scrape_failure_log_file",
    ],
};

/// Any other service discovery (`*_sd_configs`) is unsupported too.
pub(super) const SCRAPE_CONFIG: Keys = Keys {
    known: &[
        "job_name",
        "scrape_interval",
        "scrape_timeout",
        "metrics_path",
        "params",
        "scheme",
        "honor_labels",
        "metric_name_validation_scheme",
        "label_limit",
        "label_name_length_limit",
        "label_value_length_limit",
        "target_limit",
        "static_configs",
        "file_sd_configs",
        "dns_sd_configs",
        "http_sd_configs",
        "mdns_sd_configs",
        "relabel_configs",
        "metric_relabel_configs",
        "always_scrape_classic_histograms",
        "body_size_limit",
        "convert_classic_histograms_to_nhcb",
        "extra_scrape_metrics",
        "metric_name_escaping_scheme",
        "sample_limit",
        "scrape_native_histograms",
        "scrape_protocols",
        "enable_compression",
        "fallback_scrape_protocol",
        "honor_timestamps",
        "native_histogram_bucket_limit",
        "native_histogram_min_bucket_factor",
        "track_timestamps_staleness",
        "authorization",
        "basic_auth",
        "enable_http2",
        "follow_redirects",
        "http_headers",
        "no_proxy",
        "oauth2",
        "proxy_connect_header",
        "proxy_from_environment",
        "proxy_url",
        "tls_config",
    ],
    unsupported: &["keep_dropped_targets", "scrape_failure_log_file"],
};

pub(super) const RELABEL_CONFIG: Keys = Keys {
    known: &["action", "source_labels", "separator", "regex", "modulus", "target_label", "replacement"],
    unsupported: &[],
};

pub(super) const STATIC_CONFIG: Keys = Keys { known: &["targets", "labels"], unsupported: &[] };

pub(super) const FILE_SD_CONFIG: Keys = Keys { known: &["files", "refresh_interval"], unsupported: &[] };

/// `nameservers` is Narthex's own.
pub(super) const DNS_SD_CONFIG: Keys =
    Keys { known: &["names", "type", "port", "refresh_interval", "nameservers"], unsupported: &[] };

pub(super) const HTTP_SD_CONFIG: Keys = Keys {
    known: &[
        "url",
        "refresh_interval",
        "authorization",
        "basic_auth",
        "enable_http2",
        "follow_redirects",
        "http_headers",
        "no_proxy",
        "oauth2",
        "proxy_connect_header",
        "proxy_from_environment",
        "proxy_url",
        "tls_config",
    ],
    unsupported: &["bearer_token", "bearer_token_file"],
};

/// Narthex's own.
pub(super) const MDNS_SD_CONFIG: Keys = Keys { known: &["service_types"], unsupported: &[] };

pub(super) const REMOTE_WRITE: Keys = Keys {
    known: &[
        "url",
        "name",
        "remote_timeout",
        "protobuf_message",
        "send_exemplars",
        "send_native_histograms",
        "metadata_config",
        "queue_config",
        "give_up_on",
        "sigv4",
        "catch_up",
        "priority",
        "max_bytes_per_second",
        "backlog_max_bytes_per_second",
        "write_relabel_configs",
        "headers",
        "authorization",
        "basic_auth",
        "enable_http2",
        "follow_redirects",
        "http_headers",
        "no_proxy",
        "oauth2",
        "proxy_connect_header",
        "proxy_from_environment",
        "proxy_url",
        "tls_config",
    ],
    unsupported: &["azuread", "failed_request_logging", "google_iam", "round_robin_dns"],
};

/// `max_bytes_per_send` is Narthex's own.
pub(super) const QUEUE_CONFIG: Keys = Keys {
    known: &[
        "capacity",
        "max_samples_per_send",
        "max_bytes_per_send",
        "batch_send_deadline",
        "min_backoff",
        "max_backoff",
        "retry_on_http_429",
        "halve_refused",
        "sample_age_limit",
    ],
    unsupported: &["max_shards", "min_shards"],
};

pub(super) const METADATA_CONFIG: Keys =
    Keys { known: &["send", "send_interval", "max_samples_per_send"], unsupported: &[] };

/// The tables of an HTTP client; the keys that lead to them stand in the table of whoever uses it.
pub(super) const TLS_CONFIG: Keys = Keys {
    known: &[
        "ca",
        "ca_file",
        "cert",
        "cert_file",
        "key",
        "key_file",
        "server_name",
        "insecure_skip_verify",
        "min_version",
        "max_version",
    ],
    unsupported: &["ca_ref", "cert_ref", "key_ref"],
};

pub(super) const BASIC_AUTH: Keys = Keys {
    known: &["username", "username_file", "password", "password_file"],
    unsupported: &["password_ref", "username_ref"],
};

pub(super) const AUTHORIZATION: Keys =
    Keys { known: &["type", "credentials", "credentials_file"], unsupported: &["credentials_ref"] };

pub(super) const OAUTH2: Keys = Keys {
    known: &[
        "client_id",
        "client_secret",
        "client_secret_file",
        "token_url",
        "scopes",
        "endpoint_params",
        "grant_type",
        "tls_config",
        "no_proxy",
        "proxy_connect_header",
        "proxy_from_environment",
        "proxy_url",
    ],
    unsupported: &[
        "audience",
        "claims",
        "client_certificate_key",
        "client_certificate_key_file",
        "client_certificate_key_id",
        "client_certificate_key_ref",
        "client_secret_ref",
        "iss",
        "signature_algorithm",
    ],
};

/// `secret_key_file` is Narthex's own.
pub(super) const SIGV4: Keys = Keys {
    known: &["region", "access_key", "secret_key", "secret_key_file", "service_name"],
    unsupported: &["external_id", "profile", "role_arn", "session_name", "tags", "use_fips_sts_endpoint"],
};

pub(super) const HTTP_HEADER: Keys = Keys { known: &["values", "secrets", "files"], unsupported: &[] };

pub(super) const STATUS: Keys = Keys { known: &["listen"], unsupported: &[] };

pub(super) const LIMITS: Keys = Keys { known: &["max_series"], unsupported: &[] };

pub(super) const UPLINK: Keys = Keys {
    known: &["max_bytes_per_day", "max_bytes_per_month", "month_starts_on", "windows", "low_windows", "spread"],
    unsupported: &[],
};

pub(super) const BUFFER: Keys = Keys {
    known: &[
        "path",
        "size",
        "segment_size",
        "erase_block",
        "program_unit",
        "commit_interval",
        "commit_interval_max",
        "write_budget",
        "rated_cycles",
    ],
    unsupported: &[],
};

impl Keys {
    pub(super) fn knows(&self, key: &str) -> bool {
        self.known.contains(&key)
    }

    /// What is wrong with a key that is not known; what to write instead.
    pub(super) fn complaint(&self, key: &str) -> String {
        if ["bearer_token", "bearer_token_file"].contains(&key) && self.knows("authorization") {
            let credentials = key.replace("bearer_token", "credentials");
            return format!(
                "is what Prometheus had before authorization; write authorization = {{ {credentials} = \"...\" }}"
            );
        }
        if self.unsupported.contains(&key) || (self.knows("static_configs") && key.ends_with("_sd_configs")) {
            return unsupported::complaint(key);
        }
        let mut near: Vec<_> = self.known.iter().map(|known| (edit_distance(key, known), *known)).collect();
        near.sort();
        // A quarter of the letters may be wrong, but one at least: any more is another word.
        let wrong_max = (key.len() / 4).max(1);
        // A key that a new version calls by a longer name.
        let longer = self.known.iter().find(|known| known.strip_suffix(key).is_some_and(|start| start.ends_with('_')));
        match (longer, &near[..]) {
            (Some(known), _) => format!("unknown key; did you mean {known}?"),
            (None, [(wrong, known), ..]) if *wrong <= wrong_max => format!("unknown key; did you mean {known}?"),
            (None, [_, _, _, _, ..]) => {
                let nearest: Vec<&str> = near.iter().take(NEAREST_SHOWN).map(|(_, known)| *known).collect();
                format!("unknown key; the nearest are {}, and docs/configuration.md has them all", nearest.join(", "))
            }
            _ => format!("unknown key; the keys here are {}", self.known.join(", ")),
        }
    }
}

/// Letters to insert, remove or replace (Levenshtein), counted in bytes, of the beginning of `from`.
fn edit_distance(from: &str, to: &str) -> usize {
    let from = &from.as_bytes()[..from.len().min(COMPARED_BYTES_MAX)];
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().copied().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (from, to, distance) in
            [("", "", 0), ("url", "url", 0), ("ulr", "url", 2), ("nam", "name", 1), ("sise", "size", 1)]
        {
            assert_eq!(edit_distance(from, to), distance, "{from} {to}");
        }
        assert!(edit_distance(&"x".repeat(1 << 20), "url") <= COMPARED_BYTES_MAX);
    }
}
