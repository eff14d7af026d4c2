//! The README's first configuration, run as the README says.

use crate::agent::Agent;
use crate::process::wait_for;
use crate::receiver::{Product, Receiver};
use crate::series::Held;
use std::fs;
use std::time::Duration;

const README: &str = include_str!("../../README.md");

/// It named an example host and a password file that does not exist, so that nobody's first run worked.
#[test]
#[ignore = "needs Debian's prometheus"]
fn the_first_configuration_of_the_readme_shows_data_at_the_receiver() {
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Receiver::start(Product::Prometheus, folder.path());
    let (_, from_config) = README.split_once("```toml\n").unwrap();
    let (config, rest) = from_config.split_once("```").unwrap();
    assert!(config.contains("127.0.0.1:9090") && !config.contains("example"), "{config}");
    let (_, query) = rest.split_once("--data-urlencode 'query=").unwrap();
    let (query, _) = query.split_once('\'').unwrap();

    let file = folder.path().join("narthex.toml");
    fs::write(&file, config.replace("127.0.0.1:9090", &format!("127.0.0.1:{}", prometheus.port))).unwrap();
    let mut agent = Agent::start(&file, &folder.path().join("narthex.log"));
    wait_for(Duration::from_secs(60), || {
        let stored = prometheus.read(query);
        let is_up = stored.values().flatten().any(|point| point.held == Held::Value(1.0));
        if is_up { Ok(()) } else { Err(format!("{query} has no sample at the receiver")) }
    });
    agent.stop();
}
