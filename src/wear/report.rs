//! What was written, what it did, and how long the flash will last: figures, and lines for whoever reads them.

use super::figures::Figures;
use super::storage::Storage;
use crate::model::format_duration;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Below this a rate says nothing about a life.
const RATE_KNOWN_AFTER: Duration = Duration::from_secs(3600);

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// How the ring lies on its medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingShape {
    pub segment_size_bytes: u64,
    pub segment_count: u64,
}

/// What the configuration says of the flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ratings {
    /// Erases that each block endures.
    pub rated_cycles: Option<u32>,
    /// What is erased at once.
    pub erase_block_bytes: Option<u64>,
}

/// What the agent wrote since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub over: Duration,
    /// Bytes programmed, headers and padding included.
    pub bytes: u64,
    /// Encoded samples among them.
    pub payload_bytes: u64,
    pub programs: u64,
    /// Segments opened.
    pub erases: u64,
    pub syncs: u64,
    /// What reached the partition or disk in that time, written by anybody; `None` where the kernel does not tell.
    pub device_bytes: Option<u64>,
}

/// How much of the rated erase cycles of the ring's blocks is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Life {
    pub rated_cycles: u32,
    /// Over the whole life of the ring.
    pub cycles_used: f64,
    /// Years left at the rate since the start, if each byte programmed reaches the flash once; `None` as long as no rate is known.
    pub years_left: Option<f64>,
    /// The same if all that reached the device were the ring's doing.
    pub years_left_at_least: Option<f64>,
}

/// All there is to say about wear.
#[derive(Clone, Debug, PartialEq)]
pub struct WearReport {
    /// `None` for a ring whose agent is not running.
    pub written: Option<Written>,
    pub storage: Storage,
    pub figures: Figures,
    /// There if `rated_cycles` is configured.
    pub life: Option<Life>,
}

impl WearReport {
    /// Of a ring at rest: what its device says, and the cycles used. `segments_opened` is the number of its newest segment.
    pub fn at_rest(path: &Path, shape: RingShape, ratings: Ratings, segments_opened: u64) -> WearReport {
        WearReport::of(Storage::under(path), shape, ratings, segments_opened)
    }

    pub(super) fn of(storage: Storage, shape: RingShape, ratings: Ratings, segments_opened: u64) -> WearReport {
        let figures = storage.figures();
        WearReport { life: Life::project(shape, ratings, segments_opened, None), written: None, storage, figures }
    }

    /// Whether the device says that its end is near.
    pub fn is_alarming(&self) -> bool {
        let is_used_up = |life: &Life| life.cycles_used >= f64::from(life.rated_cycles);
        self.figures.emmc.is_some_and(|emmc| emmc.is_near_its_end()) || self.life.as_ref().is_some_and(is_used_up)
    }

    /// One line for each thing that is known.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let name = self.storage.name().unwrap_or("an unknown device");
        if let Some(written) = &self.written {
            lines.push(written.to_string());
            if let Some(bytes) = written.device_bytes {
                let shown = shown_bytes(bytes);
                lines.push(format!("{name} took {shown} in that time, from all programs and the file system together"));
            }
        }
        match (self.figures.emmc, self.figures.ubi) {
            (Some(emmc), _) => lines.push(format!("{name} is on an eMMC: {emmc}")),
            (None, Some(ubi)) => lines.push(format!("{name}: {ubi}")),
            (None, None) => lines.push(format!("{name} does not tell its wear")),
        }
        lines.extend(self.life.map(|life| life.to_string()));
        lines
    }
}

impl fmt::Display for WearReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("; "))
    }
}

impl Written {
    /// Bytes programmed for each byte of encoded samples; what the file system and the device add is not in it.
    pub fn amplification(&self) -> Option<f64> {
        (self.payload_bytes > 0).then(|| self.bytes as f64 / self.payload_bytes as f64)
    }

