//! An answer over HTTP becomes what the sender needs to know of it. Pure.

use super::body_kind::body_kind;
use crate::limits::RECEIVER_TEXT_BYTES_MAX;
use crate::model::Secret;
use crate::remote_write::protocol::Written;
use crate::remote_write::retry::Answer;
use crate::remote_write::retry_after::retry_after;
use ureq::http::{HeaderMap, Response, header};

/// What a receiver answered: `text` is the start of its body, in which these secrets are not to be shown.
pub fn read_answer(response: &Response<()>, text: &[u8], secrets: &[Secret]) -> Answer {
    let (status, headers) = (response.status(), response.headers());
    let text_of = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let retry_after = text_of(header::RETRY_AFTER).and_then(|value| retry_after(value, text_of(header::DATE)));
    let body = body_kind(headers.get(header::CONTENT_TYPE).map_or(b"", |value| value.as_bytes()), text);
    let text = if status.is_success() { String::new() } else { one_line(text, secrets) };
    Answer { status: status.as_u16(), retry_after, body, text, written: written(headers) }
}

/// Of three counts, one that is missing is zero; without any of them, nothing is said.
fn written(headers: &HeaderMap) -> Option<Written> {
    let count = |name| headers.get(name).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let samples = count("X-Prometheus-Remote-Write-Samples-Written");
    let histograms = count("X-Prometheus-Remote-Write-Histograms-Written");
    let exemplars = count("X-Prometheus-Remote-Write-Exemplars-Written");
    let is_said = samples.or(histograms).or(exemplars).is_some();
    is_said.then(|| Written {
        samples: samples.unwrap_or(0),
        histograms: histograms.unwrap_or(0),
        exemplars: exemplars.unwrap_or(0),
    })
}

/// The text as it came, but for control characters, which are escaped, and secrets that the receiver repeats, be it that one is cut
/// off with the text's end.
pub(super) fn one_line(bytes: &[u8], secrets: &[Secret]) -> String {
    let mut text = String::from_utf8_lossy(bytes).trim().to_owned();
    for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
        text = text.replace(secret.expose(), Secret::MASK);
    }
    if bytes.len() > RECEIVER_TEXT_BYTES_MAX {
        text.truncate(whole_bytes(&text, secrets));
    }
    let mut line = String::new();
    for char in text.chars() {
        match char.is_control() {
            true => line.extend(char.escape_default()),
            false => line.push(char),
        }
    }
    let end = (0..=RECEIVER_TEXT_BYTES_MAX.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    line.truncate(end.unwrap_or(0));
    line
}

/// How much of a text goes before the start of a secret that its end may be.
fn whole_bytes(text: &str, secrets: &[Secret]) -> usize {
    let is_start = |end: &str| secrets.iter().any(|secret| secret.expose().starts_with(end));
    text.char_indices().map(|(at, _)| at).find(|at| is_start(&text[*at..])).unwrap_or(text.len())
}
