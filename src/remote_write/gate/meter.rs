//! `[uplink]`: bytes a day and a month, shared by all endpoints, and the hours in which they may be spent.
//!
//! ```text
//!  of a budget                used so far ─┐    what each class may use: more and more toward the end
//!  ├──────────────────────────●────────────┼─────────────┤
//!  0                          low, metadata 1/2   normal 4/5   high 1
//! ```
//!
//! What is kept for the classes above shrinks evenly until the day or month ends. Where no endpoint has such a class nothing is
//! kept for it. Metadata may come once more: samples of any class have half of a budget for themselves.
//!
//! The wall clock tells the days, and may be wrong. One that is not set, or goes back, opens nothing: what was used stays used
//! until a day or month begins that is later than any before it, or, where the clock was far ahead, than the one it is back in.

use super::Traffic;
use super::calendar::{Cycle, is_set};
use super::hours::Hours;
use crate::model::{Class, format_size};
use std::time::{Duration, UNIX_EPOCH};

/// How often a closed budget or window is looked at again, as a clock may be put right meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_secs(3600);
/// The same while the clock is not set.
const LOOK_INTERVAL_UNSET: Duration = Duration::from_secs(30);

/// What an unclean end may forget, as a part of the smallest budget.
const FORGOTTEN_DIVISOR: u64 = 50;

/// Part of a budget, in tenths, that the classes above low and above normal have for themselves when a day or month begins.
const KEPT_FROM_LOW: i128 = 5;
const KEPT_FROM_NORMAL: i128 = 2;

/// `[uplink]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkOptions {
    pub bytes_per_day: Option<u64>,
    pub bytes_per_month: Option<u64>,
    /// Day of the month that a month's budget starts on, 1 to 28.
    pub month_starts_on: u8,
    /// When classes below high are sent; none: always.
    pub windows: Vec<Hours>,
    /// The same for the class low, where it has its own.
    pub low_windows: Option<Vec<Hours>>,
    /// Over how long devices of a fleet spread what they would all do at once, where it is not left to the endpoints.
    pub spread: Option<Duration>,
}

impl Default for UplinkOptions {
    fn default() -> Self {
        UplinkOptions {
            bytes_per_day: None,
            bytes_per_month: None,
            month_starts_on: 1,
            windows: Vec::new(),
            low_windows: None,
            spread: None,
        }
    }
}

/// The uplink's account.
pub struct Meter {
    options: UplinkOptions,
    budgets: Vec<Budget>,
    /// The highest class that some endpoint has.
    highest: Class,
    /// Since the account was noted last.
    unnoted_bytes: u64,
    lines: Vec<String>,
}

struct Budget {
    key: &'static str,
    bytes: u64,
    cycle: Cycle,
    /// The day or month that is spent from; none before the clock was ever set.
    index: Option<i64>,
    used_bytes: u64,
    /// For which classes, and for metadata last, the log was told that it is used up.
    told: [bool; Class::ALL.len() + 1],
}

impl Meter {
    /// `classes` are those of the endpoints; `noted` is what [`note`](Self::note) gave an earlier process.
    pub fn new(options: UplinkOptions, classes: impl IntoIterator<Item = Class>, noted: Option<&[u8]>) -> Meter {
        let cycles = [
            ("max_bytes_per_day", options.bytes_per_day, Cycle::Day),
            ("max_bytes_per_month", options.bytes_per_month, Cycle::Month { starts_on: options.month_starts_on }),
        ];
        let budgets = cycles.into_iter().enumerate().filter_map(|(place, (key, bytes, cycle))| {
            let (index, used_bytes) = noted.and_then(|noted| account_at(noted, place)).unwrap_or((None, 0));
            Some(Budget { key, bytes: bytes?, cycle, index, used_bytes, told: Default::default() })
        });
        Meter {
            budgets: budgets.collect(),
            options,
            highest: classes.into_iter().min().unwrap_or(Class::High),
            unnoted_bytes: 0,
            lines: Vec::new(),
        }
    }

