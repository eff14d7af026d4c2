//! What discovery hands to scrape.

use super::duration::format_duration;
use super::labels::Labels;
use std::collections::BTreeMap;
use std::fmt::{self, Write};
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
    /// `host` or `host:port`: what the URL, the `Host` header and the TLS server name say.
    pub address: String,
    /// Absolute path of the Unix socket to connect to in place of the address; `None` if the target is reached by its address.
    pub socket: Option<Box<str>>,
    /// As it is meant, before anything in it is percent-encoded. Mostly starts with `/`.
    pub metrics_path: String,
    pub params: Params,
    /// `job`, `instance` and what the configuration adds; no label starts with `__`.
    pub labels: Labels,
    pub interval: Duration,
    pub timeout: Duration,
    /// Interval and timeout as the labels `__scrape_interval__` and `__scrape_timeout__` have them; `None` if that is how
    /// [`format_duration`] prints them.
    pub durations_as_written: Option<Box<(String, String)>>,
}

/// Prefix of an address that is the path of a Unix socket.
pub const SOCKET_PREFIX: &str = "unix://";

/// Host of a target that has a socket and no other address, as in Prometheus.
pub const SOCKET_HOST: &str = "localhost";

impl Target {
    /// URL of the page to request, with path and query escaped as Go escapes them: a server sees the request that Prometheus sends.
    pub fn url(&self) -> String {
        self.url_of_host(&self.address)
    }

    /// The same URL with the host escaped as Go's `URL.String` does, for Prometheus's API.
    pub fn escaped_url(&self) -> String {
        let mut host = String::with_capacity(self.address.len());
        percent_encode(&mut host, &self.address, b"-_.~!$&'()*+,;=:[]<>\"");
        self.url_of_host(&host)
    }

    /// Interval and timeout as Prometheus's API shows them: as the target's labels have them.
    pub fn shown_durations(&self) -> (String, String) {
        match &self.durations_as_written {
            Some(texts) => (**texts).clone(),
            None => (format_duration(self.interval), format_duration(self.timeout)),
        }
    }

    fn url_of_host(&self, host: &str) -> String {
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
        match &self.socket {
            Some(path) => write!(f, " on {path}"),
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
                socket: None,
                metrics_path: path.into(),
                params: params.collect(),
                labels: Labels::default(),
                interval: Duration::from_secs(15),
                timeout: Duration::from_secs(10),
                durations_as_written: None,
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

    /// Prometheus's API shows URLs as Go prints them, and durations as the labels have them.
    #[test]
    fn the_api_shows_urls_and_durations_as_prometheus_does() {
        let mut target = Target {
            scheme: Scheme::Http,
            address: "[fe80::1%eth0]:9100".into(),
            socket: None,
            metrics_path: "/m".into(),
            params: Params::new(),
            labels: Labels::default(),
            interval: Duration::from_secs(90),
            timeout: Duration::from_secs(60),
            durations_as_written: None,
        };
        assert_eq!(target.escaped_url(), "http://[fe80::1%25eth0]:9100/m");
        assert_eq!(target.shown_durations(), ("1m30s".into(), "1m".into()));
        target.durations_as_written = Some(Box::new(("90s".into(), "60s".into())));
        assert_eq!(target.shown_durations(), ("90s".into(), "60s".into()));
        for (address, host) in [("bücher.example:80", "b%C3%BCcher.example:80"), ("a b", "a%20b"), ("a\"<b>", "a\"<b>")]
        {
            target.address = address.into();
            assert_eq!(target.escaped_url(), format!("http://{host}/m"));
        }
    }
}
