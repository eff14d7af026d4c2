//! `file_sd`: files with lists of groups, which somebody else writes.
//!
//! ```text
//!  paths, the last part perhaps a pattern ─► files ─► groups of each
//!  a file that is gone                              its groups go
//!  a file that can't be read, or holds no list      its groups stay as they were
//! ```
//!
//! As Prometheus's `discovery/file`. [`FileDiscovery`] is told what is there; [`list_files`], [`read_file`] and
//! [`FileWatcher`] are the edge.

mod glob;
mod watch;

pub use watch::FileWatcher;

use super::group::Group;
use super::{parse_json, parse_yaml};
use crate::limits::{DISCOVERED_TARGETS_MAX, SD_DOCUMENT_BYTES_MAX, SD_FILES_MAX};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILEPATH_LABEL: &str = "__meta_filepath";

/// One `file_sd_configs` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSdOptions {
    /// Each has passed [`check_pattern`].
    pub files: Vec<PathBuf>,
    pub refresh_interval: Duration,
}

/// Why a path can't be one of `files`; what to write instead.
pub fn check_pattern(path: &str) -> Result<(), &'static str> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    match () {
        _ if format_of(Path::new(name)).is_none() => Err("does not end in .json, .yml or .yaml; name such a file"),
        _ if glob::is_pattern(folder) => Err("has a pattern in a folder's name; write patterns in the last part only"),
        _ if !glob::is_valid(name) => Err("is a malformed pattern; close each [ and write \\ before a character"),
        _ => Ok(()),
    }
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Yaml,
}

/// By the end of its name; upper case as Prometheus has it, all or nothing.
fn format_of(path: &Path) -> Option<Format> {
    match path.to_str()?.rsplit_once('.')?.1 {
        "json" | "JSON" => Some(Format::Json),
        "yml" | "yaml" | "YML" | "YAML" => Some(Format::Yaml),
        _ => None,
    }
}

/// The groups of one file as it is now.
pub fn groups_in(path: &Path) -> Result<Vec<Group>, String> {
    read_file(path).and_then(|content| parse(path, &content))
}

/// What the files of one entry hold.
#[derive(Default)]
pub struct FileDiscovery {
    held: BTreeMap<PathBuf, Held>,
}

#[derive(Default)]
struct Held {
    groups: Vec<Group>,
    problem: Option<String>,
}

/// What a look at the files came to.
#[derive(Debug, Default)]
pub struct FileRefresh {
    /// The groups of the files differ from before.
    pub is_changed: bool,
    /// Lines for the log: files that can't be taken, where that is new, and those that can again.
    pub lines: Vec<String>,
}

impl FileDiscovery {
    /// Takes in what the files hold now. `read` gives a file's content or why it can't be had.
    pub fn refresh(&mut self, files: &[PathBuf], read: impl Fn(&Path) -> Result<Vec<u8>, String>) -> FileRefresh {
        let mut refresh = FileRefresh::default();
        let before = self.held.len();
        self.held.retain(|path, _| files.contains(path));
        refresh.is_changed = self.held.len() != before;
        for path in files {
            let found = read(path).and_then(|content| parse(path, &content));
            let others: usize = self.held.iter().filter(|(held, _)| *held != path).map(|(_, h)| h.targets()).sum();
            let found = found.and_then(|groups| match others + targets_of(&groups) {
                sum if sum > DISCOVERED_TARGETS_MAX => {
                    Err(format!("brings the targets of all files to {sum}, past {DISCOVERED_TARGETS_MAX}; list fewer"))
                }
                _ => Ok(groups),
            });
            let held = self.held.entry(path.clone()).or_default();
            match found {
                Ok(groups) => {
                    refresh.is_changed |= held.groups != groups;
                    held.groups = groups;
                    if held.problem.take().is_some() {
                        refresh.lines.push(format!("{}: can be used again", path.display()));
                    }
                }
                Err(problem) if held.problem.as_ref() == Some(&problem) => {}
                Err(problem) => {
                    let kept = held.targets();
                    refresh.lines.push(format!("{}: {problem}; its {kept} targets stay as they are", path.display()));
                    held.problem = Some(problem);
                }
            }
        }
        refresh
    }

    /// The groups of all files, in order of their names.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.held.values().flat_map(|held| &held.groups)
    }
}

impl Held {
    fn targets(&self) -> usize {
        targets_of(&self.groups)
    }
}

fn targets_of(groups: &[Group]) -> usize {
    groups.iter().map(|group| group.targets.len()).sum()
}

fn parse(path: &Path, content: &[u8]) -> Result<Vec<Group>, String> {
    let mut groups = match format_of(path) {
        Some(Format::Json) => parse_json(content)?,
        Some(Format::Yaml) => parse_yaml(content)?,
        None => return Err("is neither .json nor .yml nor .yaml".into()),
    };
    let shown = path.to_string_lossy();
    for (group, index) in groups.iter_mut().zip(0..) {
        group.source = format!("{shown}:{index}");
        group.set_label(FILEPATH_LABEL, &shown);
    }
    Ok(groups)
}