    /// Adds the account of an earlier process, which was found only after this one had begun to spend.
    pub fn add(&mut self, noted: &[u8]) {
        for budget in &mut self.budgets {
            let Some((index, used_bytes)) = account_at(noted, budget.place()) else { continue };
            if budget.index.is_none() || index.is_none() || budget.index == index {
                budget.index = budget.index.or(index);
                budget.used_bytes = budget.used_bytes.saturating_add(used_bytes);
            }
        }
    }

    pub fn spread(&self) -> Option<Duration> {
        self.options.spread
    }

    /// Whether there is a budget, and so something to remember.
    pub fn is_metered(&self) -> bool {
        !self.budgets.is_empty()
    }

    /// `None`: so many bytes may be spent now. Else it is to be asked again at that time of the monotonic clock.
    pub fn ready_at(&mut self, now: Duration, wall_ms: i64, traffic: Traffic, bytes: u64) -> Option<Duration> {
        let open_at = self.hours(traffic).map_or(Some(wall_ms), |hours| {
            is_set(wall_ms).then(|| hours.iter().map(|hours| hours.open_at_ms(wall_ms)).min().unwrap_or(wall_ms))
        });
        let highest = self.highest;
        let mut open_at =
            open_at.filter(|open_at| *open_at > wall_ms || self.hours(traffic).is_none() || is_set(wall_ms));
        for budget in &mut self.budgets {
            budget.roll(wall_ms);
            let (until, line) = match budget.open_at_ms(wall_ms, traffic, highest, bytes) {
                Opening::Now => continue,
                Opening::At(at) => (Some(at), budget.line(traffic, Some(at))),
                Opening::Unknown => (None, budget.line(traffic, None)),
            };
            self.lines.extend(line);
            open_at = open_at.zip(until).map(|(a, b)| a.max(b));
        }
        match open_at {
            Some(at) if at <= wall_ms => None,
            Some(at) => Some(now + Duration::from_millis((at - wall_ms) as u64).min(LOOK_INTERVAL)),
            None => Some(now + LOOK_INTERVAL_UNSET),
        }
    }

    pub fn spent(&mut self, wall_ms: i64, bytes: u64) {
        for budget in &mut self.budgets {
            budget.roll(wall_ms);
            budget.used_bytes = budget.used_bytes.saturating_add(bytes);
        }
        self.unnoted_bytes = self.unnoted_bytes.saturating_add(bytes);
    }

    /// The account as bytes, for [`new`](Self::new).
    pub fn note(&self) -> [u8; NOTE_BYTES] {
        let mut note = [0; NOTE_BYTES];
        for budget in &self.budgets {
            let at = budget.place() * ACCOUNT_BYTES;
            // No day or month has the number 0 since clocks are set.
            note[at..at + 4].copy_from_slice(&(budget.index.unwrap_or(0) as u32).to_le_bytes());
            note[at + 4..at + ACCOUNT_BYTES].copy_from_slice(&budget.used_bytes.to_le_bytes());
        }
        note
    }

    /// Whether so much was spent since the last time this said so that it is worth a write of its own.
    pub fn take_note_due(&mut self) -> bool {
        let smallest = self.budgets.iter().map(|budget| budget.bytes).min();
        let is_due = smallest.is_some_and(|bytes| self.unnoted_bytes >= (bytes / FORGOTTEN_DIVISOR).max(1));
        if is_due {
            self.unnoted_bytes = 0;
        }
        is_due
    }

    /// What the log is to be told.
    pub fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }

    /// None: at any time.
    fn hours(&self, traffic: Traffic) -> Option<&[Hours]> {
        let (windows, low_windows) = (&self.options.windows, self.options.low_windows.as_ref());
        let hours = match traffic {
            Traffic::Samples { class: Class::High, .. } => return None,
            Traffic::Samples { class: Class::Normal, .. } => windows,
            Traffic::Samples { class: Class::Low, .. } | Traffic::Metadata => low_windows.unwrap_or(windows),
        };
        Some(&hours[..]).filter(|hours| !hours.is_empty())
    }
}

