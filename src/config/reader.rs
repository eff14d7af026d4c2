//! A TOML document whose every value knows its line and its key.
//!
//! `toml`'s spanned tree is read directly rather than through `Deserialize`: serde's errors name neither the line nor
//! the whole key, and would have to be taken apart again. Knows types and places; refuses to know what keys mean.

use super::error::ConfigError;
use super::keys::Keys;
use crate::limits::CONFIG_MISTAKES_MAX;
use crate::model::{format_duration, parse_duration, parse_size};
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// The longest duration that Prometheus knows: its durations are nanoseconds in a signed 64-bit integer.
const DURATION_NS_MAX: u128 = i64::MAX as u128;

/// Characters of a text from the file that an error may repeat.
const SHOWN_CHARS_MAX: usize = 60;

/// A configuration's text, and what its values refer to.
pub(super) struct Source<'t> {
    pub(super) text: &'t str,
    /// As errors name it.
    pub(super) file: &'t Path,
    /// What relative paths start from.
    pub(super) directory: &'t Path,
    pub(super) environment: &'t dyn Fn(&str) -> Option<String>,
    /// Offsets of the line ends.
    line_ends: Vec<usize>,
    /// What was found to be wrong so far: reading goes on, so that all of it is told at once.
    mistakes: RefCell<Vec<ConfigError>>,
}

impl<'t> Source<'t> {
    pub(super) fn new(
        text: &'t str,
        file: &'t Path,
        directory: &'t Path,
        environment: &'t dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Source { text, file, directory, environment, line_ends, mistakes: RefCell::default() }
    }

    /// The value; or `None`, and the mistake is noted, unless there are more than anybody reads.
    pub(super) fn noted<T>(&self, read: Result<T, ConfigError>) -> Option<T> {
        read.map_err(|mistake| {
            let mut mistakes = self.mistakes.borrow_mut();
            let is_told = matches!(mistake, ConfigError::Key { may_follow: true, .. });
            if !is_told && mistakes.len() < CONFIG_MISTAKES_MAX {
                mistakes.push(mistake);
            }
        })
        .ok()
    }

    /// What was noted.
    pub(super) fn take_mistakes(&self) -> Vec<ConfigError> {
        self.mistakes.take()
    }

    fn mistakes_count(&self) -> usize {
        self.mistakes.borrow().len()
    }

    /// The line that a byte offset is on, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.line_ends.partition_point(|end| *end < offset)
    }

    /// A line without its end.
    pub(super) fn line_text(&self, line: usize) -> &'t str {
        let end = |line: usize| self.line_ends.get(line).copied().unwrap_or(self.text.len());
        let start = if line < 2 { 0 } else { (end(line - 2) + 1).min(self.text.len()) };
        &self.text[start..end(line.max(1) - 1)]
    }

    fn error(&self, offset: usize, key: String, problem: impl Display, may_follow: bool) -> ConfigError {
        let (file, line, problem) = (self.file.into(), self.line(offset), problem.to_string());
        ConfigError::Key { file, line, key, problem, may_follow }
    }
}

/// A table, its own key, and its place: the header, or the braces.
pub(super) struct Table<'t> {
    pub(super) source: &'t Source<'t>,
    /// Empty for the document.
    key: String,
    span: Range<usize>,
    entries: &'t DeTable<'t>,
    /// Mistakes that were noted before its first value was read.
    mistakes_before: Cell<Option<usize>>,
    has_unknown: Cell<bool>,
}

impl<'t> Table<'t> {
    pub(super) fn document(source: &'t Source<'t>, entries: &'t DeTable<'t>) -> Self {
        Table {
            source,
            key: String::new(),
            span: 0..0,
            entries,
            mistakes_before: Cell::default(),
            has_unknown: Cell::default(),
        }
    }

    /// Notes each key that is not of this table.
    pub(super) fn only(&self, keys: &Keys) {
        for key in self.entries.keys().filter(|key| !keys.knows(key.get_ref())) {
            self.has_unknown.set(true);
            self.source.noted::<()>(Err(ConfigError::UnknownKey {
                file: self.source.file.into(),
                line: self.source.line(key.span().start),
                key: self.key_of(key.get_ref()),
                problem: keys.complaint(key.get_ref()),
            }));
        }
    }

    /// Whether each value that was read so far is the one that is written: only then is there something to say about how they
    /// go together.
    pub(super) fn is_clean(&self) -> bool {
        self.mistakes_before.get().is_none_or(|before| before == self.source.mistakes_count())
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'t>> {
        if self.mistakes_before.get().is_none() {
            self.mistakes_before.set(Some(self.source.mistakes_count()));
        }
        let value = self.entries.get(key)?;
        Some(Value { source: self.source, key: self.key_of(key), span: value.span(), value: value.get_ref() })
    }

