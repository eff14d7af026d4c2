//! The configuration file: TOML with Prometheus's names in, options of every stage out.
//!
//! ```text
//!  file ──► reader: tables and values with their ──► jobs, endpoints, buffer: ──► Config ──► effective: TOML again
//!           keys and lines, held to keys             options, each checked
//! ```
//!
//! A [`Config`] that exists is valid: no stage can refuse what it is given from here. Whatever is not understood is an
//! error with its line and key, never ignored; reading goes on, so that all errors are told at once. Refuses to know whether the files it names exist and the hosts answer.

mod address;
mod buffer;
mod discovery;
mod effective;
mod effective_http;
mod endpoints;
mod error;
mod http_client;
mod http_secrets;
mod jobs;
mod keys;
mod labels;
mod lanes;
mod limits;
mod messages;
mod metadata;
mod page;
mod page_effective;
mod queue;
mod reader;
mod relabel;
mod samples;
mod sigv4;
mod status;
mod syntax;
#[cfg(test)]
mod tests;
mod unsupported;
mod uplink;
mod warnings;

pub use error::{ConfigError, ConfigErrors};
pub use jobs::GlobalOptions;
pub use limits::LimitOptions;
pub use page::GlobalPageOptions;
pub use samples::SampleDefaults;

use crate::buffer::BufferOptions;
use crate::discovery::JobOptions;
use crate::limits::CONFIG_BYTES_MAX;
use crate::remote_write::{EndpointOptions, UplinkOptions};
use crate::status::StatusOptions;
use effective_http::has_inline_secret;
use reader::{Source, Table};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What the file asks for, with every default filled in.
#[derive(Clone, Debug)]
pub struct Config {
    pub global: GlobalOptions,
    pub jobs: Vec<JobOptions>,
    /// May be empty; then there is nothing to buffer for either.
    pub endpoints: Vec<EndpointOptions>,
    /// There if there are endpoints.
    pub buffer: Option<BufferOptions>,
    pub limits: LimitOptions,
    /// There if somebody is to be answered.
    pub status: Option<StatusOptions>,
    pub uplink: UplinkOptions,
}

/// Reads a file. Relative paths in it start from its directory; in the [`Config`] they are absolute.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let unreadable = |cause| ConfigError::Unreadable { file: path.into(), cause };
    let (bytes, metadata) = read_bounded(path).map_err(unreadable)?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLarge { file: path.into() }.into());
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        ConfigError::NotUtf8 { file: path.into(), line }
    })?;
    let absolute = std::path::absolute(path).map_err(unreadable)?;
    let config = read(Source::new(text, path, directory_of(&absolute), &variable))?;
    if config.has_inline_secret() {
        refuse_writable_by_others(path, &metadata).map_err(ConfigErrors::from)?;
    }
    Ok(config)
}

/// Reads a text as if it stood in the file of that name, which need not exist. Relative paths start from that file's directory.
pub fn parse(text: &str, path_for_messages: &Path) -> Result<Config, ConfigErrors> {
    parse_in(text, path_for_messages, &variable)
}

/// The same, in an environment with these variables.
pub fn parse_in(
    text: &str,
    path_for_messages: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigErrors> {
    let directory = directory_of(path_for_messages);
    read(Source::new(text, path_for_messages, directory, environment))
}

/// Whether a file that holds a secret may be written by its owner only: who can write to it can have the secret sent elsewhere.
pub fn refuse_writable_by_others(file: &Path, metadata: &Metadata) -> Result<(), ConfigError> {
    let mode = metadata.permissions().mode() & 0o7777;
    if metadata.is_file() && mode & 0o022 != 0 {
        return Err(ConfigError::WritableByOthers { file: file.into(), mode });
    }
    Ok(())
}

impl Config {
    /// The configuration in effect: defaults filled in, secrets shown as `<secret>`. Read again with the secrets put back, it
    /// gives the same configuration.
    pub fn to_toml(&self) -> String {
        // Tables with text keys, texts, integers and booleans: all of it is TOML.
        toml::to_string(&effective::Effective::from(self)).expect("a configuration is always TOML")
    }

    /// Whether the file itself holds a secret.
    pub fn has_inline_secret(&self) -> bool {
        let endpoints = self.endpoints.iter().map(|endpoint| &endpoint.http);
        let lists = self.jobs.iter().flat_map(|job| &job.discovery.http).map(|list| &list.http);
        self.jobs.iter().map(|job| &job.http).chain(endpoints).chain(lists).any(has_inline_secret)
    }
}

/// Each section is read, whatever is wrong with those before it: what stands in for one that is refused is seen by nobody.
fn read(source: Source) -> Result<Config, ConfigErrors> {
    let root = syntax::parse(&source).map_err(ConfigErrors::of)?;
    let document = Table::document(&source, &root);
    document.only(&keys::DOCUMENT);
    let global = source.noted(jobs::read_global(&document)).unwrap_or_default();
    let config = Config {
        jobs: source.noted(jobs::read_jobs(&document, &global)).unwrap_or_default(),
        endpoints: source.noted(endpoints::read_endpoints(&document, &global)).unwrap_or_default(),
        buffer: source.noted(buffer::read_buffer(&document)).flatten(),
        limits: source.noted(limits::read_limits(&document)).unwrap_or_default(),
        status: source.noted(status::read_status(&document)).flatten(),
        uplink: source.noted(uplink::read_uplink(&document)).unwrap_or_default(),
        global,
    };
    let mistakes = source.take_mistakes();
    if mistakes.is_empty() { Ok(config) } else { Err(ConfigErrors::of(mistakes)) }
}

/// The bytes of a file, and at most one more than is allowed.
fn read_bounded(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes, metadata))
}

fn directory_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
