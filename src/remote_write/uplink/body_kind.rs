//! The first bytes of an answer's body tell whether a receiver has sent it. Captive portals, proxies and gateways answer 2xx too: with
//! a web page, whatever `Content-Type` they give it, or with an error as JSON. Pure.

use crate::remote_write::retry::BodyKind;

/// What web pages begin with.
const HTML_STARTS: [&[u8]; 7] = [b"<!doctype", b"<html", b"<head", b"<body", b"<meta", b"<script", b"<!--"];

/// Kind of a body of this `Content-Type`, of which these are the first bytes; the rest may be missing.
pub(super) fn body_kind(content_type: &[u8], body: &[u8]) -> BodyKind {
    let plain = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii();
    let begins = |start: &[u8]| plain.get(..start.len()).is_some_and(|bytes| bytes.eq_ignore_ascii_case(start));
    let is_declared_html = content_type.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"));
    match plain {
        _ if is_declared_html => BodyKind::Html,
        [] => BodyKind::Empty,
        _ if HTML_STARTS.iter().any(|start| begins(start)) => BodyKind::Html,
        // XHTML.
        _ if begins(b"<?xml") && contains(plain, b"<html") => BodyKind::Html,
        [b'{' | b'[', ..] if tells_of_error(plain) => BodyKind::JsonError,
        _ => BodyKind::Other,
    }
}

/// Whether a member of the JSON text says that something failed.
fn tells_of_error(json: &[u8]) -> bool {
    let text = String::from_utf8_lossy(json).to_ascii_lowercase();
    ["error", "errors", "status", "success", "ok", "code", "status_code", "statuscode", "err"]
        .iter()
        .any(|key| values_of(&text, key).any(|value| is_bad(key, value)))
}

/// What follows each member of this name.
fn values_of<'t>(text: &'t str, key: &str) -> impl Iterator<Item = &'t str> {
    let quoted = format!("\"{key}\"");
    let after: Vec<usize> = text.match_indices(&quoted).map(|(at, _)| at + quoted.len()).collect();
    after.into_iter().filter_map(|at| Some(text[at..].trim_start().strip_prefix(':')?.trim_start()))
}

fn is_bad(key: &str, value: &str) -> bool {
    match key {
        "error" | "errors" | "err" => {
            let nothing = ["null", "false", "\"\"", "[]", "{}", "0"];
            !value.is_empty() && !nothing.iter().any(|nothing| value.starts_with(nothing))
        }
        "success" | "ok" => value.starts_with("false"),
        // As a word, or as a status of HTTP.
        _ => {
            let word = value.trim_start_matches('"');
            let number: String = word.chars().take_while(char::is_ascii_digit).collect();
            ["err", "fail", "unauthor", "forbid", "denied"].iter().any(|bad| word.starts_with(bad))
                || number.parse().is_ok_and(|status: u32| (400..600).contains(&status))
        }
    }
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_what_a_body_is() {
        use BodyKind::*;
        for (content_type, body, expected) in [
            ("", "", Empty),
            ("text/html", "", Html),
            ("text/plain", " \r\n", Empty),
            ("text/plain", "ok", Other),
            ("", "OK\n", Other),
            ("application/json", "{}", Other),
            ("application/json", r#"{"status":"success"}"#, Other),
            ("application/json", r#"{"error": null, "code": 200}"#, Other),
            ("application/json", r#"{"errors":[],"success":true}"#, Other),
            ("", "<note>not a page</note>", Other),
            ("Text/HTML; charset=utf-8", "hi", Html),
            ("text/plain", "<!DOCTYPE html><html>", Html),
            ("", "\u{feff}\n <HTML lang=en>", Html),
            ("application/xml", "<?xml version=\"1.0\"?><html xmlns=", Html),
            ("application/octet-stream", "<!-- portal --><p>", Html),
            ("application/json", r#"{"error":"unauthorized"}"#, JsonError),
            ("text/plain", r#"{ "status" : "error", "errorType": "bad_data""#, JsonError),
            ("", r#"{"code":401,"message":"no"}"#, JsonError),
            ("", r#"{"statusCode":"503"}"#, JsonError),
            ("", r#"[{"errors":[{"title":"no"}]}]"#, JsonError),
            ("", r#"{"success": false}"#, JsonError),
            ("", r#"{"errors":["cut off"#, JsonError),
        ] {
            assert_eq!(body_kind(content_type.as_bytes(), body.as_bytes()), expected, "{content_type:?} {body:?}");
        }
    }
}
