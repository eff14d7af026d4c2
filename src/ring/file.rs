//! A ring in a preallocated file: its blocks are written with zeros once, so that later syncs change data only.

use super::error::RingError;
use super::medium::{Geometry, Medium};
use super::recovery::{self, Layout};
use crate::limits::PROGRAM_UNIT_BYTES;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes of zeros written at a time when a file is made.
const FILL_BYTES: usize = 64 * 1024;

/// An open file of fixed size, locked against other processes.
#[derive(Debug)]
pub struct FileMedium {
    file: File,
    size_bytes: u64,
}

/// How a file was found when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It had its full size.
    Whole,
    /// It was made now.
    Made,
    /// It was shorter, by this much, and was filled up with zeros.
    Short { missing_bytes: u64 },
}

impl FileMedium {
    /// Opens the file, or makes it (and the folder it is in) full of zeros.
    ///
    /// A file that is longer is refused, and so is a shorter one that is no ring; a ring that was cut short is filled up.
    pub fn open(path: &Path, layout: Layout) -> Result<(FileMedium, Found), RingError> {
        let size_bytes = layout.size_bytes();
        let failed =
            |doing: &'static str| move |cause: io::Error| RingError::File { path: path.to_path_buf(), doing, cause };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed("making the folder of"))?;
        }
        let is_new = !path.try_exists().map_err(failed("looking for"))?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let file = options.open(path).map_err(failed("opening"))?;
        lock(&file, path)?;
        let metadata = file.metadata().map_err(failed("asking for the size of"))?;
        if !metadata.is_file() {
            return Err(RingError::Foreign { found: "it is not a regular file" });
        }
        let length = metadata.len();
        if length > size_bytes {
            let segment_size_bytes = u64::from(layout.segment_size_bytes);
            return Err(RingError::OtherGeometry { size_bytes: length, segment_size_bytes });
        }
        let medium = FileMedium { file, size_bytes };
        if length < size_bytes {
            recovery::recover(&medium, layout)?;
            fill(&medium.file, path, length, size_bytes, is_new)?;
        }
        let found = match length {
            _ if is_new => Found::Made,
            length if length == size_bytes => Found::Whole,
            length => Found::Short { missing_bytes: size_bytes - length },
        };
        Ok((medium, found))
    }
}

pub(super) fn lock(file: &File, path: &Path) -> Result<(), RingError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(RingError::InUse { path: path.to_path_buf() }),
        Err(TryLockError::Error(cause)) => Err(RingError::File { path: path.to_path_buf(), doing: "locking", cause }),
    }
}

/// Writes zeros from `from_bytes` on. Where that fails, a file made for it is removed and an old one cut back to what it was.
pub(super) fn fill(file: &File, path: &Path, from_bytes: u64, size_bytes: u64, is_new: bool) -> Result<(), RingError> {
    let Err(cause) = write_zeros(file, from_bytes, size_bytes).and_then(|()| sync_folder_of(path)) else {
        return Ok(());
    };
    let undone = if is_new { std::fs::remove_file(path) } else { file.set_len(from_bytes) };
    if let Err(error) = undone {
        log::warn!("{} could not be put back to what it was: {error}", path.display());
    }
    if cause.kind() == io::ErrorKind::StorageFull || cause.kind() == io::ErrorKind::QuotaExceeded {
        return Err(RingError::NoSpace { path: path.to_path_buf(), size_bytes });
    }
    Err(RingError::File { path: path.to_path_buf(), doing: "filling", cause })
}

fn write_zeros(mut file: &File, from_bytes: u64, size_bytes: u64) -> io::Result<()> {
    let zeros = [0; FILL_BYTES];
    file.seek(SeekFrom::Start(from_bytes))?;
    let mut left = size_bytes - from_bytes;
    while left > 0 {
        let now = left.min(FILL_BYTES as u64);
        file.write_all(&zeros[..now as usize])?;
        left -= now;
    }
    file.sync_all()
}

/// A new file's name is durable only once its folder is synced.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder: PathBuf = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
        _ => ".".into(),
    };
    File::open(folder)?.sync_all()
}

