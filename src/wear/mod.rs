//! What writing costs the flash: what the agent wrote, what reached the device, what the device says of its own wear, and
//! how long it will last. Knows of files, devices and sysfs; refuses to know what is written, and writes nothing.
//!
//! ```text
//!  counters ───────────────► Written ──┐
//!  rated_cycles, erase_block ─────────►├─► WearReport ─► lines
//!  path ─► Storage ─► Figures ─────────┘
//!          partition, disk   sectors written, eMMC's and UBI's own figures
//! ```

mod figures;
mod meter;
mod report;
mod storage;

pub use figures::{EmmcLife, Figures, Reserve, UbiWear};
pub use meter::WearMeter;
pub use report::{Life, Ratings, RingShape, WearReport, Written};
pub use storage::{Storage, System};
