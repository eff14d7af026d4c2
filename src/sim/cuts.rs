//! Every state that a power cut can leave, from what was written to the flash and what was synced.
//!
//! ```text
//!  journal:   erase ── program ─────────────────────── sync
//!               │        │ │ │ │ every byte │ │ │ │ │  │   │
//!  cuts:      units    0 1 2 3 ...            len-1    │   after it: as it is
//!                      the rest of the unit old,       │
//!                      or garbage                      every subset of unsynced units lost;
//!                                                      one of the others torn
//! ```

use crate::limits::PROGRAM_UNIT_BYTES;
use std::collections::BTreeMap;
use std::fmt;

/// Up to so many unsynced units every subset of them is tried.
const EXHAUSTIVE_UNITS_MAX: usize = 10;

/// What was in units before they were written, for those written since the last sync.
#[derive(Clone, Default)]
pub(super) struct Pending {
    /// The durable content first.
    earlier: BTreeMap<usize, Vec<[u8; PROGRAM_UNIT_BYTES]>>,
}

/// A call that changed something.
pub(super) enum Op {
    /// What got through of a program or an erase.
    Write {
        offset: usize,
        bytes: Vec<u8>,
        is_erase: bool,
    },
    Sync,
}

/// Calls in their order, and the flash before them.
pub struct Journal {
    image: Vec<u8>,
    pending: Pending,
    pub(super) ops: Vec<Op>,
}

/// How many of the cuts are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thoroughness {
    /// From one cut within a program to the next; 1 is every byte.
    pub step_bytes: usize,
    /// Subsets tried where there are too many for all.
    pub random_subsets: usize,
}

/// One state that a cut can leave.
pub struct Cut<'a> {
    pub image: &'a [u8],
    /// Calls before this one are done.
    pub op: usize,
    pub kind: CutKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutKind {
    /// In order, up to this byte of the call.
    AfterBytes(usize),
    /// The same, and garbage in the rest of the unit.
    Garbage(usize),
    /// Unsynced units were lost; which, in bits from the lowest unit on.
    Lost(u64),
    /// The same, and this unit is torn.
    Torn(u64, usize),
    Synced,
}

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cut in call {}: {:?}", self.op, self.kind)
    }
}

impl Pending {
    pub fn note(&mut self, visible: &[u8], offset: usize, len: usize) {
        for unit in offset / PROGRAM_UNIT_BYTES..(offset + len).div_ceil(PROGRAM_UNIT_BYTES) {
            self.earlier.entry(unit).or_default().push(content(visible, unit));
        }
    }

    /// One of the states that a cut can leave, whichever chance picks.
    pub fn lose_some(self, image: &mut [u8], random: &mut fastrand::Rng) {
        let kept = random.u64(..);
        self.lose(image, kept, random);
        let units: Vec<usize> = self.earlier.keys().copied().collect();
        if random.bool()
            && let Some(unit) = random.choice(units)
        {
            self.tear(image, unit, random);
        }
    }

    pub fn lose_all(&self, image: &mut [u8]) {
        for (unit, earlier) in &self.earlier {
            unit_of(image, *unit).copy_from_slice(&earlier[0]);
        }
    }

    /// Puts older contents into the units whose bits are zero.
    fn lose(&self, image: &mut [u8], kept: u64, random: &mut fastrand::Rng) {
        for (index, (unit, earlier)) in self.earlier.iter().enumerate() {
            if kept >> (index % 64) & 1 == 0 {
                let older = if random.bool() { earlier.first() } else { random.choice(earlier.iter()) };
                unit_of(image, *unit).copy_from_slice(older.expect("noted with its content"));
            }
        }
    }

    /// Leaves a mixture of old and new, or garbage, in this unit.
    fn tear(&self, image: &mut [u8], unit: usize, random: &mut fastrand::Rng) {
        let old = random.choice(self.earlier[&unit].iter()).expect("noted with its content");
        let place = unit_of(image, unit);
        match random.u8(..4) {
            0 => random.fill(place),
            1 => {
                let from = random.usize(..PROGRAM_UNIT_BYTES);
                place[from..].copy_from_slice(&old[from..]);
            }
            2 => {
                let until = random.usize(..PROGRAM_UNIT_BYTES);
                place[..until].copy_from_slice(&old[..until]);
            }
            _ => {
                for (byte, old) in place.iter_mut().zip(old) {
                    *byte = if random.bool() { *old } else { *byte };
                }
            }
        }
    }
}

