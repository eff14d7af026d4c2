//! Zones of link-local addresses, `fe80::1%eth0`: they say through which link this machine reaches an address, and mean nothing to
//! the server. So a connection needs them, and neither a `Host` header nor a certificate has them.

use std::borrow::Cow;

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
