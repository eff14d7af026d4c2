//! By way of which proxy a URL is reached: the rules of Go's `net/http` and `httpproxy`. Pure, but for the environment,
//! which is read once.

use super::dial::Origin;
use super::options::{ProxyChoice, ProxyOptions};
use crate::model::{Scheme, Secret};
use std::fmt;
use std::net::IpAddr;
use ureq_proto::http::Uri;

/// An `http` proxy, and as whom it is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// Name and password, percent-encoded as they were written.
    pub user: Option<(String, Secret)>,
}

/// Why a text is no proxy. None of it is shown: there may be a password in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyUrlError {
    NotAUrl,
    /// Prometheus can ask https and socks5 proxies, too.
    Scheme,
}

impl fmt::Display for ProxyUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyUrlError::NotAUrl => "is not a proxy's URL; write one such as \"http://proxy.example:3128\"",
            ProxyUrlError::Scheme => {
                "is not an http proxy, the only kind that Narthex can ask (for https URLs, too); write one such as \
                 \"http://proxy.example:3128\""
            }
        })
    }
}

impl ProxyUrl {
    /// `http://[user[:password]@]host[:port]`.
    pub fn parse(text: &str) -> Result<ProxyUrl, ProxyUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(ProxyUrlError::NotAUrl)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(ProxyUrlError::Scheme);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let uri: Uri = format!("http://{host}/").parse().map_err(|_| ProxyUrlError::NotAUrl)?;
        let origin = Origin::of(&uri).filter(|origin| !origin.host.is_empty()).ok_or(ProxyUrlError::NotAUrl)?;
        let user = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (name.to_owned(), Secret::new(password))
        });
        Ok(ProxyUrl { host: origin.host, port: origin.port, user })
    }

    pub(super) fn origin(&self) -> Origin {
        Origin { scheme: Scheme::Http, host: self.host.clone(), port: self.port }
    }

    /// What `Proxy-Authorization` says, before it is encoded: `user:password`.
    pub(super) fn login(&self) -> Option<Secret> {
        let (name, password) = self.user.as_ref()?;
        Some(Secret::new(format!("{}:{}", percent_decoded(name), percent_decoded(password.expose()))))
    }
}

/// As a URL, with the password masked.
impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("http://")?;
        if let Some((name, password)) = &self.user {
            match password.expose() {
                "" => write!(f, "{name}@")?,
                _ => write!(f, "{name}:{password}@")?,
            }
        }
        self.origin().fmt(f)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |byte: &u8| (*byte as char).to_digit(16);
        match (first, after) {
            (b'%', [high, low, next @ ..]) if hex(high).is_some() && hex(low).is_some() => {
                bytes.push((hex(high).unwrap_or(0) << 4 | hex(low).unwrap_or(0)) as u8);
                rest = next;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Which proxy leads where.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    http: Option<ProxyUrl>,
    https: Option<ProxyUrl>,
    /// None: nobody is reached without, not even this device itself.
    exceptions: Option<Exceptions>,
}

impl Proxies {
    pub(super) fn new(options: &ProxyOptions) -> Self {
        match &options.choice {
            ProxyChoice::None => Proxies::default(),
            ProxyChoice::Url { url, no_proxy } => Proxies {
                http: Some(url.clone()),
                https: Some(url.clone()),
                exceptions: (!no_proxy.is_empty()).then(|| Exceptions::parse(no_proxy)),
            },
            ProxyChoice::Environment => Proxies::from_environment(&|name| std::env::var(name).ok()),
        }
    }

    fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let any = |names: [&str; 2]| names.into_iter().filter_map(variable).find(|text| !text.is_empty());
        let proxy = |names: [&str; 2]| {
            let text = any(names)?;
            let url = if text.contains("://") { text } else { format!("http://{text}") };
            match ProxyUrl::parse(&url) {
                Ok(proxy) => Some(proxy),
                Err(error) => {
                    log::warn!("the environment variable {} {error}; it is not used", names[1]);
                    None
                }
            }
        };
        Proxies {
            http: proxy(["http_proxy", "HTTP_PROXY"]),
            https: proxy(["https_proxy", "HTTPS_PROXY"]),
            exceptions: Some(Exceptions::parse(&any(["no_proxy", "NO_PROXY"]).unwrap_or_default())),
        }
    }

    pub(super) fn for_origin(&self, origin: &Origin) -> Option<&ProxyUrl> {
        let proxy = match origin.scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        };
        proxy.filter(|_| self.exceptions.as_ref().is_none_or(|exceptions| !exceptions.hold(origin)))
    }
}

