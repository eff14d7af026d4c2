//! Saves what can be saved of a refused request: parts of it are sent until the samples at fault stand alone.
//!
//! A receiver says which samples it dislikes in words at best. Parts are tried depth first and oldest first, which keeps
//! each series in order, and there are [`REJECTED_SPLITS_MAX`] cuts for each request. So that these suffice, it learns:
//!
//! ```text
//!   series ►      old times are refused, in all series:    one series is refused at all times:
//!  t 1   x x x x    rows are cut off from the top;           . . x .   a part of a row is accepted: so
//!  i 2   x x x x    when a row was dropped part by part,     . . x .   series are at fault, and what is
//!  m 3   . . . .    the rest of it and the next are          . . x .   left is cut into series first;
//!  e 4   . . . .    dropped whole                            . . x .   then the same goes for columns
//! ```

use super::batching::{Block, Hint, Request};
use crate::limits::REJECTED_SPLITS_MAX;

/// Parts of a row or column that are dropped without one being accepted, until it is taken to be bad as a whole.
const BAD_PARTS_OF_A_LINE: u32 = 3;

/// What was learned of one request.
pub struct Halving {
    splits_left: u32,
    series_at_fault: bool,
    /// The last row that was cut into series because of its time.
    cut_row: Option<Block>,
    dropped_in_succession: u32,
    last_dropped: Option<Block>,
}

impl Halving {
    pub fn new() -> Self {
        Halving {
            splits_left: REJECTED_SPLITS_MAX,
            series_at_fault: false,
            cut_row: None,
            dropped_in_succession: 0,
            last_dropped: None,
        }
    }

    /// Two parts to send in place of what was refused with this text, the first of them first. None: drop it.
    pub fn halves(&mut self, refused: &Request, text: &str) -> Option<(Request, Request)> {
        let hint = if self.series_at_fault { Hint::Unknown } else { Hint::of_text(text) };
        let give_up = self.splits_left == 0 || self.is_bad_throughout(refused, hint);
        let halves = if give_up { None } else { refused.split(hint) };
        if halves.is_none() {
            self.dropped_in_succession += 1;
            self.last_dropped = refused.blocks.last().cloned();
            return None;
        }
        self.splits_left -= 1;
        if let Some(row) = row_of(refused).filter(|_| hint == Hint::Time)
            && self.cut_row.as_ref().is_none_or(|cut| cut.batches != row.batches)
        {
            self.cut_row = Some(row.clone());
        }
        halves
    }

    pub fn accepted(&mut self, accepted: &Request) {
        self.dropped_in_succession = 0;
        if let (Some(part), Some(row)) = (row_of(accepted), &self.cut_row) {
            self.series_at_fault |= part.batches == row.batches && part.series.len() < row.series.len();
        }
    }

    /// It is what follows, in the row or the column, on parts that were all dropped.
    fn is_bad_throughout(&self, refused: &Request, hint: Hint) -> bool {
        let ([block], Some(dropped)) = (refused.blocks.as_slice(), &self.last_dropped) else { return false };
        let next_time = dropped.batches.end == block.batches.start;
        let follows = match hint {
            Hint::Time => block.batches.len() == 1 && (next_time || dropped.batches.end == block.batches.end),
            Hint::Unknown => block.series.len() == 1 && next_time && dropped.series == block.series,
        };
        follows && self.dropped_in_succession >= BAD_PARTS_OF_A_LINE
    }
}

/// The one block of a request, if it is of a single time.
fn row_of(request: &Request) -> Option<&Block> {
    match request.blocks.as_slice() {
        [block] if block.batches.len() == 1 => Some(block),
        _ => None,
    }
}
