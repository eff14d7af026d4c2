//! `narthex version`: which build this is, for support requests and for scripts.

use super::output;
use std::process::ExitCode;

/// Cargo features that change what the binary can do, each with whether this build has it.
const FEATURES: [(&str, bool); 2] = [("import", cfg!(feature = "import")), ("sigv4", cfg!(feature = "sigv4"))];

/// `narthex version`.
pub fn version() -> ExitCode {
    output::print(&text())
}

fn text() -> String {
    let features: Vec<_> = FEATURES.iter().filter(|(_, is_built)| *is_built).map(|(name, _)| *name).collect();
    format!(
        "narthex {}\ncommit: {}\ntarget: {}\nfeatures: {}\n",
        env!("CARGO_PKG_VERSION"),
        env!("NARTHEX_COMMIT"),
        env!("NARTHEX_TARGET"),
        if features.is_empty() { "none".into() } else { features.join(", ") }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A feature that is added to Cargo.toml and not to the list would be missing from the version.
    #[test]
    fn every_feature_of_the_manifest_is_listed() {
        let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
        let mut listed: Vec<_> = FEATURES.iter().map(|(name, _)| *name).chain(["default", "sim"]).collect();
        let mut features: Vec<_> = manifest["features"].as_table().unwrap().keys().map(String::as_str).collect();
        listed.sort_unstable();
        features.sort_unstable();
        assert_eq!(listed, features);
    }

    #[test]
    fn the_version_names_the_build() {
        let text = text();
        assert!(text.starts_with(concat!("narthex ", env!("CARGO_PKG_VERSION"), "\ncommit: ")), "{text}");
        assert!(text.contains(&format!("\ntarget: {}-", std::env::consts::ARCH)), "{text}");
    }
}
