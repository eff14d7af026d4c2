//! Multicast DNS on every interface of the machine. The edge.
//!
//! One socket for IPv4 and one for IPv6, on the port that all on the link share; a third tells that interfaces come and go.

use crate::dns::Message;
use crate::limits::MDNS_INTERFACES_MAX;
use crate::links::{ADDRESSES, LinkSocket};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};
use smol::Async;
use smol::future::or;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

const PORT: u16 = 5353;
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// The most that RFC 6762 allows.
const PACKET_BYTES_MAX: usize = 9000;

/// Flags in `/sys/class/net/*/flags`.
const FLAG_UP: u32 = 0x1;
const FLAG_LOOPBACK: u32 = 0x8;
const FLAG_MULTICAST: u32 = 0x1000;

/// Why there is nothing to be heard.
#[derive(Debug)]
pub struct SocketError(io::Error);

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "multicast DNS is not to be had ({}); check that others on port {PORT} share it", self.0)
    }
}

impl std::error::Error for SocketError {}

pub struct MdnsSocket {
    v4: Async<UdpSocket>,
    /// `None`: the machine has no IPv6.
    v6: Option<Async<UdpSocket>>,
    links: Option<LinkSocket>,
    joined: BTreeSet<u32>,
}

/// What was heard.
pub enum Heard {
    Message(Message),
    /// Interfaces or their addresses have changed.
    Links,
    /// Something else, or a message that is none.
    Nothing,
}

impl MdnsSocket {
    pub fn open() -> Result<MdnsSocket, SocketError> {
        let v4 = shared_port(AddressFamily::INET, (Ipv4Addr::UNSPECIFIED, PORT).into()).map_err(SocketError)?;
        let v6 = shared_port(AddressFamily::INET6, (Ipv6Addr::UNSPECIFIED, PORT).into()).ok();
        let links = LinkSocket::open(ADDRESSES)
            .inspect_err(|error| log::warn!("mdns_sd: interfaces can't be watched ({error})"));
        let mut socket = MdnsSocket { v4, v6, links: links.ok(), joined: BTreeSet::new() };
        socket.join();
        Ok(socket)
    }

    /// Listens on interfaces that are new.
    pub fn join(&mut self) {
        let present: BTreeSet<u32> = interfaces().into_iter().collect();
        for index in present.difference(&self.joined) {
            let any = Ipv4Addr::UNSPECIFIED;
            let v4 = sockopt::set_ip_add_membership_with_ifindex(&self.v4, &GROUP_V4, &any, *index);
            let v6 = self.v6.as_ref().map(|v6| sockopt::set_ipv6_add_membership(v6, &GROUP_V6, *index));
            log::debug!("mdns_sd: interface {index}: IPv4 {v4:?}, IPv6 {v6:?}");
        }
        self.joined = present;
    }

    /// Sends to everybody on every interface, as far as that works.
    pub fn send(&self, packet: &[u8]) {
        for index in &self.joined {
            let any = Ipv4Addr::UNSPECIFIED;
            let sent = sockopt::set_ip_multicast_if_with_ifindex(&self.v4, &GROUP_V4, &any, *index)
                .map_err(io::Error::from)
                .and_then(|()| self.v4.get_ref().send_to(packet, (GROUP_V4, PORT)));
            if let Err(error) = sent {
                log::debug!("mdns_sd: interface {index}: IPv4: {error}");
            }
            if let Some(v6) = &self.v6 {
                let group = SocketAddrV6::new(GROUP_V6, PORT, 0, *index);
                if let Err(error) = v6.get_ref().send_to(packet, group) {
                    log::debug!("mdns_sd: interface {index}: IPv6: {error}");
                }
            }
        }
    }

    /// Waits until somebody says something, or an interface comes or goes.
    pub async fn hear(&self) -> Heard {
        let v6 = async {
            match &self.v6 {
                Some(v6) => hear_on(v6).await,
                None => std::future::pending().await,
            }
        };
        or(or(hear_on(&self.v4), v6), self.links()).await
    }

    async fn links(&self) -> Heard {
        let Some(links) = &self.links else { return std::future::pending().await };
        if links.told().await.is_err() {
            return std::future::pending().await;
        }
        // What exactly has changed is seen when interfaces are looked at.
        links.take(|_| {});
        Heard::Links
    }
}

async fn hear_on(socket: &Async<UdpSocket>) -> Heard {
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    match socket.recv_from(&mut buffer).await {
        // Who answers from another port is not on the link, or no responder.
        Ok((received, from)) if from.port() == PORT => {
            Message::parse(&buffer[..received]).map_or(Heard::Nothing, Heard::Message)
        }
        _ => Heard::Nothing,
    }
}

fn shared_port(family: AddressFamily, address: SocketAddr) -> io::Result<Async<UdpSocket>> {
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
        sockopt::set_ipv6_multicast_hops(&socket, 255)?;
    } else {
        sockopt::set_ip_multicast_ttl(&socket, 255)?;
    }
    bind(&socket, &address)?;
    Async::new_nonblocking(UdpSocket::from(socket))
}

/// The numbers of the interfaces that are up and reach others, or this machine.
fn interfaces() -> Vec<u32> {
    let number = |path: std::path::PathBuf| {
        let text = fs::read_to_string(path).ok()?;
        let text = text.trim();
        text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
    };
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return Vec::new() };
    let usable = entries.flatten().filter_map(|entry| {
        let flags = number(entry.path().join("flags"))?;
        let is_usable = flags & FLAG_UP != 0 && flags & (FLAG_MULTICAST | FLAG_LOOPBACK) != 0;
        is_usable.then(|| number(entry.path().join("ifindex"))).flatten()
    });
    usable.take(MDNS_INTERFACES_MAX).collect()
}
