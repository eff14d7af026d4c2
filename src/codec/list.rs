//! Which series a batch has, written as changes to the list that its stream had before.
//!
//! ```text
//! ops: { copy n | skip n | known first n | new <labels> }* end      each by the op before it
//!
//! before   a b c d e f          copy 2, skip 1, copy 3, new x, end
//! now      a b   d e f x
//! ```

use super::dictionary::Dictionary;
use super::error::CodecError;
use super::numbers::{Number, code_symbol};
use super::range_coder::{Bit, Coder, RangeDecoder, RangeEncoder};
use crate::limits::SAMPLES_PER_BATCH_MAX;
use crate::model::{Series, SeriesTable};

/// The kind of op that ends a list; also before the first.
const END: usize = 4;

/// How far ahead a series is looked for in the other list.
const LOOK_AHEAD: usize = 64;

/// Numbers of consecutive series: `first`, `first + 1`, ...
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    pub first: u32,
    pub count: u32,
}

impl Run {
    pub fn range(self) -> std::ops::Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

/// A list of series by their numbers, in the fewest runs.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Numbers(Vec<Run>);

impl Numbers {
    pub fn runs(&self) -> &[Run] {
        &self.0
    }

    pub fn first(&self) -> Option<u32> {
        self.0.first().map(|run| run.first)
    }

    fn last(&self) -> Option<u32> {
        self.0.last().map(|run| run.first + run.count - 1)
    }

    fn push(&mut self, number: u32) {
        match self.0.last_mut() {
            Some(run) if run.first + run.count == number => run.count += 1,
            _ => self.0.push(Run { first: number, count: 1 }),
        }
    }