    /// Laps over the ring: by bytes, or by segments where these are left half empty.
    fn laps(&self, shape: RingShape) -> f64 {
        let by_bytes = self.bytes as f64 / (shape.segment_size_bytes * shape.segment_count) as f64;
        let by_segments = self.erases.saturating_sub(1) as f64 / shape.segment_count as f64;
        by_bytes.max(by_segments)
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = format_duration(Duration::from_secs(self.over.as_secs()));
        write!(f, "{} written to flash in {over}", shown_bytes(self.bytes))?;
        write!(f, ", {} programs, {} syncs, {} segments erased", self.programs, self.syncs, self.erases)?;
        let factor = |factor| write!(f, ", {factor:.2} bytes for each byte of samples");
        self.amplification().map_or(Ok(()), factor)
    }
}

impl Life {
    /// `None` without `rated_cycles`.
    pub(super) fn project(
        shape: RingShape,
        ratings: Ratings,
        segments_opened: u64,
        written: Option<&Written>,
    ) -> Option<Life> {
        let rated_cycles = ratings.rated_cycles?;
        // A block that holds several segments is erased for each of them.
        let erase_block_bytes = ratings.erase_block_bytes.unwrap_or(0);
        let erases_per_lap = (erase_block_bytes as f64 / shape.segment_size_bytes as f64).max(1.0);
        let cycles_used = segments_opened as f64 / shape.segment_count as f64 * erases_per_lap;
        let cycles_left = (f64::from(rated_cycles) - cycles_used).max(0.0);
        let known = written.filter(|written| written.over >= RATE_KNOWN_AFTER && written.bytes > 0);
        let years_left = known.map(|written| {
            let cycles_per_second = written.laps(shape) * erases_per_lap / written.over.as_secs_f64();
            cycles_left / cycles_per_second / YEAR.as_secs_f64()
        });
        let at_least = |written: &Written| {
            let factor = (written.device_bytes? as f64 / written.bytes as f64).max(1.0);
            years_left.map(|years| years / factor)
        };
        Some(Life { rated_cycles, cycles_used, years_left, years_left_at_least: known.and_then(at_least) })
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} of {} erase cycles used", self.cycles_used, self.rated_cycles)?;
        let Some(most) = self.years_left else { return Ok(()) };
        match self.years_left_at_least {
            Some(least) => write!(f, ", {} to {} years left at this rate", shown_years(least), shown_years(most)),
            None => write!(f, ", {} years left at this rate", shown_years(most)),
        }
    }
}

fn shown_years(years: f64) -> String {
    match years {
        years if years >= 1000.0 => "1000 or more".into(),
        years if years >= 10.0 => format!("{years:.0}"),
        years => format!("{years:.1}"),
    }
}

