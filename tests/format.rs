//! docs/FORMAT.md is true: its example is read from the document, built anew, decoded by the tools, and decoded by a decoder
//! written from the document alone.

#[path = "format/coder.rs"]
mod coder;
#[path = "format/decoder.rs"]
mod decoder;
#[path = "format/losses.rs"]
mod losses;
#[path = "format/packed.rs"]
mod packed;
#[path = "support/extras.rs"]
mod random;
mod support;

use narthex::buffer::{Buffer, endpoint_id};
use narthex::codec::SegmentCodec;
use narthex::counters::{Counters, DropCause};
use narthex::model::{self, HistogramCounts, LabelsBuilder, ScrapeBatch, Series, SeriesTable};
use narthex::ring::{Ack, FileMedium, Frame, FrameMeta, Layout, Placement, Ring};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use support::narthex;

const LAYOUT: Layout = Layout { segment_size_bytes: 4096, segment_count: 4 };

#[test]
fn the_documented_image_is_the_one_that_is_written() {
    let built = example_image();
    let documented = image_of(&block("hexdump"));
    assert!(documented == built, "docs/FORMAT.md has another image than is written now, which is\n{}", hexdump(&built));
}

#[test]
fn the_documented_image_holds_the_documented_samples() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    fs::write(&file, image_of(&block("hexdump"))).unwrap();
    let dump = narthex(&["ring", "dump", file.to_str().unwrap()]);
    assert_eq!(String::from_utf8(dump.stdout).unwrap(), block("json"));
    assert!(narthex(&["ring", "verify", file.to_str().unwrap()]).status.success());
}

#[test]
fn a_decoder_written_from_the_document_reads_the_example() {
    let image = image_of(&block("hexdump"));
    assert_eq!(decoder::dump(&image), block("json"));
}

/// Frames in which everything happens that the codec knows: lists and values that change, staleness, own timestamps,
/// histograms, exemplars and start timestamps.
#[test]
fn a_decoder_written_from_the_document_reads_whatever_is_written() {
    for seed in 0..40 {
        let (frames, expected) = random_frames(&mut fastrand::Rng::with_seed(seed));
        let mut decoder = decoder::Segment::new();
        let decoded: Vec<decoder::Batch> = frames.iter().flat_map(|payload| decoder.decode(payload)).collect();
        for (decoded, expected) in decoded.iter().zip(&expected) {
            assert_eq!(decoded, expected, "seed {seed}");
        }
        assert_eq!(decoded.len(), expected.len());
    }
}

/// The first block of the document in this language.
fn block(language: &str) -> String {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FORMAT.md")).unwrap();
    let (_, rest) = document.split_once(&format!("```{language}\n")).expect("the document has such a block");
    rest.split_once("```").expect("it ends").0.to_string()
}