impl Journal {
    pub(super) fn starting_with(image: Vec<u8>, pending: Pending) -> Journal {
        Journal { image, pending, ops: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Whether anything written since the start was synced.
    pub fn has_synced_write(&self) -> bool {
        let synced = self.ops.iter().rposition(|op| matches!(op, Op::Sync));
        let written = self.ops.iter().position(|op| matches!(op, Op::Write { is_erase: false, .. }));
        matches!((written, synced), (Some(written), Some(synced)) if written < synced)
    }

    /// Shows the states to `visit`, until that fails.
    pub fn each_cut<E>(
        self,
        how: Thoroughness,
        random: &mut fastrand::Rng,
        visit: &mut dyn FnMut(Cut<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Journal { mut image, mut pending, ops } = self;
        for (number, op) in ops.into_iter().enumerate() {
            match op {
                Op::Write { offset, bytes, is_erase } => {
                    pending.note(&image, offset, bytes.len());
                    let step = if is_erase { PROGRAM_UNIT_BYTES } else { how.step_bytes };
                    each_byte(&mut image, offset, &bytes, number, step, random, visit)?;
                    each_subset(&image, &pending, how, number, random, visit)?;
                }
                Op::Sync => {
                    pending = Pending::default();
                    visit(Cut { image: &image, op: number, kind: CutKind::Synced })?;
                }
            }
        }
        Ok(())
    }
}

/// A write that gets through in order, up to some byte. It is done when this returns.
fn each_byte<E>(
    image: &mut [u8],
    offset: usize,
    bytes: &[u8],
    op: usize,
    step: usize,
    random: &mut fastrand::Rng,
    visit: &mut dyn FnMut(Cut<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let first = if step > 1 { random.usize(..step) } else { 0 };
    let mut done = 0;
    for cut in (first..bytes.len()).step_by(step) {
        image[offset + done..offset + cut].copy_from_slice(&bytes[done..cut]);
        done = cut;
        visit(Cut { image, op, kind: CutKind::AfterBytes(cut) })?;
        if random.u8(..16) == 0 {
            let unit = (offset + cut) / PROGRAM_UNIT_BYTES;
            let kept = content(image, unit);
            random.fill(&mut unit_of(image, unit)[(offset + cut) % PROGRAM_UNIT_BYTES..]);
            visit(Cut { image, op, kind: CutKind::Garbage(cut) })?;
            unit_of(image, unit).copy_from_slice(&kept);
        }
    }
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
    Ok(())
}

/// A write that is done but not synced: units get lost in any order, and one may be torn.
fn each_subset<E>(
    image: &[u8],
    pending: &Pending,
    how: Thoroughness,
    op: usize,
    random: &mut fastrand::Rng,
    visit: &mut dyn FnMut(Cut<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let units: Vec<usize> = pending.earlier.keys().copied().collect();
    let is_small = units.len() <= EXHAUSTIVE_UNITS_MAX && 1 << units.len() <= how.random_subsets.max(1 << 4);
    let tries = if is_small { 1 << units.len() } else { how.random_subsets };
    let mut torn_image = image.to_vec();
    for subset in 0..tries as u64 {
        let kept = if is_small { subset } else { random.u64(..) };
        torn_image.copy_from_slice(image);
        pending.lose(&mut torn_image, kept, random);
        visit(Cut { image: &torn_image, op, kind: CutKind::Lost(!kept & ((1 << units.len().min(63)) - 1)) })?;
        if let Some(unit) = random.choice(units.iter().copied()) {
            unit_of(&mut torn_image, unit).copy_from_slice(&content(image, unit));
            pending.tear(&mut torn_image, unit, random);
            visit(Cut { image: &torn_image, op, kind: CutKind::Torn(!kept, unit) })?;
        }
    }
    Ok(())
}

fn content(image: &[u8], unit: usize) -> [u8; PROGRAM_UNIT_BYTES] {
    let mut copy = [0; PROGRAM_UNIT_BYTES];
    copy.copy_from_slice(&image[unit * PROGRAM_UNIT_BYTES..][..PROGRAM_UNIT_BYTES]);
    copy
}

fn unit_of(image: &mut [u8], unit: usize) -> &mut [u8] {
    &mut image[unit * PROGRAM_UNIT_BYTES..][..PROGRAM_UNIT_BYTES]
}
