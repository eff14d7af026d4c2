//! What the demo's user watches, and the account at its end.
//!
//! [`render`] and [`account`] are pure: figures in, lines out. [`Screen`] puts the lines where a terminal shows them, in
//! place, or one plain line a second where there is none.

mod account;
mod history;
mod style;
#[cfg(test)]
mod tests;

pub use account::{Totals, account};
pub use history::History;
pub use style::Style;

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;
use style::{Glyphs, Line, Paint, bar, bytes, count, ratio, rule};

/// Columns and rows that a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// Columns drawn at most.
const COLUMNS_MAX: usize = 80;

/// The smallest terminal in which the picture is drawn; a smaller one gets plain lines, as a pipe does.
const SMALLEST: Size = Size { columns: 60, rows: 11 };

/// Rows of the whole picture, and of the row below it on which the cursor stands.
const ROWS_OF_ALL: usize = 20;
const ROWS_WITHOUT_CURVES: usize = 15;

/// Everything there is to see at one moment. Counts are since the demo began.
#[derive(Clone, Debug)]
pub struct View {
    /// What is going on, in few words.
    pub phase: String,
    /// Counted from 1.
    pub phase_number: usize,
    pub phases: usize,
    pub phase_left: Duration,
    pub elapsed: Duration,
    pub uplink_up: bool,
    pub exporter: SocketAddr,
    pub receiver: SocketAddr,
    pub scrapes: u64,
    pub samples_scraped: u64,
    /// Waiting in memory only.
    pub samples_in_stage: u64,
    /// Waiting on flash.
    pub samples_in_ring: u64,
    pub ring_used_bytes: u64,
    pub ring_size_bytes: u64,
    pub samples_delivered: u64,
    /// Dropped and counted.
    pub samples_dropped: u64,
    /// Samples ever written to the ring.
    pub samples_committed: u64,
    pub flash_bytes_written: u64,
    pub bytes_sent: u64,
    pub resident_bytes: Option<u64>,
}

impl View {
    fn samples_held(&self) -> u64 {
        self.samples_in_stage.saturating_add(self.samples_in_ring)
    }
}

/// Returns the picture of one moment: lines that are no wider than the terminal. A low terminal gets no curves, a lower one no costs.
pub fn render(view: &View, history: &History, size: Size, style: Style) -> Vec<String> {
    let width = size.columns.min(COLUMNS_MAX);
    let mut lines = Vec::from(title(view, width));
    lines.push(Line::new());
    lines.extend(pipeline(view, width, style));
    lines.push(Line::new());
    lines.extend(figures(view, history, width, style));
    if size.rows >= ROWS_WITHOUT_CURVES {
        lines.push(Line::new());
        lines.extend(costs(view));
    }
    if size.rows >= ROWS_OF_ALL {
        lines.push(Line::new());
        lines.extend(curves(history, width, style));
    }
    lines.into_iter().map(|line| line.show(width, style)).collect()
}

fn title(view: &View, width: usize) -> [Line; 2] {
    let left = format!("{} s left", view.phase_left.as_secs());
    let name = Line::new()
        .put(Paint::Strong, " narthex demo")
        .put(Paint::Plain, format!("   step {} of {}", view.phase_number, view.phases))
        .right(width.saturating_sub(1), Paint::Strong, left);
    [name, Line::new().put(Paint::Plain, format!(" {}", view.phase))]
}

/// ```text
///   exporter ──────► narthex ─────────────► receiver
///   127.0.0.1:41001  3.1 MiB   uplink up    127.0.0.1:41002
/// ```
fn pipeline(view: &View, width: usize, style: Style) -> [Line; 2] {
    let (middle, right) = (width * 3 / 10, width * 7 / 10);
    let (paint, state) = if view.uplink_up { (Paint::Good, "uplink up") } else { (Paint::Bad, "UPLINK DOWN") };
    let uplink_columns = right.saturating_sub(middle + 9);
    let state_column = middle + 8 + uplink_columns.saturating_sub(state.len()) / 2;
    let stages = Line::new()
        .put(Paint::Strong, "  exporter ")
        .put(Paint::Dim, arrow(middle.saturating_sub(12), true, style))
        .at_column(middle)
        .put(Paint::Strong, "narthex ")
        .put(paint, arrow(uplink_columns, view.uplink_up, style))
        .at_column(right)
        .put(Paint::Strong, "receiver");
    let below = Line::new()
        .put(Paint::Dim, format!("  {}", view.exporter))
        .at_column(middle)
        .put(Paint::Dim, view.resident_bytes.map_or(String::new(), bytes))
        .at_column(state_column)
        .put(paint, state)
        .at_column(right)
        .put(Paint::Dim, view.receiver.to_string());
    [stages, below]
}

