//! The text format 0.0.4, line by line, as Prometheus 3's `promparse.go` and `promlex.l` read it.
//!
//! Pure, and without a copy: what it yields are pieces of the page. It refuses to know what a series was before, but may
//! be told which one probably comes next; if the page agrees, the labels are passed over in one comparison.
//!
//! Where Prometheus is more lenient than the specification, so is this: a page need not end in a newline, a name may
//! touch its value (`a{b="c"}1`), blanks before a bare name belong to the name, and a zero byte where a line or comment
//! should start ends the page.

use super::content_type::Format;
use super::entry::{Entry, Sample, normal};
use super::go_float::parse_go_float;
use super::series_text::{Braces, MetricType, Part, SeriesText, after_word, is_blank, quoted_text};
use super::text_error::TextError;

pub struct TextParser<'p> {
    page: &'p [u8],
    at: usize,
    /// Where the current entry starts, blanks included.
    start: usize,
    metric_type: MetricType,
}

impl<'p> TextParser<'p> {
    pub fn new(page: &'p [u8]) -> Self {
        TextParser { page, at: 0, start: 0, metric_type: MetricType::Unknown }
    }

    /// The next entry, or `None` at the end of the page. After an error there is nothing more to be had.
    ///
    /// `expected` is the text of a series, as an earlier page yielded it.
    pub fn next(&mut self, expected: Option<&[u8]>) -> Result<Option<Entry<'p>>, TextError> {
        while self.at < self.page.len() {
            self.start = self.at;
            if let Some(end) = expected.and_then(|raw| self.end_of(raw)) {
                return self.sample(end, true).map(Some);
            }
            self.skip_blanks();
            match self.peek() {
                b'\n' => self.at += 1,
                b'#' => return self.hash_line(),
                b'{' => return self.braced(self.at).map(Some),
                byte if is_name_start(byte) => return self.named().map(Some),
                0 => self.at = self.page.len(),
                _ => return Err(self.error("expected a valid start token")),
            }
        }
        Ok(None)
    }

    /// The position behind `raw`, if that is the series at which the page stands.
    fn end_of(&self, raw: &[u8]) -> Option<usize> {
        let rest = self.page[self.at..].strip_prefix(raw)?;
        if !raw.ends_with(b"}") {
            // A bare name: it must not go on, and no labels may follow.
            let blanks = rest.iter().take_while(|byte| is_blank(**byte)).count();
            if blanks == 0 || rest.get(blanks) == Some(&b'{') {
                return None;
            }
        }
        Some(self.at + raw.len())
    }

    /// `name value`, `name{...} value`.
    fn named(&mut self) -> Result<Entry<'p>, TextError> {
        self.skip_name();
        let mut end = self.at;
        self.skip_blanks();
        if self.peek() == b'{' {
            end = self.braces(self.at, true)?;
        }
        self.sample(end, false)
    }

    /// `{"name",...} value`.
    fn braced(&mut self, open: usize) -> Result<Entry<'p>, TextError> {
        let end = self.braces(open, false)?;
        self.sample(end, false)
    }

    /// The position behind the closing brace.
    fn braces(&mut self, open: usize, mut named: bool) -> Result<usize, TextError> {
        let mut braces = Braces::after_open(self.page, open + 1);
        loop {
            let part = braces.next_part();
            self.at = braces.at;
            match part.map_err(|what| self.error(what))? {
                Part::MetricName(_) if named => return Err(self.error("metric name already set")),
                Part::MetricName(_) => named = true,
                Part::Label { .. } => {}
                Part::End if named => return Ok(self.at),
                Part::End => return Err(self.error("metric name not set")),
            }
        }
    }

    /// The value, and perhaps a timestamp, of the series that runs from the entry's start to `end`.
    fn sample(&mut self, end: usize, expected: bool) -> Result<Entry<'p>, TextError> {
        self.at = end;
        self.skip_blanks();
        let text = self.take_while(|byte| !matches!(byte, b'{' | b' ' | b'\t' | b'\n' | 0));
        if text.is_empty() {
            return Err(self.error("expected value after metric"));
        }
        let value = std::str::from_utf8(text).ok().and_then(parse_go_float);
        let value = value.ok_or_else(|| self.error("value is not a number"))?;
        self.skip_blanks();
        let mut timestamp_ms = None;
        if self.peek().is_ascii_digit() {
            let digits = self.take_while(|byte| byte.is_ascii_digit());
            let parsed = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
            timestamp_ms = Some(parsed.ok_or_else(|| self.error("timestamp is out of range"))?);
            self.skip_blanks();
        }
        self.end_line(if timestamp_ms.is_some() {
            "expected next entry after timestamp"
        } else {
            "expected timestamp or new record"
        })?;
        let raw = &self.page[self.start..end];
        Ok(Entry::Sample(Sample {
            series: SeriesText { raw, format: Format::Text, metric_type: self.metric_type },
            expected,
            value: normal(value),
            timestamp_ms,
            start_timestamp_ms: None,
            exemplar: None,
            native: None,
        }))
    }

    /// `# HELP`, `# TYPE`, or a comment.
    fn hash_line(&mut self) -> Result<Option<Entry<'p>>, TextError> {
        self.at += 1;
        let spaced = is_blank(self.peek());
        self.skip_blanks();
        for (keyword, is_type) in [(b"HELP", false), (b"TYPE", true)] {
            let after = after_word(self.page, self.at, keyword).filter(|_| spaced);
            if let Some(at) = after.filter(|at| self.page.get(*at).copied().is_some_and(is_blank)) {
                self.at = at;
                return self.metadata(is_type).map(Some);
            }
        }
        let starts_with_zero = self.peek() == 0;
        let comment = self.take_while(|byte| byte != b'\n');
        if starts_with_zero || !spaced && comment.contains(&0) {
            self.at = self.page.len();
            return Ok(None);
        }
        self.at += 1;
        Ok(Some(Entry::Comment))
    }

    fn metadata(&mut self, is_type: bool) -> Result<Entry<'p>, TextError> {
        // Prometheus's lexer passes over zero bytes here.
        self.take_while(|byte| is_blank(byte) || byte == 0);
        let name = if let Some((name, after)) = quoted_text(self.page, self.at, false) {
            self.at = after;
            name
        } else if is_name_start(self.peek()) {
            self.skip_name()
        } else {
            return Err(self.error("expected metric name after HELP or TYPE"));
        };
        if self.peek() == 0 {
            return Err(self.error("linebreak expected after metadata"));
        }
        let text = self.take_while(|byte| byte != b'\n');
        // The first byte is the separator, whatever it is; blanks alone are no text.
        let text = if text.iter().all(|byte| is_blank(*byte)) { &[] } else { &text[1..] };
        let entry = if is_type {
            self.metric_type = metric_type(text).ok_or_else(|| self.error("invalid metric type"))?;
            Entry::Type { name, metric_type: self.metric_type }
        } else {
            let text = std::str::from_utf8(text).map_err(|_| self.error("help text is not valid UTF-8"))?;
            Entry::Help { name, text }
        };
        self.at += 1;
        Ok(entry)
    }

    fn skip_name(&mut self) -> &'p [u8] {
        self.take_while(|byte| is_name_start(byte) || byte.is_ascii_digit())
    }

    fn skip_blanks(&mut self) {
        self.take_while(is_blank);
    }

    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'p [u8] {
        let rest = &self.page[self.at.min(self.page.len())..];
        let taken = &rest[..rest.iter().position(|byte| !keep(*byte)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn end_line(&mut self, what: &'static str) -> Result<(), TextError> {
        if self.peek() != b'\n' {
            return Err(self.error(what));
        }
        self.at += 1;
        Ok(())
    }

    /// The byte at which the page stands; Prometheus puts a newline behind the page's last byte.
    fn peek(&self) -> u8 {
        self.page.get(self.at).copied().unwrap_or(b'\n')
    }

    /// What was expected at the present position.
    fn error(&self, what: &'static str) -> TextError {
        TextError::new(self.page, self.start, self.at, what)
    }
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b':'
}

fn metric_type(text: &[u8]) -> Option<MetricType> {
    Some(match text {
        b"counter" => MetricType::Counter,
        b"gauge" => MetricType::Gauge,
        b"histogram" => MetricType::Histogram,
        b"summary" => MetricType::Summary,
        b"untyped" => MetricType::Unknown,
        _ => return None,
    })
}
