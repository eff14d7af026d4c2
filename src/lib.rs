//! Narthex: Prometheus's agent mode for devices that are too small, too badly connected and too easily worn out for
//! Prometheus.
//!
//! Data goes down one way. Stages never import one another; [`agent`] is the one place where they meet.
//!
//! ```text
//!  config ──builds the options of every stage
//!  discovery ─► scrape ─► buffer ─────────────► remote_write ─► uplink
//!    targets     page     RAM stage, then        batches by      TLS
//!                parsed   ring on flash          series
//! ```

// Allowed in `agent/heap.rs` alone.
#![deny(unsafe_code)]

pub mod agent;
pub mod buffer;
mod bugs;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod config;
pub mod counters;
pub mod discovery;
pub mod dns;
pub mod http_client;
pub mod http_server;
#[cfg(feature = "import")]
pub mod import;
pub mod limits;
pub mod links;
pub mod model;
pub mod relabel;
pub mod remote_write;
pub mod ring;
pub mod scrape;
pub mod secrets;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod status;
pub mod tls;
pub mod wear;
pub mod yaml;
