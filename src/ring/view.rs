//! A ring's file or device to look at: never written, not locked, so that its agent may be running.

use super::error::RingError;
use super::fixed_file::FixedFile;
use super::held::probe;
use super::log::Ring;
use super::medium::{Geometry, Medium};
use super::recovery::Recovery;
use crate::limits::PROGRAM_UNIT_BYTES;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::rc::Rc;

/// A medium that refuses to be written.
#[derive(Debug)]
pub struct FileView {
    file: FixedFile,
    size_bytes: u64,
}

/// What there is to see.
pub struct View {
    pub ring: Ring<FileView>,
    pub recovery: Recovery,
    /// By so much the file is shorter than its ring; what is missing reads as if it had never been written.
    pub missing_bytes: u64,
}

impl FileView {
    /// Takes a file or a block device; anything else is refused without being opened.
    pub fn open(path: &Path) -> Result<FileView, RingError> {
        let failed = |doing: &'static str| {
            move |cause: io::Error| RingError::Unreadable { path: path.to_path_buf(), doing, cause }
        };
        let kind = std::fs::metadata(path).map_err(failed("looking for"))?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(RingError::Foreign { found: "it is neither a file nor a block device" });
        }
        let mut file = File::open(path).map_err(failed("opening"))?;
        let size_bytes = file.seek(SeekFrom::End(0)).map_err(failed("asking for the size of"))?;
        Ok(FileView { file: FixedFile::from(file), size_bytes })
    }
}

impl View {
    /// Opens a ring as its own headers describe it. `None`: it is blank.
    ///
    /// What an agent does to the ring from here on is not part of the view, but for what it gives up: that can't be read.
    pub fn open(path: &Path) -> Result<Option<View>, RingError> {
        let mut medium = FileView::open(path)?;
        let Some(shape) = probe(&medium)? else { return Ok(None) };
        let layout = shape.layout;
        let missing_bytes = layout.size_bytes().saturating_sub(medium.size_bytes);
        medium.size_bytes += missing_bytes;
        let (ring, recovery) = Ring::open(medium, layout, Rc::default())?;
        Ok(Some(View { ring, recovery, missing_bytes }))
    }
}

impl Medium for FileView {
    fn geometry(&self) -> Geometry {
        let unit = PROGRAM_UNIT_BYTES as u32;
        Geometry { size_bytes: self.size_bytes, program_unit_bytes: unit, erase_block_bytes: unit }
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, into)
    }

    fn program(&mut self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn erase(&mut self, _offset: u64, _len_bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}
