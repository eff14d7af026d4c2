//! The log: one line each to stderr. Libraries speak only from warnings on, so that no header of a request is ever shown.
//!
//! Where stderr is journald's, lines carry a priority as sd-daemon(3) has it and no time: the journal stamps them itself.

use crate::clock::system_time;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::SystemTime;

/// The environment variable that sets the level where `--log-level` does not.
const LEVEL_VARIABLE: &str = "NARTHEX_LOG";

/// Starts logging. `level` is that of `--log-level`; then comes `NARTHEX_LOG`, then `info`.
pub fn start(level: Option<&str>) -> Result<(), String> {
    let from_environment = std::env::var(LEVEL_VARIABLE).ok();
    let (text, origin) = match (level, &from_environment) {
        (Some(level), _) => (level, "--log-level"),
        (None, Some(level)) if !level.is_empty() => (level.as_str(), LEVEL_VARIABLE),
        _ => ("info", ""),
    };
    let filter = parse_level(text)
        .ok_or_else(|| format!("{origin} is {text:?}; write one of error, warn, info, debug, trace or off"))?;
    log::set_max_level(filter);
    let is_journal = std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is_stderr(&stream));
    let logger = if is_journal { &JOURNAL } else { &PLAIN };
    log::set_logger(logger).map_err(|error| error.to_string())
}

/// Whether `JOURNAL_STREAM`, device and inode as systemd.exec(5) has them, is where stderr goes: a shell may have redirected it.
fn is_stderr(journal_stream: &str) -> bool {
    let Ok(stderr) = rustix::fs::fstat(std::io::stderr()) else { return false };
    journal_stream == format!("{}:{}", stderr.st_dev, stderr.st_ino)
}

fn parse_level(text: &str) -> Option<LevelFilter> {
    text.parse().ok()
}

struct StderrLog {
    format: fn(SystemTime, Level, &str) -> String,
}

static PLAIN: StderrLog = StderrLog { format: format_line };
static JOURNAL: StderrLog = StderrLog { format: |_, level, message| format_journal_line(level, message) };

impl Log for StderrLog {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Warn || metadata.target().starts_with("narthex")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = (self.format)(system_time(), record.level(), &record.args().to_string());
        // There is nobody to tell that stderr is gone.
        _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

fn format_line(time: SystemTime, level: Level, message: &str) -> String {
    one_line(format!("{} {level:<5} ", humantime::format_rfc3339_millis(time)), message)
}

fn format_journal_line(level: Level, message: &str) -> String {
    // The priorities of syslog(3).
    let priority = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    one_line(format!("<{priority}>"), message)
}

/// One line, whatever the message holds: control characters are escaped.
fn one_line(mut line: String, message: &str) -> String {
    for character in message.chars() {
        if character.is_control() {
            _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_holds() {
        let line = format_line(SystemTime::UNIX_EPOCH, Level::Warn, "the receiver said: \"no\nreally\x1b[2J\"");
        assert_eq!(line, "1970-01-01T00:00:00.000Z WARN  the receiver said: \"no\\nreally\\u{1b}[2J\"\n");
    }

    #[test]
    fn a_line_for_the_journal_has_a_priority_and_no_time() {
        assert_eq!(format_journal_line(Level::Warn, "a\nb"), "<4>a\\nb\n");
        assert_eq!(format_journal_line(Level::Info, "a"), "<6>a\n");
    }

    #[test]
    fn levels_are_words() {
        assert_eq!(parse_level("debug"), Some(LevelFilter::Debug));
        assert_eq!(parse_level("OFF"), Some(LevelFilter::Off));
        assert_eq!(parse_level("loud"), None);
    }
}
