//! Making an empty ring where something else may have been.

use super::error::RingError;
use super::file::{fill, lock};
use super::recovery::Layout;
use super::view::FileView;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file or device that is to become an empty ring, held against other processes. What it holds is not looked at here.
pub struct Formatter {
    file: File,
    path: PathBuf,
    is_new: bool,
}

impl Formatter {
    /// Makes the file if there is none.
    pub fn open(path: &Path) -> Result<Formatter, RingError> {
        let failed =
            |doing: &'static str| move |cause: io::Error| RingError::File { path: path.to_path_buf(), doing, cause };
        let is_new = !path.try_exists().map_err(failed("looking for"))?;
        if !is_new {
            // Refuses what is neither a file nor a block device before it is opened for writing.
            FileView::open(path)?;
        }
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let file = options.open(path).map_err(failed("opening"))?;
        lock(&file, path)?;
        Ok(Formatter { file, path: path.to_path_buf(), is_new })
    }

    /// Whether there was nothing before.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Writes zeros over all of it. A file is emptied first: where this is cut off, a short blank file is left, never a
    /// part of the old ring that could be taken for the new one.
    pub fn make_blank(self, layout: Layout) -> Result<(), RingError> {
        let failed = |doing: &'static str| {
            let path = self.path.clone();
            move |cause: io::Error| RingError::File { path, doing, cause }
        };
        if self.file.metadata().map_err(failed("asking for the size of"))?.is_file() {
            self.file.set_len(0).and_then(|()| self.file.sync_all()).map_err(failed("emptying"))?;
        }
        fill(&self.file, &self.path, 0, layout.size_bytes(), self.is_new)
    }
}
