//! Tells the binary which commit and target it is built for; `narthex --version` prints both.
//!
//! The commit is `NARTHEX_COMMIT` where a package's recipe sets it, else what git says of this folder. Only release builds ask git, so
//! that a commit while developing compiles nothing again.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=NARTHEX_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    let given = env::var("NARTHEX_COMMIT").ok().filter(|commit| !commit.is_empty());
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = given.or_else(|| if is_release { commit_of_this_folder() } else { None });
    println!("cargo::rustc-env=NARTHEX_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=NARTHEX_TARGET={}", env::var("TARGET").unwrap_or_default());
}

/// `None` if this is no checkout, or git is not installed: a source package.
fn commit_of_this_folder() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    };
    // The log of HEAD changes with each commit and checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo::rerun-if-changed={log}");
    git(&["rev-parse", "--short=12", "HEAD"])
}
