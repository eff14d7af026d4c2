//! `mdns_sd`: devices on the local link that say by themselves that they have something to scrape.
//!
//! ```text
//!  socket: 224.0.0.251 and ff02::fb, port 5353, every interface ─► browser ─► one target each
//! ```
//!
//! Narthex's own, after RFC 6762 and 6763, for devices that are plugged in and out. Labels:
//!
//! | label | what |
//! |---|---|
//! | `__address__` | address and port |
//! | `__meta_mdns_service_instance_name` | as the device calls itself: `Pump 2` |
//! | `__meta_mdns_service_type` | `_prometheus-http._tcp` |
//! | `__meta_mdns_host` | `pump2.local` |
//! | `__meta_mdns_txt_KEY` | what the device says besides, `true` for a key without a value |
//! | `__metrics_path__` | the TXT key `path`, if it is one |
//! | `__scheme__` | `https` for the type `_prometheus-https._tcp` |

mod browser;
#[cfg(test)]
mod browser_tests;
mod lease;
mod socket;

pub use browser::Browser;
pub use socket::{Heard, MdnsSocket, SocketError};

use super::dns::join;
use super::group::{ADDRESS_LABEL, Group, Pairs, add_label};
use crate::dns::Name;
use browser::Found;
use std::borrow::Cow;

/// What is browsed for unless the configuration says otherwise.
pub const SERVICE_TYPE_DEFAULT: &str = "_prometheus-http._tcp";

const SERVICE_TYPE_HTTPS: &str = "_prometheus-https._tcp";

/// Everything on the local link is below this.
const DOMAIN: &str = "local";

/// One `mdns_sd_configs` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MdnsSdOptions {
    /// Such as [`SERVICE_TYPE_DEFAULT`]; each has passed [`service_name`].
    pub service_types: Vec<String>,
}

/// The full name of a service type, `_http._tcp`. `None` if that is no service type.
pub fn service_name(service_type: &str) -> Option<Name> {
    let (service, protocol) = service_type.split_once('.')?;
    let is_service = service.len() > 1 && service.starts_with('_') && !service.contains('\\');
    if !is_service || !matches!(protocol, "_tcp" | "_udp") {
        return None;
    }
    Name::parse(&format!("{service_type}.{DOMAIN}"))
}

impl Browser {
    /// What was found, in one group for each service.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for found in self.found() {
            let source = found.service.to_string();
            let target = labels_of(&found);
            match groups.iter_mut().find(|group| group.source == source) {
                Some(group) => group.targets.push(target),
                None => groups.push(Group { source, labels: Pairs::new(), targets: vec![target] }),
            }
        }
        groups
    }
}

fn labels_of(found: &Found) -> Pairs {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let shown = |name: &Name| name.to_string().trim_end_matches('.').to_string();
    let service_type = shown(found.service).trim_end_matches(DOMAIN).trim_end_matches('.').to_string();
    let own_name = found.instance.labels().next().map(text).unwrap_or_default();
    let mut labels: Pairs = vec![
        (ADDRESS_LABEL.into(), join(&found.address.to_string(), found.port)),
        ("__meta_mdns_service_instance_name".into(), own_name),
        ("__meta_mdns_host".into(), shown(found.host)),
    ];
    if service_type == SERVICE_TYPE_HTTPS {
        labels.push(("__scheme__".into(), "https".into()));
    }
    labels.push(("__meta_mdns_service_type".into(), service_type));
    for string in found.txt.iter().filter(|string| !string.is_empty() && string[0] != b'=') {
        let (key, value) = match string.iter().position(|byte| *byte == b'=') {
            Some(at) => (text(&string[..at]).to_ascii_lowercase(), text(&string[at + 1..])),
            None => (text(string).to_ascii_lowercase(), "true".into()),
        };
        let name = format!("__meta_mdns_txt_{}", sanitized(&key));
        // A key that comes twice counts the first time.
        if labels.iter().any(|(known, _)| *known == name) {
            continue;
        }
        if key == "path" && value.starts_with('/') {
            labels.push((Cow::Borrowed("__metrics_path__"), value.clone()));
        }
        if add_label(&mut labels, name, value).is_err() {
            break;
        }
    }
    labels
}

/// As Prometheus makes label names of others' keys.
fn sanitized(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}
