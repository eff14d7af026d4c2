//! What discovery hands to scrape.

use super::labels::Labels;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// One thing to scrape: where, how often, and the labels that each of its samples gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    pub scheme: Scheme,
    /// `host` or `host:port`, as configured.
    pub address: String,
    /// Starts with `/`.
    pub metrics_path: String,
    /// `job`, `instance` and what the configuration adds; no label starts with `__`.
    pub labels: Labels,
    pub interval: Duration,
    pub timeout: Duration,
}

impl Target {
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme.name(), self.address, self.metrics_path)
    }
}
