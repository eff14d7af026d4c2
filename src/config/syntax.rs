//! The text as TOML, or what it is instead: YAML, or TOML whose texts lack their quotes.

use super::error::ConfigError;
use super::reader::Source;
use crate::limits::CONFIG_MISTAKES_MAX;
use toml::de::DeTable;

/// The document; or what is wrong with it, each line once.
pub(super) fn parse<'t>(source: &Source<'t>) -> Result<DeTable<'t>, Vec<ConfigError>> {
    let (root, errors) = DeTable::parse_recoverable(source.text);
    if errors.is_empty() {
        return Ok(root.into_inner());
    }
    if let Some(line) = first_line_of_yaml(source.text) {
        return Err(vec![ConfigError::Yaml { file: source.file.into(), line }]);
    }
    let mut mistakes = Vec::<ConfigError>::new();
    for error in errors {
        if mistakes.len() == CONFIG_MISTAKES_MAX {
            break;
        }
        let (file, line) = (source.file.into(), source.line(error.span().map_or(0, |span| span.start)));
        let message = error.message().replace('\n', " ");
        let is_unquoted = lacks_quotes(source.line_text(line), &message);
        match mistakes.last().map_or(0, ConfigError::line) {
            last if last == line => {}
            _ if is_unquoted => mistakes.push(ConfigError::Unquoted { file, line }),
            // What the parser makes of the line behind one that it could not read is mostly a consequence.
            last if last > 0 && last + 1 == line => {}
            _ => mistakes.push(ConfigError::Syntax { file, line, message }),
        }
    }
    Err(mistakes)
}

/// The line that tells: the first that says something is a key with a colon behind it, or the start of a document or list.
fn first_line_of_yaml(text: &str) -> Option<usize> {
    let says_something = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let (index, first) = text.lines().enumerate().find(|(_, line)| says_something(line))?;
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let is_entry = first
        .split_once(':')
        .is_some_and(|(key, rest)| is_key(key.trim()) && (rest.is_empty() || rest.starts_with([' ', '\t'])));
    (is_entry || first.trim_end() == "---" || first.starts_with("- ")).then_some(index + 1)
}

/// Whether a value, or an item on a line of its own, begins like a word, and is none that TOML has.
fn lacks_quotes(line: &str, message: &str) -> bool {
    let value = match line.split_once('=') {
        Some((_, value)) => value.trim_start_matches([' ', '\t', '[']),
        None if line.trim_start().starts_with('[') || message.starts_with("key with no value") => return false,
        None => line,
    };
    let word = value.split(['#', ',', ']', '}']).next().unwrap_or_default().trim();
    let is_known = ["true", "false", "inf", "nan"].contains(&word);
    let is_wordlike = word.starts_with(|c: char| c.is_alphabetic() || "/.$*".contains(c));
    let is_number_with_unit = word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(char::is_alphabetic);
    !is_known && (is_wordlike || is_number_with_unit)
}