/// The bytes of `hexdump -C`: `*` stands for lines like the one before it, the last line for the length.
fn image_of(dump: &str) -> Vec<u8> {
    let mut image = Vec::new();
    for line in dump.lines().filter(|line| *line != "*") {
        let (offset, rest) = line.split_once("  ").unwrap_or((line, ""));
        let offset = usize::from_str_radix(offset, 16).unwrap();
        while image.len() < offset {
            image.extend_from_within(image.len() - 16..);
        }
        let hex = rest.split('|').next().unwrap();
        image.extend(hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    image
}

fn hexdump(image: &[u8]) -> String {
    let (mut text, mut before): (String, &[u8]) = (String::new(), &[]);
    for (number, line) in image.chunks(16).enumerate() {
        if line == before {
            text += if text.ends_with("*\n") { "" } else { "*\n" };
            continue;
        }
        before = line;
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = line.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' });
        text += &format!(
            "{:08x}  {}  {}  |{}|\n",
            number * 16,
            hex[..8].join(" "),
            hex[8..].join(" "),
            shown.collect::<String>()
        );
    }
    text + &format!("{:08x}\n", image.len())
}

fn series(table: &SeriesTable, labels: &[(&str, &str)]) -> Series {
    table.intern(&labels.iter().copied().collect::<LabelsBuilder>().build().unwrap())
}

/// In the header of a new segment, and then in a frame of its own.
#[test]
fn a_note_is_found_from_the_page_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    let medium = FileMedium::open(&file, LAYOUT).unwrap().0;
    let opened = Buffer::open(medium, LAYOUT, Duration::ZERO, &["cloud"], Rc::default(), Rc::default());
    let mut buffer = opened.unwrap().0;
    let mut expected = Vec::new();
    for (hash, key, value) in [(0xe40c_292c, "a", "1"), (0xbf9c_f968, "foobar", "some more")] {
        buffer.remember(key, value.as_bytes());
        buffer.close().unwrap();
        expected.push((hash, value.as_bytes().to_vec()));
        let image = fs::read(&file).unwrap();
        assert_eq!(decoder::note(&image, LAYOUT.segment_size_bytes as usize), expected);
    }
}

/// In the header of the segment that took the place of what was lost.
#[test]
fn counts_of_lost_samples_are_found_from_the_page_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    let (table, counters) = (Rc::<SeriesTable>::default(), Rc::<Counters>::default());
    let list: Rc<[Series]> = (0..200).map(|i: u32| series(&table, &[("i", &i.to_string())])).collect();
    let medium = FileMedium::open(&file, LAYOUT).unwrap().0;
    let opened = Buffer::open(medium, LAYOUT, Duration::ZERO, &["cloud"], table, counters.clone());
    let mut buffer = opened.unwrap().0;
    for scrape in 1..12u64 {
        let values = (0..200).map(|i| ((scrape * 7919 + i) as f64).sin()).collect();
        let (series, timestamp_ms) = (list.clone(), scrape as i64);
        let batch = ScrapeBatch { target: 0, timestamp_ms, series, values, own_timestamps: vec![], extras: None };
        buffer.push(batch, Duration::from_secs(60 * scrape));
        buffer.commit(Duration::from_secs(60 * scrape)).unwrap();
    }
    let lost = counters.endpoint(0).dropped(DropCause::RingFull);
    assert!(lost > 0, "the ring is full");
    let note = decoder::note(&fs::read(&file).unwrap(), LAYOUT.segment_size_bytes as usize);
    let (_, entry) = note.iter().find(|(key, _)| *key == losses::key("losses")).expect("it is counted");
    assert_eq!(losses::counts(entry), [((endpoint_id("cloud") >> 32) as u32, 0, lost)]);
}

/// One frame of one batch of three samples, as an agent with one endpoint "cloud" commits it.
fn example_image() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    let table = SeriesTable::new();
    let of = |name| series(&table, &[("__name__", name), ("instance", "gw:9100"), ("job", "node")]);
    let batch = ScrapeBatch {
        target: 0,
        timestamp_ms: 1_763_722_000_000,
        series: [of("node_load1"), of("node_load5"), of("up")].into(),
        values: vec![0.25, 0.5, 1.0],
        own_timestamps: Vec::new(),
        extras: None,
    };
    let mut payload = Vec::new();
    SegmentCodec::new().encode(&[Rc::new(batch)], &mut payload);
    let meta = FrameMeta { first_record: 7, sample_counts: vec![3], ..FrameMeta::default() };
    let acks = [Ack { endpoint: endpoint_id("cloud"), next_record: 7 }].into_iter().collect();
    let medium = FileMedium::open(&file, LAYOUT).unwrap().0;
    let (mut ring, _) = Ring::open(medium, LAYOUT, Rc::default()).unwrap();
    ring.append(&Frame { meta, payload }, Placement::NewSegment, &acks).unwrap();
    fs::read(&file).unwrap()
}

/// Payloads of one segment, and what they hold.
fn random_frames(random: &mut fastrand::Rng) -> (Vec<Vec<u8>>, Vec<decoder::Batch>) {
    let (table, mut codec) = (SeriesTable::new(), SegmentCodec::new());
    let (mut payloads, mut expected) = (Vec::new(), Vec::new());
    let mut targets: Vec<(i64, Vec<Series>, Vec<f64>)> = vec![(1_763_722_000_000, Vec::new(), Vec::new()); 3];
    let mut last = None;
    for _ in 0..random.usize(1..30) {
        let mut batches = Vec::new();
        for _ in 0..random.usize(0..5) {
            let number = random.usize(0..targets.len());
            change(random, &table, number, &mut targets[number]);
            batches.push(Rc::new(batch(random, number, &targets[number], &mut last)));
        }
        let mut payload = Vec::new();
        codec.encode(&batches, &mut payload);
        payloads.push(payload);
        expected.extend(batches.iter().map(|batch| as_decoded(batch)));
    }
    (payloads, expected)
}

