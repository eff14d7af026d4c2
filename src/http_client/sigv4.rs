//! AWS Signature Version 4, as Prometheus's `sigv4` signs its remote writes: who sends a request, and that nobody changed it.
//! Pure: given the time, the request and the secret.
//!
//! ```text
//!  method, path, query, headers, hash of the body ─► canonical request ─► hash ─┐
//!  secret key ─► day ─► region ─► service ─► key ──────────────────────► HMAC ◄─┴─ time, scope
//! ```
//!
//! SHA-256 and HMAC are ring's, which TLS links anyway.

use super::credentials::sensitive;
use super::error::HttpError;
use super::options::SigV4Options;
use crate::model::Secret;
use ring::{digest, hmac};
use std::time::SystemTime;
use ureq_proto::http::header::{AUTHORIZATION, HOST};
use ureq_proto::http::uri::{Parts, PathAndQuery};
use ureq_proto::http::{HeaderName, HeaderValue, Request, Uri};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// What Prometheus signs of a request: not the headers that a configuration adds. In the order of their names.
const SIGNED: [&str; 7] = [
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "retry-attempt",
    "x-amz-date",
    "x-prometheus-remote-write-version",
];

/// Signs the request as it is, and normalizes its path and query as they are signed.
pub(super) fn sign(
    options: &SigV4Options,
    secret_key: &Secret,
    now: SystemTime,
    request: &mut Request<()>,
    body: &[u8],
) -> Result<(), HttpError> {
    let time: String = humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "");
    let (path, query) = (clean(request.uri().path()), canonical_query(request.uri().query().unwrap_or_default()));
    let unfit = |what: &str| HttpError::Url(format!("its {what} can't be signed"));
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| unfit("host"));
    let (date, host) = (value(&time)?, value(&host_of(request.uri()))?);
    *request.uri_mut() = with_path_and_query(request.uri(), &path, &query).ok_or_else(|| unfit("path"))?;
    request.headers_mut().insert(X_AMZ_DATE, date);
    request.headers_mut().insert(HOST, host);
    let headers = request.headers();
    let signed = SIGNED.iter().filter_map(|name| Some((*name, headers.get(*name)?.to_str().ok()?)));
    let signed: Vec<(&str, &str)> = signed.collect();
    let canonical = canonical_request(request.method().as_str(), &encoded_path(&path), &query, &signed, body);
    let authorization = authorization(options, secret_key, &time, &signed, &canonical);
    request.headers_mut().insert(AUTHORIZATION, sensitive(&authorization)?);
    Ok(())
}

fn with_path_and_query(uri: &Uri, path: &str, query: &str) -> Option<Uri> {
    let mark = if query.is_empty() { "" } else { "?" };
    let mut parts: Parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{path}{mark}{query}")).ok()?);
    Uri::from_parts(parts).ok()
}

/// Without the port that goes without saying.
fn host_of(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let default_port = if uri.scheme_str() == Some("http") { ":80" } else { ":443" };
    authority.strip_suffix(default_port).unwrap_or(authority).to_owned()
}

fn canonical_request(method: &str, path: &str, query: &str, signed: &[(&str, &str)], body: &[u8]) -> String {
    let headers: String =
        signed.iter().map(|(name, value)| format!("{name}:{}\n", without_excess_spaces(value))).collect();
    let (names, hash) = (names(signed), hex(digest::digest(&digest::SHA256, body).as_ref()));
    format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{hash}")
}

/// The value of `Authorization`.
fn authorization(
    options: &SigV4Options,
    secret_key: &Secret,
    time: &str,
    signed: &[(&str, &str)],
    canonical: &str,
) -> String {
    let SigV4Options { region, service, access_key, .. } = options;
    let day = time.split('T').next().unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let hash = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let first_key = Secret::new(format!("AWS4{}", secret_key.expose()));
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, first_key.expose().as_bytes());
    for part in [day, region, service, "aws4_request"] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    let signature = hex(hmac::sign(&key, format!("{ALGORITHM}\n{time}\n{scope}\n{hash}").as_bytes()).as_ref());
    let names = names(signed);
    format!("{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}")
}

fn names(signed: &[(&str, &str)]) -> String {
    signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";")
}

fn without_excess_spaces(text: &str) -> String {
    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Go's `path.Clean`, but for an end in `/`, which stays.
fn clean(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

/// A path that may be encoded already, encoded once more: what AWS takes for canonical everywhere but in S3.
fn encoded_path(path: &str) -> String {
    path.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

/// Parameters encoded in one way, in order of their names and then values.
fn canonical_query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encoded(decoded(name)), encoded(decoded(value)))
        })
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// All but what RFC 3986 leaves as it is.
fn encoded(text: impl AsRef<[u8]>) -> String {
    let mut encoded = String::new();
    for byte in text.as_ref() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(*byte as char),
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// Of a query, where `+` is a space.
fn decoded(text: &str) -> Vec<u8> {
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let escaped =
            text.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
