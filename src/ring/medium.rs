//! The contract between the ring and what it is written to.

use std::io;

/// Sizes that hold for the whole life of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub size_bytes: u64,
    /// Programs start and end at multiples of this.
    pub program_unit_bytes: u32,
    /// Erases start and end at multiples of this.
    pub erase_block_bytes: u32,
}

/// Flash, or a file or device that stands for it. All calls block.
///
/// The ring promises
/// - to program whole units only, and never one that holds synced data, unless the segment around it was given up;
/// - to erase a segment's blocks before it is programmed anew;
/// - to call [`sync`](Medium::sync) before it relies on anything it programmed, and to program one frame at a time in between;
/// - after a program or sync that failed, to program from the same place on again before anything else.
///
/// The medium promises
/// - that what was programmed can be read at once, and that once `sync` has returned `Ok` a power cut leaves it unchanged;
/// - of units programmed since the last `sync`, after a cut: each may hold the new bytes, the old ones, or (one of them) any
///   mixture; in any order;
/// - that units not programmed or erased since are unchanged, whatever fails;
/// - that a call that fails leaves its own range in any state, and nothing else touched.
pub trait Medium {
    fn geometry(&self) -> Geometry;

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// `offset` and the length are multiples of the program unit.
    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes a range programmable. Where units can be overwritten as they are, this has nothing to do.
    fn erase(&mut self, offset: u64, len_bytes: u64) -> io::Result<()>;

    fn sync(&mut self) -> io::Result<()>;
}
