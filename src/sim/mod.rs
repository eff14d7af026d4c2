//! A simulated world for tests: flash that is cut off in the middle of a write, and fails when told to.

mod flash;

pub use flash::SimFlash;