    /// What `read` makes of the key's value, or the default where the key is missing. It is never an error: a mistake is noted,
    /// and the default stands in, so that the table's other keys are read too.
    pub(super) fn get_or<T>(
        &self,
        key: &str,
        default: T,
        read: impl FnOnce(&Value<'t>) -> Result<T, ConfigError>,
    ) -> Result<T, ConfigError> {
        Ok(self.get(key).and_then(|value| self.source.noted(read(&value))).unwrap_or(default))
    }

    /// `example` is what to write where the key is missing.
    pub(super) fn require(&self, key: &str, example: &str) -> Result<Value<'t>, ConfigError> {
        self.get(key).ok_or_else(|| self.error(key, format_args!("is missing; write {key} = {example}")))
    }

    /// The table of that key, held to its keys.
    pub(super) fn table(&self, key: &str, keys: &Keys) -> Result<Option<Table<'t>>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let table = value.table(format_args!("write [{}]", value.key))?;
        table.only(keys);
        Ok(Some(table))
    }

    /// The tables of an array of tables, each held to its keys. What is no table is noted and left out.
    pub(super) fn tables(&self, key: &str, keys: &Keys) -> Result<Vec<Table<'t>>, ConfigError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let remedy = format!("write [[{}]]", value.key);
        let DeValue::Array(items) = value.value else { return Err(value.wrong_type(remedy)) };
        let tables = items.iter().filter_map(|item| {
            let table = self.source.noted(value.item(item).table(&remedy))?;
            table.only(keys);
            Some(table)
        });
        Ok(tables.collect())
    }

    /// Each key of a table whose keys are the user's own, in order of their names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'t str, Value<'t>)> {
        self.entries.keys().filter_map(|key| Some((key.get_ref().as_ref(), self.get(key.get_ref())?)))
    }

    /// About a key of this table, at its value if it has one.
    pub(super) fn error(&self, key: &str, problem: impl Display) -> ConfigError {
        let offset = self.entries.get(key).map_or(self.span.start, |value| value.span().start);
        let may_follow = self.has_unknown.get() && !self.entries.contains_key(key);
        self.source.error(offset, self.key_of(key), problem, may_follow)
    }

    /// About the table itself.
    pub(super) fn error_here(&self, problem: impl Display) -> ConfigError {
        self.source.error(self.span.start, self.key.clone(), problem, self.has_unknown.get())
    }

    fn key_of(&self, key: &str) -> String {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let shown = if !key.is_empty() && key.len() <= SHOWN_CHARS_MAX && key.chars().all(bare) {
            key.to_string()
        } else {
            quoted(key)
        };
        if self.key.is_empty() { shown } else { format!("{}.{shown}", self.key) }
    }
}

/// A value, its key, and its place.
pub(super) struct Value<'t> {
    pub(super) source: &'t Source<'t>,
    key: String,
    span: Range<usize>,
    value: &'t DeValue<'t>,
}

impl<'t> Value<'t> {
    pub(super) fn error(&self, problem: impl Display) -> ConfigError {
        self.source.error(self.span.start, self.key.clone(), problem, false)
    }

    pub(super) fn line(&self) -> usize {
        self.source.line(self.span.start)
    }

