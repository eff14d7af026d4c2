//! What was scraped and not yet acknowledged: the RAM stage, the ring behind it, and one cursor per endpoint.

use std::path::PathBuf;
use std::time::Duration;

/// `[buffer]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferOptions {
    /// The ring's file.
    pub path: PathBuf,
    pub size_bytes: u64,
    pub segment_size_bytes: u64,
    /// How long a batch may wait in memory for its endpoints before it is written to flash; zero: before it is sent.
    pub commit_interval: Duration,
}
