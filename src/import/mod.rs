//! `prometheus.yml` becomes the TOML that means the same, and what can't be carried over is named.
//!
//! ```text
//!  YAML ─► yaml: a tree whose values know ─► rewrite: what has another ─► write: TOML, whose lines ─► config's own loader
//!          their lines                       name or form here            know their values             │
//!     ▲ included: more                                  ▲                                               │ refuses lines
//!     └ scrape_config_files                             └──────── what stands there is left out ◄───────┘
//! ```
//!
//! Names and values are Prometheus's, so nothing here knows which of them Narthex reads: the loader is asked, again and
//! again, until it takes what is left. What the configuration learns, this learns with it, and its output always loads.

mod comments;
mod empty;
mod included;
mod rewrite;
mod write;
mod yaml;

pub use included::ReadFiles;

use crate::config::{self, ConfigError, ConfigErrors};
use crate::limits::{CONFIG_BYTES_MAX, IMPORT_LEFT_OUT_MAX};
use comments::Comments;
use included::Included;
use std::fmt;
use std::path::{Path, PathBuf};
use write::Written;
use yaml::{Node, Place, Step, Value};

/// What to do with a configuration that sends nothing.
const NO_ENDPOINT: &str =
    "there is no remote_write, so that nothing is sent; add [[remote_write]] with a url, and [buffer] with a path";

/// What became of a `prometheus.yml`.
#[derive(Debug)]
pub struct Imported {
    /// A whole configuration that loads.
    pub toml: String,
    /// In the order of the files.
    pub left_out: Vec<LeftOut>,
    /// Those that were read, the one that was given first.
    pub files: Vec<PathBuf>,
    /// What is to be added before it is of use.
    pub hint: Option<&'static str>,
}

/// A key or an item that is not in the TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Index among [`Imported::files`].
    pub file: usize,
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

/// The TOML of a `prometheus.yml`. Relative paths in it start from the folder of `file`; in the TOML they
/// are absolute if that is.
/// `read_files` is asked for the files that its `scrape_config_files` name.
pub fn import(yaml: &[u8], file: &Path, read_files: ReadFiles) -> Result<Imported, ImportError> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let (mut root, text) = included::parse(yaml, 0)?;
    let mut included =
        Included { read: read_files, files: vec![file.into()], comments: Comments::default(), left_out: Vec::new() };
    included.comments.add(text, 0);
    included.include(&mut root, directory);
    let Included { files, comments, mut left_out, .. } = included;
    rewrite::rewrite(&mut root, directory, &mut left_out);
    leave_out_unknown_without_value(&mut root, &mut left_out)?;
    let mut removed = Vec::new();
    for _ in 0..=IMPORT_LEFT_OUT_MAX {
        let written = write::write(&root, &comments);
        let Err(errors) = parse_toml(&written) else {
            left_out.sort_by_key(|item| (item.file, item.line));
            let hint = if has_endpoint(&root) { None } else { Some(NO_ENDPOINT) };
            return Ok(Imported { toml: written.toml, left_out, files, hint });
        };
        // From the last on, so that items before it keep their numbers.
        for error in errors.iter().rev() {
            let Refused { path, key, problem, is_unknown } = refused(error, &written)?;
            // Of an unknown key, all items.
            let path = if is_unknown { path.strip_suffix(&[Step::Item(0)]).unwrap_or(path) } else { path };
            leave_out(&mut root, path, (key, problem), &mut left_out, &mut removed);
        }
        if left_out.len() > IMPORT_LEFT_OUT_MAX {
            break;
        }
    }
    Err(ImportError::TooMuchLeftOut)
}

/// Variables in external_labels are the device's: which are set there is not known here.
fn parse_toml(written: &Written) -> Result<config::Config, ConfigErrors> {
    config::parse_in(&written.toml, Path::new("import.toml"), &|_| Some("set".into()))
}

/// What the loader says of the TOML.
struct Refused<'w> {
    path: &'w [Step],
    key: &'w str,
    problem: &'w str,
    is_unknown: bool,
}

fn refused<'w>(error: &'w ConfigError, written: &'w Written) -> Result<Refused<'w>, ImportError> {
    let (line, key, problem, is_unknown) = match error {
        ConfigError::UnknownKey { line, key, problem, .. } => (*line, key, problem, true),
        ConfigError::Key { line, key, problem, .. } => (*line, key, problem, false),
        error => return Err(ImportError::Refused(error.to_string())),
    };
    let path = written.path_of(line).ok_or_else(|| ImportError::Refused(problem.clone()))?;
    Ok(Refused { path, key, problem, is_unknown })
}

/// A key without a value stands for nothing; but one that nobody knows is a mistake of whoever wrote it.
fn leave_out_unknown_without_value(root: &mut Node, left_out: &mut Vec<LeftOut>) -> Result<(), ImportError> {
    let written = write::write(root, &Comments::default());
    if let Err(errors) = parse_toml(&written) {
        for error in errors.iter().rev() {
            let Refused { path, key, problem, is_unknown } = refused(error, &written)?;
            if is_unknown && root.at(path).is_some_and(|node| matches!(node.value, Value::Null)) {
                leave_out(root, path, (key, problem), left_out, &mut Vec::new());
            }
        }
    }
    rewrite::each_map("", root, &mut |_, entries| entries.retain(|(_, node)| !matches!(node.value, Value::Null)));
    Ok(())
}

fn has_endpoint(root: &Node) -> bool {
    let path = [Step::Key("remote_write".into())];
    root.at(&path).is_some_and(|node| matches!(&node.value, Value::List(endpoints) if !endpoints.is_empty()))
}

/// A key that was left out, and what it was a key of: that can't do without it, if it is refused next.
struct Removed {
    owner: Place,
    key: String,
    /// Of its line among what is left out.
    told: usize,
}

/// Takes what the loader refused out of the tree. Of a relabelling rule, the whole: without one of its keys it is another. So what
/// lacks a key that was left out before it: that is said on the line of the key.
fn leave_out(
    root: &mut Node,
    path: &[Step],
    (key, problem): (&str, &str),
    left_out: &mut Vec<LeftOut>,
    removed: &mut Vec<Removed>,
) {
    let place = root.at(path).map_or(Place::default(), |node| node.place);
    let has_key = matches!(path.last(), Some(Step::Key(last)) if key.ends_with(last.as_str()));
    let cause = removed.iter().find(|before| !has_key && before.owner == place && before.key == key);
    if let Some(Removed { told, .. }) = cause {
        let whole = key.rsplit_once('.').map_or(key, |(table, _)| table);
        left_out[*told].reason += &format!(" (without it, its whole entry of {whole} is left out)");
        return root.remove(path);
    }
    let rule = path.windows(2).position(|steps| match steps {
        [Step::Key(list), Step::Item(_)] => list.ends_with("relabel_configs"),
        _ => false,
    });
    let end = rule.map_or(path.len(), |list| list + 2);
    if let Some(owner) = path.split_last().and_then(|(_, owner)| root.at(owner)).filter(|_| has_key && rule.is_none()) {
        removed.push(Removed { owner: owner.place, key: key.into(), told: left_out.len() });
    }
    root.remove(&path[..end]);
    let whole = if end < path.len() { " (the whole rule is left out)" } else { "" };
    let Place { file, line } = place;
    left_out.push(LeftOut { file, line, key: key.into(), reason: format!("{problem}{whole}"), is_harmless: false });
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
