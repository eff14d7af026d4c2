//! A socket of rtnetlink. The edge.

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use smol::Async;
use std::io;
use std::os::fd::OwnedFd;

/// Groups of messages: links, and their addresses of IPv4 and of IPv6.
pub const ADDRESSES: u32 = 0x1 | 0x10 | 0x100;
/// Routes of IPv4 and of IPv6.
pub const ROUTES: u32 = 0x40 | 0x400;

/// What is looked at of one datagram. A link is told with a kilobyte or two; what counts stands at the start.
const DATAGRAM_BYTES: usize = 4096;

/// Datagrams that are taken at a time: a router's table may change by the thousand.
const DATAGRAMS_MAX: usize = 256;

pub struct LinkSocket {
    events: Async<OwnedFd>,
}

impl LinkSocket {
    /// Needs no privilege.
    pub fn open(groups: u32) -> io::Result<LinkSocket> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // No protocol is number 0, which is rtnetlink.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, groups))?;
        Ok(LinkSocket { events: Async::new_nonblocking(socket)? })
    }

    /// Waits until there is something to take.
    pub async fn told(&self) -> io::Result<()> {
        self.events.readable().await
    }

    /// Takes what has been told, without waiting. `false` if the kernel had to leave some out.
    pub fn take(&self, mut hear: impl FnMut(&[u8])) -> bool {
        let (mut buffer, mut is_whole) = ([0; DATAGRAM_BYTES], true);
        for _ in 0..DATAGRAMS_MAX {
            match recv(&self.events, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((taken, _)) => hear(&buffer[..taken.min(DATAGRAM_BYTES)]),
                Err(Errno::NOBUFS) => is_whole = false,
                Err(_) => break,
            }
        }
        is_whole
    }
}
