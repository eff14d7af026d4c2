//! Whether the file system under a path forgets its files when the power goes. The kernel tells it by the magic number of
//! statfs(2).

use super::shape::is_device_name;
use std::fmt;
use std::path::Path;

/// A file system whose files do not outlive a power cut, or may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volatile {
    Tmpfs,
    Ramfs,
    /// Its upper layer may be in memory, and mostly is on devices with a read-only root.
    Overlay,
}

/// File systems and their magic numbers, from linux/magic.h.
const MAGIC_NUMBERS: [(u32, Volatile); 3] =
    [(0x0102_1994, Volatile::Tmpfs), (0x8584_58f6, Volatile::Ramfs), (0x794c_7630, Volatile::Overlay)];

impl Volatile {
    /// `Some` if the file of this name is on such a file system, or would be made there. Names of devices are in memory, and the
    /// devices are not.
    pub fn under(path: &Path) -> Option<Volatile> {
        if is_device_name(path) {
            return None;
        }
        let is_there = |place: &&Path| place.exists();
        let place = path.ancestors().filter(|place| !place.as_os_str().is_empty()).find(is_there);
        let statfs = rustix::fs::statfs(place.unwrap_or(Path::new("."))).ok()?;
        // The type's width and sign differ between architectures; the number has 32 bits.
        Volatile::of_magic(statfs.f_type as u32)
    }

    fn of_magic(magic: u32) -> Option<Volatile> {
        MAGIC_NUMBERS.iter().find(|(known, _)| *known == magic).map(|(_, volatile)| *volatile)
    }
}

impl fmt::Display for Volatile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Volatile::Tmpfs => "tmpfs, which is lost when the power goes",
            Volatile::Ramfs => "ramfs, which is lost when the power goes",
            Volatile::Overlay => "an overlay, which is lost when the power goes if its upper layer is in memory",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_known_by_their_magic_numbers() {
        assert_eq!(Volatile::of_magic(0x0102_1994), Some(Volatile::Tmpfs));
        assert_eq!(Volatile::of_magic(0x8584_58f6), Some(Volatile::Ramfs));
        assert_eq!(Volatile::of_magic(0x794c_7630), Some(Volatile::Overlay));
        assert_eq!(Volatile::of_magic(0xef53), None, "ext4");
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_judged_by_its_folder() {
        if Volatile::under(Path::new("/dev/shm")) == Some(Volatile::Tmpfs) {
            assert_eq!(Volatile::under(Path::new("/dev/shm/no/such/ring")), Some(Volatile::Tmpfs));
        }
        assert_eq!(Volatile::under(Path::new("/proc/self/no-such-ring")), None);
        assert_eq!(Volatile::under(Path::new("/dev/null")), None, "a device");
    }
}
