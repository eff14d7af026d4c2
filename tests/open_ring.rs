//! What opening a full ring of 1 GiB reads, and what it takes in time and memory.
//!
//! `cargo test --test open_ring -- --ignored --nocapture`

use narthex::buffer::Buffer;
use narthex::config;
use narthex::ring::{Acks, FileMedium, Frame, FrameMeta, Geometry, Layout, Medium, Placement, Ring};
use std::cell::Cell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

const GIB: u64 = 1 << 30;
const FRAME_BYTES: usize = 24 * 1024;
const READ_BYTES_MAX: u64 = 4 * 1024 * 1024;
const TIME_MAX: Duration = Duration::from_millis(50);
const GROWTH_KIB_MAX: u64 = 256;

/// A medium that counts what is read of it, and leaves out syncs while the ring is filled.
struct Counted {
    medium: FileMedium,
    read_bytes: Rc<Cell<u64>>,
}

impl Medium for Counted {
    fn geometry(&self) -> Geometry {
        self.medium.geometry()
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.read_bytes.set(self.read_bytes.get() + into.len() as u64);
        self.medium.read(offset, into)
    }

    fn program(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.medium.program(offset, bytes)
    }

    fn erase(&mut self, offset: u64, len_bytes: u64) -> io::Result<()> {
        self.medium.erase(offset, len_bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
#[ignore = "writes a file of 1 GiB"]
fn opening_a_full_ring_of_one_gib_reads_little_and_keeps_nothing() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("ring");
    let layout = default_layout(GIB);
    fill(&path, layout);
    let mut fastest = TIME_MAX * 100;
    for attempt in 0..5 {
        let read_bytes = Rc::new(Cell::new(0));
        let (before_kib, begun) = (resident_kib(), Instant::now());
        let buffer = open(&path, layout, read_bytes.clone());
        let (took, growth_kib) = (begun.elapsed(), resident_kib().saturating_sub(before_kib));
        println!(
            "{} segments of {} KiB, {} full: {} KiB read in {took:?}, {growth_kib} KiB of memory more",
            layout.segment_count,
            layout.segment_size_bytes / 1024,
            buffer.fill().ring_used_bytes / u64::from(layout.segment_size_bytes),
            read_bytes.get() / 1024,
        );
        assert!(read_bytes.get() < READ_BYTES_MAX, "{} bytes read", read_bytes.get());
        // The first one warms the allocator.
        assert!(attempt == 0 || growth_kib <= GROWTH_KIB_MAX, "{growth_kib} KiB");
        fastest = fastest.min(took);
    }
    assert!(fastest < TIME_MAX, "{fastest:?}");
}

/// As the configuration has it where only the size is given.
fn default_layout(size_bytes: u64) -> Layout {
    let text = format!("[buffer]\npath = 'ring'\nsize = '{size_bytes}B'\n");
    config::parse(&text, Path::new("narthex.toml")).unwrap().buffer.unwrap().layout()
}

fn open(path: &Path, layout: Layout, read_bytes: Rc<Cell<u64>>) -> Buffer<Counted> {
    let medium = Counted { medium: FileMedium::open(path, layout).unwrap().0, read_bytes };
    Buffer::open(medium, layout, Duration::from_secs(30), &["a"], Rc::default(), Rc::default()).unwrap().0
}

/// More than a lap of frames, and the newest segment as full as it gets.
fn fill(path: &Path, layout: Layout) {
    let medium = Counted { medium: FileMedium::open(path, layout).unwrap().0, read_bytes: Rc::default() };
    let mut ring = Ring::open(medium, layout, Rc::default()).unwrap().0;
    let meta = FrameMeta { first_record: 0, sample_counts: vec![500; 20], acks: Acks::new() };
    let mut frame = Frame { meta, payload: vec![7; FRAME_BYTES] };
    let segments = u64::from(layout.segment_count) + 3;
    loop {
        let placement = match ring.fits(&frame, Placement::Current) {
            true => Placement::Current,
            false if ring.segments().next_back().is_some_and(|newest| newest.seq == segments) => return,
            false => Placement::NewSegment,
        };
        ring.append(&frame, placement, &Acks::new()).unwrap();
        frame.meta.first_record = frame.meta.end_record();
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
