//! What a path names: a file, or a block device.

use super::device::{DeviceMedium, is_block_device};
use super::error::RingError;
use super::file::{FileMedium, Found};
use super::medium::{Geometry, Medium};
use super::shape::Shape;
use std::io;
use std::path::Path;

/// What the ring is on. A clone is the same open file or device, for another thread.
#[derive(Clone, Debug)]
pub enum Storage {
    File(FileMedium),
    Device(DeviceMedium),
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

    /// Of the ring that it holds.
    pub fn shape(&self) -> Shape {
        match self {
            Storage::File(file) => file.shape(),
            Storage::Device(device) => device.shape(),
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
        }
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Storage::File(file) => file.program(offset, bytes),
            Storage::Device(device) => device.program(offset, bytes),
        }
    }

    fn erase(&mut self, offset: u64, len_bytes: u64) -> io::Result<()> {
        match self {
            Storage::File(file) => file.erase(offset, len_bytes),
            Storage::Device(device) => device.erase(offset, len_bytes),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match self {
            Storage::File(file) => file.sync(),
            Storage::Device(device) => device.sync(),
        }
    }
}