/// What a file was cut short by reads as if it had never been written.
pub(super) fn read_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], offset + done as u64) {
            Ok(0) => {
                into[done..].fill(0);
                return Ok(());
            }
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Medium for FileMedium {
    fn geometry(&self) -> Geometry {
        let unit = PROGRAM_UNIT_BYTES as u32;
        Geometry { size_bytes: self.size_bytes, program_unit_bytes: unit, erase_block_bytes: unit }
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        read_at(&self.file, offset, into)
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn erase(&mut self, _offset: u64, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Acks, Frame, FrameMeta, Placement, Ring};
    use super::*;
    use std::rc::Rc;

    const SIZE: u64 = 64 * 1024;
    const LAYOUT: Layout = Layout { segment_size_bytes: 4096, segment_count: 16 };

    fn open(path: &Path) -> Result<(FileMedium, Found), RingError> {
        FileMedium::open(path, LAYOUT)
    }

    /// A ring in which every segment holds one record.
    fn full_ring(path: &Path) {
        let (mut ring, _) = Ring::open(open(path).unwrap().0, LAYOUT, Rc::default()).unwrap();
        for record in 0..16 {
            let meta = FrameMeta { first_record: record, sample_counts: vec![1], acks: Acks::new() };
            ring.append(&Frame { meta, payload: vec![7; 100] }, Placement::NewSegment, &Acks::new()).unwrap();
        }
    }

    fn opened_ring(path: &Path) -> Result<usize, RingError> {
        let (medium, _) = open(path)?;
        Ring::open(medium, LAYOUT, Rc::default()).map(|(ring, _)| ring.segments().count())
    }

    #[test]
    fn a_new_file_has_its_full_size_of_zeros_and_its_folder_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down/ring");
        assert_eq!(open(&path).unwrap().1, Found::Made);
        assert_eq!(std::fs::read(&path).unwrap(), vec![0; SIZE as usize]);
        assert_eq!(open(&path).unwrap().1, Found::Whole);
        assert_eq!(opened_ring(&path).unwrap(), 0);
    }

    #[test]
    fn a_file_that_was_cut_short_keeps_the_segments_that_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        full_ring(&path);
        File::options().write(true).open(&path).unwrap().set_len(SIZE / 2 + 100).unwrap();
        assert_eq!(open(&path).unwrap().1, Found::Short { missing_bytes: SIZE / 2 - 100 });
        assert_eq!(std::fs::metadata(&path).unwrap().len(), SIZE);
        // Segment 16 was in slot 0, 1 to 7 in slots 1 to 7; in slot 8 only a piece is left.
        assert_eq!(opened_ring(&path).unwrap(), 8);
    }

    #[test]
    fn a_file_of_another_program_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("text", b"[global]\nscrape_interval = \"15s\"\n".repeat(100)),
            ("longer text", b"[global]\nscrape_interval = \"15s\"\n".repeat(3000)),
            ("image", [vec![0; 1024], b"\x53\xef".repeat(31000)].concat()),
        ] {
            let path = folder.path().join(name);
            let content = &content[..content.len().min(SIZE as usize)];
            std::fs::write(&path, content).unwrap();
            let error = opened_ring(&path).unwrap_err();
            assert!(matches!(error, RingError::Foreign { .. }), "{name}: {error}");
            assert_eq!(std::fs::read(&path).unwrap(), content, "{name}");
        }
    }

    #[test]
    fn a_larger_ring_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        std::fs::write(&path, vec![0; 2 * SIZE as usize]).unwrap();
        let error = open(&path).unwrap_err();
        assert!(error.to_string().contains("size = \"128KiB\""), "{error}");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 2 * SIZE);
    }

    #[test]
    fn a_second_process_is_told_that_the_ring_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        let _held = open(&path).unwrap();
        assert!(matches!(open(&path).unwrap_err(), RingError::InUse { .. }));
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(open(folder.path()).unwrap_err(), RingError::File { .. }));
        let below_a_file = folder.path().join("file/ring");
        std::fs::write(folder.path().join("file"), b"").unwrap();
        assert!(matches!(open(&below_a_file).unwrap_err(), RingError::File { .. }));
    }
}
