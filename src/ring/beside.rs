//! A ring of another shape is made in a second file beside the first, its name with `.resizing` added, which takes the first
//! one's name once it is whole and synced. A second file that was left unfinished is removed the next time the first is opened.
//!
//! ```text
//!  ring             ring                ring (old)              ring (new)
//!            ─►     ring.resizing  ─►   ring.resizing, whole ─►
//!                   being filled        and synced       rename
//! ```

use super::error::RingError;
use super::file::{FileMedium, fill, sync_folder_of};
use super::shape::Shape;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

impl FileMedium {
    /// An empty ring in a second file, which is to take this one's place.
    pub fn beside(&self, shape: Shape) -> Result<FileMedium, RingError> {
        let second = beside(&self.path);
        let medium = FileMedium::lock(&second, shape)?;
        fill(&medium.file, &second, 0, shape.layout.size_bytes(), true).map_err(|error| match error {
            RingError::NoSpace { size_bytes, .. } => RingError::NoRoomBeside { path: self.path.clone(), size_bytes },
            error => error,
        })?;
        Ok(medium)
    }

    /// Gives a file that was made [`beside`](Self::beside) another the other's name, in one step that is durable when this returns.
    pub fn take_place_of(self, old: FileMedium) -> Result<FileMedium, RingError> {
        self.take_name(&old.path)
    }

    /// The same for the file of this name, if there is one.
    pub(super) fn take_name(mut self, path: &Path) -> Result<FileMedium, RingError> {
        let failed = |doing| move |cause| RingError::File { path: path.into(), doing, cause };
        self.file.0.sync_all().map_err(RingError::device("syncing the new ring"))?;
        std::fs::rename(&self.path, path).map_err(failed("putting the new ring in the place of"))?;
        sync_folder_of(path).map_err(failed("syncing the folder of"))?;
        self.path = path.into();
        Ok(self)
    }
}

/// The name of the second file.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".resizing");
    name.into()
}

/// Removes what an interrupted [`FileMedium::beside`] left. The caller has the lock of the first file.
pub(super) fn remove_unfinished(path: &Path) -> Result<(), RingError> {
    let second = beside(path);
    let failed = |doing| {
        let path = second.clone();
        move |cause| RingError::File { path, doing, cause }
    };
    match std::fs::symlink_metadata(&second) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("looking for")(error)),
        Ok(metadata) if !metadata.is_file() => {
            Err(RingError::Foreign { found: "beside it, something that is no file has its name with .resizing added" })
        }
        Ok(_) => std::fs::remove_file(&second).map_err(failed("removing")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Acks, Frame, FrameMeta, Layout, Placement, Ring};
    use super::*;
    use std::rc::Rc;

    const LAYOUT: Layout = Layout { segment_size_bytes: 4096, segment_count: 16 };

    /// A ring in which every segment holds one record.
    fn full_ring(path: &Path) {
        let (mut ring, _) = Ring::open(FileMedium::open(path, LAYOUT).unwrap().0, LAYOUT, Rc::default()).unwrap();
        for record in 0..16 {
            let meta = FrameMeta { first_record: record, sample_counts: vec![1], acks: Acks::new() };
            ring.append(&Frame { meta, payload: vec![7; 100] }, Placement::NewSegment, &Acks::new()).unwrap();
        }
    }

    #[test]
    fn a_second_file_takes_the_place_of_the_first_and_an_unfinished_one_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        full_ring(&path);
        let other = Layout { segment_size_bytes: 8192, segment_count: 4 };
        drop(FileMedium::open(&path, LAYOUT).unwrap().0.beside(other.into()).unwrap());
        let second = folder.path().join("ring.resizing");
        assert_eq!(std::fs::metadata(&second).unwrap().len(), 32768);
        let (ring, _) = Ring::open(FileMedium::open(&path, LAYOUT).unwrap().0, LAYOUT, Rc::default()).unwrap();
        assert_eq!(ring.segments().count(), 16);
        drop(ring);
        assert!(!second.exists());
        let (old, _) = FileMedium::open(&path, LAYOUT).unwrap();
        let medium = old.beside(other.into()).unwrap().take_place_of(old).unwrap();
        assert!(
            matches!(FileMedium::open(&path, other).unwrap_err(), RingError::InUse { .. }),
            "the new one is locked"
        );
        drop(medium);
        assert_eq!(std::fs::read(&path).unwrap(), vec![0; 32768]);
        std::fs::create_dir(&second).unwrap();
        assert!(matches!(FileMedium::open(&path, other).unwrap_err(), RingError::Foreign { .. }));
    }
}
