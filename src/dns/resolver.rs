//! From a host's name to its addresses, on the executor: a name that nobody answers for costs a socket and no other name's time.
//!
//! The C library's `getaddrinfo` blocks a thread for up to half a minute a name, so that a few names of devices that are gone would
//! starve all others. What it does for most names is done here: an address, `/etc/hosts`, DNS as `resolv.conf` has it.

use super::exchange::ask_addresses;
use super::lookup::lookup;
use super::message::{Data, Record};
use super::name::Name;
use super::order::order;
use super::resolv_conf::read_resolv_conf;
use super::scope::parse_address;
use super::system::{SystemLookups, knows_more};
use super::{ResolvConf, hosts};
use smol::Timer;
use smol::future::or;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Times that all servers are asked, as in the C library: a question may be lost.
const ATTEMPTS: usize = 2;

/// How long DNS may take where another of the system's services may know the name.
const HEAD_START: Duration = Duration::from_secs(2);

/// Where the name server is if `resolv.conf` names none.
const SERVER_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

const OWN_NAME: &str = "/proc/sys/kernel/hostname";

/// Looks names up; for all targets and endpoints of an agent, on any thread.
#[derive(Clone)]
pub struct Resolver {
    system: SystemLookups,
}

impl Resolver {
    pub fn new() -> Self {
        Resolver { system: SystemLookups::new() }
    }

    /// At least one address, the best one first; else the error says why there is none.
    pub async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Some(address) = parse_address(host, port) {
            return address.map(|address| vec![address]);
        }
        let listed = hosts::addresses_of(host, port);
        if !listed.is_empty() {
            return Ok(ordered(listed));
        }
        if is_localhost(host) {
            return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
        }
        let cause = if knows_more() {
            let late = async {
                Timer::after(HEAD_START).await;
                Err(format!("no answer within {HEAD_START:?}"))
            };
            match or(by_dns(host, port), late).await {
                Ok(found) => return Ok(ordered(found)),
                Err(cause) => match self.system.addresses_of(host, port).await {
                    Ok(found) if !found.is_empty() => return Ok(found),
                    Ok(_) => cause,
                    Err(error) => format!("{cause}; {error}"),
                },
            }
        } else {
            match by_dns(host, port).await {
                Ok(found) => return Ok(ordered(found)),
                Err(cause) => cause,
            }
        };
        Err(io::Error::new(io::ErrorKind::NotFound, cause))
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new()
    }
}

fn ordered(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    order(&mut addresses);
    addresses
}

/// Names that are never asked for (RFC 6761, section 6.3), and no name: with a port alone Go connects to this device too.
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    host.is_empty() || last.eq_ignore_ascii_case("localhost")
}

/// At least one address; else why there is none, in one line.
async fn by_dns(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    // Without the file there may be a server on this machine all the same, as for the C library.
    let mut conf = read_resolv_conf().unwrap_or_else(|_| ResolvConf::parse(""));
    if conf.servers.is_empty() {
        conf.servers.push(SERVER_DEFAULT);
    }
    if conf.search.is_empty() {
        conf.search.extend(own_domain(&fs::read_to_string(OWN_NAME).unwrap_or_default()));
    }
    let mut failure = String::new();
    for _ in 0..ATTEMPTS {
        let ask = async |server: SocketAddr, name: &Name| ask_addresses(server, name).await;
        match lookup(host, &conf, ask).await.map(|records| addresses_in(&records, port)) {
            Ok(found) if !found.is_empty() => return Ok(found),
            Ok(_) => {
                return Err("no name server knows the name; check how it is written, and the search domains".into());
            }
            Err(cause) => failure = cause,
        }
    }
    Err(failure)
}

/// What stands behind the first dot of this machine's name: where short names are looked for if `resolv.conf` does not say.
fn own_domain(name: &str) -> Option<String> {
    name.trim_end().split_once('.').map(|(_, domain)| domain.to_owned()).filter(|domain| !domain.is_empty())
}

fn addresses_in(records: &[Record], port: u16) -> Vec<SocketAddr> {
    let address = |record: &Record| match record.data {
        Data::A(address) => Some(SocketAddr::from((address, port))),
        Data::Aaaa(address) => Some(SocketAddr::from((address, port))),
        _ => None,
    };
    records.iter().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_need_no_server() {
        let resolver = Resolver::new();
        for (host, first) in [
            ("127.0.0.1", "127.0.0.1:5"),
            ("::1", "[::1]:5"),
            ("fe80::1%7", "[fe80::1%7]:5"),
            ("a.LocalHost.", "127.0.0.1:5"),
            ("", "127.0.0.1:5"),
        ] {
            let addresses = smol::block_on(resolver.resolve(host, 5)).unwrap();
            assert_eq!(addresses[0].to_string(), first);
        }
        assert!(!smol::block_on(resolver.resolve("localhost", 5)).unwrap().is_empty());
    }

    #[test]
    fn a_machine_knows_its_domain_by_its_name() {
        assert_eq!(own_domain("gw.plant.example\n").as_deref(), Some("plant.example"));
        assert_eq!((own_domain("gw\n"), own_domain("gw.\n"), own_domain("")), (None, None, None));
    }
}
