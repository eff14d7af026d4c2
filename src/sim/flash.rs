//! Flash in memory that keeps the contract of [`Medium`] to the letter and not an inch further.
//!
//! *Block-like* flash can be overwritten, as a file or an SD card can. *NOR-like* flash must be erased to 0xff first, and each
//! unit is programmed once until the next erase. Whoever breaks the contract is told so by a panic.

use super::cuts::{Journal, Op, Pending};
use crate::bugs::{Bug, planted};
use crate::limits::PROGRAM_UNIT_BYTES;
use crate::ring::{Geometry, Medium};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashKind {
    Block,
    Nor,
}

impl FlashKind {
    fn blank(self) -> u8 {
        match self {
            FlashKind::Block => 0,
            FlashKind::Nor => 0xff,
        }
    }
}

/// A handle; clones are the same flash, so that it outlives the ring that was opened on it.
#[derive(Clone)]
pub struct SimFlash(Rc<RefCell<State>>);

struct State {
    kind: FlashKind,
    program_unit_bytes: usize,
    /// Units of 512 bytes that can't be read until they are written again.
    unreadable: BTreeSet<usize>,
    visible: Vec<u8>,
    pending: Pending,
    /// NOR: units that can't be programmed before they are erased.
    programmed: Vec<bool>,
    failing: Option<Failing>,
    journal: Option<Journal>,
    /// Erase calls by their offset.
    erases: BTreeMap<u64, u32>,
    reads_bytes: u64,
    /// False: the caller took its last sync too early, which is a deliberate bug.
    is_sync_due: bool,
    random: fastrand::Rng,
}

struct Failing {
    calls_left: u32,
    cause: io::ErrorKind,
    fails: Fails,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fails {
    Writes,
    Everything,
    OneRead,
}

impl SimFlash {
    /// Block-like, and filled with zeros.
    pub fn new(size_bytes: usize) -> Self {
        Self::blank(FlashKind::Block, size_bytes)
    }

    /// As a file is made, or raw flash is delivered.
    pub fn blank(kind: FlashKind, size_bytes: usize) -> Self {
        Self::with_image(kind, vec![kind.blank(); size_bytes])
    }

    /// Flash that holds these bytes, all of them durable.
    pub fn with_image(kind: FlashKind, image: Vec<u8>) -> Self {
        let programmed = match kind {
            FlashKind::Block => Vec::new(),
            FlashKind::Nor => image.chunks(PROGRAM_UNIT_BYTES).map(|unit| unit.iter().any(|b| *b != 0xff)).collect(),
        };
        SimFlash(Rc::new(RefCell::new(State {
            kind,
            program_unit_bytes: PROGRAM_UNIT_BYTES,
            unreadable: BTreeSet::new(),
            visible: image,
            pending: Pending::default(),
            programmed,
            failing: None,
            journal: None,
            erases: BTreeMap::new(),
            reads_bytes: 0,
            is_sync_due: true,
            random: fastrand::Rng::with_seed(0),
        })))
    }

    /// Lets this many erases, programs and syncs succeed, and every one after them fail.
    pub fn fail_after(&self, calls: u32) {
        self.fail_after_with(calls, io::ErrorKind::Other);
    }

    /// As [`fail_after`](Self::fail_after), with this error.
    pub fn fail_after_with(&self, calls: u32, cause: io::ErrorKind) {
        self.fail(calls, cause, Fails::Writes);
    }

    /// Lets this many calls of any sort succeed, and every one after them fail.
    pub fn fail_reads_after(&self, calls: u32) {
        self.fail(calls, io::ErrorKind::Other, Fails::Everything);
    }

    /// Lets this many reads succeed, and the one after them fail.
    pub fn fail_one_read_after(&self, reads: u32) {
        self.fail(reads, io::ErrorKind::Other, Fails::OneRead);
    }

    fn fail(&self, calls_left: u32, cause: io::ErrorKind, fails: Fails) {
        self.0.borrow_mut().failing = Some(Failing { calls_left, cause, fails });
    }

    /// Whether the call that was to fail has come.
    pub fn has_failed(&self) -> bool {
        self.0.borrow().failing.is_none()
    }

