//! The account at the end of a demo: what went in, what came out, what it cost.

use super::style::{Line, Paint, Style, bytes, count, ratio};
use std::time::Duration;

/// What a whole demo came to. The receiver's own figures are what it found, not what it was told.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub elapsed: Duration,
    /// For how long the uplink was away.
    pub outage: Duration,
    pub scrape_interval: Duration,
    /// Into the buffer, report series and staleness markers included.
    pub samples_scraped: u64,
    /// Distinct samples at the receiver.
    pub samples_delivered: u64,
    /// Still in memory or on flash.
    pub samples_held: u64,
    /// Dropped and counted.
    pub samples_dropped: u64,
    pub samples_repeated: u64,
    pub samples_conflicting: u64,
    pub samples_out_of_order: u64,
    /// Between successive samples of any series at the receiver.
    pub longest_gap: Duration,
    pub samples_committed: u64,
    pub flash_bytes_written: u64,
    pub requests: u64,
    pub requests_refused: u64,
    pub bytes_sent: u64,
    pub resident_bytes_max: Option<u64>,
}

impl Totals {
    /// Samples that are neither at the receiver, nor held, nor counted as dropped. Anything but 0 is a defect of Narthex;
    /// below 0, the receiver has samples that nobody scraped.
    pub fn samples_unaccounted(&self) -> i128 {
        let known = [self.samples_delivered, self.samples_held, self.samples_dropped];
        i128::from(self.samples_scraped) - known.into_iter().map(i128::from).sum::<i128>()
    }

    /// Whether the receiver has each sample, unchanged and in order, and refused nothing.
    pub fn is_flawless(&self) -> bool {
        self.samples_delivered == self.samples_scraped
            && [self.samples_dropped, self.samples_held, self.samples_conflicting, self.samples_out_of_order] == [0; 4]
            && self.requests_refused == 0
            && self.samples_scraped > 0
    }
}

/// The account, none of its lines wider than `width`.
pub fn account(totals: &Totals, width: usize, style: Style) -> Vec<String> {
    let mut lines = vec![Line::new(), headline(totals), Line::new()];
    lines.extend(samples(totals));
    lines.push(Line::new());
    lines.extend(costs(totals));
    lines.push(Line::new());
    lines.extend(verdict(totals));
    lines.extend(next_steps());
    lines.into_iter().map(|line| line.show(width, style)).collect()
}

fn headline(totals: &Totals) -> Line {
    let (elapsed, outage) = (totals.elapsed.as_secs(), totals.outage.as_secs());
    Line::new()
        .put(Paint::Strong, " The account")
        .put(Paint::Dim, format!("   {elapsed} s, {outage} s of them without an uplink"))
}

fn row(name: &str, paint: Paint, value: String, note: impl Into<String>) -> Line {
    Line::new()
        .put(Paint::Plain, format!("  {name:<23}"))
        .put(paint, format!("{value:>9}"))
        .put(Paint::Dim, format!("  {}", note.into()))
}

fn samples(totals: &Totals) -> Vec<Line> {
    let unaccounted = totals.samples_unaccounted();
    let lost_paint = if unaccounted == 0 { Paint::Plain } else { Paint::Bad };
    let mut lines = vec![
        row("samples scraped", Paint::Strong, count(totals.samples_scraped), ""),
        row("delivered", Paint::Strong, count(totals.samples_delivered), "found at the receiver"),
        row("lost uncounted", lost_paint, unaccounted.to_string(), ""),
    ];
    for (name, paint, number, note) in [
        ("still held", Paint::Warm, totals.samples_held, "in memory or on flash"),
        ("dropped", Paint::Bad, totals.samples_dropped, "counted by cause"),
        ("delivered again", Paint::Plain, totals.samples_repeated, "answer lost on the way"),
        ("with another value", Paint::Bad, totals.samples_conflicting, ""),
        ("out of order", Paint::Bad, totals.samples_out_of_order, ""),
        ("requests refused", Paint::Bad, totals.requests_refused, ""),
    ] {
        if number > 0 {
            lines.push(row(name, paint, count(number), note));
        }
    }
    let gap = format!("{:.1} s", totals.longest_gap.as_secs_f64());
    let interval = format!("scraped every {:.1} s", totals.scrape_interval.as_secs_f64());
    lines.push(row("longest gap in a series", Paint::Plain, gap, interval));
    lines
}

fn costs(totals: &Totals) -> Vec<Line> {
    let per_sample = |bytes: u64, samples: u64| match samples {
        0 => String::new(),
        _ => format!("{:.2} B a sample", ratio(bytes as f64, samples as f64)),
    };
    let flash = per_sample(totals.flash_bytes_written, totals.samples_committed);
    let sent = per_sample(totals.bytes_sent, totals.samples_delivered);
    let mut lines = vec![
        row("written to flash", Paint::Plain, bytes(totals.flash_bytes_written), flash),
        row("sent over the uplink", Paint::Plain, bytes(totals.bytes_sent), sent),
        row("requests", Paint::Plain, count(totals.requests), ""),
    ];
    if let Some(resident) = totals.resident_bytes_max {
        let note = "peak of all three";
        lines.push(row("memory", Paint::Plain, bytes(resident), note));
    }
    lines
}

fn verdict(totals: &Totals) -> Vec<Line> {
    let line = |paint, text: String| Line::new().put(paint, format!("  {text}"));
    if totals.is_flawless() {
        let text = format!("Nothing was lost: all {} samples arrived, in order.", count(totals.samples_scraped));
        return vec![line(Paint::Good, text)];
    }
    let unaccounted = totals.samples_unaccounted();
    let (dropped, held) = (count(totals.samples_dropped), count(totals.samples_held));
    let found = [
        (totals.samples_scraped == 0, Paint::Bad, "Nothing was scraped; see the log for why.".into()),
        (unaccounted > 0, Paint::Bad, format!("{unaccounted} samples are lost uncounted: please report this.")),
        (unaccounted < 0, Paint::Bad, format!("{} unknown samples arrived: please report this.", -unaccounted)),
        (totals.samples_conflicting > 0, Paint::Bad, "Samples arrived changed: please report this.".into()),
        (totals.samples_out_of_order > 0, Paint::Bad, "Samples came out of order: please report this.".into()),
        (totals.requests_refused > 0, Paint::Bad, "The receiver refused requests; see the log for why.".into()),
        (totals.samples_dropped > 0, Paint::Warm, format!("{dropped} samples were dropped and counted.")),
        (totals.samples_held > 0, Paint::Warm, format!("{held} samples are still pending.")),
    ];
    found.into_iter().filter(|(holds, ..)| *holds).map(|(_, paint, text)| line(paint, text)).collect()
}

/// What to do after the demo.
fn next_steps() -> Vec<Line> {
    let step = |command: &str, what: &str| {
        Line::new().put(Paint::Strong, format!("    {command:<30}")).put(Paint::Dim, what.to_owned())
    };
    vec![
        Line::new(),
        Line::new().put(Paint::Plain, "  Next, with an exporter and a receiver of your own:"),
        step("narthex import prometheus.yml", "your file as TOML"),
        step("narthex check narthex.toml", "lists every mistake"),
        step("narthex run -c narthex.toml", "runs the agent"),
    ]
}
