//! What discovery hands to scrape.

use super::labels::Labels;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::path::Path;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// `None` if there is no such scheme.
    pub fn parse(name: &str) -> Option<Scheme> {
        match name {
            "http" => Some(Scheme::Http),
            "https" => Some(Scheme::Https),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// The parameters of a URL: each name's values in their order.
pub type Params = BTreeMap<String, Vec<String>>;

/// One thing to scrape: where, how often, and the labels that each of its samples gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub scheme: Scheme,
    /// `host`, `host:port`, or `unix://` and the absolute path of a socket.
    pub address: String,
    /// As it is meant, before anything in it is percent-encoded. Mostly starts with `/`.
    pub metrics_path: String,
    pub params: Params,
    /// `job`, `instance` and what the configuration adds; no label starts with `__`.
    pub labels: Labels,
    pub interval: Duration,
    pub timeout: Duration,
}

/// What an address begins with that is the path of a socket.
pub const SOCKET_PREFIX: &str = "unix://";

impl Target {
    /// The Unix socket that it listens on, if it is one.
    pub fn socket(&self) -> Option<&Path> {
        self.address.strip_prefix(SOCKET_PREFIX).map(Path::new)
    }

    /// What is asked for. As Go writes it, so that a server sees the same request as from Prometheus.
    pub fn url(&self) -> String {
        // Who listens on a socket needs some name for itself: Prometheus's.
        let host = if self.socket().is_some() { "localhost" } else { &self.address };
        let mut url = format!("{}://{host}", self.scheme.name());
        if !self.metrics_path.is_empty() && !self.metrics_path.starts_with('/') {
            url.push('/');
        }
        percent_encode(&mut url, &self.metrics_path, b"-_.~$&+,/:;=@");
        let mut separator = '?';
        for (name, value) in self.params.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
        {
            url.push(std::mem::replace(&mut separator, '&'));
            query_encode(&mut url, name);
            url.push('=');
            query_encode(&mut url, value);
        }
        url
    }
}

/// For the log: the URL, and the socket if there is one.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())?;
        match self.socket() {
            Some(path) => write!(f, " on {}", path.display()),
            None => Ok(()),
        }
    }
}

/// Go's `url.QueryEscape`.
fn query_encode(url: &mut String, text: &str) {
    for (index, word) in text.split(' ').enumerate() {
        url.extend((index > 0).then_some('+'));
        percent_encode(url, word, b"-_.~");
    }
}

/// Encodes all but ASCII letters, digits and the bytes that are `plain`.
fn percent_encode(url: &mut String, text: &str, plain: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a text does not fail.
            _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_written_as_go_writes_them() {
        let url = |path: &str, params: &[(&str, &[&str])]| {
            let params =
                params.iter().map(|(name, values)| ((*name).into(), values.iter().map(|v| (*v).into()).collect()));
            let target = Target {
                scheme: Scheme::Https,
                address: "[::1]:9115".into(),
                metrics_path: path.into(),
                params: params.collect(),
                labels: Labels::default(),
                interval: Duration::from_secs(15),
                timeout: Duration::from_secs(10),
            };
            target.url()
        };
        assert_eq!(url("/metrics", &[]), "https://[::1]:9115/metrics");
        assert_eq!(url("", &[("a", &[])]), "https://[::1]:9115");
        assert_eq!(url("probe/ä b%20?!:@", &[]), "https://[::1]:9115/probe/%C3%A4%20b%2520%3F%21:@");
        assert_eq!(
            url("/", &[("target", &["http://x/?a=b&c", ""]), ("mod ule", &["1+1 = 2~"])]),
            "https://[::1]:9115/?mod+ule=1%2B1+%3D+2~&target=http%3A%2F%2Fx%2F%3Fa%3Db%26c&target="
        );
    }
}
