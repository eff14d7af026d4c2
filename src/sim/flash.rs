//! Block-like flash in memory: units can be overwritten, and those not yet synced are at a power cut's mercy.

use crate::limits::PROGRAM_UNIT_BYTES;
use crate::ring::{Geometry, Medium};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

/// A handle; clones are the same flash, so that it outlives the ring that was opened on it.
#[derive(Clone)]
pub struct SimFlash(Rc<RefCell<State>>);

struct State {
    durable: Vec<u8>,
    visible: Vec<u8>,
    /// Units programmed since the last sync.
    unsynced: BTreeSet<usize>,
    /// Calls that still succeed before every further one fails.
    calls_left: Option<u32>,
    /// Reads that still succeed before every further one fails.
    reads_left: Option<u32>,
    reads_bytes: u64,
}

impl SimFlash {
    pub fn new(size_bytes: usize) -> Self {
        SimFlash(Rc::new(RefCell::new(State {
            durable: vec![0; size_bytes],
            visible: vec![0; size_bytes],
            unsynced: BTreeSet::new(),
            calls_left: None,
            reads_left: None,
            reads_bytes: 0,
        })))
    }

    /// Lets this many programs and syncs succeed, and every one after them fail.
    pub fn fail_after(&self, calls: u32) {
        self.0.borrow_mut().calls_left = Some(calls);
    }

    /// Lets this many reads succeed, and every one after them fail.
    pub fn fail_reads_after(&self, reads: u32) {
        self.0.borrow_mut().reads_left = Some(reads);
    }

    pub fn mend(&self) {
        let state = &mut *self.0.borrow_mut();
        (state.calls_left, state.reads_left) = (None, None);
    }

    /// The power goes: each unsynced unit keeps its new bytes, its old ones, or (one of them) some of both.
    pub fn cut(&self, random: &mut fastrand::Rng) {
        let state = &mut *self.0.borrow_mut();
        let unsynced: Vec<usize> = std::mem::take(&mut state.unsynced).into_iter().collect();
        let torn = random.choice(&unsynced).copied().filter(|_| random.bool());
        for unit in unsynced {
            let (start, end) = (unit * PROGRAM_UNIT_BYTES, (unit + 1) * PROGRAM_UNIT_BYTES);
            let kept = if Some(unit) == torn {
                random.usize(..PROGRAM_UNIT_BYTES)
            } else if random.bool() {
                PROGRAM_UNIT_BYTES
            } else {
                0
            };
            state.durable[start..start + kept].copy_from_slice(&state.visible[start..start + kept]);
            debug_assert!(start + kept <= end);
        }
        state.visible = state.durable.clone();
    }

    pub fn image(&self) -> Vec<u8> {
        self.0.borrow().visible.clone()
    }

    /// Changes bytes behind everybody's back.
    pub fn damage(&self, offset: usize, bytes: &[u8]) {
        let state = &mut *self.0.borrow_mut();
        state.visible[offset..offset + bytes.len()].copy_from_slice(bytes);
        state.durable[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.0.borrow().reads_bytes
    }
}

impl State {
    fn spend_call(&mut self) -> io::Result<()> {
        spend(&mut self.calls_left)
    }
}

fn spend(left: &mut Option<u32>) -> io::Result<()> {
    match left {
        Some(0) => Err(io::Error::other("simulated failure")),
        Some(left) => {
            *left -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

impl Medium for SimFlash {
    fn geometry(&self) -> Geometry {
        let unit = PROGRAM_UNIT_BYTES as u32;
        let size_bytes = self.0.borrow().visible.len() as u64;
        Geometry { size_bytes, program_unit_bytes: unit, erase_block_bytes: unit }
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        spend(&mut state.reads_left)?;
        let bytes = state.visible.get(offset as usize..offset as usize + into.len());
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        state.reads_bytes += into.len() as u64;
        Ok(())
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        let offset = offset as usize;
        assert!(offset.is_multiple_of(PROGRAM_UNIT_BYTES) && bytes.len().is_multiple_of(PROGRAM_UNIT_BYTES));
        let failed = state.spend_call();
        // A failing program leaves half of its range changed: the contract allows any state.
        let done = if failed.is_ok() { bytes.len() } else { (bytes.len() / 2).next_multiple_of(PROGRAM_UNIT_BYTES) };
        state.visible[offset..offset + done].copy_from_slice(&bytes[..done]);
        state.unsynced.extend(offset / PROGRAM_UNIT_BYTES..(offset + done) / PROGRAM_UNIT_BYTES);
        failed
    }

    fn erase(&mut self, _offset: u64, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.spend_call()?;
        state.unsynced.clear();
        state.durable = state.visible.clone();
        Ok(())
    }
}
