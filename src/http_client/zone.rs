//! Zones of link-local addresses, `fe80::1%eth0`: they say through which link this machine reaches an address, and mean nothing to
//! the server. So a connection needs them, and neither a `Host` header nor a certificate has them.

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use std::borrow::Cow;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

/// The address and port that a host with a zone stands for; `None` if it has no zone. A zone is an interface's name or number.
/// Fails if there is no such interface now.
pub(super) fn scoped_address(host: &str, port: u16) -> Option<io::Result<SocketAddr>> {
    let (address, zone) = host.split_once('%')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let index = || match zone.parse() {
        Ok(index) => Ok(index),
        Err(_) => Ok(name_to_index(socket(AddressFamily::INET6, SocketType::DGRAM, None)?, zone)?),
    };
    let no_link = |error: io::Error| io::Error::new(error.kind(), format!("there is no interface {zone:?}: {error}"));
    Some(index().map_err(no_link).map(|index| SocketAddrV6::new(address, port, 0, index).into()))
}

/// The host of a URL without brackets, and with the zone as it is meant: URLs may write `%25` for `%` (RFC 6874).
pub(super) fn host_of(url_host: &str) -> String {
    let host = url_host.trim_start_matches('[').trim_end_matches(']');
    match host.split_once("%25") {
        Some((address, zone)) if !zone.is_empty() => format!("{address}%{zone}"),
        _ => host.to_owned(),
    }
}

/// The address alone; what has no zone stays as it is.
pub(super) fn without_zone(host: &str) -> &str {
    host.split_once('%').map_or(host, |(address, _)| address)
}

/// `host:port` as it goes into a `Host` header.
pub(super) fn authority_without_zone(authority: &str) -> Cow<'_, str> {
    let zone = authority.find('%').zip(authority.rfind(']')).filter(|(begin, end)| begin < end);
    match zone {
        Some((begin, end)) if authority.starts_with('[') => {
            Cow::Owned([&authority[..begin], &authority[end..]].concat())
        }
        _ => Cow::Borrowed(authority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_the_name_or_number_of_an_interface() {
        let found = |host| scoped_address(host, 9).map(|found| found.map(|address| address.to_string()));
        assert_eq!(found("fe80::1%7").unwrap().unwrap(), "[fe80::1%7]:9");
        assert_eq!(found("::1%lo").unwrap().unwrap(), "[::1%1]:9", "the loopback interface is the first");
        assert!(found("fe80::1%none-such").unwrap().unwrap_err().to_string().contains("\"none-such\""));
        assert!(found("::1").is_none() && found("a%b").is_none());
    }

    #[test]
    fn zones_are_for_this_machine_alone() {
        for (host, meant, address) in [
            ("[fe80::1%eth0]", "fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]", "fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25]", "fe80::1%25", "fe80::1"),
            ("[::1]", "::1", "::1"),
            ("a.example", "a.example", "a.example"),
        ] {
            assert_eq!((host_of(host).as_str(), without_zone(&host_of(host))), (meant, address));
        }
        for (authority, shown) in [
            ("[fe80::1%eth0]:9443", "[fe80::1]:9443"),
            ("[fe80::1%25eth0]", "[fe80::1]"),
            ("[::1]:80", "[::1]:80"),
            ("a.example:80", "a.example:80"),
        ] {
            assert_eq!(authority_without_zone(authority), shown);
        }
    }
}
