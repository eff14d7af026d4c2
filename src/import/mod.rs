//! `prometheus.yml` becomes the TOML that means the same, and what can't be carried over is named.
//!
//! ```text
//!  YAML ─► yaml: a tree whose values know ─► rewrite: what has another ─► write: TOML, whose lines ─► config's own loader
//!          their lines                       name or form here            know their values             │
//!                                                       ▲                                               │ refuses a line
//!                                                       └──────── what stands there is left out ◄───────┘
//! ```
//!
//! Names and values are Prometheus's, so nothing here knows which of them Narthex reads: the loader is asked, again and
//! again, until it takes what is left. What the configuration learns, this learns with it, and its output always loads.

mod rewrite;
mod write;
mod yaml;

use crate::config::{self, ConfigError};
use crate::limits::{CONFIG_BYTES_MAX, IMPORT_LEFT_OUT_MAX};
use std::fmt;
use std::path::Path;
use yaml::{Node, Step, Value};

/// What became of a `prometheus.yml`.
#[derive(Debug)]
pub struct Imported {
    /// A whole configuration that loads.
    pub toml: String,
    /// In the order of the file.
    pub left_out: Vec<LeftOut>,
}

/// A key or an item that is not in the TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// In the YAML.
    pub line: usize,
    pub key: String,
    pub reason: String,
    /// It says nothing to an agent without rules, so that everything is carried over without it.
    pub is_harmless: bool,
}

/// Why there is no TOML at all. One line, without anything from the file that may be a secret.
#[derive(Debug, PartialEq, Eq)]
pub enum ImportError {
    TooLarge,
    NotUtf8,
    /// Why it is no YAML, or no mapping.
    Yaml(String),
    /// Almost nothing in it is a configuration.
    TooMuchLeftOut,
    /// What is left is refused as a whole.
    Refused(String),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::TooLarge => write!(f, "is larger than {CONFIG_BYTES_MAX} bytes; a configuration may not be"),
            ImportError::NotUtf8 => f.write_str("is not UTF-8 text; save the file as UTF-8"),
            ImportError::Yaml(problem) => write!(f, "is not a configuration of Prometheus: {problem}"),
            ImportError::TooMuchLeftOut => {
                write!(
                    f,
                    "holds more than {IMPORT_LEFT_OUT_MAX} things that can't be carried over; is it for Prometheus?"
                )
            }
            ImportError::Refused(problem) => write!(f, "comes to nothing that Narthex can read: {problem}"),
        }
    }
}

impl std::error::Error for ImportError {}

/// The TOML of a `prometheus.yml`. Relative paths in it start from `directory`; in the TOML they are absolute if that is.
pub fn import(yaml: &[u8], directory: &Path) -> Result<Imported, ImportError> {
    if yaml.len() as u64 > CONFIG_BYTES_MAX {
        return Err(ImportError::TooLarge);
    }
    let text = std::str::from_utf8(yaml).map_err(|_| ImportError::NotUtf8)?;
    let mut root = yaml::parse(text).map_err(ImportError::Yaml)?;
    let mut left_out = Vec::new();
    rewrite::rewrite(&mut root, directory, &mut left_out);
    for _ in 0..=IMPORT_LEFT_OUT_MAX {
        let written = write::write(&root);
        // Variables in external_labels are the device's: which are set there is not known here.
        match config::parse_in(&written.toml, Path::new("import.toml"), &|_| Some("set".into())) {
            Ok(_) => {
                left_out.sort_by_key(|item| item.line);
                return Ok(Imported { toml: written.toml, left_out });
            }
            Err(ConfigError::UnknownKey { line, key, problem, .. }) => {
                let Some(path) = written.path_of(line) else { return Err(ImportError::Refused(problem)) };
                // With all its items.
                let list = path.strip_suffix(&[Step::Item(0)]).unwrap_or(path);
                left_out.push(leave_out(&mut root, list, key, problem));
            }
            Err(ConfigError::Key { line, key, problem, .. }) => {
                let Some(path) = written.path_of(line) else { return Err(ImportError::Refused(problem)) };
                left_out.push(leave_out(&mut root, path, key, problem));
            }
            Err(error) => return Err(ImportError::Refused(error.to_string())),
        }
    }
    Err(ImportError::TooMuchLeftOut)
}

/// Takes what the loader refused out of the tree. Of a relabelling rule, the whole: without one of its keys it is another.
fn leave_out(root: &mut Node, path: &[Step], key: String, problem: String) -> LeftOut {
    let line = root.at(path).map_or(0, |node| node.line);
    let rule = path.windows(2).position(|steps| match steps {
        [Step::Key(list), Step::Item(_)] => list.ends_with("relabel_configs"),
        _ => false,
    });
    let end = rule.map_or(path.len(), |list| list + 2);
    root.remove(&path[..end]);
    let whole = if end < path.len() { " (the whole rule is left out)" } else { "" };
    LeftOut { line, key, reason: format!("{problem}{whole}"), is_harmless: false }
}

impl Node {
    fn at(&self, path: &[Step]) -> Option<&Node> {
        let Some((step, rest)) = path.split_first() else { return Some(self) };
        let next = match (&self.value, step) {
            (Value::Map(entries), Step::Key(key)) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            (Value::List(items), Step::Item(index)) => items.get(*index),
            _ => None,
        };
        next?.at(rest)
    }

    fn remove(&mut self, path: &[Step]) {
        match (&mut self.value, path) {
            (Value::Map(entries), [Step::Key(key)]) => entries.retain(|(name, _)| name != key),
            (Value::List(items), [Step::Item(index)]) if *index < items.len() => drop(items.remove(*index)),
            (Value::Map(entries), [Step::Key(key), rest @ ..]) => {
                if let Some((_, node)) = entries.iter_mut().find(|(name, _)| name == key) {
                    node.remove(rest);
                }
            }
            (Value::List(items), [Step::Item(index), rest @ ..]) => {
                if let Some(node) = items.get_mut(*index) {
                    node.remove(rest);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
