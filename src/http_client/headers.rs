//! Headers that the configuration adds, and those that it may not.

use super::error::HttpError;
use super::options::HeaderOptions;
use crate::model::Secret;
use crate::secrets::{SecretReader, SecretSource, TextKind};
use ureq_proto::http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, WWW_AUTHENTICATE};
use ureq_proto::http::{HeaderMap, HeaderName, HeaderValue};

/// Prometheus's `ReservedHeaders`: those that change the connection, are set by the client, or can be changed otherwise.
const RESERVED: [&str; 18] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "user-agent",
    "www-authenticate",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-prometheus-remote-read-version",
    "x-prometheus-remote-write-version",
    "x-prometheus-scrape-timeout-seconds",
];

/// Whether `http_headers` may not set it, in whatever case it is written.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name.to_ascii_lowercase().as_str())
}

/// `http_headers`, ready to be added.
#[derive(Debug)]
pub(super) struct ConfiguredHeaders(Vec<Line>);

#[derive(Debug)]
struct Line {
    name: HeaderName,
    text: SecretReader,
    is_secret: bool,
}

impl ConfiguredHeaders {
    pub(super) fn new(options: &[HeaderOptions]) -> Self {
        let lines = options.iter().flat_map(|header| {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok();
            let values = header.values.iter().map(|value| (SecretSource::Inline(Secret::new(value.as_str())), false));
            let secrets = header.secrets.iter().map(|secret| (SecretSource::Inline(secret.clone()), true));
            let files = header.files.iter().map(|path| (SecretSource::File(path.clone()), true));
            values.chain(secrets).chain(files).filter_map(move |(source, is_secret)| {
                Some(Line { name: name.clone()?, text: SecretReader::new(source, TextKind::Secret), is_secret })
            })
        });
        ConfiguredHeaders(lines.collect())
    }

    /// Adds all; to another host than the one that was asked first only those that tell it nothing of who asks.
    pub(super) fn add(
        &self,
        headers: &mut HeaderMap,
        is_foreign: bool,
        secrets: &mut Vec<Secret>,
    ) -> Result<(), HttpError> {
        for Line { name, text, is_secret } in self.0.iter().filter(|line| !(is_foreign && is_sensitive(&line.name))) {
            let text = text.read().map_err(HttpError::Secret)?;
            let mut value = HeaderValue::from_str(text.expose())
                .map_err(|_| HttpError::NotAHeader(format!("http_headers {name}")))?;
            value.set_sensitive(*is_secret);
            headers.append(name, value);
            secrets.extend(is_secret.then(|| (*text).clone()));
        }
        Ok(())
    }
}

/// Those that Go's client does not take along to another host.
pub(super) fn is_sensitive(name: &HeaderName) -> bool {
    [AUTHORIZATION, WWW_AUTHENTICATE, COOKIE, PROXY_AUTHORIZATION, PROXY_AUTHENTICATE].contains(name)
        || name == "cookie2"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_headers_are_known_in_any_case() {
        for name in ["Host", "USER-AGENT", "x-amz-date", "X-Prometheus-Scrape-Timeout-Seconds"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["X-Scope-OrgID", "Accept", "Cookie", "Referer"] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn values_secrets_and_files_become_lines_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "from a file\n").unwrap();
        let header = |name: &str, values: &[&str], files| HeaderOptions {
            name: name.into(),
            values: values.iter().map(|value| value.to_string()).collect(),
            secrets: vec![Secret::new("hidden")],
            files,
        };
        let headers =
            ConfiguredHeaders::new(&[header("X-A", &["one", "two"], vec![file]), header("Cookie", &[], vec![])]);
        let added = |is_foreign| {
            let (mut map, mut secrets) = (HeaderMap::new(), Vec::new());
            headers.add(&mut map, is_foreign, &mut secrets).unwrap();
            map.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
        };
        let own = ["x-a: one", "x-a: two", "x-a: hidden", "x-a: from a file"];
        assert_eq!(added(true), own);
        assert_eq!(added(false), [&own[..], &["cookie: hidden"]].concat());
    }
}