/// An arrow over so many columns, or one that is cut in the middle.
fn arrow(columns: usize, whole: bool, style: Style) -> String {
    let Glyphs { line, gap, arrow, cross, .. } = style.glyphs();
    if whole {
        return rule(line, columns.saturating_sub(1)) + arrow;
    }
    let before = columns.saturating_sub(3) / 2;
    format!("{} {cross} {}", rule(line, before), rule(gap, columns.saturating_sub(before + 3)))
}

fn figures(view: &View, history: &History, width: usize, style: Style) -> [Line; 4] {
    let bar_columns = width.saturating_sub(48).clamp(4, 24);
    let row = |name: &str, samples: u64| {
        Line::new().put(Paint::Plain, format!("  {name:<12}")).put(Paint::Strong, format!("{:>11}", count(samples)))
    };
    let rate = |line: Line, per_second: u64| {
        let paint = if per_second == 0 { Paint::Dim } else { Paint::Plain };
        line.put(paint, format!("   {:>9} /s", count(per_second)))
    };
    let full = ratio(view.ring_used_bytes as f64, view.ring_size_bytes as f64).min(1.0);
    [
        rate(row("scraped", view.samples_scraped), history.scraped_per_second())
            .put(Paint::Dim, format!("   in {} scrapes", count(view.scrapes))),
        row("in memory", view.samples_in_stage),
        row("on flash", view.samples_in_ring)
            .put(Paint::Plain, "   ")
            .put(Paint::Warm, bar(full, bar_columns, style))
            .put(Paint::Dim, format!(" {:.0} % of {}", full * 100.0, bytes(view.ring_size_bytes))),
        rate(row("delivered", view.samples_delivered), history.delivered_per_second()),
    ]
}

fn costs(view: &View) -> [Line; 3] {
    let row = |name: &str, total: String, per: String| {
        Line::new()
            .put(Paint::Plain, format!("  {name:<12}"))
            .put(Paint::Plain, format!("{total:>11}"))
            .put(Paint::Dim, format!("   {per}"))
    };
    let per_sample = |bytes: u64, samples: u64, what: &str| match samples {
        0 => String::new(),
        _ => format!("{:.2} B a sample {what}", ratio(bytes as f64, samples as f64)),
    };
    let flash = per_sample(view.flash_bytes_written, view.samples_committed, "written there");
    let flash = if view.flash_bytes_written == 0 { "nothing had to be written".into() } else { flash };
    let dropped = count(view.samples_dropped);
    [
        row("to flash", bytes(view.flash_bytes_written), flash),
        row("over uplink", bytes(view.bytes_sent), per_sample(view.bytes_sent, view.samples_delivered, "delivered")),
        Line::new()
            .put(Paint::Plain, "  dropped     ")
            .put(if view.samples_dropped == 0 { Paint::Good } else { Paint::Bad }, format!("{dropped:>11}"))
            .put(Paint::Dim, if view.samples_dropped == 0 { "" } else { "   the ring was full; all counted" }),
    ]
}

/// The last minute, a column a second; each curve has a scale of its own, told at its end.
fn curves(history: &History, width: usize, style: Style) -> [Line; 4] {
    const NAME_COLUMNS: usize = 14;
    const SCALE_COLUMNS: usize = 14;
    let columns = width.saturating_sub(NAME_COLUMNS + SCALE_COLUMNS);
    let name = |name: &str| Line::new().put(Paint::Plain, format!("  {name:<12}"));
    let row = |line: Line, paint, values: Vec<u64>, unit: &str| {
        let line = line.put(paint, style.spark(&values)).at_column(NAME_COLUMNS + columns);
        match values.into_iter().max().unwrap_or(0) {
            0 => line,
            highest => line.put(Paint::Dim, format!("{:>10}{unit}", count(highest))),
        }
    };
    let glyphs = style.glyphs();
    let uplink = history.uplink(columns).into_iter().fold(name("uplink"), |line, up| {
        let (paint, glyph) = if up { (Paint::Good, glyphs.line) } else { (Paint::Bad, glyphs.cross) };
        line.put(paint, glyph)
    });
    [
        uplink,
        row(name("scraped"), Paint::Dim, history.scraped(columns), " /s"),
        row(name("waiting"), Paint::Warm, history.held(columns), ""),
        row(name("delivered"), Paint::Good, history.delivered(columns), " /s"),
    ]
}

