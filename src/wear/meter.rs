//! From counters to reports while the agent runs; at most one a day, and only while flash is written.

use super::report::{Life, Ratings, RingShape, WearReport, Written};
use super::storage::Storage;
use crate::counters::Counters;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const SECTOR_BYTES: u64 = 512;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Holds what was true at the start. Times are of the monotonic clock, which starts at zero with the counters.
pub struct WearMeter {
    counters: Rc<Counters>,
    storage: Storage,
    shape: RingShape,
    ratings: Ratings,
    sectors_at_start: Option<u64>,
    said: Said,
}

/// The last report, or the start.
#[derive(Default)]
struct Said {
    at: Duration,
    bytes: u64,
}

impl WearMeter {
    /// For the ring in this file.
    pub fn start(path: &Path, shape: RingShape, ratings: Ratings, counters: Rc<Counters>) -> WearMeter {
        WearMeter::on(Storage::under(path), shape, ratings, counters)
    }

    fn on(storage: Storage, shape: RingShape, ratings: Ratings, counters: Rc<Counters>) -> WearMeter {
        let sectors_at_start = storage.figures().sectors_written;
        WearMeter { counters, storage, shape, ratings, sectors_at_start, said: Said::default() }
    }

    /// As of now. `segments_opened` is over the whole life of the ring.
    pub fn report(&self, segments_opened: u64, now: Duration) -> WearReport {
        let figures = self.storage.figures();
        let sectors = figures.sectors_written.zip(self.sectors_at_start);
        let written = Written {
            over: now,
            bytes: self.counters.flash_bytes_written.get(),
            payload_bytes: self.counters.flash_payload_bytes.get(),
            programs: self.counters.flash_programs.get(),
            erases: self.counters.flash_erases.get(),
            syncs: self.counters.flash_syncs.get(),
            // A 32-bit kernel's count starts again at zero after 2 TiB.
            device_bytes: sectors.and_then(|(now, start)| Some(now.checked_sub(start)? * SECTOR_BYTES)),
        };
        let life = Life::project(self.shape, self.ratings, segments_opened, Some(&written));
        WearReport { written: Some(written), storage: self.storage.clone(), figures, life }
    }

    /// What is known before anything was written.
    pub fn report_at_start(&self, segments_opened: u64) -> WearReport {
        WearReport::of(self.storage.clone(), self.shape, self.ratings, segments_opened)
    }

    /// A report if a day has passed since the last one and something was written meanwhile.
    pub fn daily(&mut self, segments_opened: u64, now: Duration) -> Option<WearReport> {
        let bytes = self.counters.flash_bytes_written.get();
        if now < self.said.at + DAY || bytes == self.said.bytes {
            return None;
        }
        self.said = Said { at: now, bytes };
        Some(self.report(segments_opened, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const SHAPE: RingShape = RingShape { segment_size_bytes: 16 << 10, segment_count: 8 };

    #[test]
    fn a_report_is_due_once_a_day_while_flash_is_written() {
        let counters = Rc::<Counters>::default();
        let mut meter = WearMeter::on(Storage::Unknown, SHAPE, Ratings::default(), counters.clone());
        let hours = |hours: u32| DAY / 24 * hours;
        let mut reports = Vec::new();
        for hour in 0..24 * 7 {
            if !(30..75).contains(&hour) {
                counters.flash_bytes_written.add(512);
            }
            reports.extend(meter.daily(1, hours(hour)).map(|_| hour));
        }
        assert_eq!(reports, [24, 48, 75, 99, 123, 147]);
    }

    #[test]
    fn what_reached_the_device_is_counted_from_the_start_on() {
        let folder = tempfile::tempdir().unwrap();
        let stat = |sectors: u64| fs::write(folder.path().join("stat"), format!("1 2 3 4 5 6 {sectors} 8\n")).unwrap();
        let storage = Storage::Block { part: folder.path().into(), disk: folder.path().into() };
        stat(1000);
        let counters = Rc::<Counters>::default();
        let meter = WearMeter::on(storage, SHAPE, Ratings::default(), counters.clone());
        stat(1024);
        counters.flash_bytes_written.add(4096);
        counters.flash_payload_bytes.add(2048);
        let written = meter.report(1, DAY).written.unwrap();
        assert_eq!((written.bytes, written.device_bytes, written.amplification()), (4096, Some(24 * 512), Some(2.0)));
        stat(3);
        assert_eq!(meter.report(1, DAY).written.unwrap().device_bytes, None);
    }
}
