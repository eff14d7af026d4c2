//! Why there is no configuration: a line for each mistake that says where, what, and what to write instead.

use crate::limits::CONFIG_BYTES_MAX;
use crate::model::format_size;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Lines are counted from 1. No variant ever holds a secret, nor text that may contain one.
#[derive(Debug)]
pub enum ConfigError {
    Unreadable {
        file: PathBuf,
        cause: io::Error,
    },
    /// More than [`CONFIG_BYTES_MAX`] bytes.
    TooLarge {
        file: PathBuf,
    },
    NotUtf8 {
        file: PathBuf,
        line: usize,
    },
    /// The text is YAML, which is what Prometheus reads.
    Yaml {
        file: PathBuf,
        line: usize,
    },
    /// A text without quotes.
    Unquoted {
        file: PathBuf,
        line: usize,
    },
    /// The text is not TOML.
    Syntax {
        file: PathBuf,
        line: usize,
        message: String,
    },
    /// A table has a key that it may not have; fields as of `Key`.
    UnknownKey {
        file: PathBuf,
        line: usize,
        key: String,
        problem: String,
    },
    /// A key is missing, or has a value that can't be used.
    Key {
        file: PathBuf,
        line: usize,
        /// With its tables: `scrape_configs.static_configs.targets`.
        key: String,
        /// What is wrong; what to write instead.
        problem: String,
        /// Likely a consequence of an unknown key of the same table, which is told already.
        may_follow: bool,
    },
    /// The file holds a secret, and users other than its owner may replace where that secret is sent.
    WritableByOthers {
        file: PathBuf,
        mode: u32,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { file, cause } => {
                write!(f, "{}: cannot be read ({cause}); name a file that this user may read", file.display())
            }
            ConfigError::TooLarge { file } => {
                let most = format_size(CONFIG_BYTES_MAX);
                write!(f, "{}: is larger than {most}; a configuration may not be", file.display())
            }
            ConfigError::NotUtf8 { file, line } => {
                write!(f, "{}:{line}: is not UTF-8 text; save the file as UTF-8", file.display())
            }
            ConfigError::Yaml { file, line } => {
                let file = file.display();
                write!(f, "{file}:{line}: is YAML, and Narthex reads TOML; run: narthex import {file} > narthex.toml")
            }
            ConfigError::Unquoted { file, line } => {
                write!(f, "{}:{line}: is not TOML: a text needs quotes; write it as \"...\"", file.display())
            }
            ConfigError::Syntax { file, line, message } => {
                write!(f, "{}:{line}: is not TOML: {message}", file.display())
            }
            ConfigError::UnknownKey { file, line, key, problem }
            | ConfigError::Key { file, line, key, problem, .. } => {
                write!(f, "{}:{line}: {key}: {problem}", file.display())
            }
            ConfigError::WritableByOthers { file, mode } => {
                let file = file.display();
                write!(f, "{file}: holds a secret, but others may write to it (mode {mode:04o}); run chmod go-w {file}")
            }
        }
    }
}

impl ConfigError {
    /// The line that it is about; 0 if it is about the file.
    pub fn line(&self) -> usize {
        match self {
            ConfigError::Unreadable { .. } | ConfigError::TooLarge { .. } | ConfigError::WritableByOthers { .. } => 0,
            ConfigError::NotUtf8 { line, .. }
            | ConfigError::Yaml { line, .. }
            | ConfigError::Unquoted { line, .. }
            | ConfigError::Syntax { line, .. }
            | ConfigError::UnknownKey { line, .. }
            | ConfigError::Key { line, .. } => *line,
        }
    }
}

/// Every mistake of a file, in the order of its lines; one at least. Shown as a line each.
#[derive(Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Of one mistake at least.
    pub(super) fn of(mut errors: Vec<ConfigError>) -> ConfigErrors {
        errors.sort_by_key(ConfigError::line);
        ConfigErrors(errors)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        ConfigErrors(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConfigError::Unreadable { cause, .. } => Some(cause),
            _ => None,
        }
    }
}
