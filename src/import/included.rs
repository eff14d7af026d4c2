//! `scrape_config_files`: files with more scrape configurations, whose entries become those of the whole.

use super::comments::Comments;
use super::rewrite::absolute_paths_in;
use super::yaml::{self, Node, Place, Value};
use super::{ImportError, LeftOut};
use crate::limits::CONFIG_BYTES_MAX;
use std::path::{Path, PathBuf};

/// Lists the files of a pattern with their content; the edge.
pub type ReadFiles<'r> = &'r dyn Fn(&Path) -> Result<Vec<(PathBuf, Vec<u8>)>, String>;

const KEY: &str = "scrape_config_files";

/// What is being read.
pub(super) struct Included<'r> {
    pub(super) read: ReadFiles<'r>,
    /// Those that were read, the first one included.
    pub(super) files: Vec<PathBuf>,
    pub(super) comments: Comments,
    pub(super) left_out: Vec<LeftOut>,
}

impl Included<'_> {
    /// Takes the key out of the document and puts the entries of its files behind those that are there.
    pub(super) fn include(&mut self, root: &mut Node, directory: &Path) {
        let Value::Map(entries) = &mut root.value else { return };
        let Some(at) = entries.iter().position(|(key, _)| key == KEY) else { return };
        let (_, list) = entries.remove(at);
        let Value::List(patterns) = list.value else {
            if !matches!(list.value, Value::Null) {
                self.leave_out(list.place, "is no list; write a list of files");
            }
            return;
        };
        let mut jobs = Vec::new();
        for pattern in patterns {
            let Value::Scalar { text, .. } = &pattern.value else {
                self.leave_out(pattern.place, "is no text; write a path");
                continue;
            };
            match (self.read)(&directory.join(text)) {
                Ok(found) if found.is_empty() => self.leave_out(pattern.place, "there is no such file; check the path"),
                Ok(found) => found.into_iter().for_each(|(path, content)| jobs.extend(self.jobs_of(path, &content))),
                Err(problem) => self.leave_out(pattern.place, &problem),
            }
        }
        if jobs.is_empty() {
            return;
        }
        match entries.iter_mut().find(|(key, _)| key == "scrape_configs") {
            Some((_, Node { value: Value::List(items), .. })) => items.append(&mut jobs),
            Some((_, node)) => node.value = Value::List(jobs),
            None => entries.push(("scrape_configs".into(), Node { place: list.place, value: Value::List(jobs) })),
        }
    }

    /// The entries of one file. Nothing but `scrape_configs` may stand in it.
    fn jobs_of(&mut self, path: PathBuf, content: &[u8]) -> Vec<Node> {
        let file = self.files.len();
        let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
        self.files.push(path);
        let root = match parse(content, file) {
            Ok((root, text)) => {
                self.comments.add(text, file);
                root
            }
            Err(error) => {
                self.leave_out(Place { file, line: 1 }, &error.to_string());
                return Vec::new();
            }
        };
        let Value::Map(entries) = root.value else { return Vec::new() };
        let mut jobs = Vec::new();
        for (key, mut node) in entries {
            match (&key[..], &mut node.value) {
                ("scrape_configs", Value::List(items)) => jobs.append(items),
                ("scrape_configs", Value::Null) => {}
                _ => self.leave_out(node.place, "holds more than a list of scrape_configs; move it into the main file"),
            }
        }
        jobs.iter_mut().for_each(|job| absolute_paths_in(job, &directory));
        jobs
    }

    fn leave_out(&mut self, place: Place, reason: &str) {
        let Place { file, line } = place;
        self.left_out.push(LeftOut { file, line, key: KEY.into(), reason: reason.into(), is_harmless: false });
    }
}

/// The document of one file, and its text.
pub(super) fn parse(content: &[u8], file: usize) -> Result<(Node, &str), ImportError> {
    if content.len() as u64 > CONFIG_BYTES_MAX {
        return Err(ImportError::TooLarge);
    }
    let text = std::str::from_utf8(content).map_err(|_| ImportError::NotUtf8)?;
    Ok((yaml::parse(text, file).map_err(ImportError::Yaml)?, text))
}
