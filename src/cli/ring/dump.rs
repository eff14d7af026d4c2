//! `narthex ring dump`: every sample that can be read, oldest record first, as `narthex scrape --format json` shows it.

use super::error::ToolError;
use super::open;
use super::walk::{End, Go, walk};
use crate::cli::scrape_output::{ScrapeFormat, render};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Holds one frame at a time, however large the ring is. What can't be read goes to the log.
pub fn dump(file: &Path, out: &mut impl Write) -> Result<(), ToolError> {
    // Nothing but samples goes to standard output.
    let Some(view) = open(file, &mut std::io::stderr())? else { return Ok(()) };
    let mut out = BufWriter::new(out);
    let mut samples_lost = 0;
    for segment in view.ring.segments() {
        let walked = walk(&view.ring, segment, |_, batch| {
            out.write_all(render(batch, ScrapeFormat::Json).as_bytes())?;
            Ok(Go::On)
        });
        match walked?.end {
            End::Whole => {}
            End::GivenUp => log::warn!("the agent evicted segment {} while it was read", segment.seq),
            End::Damaged(damage) => {
                let (offset, lost) = (view.ring.offset_of(damage.at), damage.samples_lost);
                log::error!("segment {} from byte {offset} on: {}; {lost} samples lost", segment.seq, damage.cause);
                samples_lost += lost;
            }
        }
    }
    out.flush()?;
    match samples_lost {
        0 => Ok(()),
        _ => Err(ToolError::Damaged { file: file.to_path_buf(), samples_lost }),
    }
}