fn shown_bytes(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes >= 1073741824.0 => format!("{:.1} GiB", bytes / 1073741824.0),
        bytes if bytes >= 1048576.0 => format!("{:.1} MiB", bytes / 1048576.0),
        bytes => format!("{:.1} KiB", bytes / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::{EmmcLife, UbiWear};
    use super::*;
    use std::path::PathBuf;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    /// 64 MiB.
    const SHAPE: RingShape = RingShape { segment_size_bytes: 1 << 20, segment_count: 64 };

    fn life(ratings: Ratings, segments_opened: u64, written: Written) -> Life {
        Life::project(SHAPE, ratings, segments_opened, Some(&written)).unwrap()
    }

    fn rated(rated_cycles: u32) -> Ratings {
        Ratings { rated_cycles: Some(rated_cycles), erase_block_bytes: None }
    }

    #[test]
    fn a_lap_a_day_takes_one_cycle_a_day() {
        let written = Written { over: DAY, bytes: 64 << 20, erases: 64, ..Written::default() };
        let life = life(rated(3650 + 2), 128, written);
        assert_eq!((life.cycles_used, life.years_left, life.years_left_at_least), (2.0, Some(10.0), None));
        assert_eq!(life.to_string(), "2.0 of 3652 erase cycles used, 10 years left at this rate");
    }

    #[test]
    fn what_the_device_took_bounds_it_from_below() {
        let written = Written { over: DAY, bytes: 64 << 20, device_bytes: Some(256 << 20), ..Written::default() };
        let life = life(rated(3650), 0, written);
        assert_eq!((life.years_left, life.years_left_at_least), (Some(10.0), Some(2.5)));
        assert_eq!(life.to_string(), "0.0 of 3650 erase cycles used, 2.5 to 10 years left at this rate");
    }

    #[test]
    fn segments_smaller_than_an_erase_block_cost_an_erase_each() {
        let ratings = Ratings { rated_cycles: Some(3650), erase_block_bytes: Some(4 << 20) };
        let written = Written { over: DAY, bytes: 64 << 20, ..Written::default() };
        assert_eq!(life(ratings, 64, written).cycles_used, 4.0);
        assert_eq!(life(ratings, 0, written).years_left, Some(2.5));
        let small = Ratings { erase_block_bytes: Some(4096), ..ratings };
        assert_eq!(life(small, 64, written).cycles_used, 1.0);
    }

    #[test]
    fn segments_that_are_left_half_empty_count_whole() {
        let written = Written { over: DAY, bytes: 32 << 20, erases: 65, ..Written::default() };
        assert_eq!(life(rated(365), 0, written).years_left, Some(1.0));
    }

    #[test]
    fn no_rate_is_made_of_an_hour_or_of_nothing() {
        let short = Written { over: DAY / 48, bytes: 1 << 20, ..Written::default() };
        assert_eq!(life(rated(3000), 0, short).years_left, None);
        assert_eq!(life(rated(3000), 0, Written { over: DAY, ..Written::default() }).years_left, None);
        assert_eq!(life(rated(3), 1000, Written { over: DAY, bytes: 1, ..Written::default() }).years_left, Some(0.0));
        assert_eq!(Life::project(SHAPE, Ratings::default(), 7, None), None, "nothing is rated");
    }

    #[test]
    fn a_report_has_a_line_for_each_thing_known() {
        let written = Written {
            over: 3 * DAY,
            bytes: 12_900_000,
            payload_bytes: 10_900_000,
            programs: 800,
            erases: 12,
            syncs: 800,
            device_bytes: Some(40 << 20),
        };
        let part = PathBuf::from("/sys/x/mmcblk0/mmcblk0p2");
        let mut report = WearReport {
            written: Some(written),
            storage: Storage::Block { disk: "/sys/x/mmcblk0".into(), part },
            figures: Figures { emmc: EmmcLife::parse("0x01 0x02", "0x01"), ..Figures::default() },
            life: Life::project(SHAPE, rated(3000), 13, Some(&written)),
        };
        assert_eq!(
            report.lines(),
            [
                "12.3 MiB written to flash in 3d, 800 programs, 800 syncs, 12 segments erased, 1.18 bytes for each byte of samples",
                "mmcblk0p2 took 40.0 MiB in that time, from all programs and the file system together",
                "mmcblk0p2 is on an eMMC: type A 0-10 % used, type B 10-20 % used, reserve normal",
                "0.2 of 3000 erase cycles used, 39 to 128 years left at this rate",
            ]
        );
        assert!(!report.is_alarming());
        report.figures.emmc = EmmcLife::parse("0x0a 0x02", "0x01");
        assert!(report.is_alarming());
    }

    #[test]
    fn a_ring_at_rest_has_cycles_but_no_rate() {
        let report = WearReport::at_rest(Path::new("/nowhere/ring"), SHAPE, rated(3000), 6400);
        assert_eq!(report.lines(), ["an unknown device does not tell its wear", "100.0 of 3000 erase cycles used"]);
        let ubi = Figures { ubi: Some(UbiWear { max_erases: 9, bad_blocks: None }), ..Figures::default() };
        let report =
            WearReport { figures: ubi, storage: Storage::Ubi { folder: "/sys/class/ubi/ubi0".into() }, ..report };
        assert_eq!(report.lines()[0], "ubi0: 9 erases of the most worn block");
    }
}
