//! Who offers a service on the local link: what was heard goes in, questions and targets come out. No sockets, no clock.
//!
//! ```text
//!  PTR  _prometheus-http._tcp.local ─► instance ─► SRV: host and port ─► A, AAAA: addresses ─► a target
//!                                         └──────► TXT: labels
//! ```
//!
//! Follows RFC 6762 (multicast DNS) and 6763 (service discovery): answers are kept for as long as they say, renewed before
//! they end, and given up a second after a goodbye. All that others say is bounded in number and size.

use super::lease::{Lease, Wanted};
use crate::dns::message::{
    CLASS_IN, Data, Message, Question, Record, TYPE_A, TYPE_AAAA, TYPE_PTR, TYPE_SRV, TYPE_TXT, encode_multicast_query,
};
use crate::dns::name::Name;
use crate::limits::{MDNS_ADDRESSES_MAX, MDNS_INSTANCES_MAX, MDNS_PACKET_BYTES_MAX, MDNS_TXT_STRINGS_MAX};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// In a record's class: other records of the same name and type are outdated.
const CLASS_FLUSH: u16 = 0x8000;

/// Questions of one packet.
const QUESTIONS_MAX: usize = 8;

pub struct Browser {
    services: Vec<Service>,
    instances: HashMap<Name, Instance>,
    hosts: HashMap<Name, Host>,
    is_changed: bool,
}

struct Service {
    name: Name,
    wanted: Wanted,
}

/// One that offers a service.
pub(super) struct Instance {
    pub service: usize,
    lease: Lease,
    wanted: Wanted,
    srv: Option<(u16, Name, Lease)>,
    txt: Option<(Vec<Vec<u8>>, Lease)>,
}

struct Host {
    wanted: Wanted,
    addresses: Vec<(IpAddr, Lease)>,
}

/// What is known of an instance that can be reached.
pub(super) struct Found<'b> {
    pub service: &'b Name,
    pub instance: &'b Name,
    pub host: &'b Name,
    pub address: IpAddr,
    pub port: u16,
    pub txt: &'b [Vec<u8>],
}

impl Browser {
    /// Begins to look for services such as `_prometheus-http._tcp.local`.
    pub fn new(services: impl IntoIterator<Item = Name>, now: Duration) -> Browser {
        let services = services.into_iter().map(|name| Service { name, wanted: Wanted::new(now) }).collect();
        Browser { services, instances: HashMap::new(), hosts: HashMap::new(), is_changed: false }
    }

    /// Whether there may be other targets than at the last call.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Asks for everything anew: the link is another one.
    pub fn restart(&mut self, now: Duration) {
        self.services.iter_mut().for_each(|service| service.wanted = Wanted::new(now));
    }

    /// Takes in what somebody on the link said.
    pub fn receive(&mut self, message: &Message, now: Duration) {
        if !message.is_response {
            return;
        }
        // In this order, as each makes the next one interesting.
        let records =
            || message.answers.iter().chain(&message.additional).filter(|r| r.class & !CLASS_FLUSH == CLASS_IN);
        records().for_each(|record| self.hear_pointer(record, now));
        records().for_each(|record| self.hear_service(record, now));
        records().for_each(|record| self.hear_address(record, now));
        self.forget_hosts();
    }

    fn hear_pointer(&mut self, record: &Record, now: Duration) {
        let Data::Ptr(instance) = &record.data else { return };
        let Some(service) = self.services.iter().position(|service| service.name == record.name) else { return };
        if instance.strip_parent(&record.name).is_none_or(|labels| labels.len() != 1) {
            return;
        }
        let lease = Lease::new(now, record.ttl_s);
        if let Some(known) = self.instances.get_mut(instance) {
            known.lease = lease;
        } else if record.ttl_s > 0 && self.instances.len() < MDNS_INSTANCES_MAX {
            let new = Instance { service, lease, wanted: Wanted::new(now), srv: None, txt: None };
            self.instances.insert(instance.clone(), new);
        }
    }

