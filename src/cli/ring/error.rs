//! Why a ring's tool ends with exit code 1.

use crate::config::ConfigErrors;
use crate::ring::RingError;
use std::fmt;
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub enum ToolError {
    /// There is no ring, or none that can be opened.
    Open {
        file: PathBuf,
        cause: RingError,
    },
    /// It can't be read any further, or not be written.
    Ring(RingError),
    Config(ConfigErrors),
    /// Standard output can't be written.
    Output(io::Error),
    /// Samples that were written can't be read back; the tool has said where.
    Damaged {
        file: PathBuf,
        samples_lost: u64,
    },
    /// Formatting would lose this.
    Holds {
        file: PathBuf,
        what: String,
    },
    /// Sizes that go with `ring format`.
    Sizes(String),
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Its own text is for an agent, which knows the file as buffer.path.
            ToolError::Open { file, cause: RingError::Foreign { found } } => {
                write!(f, "{} is not a ring: {found}", file.display())
            }
            ToolError::Open { file, cause: RingError::OtherFormat { version, supported } } => write!(
                f,
                "{} has format {version}, this Narthex knows {supported}; use a Narthex of that format",
                file.display()
            ),
            ToolError::Open { cause, .. } | ToolError::Ring(cause) => cause.fmt(f),
            ToolError::Config(cause) => cause.fmt(f),
            ToolError::Output(cause) => write!(f, "what was found could not be written: {cause}"),
            ToolError::Damaged { file, samples_lost: 0 } => write!(f, "{} is damaged", file.display()),
            ToolError::Damaged { file, samples_lost } => {
                write!(f, "{} is damaged: {samples_lost} samples are lost", file.display())
            }
            ToolError::Holds { file, what } => {
                write!(f, "{} {what}; it was left untouched: choose another file, or add --force", file.display())
            }
            ToolError::Sizes(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for ToolError {}

impl From<io::Error> for ToolError {
    fn from(cause: io::Error) -> Self {
        ToolError::Output(cause)
    }
}

impl From<RingError> for ToolError {
    fn from(cause: RingError) -> Self {
        ToolError::Ring(cause)
    }
}
