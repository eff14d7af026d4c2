//! A simulated world for tests and fuzzing: flash that is cut off in the middle of a write, and fails when told to.

mod cuts;
mod flash;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod power_cuts;

pub use cuts::{Cut, CutKind, Journal, Thoroughness};
pub use flash::{FlashKind, SimFlash};
