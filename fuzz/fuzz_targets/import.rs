//! Any text as a configuration of Prometheus: an error of one line, or TOML that loads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::config::parse_in;
use narthex::import::import;
use std::path::Path;

fuzz_target!(|yaml: &[u8]| match import(yaml, Path::new("/etc/prometheus/prometheus.yml"), &|_| Ok(Vec::new())) {
    Ok(imported) => {
        let loaded = parse_in(&imported.toml, Path::new("narthex.toml"), &|_| Some("set".into()));
        loaded.unwrap_or_else(|error| panic!("{error}\n{}", imported.toml));
    }
    Err(error) => assert!(!error.to_string().contains(['\n', '\r'])),
});
