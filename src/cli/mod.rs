//! The command line: arguments, help, and one file per subcommand.

pub mod check;
pub mod demo;
mod extras_output;
pub mod import;
pub mod logging;
mod output;
pub mod ring;
pub mod run;
pub mod scrape;
pub mod scrape_output;
mod version;

use lexopt::prelude::*;
pub use output::{misuse, refuse, report};
use ring::{RingAction, RingCommand};
use scrape_output::ScrapeFormat;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
pub use version::version;

/// What one call of the binary asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    pub command: Command,
    pub log_level: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Run { config: PathBuf },
    Check { config: PathBuf },
    Scrape { config: PathBuf, format: ScrapeFormat },
    Import { file: PathBuf },
    Demo { is_fast: bool },
    Ring(RingCommand),
    Help,
    Version,
}

const HELP: &str = "\
Narthex scrapes local Prometheus exporters, keeps samples in a ring on flash through outages and power cuts,
and ships them by Remote-Write when the uplink returns.

Usage: narthex COMMAND [OPTIONS]

Commands:
  run --config FILE       run the agent
  check FILE              check a configuration and print it with all defaults, secrets masked
  scrape --config FILE    scrape every target once and print what would be stored
         [--format text|json]
  import FILE             print the TOML that means what a prometheus.yml does; what can't be carried over goes to stderr
  demo [--fast]           the whole pipeline in this terminal: no configuration, no network, about a minute
  ring info FILE          draw a ring and give its figures (--config FILE: with the names of endpoints)
  ring verify FILE        read all of a ring and say what of it is lost; exit code 1 if anything is
  ring dump FILE          print every sample in a ring as a JSON line
  ring format FILE        make an empty ring; what holds anything of worth is refused without --force
         --size SIZE [--segment-size SIZE] [--force]
  help                    this text
  version                 version, commit, target and features of this binary

Options:
  --log-level LEVEL       error, warn, info, debug, trace or off; also from NARTHEX_LOG; info if neither is given

Exit codes: 0 for success, 1 if the command failed, 2 if the command line is wrong.
";

/// Words after the name of the program, parsed. The error is a line for the user.
pub fn parse_arguments(words: impl IntoIterator<Item = OsString>) -> Result<Arguments, String> {
    let words = read_words(words).map_err(|error| error.to_string())?;
    if words.name.as_deref() == Some("ring") {
        let log_level = words.log_level.clone();
        return Ok(Arguments { command: Command::Ring(words.into_ring_command()?), log_level });
    }
    let Words { name, config, format, is_fast, log_level, ring } = words;
    let name = name.as_deref().unwrap_or("help");
    let needed = |config: Option<PathBuf>| {
        config.ok_or_else(|| format!("narthex {name} needs a configuration: narthex {name} --config FILE"))
    };
    if is_fast && name != "demo" {
        return Err("--fast belongs to narthex demo".into());
    }
    if ring != RingWords::default() {
        return Err("--size, --segment-size and --force belong to narthex ring format".into());
    }
    if format.is_some() && name != "scrape" {
        return Err("--format belongs to narthex scrape".into());
    }
    let command = match name {
        "run" => Command::Run { config: needed(config)? },
        "check" => Command::Check { config: needed(config)? },
        "import" => {
            Command::Import { file: config.ok_or("narthex import needs a file: narthex import prometheus.yml")? }
        }
        "scrape" => Command::Scrape { config: needed(config)?, format: format.unwrap_or_default() },
        "demo" => Command::Demo { is_fast },
        "help" => Command::Help,
        "version" => Command::Version,
        unknown => return Err(format!("there is no command {unknown:?}; narthex help lists them")),
    };
    Ok(Arguments { command, log_level })
}

/// The words as they stand, before it is known whether they go together.
#[derive(Default)]
struct Words {
    name: Option<String>,
    config: Option<PathBuf>,
    format: Option<ScrapeFormat>,
    is_fast: bool,
    log_level: Option<String>,
    ring: RingWords,
}

const RING_ACTIONS: [&str; 4] = ["info", "verify", "dump", "format"];

/// What only `narthex ring` takes.
#[derive(Default, PartialEq)]
struct RingWords {
    action: Option<String>,
    file: Option<PathBuf>,
    size: Option<String>,
    segment_size: Option<String>,
    is_forced: bool,
}

impl Words {
    fn into_ring_command(self) -> Result<RingCommand, String> {
        let RingWords { action, file, size, segment_size, is_forced } = self.ring;
        let action = action.ok_or("write narthex ring info, verify, dump or format, and the ring's file")?;
        if !RING_ACTIONS.contains(&action.as_str()) {
            return Err(format!("there is no narthex ring {action:?}; write one of {}", RING_ACTIONS.join(", ")));
        }
        let file = file.ok_or_else(|| format!("narthex ring {action} needs a file: narthex ring {action} FILE"))?;
        if action != "format" && (size.is_some() || segment_size.is_some() || is_forced) {
            return Err("--size, --segment-size and --force belong to narthex ring format".into());
        }
        if action != "info" && self.config.is_some() {
            return Err("only narthex ring info accepts --config".into());
        }
        let action = match action.as_str() {
            "info" => RingAction::Info { config: self.config },
            "verify" => RingAction::Verify,
            "dump" => RingAction::Dump,
            _ => {
                let size = size.ok_or("narthex ring format needs a size: narthex ring format FILE --size 64MiB")?;
                RingAction::Format { size, segment_size, is_forced }
            }
        };
        Ok(RingCommand { file, action })
    }
}