fn change(
    random: &mut fastrand::Rng,
    table: &SeriesTable,
    number: usize,
    (timestamp_ms, list, values): &mut (i64, Vec<Series>, Vec<f64>),
) {
    *timestamp_ms = timestamp_ms.wrapping_add(if random.u8(0..9) == 0 { random.i64(..) } else { 15_000 });
    for _ in 0..if random.u8(0..4) == 0 { random.usize(0..12) } else { 0 } {
        let (name, instance) = (format!("metric_{}_total", random.u8(0..60)), format!("10.0.0.{number}:9100"));
        let at = random.usize(0..=list.len());
        list.insert(at, series(table, &[("__name__", &name), ("instance", &instance), ("job", "node")]));
        values.insert(at, 0.0);
    }
    if random.u8(0..8) == 0 && !list.is_empty() {
        let start = random.usize(0..list.len());
        let end = random.usize(start..list.len());
        list.drain(start..end);
        values.drain(start..end);
    }
    for value in values {
        *value = match random.u8(0..16) {
            0 => f64::from_bits(random.u64(..)),
            1 => narthex::model::stale_nan(),
            2..5 => *value + f64::from(random.u16(..)),
            5..7 => ((*value * 100.0).round() + f64::from(random.u8(..))) / 100.0,
            7 => f64::from(random.u32(..)) * 0.001,
            8 => f64::from(random.u16(..)) * 4096.0,
            _ => *value,
        };
    }
}

fn batch(
    random: &mut fastrand::Rng,
    number: usize,
    (timestamp_ms, list, values): &(i64, Vec<Series>, Vec<f64>),
    last: &mut Option<Box<model::Extras>>,
) -> ScrapeBatch {
    let has_own = random.u8(0..4) == 0;
    let mut values = values.clone();
    let extras = if random.bool() { random::random_extras(random, last.as_deref(), &mut values) } else { None };
    if extras.is_some() {
        *last = extras.clone();
    }
    let own = |index: u32| narthex::model::OwnTimestamp { index, timestamp_ms: timestamp_ms.wrapping_sub(7) };
    ScrapeBatch {
        target: number as u32,
        timestamp_ms: *timestamp_ms,
        series: list.clone().into(),
        values,
        own_timestamps: (0..list.len() as u32).filter(|index| has_own && index % 3 != 1).map(own).collect(),
        extras,
    }
}

fn as_decoded(batch: &ScrapeBatch) -> decoder::Batch {
    let sample = |index: usize| decoder::Sample {
        labels: batch.series[index].labels().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        bits: batch.values[index].to_bits(),
        timestamp_ms: batch.timestamp_ms_at(index),
        histogram: batch.histogram_at(index).map(|histogram| decoded_histogram(histogram)),
        exemplars: exemplars(batch, index),
        start_ms: batch.extras.as_ref().and_then(|extras| extras.start_timestamp_ms_at(index)),
    };
    (0..batch.len()).map(sample).collect()
}

fn exemplars(batch: &ScrapeBatch, index: usize) -> Vec<decoder::Exemplar> {
    let of_sample = batch.extras.iter().flat_map(|extras| extras.exemplars_at(index));
    let decoded = of_sample.map(|exemplar| decoder::Exemplar {
        packed: exemplar.labels.packed().to_vec(),
        bits: exemplar.value.to_bits(),
        timestamp_ms: exemplar.timestamp_ms,
    });
    decoded.collect()
}

fn decoded_histogram(histogram: &model::Histogram) -> decoder::Histogram {
    let spans = |spans: &[model::Span]| spans.iter().map(|span| (span.offset.into(), span.length.into())).collect();
    let (zero_count, count) = match &histogram.counts {
        HistogramCounts::Integer(counts) => (counts.zero_count, counts.count),
        HistogramCounts::Float(counts) => (counts.zero_count.to_bits(), counts.count.to_bits()),
    };
    decoder::Histogram {
        hint: histogram.reset_hint as usize,
        is_float: histogram.is_float(),
        schema: histogram.schema.into(),
        zero_threshold: histogram.zero_threshold.to_bits(),
        spans: [spans(&histogram.positive_spans), spans(&histogram.negative_spans)],
        custom: histogram.custom_values.iter().map(|bound| bound.to_bits()).collect(),
        zero_count,
        buckets: [false, true].map(|side| histogram.bucket_counts(side).map(|(_, count)| count).collect()),
        count,
    }
}
