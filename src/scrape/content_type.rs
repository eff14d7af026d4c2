//! Which format a page is in, by its `Content-Type`: `extractMediaType` of Prometheus 3.

use crate::model::ScrapeProtocol;
use std::fmt;

/// A format that pages can be read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain`, whatever its version.
    Text,
    /// `application/openmetrics-text` of a version before 2.
    OpenMetrics,
    /// `application/vnd.google.protobuf`, delimited, whatever its parameters say.
    Protobuf,
}

/// Why it is not known how to read a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentTypeError {
    Blank,
    Malformed(String),
    Unsupported(String),
}

impl fmt::Display for ContentTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REMEDY: &str = "and there is no fallback_scrape_protocol";
        match self {
            ContentTypeError::Blank => write!(f, "the target sends a blank Content-Type {REMEDY}"),
            ContentTypeError::Malformed(text) => {
                write!(f, "the target's Content-Type {text:?} can't be parsed {REMEDY}")
            }
            ContentTypeError::Unsupported(text) => {
                write!(f, "received unsupported Content-Type {text:?} {REMEDY}; is the metrics_path right?")
            }
        }
    }
}

impl std::error::Error for ContentTypeError {}

impl Format {
    /// Follows Go's `mime.ParseMediaType`: parameters must be well formed, but only OpenMetrics' version matters.
    pub fn of(content_type: &str) -> Result<Format, ContentTypeError> {
        if content_type.is_empty() {
            return Err(ContentTypeError::Blank);
        }
        let shown = || content_type.chars().take(100).collect::<String>();
        let (media_type, parameters) = content_type.split_at(content_type.find(';').unwrap_or(content_type.len()));
        let media_type = media_type.trim().to_ascii_lowercase();
        let is_media_type = match media_type.split_once('/') {
            Some((kind, subkind)) => is_token(kind) && is_token(subkind),
            None => is_token(&media_type),
        };
        let parameters = read_parameters(parameters).filter(|_| is_media_type);
        let parameters = parameters.ok_or_else(|| ContentTypeError::Malformed(shown()))?;
        let is_second = || parameters.iter().any(|(name, value)| name == "version" && value == "2.0.0");
        match media_type.as_str() {
            "text/plain" => Ok(Format::Text),
            "application/vnd.google.protobuf" => Ok(Format::Protobuf),
            "application/openmetrics-text" if !is_second() => Ok(Format::OpenMetrics),
            _ => Err(ContentTypeError::Unsupported(shown())),
        }
    }

    /// What a page is read as that is taken for one of this protocol. `None` if there is no parser for it.
    pub fn of_protocol(protocol: ScrapeProtocol) -> Option<Format> {
        match protocol {
            ScrapeProtocol::PrometheusProto => Some(Format::Protobuf),
            ScrapeProtocol::OpenMetricsText1_0_0 | ScrapeProtocol::OpenMetricsText0_0_1 => Some(Format::OpenMetrics),
            ScrapeProtocol::PrometheusText1_0_0 | ScrapeProtocol::PrometheusText0_0_4 => Some(Format::Text),
        }
    }
}

/// `; name=value; name="value"`; a name may come again with the same value, and a last semicolon may stand alone.
fn read_parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut parameters: Vec<(String, String)> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let parameter = rest.strip_prefix(';')?.trim_start();
        if parameter.is_empty() {
            break;
        }
        let (name, after) = parameter.split_at(token_len(parameter));
        let value = after.trim_start().strip_prefix('=')?.trim_start();
        let (value, after) = read_value(value)?;
        let name = name.to_ascii_lowercase();
        if name.is_empty() || parameters.iter().any(|(other, was)| *other == name && *was != value) {
            return None;
        }
        parameters.push((name, value));
        rest = after.trim_start();
    }
    Some(parameters)
}

/// A token or a quoted text, and what follows it.
fn read_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, after) = text.split_at(token_len(text));
        return (!token.is_empty()).then(|| (token.into(), after));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            // A backslash before anything else stands for itself.
            '\\' => value.push(chars.next_if(|(_, next)| SPECIALS.contains(*next)).map_or(c, |(_, next)| next)),
            '\r' | '\n' => return None,
            _ => value.push(c),
        }
    }
    None
}

const SPECIALS: &str = "()<>@,;:\\\"/[]?=";

fn token_len(text: &str) -> usize {
    text.find(|c: char| !is_token_char(c)).unwrap_or(text.len())
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && token_len(text) == text.len()
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_graphic() && !SPECIALS.contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_known_by_their_media_type() {
        for text in [
            "text/plain",
            "text/plain;",
            "text/plain; ",
            " TEXT/Plain ; charset=UTF-8",
            "text/plain; version=0.0.4; charset=utf-8; escaping=values",
            "text/plain;version=\"1.0;0\" ;x=y",
            "text/plain; a=1; A=1",
            "text/plain; a=\"\"; b=\"\\x\\\"\"",
            "text/plain; version=2.0.0",
            "text/plain; a=\"é\"",
        ] {
            assert_eq!(Format::of(text), Ok(Format::Text), "{text}");
        }
        for text in [
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            "application/openmetrics-text; version=0.0.1",
            "application/openmetrics-text; version=3",
        ] {
            assert_eq!(Format::of(text), Ok(Format::OpenMetrics), "{text}");
        }
    }

    #[test]
    fn all_else_is_refused() {
        assert_eq!(Format::of(""), Err(ContentTypeError::Blank));
        for text in [
            "text/html",
            "text/html; charset=utf-8",
            "application/openmetrics-text; version=2.0.0",
            "application/openmetrics-text; version=\"2.0.0\"",
            "text",
            "textplain;",
        ] {
            assert!(matches!(Format::of(text), Err(ContentTypeError::Unsupported(_))), "{text}");
        }
        for text in [
            "text/plain; x",
            "/plain",
            "text/",
            ";",
            " ",
            "text/plain; a=1; a=2",
            "text/plain; a=\"b",
            "text/plain; a=\"b\n\"",
            "text/plain; =b",
            "text/plain; a=",
            "text/plain x",
            "text plain",
            "text/plain, text/plain",
            "text/pl\u{fffd}in",
        ] {
            assert!(matches!(Format::of(text), Err(ContentTypeError::Malformed(_))), "{text}");
        }
    }
}