fn read_words(words: impl IntoIterator<Item = OsString>) -> Result<Words, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(words);
    let mut read = Words::default();
    while let Some(word) = parser.next()? {
        match word {
            Long("config") | Short('c') => read.config = Some(parser.value()?.into()),
            Long("format") => read.format = Some(parser.value()?.parse_with(parse_format)?),
            Long("log-level") => read.log_level = Some(parser.value()?.string()?),
            Long("fast") => read.is_fast = true,
            Long("size") => read.ring.size = Some(parser.value()?.string()?),
            Long("segment-size") => read.ring.segment_size = Some(parser.value()?.string()?),
            Long("force") => read.ring.is_forced = true,
            Long("help") | Short('h') => read.name = Some("help".into()),
            Long("version") | Short('V') => read.name = Some("version".into()),
            Value(value) if read.name.is_none() => read.name = Some(value.string()?),
            Value(value) if matches!(read.name.as_deref(), Some("check" | "import")) && read.config.is_none() => {
                read.config = Some(value.into());
            }
            Value(value) if read.name.as_deref() == Some("ring") && read.ring.action.is_none() => {
                read.ring.action = Some(value.string()?);
            }
            Value(value) if read.name.as_deref() == Some("ring") && read.ring.file.is_none() => {
                read.ring.file = Some(value.into());
            }
            unknown => return Err(unknown.unexpected()),
        }
    }
    Ok(read)
}

fn parse_format(name: &str) -> Result<ScrapeFormat, String> {
    ScrapeFormat::parse(name).ok_or_else(|| "write text or json".into())
}

/// `narthex help`.
pub fn help() -> ExitCode {
    output::print(HELP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        parse_arguments(format!("narthex {line}").split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands_and_their_options() {
        let config = || PathBuf::from("n.toml");
        let of_ring = |action| Command::Ring(RingCommand { file: "r".into(), action });
        let formatted = |segment_size: Option<&str>, is_forced| {
            let (size, segment_size) = ("1MiB".into(), segment_size.map(String::from));
            of_ring(RingAction::Format { size, segment_size, is_forced })
        };
        for (line, command) in [
            ("run --config n.toml", Command::Run { config: config() }),
            ("run -c n.toml", Command::Run { config: config() }),
            ("check n.toml", Command::Check { config: config() }),
            ("scrape --config=n.toml", Command::Scrape { config: config(), format: ScrapeFormat::Text }),
            ("scrape --config n.toml --format json", Command::Scrape { config: config(), format: ScrapeFormat::Json }),
            ("import prometheus.yml", Command::Import { file: "prometheus.yml".into() }),
            ("demo", Command::Demo { is_fast: false }),
            ("demo --fast", Command::Demo { is_fast: true }),
            ("ring info r", of_ring(RingAction::Info { config: None })),
            ("ring info r -c n.toml", of_ring(RingAction::Info { config: Some(config()) })),
            ("ring verify r", of_ring(RingAction::Verify)),
            ("ring dump r", of_ring(RingAction::Dump)),
            ("ring format r --size 1MiB", formatted(None, false)),
            ("ring format --force --segment-size=8KiB --size=1MiB r", formatted(Some("8KiB"), true)),
            ("", Command::Help),
            ("--help", Command::Help),
            ("run --help", Command::Help),
            ("--version", Command::Version),
        ] {
            assert_eq!(parse(line), Ok(Arguments { command, log_level: None }), "{line}");
        }
        assert_eq!(parse("demo --log-level debug").unwrap().log_level.as_deref(), Some("debug"));
    }

    #[test]
    fn mistakes_say_what_to_write_instead() {
        for (line, expected) in [
            ("run", "narthex run needs a configuration: narthex run --config FILE"),
            ("fly", "there is no command \"fly\"; narthex help lists them"),
            ("run --config", "missing argument for option '--config'"),
            ("run --speed 3", "invalid option '--speed'"),
            ("run --config n.toml extra", "unexpected argument \"extra\""),
            ("scrape --config n.toml --format xml", "cannot parse argument \"xml\": write text or json"),
            ("run --config n.toml --fast", "--fast belongs to narthex demo"),
            ("import", "narthex import needs a file: narthex import prometheus.yml"),
            ("ring", "write narthex ring info, verify, dump or format, and the ring's file"),
            ("ring info", "narthex ring info needs a file: narthex ring info FILE"),
            ("ring spin r", "there is no narthex ring \"spin\"; write one of info, verify, dump, format"),
            ("ring frob", "there is no narthex ring \"frob\"; write one of info, verify, dump, format"),
            ("ring format r", "narthex ring format needs a size: narthex ring format FILE --size 64MiB"),
            ("ring dump r --force", "--size, --segment-size and --force belong to narthex ring format"),
            ("ring dump r --config n.toml", "only narthex ring info accepts --config"),
            ("ring dump r r", "unexpected argument \"r\""),
            ("run --config n.toml --size 1MiB", "--size, --segment-size and --force belong to narthex ring format"),
            ("check n.toml --format json", "--format belongs to narthex scrape"),
        ] {
            assert_eq!(parse(line), Err(expected.into()), "{line}");
        }
    }
}
