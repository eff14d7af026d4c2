//! What a series takes in memory, counted by the allocator itself: while all is delivered, in an outage, and afterwards. A test
//! crate of its own: nothing else runs beside it.

use narthex::buffer::Buffer;
use narthex::counters::Counters;
use narthex::limits::{STAGE_BYTES_MAX, WINDOW_SAMPLES_MAX};
use narthex::model::{LabelsBuilder, Params, Scheme, SeriesTable, Target};
use narthex::ring::{Geometry, Layout, Medium};
use narthex::scrape::{Cycle, Format, ScrapeOptions};
use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    static HELD_BYTES: Cell<isize> = const { Cell::new(0) };
    static MOST_BYTES: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator; knows what each thread holds.
struct Counting;

/// What glibc takes for this: eight bytes before it, in steps of sixteen.
fn taken(size: usize) -> isize {
    (size + 8).next_multiple_of(16).max(32) as isize
}

fn count(more: isize, less: isize) {
    HELD_BYTES.set(HELD_BYTES.get() + more - less);
    MOST_BYTES.set(MOST_BYTES.get().max(HELD_BYTES.get()));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        count(taken(memory.size()), 0);
        // SAFETY: as above.
        unsafe { System.alloc(memory) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, memory: Memory, size: usize) -> *mut u8 {
        count(taken(size), taken(memory.size()));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, memory, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Memory) {
        count(0, taken(memory.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes for each series beside its labels' text.
const SERIES_BYTES_MAX: usize = 120;

/// Scrapes that are in memory in an outage: those of two commit intervals. They take eight bytes for each sample.
const SCRAPES_IN_MEMORY: usize = 4;

const TARGETS: usize = 40;
const SERIES: usize = 500;
const LAYOUT: Layout = Layout { segment_size_bytes: 1024 * 1024, segment_count: 8 };
const INTERVAL: Duration = Duration::from_secs(15);

/// Memory that stands for flash.
struct Flash(Vec<u8>);

impl Medium for Flash {
    fn geometry(&self) -> Geometry {
        Geometry { size_bytes: self.0.len() as u64, program_unit_bytes: 512, erase_block_bytes: 512 }
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        into.copy_from_slice(&self.0[offset as usize..][..into.len()]);
        Ok(())
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn erase(&mut self, _offset: u64, _len_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Targets that have the same page, and the buffer that their scrapes go to.
struct Device {
    cycles: Vec<Cycle>,
    buffer: Buffer<Flash>,
    now: Duration,
    scrapes: usize,
    held_before: isize,
    text_bytes: usize,
}

impl Device {
    fn new() -> Device {
        let flash = Flash(vec![0; LAYOUT.size_bytes() as usize]);
        let (counters, table) = (Rc::<Counters>::default(), Rc::<SeriesTable>::default());
        let buffer = Buffer::open(flash, LAYOUT, 2 * INTERVAL, &["a"], table.clone(), counters.clone()).unwrap().0;
        let held_before = HELD_BYTES.get();
        let cycle = |number: usize| {
            let instance = format!("192.168.1.{number}:9100");
            let labels = [("job", "node"), ("instance", instance.as_str())].into_iter().collect::<LabelsBuilder>();
            let target = Target {
                scheme: Scheme::Http,
                address: instance.as_str().into(),
                socket: None,
                metrics_path: "/metrics".into(),
                params: Params::new(),
                labels: labels.clone().build().unwrap(),
                interval: INTERVAL,
                timeout: Duration::from_secs(10),
                durations_as_written: None,
            };
            let (target, options) = (Rc::new(target), ScrapeOptions::default());
            Cycle::new(number as u32, target, options, table.clone(), counters.clone()).unwrap()
        };
        let cycles = (0..TARGETS).map(cycle).collect();
        Device { cycles, buffer, now: Duration::ZERO, scrapes: 0, held_before, text_bytes: 0 }
    }

    /// Every target once, and a commit if one is due.
    fn scrape(&mut self) {
        self.now += INTERVAL;
        self.scrapes += 1;
        let scrapes = self.scrapes;
        let series =
            |i: usize| format!("node_cpu_seconds_total{{cpu=\"{}\",mode=\"mode{}\"}} {}\n", i / 8, i % 8, i * scrapes);
        let page: String = (0..SERIES).map(series).collect();
        let at_ms = self.now.as_millis() as i64;
        let (mut seen, mut text_bytes) = (HashSet::new(), 0);
        for cycle in &mut self.cycles {
            let result = cycle.complete(Some((page.as_bytes(), Format::Text)), at_ms, Duration::from_millis(7));
            assert_eq!(result.error, None);
            for series in result.batch.series.iter().filter(|series| seen.insert(series.address())) {
                text_bytes += series.packed().len();
            }
            self.buffer.push(result.batch, self.now);
        }
        self.text_bytes = text_bytes;
        if self.buffer.commit_due().is_some_and(|due| due <= self.now) {
            self.buffer.commit(self.now).unwrap();
        }
    }

    fn deliver(&mut self) -> usize {
        let mut samples = 0;
        while let Some(window) = self.buffer.window(0).unwrap() {
            samples += window.samples();
            self.buffer.ack(0, window.next_record, self.now);
        }
        samples
    }

    /// For each series, beside the text of its labels.
    fn bytes_a_series(&self, held_bytes: isize) -> usize {
        ((held_bytes - self.held_before) as usize - self.text_bytes) / (TARGETS * SERIES)
    }

    fn held(&self) -> usize {
        self.bytes_a_series(HELD_BYTES.get())
    }
}

/// It was 330 bytes while all was delivered, 400 in an outage, and what an outage added stayed.
#[test]
fn a_series_takes_so_much_and_gives_back_what_an_outage_added() {
    let mut device = Device::new();
    for _ in 0..4 {
        device.scrape();
        device.deliver();
    }
    let delivered = device.held();
    MOST_BYTES.set(HELD_BYTES.get());
    let outage_scrapes = 12;
    (0..outage_scrapes).for_each(|_| device.scrape());
    let (outage, most_in_outage) = (device.held(), device.bytes_a_series(MOST_BYTES.get()));
    MOST_BYTES.set(HELD_BYTES.get());
    assert_eq!(device.deliver(), outage_scrapes * TARGETS * (SERIES + 5));
    let most_in_drain = device.bytes_a_series(MOST_BYTES.get());
    let due = device.buffer.rest_due().expect("something is to be released");
    assert!(due <= device.now + Duration::from_secs(60));
    device.buffer.rest();
    let afterwards = device.held();
    println!(
        "bytes a series: {delivered} delivered, {outage} in an outage, {most_in_outage} at most; \
         {most_in_drain} at most in the drain; {afterwards} afterwards"
    );
    assert!(delivered <= SERIES_BYTES_MAX, "{delivered} bytes while all is delivered");
    let samples_bytes = SCRAPES_IN_MEMORY * size_of::<f64>();
    assert!(outage <= SERIES_BYTES_MAX + samples_bytes, "{outage} bytes in an outage");
    let window_bytes = (STAGE_BYTES_MAX + 2 * WINDOW_SAMPLES_MAX * size_of::<f64>()) / (TARGETS * SERIES);
    assert!(most_in_drain <= outage + SERIES_BYTES_MAX + window_bytes, "{most_in_drain} bytes at most in the drain");
    assert!(afterwards <= delivered + 1, "{afterwards} bytes afterwards, {delivered} before");
}
