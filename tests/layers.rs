//! Holds the imports of `src/` to the layer table of ARCHITECTURE.md: data goes down one way, stages never import one another.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const BASE: &[&str] = &[
    "limits",
    "model",
    "clock",
    "counters",
    "bugs",
    "links",
    "dns",
    "relabel",
    "yaml",
    "secrets",
    "tls",
    "http_client",
    "http_server",
];
const STAGES: &[&str] = &["discovery", "scrape", "ring", "codec", "remote_write", "status", "wear"];

/// What a module may import besides base. `None`: it is not in the table, which is an error of its own.
fn may_import(module: &str) -> Option<Vec<&'static str>> {
    let stages = || STAGES.to_vec();
    match module {
        base if BASE.contains(&base) => Some(vec![]),
        stage if STAGES.contains(&stage) => Some(vec![]),
        "buffer" => Some(vec!["ring", "codec"]),
        "config" => Some([stages(), vec!["buffer"]].concat()),
        "agent" => Some([stages(), vec!["buffer", "config"]].concat()),
        "import" => Some(vec!["config"]),
        "cli" => Some([stages(), vec!["buffer", "config", "import", "agent"]].concat()),
        // The simulated world stands in for what is at the edge, so it implements the stages' traits, and runs the buffer over it.
        "sim" => Some([stages(), vec!["buffer"]].concat()),
        "lib" | "main" => Some([stages(), vec!["buffer", "config", "import", "agent", "cli"]].concat()),
        _ => None,
    }
}

#[test]
fn imports_run_only_downwards() {
    let mut wrong = Vec::new();
    for file in rust_files(Path::new("src")) {
        let module = module_of(&file);
        let text = fs::read_to_string(&file).unwrap();
        let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let Some(allowed) = may_import(&module) else {
            wrong.push(format!("{} is in no layer", file.display()));
            continue;
        };
        for imported in imports(production) {
            let is_allowed = imported == module
                || BASE.contains(&imported.as_str())
                || allowed.contains(&imported.as_str())
                || imported == "sim" && file.ends_with("tests.rs");
            if !is_allowed {
                wrong.push(format!("{} imports crate::{imported}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "these break the layer table:\n{}", wrong.join("\n"));
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::ring::Ring;\nuse crate::{codec::X, model};\nlet x = crate::buffer::y();\n// crate::config is a word here\n";
    let found: Vec<_> = imports(text).into_iter().collect();
    assert_eq!(found, ["buffer", "codec", "model", "ring"]);
}

/// Names after `crate::` outside comments, groups taken apart.
fn imports(text: &str) -> BTreeSet<String> {
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let (group, is_group) = match after.strip_prefix('{') {
            Some(rest) => (rest.split_once("};").map_or(rest, |(group, _)| group), true),
            None => (after, false),
        };
        let mut depth = 0;
        let top_level: String = group
            .chars()
            .filter(|c| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                depth == 0
            })
            .collect();
        let parts: Vec<&str> = if is_group { top_level.split(',').collect() } else { vec![&top_level] };
        for part in parts {
            let name: String = part.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.chars().next().is_some_and(char::is_lowercase) {
                names.insert(name);
            }
        }
    }
    names
}

fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix("src").unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_string()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}
