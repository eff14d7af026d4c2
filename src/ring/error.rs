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

impl RingError {
    /// For `map_err` on calls of the medium.
    pub(super) fn device(doing: &'static str) -> impl FnOnce(io::Error) -> RingError {
        move |cause| RingError::Device { doing, cause }
    }
}
