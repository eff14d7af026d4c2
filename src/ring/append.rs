//! What one append does to the medium, as plain data: it can be performed on another thread while the ring is read.
//!
//! ```text
//!  Ring::begin ─► Write ─► perform(medium), here or on a thread ─► Written ─► Ring::finish
//! ```
//!
//! Between the two the ring may be read and asked. It begins no other append, and takes nothing of this one for granted.

use super::error::RingError;
use super::header::SegmentHeader;
use super::log::SegmentInfo;
use super::medium::Medium;
use std::ops::Range;

/// A sync of what an earlier process left, an erase, and a program and a sync of the header and of the frame.
const STEPS_MAX: usize = 6;

/// Calls of the medium, in order. The first one that fails ends the write.
#[derive(Debug)]
pub struct Write {
    pub(super) steps: heapless::Vec<Step, STEPS_MAX>,
    pub(super) bytes: Vec<u8>,
}

/// A call of the medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Erase {
        offset: u64,
        len_bytes: u64,
    },
    /// These of the write's bytes go to `offset`.
    Program {
        offset: u64,
        bytes: Range<usize>,
    },
    Sync,
}

/// A write that has ended.
#[derive(Debug)]
pub struct Written {
    pub(super) write: Write,
    /// How many steps succeeded.
    pub(super) done: usize,
    /// Of the step after these.
    pub(super) failure: Option<RingError>,
}

/// An append between [`Ring::begin`](super::Ring::begin) and [`Ring::finish`](super::Ring::finish).
#[derive(Debug)]
pub struct Appending {
    /// `Some` if the frame begins a new segment.
    pub(super) header: Option<SegmentHeader>,
    /// How many steps come before the first one that touches the new place.
    pub(super) steps_before: usize,
    /// How many steps it takes until the first header of all is on the medium; `None` if there was one before.
    pub(super) header_steps: Option<usize>,
    pub(super) evicted: Option<SegmentInfo>,
}

impl Appending {
    pub fn begins_segment(&self) -> bool {
        self.header.is_some()
    }
}

impl Write {
    pub(super) fn new(bytes: Vec<u8>) -> Write {
        Write { steps: heapless::Vec::new(), bytes }
    }

    pub(super) fn step(&mut self, step: Step) {
        let pushed = self.steps.push(step);
        debug_assert!(pushed.is_ok(), "a write has at most {STEPS_MAX} steps");
    }

    /// The write as one that was not begun, for this reason.
    pub fn refuse(self, failure: RingError) -> Written {
        Written { write: self, done: 0, failure: Some(failure) }
    }

    /// Makes the calls. Blocks as long as the medium does.
    pub fn perform(self, medium: &mut impl Medium) -> Written {
        for (done, step) in self.steps.iter().enumerate() {
            let (doing, made) = match step {
                Step::Erase { offset, len_bytes } => ("erasing a segment", medium.erase(*offset, *len_bytes)),
                Step::Program { offset, bytes } => ("writing", medium.program(*offset, &self.bytes[bytes.clone()])),
                Step::Sync => ("syncing", medium.sync()),
            };
            if let Err(cause) = made {
                return Written { write: self, done, failure: Some(RingError::Device { doing, cause }) };
            }
        }
        Written { done: self.steps.len(), write: self, failure: None }
    }
}

impl Written {
    /// The same as a write that has failed, whatever the medium said.
    pub fn fail(self, failure: RingError) -> Written {
        Written { failure: self.failure.or(Some(failure)), ..self }
    }
}
