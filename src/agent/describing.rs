//! What the log is told when an agent starts: of the ring and the flash.

use crate::ring::{Found, Recovery};
use crate::wear::WearReport;
use std::path::Path;

/// Says in the log what is known of the flash and its wear.
pub(super) fn describe_wear(report: &WearReport) {
    let level = if report.is_alarming() { log::Level::Warn } else { log::Level::Info };
    report.lines().iter().for_each(|line| log::log!(level, "wear: {line}"));
}

/// Says in the log what the ring was found to be.
pub(super) fn describe(found: Found, recovery: &Recovery, path: &Path) {
    let path = path.display();
    match found {
        Found::Made => return log::info!("{path}: a new ring was made"),
        Found::Emptied { length_bytes } => {
            return log::warn!(
                "{path}: the file had {length_bytes} bytes and no ring in it, and a new ring was made; if it held one before, its samples are lost"
            );
        }
        Found::Short { missing_bytes } => {
            log::warn!(
                "{path}: the ring's file was cut short by {missing_bytes} bytes and is filled up with zeros; samples that \
                 were there are counted as ring_damaged when an endpoint comes to them"
            )
        }
        Found::Whole | Found::Other => {}
    }
    if recovery.damaged_slots > 0 {
        log::warn!(
            "{path}: {} segments are damaged; their samples are counted as ring_damaged when an endpoint comes to them, and \
             narthex ring verify counts them now",
            recovery.damaged_slots
        );
    }
    log::info!("{path}: the ring holds {} segments", recovery.segments.len());
}
