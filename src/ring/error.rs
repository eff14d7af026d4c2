//! What can go wrong with a ring, and what the person who reads it can do.

use crate::model::format_size;
use std::fmt;
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub enum RingError {
    /// The device or file refused a call. What was committed before is not touched; the call may be made again.
    Device { doing: &'static str, cause: io::Error },
    /// The file can't be opened or made.
    File { path: PathBuf, doing: &'static str, cause: io::Error },
    /// The file can't be looked at.
    Unreadable { path: PathBuf, doing: &'static str, cause: io::Error },
    /// There is no room on the file system for a file of this size.
    NoSpace { path: PathBuf, size_bytes: u64 },
    /// The device is smaller than the ring.
    DeviceTooSmall { path: PathBuf, size_bytes: u64 },
    /// There is no room for a second file, which is needed while a ring is carried over to another size.
    NoRoomBeside { path: PathBuf, size_bytes: u64 },
    /// There is no such device, and a file made in its place would be in memory.
    NoDevice { path: PathBuf },
    /// The device is mounted, or another program holds it.
    DeviceInUse { path: PathBuf },
    /// The device holds something that is not a ring.
    DeviceHolds { path: PathBuf, found: &'static str, at: u64 },
    /// A device's ring has another shape, in which the device can't be used any more, and samples in it are still waited for.
    Waiting { path: PathBuf, size_bytes: u64, segment_size_bytes: u64, program_unit_bytes: u32 },
    /// Another process holds the ring.
    InUse { path: PathBuf },
    /// Something is there that is not a ring.
    Foreign { found: &'static str },
    /// A ring of an older or newer Narthex.
    OtherFormat { version: u16, supported: u16 },
    /// The ring was made with another geometry than is configured.
    OtherGeometry { size_bytes: u64, segment_size_bytes: u64 },
    /// The caller broke the ring's rules.
    Bug(&'static str),
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingError::Device { doing, cause } => write!(f, "the ring's storage failed while {doing}: {cause}"),
            RingError::File { path, doing, cause } => write!(
                f,
                "{doing} {} failed: {cause}; buffer.path must name a file that can be written",
                path.display()
            ),
            RingError::Unreadable { path, doing, cause } => {
                write!(f, "{doing} {} failed: {cause}; name a ring's file that can be read", path.display())
            }
            RingError::NoSpace { path, size_bytes } => write!(
                f,
                "no room for a ring of {} at {}; free some or make buffer.size smaller",
                format_size(*size_bytes),
                path.display()
            ),
            RingError::DeviceTooSmall { path, size_bytes } => write!(
                f,
                "{} is smaller than a ring of {}; make buffer.size smaller, or name a larger device",
                path.display(),
                format_size(*size_bytes)
            ),
            RingError::NoRoomBeside { path, size_bytes } => write!(
                f,
                "no room for a ring of {} beside {}, which keeps its own until everything is carried over; it was left untouched: free some, or configure the size that it has",
                format_size(*size_bytes),
                path.display()
            ),
            RingError::NoDevice { path } => {
                write!(f, "{} is not there; connect the device, or name another in buffer.path", path.display())
            }
            RingError::DeviceInUse { path } => write!(
                f,
                "{} is mounted or in use by another program; unmount it and take it out of /etc/fstab, or stop the program",
                path.display()
            ),
            RingError::DeviceHolds { path, found, at } => write!(
                f,
                "{} is neither blank nor a ring: it holds {found}, first at byte {at}; it was left untouched: if nothing on it is needed any more, run narthex ring format --force",
                path.display()
            ),
            RingError::Waiting { path, size_bytes, segment_size_bytes, program_unit_bytes } => write!(
                f,
                "the ring on {} holds samples that were not delivered yet, and the device no longer takes its size \"{}\", segment_size \"{}\" and program_unit \"{}\"; it was left untouched: use the device as it was until they are delivered, or give them up with narthex ring format --force",
                path.display(),
                format_size(*size_bytes),
                format_size(*segment_size_bytes),
                format_size(u64::from(*program_unit_bytes))
            ),
            RingError::InUse { path } => write!(
                f,
                "{} is in use by another process; stop it, or give each agent a ring of its own",
                path.display()
            ),
            RingError::Foreign { found } => write!(
                f,
                "buffer.path names something that is not a ring ({found}); it was left untouched: choose another path or remove it"
            ),
            RingError::OtherFormat { version, supported } => write!(
                f,
                "the ring has format {version}, this Narthex knows {supported}; it was left untouched: use a Narthex of that format, or another buffer.path"
            ),
            RingError::OtherGeometry { size_bytes, segment_size_bytes } => write!(
                f,
                "the ring was made with size = \"{}\" and segment_size = \"{}\"; it was left untouched: configure these, or another buffer.path",
                format_size(*size_bytes),
                format_size(*segment_size_bytes)
            ),
            RingError::Bug(what) => write!(f, "a defect in Narthex, please report it: {what}"),
        }
    }
}

impl std::error::Error for RingError {}

/// What an agent does whose ring can't be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtStart {
    /// It refuses to start: somebody has to change the configuration, or what `buffer.path` names.
    Refuse,
    /// It runs with memory only and tries again: the card may come back, or another take its place.
    RunInMemory,
}

/// Errors of a file that say more of the card than of the configuration, by their numbers in errno(3).
const CARD_ERRORS: [(i32, &str); 13] = [
    (5, "EIO"),
    (6, "ENXIO: the device is gone"),
    (19, "ENODEV"),
    (28, "ENOSPC: what fills the card may be removed again"),
    (30, "EROFS: the card is read-only, or became so after errors"),
    (61, "ENODATA: a sector that can't be read"),
    (74, "EBADMSG: a checksum of the file system"),
    (110, "ETIMEDOUT"),
    (116, "ESTALE"),
    (117, "EUCLEAN: the file system is damaged"),
    (121, "EREMOTEIO"),
    (122, "EDQUOT"),
    (123, "ENOMEDIUM"),
];

impl RingError {
    /// For `map_err` on calls of the medium.
    pub(super) fn device(doing: &'static str) -> impl FnOnce(io::Error) -> RingError {
        move |cause| RingError::Device { doing, cause }
    }

    /// What to do if the ring can't be opened for this reason.
    ///
    /// | reason | at the start |
    /// |---|---|
    /// | the storage fails a call | memory only |
    /// | the file or its folder can't be used: I/O error, read-only, full, gone (`CARD_ERRORS`) | memory only |
    /// | the file or its folder can't be used: a directory, no permission, any other error | refuse |
    /// | there is no such device | memory only |
    /// | no room for the file | memory only |
    /// | no room beside a file whose size was changed | refuse |
    /// | a device that is too small for the ring | refuse |
    /// | mounted or in use, no ring but other data, another format or geometry | refuse |
    pub fn at_start(&self) -> AtStart {
        match self {
            RingError::Device { .. } | RingError::NoDevice { .. } => AtStart::RunInMemory,
            RingError::File { cause, .. } => match cause.raw_os_error() {
                Some(number) if CARD_ERRORS.iter().any(|(known, _)| *known == number) => AtStart::RunInMemory,
                _ => AtStart::Refuse,
            },
            RingError::NoSpace { .. } => AtStart::RunInMemory,
            RingError::Unreadable { .. }
            | RingError::NoRoomBeside { .. }
            | RingError::DeviceTooSmall { .. }
            | RingError::DeviceInUse { .. }
            | RingError::DeviceHolds { .. }
            | RingError::Waiting { .. }
            | RingError::InUse { .. }
            | RingError::Foreign { .. }
            | RingError::OtherFormat { .. }
            | RingError::OtherGeometry { .. }
            | RingError::Bug(_) => AtStart::Refuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_card_does_is_waited_out_and_what_the_operator_did_is_refused() {
        let path = || PathBuf::from("/no/such/ring");
        let file =
            |number| RingError::File { path: path(), doing: "opening", cause: io::Error::from_raw_os_error(number) };
        let device = RingError::Device { doing: "reading", cause: io::ErrorKind::Other.into() };
        for (error, expected) in [
            (device, AtStart::RunInMemory),
            (RingError::NoDevice { path: path() }, AtStart::RunInMemory),
            (RingError::NoSpace { path: path(), size_bytes: 1 }, AtStart::RunInMemory),
            (RingError::NoRoomBeside { path: path(), size_bytes: 1 }, AtStart::Refuse),
            (RingError::DeviceTooSmall { path: path(), size_bytes: 1 }, AtStart::Refuse),
            (RingError::InUse { path: path() }, AtStart::Refuse),
            (RingError::DeviceInUse { path: path() }, AtStart::Refuse),
            (RingError::DeviceHolds { path: path(), found: "ext4", at: 0 }, AtStart::Refuse),
            (RingError::Foreign { found: "text" }, AtStart::Refuse),
            (RingError::OtherFormat { version: 9, supported: 1 }, AtStart::Refuse),
            (RingError::OtherGeometry { size_bytes: 1, segment_size_bytes: 1 }, AtStart::Refuse),
            (RingError::Bug("one"), AtStart::Refuse),
        ] {
            assert_eq!(error.at_start(), expected, "{error}");
        }
        for (number, _) in CARD_ERRORS {
            assert_eq!(file(number).at_start(), AtStart::RunInMemory, "errno {number}");
        }
        for (number, name) in
            [(1, "EPERM"), (2, "ENOENT"), (13, "EACCES"), (20, "ENOTDIR"), (21, "EISDIR"), (40, "ELOOP")]
        {
            assert_eq!(file(number).at_start(), AtStart::Refuse, "{name}");
        }
    }
}
