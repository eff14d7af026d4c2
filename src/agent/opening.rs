//! The agent's ring: opened at the start, or later if its card is not ready then.

use super::describing::describe;
use super::notify::Notify;
use super::shared::METER_KEY;
use super::trouble::Trouble;
use super::{Shared, ring_wear};
use crate::buffer::{Buffer, BufferOptions, EndpointLanes};
use crate::clock::Clock;
use crate::counters::Counters;
use crate::model::SeriesTable;
use crate::ring::{AtStart, Found, Recovery, RingError, Storage};
use smol::Timer;
use std::rc::Rc;
use std::time::Duration;

/// Waits between attempts to open the ring.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// What it takes to open the ring.
pub(super) struct RingOpener {
    pub options: BufferOptions,
    pub lanes: Vec<EndpointLanes>,
    pub table: Rc<SeriesTable>,
    pub counters: Rc<Counters>,
}

impl RingOpener {
    /// A buffer on the ring, or in memory only if the card is not ready. An error: somebody has to change something.
    pub fn open_at_start(&self) -> Result<Buffer<Storage>, RingError> {
        let (table, counters) = (self.table.clone(), self.counters.clone());
        match Buffer::open_ring(&self.options, &self.lanes, table.clone(), counters.clone()) {
            Ok((buffer, found, recovery)) => {
                describe(found, &recovery, &self.options.path);
                Ok(buffer)
            }
            Err(error) if error.at_start() == AtStart::RunInMemory => {
                log::error!(
                    "{error}; samples are in memory only until the ring can be opened: a stop or a power cut loses those that \
                     were not delivered"
                );
                Buffer::without_ring(&self.options, &self.lanes, table, counters)
            }
            Err(error) => Err(error),
        }
    }

    /// One attempt at the stop, on this thread: nothing else is left to be held up.
    pub fn open_at_stop(&self, shared: &Shared) -> Result<(), RingError> {
        let (table, counters) = (self.table.clone(), self.counters.clone());
        let (opened, ..) = Buffer::open_ring(&self.options, &self.lanes, table, counters)?;
        take_over(shared, opened);
        Ok(())
    }

    /// One attempt. What may block on the card for long, making the file, is done on the blocking pool.
    async fn open(&self) -> Result<(Buffer<Storage>, Found, Recovery), RingError> {
        let (path, shape) = (self.options.path.clone(), self.options.shape());
        let (storage, found) = smol::unblock(move || Storage::open(&path, &shape)).await?;
        Buffer::open_on(storage, found, &self.options, &self.lanes, self.table.clone(), self.counters.clone())
    }
}

/// Tries to open the ring until it opens, and moves the buffer into it.
pub(super) async fn open_late(shared: &Shared) {
    let (mut trouble, mut wait) = (Trouble::default(), BACKOFF_MIN);
    loop {
        Timer::after(wait).await;
        wait = (2 * wait).min(BACKOFF_MAX);
        let opened = shared.opener.open().await;
        let now = shared.clock.monotonic();
        match opened {
            Ok((opened, found, recovery)) => {
                let path = &shared.opener.options.path;
                describe(found, &recovery, path);
                log::warn!("{}: the ring is open now; samples in memory go to it", path.display());
                take_over(shared, opened);
                return;
            }
            Err(error) => {
                if let Some(line) = trouble.failed(now, &error) {
                    log::error!("samples are in memory only: {line}");
                }
            }
        }
    }
}

/// The buffer goes on in the ring of `opened`, and so does what the ring's note is for.
fn take_over(shared: &Shared, opened: Buffer<Storage>) {
    let mut buffer = shared.buffer.borrow_mut();
    buffer.move_into(opened, shared.clock.monotonic());
    if let Some(noted) = buffer.remembered(METER_KEY) {
        shared.meter.borrow_mut().add(noted);
    }
    *shared.wear.borrow_mut() = ring_wear(&shared.opener, &buffer);
    shared.senders.iter().for_each(Notify::wake);
}
