//! A tree of YAML as TOML, one value a line, so that the loader's errors lead back to what they are about.

use super::comments::Comments;
use super::empty::is_list_of_tables;
use super::yaml::{Node, Place, Step, Value};
use std::collections::HashSet;
use std::fmt::Write;

/// TOML, and what stands on its lines.
pub(super) struct Written {
    pub(super) toml: String,
    /// In order: the first line of each table, value and item.
    lines: Vec<(usize, Vec<Step>)>,
}

impl Written {
    /// What stands on a line, counted from 1.
    pub(super) fn path_of(&self, line: usize) -> Option<&[Step]> {
        let after = self.lines.partition_point(|(first, _)| *first <= line);
        self.lines[..after].last().map(|(_, path)| &path[..])
    }
}

pub(super) fn write(root: &Node, comments: &Comments) -> Written {
    let mut writer = Writer {
        toml: String::new(),
        line: 1,
        lines: Vec::new(),
        path: Vec::new(),
        names: Vec::new(),
        comments,
        commented: HashSet::new(),
    };
    if let Value::Map(entries) = &root.value {
        writer.table(entries);
    }
    Written { toml: writer.toml, lines: writer.lines }
}

struct Writer<'c> {
    toml: String,
    line: usize,
    lines: Vec<(usize, Vec<Step>)>,
    path: Vec<Step>,
    /// The keys of `path`, as they are written in headers.
    names: Vec<String>,
    comments: &'c Comments,
    /// Places whose comments are written.
    commented: HashSet<Place>,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) {
        self.line += text.matches('\n').count();
        self.toml += text;
    }

    /// Begins what is at `place` in the YAML, with the comments before it.
    fn mark(&mut self, place: Place) {
        let comments = self.comments;
        if self.commented.insert(place) {
            for line in comments.at(place) {
                self.put(line);
                self.put("\n");
            }
        }
        self.lines.push((self.line, self.path.clone()));
    }

    /// Values first: a table's own keys end where the first header stands.
    fn table(&mut self, entries: &[(String, Node)]) {
        let is_below = |node: &Node| match &node.value {
            Value::Map(_) => true,
            Value::List(items) => !items.is_empty() && items.iter().all(|item| matches!(item.value, Value::Map(_))),
            _ => false,
        };
        for (key, node) in entries.iter().filter(|(_, node)| !is_below(node)) {
            self.path.push(Step::Key(key.clone()));
            self.entry(key, node);
            self.path.pop();
        }
        for (key, node) in entries.iter().filter(|(_, node)| is_below(node)) {
            self.path.push(Step::Key(key.clone()));
            self.names.push(quoted_key(key));
            match &node.value {
                Value::Map(entries) => self.section(["[", "]"], node.place, entries),
                Value::List(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.path.push(Step::Item(index));
                        if let Value::Map(entries) = &item.value {
                            self.section(["[[", "]]"], item.place, entries);
                        }
                        self.path.pop();
                    }
                }
                Value::Null | Value::Scalar { .. } => {}
            }
            self.names.pop();
            self.path.pop();
        }
    }

    fn section(&mut self, [open, close]: [&str; 2], place: Place, entries: &[(String, Node)]) {
        if !self.toml.is_empty() {
            self.put("\n");
        }
        self.mark(place);
        let header = format!("{open}{}{close}\n", self.names.join("."));
        self.put(&header);
        self.table(entries);
    }

    /// An array of tables that is empty is none: one added by hand would be a second by its name.
    fn entry(&mut self, key: &str, node: &Node) {
        let is_text = is_text(&self.path, key);
        let start = format!("{} = ", quoted_key(key));
        match &node.value {
            Value::Map(_) => {}
            Value::List(items) if items.is_empty() && is_list_of_tables(key) => {}
            Value::Null => {
                self.mark(node.place);
                self.put(&format!("{start}\"\"\n"));
            }
            Value::Scalar { text, is_plain } => {
                self.mark(node.place);
                let value = scalar(text, *is_plain && !is_text);
                self.put(&format!("{start}{value}\n"));
            }
            Value::List(items) if items.len() < 2 => {
                self.mark(node.place);
                let items: String = items.iter().map(|item| inline(item, is_text)).collect();
                self.put(&format!("{start}[{items}]\n"));
            }
            Value::List(items) => {
                self.mark(node.place);
                self.put(&format!("{start}[\n"));
                for (index, item) in items.iter().enumerate() {
                    self.path.push(Step::Item(index));
                    self.mark(item.place);
                    self.put(&format!("    {},\n", inline(item, is_text)));
                    self.path.pop();
                }
                self.put("]\n");
            }
        }
    }
}

