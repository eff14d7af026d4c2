//! `narthex check FILE`: is this configuration valid, and what does it come to?

use crate::config::{self, ConfigError};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

/// Why `check` ends with exit code 1. Its text is the one line for standard error.
#[derive(Debug)]
pub enum CheckError {
    Config(ConfigError),
    /// The configuration is valid, but could not be shown.
    Output(io::Error),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckError::Config(error) => error.fmt(f),
            CheckError::Output(cause) => {
                write!(f, "the effective configuration could not be written ({cause}); check where output goes")
            }
        }
    }
}

impl std::error::Error for CheckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CheckError::Config(error) => Some(error),
            CheckError::Output(cause) => Some(cause),
        }
    }
}

/// Writes the effective configuration to `out`, secrets masked; writes nothing if the file has a mistake.
pub fn check(file: &Path, out: &mut dyn Write) -> Result<(), CheckError> {
    let config = config::load(file).map_err(CheckError::Config)?;
    out.write_all(config.to_toml().as_bytes()).and_then(|()| out.flush()).map_err(CheckError::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> (Result<(), String>, String) {
        let directory = tempfile::tempdir().unwrap();
        let (file, mut out) = (directory.path().join("narthex.toml"), Vec::new());
        std::fs::write(&file, text).unwrap();
        let shown = |error: CheckError| error.to_string().replace(&format!("{}/", directory.path().display()), "");
        (check(&file, &mut out).map_err(shown), String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_valid_file_is_shown_with_its_defaults() {
        let (result, shown) = check_text("global.scrape_interval = '15s'");
        assert_eq!(result, Ok(()));
        assert!(shown.starts_with("[global]\nscrape_interval = \"15s\"\nscrape_timeout = \"10s\"\n"), "{shown}");
        assert!(shown.contains("\n[limits]\nmax_series = 262144\n"), "{shown}");
    }

    #[test]
    fn a_mistake_is_told_in_one_line_and_nothing_is_shown() {
        let line = "narthex.toml:1: global.scrape_intervall: unknown key; did you mean scrape_interval?";
        assert_eq!(check_text("global.scrape_intervall = '15s'"), (Err(line.into()), String::new()));
    }

    #[test]
    fn an_output_that_fails_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("narthex.toml");
        std::fs::write(&file, "").unwrap();
        let mut full: &mut [u8] = &mut [0; 4];
        assert!(matches!(check(&file, &mut full), Err(CheckError::Output(_))));
    }
}