/// `no_proxy`. This device itself (`localhost`, loopback addresses) is always among them.
#[derive(Debug)]
struct Exceptions(Vec<Exception>);

#[derive(Debug)]
enum Exception {
    Everybody,
    Network {
        base: IpAddr,
        prefix_bits: u32,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    /// `domain` starts with a dot.
    Domain {
        domain: String,
        with_itself: bool,
        port: Option<u16>,
    },
}

impl Exceptions {
    /// What is malformed is passed over, as by Go.
    fn parse(no_proxy: &str) -> Self {
        Exceptions(no_proxy.split(',').filter_map(|entry| Exception::parse(&entry.trim().to_lowercase())).collect())
    }

    fn hold(&self, origin: &Origin) -> bool {
        let address: Option<IpAddr> = origin.host.parse().ok();
        let address = address.map(|address| address.to_canonical());
        if origin.host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        let host = origin.host.to_lowercase();
        let at = |port: &Option<u16>| port.is_none_or(|port| port == origin.port);
        self.0.iter().any(|exception| match exception {
            Exception::Everybody => true,
            Exception::Network { base, prefix_bits } => {
                address.is_some_and(|address| is_within(address, *base, *prefix_bits))
            }
            Exception::Address { address: excepted, port } => address == Some(*excepted) && at(port),
            Exception::Domain { domain, with_itself, port } => {
                let is_it = *with_itself && host == domain[1..];
                address.is_none() && (is_it || host.ends_with(domain.as_str())) && at(port)
            }
        })
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Exception> {
        if entry == "*" {
            return Some(Exception::Everybody);
        }
        if let Some((base, prefix_bits)) = entry.split_once('/')
            && let (Ok(base), Ok(prefix_bits)) = (base.parse::<IpAddr>(), prefix_bits.parse::<u32>())
        {
            return Exception::network(base, prefix_bits);
        }
        let (host, port) = match entry.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
            Some((host, port)) => (host, Some(port)),
            // More than one colon is an IPv6 address.
            None => match entry.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (entry, None),
            },
        };
        // One that is not written as ports are is one that nobody has.
        let written = |port: &str| port.parse::<u16>().ok().filter(|number| number.to_string() == port);
        let port = port.filter(|port| !port.is_empty()).map(|port| written(port).unwrap_or(0));
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(Exception::Address { address: address.to_canonical(), port });
        }
        let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
        match host.strip_prefix('.') {
            Some(_) => Some(Exception::Domain { domain: host.into(), with_itself: false, port }),
            None if host.is_empty() => None,
            None => Some(Exception::Domain { domain: format!(".{host}"), with_itself: true, port }),
        }
    }
}

impl Exception {
    /// An IPv4 network may be written in IPv6, too.
    fn network(base: IpAddr, prefix_bits: u32) -> Option<Exception> {
        match (base, base.to_canonical()) {
            (IpAddr::V4(_), base) if prefix_bits <= 32 => Some(Exception::Network { base, prefix_bits }),
            (IpAddr::V6(_), base @ IpAddr::V4(_)) if (96..=128).contains(&prefix_bits) => {
                Some(Exception::Network { base, prefix_bits: prefix_bits - 96 })
            }
            (IpAddr::V6(_), IpAddr::V6(base)) if prefix_bits <= 128 => {
                Some(Exception::Network { base: base.into(), prefix_bits })
            }
            _ => None,
        }
    }
}

