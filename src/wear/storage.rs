//! From a path to the device under it, by the kernel's own tables.
//!
//! ```text
//!  path ─stat─► st_dev ─► /sys/dev/block/MAJ:MIN     partition or disk: stat; the disk's device/: an eMMC's life
//!                    └──► /proc/self/mountinfo       ubifs: /sys/class/ubi/ubiN;  overlay: the same again for upperdir
//! ```

use super::figures::{EmmcLife, Figures, UbiWear, sectors_written};
use crate::limits::SYSTEM_FILE_BYTES_MAX;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where the kernel's tables are. Tests have their own.
#[derive(Clone, Debug)]
pub struct System {
    pub sysfs: PathBuf,
    pub mountinfo: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        System { sysfs: "/sys".into(), mountinfo: "/proc/self/mountinfo".into() }
    }
}

/// What a file is kept on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Folders in sysfs: of the partition, or disk, that the file is on, and of the disk itself.
    Block { part: PathBuf, disk: PathBuf },
    /// The folder in sysfs of the UBI device.
    Ubi { folder: PathBuf },
    /// Memory, the network, or something that the kernel does not tell.
    Unknown,
}

impl Storage {
    pub fn under(path: &Path) -> Storage {
        Storage::find(&System::default(), path)
    }

    /// As [`under`](Self::under), by these tables.
    pub fn find(system: &System, path: &Path) -> Storage {
        let Some(device) = device_of(path) else { return Storage::Unknown };
        let found = find_device(system, device);
        let through_overlay = || device_of(&overlay_upper(system, device)?).map(|upper| find_device(system, upper));
        match found {
            Storage::Unknown => through_overlay().unwrap_or(Storage::Unknown),
            found => found,
        }
    }

    /// As the kernel calls it: `mmcblk0p2`, `sda`, `ubi0`.
    pub fn name(&self) -> Option<&str> {
        match self {
            Storage::Block { part: folder, .. } | Storage::Ubi { folder } => folder.file_name()?.to_str(),
            Storage::Unknown => None,
        }
    }

    /// What it says of itself now.
    pub fn figures(&self) -> Figures {
        match self {
            Storage::Block { part, disk } => Figures {
                sectors_written: sectors_written(&text_of(&part.join("stat"))),
                emmc: EmmcLife::parse(
                    &text_of(&disk.join("device/life_time")),
                    &text_of(&disk.join("device/pre_eol_info")),
                ),
                ubi: None,
            },
            Storage::Ubi { folder } => Figures {
                ubi: UbiWear::parse(&text_of(&folder.join("max_ec")), &text_of(&folder.join("bad_peb_count"))),
                ..Figures::default()
            },
            Storage::Unknown => Figures::default(),
        }
    }
}

/// Major and minor number of the device that a file is on, or is.
fn device_of(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    let number = if metadata.file_type().is_block_device() { metadata.rdev() } else { metadata.dev() };
    Some(major_minor(number))
}

/// Linux's packing of device numbers in `stat`.
fn major_minor(number: u64) -> (u64, u64) {
    ((number >> 8 & 0xfff) | (number >> 32 & !0xfff), (number & 0xff) | (number >> 12 & 0xffff_ff00))
}

fn find_device(system: &System, (major, minor): (u64, u64)) -> Storage {
    let link = system.sysfs.join(format!("dev/block/{major}:{minor}"));
    if let Ok(part) = fs::canonicalize(link) {
        let whole = part.parent().filter(|_| part.join("partition").exists());
        let disk = whole.unwrap_or(&part).to_path_buf();
        return Storage::Block { part, disk };
    }
    let mounts = text_of(&system.mountinfo);
    let ubi = mount_of(&mounts, (major, minor)).filter(|mount| mount.kind == "ubifs").and_then(|mount| mount.ubi());
    let folder = ubi.map(|name| system.sysfs.join("class/ubi").join(name)).filter(|folder| folder.exists());
    folder.map_or(Storage::Unknown, |folder| Storage::Ubi { folder })
}

fn overlay_upper(system: &System, device: (u64, u64)) -> Option<PathBuf> {
    let mounts = text_of(&system.mountinfo);
    let mount = mount_of(&mounts, device).filter(|mount| mount.kind == "overlay")?;
    mount.options.split(',').find_map(|option| option.strip_prefix("upperdir=")).map(PathBuf::from)
}

/// What `mountinfo` says of a file system (proc_pid_mountinfo(5)).
struct Mount<'t> {
    kind: &'t str,
    source: &'t str,
    options: &'t str,
}

fn mount_of(mountinfo: &str, (major, minor): (u64, u64)) -> Option<Mount<'_>> {
    let device = format!("{major}:{minor}");
    mountinfo.lines().find_map(|line| {
        let (place, what) = line.split_once(" - ")?;
        let mut what = what.split(' ');
        let mount = Mount { kind: what.next()?, source: what.next()?, options: what.next()? };
        (place.split(' ').nth(2)? == device).then_some(mount)
    })
}

impl Mount<'_> {
    /// `ubi0` of `ubi0:rootfs`, `ubi0_3`, `/dev/ubi0_3`; UBIFS takes `ubi:rootfs` as on the first device.
    fn ubi(&self) -> Option<String> {
        let rest = self.source.trim_start_matches("/dev/").strip_prefix("ubi")?;
        let digits = &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()];
        Some(format!("ubi{}", if digits.is_empty() { "0" } else { digits }))
    }
}

