//! A ring in a preallocated file: its blocks are written with zeros once, so that later syncs change data only.

use super::beside::remove_unfinished;
use super::error::RingError;
use super::fixed_file::FixedFile;
use super::held::{self, Held};
use super::medium::{Geometry, Medium};
use super::recovery;
use super::shape::{Shape, is_device_name};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What a file holds that is neither a ring nor blank.
const FOREIGN: &str = "no segment header, but other data";

/// An open file of fixed size, locked against other processes.
#[derive(Clone, Debug)]
pub struct FileMedium {
    pub(super) file: FixedFile,
    pub(super) path: PathBuf,
    pub(super) shape: Shape,
}

/// How a file or device was found when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It had its full size.
    Whole,
    /// It was made now, or it was blank.
    Made,
    /// It was there, blank and of another size: with 0 bytes, something has emptied it.
    Emptied { length_bytes: u64 },
    /// It was shorter, by this much, and was filled up with zeros.
    Short { missing_bytes: u64 },
    /// It holds a ring of another shape than was asked for.
    Other,
}

impl FileMedium {
    /// Opens the file, or makes it (and the folder it is in) full of zeros. A ring that was cut short is filled up, a blank
    /// file brought to its size; what is neither a ring nor blank is refused.
    pub fn open(path: &Path, shape: impl Into<Shape>) -> Result<(FileMedium, Found), RingError> {
        let shape = shape.into();
        let failed =
            |doing: &'static str| move |cause: io::Error| RingError::File { path: path.to_path_buf(), doing, cause };
        let is_new = !path.try_exists().map_err(failed("looking for"))?;
        if is_new && is_device_name(path) {
            return Err(RingError::NoDevice { path: path.into() });
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(failed("making the folder of"))?;
        }
        let mut medium = FileMedium::lock(path, shape)?;
        let metadata = medium.file.0.metadata().map_err(failed("asking for the size of"))?;
        if !metadata.is_file() {
            return Err(RingError::Foreign { found: "it is not a regular file" });
        }
        remove_unfinished(&medium.path)?;
        let (length, size) = (metadata.len(), shape.layout.size_bytes());
        if is_new {
            fill(&medium.file, path, 0, size, is_new)?;
            return Ok((medium, Found::Made));
        }
        match medium.held(length)? {
            Held::Ring(held) if !held.is_written_as(&shape) => {
                medium.shape = held;
                return Ok((medium, Found::Other));
            }
            Held::Ring(_) if length >= size => return Ok((medium, Found::Whole)),
            Held::Ring(_) => {
                fill(&medium.file, path, length, size, is_new)?;
                return Ok((medium, Found::Short { missing_bytes: size - length }));
            }
            Held::Other { .. } => return Err(RingError::Foreign { found: FOREIGN }),
            Held::Blank if length == size => return Ok((medium, Found::Whole)),
            Held::Blank if length > size => {
                medium.file.0.set_len(size).and_then(|()| medium.file.0.sync_all()).map_err(failed("shortening"))?
            }
            Held::Blank => fill(&medium.file, path, length, size, is_new)?,
        }
        Ok((medium, Found::Emptied { length_bytes: length }))
    }

    /// What [`FileMedium::open`] would refuse of a file that is there. Writes nothing.
    pub(super) fn examine(path: &Path, shape: Shape) -> Result<(), RingError> {
        let medium = FileMedium::lock(path, shape)?;
        let metadata = medium.file.0.metadata();
        let length = metadata.map_err(|cause| RingError::File { path: path.into(), doing: "looking at", cause })?.len();
        match medium.held(length)? {
            Held::Other { .. } => Err(RingError::Foreign { found: FOREIGN }),
            Held::Ring(_) | Held::Blank => Ok(()),
        }
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What the file holds. A file of the wanted size that has no header anywhere is looked at no further than opening does.
    fn held(&self, length: u64) -> Result<Held, RingError> {
        let layout = self.shape.layout;
        if let Some(held) = held::find(self, &layout, length)? {
            return Ok(Held::Ring(held));
        }
        if length != layout.size_bytes() {
            return held::search(self, 0, length);
        }
        recovery::recover(self, layout)?;
        Ok(Held::Blank)
    }

    pub(super) fn lock(path: &Path, shape: Shape) -> Result<FileMedium, RingError> {
        let failed = |doing| move |cause| RingError::File { path: path.into(), doing, cause };
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let file = options.open(path).map_err(failed("opening"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RingError::InUse { path: path.into() }),
            Err(TryLockError::Error(cause)) => return Err(failed("locking")(cause)),
        }
        // Whoever held the lock may have put another file in this one's place meanwhile, and hold that.
        let (held, named) = (file.metadata(), std::fs::metadata(path));
        let (held, named) = (held.map_err(failed("looking at"))?, named.map_err(failed("looking for"))?);
        if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
            return Err(RingError::InUse { path: path.into() });
        }
        // Of a link the file that it leads to is meant, and what is made beside it belongs into its folder.
        let path = path.canonicalize().map_err(failed("looking for"))?;
        Ok(FileMedium { file: FixedFile::from(file), path, shape })
    }
}

/// Writes zeros from `from_bytes` on. Where that fails, a file made for it is removed and an old one cut back to what it was.
pub(super) fn fill(
    file: &FixedFile,
    path: &Path,
    from_bytes: u64,
    size_bytes: u64,
    is_new: bool,
) -> Result<(), RingError> {
    let Err(cause) = file.write_zeros(from_bytes..size_bytes).and_then(|()| sync_folder_of(path)) else {
        return Ok(());
    };
    let undone = if is_new { std::fs::remove_file(path) } else { file.0.set_len(from_bytes) };
    if let Err(error) = undone {
        log::warn!("{} could not be put back to what it was: {error}", path.display());
    }
    if cause.kind() == io::ErrorKind::StorageFull || cause.kind() == io::ErrorKind::QuotaExceeded {
        return Err(RingError::NoSpace { path: path.to_path_buf(), size_bytes });
    }
    Err(RingError::File { path: path.to_path_buf(), doing: "filling", cause })
}

