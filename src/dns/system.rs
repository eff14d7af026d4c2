//! Names that the system's C library knows by other means than `/etc/hosts` and DNS: multicast DNS, systemd-resolved, containers, a
//! directory. On a thread of the pool, since the library blocks.

use crate::limits::SYSTEM_LOOKUPS_MAX;
use smol::lock::Semaphore;
use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

const NSSWITCH: &str = "/etc/nsswitch.conf";

/// Bytes of it that are read.
const NSSWITCH_BYTES_MAX: u64 = 16 * 1024;

/// Services of `nsswitch.conf` that [`super::resolver`] stands in for.
const OWN: [&str; 2] = ["files", "dns"];

/// The system's lookups that are under way.
#[derive(Clone)]
pub struct SystemLookups {
    places: Arc<Semaphore>,
}

impl SystemLookups {
    pub fn new() -> Self {
        SystemLookups { places: Arc::new(Semaphore::new(SYSTEM_LOOKUPS_MAX)) }
    }

    /// Waits for no other lookup: if all places are taken by names that don't answer, it fails at once.
    pub async fn addresses_of(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let place = self.places.try_acquire_arc().ok_or_else(|| {
            io::Error::other(format!(
                "{SYSTEM_LOOKUPS_MAX} other names wait for the system's lookup; remove those that are gone"
            ))
        })?;
        let host = host.to_owned();
        // The place goes along: a lookup that nobody waits for any more still holds its thread.
        smol::unblock(move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            drop(place);
            addresses
        })
        .await
    }
}

/// Whether the C library may know names that `/etc/hosts` and DNS don't. That of musl knows no others.
pub fn knows_more() -> bool {
    let mut text = String::new();
    cfg!(not(target_env = "musl"))
        && File::open(NSSWITCH).is_ok_and(|file| file.take(NSSWITCH_BYTES_MAX).read_to_string(&mut text).is_ok())
        && names_more(&text)
}

/// Whether the `hosts` line names another service.
fn names_more(nsswitch: &str) -> bool {
    let hosts = nsswitch.lines().find_map(|line| line.trim_start().strip_prefix("hosts:")).unwrap_or_default();
    let words = hosts.split('#').next().unwrap_or_default().split_ascii_whitespace();
    // What is in brackets says when to go on, with equals signs.
    let mut services = words.filter(|word| !word.contains(['[', ']', '=']));
    services.any(|service| !OWN.contains(&service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_services_than_files_and_dns_are_seen() {
        for (line, expected) in [
            ("hosts: files dns", false),
            ("passwd: files systemd\nhosts:\tfiles dns # mdns4", false),
            ("hosts: dns [!UNAVAIL=return] files", false),
            ("hosts: files mdns4_minimal [NOTFOUND=return] dns", true),
            ("hosts: files resolve [ !UNAVAIL=return SUCCESS=continue ] dns", true),
            ("", false),
        ] {
            assert_eq!(names_more(line), expected, "{line}");
        }
    }

    #[test]
    fn no_lookup_waits_for_another() {
        let lookups = SystemLookups::new();
        let taken: Vec<_> = (0..SYSTEM_LOOKUPS_MAX).map(|_| lookups.places.try_acquire().unwrap()).collect();
        let refused = smol::block_on(lookups.addresses_of("localhost", 9)).unwrap_err();
        assert!(refused.to_string().contains("other names wait"), "{refused}");
        drop(taken);
        assert!(!smol::block_on(lookups.addresses_of("localhost", 9)).unwrap().is_empty());
    }
}
