//! `narthex ring info`, `verify`, `dump` and `format` as a user runs them: on whole rings, damaged ones, rings that an agent is
//! writing to, and files that are none.

mod support;

use narthex::buffer::endpoint_id;
use narthex::codec::SegmentCodec;
use narthex::model::{LabelsBuilder, ScrapeBatch, Series, SeriesTable};
use narthex::ring::{Ack, Acks, FileMedium, Frame, FrameMeta, Layout, Placement, Ring};
use std::fs;
use std::path::Path;
use std::process::Output;
use std::rc::Rc;
use std::time::Duration;
use support::*;

const LAYOUT: Layout = Layout { segment_size_bytes: 4096, segment_count: 16 };
const SEGMENT: usize = LAYOUT.segment_size_bytes as usize;
const START_MS: i64 = 1_763_722_000_000;

/// Samples of one scrape.
const SERIES: u64 = 20;

/// Commits this many scrapes, one every 15 s, three to a segment; all before `acknowledged` have arrived at endpoint "cloud".
fn write_ring(path: &Path, scrapes: u64, acknowledged: u64) {
    let medium = FileMedium::open(path, LAYOUT).unwrap().0;
    let (mut ring, _) = Ring::open(medium, LAYOUT, Rc::default()).unwrap();
    let (table, mut codec) = (SeriesTable::new(), SegmentCodec::new());
    let acks = |record: u64| -> Acks {
        [Ack { endpoint: endpoint_id("cloud"), next_record: record.min(acknowledged) }].into_iter().collect()
    };
    for record in 0..scrapes {
        let placement = if record % 3 == 0 { Placement::NewSegment } else { Placement::Current };
        if placement == Placement::NewSegment {
            codec = SegmentCodec::new();
        }
        let mut payload = Vec::new();
        codec.encode(&[Rc::new(scrape(&table, record))], &mut payload);
        let meta = FrameMeta { first_record: record, sample_counts: vec![SERIES as u32], acks: acks(record) };
        ring.append(&Frame { meta, payload }, placement, &acks(record)).unwrap();
    }
}

fn scrape(table: &SeriesTable, record: u64) -> ScrapeBatch {
    let series = |index: u64| -> Series {
        let labels = [("__name__", "n"), ("i", &index.to_string())];
        table.intern(&LabelsBuilder::from_iter(labels).build().unwrap())
    };
    ScrapeBatch {
        target: 0,
        timestamp_ms: START_MS + record as i64 * 15_000,
        series: (0..SERIES).map(series).collect(),
        values: (0..SERIES).map(|index| (record * 100 + index) as f64 / 8.0).collect(),
        own_timestamps: Vec::new(),
        extras: None,
    }
}

/// The lines that a dump of these scrapes has.
fn dumped(scrapes: impl Iterator<Item = u64>) -> String {
    let line = |record: u64, index: u64| {
        let (value, timestamp_ms) = ((record * 100 + index) as f64 / 8.0, START_MS + record as i64 * 15_000);
        format!(
            "{{\"labels\":{{\"__name__\":\"n\",\"i\":\"{index}\"}},\"value\":\"{value}\",\"timestamp_ms\":{timestamp_ms}}}\n"
        )
    };
    scrapes.flat_map(|record| (0..SERIES).map(move |index| line(record, index))).collect()
}

