//! `narthex ring`: looking at a ring, and making an empty one. All but `format` only read, and need no configuration: a ring
//! says itself how it is laid out. Its agent may be running meanwhile.

mod drawing;
mod dump;
mod error;
mod format;
mod info;
mod lanes;
mod times;
mod verify;
mod walk;

use super::output::output_failed;
use crate::ring::View;
use error::ToolError;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How often a ring is opened that its agent changes faster than its headers can be read.
const OPEN_ATTEMPTS: u32 = 5;

/// What is asked of which ring.
#[derive(Debug, PartialEq, Eq)]
pub struct RingCommand {
    pub file: PathBuf,
    pub action: RingAction,
}

#[derive(Debug, PartialEq, Eq)]
pub enum RingAction {
    /// A drawing and the figures; with the names of endpoints if there is a configuration to take them from.
    Info { config: Option<PathBuf> },
    /// Whether everything that was written can be read.
    Verify,
    /// Every sample as a JSON line.
    Dump,
    /// An empty ring in place of whatever is there. Sizes as in the configuration: `64MiB`.
    Format { size: String, segment_size: Option<String>, is_forced: bool },
}

/// Exit code 1 if it could not be done, or if the ring is damaged.
pub fn ring(command: &RingCommand) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let done = match &command.action {
        RingAction::Info { config } => info::info(&command.file, config.as_deref(), &mut out),
        RingAction::Verify => verify::verify(&command.file, &mut out),
        RingAction::Dump => dump::dump(&command.file, &mut out),
        RingAction::Format { size, segment_size, is_forced } => {
            format::format(&command.file, size, segment_size.as_deref(), *is_forced, &mut out)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(ToolError::Output(error)) => output_failed(&error),
        Err(error) => super::refuse(&error),
    }
}

/// `None`, and a word about it, if the file is blank.
fn open(file: &Path, out: &mut impl Write) -> Result<Option<View>, ToolError> {
    for _ in 1..OPEN_ATTEMPTS {
        match open_once(file)? {
            Some(view) if walk::was_overtaken(&view.ring) => {}
            found => return tell_of_blank(found, file, out),
        }
    }
    tell_of_blank(open_once(file)?, file, out)
}

fn open_once(file: &Path) -> Result<Option<View>, ToolError> {
    View::open(file).map_err(|cause| ToolError::Open { file: file.to_path_buf(), cause })
}

fn tell_of_blank(found: Option<View>, file: &Path, out: &mut impl Write) -> Result<Option<View>, ToolError> {
    if found.is_none() {
        writeln!(out, "{} is blank: no agent has written to it yet", file.display())?;
    }
    Ok(found)
}
