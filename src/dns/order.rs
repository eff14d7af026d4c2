//! Which of a host's addresses is tried first: the rules of RFC 6724 that make a difference for a client, as in Go and glibc.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Sorts addresses; what is equally good stays in its order. Sends nothing: to connect a UDP socket asks the kernel for a route.
pub fn order(addresses: &mut [SocketAddr]) {
    if addresses.len() > 1 {
        addresses.sort_by_cached_key(|address| rank(address.ip(), source_for(*address)));
    }
}

/// The address from which this one would be reached; `None` if there is no route.
fn source_for(address: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(address).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

/// Rules 1, 2, 5 and 6: reachable, of the source's scope, of the source's kind, of the kind that goes first.
fn rank(to: IpAddr, from: Option<IpAddr>) -> (bool, bool, bool, Reverse<u8>) {
    let Some(from) = from else { return (true, true, true, Reverse(0)) };
    let ((to_label, precedence), (from_label, _)) = (policy(to), policy(from));
    (false, is_near(to) != is_near(from), to_label != from_label, Reverse(precedence))
}

/// On this link or this machine only.
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_loopback(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address.is_loopback(),
    }
}

/// Label and precedence in the table of section 2.1.
fn policy(address: IpAddr) -> (u8, u8) {
    let IpAddr::V6(address) = address else { return (4, 35) };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => (0, 50),
        [0, 0, 0, 0, 0, 0xffff, ..] => (4, 35),
        [0x2002, ..] => (2, 30),
        [0x2001, 0, ..] => (5, 5),
        [0xfc00..=0xfdff, ..] => (13, 3),
        _ => (1, 40),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_reached_comes_first_and_then_what_fits_its_source() {
        let best = |pairs: &[(&'static str, Option<&str>)]| {
            let ranked =
                pairs.iter().min_by_key(|(to, from)| rank(to.parse().unwrap(), from.map(|from| from.parse().unwrap())));
            ranked.unwrap().0
        };
        let v4 = ("192.0.2.1", Some("10.0.0.7"));
        assert_eq!(best(&[v4, ("2001:db8::1", Some("2001:db8::7"))]), "2001:db8::1");
        assert_eq!(best(&[("2001:db8::1", None), v4]), "192.0.2.1", "no route");
        assert_eq!(best(&[("2001:db8::1", Some("fd00::7")), v4]), "192.0.2.1", "a private source for a public address");
        assert_eq!(best(&[("2001:db8::1", Some("fe80::7")), v4]), "192.0.2.1", "a source of this link only");
        assert_eq!(best(&[v4, ("fd00::1", Some("fd00::7"))]), "192.0.2.1");
        assert_eq!(best(&[("127.0.0.1", Some("127.0.0.1")), ("::1", Some("::1"))]), "::1");
        let mut same: Vec<SocketAddr> = ["127.0.0.2:1", "127.0.0.1:1"].map(|text| text.parse().unwrap()).into();
        order(&mut same);
        assert_eq!(same[0].to_string(), "127.0.0.2:1");
    }
}