fn ring_tool(action: &str, file: &Path) -> Output {
    narthex(&["ring", action, file.to_str().unwrap()])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a tool that has to succeed without a word on stderr: its stdout.
fn done(action: &str, file: &Path) -> String {
    let output = ring_tool(action, file);
    assert!(output.status.success() && output.stderr.is_empty(), "{action}: {output:?}");
    text(&output.stdout)
}

/// Runs a tool that has to fail: stdout and stderr.
fn failed(action: &str, file: &Path) -> (String, String) {
    let output = ring_tool(action, file);
    assert_eq!(output.status.code(), Some(1), "{action}: {output:?}");
    (text(&output.stdout), text(&output.stderr))
}

fn damage(file: &Path, offset: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[offset] ^= 0x55;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_whole_ring_is_verified_and_dumped_to_the_last_sample() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    // Seven scrapes in three segments, or 20 segments of which four were given up.
    for (scrapes, first) in [(7, 0), (60, 12)] {
        write_ring(&file, scrapes, 0);
        let before = fs::read(&file).unwrap();
        let (segments, held) = ((scrapes - first).div_ceil(3), scrapes - first);
        let expected = format!("{segments} segments with {held} scrapes and {} samples are whole\n", held * SERIES);
        assert!(done("verify", &file).ends_with(&expected));
        assert_eq!(done("dump", &file), dumped(first..scrapes));
        assert_eq!(fs::read(&file).unwrap(), before, "they only read");
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_dump_that_nobody_reads_to_its_end_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    write_ring(&file, 40, 0);
    let mut dump = std::process::Command::new(env!("CARGO_BIN_EXE_narthex"));
    dump.args(["ring", "dump", file.to_str().unwrap()]);
    dump.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut dump = dump.spawn().unwrap();
    drop(dump.stdout.take());
    let output = dump.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn info_draws_the_ring_and_gives_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    write_ring(&file, 26, 10);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_narthex"))
        .args(["ring", "info", file.to_str().unwrap()])
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let expected = "\
: 64KiB in 16 segments of 4KiB

  2025-11-21T10:46:40Z  2025-11-21T10:52:55Z
  ░░░█████▃·······
     ▲ 9ebb5c9513bac4fe lacks 320 samples of 16 scrapes, from 2025-11-21T10:49:10Z on
  █ lacked by an endpoint  ░ acknowledged by all  · free

segments held     9 of 16
newest segment    9 in slot 9, 38 % full
scrapes           26, numbers 0 to 25
samples           520 by the headers, of 520 ever written; verify reads each
bytes a sample    65.969, all overhead in
oldest scrape     2025-11-21T10:46:40Z
newest scrape     2025-11-21T10:52:55Z
they span         6m 15s
";
    let shown = text(&output.stdout);
    let (shown, wear) = shown.split_once("wear").unwrap();
    assert_eq!(shown.split_once("ring").unwrap().1, expected);
    assert!(wear.ends_with("tell its wear\n") || wear.contains("used"), "what the device under it says: {wear}");

    let config = folder.path().join("n.toml");
    fs::write(
        &config,
        "[buffer]\npath = 'ring'\nrated_cycles = 3000\n[[remote_write]]\nurl = 'http://a/'\nname = 'cloud'\n",
    )
    .unwrap();
    let named = narthex(&["ring", "info", file.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    assert!(text(&named.stdout).contains("cloud lacks 320 samples of 16 scrapes"), "{named:?}");
    assert!(text(&named.stdout).contains("0.6 of 3000 erase cycles used"), "{named:?}");
}

#[test]
fn damage_is_found_wherever_it_is_and_what_it_costs_is_said() {
    // Ten scrapes are in segments 1 to 4, three to each of the first three.
    let cases: [(&str, usize, &str, &[u64]); 5] = [
        (
            "the second frame of segment 2",
            2 * SEGMENT + 1024 + 40,
            "segment 2 (slot 2) can't be read from byte 1024 on",
            &[4, 5],
        ),
        ("the first frame of the newest segment is its end, unless others follow", 4 * SEGMENT + 512, "", &[9]),
        ("the header of segment 2", 2 * SEGMENT + 100, "segment 2 (slot 2) has no header", &[3, 4, 5]),
        ("the header of the oldest segment", SEGMENT + 9, "segment 1 (slot 1) has no header", &[0, 1, 2]),
        (
            "the first frame of segment 3",
            3 * SEGMENT + 512,
            "segment 3 (slot 3) can't be read from byte 512 on",
            &[6, 7, 8],
        ),
    ];
    for (what, offset, said, lost) in cases {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ring");
        write_ring(&file, 10, 0);
        damage(&file, offset);
        let output = ring_tool("verify", &file);
        let found = text(&output.stdout);
        assert!(found.contains(said), "{what}: {found}");
        assert_eq!(output.status.success(), said.is_empty(), "{what}: {output:?}");
        let dump = ring_tool("dump", &file);
        let left = (0..10).filter(|record| !lost.contains(record));
        assert_eq!(text(&dump.stdout), dumped(left), "{what}");
        // Samples before the oldest header can't be told.
        if !said.is_empty() && lost[0] > 0 {
            let lost = lost.len() as u64 * SERIES;
            assert!(text(&output.stderr).contains(&format!("{lost} samples are lost")), "{what}: {output:?}");
            assert!(text(&dump.stderr).contains(&format!("{lost} samples")), "{what}: {dump:?}");
        }
    }
}

/// `info` said "17920 of 17920" of a ring of which `verify` found 10,752 samples lost.
#[test]
fn info_names_the_damage_that_it_meets_and_points_to_verify() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    write_ring(&file, 12, 0);
    let shown = text(&ring_tool("info", &file).stdout);
    assert!(!shown.contains("damage") && shown.contains("; verify reads each"), "{shown}");
    // Info reads the newest segment, which is 4.
    damage(&file, 4 * SEGMENT + 1024 + 40);
    let output = ring_tool("info", &file);
    let shown = text(&output.stdout);
    let line = shown.lines().find(|line| line.starts_with("damage")).unwrap_or_else(|| panic!("{shown}"));
    assert!(line.contains("segment 4: ") && line.contains("20 samples can't be read"), "{line}");
    assert!(line.ends_with("narthex ring verify reads the whole ring"), "{line}");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn damage_within_the_newest_segment_is_told_from_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    write_ring(&file, 12, 0);
    // Segment 4 holds scrapes 9, 10 and 11 in a unit or two each.
    damage(&file, 4 * SEGMENT + 1024 + 40);
    let (found, error) = failed("verify", &file);
    assert!(found.contains("segment 4 (slot 4) can't be read from byte 1024 on"), "{found}");
    assert!(
        error.contains("is damaged: 20 samples are lost"),
        "what the damaged frame itself held is not known: {error}"
    );
    assert_eq!(text(&ring_tool("dump", &file).stdout), dumped(0..10));
}

#[test]
fn a_file_that_was_cut_short_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    write_ring(&file, 45, 0);
    let bytes = fs::read(&file).unwrap();
    // Slots 0 to 15 hold segments 1 to 15; the newest is 15.
    fs::write(&file, &bytes[..3 * SEGMENT]).unwrap();
    let (found, _) = failed("verify", &file);
    assert!(found.contains("the file is cut short: 52KiB of the ring are missing"), "{found}");
    assert_eq!(text(&ring_tool("dump", &file).stdout), dumped(0..6));
    assert_eq!(fs::read(&file).unwrap().len(), 3 * SEGMENT, "it is left as it is");
}

#[test]
fn what_is_no_ring_is_refused_and_what_is_blank_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("text");
    fs::write(&foreign, b"# another program's file\n".repeat(1000)).unwrap();
    for action in ["info", "verify", "dump"] {
        let (out, error) = failed(action, &foreign);
        assert!(out.is_empty() && error.contains("is not a ring") && error.lines().count() == 1, "{action}: {error}");
        let (_, error) = failed(action, folder.path());
        assert!(error.contains("neither a file nor a block device"), "{action}: {error}");
        let (_, error) = failed(action, &folder.path().join("nothing"));
        assert!(error.contains("No such file"), "{action}: {error}");
    }
    for (name, bytes) in [("empty", vec![]), ("zeros", vec![0; 1 << 16]), ("erased", vec![0xff; 1 << 16])] {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        for action in ["info", "verify"] {
            assert!(done(action, &file).contains("is blank"), "{action} of {name}");
        }
        let dump = ring_tool("dump", &file);
        assert!(dump.status.success() && dump.stdout.is_empty(), "{dump:?}");
    }
}

#[test]
fn format_makes_an_empty_ring_unless_something_would_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ring");
    let path = file.to_str().unwrap();
    let format = |words: &[&str]| narthex(&[&["ring", "format", path], words].concat());
    let refused = |words: &[&str], why: &str| {
        let before = fs::read(&file).ok();
        let output = format(words);
        assert!(!output.status.success() && text(&output.stderr).contains(why), "{why}: {output:?}");
        assert_eq!(fs::read(&file).ok(), before, "{why}");
    };
    let made = |words: &[&str], said: &str| {
        let output = format(words);
        assert!(output.status.success() && text(&output.stdout).contains(said), "{said}: {output:?}");
        assert!(fs::read(&file).unwrap().iter().all(|byte| *byte == 0));
    };
    refused(&["--size", "64"], "--size \"64\": not a size");
    refused(&["--size", "1KiB"], "--size: \"1KiB\" is out of range");
    refused(&["--size", "64KiB", "--segment-size", "32KiB"], "fewer than 4 segments");
    made(&["--size", "64KiB", "--segment-size", "4KiB"], "an empty ring of 64KiB in 16 segments of 4KiB");
    made(&["--size", "128KiB"], "an empty ring of 128KiB");

    fs::write(&file, b"# another program's file\n".repeat(1000)).unwrap();
    refused(&["--size", "64KiB"], "is not a ring");
    made(&["--size", "64KiB", "--force"], "64KiB");

    let device = narthex(&["ring", "format", "/dev/null", "--size", "64KiB", "--force"]);
    assert!(text(&device.stderr).contains("/dev/null is not a ring: it is neither a file"), "{device:?}");

    write_ring(&file, 7, 5);
    refused(&["--size", "128KiB"], "with up to 80 samples that not every endpoint has acknowledged");
    made(&["--size", "128KiB", "--force"], "128KiB");
    made(&["--size", "64KiB"], "64KiB");

    write_ring(&file, 7, 5);
    let held = FileMedium::open(&file, LAYOUT).unwrap();
    refused(&["--size", "128KiB", "--force"], "in use by another process");
    drop(held);
    assert_eq!(done("dump", &file), dumped(0..7), "what was refused is still there");
}

