//! A file or device that is read and written in place, and never grows but when it is made.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of zeros written at a time when a file is made.
const FILL_BYTES: usize = 64 * 1024;

/// A file or device that is read and written in place. A clone is the same open file, for another thread.
#[derive(Clone, Debug)]
pub(super) struct FixedFile(pub Arc<File>);

impl From<File> for FixedFile {
    fn from(file: File) -> Self {
        FixedFile(Arc::new(file))
    }
}

impl FixedFile {
    pub fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < into.len() {
            match self.0.read_at(&mut into[done..], offset + done as u64) {
                // What a file was cut short by reads as if it had never been written.
                Ok(0) => {
                    into[done..].fill(0);
                    return Ok(());
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub fn program(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    /// Synced when it returns.
    pub fn write_zeros(&self, range: Range<u64>) -> io::Result<()> {
        let zeros = [0; FILL_BYTES];
        let mut file = &*self.0;
        file.seek(SeekFrom::Start(range.start))?;
        let mut left = range.end.saturating_sub(range.start);
        while left > 0 {
            let now = left.min(FILL_BYTES as u64);
            file.write_all(&zeros[..now as usize])?;
            left -= now;
        }
        file.sync_all()
    }
}