/// A new file's name is durable only once its folder is synced.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder: PathBuf = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.into(),
        _ => ".".into(),
    };
    File::open(folder)?.sync_all()
}

impl Medium for FileMedium {
    fn geometry(&self) -> Geometry {
        self.shape.geometry()
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, into)
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.program(offset, bytes)
    }

    fn erase(&mut self, _offset: u64, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Acks, Frame, FrameMeta, Layout, Placement, Ring};
    use super::*;
    use std::os::unix::fs::FileExt;
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
    fn a_blank_file_of_another_size_is_brought_to_the_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        for length in [0, SIZE / 4 + 100, 2 * SIZE, 2 * SIZE + 1] {
            std::fs::write(&path, vec![0; length as usize]).unwrap();
            assert_eq!(open(&path).unwrap().1, Found::Emptied { length_bytes: length });
            assert_eq!(std::fs::read(&path).unwrap(), vec![0; SIZE as usize]);
        }
    }

    /// Whatever the configuration asks for, a ring is known by its own headers; the medium then has its shape.
    #[test]
    fn a_ring_of_another_shape_is_found_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        full_ring(&path);
        let image = std::fs::read(&path).unwrap();
        for other in [
            Layout { segment_size_bytes: 8192, segment_count: 8 },
            Layout { segment_size_bytes: 4096, segment_count: 64 },
            Layout { segment_size_bytes: 12288, segment_count: 5 },
            Layout { segment_size_bytes: 1 << 20, segment_count: 4 },
        ] {
            let (medium, found) = FileMedium::open(&path, other).unwrap();
            assert_eq!((medium.shape().layout, found), (LAYOUT, Found::Other), "{other:?}");
            let (ring, _) = Ring::open(medium, LAYOUT, Rc::default()).unwrap();
            assert_eq!(ring.segments().count(), 16);
        }
        assert_eq!(std::fs::read(&path).unwrap(), image);
    }

    /// In its first lap a ring has one segment that no other shape need have a header near.
    #[test]
    fn a_ring_of_one_segment_is_found_whatever_is_asked_for() {
        for (segment_size_bytes, segment_count) in [(4096, 256), (8192, 128), (20480, 40), (1 << 18, 4), (1 << 20, 7)] {
            let layout = Layout { segment_size_bytes, segment_count };
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ring");
            let (mut ring, _) = Ring::open(FileMedium::open(&path, layout).unwrap().0, layout, Rc::default()).unwrap();
            ring.append(&Frame::default(), Placement::NewSegment, &Acks::new()).unwrap();
            drop(ring);
            for (segment_size_bytes, segment_count) in [(16384, 64), (12288, 5), (1 << 16, 16), (1 << 22, 4)] {
                let (medium, found) = FileMedium::open(&path, Layout { segment_size_bytes, segment_count }).unwrap();
                assert_eq!((medium.shape().layout, found), (layout, Found::Other));
            }
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_not_made_as_a_file() {
        let error = open(Path::new("/dev/narthex-no-such-device")).unwrap_err();
        assert!(matches!(error, RingError::NoDevice { .. }), "{error}");
    }

    #[test]
    fn a_larger_program_unit_pads_more_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        let layout = Layout { segment_size_bytes: 16384, segment_count: 4 };
        let shape = Shape { program_unit_bytes: 4096, ..layout.into() };
        let (mut ring, _) = Ring::open(FileMedium::open(&path, shape).unwrap().0, layout, Rc::default()).unwrap();
        let frame = |record| {
            let meta = FrameMeta { first_record: record, sample_counts: vec![1], acks: Acks::new() };
            Frame { meta, payload: vec![record as u8 + 1; 4000] }
        };
        ring.append(&frame(0), Placement::NewSegment, &Acks::new()).unwrap();
        ring.append(&frame(1), Placement::Current, &Acks::new()).unwrap();
        assert!(!ring.fits(&frame(2), Placement::Current), "a unit is left for acknowledgements");
        drop(ring);
        let image = std::fs::read(&path).unwrap();
        assert_eq!((image[16384 + 4096 + 100], image[16384 + 8192 + 100]), (1, 2));
        let (ring, recovery) = Ring::open(FileMedium::open(&path, shape).unwrap().0, layout, Rc::default()).unwrap();
        assert_eq!((recovery.write_offset, ring.next_record()), (12288, 2));
        let (mut at, mut bytes, mut found) = (ring.newest().unwrap(), Vec::new(), Vec::new());
        while let super::super::Read::Frame { payload_at, next, .. } = ring.read(at, &mut bytes).unwrap() {
            found.push(bytes[payload_at]);
            at = next;
        }
        assert_eq!(found, [1, 2]);
        drop(ring);
        // Without any frame it counts as one whose first append was interrupted; as the only one it tells that a ring is here.
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"damage", 16384 + 4096).unwrap();
        file.write_all_at(b"damage", 16384 + 8192).unwrap();
        let (mut ring, _) = Ring::open(FileMedium::open(&path, shape).unwrap().0, layout, Rc::default()).unwrap();
        ring.append(&frame(2), Placement::NewSegment, &Acks::new()).unwrap();
        assert_eq!(ring.segments().map(|segment| segment.seq).collect::<Vec<_>>(), [1, 2]);
        drop(ring);
        let (medium, found) = FileMedium::open(&path, layout).unwrap();
        assert_eq!((medium.shape().program_unit_bytes, found), (4096, Found::Other), "512 is another shape");
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