/// The value of a line, unless it is the staleness marker of a scrape that took too long.
fn value(line: &str) -> Option<u64> {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["value"].as_str().unwrap().parse().ok()
}

#[test]
fn a_ring_whose_agent_is_running_can_be_looked_at_and_is_never_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let noise = |n: usize| (0..60).map(|i| format!("noise{{i=\"{i}\"}} {}\n", ((n * 61 + i) as f64).sin())).collect();
    let exporter = exporter(move |n| {
        format!("n {n}\n{}", {
            let lines: String = noise(n);
            lines
        })
    });
    let config = format!(
        "[global]\nscrape_interval = '40ms'\nscrape_timeout = '40ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = 'http://127.0.0.1:9/'\nname = 'cloud'\n\
         [buffer]\npath = 'ring'\nsize = '64KiB'\nsegment_size = '4KiB'\ncommit_interval = '1ms'\n",
        exporter.address
    );
    let agent = Agent::start(folder.path(), &config);
    let ring = folder.path().join("ring");
    let laps = || {
        text(&ring_tool("info", &ring).stdout)
            .lines()
            .find_map(|line| line.strip_prefix("newest segment")?.trim().split(' ').next()?.parse::<u64>().ok())
    };
    eventually("a second lap", Duration::from_secs(60), || (laps() > Some(20)).then_some(()));
    let mut most = 0;
    for round in 0..40 {
        let (verify, dump) = (ring_tool("verify", &ring), ring_tool("dump", &ring));
        assert!(verify.status.success(), "round {round}: {verify:?}");
        assert!(dump.status.success() && !dump.stdout.is_empty(), "round {round}: {}", text(&dump.stderr));
        let lines = text(&dump.stdout);
        let numbers: Vec<u64> =
            lines.lines().filter(|line| line.contains("\"__name__\":\"n\"")).filter_map(value).collect();
        assert!(numbers.is_sorted(), "round {round}: {numbers:?}");
        most = most.max(numbers.len());
    }
    assert!(most > 3, "scrapes that were in time were seen");
    assert!(agent.stop().0.success(), "and the agent is none the worse for it");
    let refusal = narthex(&["ring", "format", ring.to_str().unwrap(), "--size", "64KiB"]);
    assert!(text(&refusal.stderr).contains("not every endpoint has acknowledged"), "{refusal:?}");
}
