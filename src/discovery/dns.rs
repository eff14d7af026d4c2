//! `dns_sd`: names, asked for again and again, whose records are targets.
//!
//! ```text
//!  name ─► crate::dns: full names, servers, questions ─► records ─► one group
//! ```
//!
//! As Prometheus's `discovery/dns`. A name that can't be asked for keeps its targets; one that does not exist has none.

use super::group::{ADDRESS_LABEL, Group, Pairs};
use crate::dns::message::{Data, Record, TYPE_A, TYPE_AAAA, TYPE_MX, TYPE_NS, TYPE_SRV};
use crate::dns::{Name, ResolvConf, exchange, lookup, read_resolv_conf};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

/// One `dns_sd_configs` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSdOptions {
    pub names: Vec<String>,
    pub kind: RecordKind,
    /// Of all targets but those of SRV records, which bring their own.
    pub port: u16,
    pub refresh_interval: Duration,
    /// Asked instead of those in resolv.conf.
    pub nameservers: Vec<SocketAddr>,
}

/// The records that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    Srv,
    A,
    Aaaa,
    Mx,
    Ns,
}

impl RecordKind {
    pub const ALL: [RecordKind; 5] = [RecordKind::Srv, RecordKind::A, RecordKind::Aaaa, RecordKind::Mx, RecordKind::Ns];

    pub fn name(self) -> &'static str {
        match self {
            RecordKind::Srv => "SRV",
            RecordKind::A => "A",
            RecordKind::Aaaa => "AAAA",
            RecordKind::Mx => "MX",
            RecordKind::Ns => "NS",
        }
    }

    fn number(self) -> u16 {
        match self {
            RecordKind::Srv => TYPE_SRV,
            RecordKind::A => TYPE_A,
            RecordKind::Aaaa => TYPE_AAAA,
            RecordKind::Mx => TYPE_MX,
            RecordKind::Ns => TYPE_NS,
        }
    }
}

/// Asks for one of the names; the answer is its group, or why it can't be told.
pub async fn look_up(options: &DnsSdOptions, name: &str) -> Result<Group, String> {
    let mut conf = read_resolv_conf().or_else(|problem| match options.nameservers.is_empty() {
        true => Err(problem),
        false => Ok(ResolvConf::parse("")),
    })?;
    if !options.nameservers.is_empty() {
        conf.servers.clone_from(&options.nameservers);
    }
    let ask = async |server: SocketAddr, full: &Name| exchange::ask(server, full, options.kind.number()).await;
    let records = lookup::lookup(name, &conf, ask).await?;
    Ok(group_of(name, options.port, &records))
}

/// The group that a name's records come to; `name` as it was configured.
fn group_of(name: &str, port: u16, records: &[Record]) -> Group {
    let mut group = Group { source: name.into(), ..Group::default() };
    for record in records {
        let (address, own): (String, Pairs) = match &record.data {
            Data::A(address) => (join(&address.to_string(), port), vec![]),
            Data::Aaaa(address) => {
                let shown = address.to_ipv4_mapped().map_or_else(|| address.to_string(), |mapped| mapped.to_string());
                (join(&shown, port), vec![])
            }
            Data::Srv { port, target } => {
                let labels = [("target", target.to_string()), ("port", port.to_string())];
                let labels = labels.map(|(label, value)| (Cow::Owned(format!("__meta_dns_srv_record_{label}")), value));
                (join(target.to_string().trim_end_matches('.'), *port), labels.into())
            }
            Data::Mx(host) => of_host("__meta_dns_mx_record_target", host, port),
            Data::Ns(host) => of_host("__meta_dns_ns_record_target", host, port),
            // On the way to an address.
            Data::Cname(_) => continue,
            Data::Ptr(_) | Data::Txt(_) | Data::Other => {
                log::warn!("dns_sd: the answer to {name:?} has a record of type {}, which is no target", record.kind);
                continue;
            }
        };
        let mut labels: Pairs = vec![(ADDRESS_LABEL.into(), address), ("__meta_dns_name".into(), name.into())];
        labels.extend(own);
        group.targets.push(labels);
    }
    group
}

fn of_host(label: &'static str, host: &Name, port: u16) -> (String, Pairs) {
    (join(host.to_string().trim_end_matches('.'), port), vec![(label.into(), host.to_string())])
}

/// Go's `net.JoinHostPort`.
pub(super) fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::tests::{every_type, record};

    #[test]
    fn records_become_targets_with_prometheus_labels() {
        let group = group_of("x.example", 9100, &every_type());
        let shown: Vec<String> = group.discovered().map(|mut labels| labels.build().unwrap().to_string()).collect();
        assert_eq!(
            shown,
            [
                r#"{__address__="10.0.0.1:9100", __meta_dns_name="x.example"}"#,
                r#"{__address__="[::1]:9100", __meta_dns_name="x.example"}"#,
                concat!(
                    r#"{__address__="a.example:9100", __meta_dns_name="x.example", __meta_dns_srv_record_port="9100", "#,
                    r#"__meta_dns_srv_record_target="a.example."}"#
                ),
                r#"{__address__="mail.example:9100", __meta_dns_mx_record_target="mail.example.", __meta_dns_name="x.example"}"#,
                r#"{__address__="ns.example:9100", __meta_dns_name="x.example", __meta_dns_ns_record_target="ns.example."}"#,
            ]
        );
        let mapped = record("a", TYPE_AAAA, 1, Data::Aaaa("::ffff:10.0.0.1".parse().unwrap()));
        assert_eq!(group_of("a", 1, &[mapped]).targets[0][0].1, "10.0.0.1:1");
    }
}