    pub(super) fn text(&self, example: &str) -> Result<&'t str, ConfigError> {
        match self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_type(format_args!("write a string such as {example}"))),
        }
    }

    /// A text that no error may repeat, whatever it is.
    pub(super) fn secret(&self) -> Result<&'t str, ConfigError> {
        match self.value {
            DeValue::String(text) => Ok(text),
            _ => Err(self.error("is not a string; write it in quotes")),
        }
    }

    /// Relative to the directory of the configuration, as in Prometheus.
    pub(super) fn path(&self, example: &str) -> Result<PathBuf, ConfigError> {
        match self.text(example)? {
            "" => Err(self.error(format_args!("is empty; write a path such as {example}"))),
            path if path.contains('\0') => Err(self.error(format_args!("has a NUL; write a path such as {example}"))),
            path => Ok(self.source.directory.join(path)),
        }
    }

    pub(super) fn duration(&self) -> Result<Duration, ConfigError> {
        let DeValue::String(text) = self.value else {
            return Err(self.wrong_type("write a duration such as \"15s\""));
        };
        let duration = parse_duration(text).map_err(|error| self.error(format_args!("{} is {error}", quoted(text))))?;
        if duration.as_nanos() > DURATION_NS_MAX {
            return Err(self.error(format_args!("{} is too long; the longest duration is \"292y\"", quoted(text))));
        }
        Ok(duration)
    }

    pub(super) fn nonzero_duration(&self) -> Result<Duration, ConfigError> {
        match self.duration()? {
            Duration::ZERO => Err(self.error("is zero; write a duration such as \"15s\", or leave the key out")),
            duration => Ok(duration),
        }
    }

    /// Bytes.
    pub(super) fn size(&self) -> Result<u64, ConfigError> {
        let DeValue::String(text) = self.value else { return Err(self.wrong_type("write a size such as \"64MiB\"")) };
        parse_size(text).map_err(|error| self.error(format_args!("{} is {error}", quoted(text))))
    }

    /// Bytes; 0 stands for no limit and needs no unit, as in Prometheus.
    pub(super) fn size_limit(&self) -> Result<u64, ConfigError> {
        let is_zero = match self.value {
            DeValue::Integer(integer) => integer.as_str() == "0",
            DeValue::String(text) => text == "0",
            _ => false,
        };
        if is_zero { Ok(0) } else { self.size() }
    }

    /// A whole number of at least one and at most `most`.
    pub(super) fn count(&self, most: usize) -> Result<usize, ConfigError> {
        // What is at most a `usize` is one.
        self.number(1, most as u64).map(|number| number as usize)
    }

    pub(super) fn number(&self, least: u64, most: u64) -> Result<u64, ConfigError> {
        let DeValue::Integer(integer) = self.value else {
            return Err(self.wrong_type(format_args!("write a whole number from {least} to {most}")));
        };
        match i64::from_str_radix(integer.as_str(), integer.radix()).ok().and_then(|n| u64::try_from(n).ok()) {
            Some(number) if (least..=most).contains(&number) => Ok(number),
            _ => {
                let found = shown(&integer.to_string());
                Err(self.error(format_args!("is {found}; write a number from {least} to {most}")))
            }
        }
    }

    /// A whole number of at most `most`; 0 stands for no limit, as in Prometheus.
    pub(super) fn limit(&self, most: usize) -> Result<usize, ConfigError> {
        self.number(0, most as u64).map(|number| number as usize)
    }

    /// A number that is neither infinite nor below zero.
    pub(super) fn factor(&self, example: &str) -> Result<f64, ConfigError> {
        let text = match self.value {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            DeValue::Float(float) => float.as_str(),
            _ => return Err(self.wrong_type(format_args!("write a number such as {example}"))),
        };
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        number.ok_or_else(|| self.error(format_args!("is {}; write a number such as {example}", shown(text))))
    }

    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        self.value.as_bool().ok_or_else(|| self.wrong_type("write true or false"))
    }

    pub(super) fn list(&self, example: &str) -> Result<impl Iterator<Item = Value<'t>>, ConfigError> {
        let DeValue::Array(items) = self.value else {
            return Err(self.wrong_type(format_args!("write a list such as {example}")));
        };
        Ok(items.iter().map(|item| self.item(item)))
    }

    pub(super) fn table(&self, remedy: impl Display) -> Result<Table<'t>, ConfigError> {
        match self.value {
            DeValue::Table(entries) => Ok(Table {
                source: self.source,
                key: self.key.clone(),
                span: self.span.clone(),
                entries,
                mistakes_before: Cell::default(),
                has_unknown: Cell::default(),
            }),
            _ => Err(self.wrong_type(remedy)),
        }
    }

    fn item(&self, item: &'t toml::Spanned<DeValue<'t>>) -> Value<'t> {
        Value { source: self.source, key: self.key.clone(), span: item.span(), value: item.get_ref() }
    }

    /// Strings are not repeated: one that stands where a table should may be `user:password`.
    fn wrong_type(&self, remedy: impl Display) -> ConfigError {
        let found = match self.value {
            DeValue::String(_) => "a string".into(),
            DeValue::Integer(integer) => format!("the integer {}", shown(&integer.to_string())),
            DeValue::Float(float) => format!("the number {}", shown(&float.to_string())),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(datetime) => format!("the date {datetime}"),
            DeValue::Array(_) => "a list".into(),
            DeValue::Table(_) => "a table".into(),
        };
        self.error(format_args!("is {found}; {remedy}"))
    }
}

/// Text from the file as an error repeats it: quoted, on one line, not too long.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shown(text))
}

/// A duration as an error repeats it.
pub(super) fn quoted_duration(duration: Duration) -> String {
    quoted(&format_duration(duration))
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
