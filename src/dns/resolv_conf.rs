//! `/etc/resolv.conf`: who is asked, and which names are tried, as the library that Prometheus uses reads it.

use super::scope::parse_address;
use crate::limits::RESOLV_CONF_BYTES_MAX;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;

const RESOLV_CONF: &str = "/etc/resolv.conf";

const DNS_PORT: u16 = 53;

/// Name servers that are asked, and domains that are tried, at most.
const ENTRIES_MAX: usize = 16;

/// Who answers questions, and what a short name may be short for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// In the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    pub search: Vec<String>,
    /// A name with more labels than this is tried as it is first.
    pub ndots: usize,
}

impl ResolvConf {
    /// Lines that mean nothing are passed over, as are servers that are no addresses.
    pub fn parse(text: &str) -> ResolvConf {
        let mut conf = ResolvConf { servers: Vec::new(), search: Vec::new(), ndots: 1 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let words = (words.next(), words);
            match words {
                (Some("nameserver"), mut rest) => {
                    let server = rest.next().and_then(|word| parse_address(word, DNS_PORT)?.ok());
                    conf.servers.extend(server);
                    conf.servers.truncate(ENTRIES_MAX);
                }
                (Some("domain"), rest) => conf.search = rest.take(1).map(String::from).collect(),
                (Some("search"), rest) => conf.search = rest.take(ENTRIES_MAX).map(String::from).collect(),
                (Some("options"), rest) => {
                    for dots in rest.filter_map(|word| word.strip_prefix("ndots:")) {
                        conf.ndots = dots.parse::<i64>().unwrap_or(0).clamp(0, 15) as usize;
                    }
                }
                _ => {}
            }
        }
        conf
    }

    /// The full names that a name may stand for, in the order in which they are tried.
    pub fn names(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.into()];
        }
        let is_long = name.split('.').count() > self.ndots;
        let full = format!("{name}.");
        let searched = self.search.iter().map(|domain| match domain.as_str() {
            "." => full.clone(),
            domain if domain.ends_with('.') => format!("{full}{domain}"),
            domain => format!("{full}{domain}."),
        });
        let mut names: Vec<String> = searched.collect();
        names.insert(if is_long { 0 } else { names.len() }, full.clone());
        names
    }
}

/// Read anew each time: networks come and go.
pub fn read_resolv_conf() -> Result<ResolvConf, String> {
    let unreadable = |error| format!("{RESOLV_CONF} can't be read ({error})");
    let (file, mut text) = (File::open(RESOLV_CONF).map_err(unreadable)?, Vec::new());
    file.take(RESOLV_CONF_BYTES_MAX).read_to_end(&mut text).map_err(unreadable)?;
    Ok(ResolvConf::parse(&String::from_utf8_lossy(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_domains_and_options_are_read() {
        let text = "# made by hand\nnameserver 192.0.2.1\nnameserver ::1\nnameserver fe80::1%7\nnameserver dns.example\nnameserver\n\
                    search a.example b.example\noptions timeout:1 ndots:3 rotate\n; end\nsortlist x";
        let conf = ResolvConf::parse(text);
        let servers = ["192.0.2.1:53", "[::1]:53", "[fe80::1%7]:53"].map(|server| server.parse().unwrap());
        assert_eq!(conf.servers, servers);
        assert_eq!((conf.search, conf.ndots), (vec!["a.example".into(), "b.example".into()], 3));
        let conf = ResolvConf::parse("search a b\ndomain c\noptions ndots:99");
        assert_eq!((conf.servers.len(), conf.search, conf.ndots), (0, vec!["c".to_string()], 15));
    }

    #[test]
    fn short_names_are_tried_in_the_domains_first() {
        let conf = ResolvConf::parse("search a.example b.example.");
        assert_eq!(conf.names("x."), ["x."]);
        assert_eq!(conf.names("x"), ["x.a.example.", "x.b.example.", "x."]);
        assert_eq!(conf.names("x.y"), ["x.y.", "x.y.a.example.", "x.y.b.example."]);
        assert_eq!(ResolvConf::parse("").names("x"), ["x."]);
    }
}
