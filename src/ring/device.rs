//! A ring on a whole block device or partition. What the kernel says of it in sysfs decides its default sizes.
//!
//! A device is taken only if it is blank from its start to where the ring ends, or holds a ring: frames that another ring left
//! there could pass for this one's. To say that it is taken, a first segment without samples is written at once.

use super::error::RingError;
use super::file::Found;
use super::fixed_file::FixedFile;
use super::held::{self, Held};
use super::medium::{Geometry, Medium};
use super::recovery::Layout;
use super::shape::{Place, Shape};
use super::signature;
use crate::limits::{PROGRAM_UNIT_BYTES, PROGRAM_UNIT_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::model::format_size;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Of a block device, this asks the kernel to refuse if it is mounted or another program holds it so.
#[cfg(not(any(target_arch = "mips", target_arch = "mips64")))]
const O_EXCL: i32 = 0o200;
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
const O_EXCL: i32 = 0o2000;

/// Unit of the sizes that sysfs gives, whatever the device's own sectors are.
const SYSFS_SECTOR_BYTES: u64 = 512;

/// Bytes at the start in which what a device holds is looked for by name.
const START_BYTES: usize = 128 * 1024;

/// An open block device, held against mounting and other processes.
#[derive(Clone, Debug)]
pub struct DeviceMedium {
    device: FixedFile,
    path: PathBuf,
    shape: Shape,
    length_bytes: u64,
}

/// Whether there is a block device of this name.
pub fn is_block_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_block_device())
}

impl Place {
    /// What sysfs says of the device of this name. Whatever is not there, or no device, counts as a file.
    pub fn of(path: &Path) -> Place {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.file_type().is_block_device() => {
                let (major, minor) = numbers_of(metadata.rdev());
                Place::in_sysfs(Path::new(&format!("/sys/dev/block/{major}:{minor}")))
            }
            _ => Place::FILE,
        }
    }

    /// The same from the device's folder. A partition's has its size; the rest is in its disk's, the folder above.
    fn in_sysfs(folder: &Path) -> Place {
        let is_partition = folder.join("partition").exists();
        let disk = if is_partition { folder.join("..") } else { folder.to_path_buf() };
        let number = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        let sector = |name| number(disk.join("queue").join(name)).unwrap_or(0);
        let logical = sector("logical_block_size").max(PROGRAM_UNIT_BYTES as u64);
        let physical = sector("physical_block_size").min(PROGRAM_UNIT_BYTES_MAX as u64);
        let unit = logical.max(physical).next_power_of_two().min(PROGRAM_UNIT_BYTES_MAX as u64);
        let is_plausible = |bytes: &u64| {
            (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(bytes) && bytes.is_multiple_of(PROGRAM_UNIT_BYTES as u64)
        };
        let erase_sizes = ["device/preferred_erase_size", "device/erase_size", "queue/discard_granularity"];
        Place {
            size_bytes: number(folder.join("size")).map(|sectors| sectors.saturating_mul(SYSFS_SECTOR_BYTES)),
            program_unit_bytes: unit as u32,
            erase_block_bytes: erase_sizes.iter().filter_map(|name| number(disk.join(name))).find(is_plausible),
            start_bytes: number(folder.join("start")).unwrap_or(0).saturating_mul(SYSFS_SECTOR_BYTES),
        }
    }
}

/// Linux's major and minor number.
fn numbers_of(device: u64) -> (u64, u64) {
    let major = (device >> 8) & 0xfff | (device >> 32) & !0xfff;
    let minor = device & 0xff | (device >> 12) & 0xffff_ff00;
    (major, minor)
}

