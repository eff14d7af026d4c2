//! The task that writes to flash what endpoints have not taken in time.

use super::heap;
use super::notify::Notify;
use super::trouble::Trouble;
use super::{Shared, describe_wear, unless_stopped};
use crate::clock::Clock;
use smol::channel::Receiver;
use smol::future::or;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

/// Waits between attempts while the flash refuses writes.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

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
            not_before = commit(&shared, &mut trouble, now);
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
fn commit(shared: &Shared, trouble: &mut Trouble, now: Duration) -> Duration {
    let committed = shared.buffer.borrow_mut().commit(now);
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