    fn hear_service(&mut self, record: &Record, now: Duration) {
        let Some(instance) = self.instances.get_mut(&record.name) else { return };
        let lease = Lease::new(now, record.ttl_s);
        match &record.data {
            Data::Srv { port, target } => {
                self.is_changed |= instance.srv.as_ref().is_none_or(|(p, t, _)| p != port || t != target);
                instance.srv = Some((*port, target.clone(), lease));
                let host = || Host { wanted: Wanted::new(now), addresses: Vec::new() };
                self.hosts.entry(target.clone()).or_insert_with(host);
            }
            Data::Txt(strings) => {
                let strings: Vec<_> = strings.iter().take(MDNS_TXT_STRINGS_MAX).cloned().collect();
                self.is_changed |= instance.txt.as_ref().is_none_or(|(known, _)| *known != strings);
                instance.txt = Some((strings, lease));
            }
            _ => {}
        }
    }

    fn hear_address(&mut self, record: &Record, now: Duration) {
        let address: IpAddr = match record.data {
            Data::A(address) => address.into(),
            Data::Aaaa(address) => address.into(),
            _ => return,
        };
        let Some(host) = self.hosts.get_mut(&record.name) else { return };
        let lease = Lease::new(now, record.ttl_s);
        if record.class & CLASS_FLUSH != 0 {
            let same_kind = host.addresses.iter_mut().filter(|(known, _)| known.is_ipv4() == address.is_ipv4());
            same_kind.for_each(|(_, lease)| lease.flush(now));
        }
        if let Some((_, known)) = host.addresses.iter_mut().find(|(known, _)| *known == address) {
            *known = lease;
        } else if record.ttl_s > 0 && host.addresses.len() < MDNS_ADDRESSES_MAX {
            host.addresses.push((address, lease));
            self.is_changed = true;
        }
    }

    /// When [`Browser::poll`] has something to do next.
    pub fn due(&self) -> Duration {
        let services = self.services.iter().map(|service| service.wanted.due());
        let instances = self.instances.values().map(Instance::due);
        let hosts = self.hosts.values().map(Host::due);
        services.chain(instances).chain(hosts).min().unwrap_or(Duration::MAX)
    }

    /// Forgets what has run out; the answer is the packets to send, to everybody on the link.
    pub fn poll(&mut self, now: Duration) -> Vec<Vec<u8>> {
        self.forget(now);
        let mut packets = Vec::new();
        let mut renewed = vec![false; self.services.len()];
        let mut questions = Vec::new();
        let mut ask = |name: &Name, kind| questions.push(Question { name: name.clone(), kind, class: CLASS_IN });
        for (name, instance) in &mut self.instances {
            renewed[instance.service] |= instance.lease.ask(now);
            let is_wanted = (instance.srv.is_none() || instance.txt.is_none()) && instance.wanted.ask(now);
            if instance.srv.as_mut().map_or(is_wanted, |(_, _, lease)| lease.ask(now)) {
                ask(name, TYPE_SRV);
            }
            if instance.txt.as_mut().map_or(is_wanted, |(_, lease)| lease.ask(now)) {
                ask(name, TYPE_TXT);
            }
        }
        for (name, host) in &mut self.hosts {
            let is_wanted = host.addresses.is_empty() && host.wanted.ask(now);
            // Each is asked to be renewed, so that none is due after this.
            let renewals = host.addresses.iter_mut().filter_map(|(address, lease)| lease.ask(now).then_some(*address));
            let (v4, v6) = renewals.fold((is_wanted, is_wanted), |(v4, v6), a| (v4 | a.is_ipv4(), v6 | a.is_ipv6()));
            [(v4, TYPE_A), (v6, TYPE_AAAA)].into_iter().filter(|(is_due, _)| *is_due).for_each(|(_, t)| ask(name, t));
        }
        for (index, renewed) in renewed.into_iter().enumerate() {
            if self.services[index].wanted.ask(now) || renewed {
                packets.push(self.service_query(index, now));
            }
        }
        packets.extend(questions.chunks(QUESTIONS_MAX).map(|part| encode_multicast_query(part, &[], usize::MAX)));
        packets
    }