impl DeviceMedium {
    /// Opens the device if it holds a ring, or is blank. It is [`Found::Made`] where it is blank: nothing was written yet.
    pub fn open(path: &Path, shape: &Shape) -> Result<(DeviceMedium, Found), RingError> {
        let opened = DeviceMedium::hold(open_exclusively(path)?, path, shape)?;
        if let Some(block) = shape.erase_block_bytes
            && !Place::of(path).start_bytes.is_multiple_of(u64::from(block))
        {
            log::warn!(
                "{} does not begin at an erase block, so that each segment wears one more of them; align the partition to {}",
                path.display(),
                format_size(u64::from(block))
            );
        }
        Ok(opened)
    }

    fn hold(mut file: File, path: &Path, shape: &Shape) -> Result<(DeviceMedium, Found), RingError> {
        let failed = |cause| RingError::File { path: path.into(), doing: "asking for the size of", cause };
        let length_bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let size_bytes = shape.layout.size_bytes();
        if length_bytes < size_bytes {
            return Err(RingError::DeviceTooSmall { path: path.into(), size_bytes });
        }
        let mut medium = DeviceMedium { device: FixedFile::from(file), path: path.into(), shape: *shape, length_bytes };
        let held = match held::find(&medium, &shape.layout, length_bytes)? {
            Some(held) => Held::Ring(held),
            None => held::search(&medium, 0, size_bytes.max(START_BYTES as u64).min(length_bytes))?,
        };
        match held {
            Held::Ring(held) if held.is_written_as(shape) => Ok((medium, Found::Whole)),
            Held::Ring(held) => {
                medium.shape = held;
                Ok((medium, Found::Other))
            }
            Held::Blank => Ok((medium, Found::Made)),
            Held::Other { at } => Err(medium.refused(at)?),
        }
    }

    fn refused(&self, at: u64) -> Result<RingError, RingError> {
        let mut start = vec![0; START_BYTES];
        self.read(0, &mut start).map_err(RingError::device("reading the start of the device"))?;
        let found = signature::name(&start);
        Ok(RingError::DeviceHolds { path: self.path.clone(), found, at })
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Whether the device still takes a ring of the shape that it holds: it has the room, and writes units as small.
    pub fn suits_its_ring(&self) -> bool {
        self.shape.layout.size_bytes() <= self.length_bytes
            && Place::of(&self.path).program_unit_bytes <= self.shape.program_unit_bytes
    }

    /// Makes an empty ring of another shape of one whose samples nobody waits for. `newest` is the segment that says so: it
    /// goes last, so that a cut in between leaves a ring of which the same can be said.
    pub fn reshape(mut self, newest: Option<u64>, shape: &Shape) -> Result<DeviceMedium, RingError> {
        let (old, new) = (self.shape.layout, shape.layout);
        if new.size_bytes() > self.length_bytes {
            return Err(RingError::DeviceTooSmall { path: self.path.clone(), size_bytes: new.size_bytes() });
        }
        match held::search(&self, old.size_bytes(), new.size_bytes())? {
            Held::Blank => {}
            Held::Other { at } => return Err(self.refused(at)?),
            // What an older ring left, say: its frames could pass for the new one's.
            Held::Ring(_) => return Err(self.refused(old.size_bytes())?),
        }
        let kept = newest.map_or(0..0, |seq| {
            let start = old.slot_offset(seq);
            start..start + u64::from(old.segment_size_bytes)
        });
        let end = old.size_bytes().min(self.length_bytes);
        let blanked = self.device.write_zeros(0..kept.start).and_then(|()| self.device.write_zeros(kept.end..end));
        blanked.and_then(|()| self.device.write_zeros(kept)).map_err(RingError::device("blanking the old ring"))?;
        self.shape = *shape;
        Ok(self)
    }
}

/// `narthex ring format` on a device: writes zeros over all that a ring of this layout takes, whatever is there.
pub fn format_device(path: &Path, layout: Layout) -> Result<(), RingError> {
    let mut file = open_exclusively(path)?;
    let failed = |doing| move |cause| RingError::File { path: path.into(), doing, cause };
    let length_bytes = file.seek(SeekFrom::End(0)).map_err(failed("asking for the size of"))?;
    if length_bytes < layout.size_bytes() {
        return Err(RingError::DeviceTooSmall { path: path.into(), size_bytes: layout.size_bytes() });
    }
    let end = layout.size_bytes().max(START_BYTES as u64).min(length_bytes);
    FixedFile::from(file).write_zeros(0..end).map_err(failed("blanking"))
}

fn open_exclusively(path: &Path) -> Result<File, RingError> {
    OpenOptions::new().read(true).write(true).custom_flags(O_EXCL).open(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::ResourceBusy => RingError::DeviceInUse { path: path.into() },
        _ => RingError::File { path: path.into(), doing: "opening", cause },
    })
}

