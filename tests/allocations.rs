//! What scrapes, appends and commits allocate, counted by the allocator itself. A test crate of its own: nothing else runs beside it.

use narthex::buffer::Buffer;
use narthex::counters::Counters;
use narthex::model::{
    LabelsBuilder, MetadataTable, NameScheme, Params, Scheme, ScrapeBatch, Series, SeriesTable, Target,
};
use narthex::relabel::{Action, Rule, RuleOptions, SampleRules};
use narthex::ring::{Ack, Acks, Frame, FrameMeta, Geometry, Layout, Medium, Placement, Ring};
use narthex::scrape::{Cycle, Format, ScrapeOptions};
use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator; counts what each thread asks of it.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(memory) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, memory: Memory, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, memory, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, memory: Memory) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, memory) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let result = work();
    (ALLOCATIONS.get() - before, result)
}

const LAYOUT: Layout = Layout { segment_size_bytes: 64 * 1024, segment_count: 8 };

/// Memory that stands for flash and asks for none.
struct Flash(Vec<u8>);

impl Flash {
    fn blank() -> Flash {
        Flash(vec![0; LAYOUT.size_bytes() as usize])
    }
}

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

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_of(|| Box::new(7)).0, 1);
    assert_eq!(allocations_of(|| 7).0, 0);
}

#[test]
fn appends_allocate_nothing_once_the_ring_is_open() {
    let mut ring = Ring::open(Flash::blank(), LAYOUT, Rc::default()).unwrap().0;
    let acks: Acks = [Ack { endpoint: 1, next_record: 3 }].into_iter().collect();
    let frame_bytes = [100, 9000, 1, 40_000, 3000];
    let mut frame = Frame {
        meta: FrameMeta { first_record: 0, sample_counts: vec![500; 4], acks: acks.clone() },
        payload: vec![7; 60_000],
    };
    let (allocations, segments) = allocations_of(|| {
        for round in 0..20 * LAYOUT.segment_count as usize {
            frame.payload.truncate(0);
            frame.payload.resize(frame_bytes[round % frame_bytes.len()], round as u8);
            let fits = ring.fits(&frame, Placement::Current);
            let placement = if fits { Placement::Current } else { Placement::NewSegment };
            ring.append(&frame, placement, &acks).unwrap();
            frame.meta.first_record = frame.meta.end_record();
        }
        ring.segments().next_back().unwrap().seq
    });
    assert_eq!(allocations, 0, "from the first append on");
    assert!(segments > 2 * u64::from(LAYOUT.segment_count), "several laps: {segments}");
}

#[test]
fn commits_within_a_segment_allocate_nothing_in_the_steady_state() {
    let small = allocations_of_a_commit(10);
    let large = allocations_of_a_commit(2000);
    assert_eq!((small, large), (0, 0), "with 10 and with 2000 series");
}

/// An unchanged page costs no label parsing and no relabelling: what is allocated does not grow with its series, kept or dropped.
#[test]
fn an_unchanged_page_is_not_relabelled() {
    let drop_odd = RuleOptions {
        action: Action::Drop,
        source_labels: Some(vec!["i".into()]),
        regex: Some(".*[13579]".into()),
        ..RuleOptions::default()
    };
    let rename = RuleOptions {
        source_labels: Some(vec!["__name__".into(), "i".into()]),
        target_label: "name_and_i".into(),
        ..RuleOptions::default()
    };
    let rules = || [drop_odd.clone(), rename.clone()].map(|options| Rule::new(options, NameScheme::Utf8).unwrap());
    let small = allocations_of_a_relabelled_page(10, rules());
    let large = allocations_of_a_relabelled_page(2000, rules());
    assert_eq!(small, large, "with 10 and with 2000 series");
    assert!(large <= 8, "{large}");
}

/// Of the third scrape of the same page.
fn allocations_of_a_relabelled_page(series: usize, rules: impl IntoIterator<Item = Rule>) -> usize {
    let target = Target {
        scheme: Scheme::Http,
        address: "h:1".into(),
        metrics_path: "/metrics".into(),
        params: Default::default(),
        labels: LabelsBuilder::from_iter([("job", "j"), ("instance", "h:1")]).build().unwrap(),
        interval: Duration::from_secs(15),
        timeout: Duration::from_secs(10),
        socket: None,
        durations_as_written: None,
    };
    let rules = SampleRules { rules: rules.into_iter().collect(), ..SampleRules::default() };
    let options = ScrapeOptions { rules: Rc::new(rules), ..ScrapeOptions::default() };
    let mut cycle = Cycle::new(0, Rc::new(target), options, Rc::default(), Rc::default()).unwrap();
    let page: String = (0..series).map(|i| format!("m{{i=\"{i}\"}} {i}\n")).collect();
    let mut scrape = |timestamp_ms| {
        let page = Some((page.as_bytes(), Format::Text));
        allocations_of(|| cycle.complete(page, timestamp_ms, Duration::from_millis(100)))
    };
    let (first, _) = scrape(0);
    scrape(15_000);
    let (allocations, result) = scrape(30_000);
    assert_eq!((result.error, result.batch.len()), (None, 5 + series / 2));
    assert!(first > 10 * series, "the first page is relabelled: {first}");
    allocations
}