    fn service_query(&self, index: usize, now: Duration) -> Vec<u8> {
        let name = self.services[index].name.clone();
        let known = self.instances.iter().filter(|(_, instance)| instance.service == index);
        let known: Vec<_> = known.filter_map(|(name, i)| Some((name, i.lease.known_s(now)?))).collect();
        encode_multicast_query(&[Question { name, kind: TYPE_PTR, class: CLASS_IN }], &known, MDNS_PACKET_BYTES_MAX)
    }

    fn forget(&mut self, now: Duration) {
        let before = self.instances.len();
        self.instances.retain(|_, instance| instance.lease.expires() > now);
        self.is_changed |= self.instances.len() < before;
        for instance in self.instances.values_mut() {
            if instance.srv.take_if(|(_, _, lease)| lease.expires() <= now).is_some() {
                instance.wanted = Wanted::new(now);
                self.is_changed = true;
            }
            if instance.txt.take_if(|(_, lease)| lease.expires() <= now).is_some() {
                instance.wanted = Wanted::new(now);
                self.is_changed = true;
            }
        }
        self.forget_hosts();
        for host in self.hosts.values_mut() {
            let before = host.addresses.len();
            host.addresses.retain(|(_, lease)| lease.expires() > now);
            if host.addresses.len() < before {
                self.is_changed = true;
                host.wanted = Wanted::new(now);
            }
        }
    }

    /// Hosts that no instance names any more. So there are never more of them than instances.
    fn forget_hosts(&mut self) {
        let instances = &self.instances;
        let is_named = |host: &Name| {
            instances.values().any(|instance| instance.srv.as_ref().is_some_and(|(_, named, _)| named == host))
        };
        self.hosts.retain(|host, _| is_named(host));
    }

    /// The instances that can be reached, in order of their names.
    pub(super) fn found(&self) -> Vec<Found<'_>> {
        let found = self.instances.iter().filter_map(|(name, instance)| {
            let (port, host, _) = instance.srv.as_ref()?;
            Some(Found {
                service: &self.services[instance.service].name,
                instance: name,
                host,
                address: self.hosts.get(host)?.address()?,
                port: *port,
                txt: instance.txt.as_ref().map_or(&[], |(strings, _)| strings),
            })
        });
        let mut found: Vec<_> = found.collect();
        found.sort_by(|a, b| a.instance.wire().cmp(b.instance.wire()));
        found
    }
}

impl Instance {
    fn due(&self) -> Duration {
        let srv = self.srv.as_ref().map_or(self.wanted.due(), |(_, _, lease)| lease.due());
        let txt = self.txt.as_ref().map_or(self.wanted.due(), |(_, lease)| lease.due());
        self.lease.due().min(srv).min(txt)
    }
}

impl Host {
    fn due(&self) -> Duration {
        self.addresses.iter().map(|(_, lease)| lease.due()).min().unwrap_or(self.wanted.due())
    }

    /// IPv4 before IPv6, the same each time. Addresses of one link only come last in IPv4, and not at all in IPv6, where they
    /// mean nothing without the interface.
    fn address(&self) -> Option<IpAddr> {
        let is_of_link = |address: &Ipv6Addr| address.is_unicast_link_local();
        let rank = |address: &IpAddr| match address {
            IpAddr::V4(v4) => (u8::from(v4.is_link_local()), *address),
            IpAddr::V6(_) => (2, *address),
        };
        let usable = self.addresses.iter().map(|(address, _)| *address);
        usable.filter(|a| !matches!(a, IpAddr::V6(v6) if is_of_link(v6))).min_by_key(rank)
    }
}
