//! Addresses with a zone, `fe80::1%eth0`, which says through which link of this machine they are reached.

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The address and port that a text stands for; `None` if it is not an address. A zone is an interface's name or number. Fails if
/// there is no such interface now.
pub fn parse_address(text: &str, port: u16) -> Option<io::Result<SocketAddr>> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Ok((address, port).into()));
    }
    let (address, zone) = text.split_once('%')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let index = || match zone.parse() {
        Ok(index) => Ok(index),
        Err(_) => Ok(name_to_index(socket(AddressFamily::INET6, SocketType::DGRAM, None)?, zone)?),
    };
    let no_link = |error: io::Error| io::Error::new(error.kind(), format!("there is no interface {zone:?}: {error}"));
    Some(index().map_err(no_link).map(|index| SocketAddrV6::new(address, port, 0, index).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_the_name_or_number_of_an_interface() {
        let found = |text| parse_address(text, 9).map(|found| found.map(|address| address.to_string()));
        assert_eq!(found("192.0.2.1").unwrap().unwrap(), "192.0.2.1:9");
        assert_eq!(found("::1").unwrap().unwrap(), "[::1]:9");
        assert_eq!(found("fe80::1%7").unwrap().unwrap(), "[fe80::1%7]:9");
        assert_eq!(found("::1%lo").unwrap().unwrap(), "[::1%1]:9", "the loopback interface is the first");
        assert!(found("fe80::1%none-such").unwrap().unwrap_err().to_string().contains("\"none-such\""));
        assert!(found("a.example").is_none() && found("a%b").is_none());
    }
}