/// One moment in one line, for logs and pipes: `key=value`, as Prometheus logs.
pub fn plain(view: &View) -> String {
    format!(
        "t={}s phase={:?} uplink={} scraped={} in_memory={} on_flash={} delivered={} dropped={} flash_bytes={} \
         sent_bytes={}",
        view.elapsed.as_secs(),
        view.phase,
        if view.uplink_up { "up" } else { "down" },
        view.samples_scraped,
        view.samples_in_stage,
        view.samples_in_ring,
        view.samples_delivered,
        view.samples_dropped,
        view.flash_bytes_written,
        view.bytes_sent,
    )
}

/// Where the picture is drawn. To be given a view several times a second.
pub struct Screen<W> {
    out: W,
    /// Measures the terminal that is drawn on; `None` if standard output is no such terminal, which gets plain lines.
    measure: fn() -> Option<Size>,
    style: Style,
    history: History,
    lines_drawn: usize,
    shown: Option<(u64, usize)>,
}

impl Screen<io::Stdout> {
    /// Draws in place if standard output is a terminal that can be drawn on.
    pub fn on_stdout() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let drawable = io::stdout().is_terminal() && variable("TERM").is_none_or(|term| term != "dumb");
        let measure = if drawable { terminal_size } else { || None };
        Screen::new(io::stdout(), measure, Style::of(drawable, variable))
    }
}

impl<W: Write> Screen<W> {
    pub fn new(out: W, measure: fn() -> Option<Size>, style: Style) -> Self {
        Screen { out, measure, style, history: History::default(), lines_drawn: 0, shown: None }
    }

    pub fn draw(&mut self, view: &View) -> io::Result<()> {
        self.history.note(view);
        if let Some(size) = (self.measure)().filter(|size| size.fits()) {
            return self.draw_in_place(view, size);
        }
        // The lines that follow stand below the last picture.
        self.lines_drawn = 0;
        // Once a second, and when another phase begins.
        let moment = (view.elapsed.as_secs(), view.phase_number);
        if self.shown.replace(moment) != Some(moment) {
            writeln!(self.out, "{}", plain(view))?;
            self.out.flush()?;
        }
        Ok(())
    }

    /// Writes the account under the picture.
    pub fn finish(&mut self, totals: &Totals) -> io::Result<()> {
        let columns = (self.measure)().map_or(COLUMNS_MAX, |size| size.columns.min(COLUMNS_MAX));
        for line in account(totals, columns, self.style) {
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }

    /// In one write, so that no half of a picture is seen; without wrapping, so that a narrow terminal shows as many lines.
    fn draw_in_place(&mut self, view: &View, size: Size) -> io::Result<()> {
        const WRAP_OFF: &str = "\x1b[?7l";
        const WRAP_ON: &str = "\x1b[?7h";
        const CLEAR_REST: &str = "\x1b[K";
        const CLEAR_BELOW: &str = "\x1b[J";
        let lines = render(view, &self.history, size, self.style);
        let mut frame = String::from(WRAP_OFF);
        if self.lines_drawn > 0 {
            // No further up than the terminal's first row: it may have been made lower since.
            frame.push_str(&format!("\x1b[{}A\r", self.lines_drawn.min(size.rows.saturating_sub(1))));
        }
        for line in &lines {
            frame.push_str(line);
            frame.push_str(CLEAR_REST);
            frame.push_str("\r\n");
        }
        frame.push_str(CLEAR_BELOW);
        frame.push_str(WRAP_ON);
        self.lines_drawn = lines.len();
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }
}

impl Size {
    fn fits(&self) -> bool {
        self.columns >= SMALLEST.columns && self.rows >= SMALLEST.rows
    }
}

/// A terminal that doesn't know its size, as many serial consoles don't, is taken for one of 80 columns and 24 rows.
fn terminal_size() -> Option<Size> {
    const USUAL: Size = Size { columns: 80, rows: 24 };
    let told = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|told| told.ws_col > 0 && told.ws_row > 0);
    Some(told.map_or(USUAL, |told| Size { columns: told.ws_col.into(), rows: told.ws_row.into() }))
}
