//! A fixed-size ring of segments on a [`Medium`]: bytes only. Knows records, their numbers and how many samples each
//! weighs; refuses to know what a sample is.
//!
//! ```text
//!  slot 0          slot 1          slot 2          slot 3        slot = segment_seq % slots
//! ┌───────────────┬───────────────┬───────────────┬───────────────┐
//! │ seq 8         │ seq 9  newest │ seq 6  oldest │ seq 7         │
//! └───────────────┴───────────────┴───────────────┴───────────────┘
//!                   │
//!                   ├─ header: one program unit, written once, together with the first frame
//!                   ├─ frame:  padded to program units, synced before the next one is written
//!                   ├─ frame
//!                   └─ room, in which whatever an earlier lap left does not pass the salted checksum
//! ```
//!
//! Records are numbered by their writer, always upwards. The header of a segment names its first record, so a record is
//! found without an index. Acknowledgements of endpoints travel in frames and are carried forward in headers, and so does
//! a note of its user's: nothing is ever rewritten in place. Opening only reads.
//!
//! A ring is in a file (`file.rs`) or on a whole device (`device.rs`), whichever a path names (`storage.rs`). `shape.rs` has the
//! relations between its sizes, `held.rs` finds out which of them a ring that is there was made with.
//!
//! Numbers are little-endian. `header.rs` and `frame.rs` have the bytes.

mod append;
mod beside;
mod device;
mod error;
mod examine;
mod file;
mod fixed_file;
mod format;
mod frame;
mod header;
mod held;
mod inspect;
mod log;
mod medium;
mod newest;
mod presence;
mod reader;
mod recovery;
mod shape;
mod signature;
mod slots;
mod storage;
#[cfg(test)]
mod tests;
mod view;
mod volatile;

pub use append::{Appending, Write, Written};
pub use device::{DeviceMedium, format_device, is_block_device};
pub use error::{AtStart, RingError};
pub use examine::examine;
pub use file::{FileMedium, Found};
pub use format::Formatter;
pub use frame::{Frame, FrameMeta};
pub use header::{Ack, Acks};
pub use held::probe;
pub use inspect::SlotContent;
pub use log::{Appended, Placement, Ring, SegmentInfo};
pub use medium::{Geometry, Medium};
pub use presence::Presence;
pub use reader::{FramePosition, Read};
pub use recovery::{Layout, Recovery};
pub use shape::{Place, RingSizes, Shape, ShapeError};
pub use storage::Storage;
pub use view::{FileView, View};
pub use volatile::Volatile;
