//! Saves what can be saved of a refused request: its parts are sent, level by level, until the samples at fault stand alone.
//!
//! For Remote-Write 1.0 only: a receiver of 2.0 has written what it could. What a receiver says in words decides nothing.
//!
//! ```text
//!  refused:      a  b  c  d      halves:  a b | c d     both refused: all of it is at fault for what is known: it ends,
//!                                                       but for slices of time, oldest first, as old times may be at fault
//!                                refused: a b           one refused: its halves are next, and so on
//! ```
//!
//! - A level in which nothing is accepted is the last one; after something was accepted, the second such level is.
//! - A request has [`REJECTED_SPLITS_MAX`] cuts at most.
//! - Order per series holds: a part is left once newer samples of its series were accepted.

use super::batching::{Block, Request};
use super::retry::Cause;
use crate::limits::{REJECTED_SPLITS_MAX, TIME_SLICES_MAX};
use crate::model::ScrapeBatch;
use std::rc::Rc;

/// A part of a request that the receiver refused.
#[derive(Clone, Debug)]
pub struct Refused {
    pub request: Request,
    /// Samples that were sent.
    pub samples: u64,
    /// Samples that were not sent: native histograms that are off, and what is too old.
    pub histograms_left_out: u64,
    pub too_old: u64,
    pub cause: Cause,
    /// The receiver's answer to this part.
    pub text: String,
}

/// What is to be done when all parts were answered.
#[derive(Default)]
pub struct Level {
    /// To be sent, in this order.
    pub parts: Vec<Request>,
    /// Refused for good.
    pub refused: Vec<Refused>,
}

/// What was learned of one request.
#[derive(Clone)]
pub struct Halving {
    splits_left: u32,
    /// Levels in a row in which nothing was accepted, after the first.
    barren_levels: u32,
    is_level_accepted: bool,
    is_first_level: bool,
    is_sliced: bool,
    refused: Vec<Refused>,
    accepted: Vec<Block>,
    /// What was refused first: the request, or the parts that its size made of it.
    first: Vec<Request>,
    /// Levels in which nothing is accepted that are passed.
    patience: u32,
}

impl Halving {
    /// `patience` is how many levels in which nothing was accepted are passed at first.
    pub fn new(patience: u32) -> Self {
        Halving {
            patience,
            splits_left: REJECTED_SPLITS_MAX,
            barren_levels: 0,
            is_level_accepted: false,
            is_first_level: true,
            is_sliced: false,
            refused: Vec::new(),
            accepted: Vec::new(),
            first: Vec::new(),
        }
    }

    pub fn accepted(&mut self, part: &Request) {
        self.is_level_accepted = true;
        self.accepted.extend(part.blocks.iter().cloned());
    }

    pub fn refused(&mut self, part: Refused) {
        if self.is_first_level {
            self.first.push(part.request.clone());
        }
        self.refused.push(part);
    }

    /// What was refused first: the request, or the parts that its size made of it.
    pub fn first(&self) -> &[Request] {
        &self.first
    }

    /// Whether some part was accepted.
    pub fn has_accepted(&self) -> bool {
        !self.accepted.is_empty()
    }

    /// Whether some part was refused.
    pub fn is_begun(&self) -> bool {
        !self.first.is_empty()
    }

    /// The answer to the part that was refused last.
    pub fn last_answer(&self) -> Option<(Cause, String)> {
        self.refused.last().map(|part| (part.cause, part.text.clone()))
    }

    /// Whether parts were refused of which it is not decided what becomes of them.
    pub fn is_open(&self) -> bool {
        !self.refused.is_empty()
    }

    /// All parts were answered.
    pub fn next_level(&mut self, batches: &[Rc<ScrapeBatch>]) -> Level {
        let refused = std::mem::take(&mut self.refused);
        let is_barren = !std::mem::take(&mut self.is_level_accepted) && !self.is_first_level;
        self.is_first_level = false;
        self.barren_levels = if is_barren { self.barren_levels + 1 } else { 0 };
        if self.barren_levels > self.patience + u32::from(self.has_accepted()) {
            return self.slices(refused);
        }
        let mut level = Level::default();
        for part in refused {
            let is_late = part.request.blocks.iter().any(|block| self.is_newer_accepted(block, batches));
            match part.request.halves().filter(|_| !is_late && self.splits_left > 0) {
                Some((first, second)) => {
                    self.splits_left -= 1;
                    level.parts.extend([first, second]);
                }
                None => level.refused.push(part),
            }
        }
        level
    }

    /// Both halves were refused: slices of time are tried, once, if nothing was accepted so far.
    fn slices(&mut self, refused: Vec<Refused>) -> Level {
        let is_tried = std::mem::replace(&mut self.is_sliced, true) || self.has_accepted() || self.patience > 0;
        let parts: Vec<Request> = self.first.iter().flat_map(|request| request.time_slices(TIME_SLICES_MAX)).collect();
        match is_tried || parts.len() <= self.first.len() {
            true => Level { parts: Vec::new(), refused },
            false => Level { parts, refused: Vec::new() },
        }
    }

    /// Whether the receiver has newer samples of a series of this block.
    fn is_newer_accepted(&self, block: &Block, batches: &[Rc<ScrapeBatch>]) -> bool {
        self.accepted.iter().filter(|accepted| accepted.batches.start >= block.batches.end).any(|accepted| {
            let (old, new) = (&batches[block.batches.start], &batches[accepted.batches.start]);
            let overlaps = accepted.series.start < block.series.end && block.series.start < accepted.series.end;
            old.target == new.target && (overlaps || !Rc::ptr_eq(&old.series, &new.series))
        })
    }
}