/// A value within a line.
fn inline(node: &Node, is_text: bool) -> String {
    match &node.value {
        Value::Null => "\"\"".into(),
        Value::Scalar { text, is_plain } => scalar(text, *is_plain && !is_text),
        Value::List(items) => {
            format!("[{}]", items.iter().map(|item| inline(item, is_text)).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| format!("{} = {}", quoted_key(key), inline(node, is_text)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// What a plain scalar looks like, where Prometheus does not want text: the words and numbers of YAML 1.1.
fn scalar(text: &str, may_be_other: bool) -> String {
    if may_be_other {
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => return "true".into(),
            "false" | "no" | "off" | "n" => return "false".into(),
            _ => {}
        }
        let digits = text.replace('_', "");
        if let Some(integer) = integer(&digits) {
            return integer.to_string();
        }
        if let Ok(float) = digits.parse::<f64>()
            && float.is_finite()
        {
            // Go takes a float without a fraction for an integer.
            let is_whole = float.fract() == 0.0 && float.abs() < (1u64 << 53) as f64;
            return if is_whole { (float as i64).to_string() } else { toml::Value::Float(float).to_string() };
        }
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            c if c.is_control() => {
                // A String takes whatever it is given.
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// As Go's `strconv.ParseInt` of base 0: a leading 0 is octal.
fn integer(digits: &str) -> Option<i64> {
    let (sign, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits.strip_prefix('+').unwrap_or(digits)),
    };
    let prefixes = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2), ("0", 8)];
    let prefixed = prefixes.iter().find_map(|(prefix, radix)| Some((unsigned.strip_prefix(prefix)?, *radix)));
    let (digits, radix) = prefixed.filter(|(digits, _)| !digits.is_empty()).unwrap_or((unsigned, 10));
    let is_plain = digits.starts_with(|c: char| c.is_ascii_alphanumeric());
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok().filter(|_| is_plain)
}

/// Whether Prometheus takes the key's value for text, whatever it looks like.
fn is_text(path: &[Step], key: &str) -> bool {
    const KEYS: [&str; 31] = [
        "body_size_limit",
        "ca",
        "cert",
        "client_id",
        "client_secret",
        "credentials",
        "fallback_scrape_protocol",
        "files",
        "job_name",
        "key",
        "metrics_path",
        "name",
        "names",
        "no_proxy",
        "password",
        "proxy_url",
        "refresh_interval",
        "regex",
        "replacement",
        "scheme",
        "scopes",
        "scrape_protocols",
        "secrets",
        "separator",
        "server_name",
        "source_labels",
        "target_label",
        "targets",
        "type",
        "username",
        "values",
    ];
    const TABLES: [&str; 6] =
        ["endpoint_params", "external_labels", "headers", "labels", "params", "proxy_connect_header"];
    const ENDS: [&str; 8] =
        ["_age_limit", "_backoff", "_deadline", "_file", "_interval", "_scheme", "_timeout", "_url"];
    let table = path.iter().rev().skip(1).find_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Item(_) => None,
    });
    KEYS.contains(&key)
        || ENDS.iter().any(|end| key.ends_with(end))
        || table.is_some_and(|table| TABLES.contains(&table))
}

fn quoted_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { key.into() } else { scalar(key, false) }
}
