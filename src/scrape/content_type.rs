//! Which format a page is in, by its `Content-Type`; as Prometheus 3 decides it without `fallback_scrape_protocol`.

use std::fmt;

/// A format that pages can be read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain`, whatever its version.
    Text,
    /// `application/openmetrics-text` of a version before 2.
    OpenMetrics,
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
        match self {
            ContentTypeError::Blank => f.write_str("the target sends no Content-Type; let it send \"text/plain\""),
            ContentTypeError::Malformed(text) => {
                write!(f, "can't parse the target's Content-Type {text:?}; let it send \"text/plain\"")
            }
            ContentTypeError::Unsupported(text) => {
                write!(f, "received unsupported Content-Type {text:?}; is the metrics_path right?")
            }
        }
    }
}

impl std::error::Error for ContentTypeError {}

impl Format {
    /// Follows Go's `mime.ParseMediaType`, which Prometheus uses: parameters don't matter, but must be well formed.
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
        if !is_media_type || !are_parameters(parameters) {
            return Err(ContentTypeError::Malformed(shown()));
        }
        match media_type.as_str() {
            "text/plain" => Ok(Format::Text),
            _ => Err(ContentTypeError::Unsupported(shown())),
        }
    }
}

/// `; name=value; name="value"`, each name once; a last semicolon may stand alone.
fn are_parameters(text: &str) -> bool {
    let mut names: Vec<String> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let Some(parameter) = rest.strip_prefix(';').map(str::trim_start) else { return false };
        if parameter.is_empty() {
            return true;
        }
        let Some((name, after)) = parameter.split_once('=') else { return false };
        let name = name.trim_end().to_ascii_lowercase();
        let Some(after) = after_value(after.trim_start()) else { return false };
        if !is_token(&name) || names.contains(&name) {
            return false;
        }
        names.push(name);
        rest = after.trim_start();
    }
    true
}

/// What follows a token or a quoted text.
fn after_value(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c| !is_token_char(c)).unwrap_or(text.len());
        return (end > 0).then(|| &text[end..]);
    };
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            '"' if !escaped => return Some(&quoted[at + 1..]),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_of_any_version_is_read() {
        for text in [
            "text/plain",
            "text/plain;",
            "TEXT/Plain; charset=UTF-8",
            "text/plain; version=0.0.4; charset=utf-8; escaping=values",
            "text/plain;version=\"1.0;0\" ;x=y",
        ] {
            assert_eq!(Format::of(text), Ok(Format::Text), "{text}");
        }
    }

    #[test]
    fn all_else_is_refused() {
        assert_eq!(Format::of(""), Err(ContentTypeError::Blank));
        for text in ["text/html", "text/html; charset=utf-8", "application/openmetrics-text", "text", "textplain;"] {
            assert!(matches!(Format::of(text), Err(ContentTypeError::Unsupported(_))), "{text}");
        }
        for text in ["text/plain; x", "/plain", "text/", ";", "text/plain; a=1; a=2", "text/plain; a=\"b", "text plain"]
        {
            assert!(matches!(Format::of(text), Err(ContentTypeError::Malformed(_))), "{text}");
        }
    }
}
