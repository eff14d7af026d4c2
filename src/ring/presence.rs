//! Whether the ring's file is still what its name leads to, and as long as it was; and what to do if it is not.
//!
//! ```text
//!  ring (deleted, still open) ─► ring.resizing, a copy, synced ─► renamed to ring
//! ```
//!
//! A file that was deleted or replaced can be read and written as long as it is open, so that nothing is lost yet. What took its
//! name is kept as `ring.replaced`, unless it is empty.

use super::beside::{beside, remove_unfinished};
use super::error::RingError;
use super::file::{FileMedium, fill};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Bytes copied at a time.
const COPY_BYTES: usize = 64 * 1024;

/// What has become of the ring's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    InPlace,
    /// No file, or another one, has its name.
    Moved,
    /// It is shorter than the ring: what was behind is lost.
    Cut {
        length_bytes: u64,
    },
}

impl FileMedium {
    pub fn presence(&self) -> Result<Presence, RingError> {
        let failed = |cause| RingError::File { path: self.path.clone(), doing: "looking at", cause };
        let held = self.file.0.metadata().map_err(failed)?;
        match fs::metadata(&self.path) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => {
                let length_bytes = held.len();
                let is_cut = length_bytes < self.shape.layout.size_bytes();
                Ok(if is_cut { Presence::Cut { length_bytes } } else { Presence::InPlace })
            }
            Ok(_) => Ok(Presence::Moved),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Presence::Moved),
            Err(error) => Err(failed(error)),
        }
    }

    /// A copy of the ring under its name again, synced. This file is left as it is, and can be read.
    pub fn put_back(&self) -> Result<FileMedium, RingError> {
        let path = self.path.as_path();
        let failed = |doing| move |cause| RingError::File { path: path.into(), doing, cause };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed("making the folder of"))?;
        }
        remove_unfinished(path)?;
        let second = beside(path);
        let copy = FileMedium::lock(&second, self.shape)?;
        if let Err(cause) = self.copy_to(&copy.file.0) {
            // It would be removed at the next start as well.
            _ = fs::remove_file(&second);
            return Err(match cause.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    RingError::NoSpace { path: path.into(), size_bytes: self.shape.layout.size_bytes() }
                }
                _ => failed("copying")(cause),
            });
        }
        keep_replacement(path).map_err(failed("renaming what replaced"))?;
        copy.take_name(path)
    }

    /// Makes the file as long as the ring again, with zeros for what was lost.
    pub fn refill(&self, length_bytes: u64) -> Result<(), RingError> {
        fill(&self.file, &self.path, length_bytes, self.shape.layout.size_bytes(), false)
    }

    fn copy_to(&self, copy: &File) -> io::Result<()> {
        let (mut bytes, size) = (vec![0; COPY_BYTES], self.shape.layout.size_bytes());
        let mut at = 0;
        while at < size {
            let count = (size - at).min(COPY_BYTES as u64) as usize;
            self.file.read(at, &mut bytes[..count])?;
            copy.write_all_at(&bytes[..count], at)?;
            at += count as u64;
        }
        copy.sync_all()
    }
}

/// Gives what has the ring's name another one, unless it is an empty file.
fn keep_replacement(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if metadata.is_file() && metadata.len() == 0 {
        return Ok(());
    }
    let kept = replaced(path);
    fs::rename(path, &kept)?;
    log::warn!("{}: what replaced the ring is kept as {}", path.display(), kept.display());
    Ok(())
}

fn replaced(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".replaced");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::super::Layout;
    use super::*;

    const LAYOUT: Layout = Layout { segment_size_bytes: 4096, segment_count: 16 };

    fn ring() -> (tempfile::TempDir, PathBuf, FileMedium) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/ring");
        let (medium, _) = FileMedium::open(&path, LAYOUT).unwrap();
        medium.file.program(5000, b"some bytes").unwrap();
        (folder, path, medium)
    }

    #[test]
    fn a_file_that_was_deleted_with_its_folder_is_put_back() {
        let (_folder, path, medium) = ring();
        assert_eq!(medium.presence().unwrap(), Presence::InPlace);
        let before = fs::read(&path).unwrap();
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert_eq!(medium.presence().unwrap(), Presence::Moved);
        let back = medium.put_back().unwrap();
        assert_eq!(back.presence().unwrap(), Presence::InPlace);
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(matches!(FileMedium::open(&path, LAYOUT), Err(RingError::InUse { .. })), "the new file is locked");
    }

    #[test]
    fn what_took_the_place_of_the_file_is_kept() {
        let (_folder, path, medium) = ring();
        let before = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another program's").unwrap();
        assert_eq!(medium.presence().unwrap(), Presence::Moved);
        medium.put_back().unwrap();
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read(replaced(&path)).unwrap(), b"another program's");
    }

    #[test]
    fn a_file_that_was_cut_is_filled_up_with_zeros() {
        let (_folder, path, medium) = ring();
        File::options().write(true).open(&path).unwrap().set_len(100).unwrap();
        assert_eq!(medium.presence().unwrap(), Presence::Cut { length_bytes: 100 });
        medium.refill(100).unwrap();
        assert_eq!(medium.presence().unwrap(), Presence::InPlace);
        assert_eq!(fs::read(&path).unwrap(), vec![0; 65536]);
    }
}
