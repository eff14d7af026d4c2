//! Making an empty ring in a file where something else may have been. Devices have [`format_device`](super::format_device).

use super::error::RingError;
use super::file::{FileMedium, fill};
use super::shape::Shape;
use super::view::FileView;
use std::io;
use std::path::Path;

/// A file that is to become an empty ring, held against agents. What it holds is not looked at here.
pub struct Formatter {
    medium: FileMedium,
    is_new: bool,
}

impl Formatter {
    /// Makes the file if there is none.
    pub fn open(path: &Path, shape: Shape) -> Result<Formatter, RingError> {
        let is_new = path.try_exists().map(|exists| !exists);
        let is_new =
            is_new.map_err(|cause| RingError::File { path: path.to_path_buf(), doing: "looking for", cause })?;
        if !is_new {
            // Refuses what is neither a file nor a block device before it is opened for writing.
            FileView::open(path)?;
        }
        Ok(Formatter { medium: FileMedium::lock(path, shape)?, is_new })
    }

    /// Whether there was nothing before.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Writes zeros over all of it. The file is emptied first: where this is cut off, a short blank file is left, never a
    /// part of the old ring that could be taken for the new one.
    pub fn make_blank(self) -> Result<(), RingError> {
        let FileMedium { file, path, shape } = &self.medium;
        let failed = |cause: io::Error| RingError::File { path: path.clone(), doing: "emptying", cause };
        file.0.set_len(0).and_then(|()| file.0.sync_all()).map_err(failed)?;
        fill(file, path, 0, shape.layout.size_bytes(), self.is_new)
    }
}