    /// What is programmed at once is a multiple of this.
    pub fn set_program_unit(&self, program_unit_bytes: u32) {
        self.0.borrow_mut().program_unit_bytes = program_unit_bytes as usize;
    }

    /// The unit of 512 bytes at this offset can't be read until it is written again.
    pub fn make_unreadable(&self, offset: usize) {
        self.0.borrow_mut().unreadable.insert(offset / PROGRAM_UNIT_BYTES);
    }

    /// Everything can be read again.
    pub fn make_readable(&self) {
        self.0.borrow_mut().unreadable.clear();
    }

    pub fn mend(&self) {
        self.0.borrow_mut().failing = None;
    }

    /// The power goes and comes back: each unsynced unit keeps its new bytes, older ones, or (one of them) some of both.
    pub fn cut(&self, random: &mut fastrand::Rng) {
        let state = &mut *self.0.borrow_mut();
        std::mem::take(&mut state.pending).lose_some(&mut state.visible, random);
        state.note_programmed();
    }

    /// The power goes and comes back, and this is what it left.
    pub fn cut_to(&self, image: &[u8]) {
        let state = &mut *self.0.borrow_mut();
        state.visible.copy_from_slice(image);
        state.pending = Pending::default();
        state.note_programmed();
    }

    /// The process ends without a power cut. Its successor knows of units what it can read: one that a failed call left erased
    /// takes a program.
    pub fn end_process(&self) {
        self.0.borrow_mut().note_programmed();
    }

    /// Other flash that was worn as much as this, and holds this image.
    pub fn fork(&self, image: Vec<u8>) -> SimFlash {
        let fork = Self::with_image(self.kind(), image);
        {
            let (mut state, parent) = (fork.0.borrow_mut(), self.0.borrow());
            state.erases = parent.erases.clone();
            state.program_unit_bytes = parent.program_unit_bytes;
        }
        fork
    }

    /// What a cut at this moment could leave: units that were not synced are as they were.
    pub fn durable_image(&self) -> Vec<u8> {
        let state = self.0.borrow();
        let mut image = state.visible.clone();
        state.pending.lose_all(&mut image);
        image
    }

    pub fn kind(&self) -> FlashKind {
        self.0.borrow().kind
    }

    /// What can be read at the moment.
    pub fn image(&self) -> Vec<u8> {
        self.0.borrow().visible.clone()
    }

    pub fn holds(&self, image: &[u8]) -> bool {
        self.0.borrow().visible == image
    }

    /// Changes bytes behind everybody's back.
    pub fn damage(&self, offset: usize, bytes: &[u8]) {
        let state = &mut *self.0.borrow_mut();
        state.visible[offset..offset + bytes.len()].copy_from_slice(bytes);
        state.note_programmed();
    }

    /// Bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.0.borrow().reads_bytes
    }

    /// How often the range that starts here was erased. Block-like flash counts the calls as well.
    pub fn erases_at(&self, offset: u64) -> u32 {
        self.0.borrow().erases.get(&offset).copied().unwrap_or(0)
    }

    /// From now on every call that changes something is written down.
    pub fn start_journal(&self) {
        let state = &mut *self.0.borrow_mut();
        state.journal = Some(Journal::starting_with(state.visible.clone(), state.pending.clone()));
    }

    /// What was written down since [`start_journal`](Self::start_journal).
    pub fn take_journal(&self) -> Journal {
        self.0.borrow_mut().journal.take().expect("start_journal comes first")
    }
}