/// Empty where it can't be read.
fn text_of(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SYSTEM_FILE_BYTES_MAX).read_to_string(&mut text));
    if let Err(error) = read {
        log::debug!("{}: {error}", path.display());
        text.clear();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// A system of its own, in which the device of the folder itself is what the test makes of it.
    struct Fixture {
        folder: TempDir,
        system: System,
        device: String,
    }

    impl Fixture {
        fn new() -> Fixture {
            let folder = tempfile::tempdir().unwrap();
            let (major, minor) = device_of(folder.path()).unwrap();
            let system = System { sysfs: folder.path().join("sys"), mountinfo: folder.path().join("mountinfo") };
            fs::create_dir_all(system.sysfs.join("dev/block")).unwrap();
            Fixture { folder, system, device: format!("{major}:{minor}") }
        }

        fn write(&self, file: &str, text: &str) {
            let file = self.system.sysfs.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }

        fn link_device_to(&self, folder: &str) {
            symlink(Path::new("../..").join(folder), self.system.sysfs.join("dev/block").join(&self.device)).unwrap();
        }

        fn mount(&self, kind_source_options: &str) {
            let text =
                format!("22 1 0:1 / /proc rw - proc proc rw\n29 1 {} / / rw - {kind_source_options}\n", self.device);
            fs::write(&self.system.mountinfo, text).unwrap();
        }

        fn find(&self) -> Storage {
            Storage::find(&self.system, self.folder.path())
        }
    }

    #[test]
    fn a_partition_of_an_emmc() {
        let fixture = Fixture::new();
        fixture.write("devices/mmc/mmcblk0/mmcblk0p2/stat", "1 2 3 4 5 6 4096 8\n");
        fixture.write("devices/mmc/mmcblk0/mmcblk0p2/partition", "2\n");
        fixture.write("devices/mmc/mmcblk0/stat", "1 2 3 4 5 6 9999 8\n");
        fixture.write("devices/mmc/mmcblk0/device/life_time", "0x01 0x02\n");
        fixture.write("devices/mmc/mmcblk0/device/pre_eol_info", "0x01\n");
        fixture.link_device_to("devices/mmc/mmcblk0/mmcblk0p2");
        let storage = fixture.find();
        assert_eq!(storage.name(), Some("mmcblk0p2"));
        let emmc = EmmcLife { tenths_used: [Some(1), Some(2)], reserve: Some(super::super::Reserve::Normal) };
        assert_eq!(storage.figures(), Figures { sectors_written: Some(4096), emmc: Some(emmc), ubi: None });
    }

    #[test]
    fn a_whole_disk_that_says_little() {
        let fixture = Fixture::new();
        fixture.write("devices/virtual/block/vda/stat", "1 2 3 4 5 6 7 8 9 10 11\n");
        fixture.link_device_to("devices/virtual/block/vda");
        let storage = fixture.find();
        assert_eq!(storage.name(), Some("vda"));
        assert_eq!(storage.figures(), Figures { sectors_written: Some(7), ..Figures::default() });
    }

    #[test]
    fn raw_nand_under_ubifs() {
        let sources = ["ubi0:rootfs", "ubi0_3", "/dev/ubi0_3", "ubi:rootfs"];
        for source in sources {
            let fixture = Fixture::new();
            fixture.write("class/ubi/ubi0/max_ec", "812\n");
            fixture.write("class/ubi/ubi0/bad_peb_count", "3\n");
            fixture.mount(&format!("ubifs {source} rw,assert=read-only"));
            let storage = fixture.find();
            assert_eq!(storage.name(), Some("ubi0"), "{source}");
            let ubi = UbiWear { max_erases: 812, bad_blocks: Some(3) };
            assert_eq!(storage.figures(), Figures { ubi: Some(ubi), ..Figures::default() });
        }
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_unknown_and_harms_nothing() {
        let fixture = Fixture::new();
        assert_eq!(fixture.find(), Storage::Unknown, "no tables at all");
        fixture.mount("tmpfs tmpfs rw");
        assert_eq!((fixture.find(), fixture.find().figures()), (Storage::Unknown, Figures::default()));
        fixture.mount("overlay overlay rw,upperdir=/nowhere/upper,workdir=/nowhere/work");
        assert_eq!(fixture.find(), Storage::Unknown);
        assert_eq!(Storage::find(&fixture.system, Path::new("/nowhere/ring")), Storage::Unknown);
    }

    #[test]
    fn an_overlay_is_as_what_it_writes_to() {
        let fixture = Fixture::new();
        let (major, minor) = device_of(Path::new("/proc")).unwrap();
        fixture.write("devices/mtd/mtdblock4/stat", "1 2 3 4 5 6 7 8\n");
        let link = fixture.system.sysfs.join(format!("dev/block/{major}:{minor}"));
        symlink("../../devices/mtd/mtdblock4", link).unwrap();
        fixture.mount("overlay overlayfs:/overlay rw,lowerdir=/,upperdir=/proc,workdir=/overlay/work");
        assert_eq!(fixture.find().name(), Some("mtdblock4"));
    }

    #[test]
    fn device_numbers_are_unpacked_as_linux_packs_them() {
        for (number, expected) in [(65024, (254, 0)), (0xb302, (179, 2)), (0x1230_0845, (8, 0x12345))] {
            assert_eq!(major_minor(number), expected);
        }
    }
}
