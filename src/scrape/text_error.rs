//! Where a page in a text format stops making sense, and why.

use std::fmt;

/// Bytes of the page that an error shows.
const EXCERPT_BYTES_MAX: usize = 60;

/// One line, with the line of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// From 1.
    pub line: usize,
    what: &'static str,
    /// The line up to the place where reading stopped, or the end of that if it is long.
    excerpt: String,
}

impl TextError {
    /// `what` was wrong at `at` of a page, in an entry that began at `start`.
    pub(super) fn new(page: &[u8], start: usize, at: usize, what: &'static str) -> TextError {
        let end = (at + 1).min(page.len());
        let start = start.max(end.saturating_sub(EXCERPT_BYTES_MAX)).min(end);
        let line = 1 + page[..at.min(page.len())].iter().filter(|byte| **byte == b'\n').count();
        TextError { line, what, excerpt: String::from_utf8_lossy(&page[start..end]).into_owned() }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the page: {} while parsing {:?}", self.line, self.what, self.excerpt)
    }
}

impl std::error::Error for TextError {}
