//! The `narthex` binary: arguments become a subcommand, a subcommand an exit code.

use narthex::cli::{self, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match cli::parse_arguments(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => return cli::misuse(&error),
    };
    if let Err(error) = cli::logging::start(arguments.log_level.as_deref()) {
        return cli::misuse(&error);
    }
    match arguments.command {
        Command::Run { config } => cli::run::run(&config),
        Command::Check { config } => cli::check::run_check(&config),
        Command::Scrape { config, format } => cli::scrape::scrape(&config, format),
        Command::Import { file } => cli::import::import(&file),
        Command::Demo { is_fast } => cli::demo::demo(is_fast),
        Command::Ring(command) => cli::ring::ring(&command),
        Command::Help => cli::help(),
        Command::Version => cli::version(),
    }
}
