//! The task that writes to flash what endpoints have not taken in time.
//!
//! The writes of a commit are made on the blocking pool, on a thread that exists only while there is something to write. A card
//! that blocks holds up nothing but its own commit: scrapes go on, and so do windows and requests.

use super::heap;
use super::notify::Notify;
use super::opening::open_late;
use super::trouble::Trouble;
use super::{Shared, describe_wear, unless_stopped};
use crate::buffer::Buffer;
use crate::clock::Clock;
use crate::ring::{Presence, RingError, Storage, Write, Written};
use smol::Timer;
use smol::channel::Receiver;
use smol::future::or;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// Waits between attempts while the flash refuses writes.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// How long a write may take before the log says so.
const SLOW: Duration = Duration::from_secs(10);

pub(super) async fn commit_until(shared: Rc<Shared>, stopping: Receiver<Infallible>) {
    if !shared.buffer.borrow().has_ring() && unless_stopped(&stopping, open_late(&shared)).await.is_none() {
        return;
    }
    let mut trouble = Trouble::default();
    let mut not_before = Duration::ZERO;
    loop {
        let (due, rest_due) = {
            let buffer = shared.buffer.borrow();
            (buffer.commit_due().map(|due| due.max(not_before)), buffer.rest_due())
        };
        let now = shared.clock.monotonic();
        if due.is_some_and(|due| due <= now) {
            not_before = commit(&shared, &mut trouble).await;
            shared.senders.iter().for_each(Notify::wake);
            continue;
        }
        if rest_due.is_some_and(|due| due <= now) {
            shared.buffer.borrow_mut().rest();
            heap::trim();
            continue;
        }
        let due = due.into_iter().chain(rest_due).min();
        let wait = async {
            match due {
                Some(due) => or(shared.sleep_until(due), shared.committer.wait()).await,
                None => shared.committer.wait().await,
            }
        };
        if unless_stopped(&stopping, wait).await.is_none() {
            return;
        }
    }
}

/// The time before which it is not to be tried again.
async fn commit(shared: &Shared, trouble: &mut Trouble) -> Duration {
    let committed = write_all(shared).await;
    let now = shared.clock.monotonic();
    match committed {
        Ok(()) => {
            if let Some(line) = trouble.succeeded(now) {
                log::info!("flash: {line}");
            }
            let segments_opened = shared.buffer.borrow().segments_opened();
            if let Some(report) = shared.wear.borrow_mut().daily(segments_opened, now) {
                describe_wear(&report);
            }
            Duration::ZERO
        }
        Err(error) => {
            if let Some(line) = trouble.failed(now, &error) {
                log::error!("samples stay in memory: {line}");
            }
            let doublings = trouble.failures().min(16) as u32 - 1;
            now + (BACKOFF_MIN * 2u32.pow(doublings)).min(BACKOFF_MAX)
        }
    }
}

/// All writes of one commit. The buffer is borrowed between them only.
async fn write_all(shared: &Shared) -> Result<(), RingError> {
    loop {
        let write = shared.buffer.borrow_mut().next_write(shared.clock.monotonic())?;
        let Some(write) = write else { return Ok(()) };
        let storage = shared.buffer.borrow().medium().clone();
        let mut writing = smol::unblock(move || perform(storage, write));
        let in_time = or(async { Some((&mut writing).await) }, async {
            Timer::after(SLOW).await;
            None
        });
        let (written, found) = match in_time.await {
            Some(written) => written,
            None => {
                log::warn!("flash: a write has taken {SLOW:?} so far; samples stay in memory until it ends");
                writing.await
            }
        };
        apply(&mut shared.buffer.borrow_mut(), found);
        shared.buffer.borrow_mut().wrote(written, shared.clock.monotonic())?;
    }
}

/// What was put right about the ring's file, for the buffer to know.
enum Found {
    InPlace,
    /// It goes on in another file.
    PutBack(Storage),
    /// It has lost everything from this offset on.
    Cut {
        length_bytes: u64,
    },
}

/// Blocks, as long as the card does.
fn perform(mut storage: Storage, write: Write) -> (Written, Found) {
    match put_right(&storage) {
        Ok(Found::InPlace) => (write.perform(&mut storage), Found::InPlace),
        Ok(Found::PutBack(mut back)) => (write.perform(&mut back), Found::PutBack(back)),
        Ok(cut) => {
            let cause = io::Error::other("its file was cut short; the next write begins a new segment");
            (write.refuse(RingError::Device { doing: "writing", cause }), cut)
        }
        Err(error) => (write.refuse(error), Found::InPlace),
    }
}

/// Puts the ring's file back if it was deleted or replaced, and fills it up if it was cut short.
fn put_right(storage: &Storage) -> Result<Found, RingError> {
    match storage.presence()? {
        Presence::InPlace => Ok(Found::InPlace),
        Presence::Moved => {
            log::error!(
                "the ring's file was deleted or replaced while it was in use; what it holds is copied to a new file"
            );
            let back = storage.put_back()?;
            log::warn!("the ring goes on in a new file of the same name");
            Ok(Found::PutBack(back))
        }
        Presence::Cut { length_bytes } => {
            log::error!(
                "the ring's file was cut short to {length_bytes} bytes while it was in use; what was behind is lost"
            );
            storage.refill(length_bytes)?;
            Ok(Found::Cut { length_bytes })
        }
    }
}

fn apply(buffer: &mut Buffer<Storage>, found: Found) {
    match found {
        Found::InPlace => {}
        Found::PutBack(storage) => buffer.replace_medium(storage),
        Found::Cut { length_bytes } => {
            let segments = buffer.lose_beyond(length_bytes);
            log::error!(
                "{segments} segments of the ring were cut off; samples in them that were not delivered are counted as lost"
            );
        }
    }
}

/// The last commit of all, on this thread: nothing else is left to be held up.
pub(super) fn close(shared: &Shared) -> Result<(), RingError> {
    if !shared.buffer.borrow().has_ring()
        && let Err(error) = shared.opener.open_at_stop(shared)
    {
        log::error!("the ring can't be opened at the stop either: {error}");
    }
    let mut buffer = shared.buffer.borrow_mut();
    match put_right(buffer.medium()) {
        Ok(found) => apply(&mut buffer, found),
        Err(error) => match buffer.medium().presence() {
            Ok(Presence::Moved) => return buffer.close_without_medium(error),
            Ok(Presence::Cut { length_bytes }) => apply(&mut buffer, Found::Cut { length_bytes }),
            // What the file holds stays there; what can't be written to it is counted.
            Ok(Presence::InPlace) | Err(_) => log::error!("flash: {error}"),
        },
    }
    buffer.close()
}
