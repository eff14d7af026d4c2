//! Lines of painted text, and how a terminal is told of them.

/// What the terminal at hand can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
    /// Bars and lines; else ASCII, for serial consoles.
    pub unicode: bool,
}

impl Style {
    /// As the environment has it: `NO_COLOR` (no-color.org), and whether the locale is UTF-8.
    pub fn of(drawable: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Style {
            color: drawable && set("NO_COLOR").is_none(),
            unicode: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    pub(super) fn glyphs(self) -> &'static Glyphs {
        if self.unicode { &UNICODE } else { &ASCII }
    }

    /// One column for each value, the highest one full.
    pub(super) fn spark(self, values: &[u64]) -> String {
        let levels = self.glyphs().levels;
        let highest = values.iter().copied().max().unwrap_or(0).max(1);
        let level = |value: u64| (value as u128 * (levels.len() - 1) as u128).div_ceil(highest as u128) as usize;
        values.iter().map(|value| levels[level(*value)]).collect()
    }
}

/// Each one column wide.
pub(super) struct Glyphs {
    pub line: &'static str,
    pub gap: &'static str,
    pub arrow: &'static str,
    pub cross: &'static str,
    pub full: &'static str,
    pub empty: &'static str,
    /// From nothing to full.
    pub levels: &'static [&'static str],
}

static UNICODE: Glyphs = Glyphs {
    line: "─",
    gap: "·",
    arrow: "►",
    cross: "×",
    full: "█",
    empty: "░",
    levels: &[" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
};

static ASCII: Glyphs = Glyphs {
    line: "-",
    gap: ".",
    arrow: ">",
    cross: "x",
    full: "#",
    empty: ".",
    levels: &[" ", ".", ":", "-", "=", "+", "*", "#"],
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Strong,
    Dim,
    Good,
    Bad,
    /// What waits.
    Warm,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Paint::Plain => "",
            Paint::Strong => "\x1b[1m",
            Paint::Dim => "\x1b[2m",
            Paint::Good => "\x1b[32m",
            Paint::Bad => "\x1b[1;31m",
            Paint::Warm => "\x1b[33m",
        }
    }
}

/// Pieces of text, each in its paint; every character of them is one column wide.
#[derive(Default)]
pub(super) struct Line(Vec<(Paint, String)>);

impl Line {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn put(mut self, paint: Paint, text: impl Into<String>) -> Self {
        self.0.push((paint, text.into()));
        self
    }

    /// Goes on at this column, or one column further on if the line is that long already.
    pub fn at_column(self, column: usize) -> Self {
        let columns = self.columns();
        let spaces = if columns > column { 1 } else { column - columns };
        self.put(Paint::Plain, " ".repeat(spaces))
    }

    /// Puts text so that it ends at this column.
    pub fn right(self, column: usize, paint: Paint, text: String) -> Self {
        self.at_column(column.saturating_sub(text.chars().count())).put(paint, text)
    }

    fn columns(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// The text a terminal is sent: at most `width` columns, paints ended where they end.
    pub fn show(self, width: usize, style: Style) -> String {
        let mut shown = String::new();
        let mut left = width;
        for (paint, text) in self.0 {
            let text: String = text.chars().take(left).collect();
            left -= text.chars().count();
            if style.color && paint != Paint::Plain && !text.trim().is_empty() {
                shown.extend([paint.code(), &text, "\x1b[0m"]);
            } else {
                shown.push_str(&text);
            }
        }
        shown.truncate(shown.trim_end_matches(' ').len());
        shown
    }
}

/// `part` of the whole, 0 to 1; anything that is there at all shows.
pub(super) fn bar(part: f64, columns: usize, style: Style) -> String {
    let glyphs = style.glyphs();
    let full = ((part * columns as f64).ceil() as usize).min(columns);
    rule(glyphs.full, full) + &rule(glyphs.empty, columns - full)
}

pub(super) fn rule(glyph: &str, columns: usize) -> String {
    glyph.repeat(columns)
}

pub(super) fn ratio(of: f64, to: f64) -> f64 {
    if to > 0.0 { of / to } else { 0.0 }
}

/// `1234567` as `1 234 567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// `12600` as `12.3 KiB`.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = (number.max(1).ilog2() as usize / 10).min(UNITS.len() - 1);
    let value = number as f64 / (1u64 << (10 * unit)) as f64;
    if unit == 0 || value.fract() == 0.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}
