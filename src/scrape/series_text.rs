//! A series as a page writes it: `name{label="value",...}`, or `{"name",label="value",...}` for names in UTF-8.
//!
//! The text is what a series is recognised by from one page to the next; its labels are read only when it is new.
//! The grammar is that of Prometheus's `promlex.l`, which is wider than the specification: two labels may stand
//! without a comma between them, and a quoted text may run over a line's end.

use super::content_type::Format;
use super::go_float::{format_open_metrics_float, parse_go_bound};
use super::protobuf_series::labels_of_series;
pub use crate::model::MetricType;
use std::borrow::Cow;

/// The text of one series on a page, known to follow the grammar; names may still be empty or not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesText<'p> {
    pub raw: &'p [u8],
    /// Who reads `raw`.
    pub format: Format,
    pub metric_type: MetricType,
}

/// A label, `__name__` included, with its escapes resolved.
pub type LabelText<'p> = (Cow<'p, str>, Cow<'p, str>);

impl<'p> SeriesText<'p> {
    /// The labels in the order of the text, the metric's name as `__name__`. `None` if a name is not UTF-8.
    pub fn labels(&self) -> Option<Vec<LabelText<'p>>> {
        match self.format {
            Format::Text | Format::OpenMetrics => self.labels_of_text(),
            Format::Protobuf => labels_of_series(self.raw),
        }
    }

    fn labels_of_text(&self) -> Option<Vec<LabelText<'p>>> {
        let brace = self.raw.iter().position(|byte| *byte == b'{').unwrap_or(self.raw.len());
        let mut labels = Vec::with_capacity(8);
        let name = &self.raw[..brace];
        if name.iter().any(|byte| !is_blank(*byte)) {
            // As in Prometheus, blanks before the name belong to it and those behind it do not.
            labels.push((Cow::Borrowed("__name__"), unescape(name.trim_ascii_end())?));
        }
        let mut braces = Braces::after_open(self.raw, brace + 1);
        while let Ok(part) = braces.next_part() {
            match part {
                Part::End => break,
                Part::MetricName(name) => labels.push((Cow::Borrowed("__name__"), unescape(name)?)),
                Part::Label { name, value } => {
                    let name = unescape(name)?;
                    let value = self.normalize(&name, unescape(value)?);
                    labels.push((name, value));
                }
            }
        }
        Some(labels)
    }

    /// Prometheus 3 writes `le` and `quantile` the way OpenMetrics does, so that both formats yield the same series.
    fn normalize(&self, name: &str, value: Cow<'p, str>) -> Cow<'p, str> {
        let is_bound = match self.metric_type {
            MetricType::Histogram => name == "le",
            MetricType::Summary => name == "quantile",
            _ => false,
        };
        match parse_go_bound(&value) {
            Some(number) if is_bound => Cow::Owned(format_open_metrics_float(number)),
            _ => value,
        }
    }
}

/// What stands between braces, one part at a time.
pub(super) enum Part<'p> {
    MetricName(&'p [u8]),
    Label { name: &'p [u8], value: &'p [u8] },
    End,
}

/// Reads `label="value", ...}`.
pub(super) struct Braces<'p> {
    text: &'p [u8],
    /// Where reading goes on, or stopped.
    pub(super) at: usize,
}

impl<'p> Braces<'p> {
    /// `at` is the position behind the opening brace.
    pub(super) fn after_open(text: &'p [u8], at: usize) -> Self {
        Braces { text, at }
    }

    /// The error is what was expected at [`Braces::at`].
    pub(super) fn next_part(&mut self) -> Result<Part<'p>, &'static str> {
        self.skip_blanks();
        let quoted = self.peek() == Some(b'"');
        let name = match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return Ok(Part::End);
            }
            Some(b'"') => self.quoted(false).ok_or("expected label name")?,
            Some(byte) if is_label_start(byte) => self.word(),
            _ => return Err("expected label name"),
        };
        self.skip_blanks();
        match self.peek() {
            Some(b',') if quoted => {
                self.at += 1;
                return Ok(Part::MetricName(name));
            }
            Some(b'}') if quoted => return Ok(Part::MetricName(name)),
            Some(b'=') => self.at += 1,
            _ => return Err("expected equal"),
        }
        self.skip_blanks();
        let value = self.quoted(true).ok_or("expected label value")?;
        if std::str::from_utf8(value).is_err() {
            return Err("invalid UTF-8 label value");
        }
        self.skip_blanks();
        if self.peek() == Some(b',') {
            self.at += 1;
        }
        Ok(Part::Label { name, value })
    }

    /// The inside of a quoted text; `None`, with `at` unmoved, if there is none that ends.
    fn quoted(&mut self, zeros_allowed: bool) -> Option<&'p [u8]> {
        let (inside, after) = quoted_text(self.text, self.at, zeros_allowed)?;
        self.at = after;
        Some(inside)
    }

    fn word(&mut self) -> &'p [u8] {
        let start = self.at;
        while self.peek().is_some_and(|byte| is_label_start(byte) || byte.is_ascii_digit()) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }
}

/// The inside of the quoted text that starts at `at`, and the position behind it.
///
/// Where zeros are allowed, those behind the closing quote belong to the text: as in Prometheus, whose lexer passes over
/// them and then takes the last byte for the quote.
pub(super) fn quoted_text(text: &[u8], at: usize, zeros_allowed: bool) -> Option<(&[u8], usize)> {
    if text.get(at) != Some(&b'"') {
        return None;
    }
    let mut end = at + 1;
    loop {
        match text.get(end)? {
            b'"' => {
                let zeros = text[end + 1..].iter().take_while(|byte| zeros_allowed && **byte == 0).count();
                return Some((&text[at + 1..end + zeros], end + 1 + zeros));
            }
            // Prometheus's lexer takes zero bytes out of a label's value before it looks for what is escaped.
            b'\\' if zeros_allowed => {
                end += 1 + text[end + 1..].iter().take_while(|byte| **byte == 0).count();
                match text.get(end)? {
                    b'\n' => return None,
                    _ => end += 1,
                }
            }
            b'\\' if matches!(text.get(end + 1), None | Some(b'\n' | 0)) => return None,
            b'\\' => end += 2,
            0 if !zeros_allowed => return None,
            _ => end += 1,
        }
    }
}

/// The position behind a word of a `#` line; zero bytes between and behind its letters count for nothing.
pub(super) fn after_word(text: &[u8], mut at: usize, word: &[u8]) -> Option<usize> {
    for byte in word {
        if text.get(at) != Some(byte) {
            return None;
        }
        at += 1;
        at += text[at..].iter().take_while(|byte| **byte == 0).count();
    }
    Some(at)
}

pub(super) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn is_label_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Resolves `\\`, `\"` and `\n`; any other backslash stands for itself.
fn unescape(text: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(text).ok()?;
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let resolved = match rest.as_bytes().get(at + 1) {
            Some(b'\\') => '\\',
            Some(b'"') => '"',
            Some(b'n') => '\n',
            _ => {
                plain.push('\\');
                rest = &rest[at + 1..];
                continue;
            }
        };
        plain.push(resolved);
        rest = &rest[at + 2..];
    }
    plain.push_str(rest);
    Some(Cow::Owned(plain))
}
