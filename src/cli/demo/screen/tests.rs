use super::*;
use proptest::prelude::*;

const COLORFUL: Style = Style { color: true, unicode: true };
const UNICODE: Style = Style { color: false, unicode: true };
const ASCII: Style = Style { color: false, unicode: false };
const WHOLE: Size = Size { columns: 80, rows: 24 };

fn view(second: u64) -> View {
    View {
        phase: "the uplink is taken away".into(),
        phase_number: 2,
        phases: 4,
        phase_left: Duration::from_millis(17_400),
        elapsed: Duration::from_secs(second),
        uplink_up: false,
        exporter: "127.0.0.1:41001".parse().unwrap(),
        receiver: "127.0.0.1:41002".parse().unwrap(),
        scrapes: 38,
        samples_scraped: 5092,
        samples_in_stage: 402,
        samples_in_ring: 1474,
        ring_used_bytes: 8192,
        ring_size_bytes: 65536,
        samples_delivered: 3216,
        samples_dropped: 0,
        samples_committed: 1474,
        flash_bytes_written: 8192,
        bytes_sent: 16_000,
        resident_bytes: Some(3_250_586),
    }
}

/// Twenty seconds with an uplink, then twenty without.
fn history() -> History {
    let mut history = History::default();
    for second in 0..40 {
        let scraped = 134 * (second + 1);
        let delivered = scraped.min(134 * 20);
        history.note(&View {
            uplink_up: second < 20,
            samples_scraped: scraped,
            samples_delivered: delivered,
            samples_in_stage: 0,
            samples_in_ring: scraped - delivered,
            ..view(second)
        });
    }
    history
}

#[test]
fn the_picture_tells_where_the_samples_are() {
    let shown = render(&view(40), &history(), WHOLE, UNICODE).join("\n");
    assert_eq!(
        format!("\n{shown}"),
        "
 narthex demo   step 2 of 4                                           17 s left
 the uplink is taken away

  exporter ───────────► narthex ────────── × ·········· receiver
  127.0.0.1:41001       3.1 MiB       UPLINK DOWN       127.0.0.1:41002

  scraped           5 092         134 /s   in 38 scrapes
  in memory           402
  on flash          1 474   ███░░░░░░░░░░░░░░░░░░░░░ 12 % of 64 KiB
  delivered         3 216           0 /s

  to flash          8 KiB   5.56 B a sample written there
  over uplink    15.6 KiB   4.98 B a sample delivered
  dropped               0

  uplink      ────────────────────××××××××××××××××××××
  scraped     ████████████████████████████████████████                   134 /s
  waiting                         ▁▁▂▂▂▃▃▄▄▄▅▅▆▆▆▇▇███                 2 680
  delivered   ████████████████████                                       134 /s"
    );
}

#[test]
fn the_uplink_is_told_apart_in_words_and_in_color() {
    let joined =
        |uplink_up, style| render(&View { uplink_up, ..view(1) }, &History::default(), WHOLE, style).join("\n");
    assert!(joined(true, UNICODE).contains("───► receiver") && joined(true, UNICODE).contains("uplink up"));
    assert!(joined(false, UNICODE).contains(" × ") && joined(false, UNICODE).contains("UPLINK DOWN"));
    assert!(joined(true, COLORFUL).contains("\x1b[32muplink up\x1b[0m"));
    assert!(joined(false, COLORFUL).contains("\x1b[1;31mUPLINK DOWN\x1b[0m"));
}

/// Columns that a terminal shows of a line.
fn columns(line: &str) -> usize {
    let mut pieces = line.split("\x1b[");
    let first = pieces.next().unwrap_or("").chars().count();
    first + pieces.map(|piece| piece.split_once('m').unwrap().1.chars().count()).sum::<usize>()
}

fn any_style() -> impl Strategy<Value = Style> {
    (any::<bool>(), any::<bool>()).prop_map(|(color, unicode)| Style { color, unicode })
}

