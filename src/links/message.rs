//! From the bytes of rtnetlink to one question: did something come up that a connection could go by?
//!
//! ```text
//!  datagram ─┬─ RTM_NEWLINK   a carrier, where there was none       the loopback aside
//!            ├─ RTM_NEWADDR   an address that others can reach
//!            └─ RTM_NEWROUTE  a way to others                        not what the kernel notes down for itself
//! ```
//!
//! The kernel says `RTM_NEWLINK` for anything that becomes of a link, such as a scan for wireless networks: which of them
//! were up before is remembered. Everything else, and whatever is cut off or makes no sense, is nothing.

use crate::limits::LINKS_MAX;
use heapless::Vec;

const HEADER_BYTES: usize = 16;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;

const IFF_LOOPBACK: u32 = 0x8;
/// It can carry packets: switched on, and with a carrier.
const IFF_RUNNING: u32 = 0x40;

/// An address that is not sure to be this machine's alone, or is not.
const IFA_F_TENTATIVE_OR_DUPLICATE: u8 = 0x40 | 0x08;
/// Scopes from this on end at the link.
const RT_SCOPE_LINK: u8 = 253;

const RT_TABLE_LOCAL: u8 = 255;
const RTN_UNICAST: u8 = 1;
const RTM_F_CLONED: u32 = 0x200;

/// The links that are up, as far as was heard.
#[derive(Default)]
pub struct Links {
    up: Vec<u32, LINKS_MAX>,
}

impl Links {
    /// Takes what was read of one datagram, which may be its start. Says whether something came up.
    pub fn hear(&mut self, mut datagram: &[u8]) -> bool {
        let mut came_up = false;
        while let Some((length, kind)) = header(datagram) {
            let end = length.min(datagram.len());
            came_up |= self.hear_one(kind, &datagram[HEADER_BYTES..end]).unwrap_or(false);
            datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        came_up
    }

    /// One message without its header; `None` if it is too short.
    fn hear_one(&mut self, kind: u16, body: &[u8]) -> Option<bool> {
        let byte = |at: usize| body.get(at).copied();
        Some(match kind {
            RTM_NEWLINK | RTM_DELLINK => {
                let (link, flags) = (number(body, 4)?, number(body, 8)?);
                let is_up = kind == RTM_NEWLINK && flags & (IFF_RUNNING | IFF_LOOPBACK) == IFF_RUNNING;
                self.note(link, is_up)
            }
            RTM_NEWADDR => byte(2)? & IFA_F_TENTATIVE_OR_DUPLICATE == 0 && byte(3)? < RT_SCOPE_LINK,
            RTM_NEWROUTE => {
                byte(4)? != RT_TABLE_LOCAL && byte(7)? == RTN_UNICAST && number(body, 8)? & RTM_F_CLONED == 0
            }
            _ => false,
        })
    }

    /// Whether the link was not up before.
    fn note(&mut self, link: u32, is_up: bool) -> bool {
        let known = self.up.iter().position(|up| *up == link);
        match (known, is_up) {
            (None, true) => {
                // Those that are forgotten are told of once more.
                if self.up.push(link).is_err() {
                    self.up.clear();
                }
                return true;
            }
            (Some(known), false) => _ = self.up.swap_remove(known),
            _ => {}
        }
        false
    }
}

/// Length, header included, and kind of the message that begins here.
fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let length = number(bytes, 0)? as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    (bytes.len() >= HEADER_BYTES && (HEADER_BYTES..usize::MAX - 4).contains(&length)).then_some((length, kind))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, body: &[u8]) -> std::vec::Vec<u8> {
        let length = (HEADER_BYTES + body.len()) as u32;
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link(index: u32, flags: u32) -> std::vec::Vec<u8> {
        message(RTM_NEWLINK, &[&[0; 4][..], &index.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 4]].concat())
    }

    const UP: u32 = 0x1 | IFF_RUNNING | 0x10000;
    /// Switched on, no carrier.
    const WAITING: u32 = 0x1;

    #[test]
    fn a_link_comes_up_once_until_it_goes_down() {
        let mut links = Links::default();
        assert!(!links.hear(&link(2, WAITING)));
        assert!(links.hear(&link(2, UP)));
        assert!(!links.hear(&link(2, UP)), "something else became of it");
        assert!(links.hear(&link(3, UP)), "another one");
        assert!(!links.hear(&link(2, WAITING)));
        assert!(links.hear(&[link(3, UP), link(2, UP)].concat()), "the second message of a datagram");
        assert!(!links.hear(&message(RTM_DELLINK, &link(3, UP)[HEADER_BYTES..])));
        assert!(links.hear(&link(3, UP)), "one that was made anew");
        assert!(!links.hear(&link(1, UP | IFF_LOOPBACK)));
    }

    #[test]
    fn addresses_and_routes_come_up_if_others_can_be_reached_by_them() {
        let address = |flags, scope| message(RTM_NEWADDR, &[2, 24, flags, scope, 2, 0, 0, 0]);
        let route = |table, scope, kind, flags: u32| {
            message(RTM_NEWROUTE, &[&[2, 0, 0, 0, table, 3, scope, kind][..], &flags.to_ne_bytes()].concat())
        };
        for (what, datagram, came_up) in [
            ("an address", address(0x80, 0), true),
            ("an address of the site", address(0, 200), true),
            ("an address of the link", address(0, 253), false),
            ("127.0.0.1", address(0x80, 254), false),
            ("one that may be another's too", address(0x40, 0), false),
            ("one that is another's too", address(0x08, 0), false),
            ("a default route", route(254, 0, RTN_UNICAST, 0), true),
            ("a route in a table of its own", route(100, 253, RTN_UNICAST, 0), true),
            ("what the kernel notes for an address", route(RT_TABLE_LOCAL, 254, 2, 0), false),
            ("a route that leads nowhere", route(254, 0, 7, 0), false),
            ("a route of one packet", route(254, 0, RTN_UNICAST, RTM_F_CLONED), false),
            ("a route that goes", message(25, &route(254, 0, RTN_UNICAST, 0)[HEADER_BYTES..]), false),
            ("a neighbour", message(28, &[0; 12]), false),
        ] {
            assert_eq!(Links::default().hear(&datagram), came_up, "{what}");
            assert!(!Links::default().hear(&datagram[..HEADER_BYTES + 3]), "{what}, cut off");
        }
    }

    #[test]
    fn more_links_than_are_remembered_are_told_of_again() {
        let mut links = Links::default();
        assert!((0..1000).all(|index| links.hear(&link(index, UP))));
        assert!(links.up.len() <= LINKS_MAX);
    }

    proptest! {
        #[test]
        fn anything_at_all_is_read_to_its_end(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8)) {
            let mut links = Links::default();
            for datagram in datagrams {
                links.hear(&datagram);
            }
        }
    }
}
