//! `narthex check FILE`: would `narthex run` start on this configuration, and what does it come to?

use super::output::{output_failed, report, tell};
use crate::agent::{Preflight, preflight, readable_by_others};
use crate::config::{self, Config};
use crate::ring::Volatile;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Why `check` ends with exit code 1. Its text is for standard error.
#[derive(Debug)]
pub enum CheckError {
    /// A line for each mistake.
    Mistakes(Vec<String>),
    /// The configuration is valid, but could not be shown.
    Output(io::Error),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckError::Mistakes(lines) => f.write_str(&lines.join("\n")),
            CheckError::Output(cause) => {
                write!(f, "the effective configuration could not be written ({cause}); check where output goes")
            }
        }
    }
}

impl std::error::Error for CheckError {}

/// A configuration on which an agent can start.
pub struct Checked {
    pub config: Config,
    /// A line for each thing that is hardly meant.
    pub warnings: Vec<String>,
    targets: usize,
}

/// Reads a configuration and everything that it names, as `run` and `check` both do. The error has every mistake.
pub fn inspect(file: &Path) -> Result<Checked, CheckError> {
    let config =
        config::load(file).map_err(|errors| CheckError::Mistakes(errors.iter().map(ToString::to_string).collect()))?;
    let Preflight { mistakes, mut warnings, targets_in_files } = preflight(&config);
    if !mistakes.is_empty() {
        return Err(CheckError::Mistakes(mistakes.iter().map(ToString::to_string).collect()));
    }
    if config.has_inline_secret() {
        warnings.extend(readable_by_others(file));
    }
    warnings.extend(volatile_ring(&config));
    let listed = config.jobs.iter().flat_map(|job| &job.static_configs).map(|group| group.targets.len());
    Ok(Checked { targets: listed.sum::<usize>() + targets_in_files, config, warnings })
}

/// `narthex check`.
pub fn run_check(file: &Path) -> ExitCode {
    match check(file, &mut io::stdout()) {
        Err(CheckError::Output(cause)) => output_failed(&cause),
        checked => report(checked),
    }
}

/// Writes the effective configuration to `out`, secrets masked, and a last line that says what is in it; writes nothing if there
/// is a mistake. Warnings go to stderr.
pub fn check(file: &Path, out: &mut dyn Write) -> Result<(), CheckError> {
    let Checked { config, warnings, targets } = inspect(file)?;
    let counted = |count: usize, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let summary =
        [counted(config.jobs.len(), "job"), counted(targets, "target"), counted(config.endpoints.len(), "endpoint")];
    warnings.iter().for_each(|line| tell(&format!("warning: {line}")));
    let shown = format!("{}\nOK: {}\n", config.to_toml(), summary.join(", "));
    out.write_all(shown.as_bytes()).and_then(|()| out.flush()).map_err(CheckError::Output)
}

/// What to say if the ring would not outlive a power cut.
fn volatile_ring(config: &Config) -> Option<String> {
    let path = &config.buffer.as_ref()?.path;
    let volatile = Volatile::under(path)?;
    let path = path.display();
    Some(format!(
        "buffer.path: {path} is on {volatile}; name a file on flash, or a device, to keep samples through power cuts"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: &str = "global.scrape_interval = '15s'\nscrape_configs = [{ job_name = 'a', static_configs = [{ targets = ['a:1'] }] }]\n\
                        remote_write = [{ url = 'http://a' }]\nbuffer.path = 'ring'\n";

    fn check_text(text: &str) -> (Result<(), String>, String) {
        let directory = tempfile::tempdir().unwrap();
        let (file, mut out) = (directory.path().join("narthex.toml"), Vec::new());
        std::fs::write(&file, text).unwrap();
        let shown = |error: CheckError| error.to_string().replace(&format!("{}/", directory.path().display()), "");
        (check(&file, &mut out).map_err(shown), String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_valid_file_is_shown_with_its_defaults() {
        let (result, shown) = check_text(RUNS);
        assert_eq!(result, Ok(()));
        assert!(shown.starts_with("[global]\nscrape_interval = \"15s\"\nscrape_timeout = \"10s\"\n"), "{shown}");
        assert!(shown.contains("\n[limits]\nmax_series = 262144\n"), "{shown}");
        assert!(shown.ends_with("\nOK: 1 job, 1 target, 1 endpoint\n"), "{shown}");
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
        std::fs::write(&file, RUNS).unwrap();
        let mut full: &mut [u8] = &mut [0; 4];
        assert!(matches!(check(&file, &mut full), Err(CheckError::Output(_))));
    }
}
