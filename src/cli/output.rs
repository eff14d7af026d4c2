//! What every command does with standard output: a reader that has read enough ends the command silently, as with other tools.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Exit code of a wrong command line, as with most tools; 1 is a failure of the command itself.
const MISUSE: u8 = 2;

/// Writes a text to standard output. Exit code 0 if all of it was taken, or if the reader closed the pipe; else 1.
pub fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output_failed(&error),
    }
}

/// Exit code of a command whose output could not be written, after a message where it is due.
pub fn output_failed(error: &io::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        _ => refuse(&format!("standard output: {error}")),
    }
}

/// Reports a wrong command line.
pub fn misuse(error: &dyn std::fmt::Display) -> ExitCode {
    refuse(error);
    ExitCode::from(MISUSE)
}

/// Prints the error that stopped a command, a line for each thing that is wrong.
pub fn refuse(error: &dyn std::fmt::Display) -> ExitCode {
    error.to_string().lines().for_each(tell);
    ExitCode::FAILURE
}

/// Prints a line on standard error.
pub fn tell(line: &str) {
    // There is nobody left to tell that standard error is gone.
    _ = writeln!(io::stderr().lock(), "narthex: {line}");
}

/// Exit code of a command that has ended, after its error.
pub fn report<E: std::fmt::Display>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}
