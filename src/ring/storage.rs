//! What a path names: a file, or a block device; or what stands for it while it can't be opened.

use super::device::{DeviceMedium, is_block_device};
use super::error::RingError;
use super::file::{FileMedium, Found};
use super::medium::{Geometry, Medium};
use super::presence::Presence;
use super::shape::Shape;
use std::io;
use std::path::Path;

/// What the ring is on. A clone is the same open file or device, for another thread.
#[derive(Clone, Debug)]
pub enum Storage {
    File(FileMedium),
    Device(DeviceMedium),
    /// None: the ring could not be opened. Reads as blank, and refuses every write.
    Absent(Shape),
}

impl Storage {
    /// Opens what is there, or makes a file. With [`Found::Other`] the storage has the shape of the ring that it holds, which
    /// is not the one that was asked for.
    pub fn open(path: &Path, shape: &Shape) -> Result<(Storage, Found), RingError> {
        if is_block_device(path) {
            let (device, found) = DeviceMedium::open(path, shape)?;
            return Ok((Storage::Device(device), found));
        }
        let (file, found) = FileMedium::open(path, *shape)?;
        Ok((Storage::File(file), found))
    }

    /// Whether the ring's file is still in its place. A device always is.
    pub fn presence(&self) -> Result<Presence, RingError> {
        match self {
            Storage::File(file) => file.presence(),
            Storage::Device(_) | Storage::Absent(_) => Ok(Presence::InPlace),
        }
    }

    /// Storage with the same bytes in the place of a file that was [moved](Presence::Moved).
    pub fn put_back(&self) -> Result<Storage, RingError> {
        match self {
            Storage::File(file) => file.put_back().map(Storage::File),
            other => Ok(other.clone()),
        }
    }

    /// Gives a file that was [cut](Presence::Cut) its length again.
    pub fn refill(&self, length_bytes: u64) -> Result<(), RingError> {
        match self {
            Storage::File(file) => file.refill(length_bytes),
            Storage::Device(_) | Storage::Absent(_) => Ok(()),
        }
    }

    /// Of the ring that it holds.
    pub fn shape(&self) -> Shape {
        match self {
            Storage::File(file) => file.shape(),
            Storage::Device(device) => device.shape(),
            Storage::Absent(shape) => *shape,
        }
    }
}

impl Medium for Storage {
    fn geometry(&self) -> Geometry {
        self.shape().geometry()
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        match self {
            Storage::File(file) => file.read(offset, into),
            Storage::Device(device) => device.read(offset, into),
            Storage::Absent(_) => {
                into.fill(0);
                Ok(())
            }
        }
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Storage::File(file) => file.program(offset, bytes),
            Storage::Device(device) => device.program(offset, bytes),
            Storage::Absent(_) => Err(no_ring()),
        }
    }

    fn erase(&mut self, offset: u64, len_bytes: u64) -> io::Result<()> {
        match self {
            Storage::File(file) => file.erase(offset, len_bytes),
            Storage::Device(device) => device.erase(offset, len_bytes),
            Storage::Absent(_) => Err(no_ring()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self {
            Storage::File(file) => file.sync(),
            Storage::Device(device) => device.sync(),
            Storage::Absent(_) => Err(no_ring()),
        }
    }
}

fn no_ring() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the ring could not be opened")
}