impl State {
    fn spend_call(&mut self, is_read: bool) -> io::Result<()> {
        match &mut self.failing {
            Some(failing) if is_read && failing.fails == Fails::Writes => Ok(()),
            Some(failing) if !is_read && failing.fails == Fails::OneRead => Ok(()),
            Some(failing) if failing.calls_left == 0 => {
                let cause = failing.cause;
                self.failing = self.failing.take().filter(|failing| failing.fails != Fails::OneRead);
                Err(cause.into())
            }
            Some(failing) => {
                failing.calls_left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn note_programmed(&mut self) {
        for (programmed, unit) in self.programmed.iter_mut().zip(self.visible.chunks(PROGRAM_UNIT_BYTES)) {
            *programmed = unit.iter().any(|byte| *byte != 0xff);
        }
    }

    /// Writes what got through and remembers what was there.
    fn write(&mut self, offset: usize, bytes: &[u8], is_erase: bool) {
        self.pending.note(&self.visible, offset, bytes.len());
        self.visible[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.unreadable.retain(|unit| !(offset..offset + bytes.len()).contains(&(unit * PROGRAM_UNIT_BYTES)));
        if let Some(journal) = &mut self.journal {
            journal.ops.push(Op::Write { offset, bytes: bytes.to_vec(), is_erase });
        }
    }

    /// How much of a call gets through: all of it, or any part where it fails.
    fn part(&mut self, len: usize, failed: bool) -> usize {
        if failed { self.random.usize(0..=len) } else { len }
    }
}

impl Medium for SimFlash {
    fn geometry(&self) -> Geometry {
        let state = self.0.borrow();
        let (size_bytes, unit) = (state.visible.len() as u64, state.program_unit_bytes as u32);
        Geometry { size_bytes, program_unit_bytes: unit, erase_block_bytes: unit }
    }

    fn overwrites(&self) -> bool {
        self.kind() == FlashKind::Block
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.spend_call(true)?;
        let units = offset as usize / PROGRAM_UNIT_BYTES..(offset as usize + into.len()).div_ceil(PROGRAM_UNIT_BYTES);
        if state.unreadable.range(units).next().is_some() {
            return Err(io::Error::other("unreadable"));
        }
        let bytes = state.visible.get(offset as usize..offset as usize + into.len());
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        state.reads_bytes += into.len() as u64;
        Ok(())
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let unit = self.geometry().program_unit_bytes as usize;
        if planted(Bug::HeaderWrittenLate) && bytes.len() > unit && bytes.starts_with(b"NARTHEX") {
            let (header, frame) = bytes.split_at(unit);
            self.program(offset + unit as u64, frame)?;
            self.sync()?;
            self.0.borrow_mut().is_sync_due = false;
            return self.program(offset, header);
        }
        let state = &mut *self.0.borrow_mut();
        let offset = offset as usize;
        let unit = state.program_unit_bytes;
        assert!(offset.is_multiple_of(unit), "contract: a program starts in the middle of a unit");
        assert!(bytes.len().is_multiple_of(unit), "contract: a program ends in the middle of a unit");
        assert!(offset + bytes.len() <= state.visible.len(), "contract: a program goes beyond the medium");
        if state.kind == FlashKind::Nor {
            let units = offset / PROGRAM_UNIT_BYTES..(offset + bytes.len()) / PROGRAM_UNIT_BYTES;
            let is_free = state.programmed[units.clone()].iter().all(|programmed| !programmed);
            assert!(is_free, "contract: a unit is programmed twice without an erase");
            state.programmed[units].fill(true);
        }
        let outcome = state.spend_call(false);
        let done = state.part(bytes.len(), outcome.is_err());
        state.write(offset, &bytes[..done], false);
        outcome
    }

    fn erase(&mut self, offset: u64, len_bytes: u64) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        if planted(Bug::EraseForgotten) {
            return Ok(());
        }
        *state.erases.entry(offset).or_default() += 1;
        let outcome = state.spend_call(false);
        if state.kind == FlashKind::Nor {
            let done = state.part(len_bytes as usize, outcome.is_err());
            let units = offset as usize / PROGRAM_UNIT_BYTES..(offset + len_bytes) as usize / PROGRAM_UNIT_BYTES;
            state.programmed[units].fill(outcome.is_err());
            state.write(offset as usize, &vec![0xff; done], true);
        }
        outcome
    }

    fn sync(&mut self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        let was_due = std::mem::replace(&mut state.is_sync_due, true);
        if planted(Bug::SkippedSync) || !was_due {
            return Ok(());
        }
        state.spend_call(false)?;
        state.pending = Pending::default();
        if let Some(journal) = &mut state.journal {
            journal.ops.push(Op::Sync);
        }
        Ok(())
    }
}
