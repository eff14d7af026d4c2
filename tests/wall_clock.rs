//! A real-time clock without a battery may say 2039. On 32-bit musl the standard library's clock has 32 bits: the first
//! `SystemTime::now` ended the process there. `src/clock.rs` asks a clock of 64 bits, and nothing else in the source asks any.

use std::fs;
use std::path::{Path, PathBuf};

/// What asks the standard library for the wall clock, by itself or by way of a library.
const ASKS: [&str; 6] = [
    "SystemTime::now",
    "UnixTime::now",
    ".modified()",
    ".accessed()",
    // rustls's own time, in place of `builder_with_details`.
    "ClientConfig::builder()",
    "ClientConfig::builder_with_provider",
];

#[test]
fn the_wall_clock_is_asked_in_one_file() {
    let mut asking = Vec::new();
    for file in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let is_a_test = file.iter().any(|part| part.to_str().unwrap().starts_with("tests"));
        if is_a_test || file == Path::new("src/clock.rs") {
            continue;
        }
        let found = ASKS.iter().filter(|asks| production.contains(**asks));
        asking.extend(found.map(|asks| format!("{}: {asks}", file.display())));
    }
    assert!(asking.is_empty(), "use crate::clock instead: {asking:#?}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
