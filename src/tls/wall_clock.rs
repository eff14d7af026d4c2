//! The time by which certificates are judged.

use crate::clock::system_time;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use std::time::UNIX_EPOCH;

/// Our wall clock in place of rustls's, which the standard library tells: see [`crate::clock`].
#[derive(Debug)]
pub(super) struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        system_time().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}