proptest! {
    #[test]
    fn no_figures_and_no_terminal_break_the_picture(
        n in prop::array::uniform12(any::<u64>()),
        up in any::<bool>(),
        columns_shown in 0usize..200,
        rows in 0usize..40,
        style in any_style(),
    ) {
        let size = Size { columns: columns_shown, rows };
        let view = View {
            uplink_up: up,
            phase_left: Duration::from_millis(n[0]),
            elapsed: Duration::from_millis(n[1]),
            scrapes: n[2],
            samples_scraped: n[3],
            samples_in_stage: n[4],
            samples_in_ring: n[5],
            ring_used_bytes: n[6],
            ring_size_bytes: n[7],
            samples_delivered: n[8],
            samples_dropped: n[9],
            flash_bytes_written: n[10],
            bytes_sent: n[11],
            resident_bytes: up.then_some(n[0]),
            ..view(0)
        };
        let mut history = history();
        history.note(&view);
        let lines = render(&view, &history, size, style);
        prop_assert!(!size.fits() || lines.len() < rows, "{} lines in {rows} rows", lines.len());
        for line in &lines {
            prop_assert!(columns(line) <= columns_shown, "{line:?}");
            prop_assert!(style.color || !line.contains('\x1b'));
            prop_assert!(style.unicode || line.is_ascii(), "{line:?}");
        }
    }

    #[test]
    fn no_totals_break_the_account(n in prop::array::uniform12(any::<u64>()), width in 0usize..120, style in any_style()) {
        let totals = Totals {
            elapsed: Duration::from_millis(n[0]),
            longest_gap: Duration::from_millis(n[1]),
            samples_scraped: n[2],
            samples_delivered: n[3],
            samples_held: n[4],
            samples_dropped: n[5],
            samples_repeated: n[6],
            samples_conflicting: n[7] % 2,
            samples_out_of_order: n[8] % 2,
            samples_committed: n[9],
            flash_bytes_written: n[10],
            bytes_sent: n[11],
            ..Totals::default()
        };
        for line in account(&totals, width, style) {
            prop_assert!(columns(&line) <= width, "{line:?}");
        }
    }

    /// Whatever is wrong, the verdict says so.
    #[test]
    fn a_verdict_is_good_only_if_all_is_well(n in prop::array::uniform7(0u64..2)) {
        let totals = Totals {
            samples_scraped: n[0],
            samples_delivered: n[1],
            samples_held: n[2],
            samples_dropped: n[3],
            samples_conflicting: n[4],
            samples_out_of_order: n[5],
            requests_refused: n[6],
            ..Totals::default()
        };
        let shown = account(&totals, 80, UNICODE).join("\n");
        prop_assert_eq!(shown.contains("Nothing was lost"), n == [1, 1, 0, 0, 0, 0, 0], "{}", shown);
    }
}

#[test]
fn the_account_of_a_demo_that_went_well() {
    let shown = account(&totals(), 80, UNICODE).join("\n");
    assert_eq!(
        shown,
        "
 The account   60 s, 25 s of them without an uplink

  samples scraped            8 040
  delivered                  8 040  found at the receiver
  lost uncounted                 0
  delivered again              268  answer lost on the way
  longest gap in a series    1.0 s  scraped every 1.0 s

  written to flash          12 KiB  3.82 B a sample
  sent over the uplink    40.3 KiB  5.13 B a sample
  requests                      31
  memory                   3.9 MiB  peak of all three

  Nothing was lost: all 8 040 samples arrived, in order.

  Next, with an exporter and a receiver of your own:
    narthex import prometheus.yml your file as TOML
    narthex check narthex.toml    lists every mistake
    narthex run -c narthex.toml   runs the agent"
    );
}

#[test]
fn the_account_of_a_demo_that_did_not() {
    let totals = Totals { samples_delivered: 8000, samples_dropped: 30, samples_held: 4, ..totals() };
    assert_eq!(totals.samples_unaccounted(), 6);
    let lines = account(&totals, 80, UNICODE);
    let verdict = [
        "  6 samples are lost uncounted: please report this.",
        "  30 samples were dropped and counted.",
        "  4 samples are still pending.",
    ];
    let first = lines.iter().position(|line| line == verdict[0]).unwrap();
    assert_eq!(lines[first..first + 3], verdict);
    let longest = lines.iter().map(|line| columns(line)).max();
    assert_eq!(account(&totals, 1000, UNICODE).iter().map(|line| columns(line)).max(), longest, "cut off at 80");
}

fn totals() -> Totals {
    Totals {
        elapsed: Duration::from_secs(60),
        outage: Duration::from_secs(25),
        scrape_interval: Duration::from_secs(1),
        samples_scraped: 8040,
        samples_delivered: 8040,
        samples_repeated: 268,
        longest_gap: Duration::from_millis(1003),
        samples_committed: 3216,
        flash_bytes_written: 12_288,
        requests: 31,
        bytes_sent: 41_234,
        resident_bytes_max: Some(4_100_000),
        ..Totals::default()
    }
}

#[test]
fn on_a_terminal_each_picture_replaces_the_one_before() {
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, || Some(WHOLE), COLORFUL);
    screen.draw(&view(1)).unwrap();
    screen.draw(&view(2)).unwrap();
    let frames = String::from_utf8(out).unwrap();
    let (first, second) = frames.split_once("\x1b[19A\r").expect("goes back up by the lines of one picture");
    assert_eq!(first.matches("\r\n").count(), 19);
    assert_eq!(second.matches("\r\n").count(), 19);
    assert_eq!(frames.matches("\x1b[?7l").count(), frames.matches("\x1b[?7h").count());
    assert!(frames.ends_with("\x1b[?7h"), "wrapping is left as it was");
}