    fn expand(&self) -> Vec<u32> {
        self.0.iter().flat_map(|run| run.first..run.first + run.count).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// The next so many of the list before.
    Copy(u32),
    /// The next so many of the list before are not in this one.
    Skip(u32),
    /// So many series of the dictionary, from this number on.
    Known(Run),
    /// A series that is added to the dictionary; its labels follow.
    New,
    End,
}

#[derive(Clone, PartialEq)]
pub struct ListModels {
    kind: [[Bit; 8]; 5],
    before: usize,
    count: [Number; 3],
    jump: Number,
}

impl Default for ListModels {
    fn default() -> Self {
        ListModels { kind: [[Bit::default(); 8]; 5], before: END, count: Default::default(), jump: Number::default() }
    }
}

impl ListModels {
    /// Codes one op. `expected` is the number after the last one of the list so far.
    fn code<C: Coder>(&mut self, coder: &mut C, op: Op, expected: u32) -> Result<Op, CodecError> {
        let (kind, count, first) = match op {
            Op::Copy(count) => (0, count, 0),
            Op::Skip(count) => (1, count, 0),
            Op::Known(run) => (2, run.count, run.first),
            Op::New => (3, 0, 0),
            Op::End => (END, 0, 0),
        };
        let kind = code_symbol(coder, &mut self.kind[self.before], kind as u32) as usize;
        self.before = kind.min(END);
        let mut count = count;
        if kind < 3 {
            let coded = self.count[kind].code(coder, u64::from(count).wrapping_sub(1)).wrapping_add(1);
            count = u32::try_from(coded).ok().filter(|&count| count > 0).ok_or(CodecError::NoSuch("series"))?;
        }
        Ok(match kind {
            0 => Op::Copy(count),
            1 => Op::Skip(count),
            2 => {
                let jump = i64::from(first) - i64::from(expected);
                let first = self.jump.code_signed(coder, jump).wrapping_add(i64::from(expected));
                Op::Known(Run { first: u32::try_from(first).map_err(|_| CodecError::NoSuch("series"))?, count })
            }
            3 => Op::New,
            END => Op::End,
            _ => return Err(CodecError::NoSuch("list operation")),
        })
    }
}

/// Writes how `new` differs from `old`; adds what is not known to the dictionary. `likely`: first series of other lists.
pub fn encode(
    coder: &mut RangeEncoder<'_>,
    models: &mut ListModels,
    dictionary: &mut Dictionary,
    (old, old_numbers): (&[Series], &Numbers),
    new: &[Series],
    likely: &[u32],
) -> Numbers {
    let old_numbers = old_numbers.expand();
    let mut numbers = Numbers::default();
    let (mut to, mut from) = (0, 0);
    while to < new.len() {
        let expected = numbers.last().map_or(0, |last| last + 1);
        let op = match step(&old[from..], &new[to..]) {
            Step::Copy(count) => Op::Copy(count),
            Step::Skip(count) => Op::Skip(count),
            Step::Insert(most) => match dictionary.number_of(&new[to]) {
                Some(first) => Op::Known(Run { first, count: known_run(dictionary, &new[to..to + most], first) }),
                None => Op::New,
            },
        };
        write(models, coder, op, expected);
        match op {
            Op::Copy(count) => {
                old_numbers[from..from + count as usize].iter().for_each(|&number| numbers.push(number));
                (from, to) = (from + count as usize, to + count as usize);
            }
            Op::Skip(count) => from += count as usize,
            Op::Known(run) => {
                (run.first..run.first + run.count).for_each(|number| numbers.push(number));
                to += run.count as usize;
            }
            Op::New => {
                let likely = if to == 0 { likely } else { &[] };
                dictionary.encode(coder, &new[to], numbers.last(), likely.iter().copied());
                numbers.push(dictionary.len() - 1);
                to += 1;
            }
            Op::End => {}
        }
    }
    write(models, coder, Op::End, 0);
    numbers
}

fn write(models: &mut ListModels, coder: &mut RangeEncoder<'_>, op: Op, expected: u32) {
    models.code(coder, op, expected).expect("an encoder is given counts above zero and numbers that exist");
}

/// What to do next with the rests of two lists.
enum Step {
    Copy(u32),
    Skip(u32),
    /// So many of the new list at most are not copied.
    Insert(usize),
}

fn step(old: &[Series], new: &[Series]) -> Step {
    let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    if same > 0 {
        return Step::Copy(same as u32);
    }
    let Some(gone) = old.first() else { return Step::Insert(new.len()) };
    let in_old = old.iter().take(LOOK_AHEAD).position(|series| *series == new[0]);
    let in_new = new.iter().take(LOOK_AHEAD).position(|series| series == gone);
    match (in_old, in_new) {
        (Some(skipped), None) => Step::Skip(skipped as u32),
        (Some(skipped), Some(inserted)) if skipped <= inserted => Step::Skip(skipped as u32),
        (_, Some(inserted)) => Step::Insert(inserted),
        (None, None) => Step::Insert(1),
    }
}

fn known_run(dictionary: &Dictionary, new: &[Series], first: u32) -> u32 {
    (first..).zip(new).take_while(|(number, series)| dictionary.get(*number) == Some(series)).count() as u32
}

/// Reads what [`encode`] wrote. `label_bytes` is what the frame may still bring in.
pub fn decode(
    coder: &mut RangeDecoder<'_>,
    models: &mut ListModels,
    dictionary: &mut Dictionary,
    (old, old_numbers): (&[Series], &Numbers),
    table: &SeriesTable,
    label_bytes: &mut usize,
) -> Result<(Vec<Series>, Numbers), CodecError> {
    let old_numbers = old_numbers.expand();
    let (mut series, mut numbers) = (Vec::new(), Numbers::default());
    let mut from = 0;
    loop {
        let expected = numbers.last().map_or(0, |last| last + 1);
        let op = models.code(coder, Op::End, expected)?;
        if coder.overran() {
            return Err(CodecError::Truncated);
        }
        match op {
            Op::Copy(count) | Op::Skip(count) => {
                let next = from + count as usize;
                let part = old_numbers.get(from..next).ok_or(CodecError::NoSuch("series"))?;
                if op == Op::Copy(count) {
                    part.iter().for_each(|&number| numbers.push(number));
                    series.extend_from_slice(&old[from..next]);
                }
                from = next;
            }
            Op::Known(run) => {
                let next = run.first.checked_add(run.count).filter(|&next| next <= dictionary.len());
                let next = next.ok_or(CodecError::NoSuch("series"))?;
                if series.len() + run.count as usize > SAMPLES_PER_BATCH_MAX {
                    return Err(CodecError::TooManySamples);
                }
                for number in run.first..next {
                    numbers.push(number);
                    series.extend(dictionary.get(number).cloned());
                }
            }
            Op::New => {
                let new = dictionary.decode(coder, numbers.last(), table)?;
                let left = label_bytes.checked_sub(new.packed().len());
                *label_bytes = left.ok_or(CodecError::TooManyLabelBytes)?;
                numbers.push(dictionary.len() - 1);
                series.push(new);
            }
            Op::End => return Ok((series, numbers)),
        }
        if series.len() > SAMPLES_PER_BATCH_MAX {
            return Err(CodecError::TooManySamples);
        }
    }
}
