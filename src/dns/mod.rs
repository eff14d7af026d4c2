//! DNS: messages and names as bytes, questions to name servers, and from a host's name to its addresses.
//!
//! ```text
//!  host ─► resolver ─► hosts ────────────── /etc/hosts
//!             │    └─► resolv_conf ─► lookup ─► exchange ─► message    every server, every full name
//!             └──────► system ───────────── what else nsswitch.conf names, on a thread
//!                          │
//!                          └─► order: which address first
//! ```
//!
//! Refuses to know what is at the addresses, and which records are targets.

pub mod exchange;
mod hosts;
pub mod lookup;
pub mod message;
pub mod name;
mod order;
mod resolv_conf;
mod resolver;
mod scope;
mod system;

pub use message::{Message, MessageError};
pub use name::Name;
pub use resolv_conf::{ResolvConf, read_resolv_conf};
pub use resolver::Resolver;
