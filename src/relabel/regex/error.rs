//! Why a text is not a regular expression, in Go's words.

use std::fmt;

/// Each variant's text is the part of the pattern that is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegexError {
    InvalidClassRange(String),
    InvalidEscape(String),
    InvalidNamedCapture(String),
    InvalidGroup(String),
    InvalidRepeatOperator(String),
    InvalidRepeatCount(String),
    MissingBracket(String),
    MissingParenthesis(String),
    MissingRepeatArgument(String),
    TrailingBackslash,
    UnexpectedParenthesis(String),
    NestsTooDeeply,
    /// Its automaton is past `limits.rs`.
    TooLarge,
}

impl fmt::Display for RegexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error parsing regexp: ")?;
        match self {
            RegexError::InvalidClassRange(at) => write!(f, "invalid character class range: `{at}`"),
            RegexError::InvalidEscape(at) => write!(f, "invalid escape sequence: `{at}`"),
            RegexError::InvalidNamedCapture(at) => write!(f, "invalid named capture: `{at}`"),
            RegexError::InvalidGroup(at) => write!(f, "invalid or unsupported Perl syntax: `{at}`"),
            RegexError::InvalidRepeatOperator(at) => write!(f, "invalid nested repetition operator: `{at}`"),
            RegexError::InvalidRepeatCount(at) => write!(f, "invalid repeat count: `{at}`"),
            RegexError::MissingBracket(at) => write!(f, "missing closing ]: `{at}`"),
            RegexError::MissingParenthesis(at) => write!(f, "missing closing ): `{at}`"),
            RegexError::MissingRepeatArgument(at) => write!(f, "missing argument to repetition operator: `{at}`"),
            RegexError::TrailingBackslash => write!(f, "trailing backslash at end of expression: ``"),
            RegexError::UnexpectedParenthesis(at) => write!(f, "unexpected ): `{at}`"),
            RegexError::NestsTooDeeply => f.write_str("expression nests too deeply"),
            RegexError::TooLarge => f.write_str("expression too large"),
        }
    }
}

impl std::error::Error for RegexError {}
