//! `narthex demo`: this machine's own figures, scraped and delivered, while the uplink is taken away and given back.

pub mod exporter;
pub mod receiver;
pub mod screen;
