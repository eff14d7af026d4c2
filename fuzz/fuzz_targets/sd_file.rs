//! Any file of target groups, in JSON and in YAML: groups within their bounds, or an error of one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::discovery::{parse_json, parse_yaml};
use narthex::limits::{DISCOVERED_TARGETS_MAX, LABELS_PER_SERIES_MAX};

fuzz_target!(|content: &[u8]| {
    for parsed in [parse_json(content), parse_yaml(content)] {
        match parsed {
            Ok(groups) => {
                let targets: usize = groups.iter().map(|group| group.targets.len()).sum();
                assert!(groups.len() + targets <= DISCOVERED_TARGETS_MAX);
                assert!(groups.iter().all(|group| group.labels.len() <= LABELS_PER_SERIES_MAX));
                groups.iter().flat_map(|group| group.discovered()).for_each(drop);
            }
            Err(error) => assert!(!error.is_empty()),
        }
    }
});
