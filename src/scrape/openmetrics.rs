//! OpenMetrics 0.0.1 and 1.0.0, line by line, as Prometheus 3's `openmetricsparse.go` and `openmetricslex.l` read them.
//!
//! Pure, and without a copy. Stricter than the text format: one space where that takes blanks, no blank lines, no
//! comments, `# EOF` at the end and nothing behind it. It refuses to know whether a page keeps the specification's rules
//! on names, units and order, as Prometheus does.
//!
//! ```text
//!  # TYPE a counter
//!  # UNIT a_seconds seconds
//!  a_total{b="c"} 1 1.5 # {trace_id="x"} 0.1 1.4
//!  ╰─── series ──╯ │  │   ╰────── exemplar ─────╯
//!                value time, in seconds
//!  # EOF
//! ```
//!
//! Where Prometheus's lexer is odd, so is this: zero bytes count for nothing in metadata and in a label's value, and a
//! sample whose line goes on wrongly behind its value still counts.

use super::content_type::Format;
use super::entry::{Entry, Sample, normal};
use super::exemplar::{Exemplar, ExemplarText};
use super::go_float::parse_go_float;
use super::series_text::{MetricType, SeriesText, after_word, quoted_text};
use super::start_timestamp::{StartTimestamps, is_created_line};
use super::text_error::TextError;

const NO_EOF: &str = "data does not end with # EOF";
const BEHIND_VALUE: &str = "expected timestamp, exemplar or new record";

pub struct OpenMetricsParser<'p> {
    page: &'p [u8],
    at: usize,
    /// Where the current entry starts.
    start: usize,
    metric_type: MetricType,
    /// The line of the last sample went on in a way that can't be: there is nothing more to be had.
    broken: bool,
    /// There if they are wanted.
    start_timestamps: Option<StartTimestamps>,
}

/// What a `#` line tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyword {
    Help,
    Type,
    Unit,
}

impl<'p> OpenMetricsParser<'p> {
    pub fn new(page: &'p [u8]) -> Self {
        OpenMetricsParser {
            page,
            at: 0,
            start: 0,
            metric_type: MetricType::Unknown,
            broken: false,
            start_timestamps: None,
        }
    }

    /// A parser that takes `_created` lines for what they tell of the series before them, not for series.
    pub fn with_start_timestamps(page: &'p [u8]) -> Self {
        OpenMetricsParser { start_timestamps: Some(StartTimestamps::default()), ..OpenMetricsParser::new(page) }
    }