fn is_within(address: IpAddr, base: IpAddr, prefix_bits: u32) -> bool {
    match (address, base) {
        (IpAddr::V4(address), IpAddr::V4(base)) => {
            let mask = u32::MAX.checked_shl(32 - prefix_bits.min(32)).unwrap_or(0);
            address.to_bits() & mask == base.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(base)) => {
            let mask = u128::MAX.checked_shl(128 - prefix_bits.min(128)).unwrap_or(0);
            address.to_bits() & mask == base.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&url.parse().unwrap()).unwrap()
    }

    #[test]
    fn proxies_are_read_from_urls_and_shown_without_their_password() {
        for (url, shown) in [
            ("http://p", Ok("http://p:80")),
            ("HTTP://p:3128/", Ok("http://p:3128")),
            ("http://[::1]:3128", Ok("http://[::1]:3128")),
            ("http://u:hunter2@p:1", Ok("http://u:<secret>@p:1")),
            ("http://u@p:1", Ok("http://u@p:1")),
            ("p:3128", Err(ProxyUrlError::NotAUrl)),
            ("http://", Err(ProxyUrlError::NotAUrl)),
            ("http://a b", Err(ProxyUrlError::NotAUrl)),
            ("https://p", Err(ProxyUrlError::Scheme)),
            ("socks5://p:1080", Err(ProxyUrlError::Scheme)),
        ] {
            let proxy = ProxyUrl::parse(url);
            assert_eq!(proxy.map(|proxy| format!("{proxy:?}")), shown.map(String::from), "{url}");
        }
        let login = ProxyUrl::parse("http://us%40er:p%3Aw%zz@p").unwrap().login().unwrap();
        assert_eq!(login.expose(), "us@er:p:w%zz");
    }

    /// Held against Go's `httpproxy`, case by case.
    #[test]
    fn exceptions_are_those_of_go() {
        for (no_proxy, url, direct) in [
            ("", "http://localhost:9100", true),
            ("", "http://127.0.0.2", true),
            ("", "http://[::1]:1", true),
            ("", "http://LOCALHOST", false),
            ("", "http://a", false),
            ("*", "http://a", true),
            ("b, *", "http://a", true),
            ("foo.com", "http://foo.com", true),
            ("foo.com", "https://bar.foo.com:8443", true),
            ("foo.com", "http://xfoo.com", false),
            (".y.com", "http://y.com", false),
            (".y.com", "http://x.y.com", true),
            ("*.y.com", "http://x.y.com", true),
            ("*.y.com", "http://y.com", false),
            ("foo.com:80", "http://foo.com", true),
            ("foo.com:443", "https://foo.com", true),
            ("foo.com:80", "http://foo.com:81", false),
            ("foo.com:x", "http://foo.com", false),
            (" FOO.com ,b", "http://Foo.COM", true),
            ("10.0.0.0/8", "http://10.1.2.3", true),
            ("10.0.0.0/8", "http://11.1.2.3", false),
            ("0.0.0.0/0", "http://11.1.2.3", true),
            ("10.0.0.0/33", "http://10.0.0.0", false),
            ("10.1.2.3", "http://10.1.2.3:99", true),
            ("10.1.2.3:98", "http://10.1.2.3:99", false),
            ("[2001:db8::1]:80", "http://[2001:db8::1]", true),
            ("[2001:db8::1]", "http://[2001:db8::1]", false),
            ("::ffff:10.0.0.0/104", "http://10.1.2.3", true),
            ("10.0.0.0/8", "http://[::ffff:10.1.2.3]", true),
            ("foo.com:080", "http://foo.com", false),
            ("2001:db8::1", "http://[2001:db8::1]:9", true),
            ("2001:db8::/32", "http://[2001:db8:1::1]", true),
            (":80,,", "http://a", false),
        ] {
            let options = ProxyOptions {
                choice: ProxyChoice::Url { url: ProxyUrl::parse("http://p").unwrap(), no_proxy: no_proxy.into() },
                ..ProxyOptions::default()
            };
            // Without no_proxy, Prometheus takes the proxy for everybody; Go's rules are those of the environment.
            let mut proxies = Proxies::new(&options);
            proxies.exceptions.get_or_insert_with(|| Exceptions::parse(""));
            assert_eq!(proxies.for_origin(&origin(url)).is_none(), direct, "{no_proxy:?} {url}");
        }
    }

    #[test]
    fn a_proxy_url_without_exceptions_is_taken_for_this_device_too() {
        let choice = ProxyChoice::Url { url: ProxyUrl::parse("http://p").unwrap(), no_proxy: String::new() };
        let proxies = Proxies::new(&ProxyOptions { choice, ..ProxyOptions::default() });
        assert!(proxies.for_origin(&origin("http://localhost:9100")).is_some());
    }

    #[test]
    fn the_environment_is_read_as_go_reads_it() {
        let proxies = Proxies::from_environment(&|name| {
            let set =
                [("HTTP_PROXY", "big:1"), ("http_proxy", "http://small:2"), ("HTTPS_PROXY", "s:3"), ("no_proxy", "b")];
            set.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string())
        });
        let by = |url| proxies.for_origin(&origin(url)).map(|proxy| proxy.to_string());
        assert_eq!(by("http://a").as_deref(), Some("http://small:2"));
        assert_eq!(by("https://a").as_deref(), Some("http://s:3"));
        assert_eq!((by("http://b"), by("http://127.0.0.1")), (None, None));
    }
}