/// At 60 columns lines were cut off, and in less than 20 rows the pictures piled up.
#[test]
fn a_small_terminal_shows_whole_lines_and_one_picture() {
    let (narrow, low) = (Size { columns: 60, rows: 24 }, Size { columns: 80, rows: 12 });
    let full = View { samples_dropped: 1, ..view(40) };
    for line in render(&full, &history(), Size { columns: 60, ..WHOLE }, UNICODE) {
        assert!(columns(&line) < 60, "cut off: {line:?}");
    }
    for line in
        account(&Totals { samples_dropped: 3, samples_held: 5, samples_out_of_order: 1, ..totals() }, 60, UNICODE)
    {
        assert!(columns(&line) < 60, "cut off: {line:?}");
    }
    assert_eq!(render(&view(40), &history(), narrow, UNICODE).len(), 19);
    assert_eq!(render(&view(40), &history(), low, UNICODE).len(), 10);
    let mut out = Vec::new();
    Screen::new(&mut out, || Some(Size { columns: 80, rows: 8 }), UNICODE).draw(&view(1)).unwrap();
    assert!(out.starts_with(b"t=1s "), "a lower one gets plain lines");
}

#[test]
fn without_a_terminal_there_is_a_plain_line_for_each_second_and_phase() {
    let mut out = Vec::new();
    let mut screen = Screen::new(&mut out, || None, UNICODE);
    for milliseconds in [1000, 1250, 1500, 2000, 2250] {
        screen.draw(&View { elapsed: Duration::from_millis(milliseconds), ..view(0) }).unwrap();
    }
    let next_phase = View { elapsed: Duration::from_millis(2500), phase_number: 3, ..view(0) };
    screen.draw(&next_phase).unwrap();
    let lines = String::from_utf8(out).unwrap();
    let times: Vec<_> = lines.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(times, ["t=1s", "t=2s", "t=2s"]);
    assert_eq!(
        lines.lines().next().unwrap(),
        "t=1s phase=\"the uplink is taken away\" uplink=down scraped=5092 in_memory=402 on_flash=1474 delivered=3216 \
         dropped=0 flash_bytes=8192 sent_bytes=16000"
    );
}

#[test]
fn rates_are_of_the_last_complete_seconds() {
    let mut history = History::default();
    for (second, scraped) in [(0, 0), (1, 10), (2, 20), (3, 1000)] {
        history.note(&View { samples_scraped: scraped, ..view(second) });
    }
    assert_eq!(history.scraped_per_second(), 20 / 3);
    for second in 4..500 {
        history.note(&View { samples_scraped: 1000 + 7 * second, ..view(second) });
    }
    assert_eq!(history.scraped_per_second(), 7);
    assert_eq!(history.scraped(1000).len(), 120);
}

#[test]
fn an_uplink_that_was_away_for_part_of_a_second_shows() {
    let mut history = History::default();
    for (milliseconds, uplink_up) in [(0, true), (1000, true), (1500, false), (1750, true), (2000, true)] {
        history.note(&View { uplink_up, elapsed: Duration::from_millis(milliseconds), ..view(0) });
    }
    assert_eq!(history.uplink(80), [true, false, true]);
}

#[test]
fn numbers_are_written_for_people() {
    for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
        assert_eq!(count(number), text);
    }
    for (number, text) in [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (12_600, "12.3 KiB"), (3 << 30, "3 GiB")] {
        assert_eq!(bytes(number), text);
    }
    assert_eq!(bytes(u64::MAX), "16777216 TiB");
}

#[test]
fn a_spark_shows_whatever_is_not_zero() {
    assert_eq!(UNICODE.spark(&[0, 1, 500, 1000]), " ▁▄█");
    assert_eq!(ASCII.spark(&[0, 0]), "  ");
    assert_eq!(UNICODE.spark(&[u64::MAX]), "█");
}

#[test]
fn the_environment_decides_on_color_and_glyphs() {
    type Variables = &'static [(&'static str, &'static str)];
    let cases: [(bool, Variables, Style); 6] = [
        (true, &[("LANG", "C.UTF-8")], COLORFUL),
        (true, &[("LANG", "de_DE.utf8"), ("NO_COLOR", "1")], UNICODE),
        (true, &[("LANG", "de_DE.utf8"), ("NO_COLOR", "")], COLORFUL),
        (true, &[("LANG", "C.UTF-8"), ("LC_ALL", "C"), ("NO_COLOR", "1")], ASCII),
        (false, &[("LANG", "C.UTF-8")], UNICODE),
        (false, &[], ASCII),
    ];
    for (drawable, variables, style) in cases {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        assert_eq!(Style::of(drawable, variable), style, "{drawable} {variables:?}");
    }
}