    /// The next entry, or `None` at `# EOF`. After an error there is nothing more to be had.
    ///
    /// `expected` is the text of a series, as an earlier page in this format yielded it.
    pub fn next(&mut self, expected: Option<&[u8]>) -> Result<Option<Entry<'p>>, TextError> {
        loop {
            let mut entry = self.line(expected)?;
            let Some(start_timestamps) = &mut self.start_timestamps else { return Ok(entry) };
            match &mut entry {
                Some(Entry::Sample(sample)) if is_created_line(&sample.series) => continue,
                Some(Entry::Sample(sample)) => {
                    let ahead = OpenMetricsParser { start_timestamps: None, ..*self };
                    sample.start_timestamp_ms = start_timestamps.find(&sample.series, ahead);
                }
                Some(Entry::Type { name, .. } | Entry::Help { name, .. } | Entry::Unit { name, .. }) => {
                    start_timestamps.family_name_len = name.len();
                }
                Some(Entry::Comment) | None => {}
            }
            return Ok(entry);
        }
    }

    fn line(&mut self, expected: Option<&[u8]>) -> Result<Option<Entry<'p>>, TextError> {
        if self.broken {
            return Err(self.error(BEHIND_VALUE));
        }
        self.start = self.at;
        if let Some(end) = expected.and_then(|raw| self.end_of(raw)) {
            return self.sample(end, true).map(Some);
        }
        match self.peek() {
            None => Err(self.error(NO_EOF)),
            Some(b'#') => self.hash_line(),
            Some(b'{') => self.series(false).map(Some),
            Some(byte) if is_name_start(byte) => {
                self.skip_name();
                self.series(true).map(Some)
            }
            Some(_) => Err(self.error("expected a valid start token")),
        }
    }

    /// The position behind `raw`, if that is the series at which the page stands.
    fn end_of(&self, raw: &[u8]) -> Option<usize> {
        let rest = self.page[self.at..].strip_prefix(raw)?;
        (rest.first() == Some(&b' ')).then_some(self.at + raw.len())
    }

    /// What stands behind the name, if there is a name before the braces.
    fn series(&mut self, named: bool) -> Result<Entry<'p>, TextError> {
        if self.peek() == Some(b'{') {
            self.at += 1;
            self.labels(named, false)?;
        }
        self.sample(self.at, false)
    }

    /// Labels up to the closing brace.
    fn labels(&mut self, mut named: bool, of_exemplar: bool) -> Result<(), TextError> {
        loop {
            let quoted = self.peek() == Some(b'"');
            match self.peek() {
                Some(b'}') => break,
                Some(b'"') => self.skip_quoted(of_exemplar)?,
                Some(byte) if is_label_start(byte) => {
                    self.take_while(|byte| is_label_start(byte) || byte.is_ascii_digit());
                }
                _ => return Err(self.error("expected label name")),
            }
            match self.peek() {
                Some(b',' | b'}') if quoted && of_exemplar => return Err(self.error("expected label name")),
                Some(b',' | b'}') if quoted && named => return Err(self.error("metric name already set")),
                Some(b',' | b'}') if quoted => named = true,
                Some(b'=') => {
                    self.at += 1;
                    self.label_value(of_exemplar)?;
                }
                _ => return Err(self.error("expected equal")),
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.error("expected comma or brace close")),
            }
        }
        self.at += 1;
        if named || of_exemplar { Ok(()) } else { Err(self.error("metric name not set")) }
    }

    fn skip_quoted(&mut self, of_exemplar: bool) -> Result<(), TextError> {
        let quoted = quoted_text(self.page, self.at, false).filter(|(text, _)| !(of_exemplar && text.contains(&b'\n')));
        let (_, after) = quoted.ok_or_else(|| self.error("expected label name"))?;
        self.at = after;
        Ok(())
    }

    fn label_value(&mut self, of_exemplar: bool) -> Result<(), TextError> {
        let quoted = quoted_text(self.page, self.at, !of_exemplar).filter(|(text, _)| !text.contains(&b'\n'));
        let (value, after) = quoted.ok_or_else(|| self.error("expected label value"))?;
        if std::str::from_utf8(value).is_err() {
            return Err(self.error("invalid UTF-8 label value"));
        }
        self.at = after;
        Ok(())
    }

    /// What follows the series that runs from the entry's start to `end`.
    fn sample(&mut self, end: usize, expected: bool) -> Result<Entry<'p>, TextError> {
        self.at = end;
        let value = self.number("expected value after metric")?;
        let timestamp_ms = if self.is_word_ahead() { Some(self.timestamp_ms("expected timestamp")?) } else { None };
        let exemplar = if self.is_exemplar_ahead() { Some(self.exemplar()?) } else { None };
        if exemplar.is_none() {
            self.end_sample(timestamp_ms.is_some())?;
        }
        Ok(Entry::Sample(Sample {
            series: SeriesText {
                raw: &self.page[self.start..end],
                format: Format::OpenMetrics,
                metric_type: self.metric_type,
            },
            expected,
            value,
            timestamp_ms,
            start_timestamp_ms: None,
            exemplar,
            native: None,
        }))
    }

    fn end_sample(&mut self, timed: bool) -> Result<(), TextError> {
        match self.peek() {
            Some(b'\n') => self.at += 1,
            _ if timed => return Err(self.error("expected next entry after timestamp")),
            None => return Err(self.error(NO_EOF)),
            Some(_) => self.broken = true,
        }
        Ok(())
    }

    /// ` # {labels} value`, perhaps a time, and the line's end.
    fn exemplar(&mut self) -> Result<Exemplar<'p>, TextError> {
        let open = self.at + 3;
        self.at = open + 1;
        self.labels(false, true)?;
        let labels = ExemplarText { raw: &self.page[open..self.at], format: Format::OpenMetrics };
        let value = self.number("expected value after exemplar labels")?;
        let timestamp_ms = match self.peek() {
            Some(b' ') => Some(self.timestamp_ms("expected timestamp of the exemplar")?),
            _ => None,
        };
        self.end_line("expected next entry after exemplar")?;
        Ok(Exemplar { labels, value, timestamp_ms })
    }

    fn is_exemplar_ahead(&self) -> bool {
        self.page[self.at..].starts_with(b" # {")
    }

    /// A space and a word behind it; `# ` is none.
    fn is_word_ahead(&self) -> bool {
        let rest = &self.page[self.at..];
        rest.first() == Some(&b' ') && rest.get(1).copied().is_some_and(is_word_byte) && !rest.starts_with(b" # ")
    }

    /// A space and a number.
    fn number(&mut self, what: &'static str) -> Result<f64, TextError> {
        if self.peek() != Some(b' ') {
            return Err(self.error(what));
        }
        self.at += 1;
        let word = self.take_while(is_word_byte);
        if word.is_empty() {
            return Err(self.error(what));
        }
        let number = std::str::from_utf8(word).ok().and_then(parse_go_float);
        number.map(normal).ok_or_else(|| self.error("value is not a number"))
    }

    /// A space and a time in seconds. What is past all milliseconds is cut to them, as Go does it on ARM.
    fn timestamp_ms(&mut self, what: &'static str) -> Result<i64, TextError> {
        let seconds = self.number(what)?;
        if !seconds.is_finite() {
            return Err(self.error("invalid timestamp"));
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn end_line(&mut self, what: &'static str) -> Result<(), TextError> {
        if self.peek() != Some(b'\n') {
            return Err(self.error(what));
        }
        self.at += 1;
        Ok(())
    }

    /// `# HELP`, `# TYPE`, `# UNIT` or `# EOF`; `None` for the last.
    fn hash_line(&mut self) -> Result<Option<Entry<'p>>, TextError> {
        self.at += 1;
        if self.peek() != Some(b' ') {
            return Err(self.error("expected a valid start token"));
        }
        self.at += 1;
        let words = [(&b"HELP "[..], Keyword::Help), (b"TYPE ", Keyword::Type), (b"UNIT ", Keyword::Unit)];
        for (word, keyword) in words {
            if self.skip_word(word) {
                return self.metadata(keyword).map(Some);
            }
        }
        if !self.skip_word(b"EOF") {
            return Err(self.error("expected HELP, TYPE, UNIT or EOF"));
        }
        self.skip_word(b"\n");
        if self.at < self.page.len() {
            return Err(self.error("unexpected data after # EOF"));
        }
        Ok(None)
    }

    fn skip_word(&mut self, word: &[u8]) -> bool {
        let after = after_word(self.page, self.at, word);
        self.at = after.unwrap_or(self.at);
        after.is_some()
    }

    fn metadata(&mut self, keyword: Keyword) -> Result<Entry<'p>, TextError> {
        let name_start = self.at;
        let name = if let Some((name, after)) = quoted_text(self.page, self.at, false) {
            self.at = after;
            name
        } else if self.peek().is_some_and(is_name_start) {
            self.skip_name();
            &self.page[name_start..self.at]
        } else {
            return Err(self.error("expected metric name after HELP, TYPE or UNIT"));
        };
        let text = self.metadata_text().ok_or_else(|| self.error("expected text in HELP, TYPE or UNIT"))?;
        match keyword {
            Keyword::Type => {
                self.metric_type = metric_type(text).ok_or_else(|| self.error("invalid metric type"))?;
                Ok(Entry::Type { name, metric_type: self.metric_type })
            }
            Keyword::Help => {
                let text = std::str::from_utf8(text).map_err(|_| self.error("help text is not valid UTF-8"))?;
                Ok(Entry::Help { name, text })
            }
            Keyword::Unit if is_unit_of(name, text) => Ok(Entry::Unit { name, unit: text }),
            Keyword::Unit => Err(self.error("unit is not a suffix of the metric")),
        }
    }

    /// What stands between a space and the line's end. Of zero bytes at the start of the next line, all but the last
    /// belong to it, and with them the line's end.
    fn metadata_text(&mut self) -> Option<&'p [u8]> {
        let rest = self.page[self.at..].strip_prefix(b" ")?;
        let newline = rest.iter().position(|byte| *byte == b'\n')?;
        let zeros = rest[newline + 1..].iter().take_while(|byte| **byte == 0).count();
        self.at += 1 + newline + 1 + zeros;
        Some(&rest[..newline + zeros])
    }

    fn skip_name(&mut self) {
        self.take_while(|byte| is_name_start(byte) || byte.is_ascii_digit());
    }

    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'p [u8] {
        let rest = &self.page[self.at..];
        let taken = &rest[..rest.iter().position(|byte| !keep(*byte)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn peek(&self) -> Option<u8> {
        self.page.get(self.at).copied()
    }

    /// What was expected at the present position.
    fn error(&self, what: &'static str) -> TextError {
        TextError::new(self.page, self.start, self.at, what)
    }
}

fn is_word_byte(byte: u8) -> bool {
    !matches!(byte, b' ' | b'\n' | 0)
}

fn is_name_start(byte: u8) -> bool {
    is_label_start(byte) || byte == b':'
}

fn is_label_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// A name ends in its unit, behind an underscore; an empty unit is one of any name.
fn is_unit_of(name: &[u8], unit: &[u8]) -> bool {
    unit.is_empty() || name.strip_suffix(unit).is_some_and(|stem| stem.ends_with(b"_"))
}

fn metric_type(text: &[u8]) -> Option<MetricType> {
    Some(match text {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"gaugehistogram" => MetricType::GaugeHistogram,
        b"summary" => MetricType::Summary,
        b"info" => MetricType::Info,
        b"stateset" => MetricType::StateSet,
        b"unknown" => MetricType::Unknown,
        _ => return None,
    })
}
