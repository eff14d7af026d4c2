//! Where targets are listed: in the configuration, in files, in DNS, behind a URL, on the local link. Each place gives
//! *groups*, Prometheus's `targetgroup.Group`: addresses and labels, `__meta_` labels among them.
//!
//! ```text
//!  static_configs ──────────────────────────► groups ─► agent: relabelling, targets, tasks
//!  file     glob, inotify ─► json, yaml ────►
//!  http     http_client ─► json ────────────►
//!  dns      resolv.conf, messages, lookup ──►
//!  mdns     messages, browser ──────────────►
//! ```
//!
//! Parsers and state machines are pure; what waits is in `file/watch`, `dns/exchange`, `mdns/socket` and
//! [`crate::http_client`]. Refuses to know what becomes of a group and what is read from a target.

pub mod dns;
pub mod file;
mod group;
pub mod http;
mod json;
pub mod mdns;
mod options;
mod yaml;

pub use group::{ADDRESS_LABEL, Group, Pairs};
pub use json::parse_json;
pub use options::{DiscoveryOptions, JobOptions, StaticConfig};
pub use yaml::parse_yaml;