/// The files that the paths and patterns name now, each once; and a line if there are too many.
pub fn list_files(patterns: &[PathBuf]) -> (Vec<PathBuf>, Option<String>) {
    let mut files: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        let name = pattern.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut found: Vec<PathBuf> = Vec::new();
        if !glob::is_pattern(name) {
            // A link that leads nowhere is there, as in Go: what it led to stays.
            found.extend(fs::symlink_metadata(pattern).is_ok().then(|| pattern.clone()));
        } else if let Ok(entries) = fs::read_dir(folder_of(pattern)) {
            let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
            let fitting = names.filter(|entry| glob::matches(name, entry)).map(|entry| pattern.with_file_name(entry));
            found.extend(fitting.take(SD_FILES_MAX + 1));
        }
        found.sort();
        files.extend(found);
    }
    files.sort();
    files.dedup();
    let over = files.len() > SD_FILES_MAX;
    files.truncate(SD_FILES_MAX);
    let line = over.then(|| format!("file_sd_configs name more than {SD_FILES_MAX} files; the rest is left out"));
    (files, line)
}

/// The folder in which a path or pattern looks for files.
pub fn folder_of(pattern: &Path) -> &Path {
    pattern.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file's content, or why it can't be had.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error| format!("can't be read ({error})");
    // Looked at first: opening a pipe would wait for somebody to write.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is no file".into());
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(SD_DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() > SD_DOCUMENT_BYTES_MAX {
        return Err(format!("is larger than {SD_DOCUMENT_BYTES_MAX} bytes; list fewer targets"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(discovery: &FileDiscovery) -> Vec<&str> {
        discovery.groups().flat_map(|group| group.targets.iter().map(|target| target[0].1.as_str())).collect()
    }

    fn json(target: &str) -> Result<Vec<u8>, String> {
        Ok(format!(r#"[{{"targets":["{target}"]}}]"#).into_bytes())
    }

    #[test]
    fn a_broken_file_keeps_its_targets_and_one_that_is_gone_loses_them() {
        let (mut discovery, a, b) = (FileDiscovery::default(), PathBuf::from("/a.json"), PathBuf::from("/b.json"));
        let both = [a.clone(), b.clone()];
        let first = discovery.refresh(&both, |path| json(&path.to_string_lossy()[1..2]));
        assert!(first.is_changed && first.lines.is_empty());
        assert_eq!(addresses(&discovery), ["a", "b"]);
        let group = discovery.groups().next().unwrap();
        assert_eq!((group.source.as_str(), group.labels[0].1.as_str()), ("/a.json:0", "/a.json"));

        let broken = |path: &Path| if path == a { Ok(b"[".to_vec()) } else { json("b2") };
        let second = discovery.refresh(&both, broken);
        assert!(second.is_changed && second.lines[0].ends_with("its 1 targets stay as they are"), "{second:?}");
        assert_eq!(addresses(&discovery), ["a", "b2"]);
        let third = discovery.refresh(&both, broken);
        assert!(!third.is_changed && third.lines.is_empty(), "said once");

        let fourth = discovery.refresh(&both, |_| json("c"));
        assert_eq!(fourth.lines, ["/a.json: can be used again"]);
        assert!(discovery.refresh(&[b], |_| json("c")).is_changed);
        assert_eq!(addresses(&discovery), ["c"]);
        assert!(discovery.refresh(&[], |_| json("c")).is_changed);
        assert_eq!(addresses(&discovery).len(), 0);
    }

    #[test]
    fn files_are_found_by_name_and_by_pattern() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.json", "a.json", "c.yml", ".hidden.json"] {
            fs::write(folder.path().join(name), "[]").unwrap();
        }
        std::os::unix::fs::symlink("nowhere", folder.path().join("gone.yaml")).unwrap();
        let listed = |patterns: &[&str]| -> Vec<String> {
            let patterns: Vec<_> = patterns.iter().map(|pattern| folder.path().join(pattern)).collect();
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
            list_files(&patterns).0.iter().map(name).collect()
        };
        assert_eq!(listed(&["*.json"]), [".hidden.json", "a.json", "b.json"]);
        assert_eq!(listed(&["[ac].*", "a.json", "gone.yaml", "none.json"]), ["a.json", "c.yml", "gone.yaml"]);
        assert!(read_file(&folder.path().join("gone.yaml")).unwrap_err().starts_with("can't be read"));
        assert_eq!(read_file(folder.path()).unwrap_err(), "is no file");
    }

    #[test]
    fn paths_are_those_that_prometheus_takes() {
        for good in ["a.json", "/etc/x/*.yml", "a*b?.yaml", "x.YAML", "[ab].json"] {
            assert_eq!(check_pattern(good), Ok(()), "{good}");
        }
        for bad in ["a.txt", "a", "*/a.json", "a[b/c.json", "[.json", "a.Json", "json"] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }
}
