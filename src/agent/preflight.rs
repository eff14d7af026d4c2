//! What an agent would find when it starts: everything that it opens is opened once, and all that is wrong is told at once.
//!
//! `narthex run` begins with it and `narthex check` is nothing else, so that they can't come to different results. It changes
//! nothing, and connects to nothing.

use super::AgentError;
use crate::config::Config;
use crate::discovery::file::{FileSdOptions, groups_in, list_files};
use crate::http_client::HttpClientOptions;
use crate::ring::{AtStart, RingError, examine};
use crate::secrets::{SecretReader, SecretSource, TextKind};
use crate::tls::{TlsClient, TlsOptions};
use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What was found.
#[derive(Debug, Default)]
pub struct Preflight {
    /// An agent does not start with any of them.
    pub mistakes: Vec<AgentError>,
    /// A line for each thing that is hardly meant, or may be over by the time an agent starts.
    pub warnings: Vec<String>,
    /// In files that list targets.
    pub targets_in_files: usize,
}

pub fn preflight(config: &Config) -> Preflight {
    let mut found = Preflight { warnings: config.warnings(), ..Preflight::default() };
    found.mistakes.extend(missing_parts(config));
    for job in &config.jobs {
        let owner = format!("scrape_configs {:?}", job.job_name);
        found.look_at_client(&owner, &job.http);
        for list in &job.discovery.http {
            found.look_at_client(&format!("{owner}: http_sd_configs"), &list.http);
        }
        for files in &job.discovery.file {
            found.look_at_lists(&owner, files);
        }
    }
    for endpoint in &config.endpoints {
        found.look_at_client(&format!("remote_write {:?}", endpoint.name), &endpoint.http);
    }
    found.look_at_ring(config);
    found.look_at_status(config);
    found
}

/// Why there is nothing to do.
pub(super) fn missing_parts(config: &Config) -> Vec<AgentError> {
    let mut missing = Vec::new();
    if config.buffer.is_none() {
        missing.push(AgentError::NoBuffer);
    }
    if config.endpoints.is_empty() {
        missing.push(AgentError::NoEndpoint);
    }
    if !config.jobs.iter().any(|job| job.lists_something()) {
        missing.push(AgentError::NoTarget);
    }
    missing
}

impl Preflight {
    fn refuse(&mut self, owner: &str, problem: impl ToString) {
        self.mistakes.push(AgentError::File { owner: owner.into(), problem: problem.to_string() });
    }

    fn look_at_client(&mut self, owner: &str, options: &HttpClientOptions) {
        for (key, source) in options.secrets() {
            let SecretSource::File(path) = &source else { continue };
            match SecretReader::new(source.clone(), TextKind::Secret).read() {
                Err(cause) => self.refuse(owner, format_args!("{key}: {cause}")),
                Ok(_) => self.warn_if_readable(owner, key, path),
            }
        }
        let names_files = |tls: &&TlsOptions| tls.ca.is_some() || tls.identity.is_some();
        for tls in options.tls_configs().filter(names_files) {
            if let Err(cause) = TlsClient::new(tls).and_then(|client| client.config()) {
                self.refuse(owner, cause);
            } else if let Some(SecretSource::File(path)) = tls.identity.as_ref().map(|identity| &identity.key) {
                self.warn_if_readable(owner, "tls_config key_file", path);
            }
        }
    }

    fn warn_if_readable(&mut self, owner: &str, key: &str, path: &Path) {
        self.warnings.extend(readable_by_others(path).map(|line| format!("{owner}: {key}: {line}")));
    }

    /// Whoever writes these lists may do so while the agent runs.
    fn look_at_lists(&mut self, owner: &str, options: &FileSdOptions) {
        let (files, line) = list_files(&options.files);
        self.warnings.extend(line.map(|line| format!("{owner}: file_sd_configs: {line}")));
        if files.is_empty() {
            let patterns: Vec<_> = options.files.iter().map(|path| path.display().to_string()).collect();
            self.warnings.push(format!(
                "{owner}: file_sd_configs: there is no file {}; check the path, or that it is written later",
                patterns.join(", ")
            ));
        }
        for file in files {
            match groups_in(&file) {
                Ok(groups) => {
                    self.targets_in_files += groups.iter().map(|group| group.discovered().count()).sum::<usize>()
                }
                Err(problem) => {
                    self.warnings.push(format!("{owner}: file_sd_configs: {}: {problem}", file.display()));
                }
            }
        }
    }

    /// One that another process holds is likely that of an agent that runs. With one whose card is not ready an agent starts with
    /// memory only.
    fn look_at_ring(&mut self, config: &Config) {
        let Some(buffer) = &config.buffer else { return };
        match examine(&buffer.path, &buffer.shape()) {
            Ok(()) => {}
            Err(error @ (RingError::InUse { .. } | RingError::DeviceInUse { .. })) => {
                self.warnings.push(error.to_string());
            }
            Err(error) if error.at_start() == AtStart::RunInMemory => {
                self.warnings.push(format!("{error}; until the ring can be opened samples are in memory only"));
            }
            Err(error) => self.mistakes.push(error.into()),
        }
    }

    /// The same holds for an address.
    fn look_at_status(&mut self, config: &Config) {
        let Some(status) = config.status else { return };
        match TcpListener::bind(status.listen) {
            Ok(_) => {}
            Err(cause) if cause.kind() == ErrorKind::AddrInUse => {
                let listen = status.listen;
                self.warnings.push(format!(
                    "status.listen: {listen} is in use, perhaps by an agent that runs; stop it, or write another port"
                ));
            }
            Err(cause) => self.mistakes.push(AgentError::Status { listen: status.listen, cause }),
        }
    }
}

/// What to say of a file with a secret that every user can read.
pub fn readable_by_others(path: &Path) -> Option<String> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    let path = path.display();
    (mode & 0o004 != 0)
        .then(|| format!("everybody may read the secret in {path} (mode {mode:04o}); run: chmod o-r {path}"))
}
