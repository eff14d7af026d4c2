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
/// - after an erase, program or sync that failed, not to rely on what it was to write: the same place is written again, or
///   a new segment is started and whatever was left behind is recognised and passed over;
/// - where units can't be overwritten, to program each unit once after its erase, failed and interrupted programs included, as far
///   as it can know: whoever opens the ring takes a unit that reads as erased for one that was not programmed.
///
/// The medium promises
/// - that what was programmed can be read at once, and that once `sync` has returned `Ok` a power cut leaves it unchanged;
/// - of units programmed or erased since the last `sync`, after a cut: each may hold the new bytes, the old ones, or (one of
///   them) a mixture or garbage; in any order;
/// - that units not programmed or erased since are unchanged, whatever fails;
/// - that a call that fails leaves its own range in any state, and nothing else touched.
pub trait Medium {
    fn geometry(&self) -> Geometry;

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// `offset` and the length are multiples of the program unit.
    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Whether a unit can be programmed again as it is. Where it can't be, as on raw flash, it has to be erased first, and
    /// reads as 0xff until it is programmed.
    fn overwrites(&self) -> bool {
        true
    }

    /// Makes a range programmable. Where units can be overwritten as they are, this has nothing to do.
    fn erase(&mut self, offset: u64, len_bytes: u64) -> io::Result<()>;

    fn sync(&mut self) -> io::Result<()>;
}
