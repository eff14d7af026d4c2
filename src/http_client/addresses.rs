//! Which of a name's addresses to try first: one that failed is tried after all others, until some request succeeds.

use crate::limits::FAILED_ADDRESSES_MAX;
use std::net::{IpAddr, SocketAddr};

/// Addresses of one server, as far as requests to them failed.
#[derive(Clone, Debug, Default)]
pub struct FailedAddresses {
    /// The one that failed last comes last.
    failed: heapless::Vec<IpAddr, FAILED_ADDRESSES_MAX>,
    /// Where the connection in use leads to.
    connected: Option<IpAddr>,
}

impl FailedAddresses {
    /// A connection to this address came about. Returns the address that failed last, if this is another one.
    pub fn connected(&mut self, address: IpAddr) -> Option<IpAddr> {
        self.connected = Some(address);
        self.failed.last().copied().filter(|failed| *failed != address)
    }

    /// Requests over the connection in use fail.
    pub fn fail(&mut self) {
        let Some(address) = self.connected else { return };
        self.failed.retain(|failed| *failed != address);
        if self.failed.is_full() {
            self.failed.remove(0);
        }
        // There is room, as above.
        _ = self.failed.push(address);
    }

    /// A request succeeded: what failed before may work again.
    pub fn forget(&mut self) {
        self.failed.clear();
    }

    /// Puts addresses that did not fail first, and then those that failed longest ago. Otherwise the order stays.
    pub fn order(&self, addresses: &mut [SocketAddr]) {
        let failed_at = |address: &SocketAddr| self.failed.iter().position(|failed| *failed == address.ip());
        addresses.sort_by_key(failed_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(failed: &FailedAddresses, addresses: &[&str]) -> Vec<String> {
        let mut addresses: Vec<SocketAddr> = addresses.iter().map(|ip| format!("{ip}:80").parse().unwrap()).collect();
        failed.order(&mut addresses);
        addresses.iter().map(|address| address.ip().to_string()).collect()
    }

    #[test]
    fn what_failed_is_tried_last_and_what_failed_longest_ago_before_it() {
        let mut failed = FailedAddresses::default();
        assert_eq!(ordered(&failed, &["10.0.0.2", "10.0.0.1"]), ["10.0.0.2", "10.0.0.1"]);
        assert_eq!(failed.connected("10.0.0.2".parse().unwrap()), None);
        failed.fail();
        assert_eq!(ordered(&failed, &["10.0.0.2", "10.0.0.1", "10.0.0.3"]), ["10.0.0.1", "10.0.0.3", "10.0.0.2"]);
        assert_eq!(failed.connected("10.0.0.1".parse().unwrap()), Some("10.0.0.2".parse().unwrap()));
        failed.fail();
        assert_eq!(ordered(&failed, &["10.0.0.1", "10.0.0.2"]), ["10.0.0.2", "10.0.0.1"]);
        failed.forget();
        assert_eq!(ordered(&failed, &["10.0.0.1", "10.0.0.2"]), ["10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn of_more_addresses_than_are_remembered_the_last_ones_are() {
        let mut failed = FailedAddresses::default();
        for i in 0..20 {
            failed.connected(IpAddr::from([10, 0, 0, i]));
            failed.fail();
        }
        assert_eq!(failed.failed.len(), FAILED_ADDRESSES_MAX);
        assert_eq!(failed.failed.last(), Some(&IpAddr::from([10, 0, 0, 19])));
    }
}
