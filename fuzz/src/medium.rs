//! A medium in memory; clones are the same one.

use narthex::ring::{Geometry, Medium};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

#[derive(Clone)]
pub struct MemoryMedium(Rc<RefCell<Vec<u8>>>);

impl MemoryMedium {
    pub fn new(image: Vec<u8>) -> Self {
        MemoryMedium(Rc::new(RefCell::new(image)))
    }

    pub fn image(&self) -> Vec<u8> {
        self.0.borrow().clone()
    }
}

impl Medium for MemoryMedium {
    fn geometry(&self) -> Geometry {
        Geometry { size_bytes: self.0.borrow().len() as u64, program_unit_bytes: 512, erase_block_bytes: 512 }
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let held = self.0.borrow();
        let bytes = held.get(offset as usize..offset as usize + into.len());
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(offset.is_multiple_of(512) && bytes.len().is_multiple_of(512), "whole units are programmed");
        self.0.borrow_mut()[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn erase(&mut self, _offset: u64, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
