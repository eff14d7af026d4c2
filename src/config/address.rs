//! Addresses and URLs, held to the parser of the HTTP client that will use them, so that they can't fail there.

use super::reader::quoted;
use crate::limits::SOCKET_PATH_BYTES_MAX;
use crate::model::{SOCKET_PREFIX, Scheme};
use ureq_proto::http::Uri;

const TARGET_EXAMPLE: &str = "127.0.0.1:9100";

/// Why a target is not `host`, `host:port` or `:port`; what to write instead. Never repeats a `user:password@`.
pub(super) fn check_target(address: &str, scheme: Scheme) -> Result<(), String> {
    if let Some(path) = address.strip_prefix(SOCKET_PREFIX) {
        return check_socket(path);
    }
    if let Some((_, location)) = address.split_once("://") {
        let host = location.split(['/', '?', '#']).next().unwrap_or_default();
        let host = quoted(host.rsplit('@').next().filter(|host| !host.is_empty()).unwrap_or(TARGET_EXAMPLE));
        return Err(format!("is a URL; write {host} here, and scheme and metrics_path in its [[scrape_configs]]"));
    }
    if address.contains('@') {
        return Err(format!("has a user or password in it; write an address such as {TARGET_EXAMPLE:?}"));
    }
    let shown = quoted(address);
    if let Some((host, _)) = address.split_once('/') {
        let host = quoted(if host.is_empty() { TARGET_EXAMPLE } else { host });
        return Err(format!("{shown} has a path; write {host} here, and metrics_path in its [[scrape_configs]]"));
    }
    // A port alone is one of this device, as in Go.
    let named = if address.starts_with(':') { format!("localhost{address}") } else { address.into() };
    let whole = |uri: &Uri| uri.authority().is_some_and(|a| a.as_str() == named) && uri.path() == "/";
    match format!("{}://{named}/", scheme.name()).parse::<Uri>() {
        Ok(uri) if has_valid_host(&uri) && whole(&uri) => Ok(()),
        _ => Err(format!("{shown} is not an address; write one such as {TARGET_EXAMPLE:?} or \"[::1]:9100\"")),
    }
}

/// Why a path is not that of a Unix socket; what to write instead.
fn check_socket(path: &str) -> Result<(), String> {
    match () {
        _ if !path.starts_with('/') => Err("is no absolute path; write one such as \"unix:///run/x.sock\"".into()),
        _ if path.contains('\0') => Err("has a NUL; write a path such as \"unix:///run/x.sock\"".into()),
        _ if path.len() > SOCKET_PATH_BYTES_MAX => {
            Err(format!("is longer than {SOCKET_PATH_BYTES_MAX} bytes; no socket may be, so use a shorter path"))
        }
        _ => Ok(()),
    }
}

/// Why a text is not a `metrics_path`; what to write instead.
pub(super) fn check_metrics_path(path: &str) -> Result<(), String> {
    let problem = match () {
        _ if !path.starts_with('/') => "does not start with /; write a path such as \"/metrics\"",
        _ if path.contains('?') => "has a query; write the path alone, and params = { name = [\"value\"] }",
        _ => return Ok(()),
    };
    Err(format!("{} {problem}", quoted(path)))
}

/// Why a text is not an http or https URL and what to write instead, in quotes `example`, without repeating it.
pub(super) fn check_url(url: &str, example: &str) -> Result<(), String> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(format!("does not start with http:// or https://; write one such as {example}"));
    }
    let not_a_url = || format!("is not a URL; write one such as {example}");
    let uri: Uri = url.parse().map_err(|_| not_a_url())?;
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err("has a user or password in it; write them in basic_auth".into())
        }
        _ if url.contains('#') => Err("has a fragment; remove # and what follows it".into()),
        _ if has_valid_host(&uri) => Ok(()),
        _ => Err(not_a_url()),
    }
}

/// A host, and no port or one from 1 to 65535; nobody's name before them.
fn has_valid_host(uri: &Uri) -> bool {
    let Some((authority, host)) = uri.authority().zip(uri.host()).filter(|(_, host)| !host.is_empty()) else {
        return false;
    };
    match authority.as_str().strip_prefix(host) {
        Some("") => true,
        Some(port) => port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| port > 0),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_host_and_perhaps_a_port() {
        for good in [
            "unix:///run/x.sock",
            "localhost",
            "localhost:9100",
            ":9100",
            "10.0.0.1:1",
            "[::1]:9100",
            "[fe80::1]",
            "a_b.c-d:65535",
        ] {
            assert_eq!(check_target(good, Scheme::Http), Ok(()), "{good}");
        }
        for bad in [
            "", "unix://x", "unix://", ":", ":0", ":x", "a:", "a:0", "a:65536", "a:b", "a b:1", "::1", "u@a:1",
            "a:1?x", "a:1#x", "ü:1", "[::1", "a\n",
        ] {
            assert!(check_target(bad, Scheme::Http).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls_are_http_with_a_host_and_nobodys_password() {
        for good in ["http://a", "https://a.example:9090/api/v1/write?tenant=1"] {
            assert_eq!(check_url(good, "\"https://host\""), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a",
            "a/b",
            "ftp://a",
            "http://",
            "http:///x",
            "http://:80",
            "http://a:0",
            "http://u:p@a/",
            "http://a/#x",
            "http://a b",
        ] {
            assert!(check_url(bad, "\"https://host\"").is_err(), "{bad}");
        }
    }
}
