//! The task that writes to flash what endpoints have not taken in time.
//!
//! The writes of a commit are made on the blocking pool, on a thread that exists only while there is something to write. A card
//! that blocks holds up nothing but its own commit: scrapes go on, and so do windows and requests.

use super::heap;
use super::notify::Notify;
use super::trouble::Trouble;
use super::{Shared, describe_wear, unless_stopped};
use crate::clock::Clock;
use crate::ring::RingError;
use smol::Timer;
use smol::channel::Receiver;
use smol::future::or;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

/// Waits between attempts while the flash refuses writes.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// How long a write may take before the log says so.
const SLOW: Duration = Duration::from_secs(10);

pub(super) async fn commit_until(shared: Rc<Shared>, stopping: Receiver<Infallible>) {
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
        let mut storage = shared.buffer.borrow().medium().clone();
        let mut writing = smol::unblock(move || write.perform(&mut storage));
        let in_time = or(async { Some((&mut writing).await) }, async {
            Timer::after(SLOW).await;
            None
        });
        let written = match in_time.await {
            Some(written) => written,
            None => {
                log::warn!("flash: a write has taken {SLOW:?} so far; samples stay in memory until it ends");
                writing.await
            }
        };
        shared.buffer.borrow_mut().wrote(written, shared.clock.monotonic())?;
    }
}
