//! One event that a sample counts, such as a request with the identifier of its trace.

use super::content_type::Format;
use super::protobuf_series::labels_of_exemplar;
use super::series_text::{Braces, Part};

/// What a page tells of the event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar<'p> {
    pub labels: ExemplarText<'p>,
    pub value: f64,
    /// Without one, that of the sample holds.
    pub timestamp_ms: Option<i64>,
}

/// The labels of an exemplar in its format's own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExemplarText<'p> {
    pub raw: &'p [u8],
    pub format: Format,
}

impl<'p> ExemplarText<'p> {
    /// Names and values in the order of the page. As in Prometheus, escapes stay as they are, and it is not looked
    /// whether a name comes twice. `None` if a name is not UTF-8.
    pub fn labels(&self) -> Option<Vec<(&'p str, &'p str)>> {
        match self.format {
            Format::Text | Format::OpenMetrics => self.labels_of_text(),
            Format::Protobuf => labels_of_exemplar(self.raw),
        }
    }

    fn labels_of_text(&self) -> Option<Vec<(&'p str, &'p str)>> {
        let mut braces = Braces::after_open(self.raw, 1);
        let mut labels = Vec::new();
        while let Ok(Part::Label { name, value }) = braces.next_part() {
            labels.push((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?));
        }
        Some(labels)
    }
}
