//! What the fuzz targets have in common: a medium in memory, batches to write, checksums that hold, a server that answers.

mod answering;
mod medium;
mod pages;
mod scrapes;
mod seal;

pub use answering::{Answering, SECRET, outcome_of};
pub use medium::MemoryMedium;
pub use pages::read_twice;
pub use scrapes::batches;
pub use seal::seal;

use narthex::ring::Layout;

/// The smallest segments, and few of them: 16 KiB of image.
pub const LAYOUT: Layout = Layout { segment_size_bytes: 4096, segment_count: 4 };