/// The most of twenty commits of four batches each, none of which opens a segment.
fn allocations_of_a_commit(series: usize) -> usize {
    let (counters, table) = (Rc::<Counters>::default(), Rc::<SeriesTable>::default());
    let name = |i: usize| LabelsBuilder::from_iter([("__name__", "m"), ("i", i.to_string().as_str())]);
    let list: Rc<[Series]> = (0..series).map(|i| table.intern(&name(i).build().unwrap())).collect();
    let interval = Duration::from_secs(30);
    let mut buffer = Buffer::open(Flash::blank(), LAYOUT, interval, &["a"], table, counters.clone()).unwrap().0;
    let (mut most, mut now) = (0, Duration::ZERO);
    for round in 0..25 {
        for scrape in 0..4 {
            now += Duration::from_secs(15);
            let timestamp_ms = now.as_millis() as i64;
            let values = (0..series).map(|i| (i % 7 * (4 * round + scrape)) as f64).collect();
            let batch = ScrapeBatch {
                target: 0,
                timestamp_ms,
                series: list.clone(),
                values,
                own_timestamps: vec![],
                extras: None,
            };
            buffer.push(batch, now);
        }
        let erases = counters.flash_erases.get();
        let (allocations, committed) = allocations_of(|| buffer.commit(now));
        committed.unwrap();
        if round >= 5 && counters.flash_erases.get() == erases {
            most = most.max(allocations);
        }
    }
    assert!(counters.flash_programs.get() >= 25);
    most
}

#[test]
fn an_unchanged_page_allocates_nothing_for_its_series() {
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
        let few = allocations_of_a_page(10, format);
        let many = allocations_of_a_page(2000, format);
        assert_eq!(few, many, "{format:?}");
        let most = if format == Format::Protobuf { 9 } else { 3 };
        assert!(few <= most, "{format:?}: {few} for the batch");
    }
}

/// The most of ten pages that come again, each value another; what they say of their metrics is wanted.
fn allocations_of_a_page(series: usize, format: Format) -> usize {
    let labels = [("job", "a"), ("instance", "h:1")].into_iter().collect::<LabelsBuilder>().build().unwrap();
    let target = Target {
        scheme: Scheme::Http,
        address: "h:1".into(),
        metrics_path: "/metrics".into(),
        params: Params::new(),
        labels,
        interval: Duration::from_secs(15),
        timeout: Duration::from_secs(10),
        socket: None,
        durations_as_written: None,
    };
    let cycle = Cycle::new(0, Rc::new(target), ScrapeOptions::default(), Rc::default(), Rc::default()).unwrap();
    let mut cycle = cycle.with_metadata(Rc::new(MetadataTable::new([])));
    let (mut most, exemplar) = (0, if format == Format::OpenMetrics { " # {trace=\"x\"} 1" } else { "" });
    for round in 0..11 {
        let page = match format {
            Format::Protobuf => protobuf_page(series, round),
            _ => {
                let lines = (0..series).map(|i| format!("m_total{{i=\"{i}\",l=\"v\"}} {}.5{exemplar}\n", i * round));
                format!("# HELP m What \\\\ it is.\n# TYPE m counter\n{}# EOF\n", lines.collect::<String>())
                    .into_bytes()
            }
        };
        let at_ms = 1000 * i64::from(round as u32);
        let (allocations, result) = allocations_of(|| cycle.complete(Some((&page, format)), at_ms, Duration::ZERO));
        assert_eq!((result.error, result.batch.len()), (None, series + 5));
        most = most.max(if round > 0 { allocations } else { 0 });
    }
    most
}

/// As much of `io.prometheus.client` as a counter needs.
mod client_model {
    #[derive(Clone, prost::Message)]
    pub struct Family {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(message, repeated, tag = "4")]
        pub metrics: Vec<Metric>,
    }

    #[derive(Clone, prost::Message)]
    pub struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub labels: Vec<Label>,
        #[prost(message, optional, tag = "3")]
        pub counter: Option<Counter>,
    }

    #[derive(Clone, prost::Message)]
    pub struct Label {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub value: String,
    }

    #[derive(Clone, Copy, prost::Message)]
    pub struct Counter {
        #[prost(double, tag = "1")]
        pub value: f64,
    }
}

/// Ten series in each family.
fn protobuf_page(series: usize, round: usize) -> Vec<u8> {
    use client_model::{Counter, Family, Label, Metric};
    let label = |name: &str, value: String| Label { name: name.into(), value };
    let metric = |i: usize| Metric {
        labels: vec![label("i", i.to_string()), label("l", "v".into())],
        counter: Some(Counter { value: (i * round) as f64 + 0.5 }),
    };
    let family = |first: usize| {
        let metrics = (first..first + 10).map(metric).collect();
        prost::Message::encode_length_delimited_to_vec(&Family { name: format!("m{first}_total"), metrics })
    };
    (0..series).step_by(10).flat_map(family).collect()
}