impl Medium for DeviceMedium {
    fn geometry(&self) -> Geometry {
        self.shape.geometry()
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.device.read(offset, into)
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.device.program(offset, bytes)
    }

    fn erase(&mut self, _offset: u64, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.device.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Acks, Frame, Placement, Ring, RingSizes};
    use super::*;
    use std::os::unix::fs::FileExt;
    use std::rc::Rc;

    const KIB: u64 = 1024;
    const SHAPE: Shape = Shape {
        layout: Layout { segment_size_bytes: 16 * 1024, segment_count: 8 },
        program_unit_bytes: 512,
        erase_block_bytes: None,
    };

    /// Opens a file as if it were a device.
    fn hold(path: &Path, shape: &Shape) -> Result<(DeviceMedium, Found), RingError> {
        DeviceMedium::hold(File::options().read(true).write(true).open(path).unwrap(), path, shape)
    }

    fn device(length_bytes: u64) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device");
        File::create(&path).unwrap().set_len(length_bytes).unwrap();
        (folder, path)
    }

    fn append(medium: DeviceMedium) {
        let layout = medium.shape().layout;
        let (mut ring, _) = Ring::open(medium, layout, Rc::default()).unwrap();
        ring.append(&Frame::default(), Placement::NewSegment, &Acks::new()).unwrap();
    }

    #[test]
    fn a_blank_device_becomes_a_ring_that_is_found_again() {
        let (_folder, path) = device(1024 * KIB + 512);
        let (medium, found) = hold(&path, &SHAPE).unwrap();
        assert_eq!(found, Found::Made);
        append(medium);
        assert_eq!(hold(&path, &SHAPE).unwrap().1, Found::Whole);
        let other = Layout { segment_size_bytes: 20 * 1024, segment_count: 10 };
        let (medium, found) = hold(&path, &other.into()).unwrap();
        assert_eq!((medium.shape(), found), (SHAPE, Found::Other));
    }

    #[test]
    fn a_device_that_holds_anything_else_is_refused_by_name_and_left_as_it_is() {
        for (at, bytes, expected) in [
            (1080, &b"\x53\xef"[..], "an ext2, ext3 or ext4 file system, first at byte 0"),
            (65600, b"_BHRfS_M", "a btrfs file system, first at byte 65536"),
            (510, b"\x55\xaa", "a boot sector or partition table"),
            (5000, b"notes", "data, first at byte 4096"),
            // Behind the ring's last segment, but so near the start that it is somebody's.
            (127 * 1024, b"notes", "data, first at byte 126976"),
        ] {
            let (_folder, path) = device(256 * KIB);
            File::options().write(true).open(&path).unwrap().write_all_at(bytes, at).unwrap();
            let image = std::fs::read(&path).unwrap();
            let small = Layout { segment_size_bytes: 16 * 1024, segment_count: 4 };
            let error = hold(&path, &small.into()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.to_string().contains("narthex ring format --force"), "{error}");
            assert_eq!(std::fs::read(&path).unwrap(), image);
            format_device(&path, small).unwrap();
            assert_eq!(hold(&path, &small.into()).unwrap().1, Found::Made);
        }
    }

    #[test]
    fn a_device_that_is_too_small_is_refused() {
        let (_folder, path) = device(127 * KIB);
        let error = hold(&path, &SHAPE).unwrap_err();
        assert!(matches!(error, RingError::DeviceTooSmall { size_bytes: 131_072, .. }), "{error}");
        let error = format_device(&path, SHAPE.layout).unwrap_err();
        assert!(matches!(error, RingError::DeviceTooSmall { .. }), "{error}");
    }

    #[test]
    fn another_shape_begins_blank_and_what_lies_beyond_the_old_ring_is_not_overwritten() {
        let (_folder, path) = device(1024 * KIB);
        let larger: Shape = Layout { segment_size_bytes: 32 * 1024, segment_count: 16 }.into();
        append(hold(&path, &SHAPE).unwrap().0);
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"notes", 400 * KIB).unwrap();
        let error = hold(&path, &SHAPE).unwrap().0.reshape(Some(1), &larger).unwrap_err();
        assert!(matches!(error, RingError::DeviceHolds { .. }), "{error}");
        assert_eq!(hold(&path, &SHAPE).unwrap().1, Found::Whole);
        file.write_all_at(&[0; 5], 400 * KIB).unwrap();
        let medium = hold(&path, &SHAPE).unwrap().0.reshape(Some(1), &larger).unwrap();
        assert_eq!(medium.shape(), larger);
        drop(medium);
        assert_eq!(hold(&path, &larger).unwrap().1, Found::Made);
        assert!(std::fs::read(&path).unwrap().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn sysfs_tells_size_and_geometry_of_disks_and_partitions() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        for (name, text) in [
            ("mmc/size", "15269888\n"),
            ("mmc/queue/logical_block_size", "512\n"),
            ("mmc/queue/physical_block_size", "512\n"),
            ("mmc/queue/discard_granularity", "2097152\n"),
            ("mmc/device/preferred_erase_size", "4194304\n"),
            ("mmc/device/erase_size", "524288\n"),
            ("mmc/mmcp5/partition", "5\n"),
            ("mmc/mmcp5/size", "131072\n"),
            ("mmc/mmcp5/start", "8192\n"),
            ("ssd/size", "2097152\n"),
            ("ssd/queue/logical_block_size", "512\n"),
            ("ssd/queue/physical_block_size", "4096\n"),
            ("ssd/queue/discard_granularity", "512\n"),
            ("odd/size", "nonsense"),
            ("odd/queue/logical_block_size", "65536"),
            ("odd/device/preferred_erase_size", "99999999999"),
        ] {
            put(name, text);
        }
        for (name, size_bytes, program_unit_bytes, erase_block_bytes) in [
            ("mmc", Some(15_269_888 * 512), 512, Some(4 << 20)),
            ("mmc/mmcp5", Some(64 << 20), 512, Some(4 << 20)),
            ("ssd", Some(1 << 30), 4096, None),
            ("odd", None, 4096, None),
            ("not there", None, 512, None),
        ] {
            let place = Place::in_sysfs(&folder.path().join(name));
            let start_bytes = if name == "mmc/mmcp5" { 8192 * 512 } else { 0 };
            assert_eq!(place, Place { size_bytes, program_unit_bytes, erase_block_bytes, start_bytes }, "{name}");
        }
        let shape = RingSizes::default().shape(&Place::in_sysfs(&folder.path().join("mmc/mmcp5"))).unwrap();
        assert_eq!(shape.layout, Layout { segment_size_bytes: 4 << 20, segment_count: 16 });
    }

    #[test]
    fn device_numbers_are_taken_apart_as_linux_puts_them_together() {
        for (device, numbers) in
            [(0x0801, (8, 1)), (0x0700, (7, 0)), (0x0010_0803, (8, 259)), (0x1000_0000_b300, (4096 + 179, 0))]
        {
            assert_eq!(numbers_of(device), numbers, "{device:#x}");
        }
    }
}
