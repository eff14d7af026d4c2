//! Whether a ring could be opened at a path, or made there: what an opening would refuse, without writing anything.

use super::device::{DeviceMedium, is_block_device};
use super::error::RingError;
use super::file::FileMedium;
use super::shape::{Shape, is_device_name};
use rustix::fs::{Access, access, statvfs};
use std::io;
use std::path::Path;

/// Fails with what [`super::Storage::open`] would refuse.
pub fn examine(path: &Path, shape: &Shape) -> Result<(), RingError> {
    if is_block_device(path) {
        return DeviceMedium::open(path, shape).map(drop);
    }
    let failed = |doing| move |cause: io::Error| RingError::File { path: path.into(), doing, cause };
    match path.try_exists().map_err(failed("looking for"))? {
        true => FileMedium::examine(path, *shape),
        false if is_device_name(path) => Err(RingError::NoDevice { path: path.into() }),
        false => examine_folder(path, shape.layout.size_bytes()),
    }
}

/// Whether a file of this size can be made in the folder, or in one that is made with it.
fn examine_folder(path: &Path, size_bytes: u64) -> Result<(), RingError> {
    let failed = |cause: rustix::io::Errno| RingError::File { path: path.into(), doing: "making", cause: cause.into() };
    // Of a path without a folder, the one that the process is in.
    let folders = path.ancestors().skip(1).map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    let Some(folder) = folders.into_iter().find(|folder| folder.exists()) else { return Ok(()) };
    access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(failed)?;
    let system = statvfs(folder).map_err(failed)?;
    // A file system without a size of its own says that it has no blocks at all.
    let is_full = system.f_blocks > 0 && system.f_bfree.saturating_mul(system.f_frsize) < size_bytes;
    match is_full {
        true => Err(RingError::NoSpace { path: path.into(), size_bytes }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Layout;
    use super::*;
    use std::fs;

    fn examined(path: &Path) -> Result<(), String> {
        let layout = Layout { segment_size_bytes: 4096, segment_count: 16 };
        examine(path, &layout.into()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_can_be_a_ring_passes_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down/ring");
        assert_eq!(examined(&path), Ok(()));
        assert!(!path.parent().unwrap().exists());
        let blank = folder.path().join("blank");
        fs::write(&blank, "").unwrap();
        assert_eq!(examined(&blank), Ok(()));
        assert_eq!(fs::metadata(&blank).unwrap().len(), 0);
    }

    #[test]
    fn what_can_not_is_refused_as_by_an_opening() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "text of somebody else").unwrap();
        for (path, said) in [
            (folder.path(), "directory"),
            (&*file, "not a ring"),
            (&file.join("ring"), "Not a directory"),
            (Path::new("/dev/narthex-no-such-device"), "is not there"),
        ] {
            let error = examined(path).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let layout = Layout { segment_size_bytes: u32::MAX, segment_count: u32::MAX };
        let error = examine(&folder.path().join("ring"), &layout.into()).unwrap_err();
        assert!(matches!(error, RingError::NoSpace { .. }), "{error}");
    }
}