const ACCOUNT_BYTES: usize = 4 + 8;
const NOTE_BYTES: usize = 2 * ACCOUNT_BYTES;

fn account_at(noted: &[u8], place: usize) -> Option<(Option<i64>, u64)> {
    let account = noted.get(place * ACCOUNT_BYTES..)?;
    let (index, rest) = account.split_first_chunk()?;
    let index = i64::from(u32::from_le_bytes(*index));
    Some(((index > 0).then_some(index), u64::from_le_bytes(*rest.first_chunk()?)))
}

/// When a budget has room, by the wall clock.
#[derive(Debug, PartialEq, Eq)]
enum Opening {
    Now,
    At(i64),
    /// Once the clock is set.
    Unknown,
}

impl Budget {
    /// Where its account is among those in a note.
    fn place(&self) -> usize {
        usize::from(self.cycle != Cycle::Day)
    }

    /// A day or month that is later than the last one begins with nothing used.
    fn roll(&mut self, wall_ms: i64) {
        if !is_set(wall_ms) {
            return;
        }
        let index = self.cycle.index(wall_ms);
        match self.index {
            Some(last) if index > last => (self.used_bytes, self.told) = (0, Default::default()),
            // A little back may be the clock's being put right about midnight.
            Some(last) if index + 1 >= last => return,
            _ => {}
        }
        self.index = Some(index);
    }

    fn open_at_ms(&self, wall_ms: i64, traffic: Traffic, highest: Class, bytes: u64) -> Opening {
        let left = i128::from(self.bytes) - i128::from(self.used_bytes) - i128::from(bytes);
        let kept_tenths = match traffic {
            Traffic::Metadata => KEPT_FROM_LOW,
            Traffic::Samples { class, .. } if class == highest => 0,
            Traffic::Samples { class: Class::Low, .. } => KEPT_FROM_LOW,
            Traffic::Samples { class: Class::Normal, .. } => KEPT_FROM_NORMAL,
            Traffic::Samples { class: Class::High, .. } => 0,
        };
        // Samples that are larger than all of a budget go alone.
        let goes_alone = self.used_bytes == 0 && traffic != Traffic::Metadata;
        if goes_alone || left >= 0 && left * 10 >= i128::from(self.bytes) * kept_tenths {
            return Opening::Now;
        }
        let Some(index) = self.index.filter(|_| is_set(wall_ms)) else { return Opening::Unknown };
        let (start, end) = (self.cycle.start_ms(index), self.cycle.start_ms(index + 1));
        if left < 0 {
            return Opening::At(end);
        }
        // What is kept shrinks with the time left: kept * (end - t) / (end - start) is no more than what is left, from then on.
        let at = i128::from(end) - left * 10 * i128::from(end - start) / (i128::from(self.bytes) * kept_tenths).max(1);
        match i64::try_from(at).unwrap_or(end) {
            at if at <= wall_ms => Opening::Now,
            at => Opening::At(at.min(end)),
        }
    }

    fn line(&mut self, traffic: Traffic, until_ms: Option<i64>) -> Option<String> {
        let (told, what, meanwhile) = match traffic {
            Traffic::Samples { class, .. } => {
                (class as usize, format!("samples of class {}", class.name()), "they stay in the ring meanwhile")
            }
            Traffic::Metadata => (Class::ALL.len(), "metadata".into(), "it is not sent meanwhile"),
        };
        if std::mem::replace(&mut self.told[told], true) {
            return None;
        }
        let until = until_ms.and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(ms).ok()?)));
        let until = match until {
            Some(until) => format!("until {}", humantime::format_rfc3339_seconds(until)),
            None => "until this device's clock is set and a new one begins".into(),
        };
        Some(format!("uplink: {} {} has no room for {what} {until}; {meanwhile}", self.key, format_size(self.bytes)))
    }
}

#[cfg(test)]
mod tests;
