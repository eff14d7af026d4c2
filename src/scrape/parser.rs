//! One page of any format, entry by entry.
//!
//! ```text
//!  Format ─► Parser ─┬─ text        ─┬─► Entry: series as bytes, value, times, exemplar; or metadata
//!                    ├─ openmetrics ─┤
//!                    └─ protobuf    ─┘
//! ```
//!
//! An entry lives until the next one is asked for: a format may keep it in a buffer of its own.

use super::content_type::Format;
use super::entry::Entry;
use super::openmetrics::OpenMetricsParser;
use super::page_error::PageError;
use super::protobuf::{HistogramForms, ProtobufParser};
use super::text::TextParser;

/// A parser for each format.
pub enum Parser<'p> {
    Text(TextParser<'p>),
    OpenMetrics(OpenMetricsParser<'p>),
    Protobuf(Box<ProtobufParser<'p>>),
}

impl<'p> Parser<'p> {
    /// `forms` of histograms count where a format has more than one.
    pub fn new(page: &'p [u8], format: Format, forms: HistogramForms) -> Self {
        match format {
            Format::Text => Parser::Text(TextParser::new(page)),
            Format::OpenMetrics => Parser::OpenMetrics(OpenMetricsParser::new(page)),
            Format::Protobuf => Parser::Protobuf(Box::new(ProtobufParser::new(page, forms))),
        }
    }

    /// The next entry, or `None` at the end of the page. After an error there is nothing more to be had.
    ///
    /// `expected` are the bytes of a series, as an earlier page in the same format yielded them: a short cut if it is
    /// the series that comes next, without any effect if not.
    pub fn next(&mut self, expected: Option<&[u8]>) -> Result<Option<Entry<'_>>, PageError> {
        match self {
            Parser::Text(parser) => Ok(parser.next(expected)?),
            Parser::OpenMetrics(parser) => Ok(parser.next(expected)?),
            Parser::Protobuf(parser) => Ok(parser.next(expected)?),
        }
    }
}
