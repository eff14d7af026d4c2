//! Any status, headers and text that a receiver may answer with: what is known of it is one line, and repeats no secret.
#![no_main]

use http::Response;
use libfuzzer_sys::fuzz_target;
use narthex::limits::RECEIVER_TEXT_BYTES_MAX;
use narthex::model::Secret;
use narthex::remote_write::read_answer;
use narthex_fuzz::SECRET;

const NAMES: [&str; 6] = [
    "Retry-After",
    "Date",
    "Content-Type",
    "X-Prometheus-Remote-Write-Samples-Written",
    "X-Prometheus-Remote-Write-Histograms-Written",
    "X-Prometheus-Remote-Write-Exemplars-Written",
];

fuzz_target!(|input: (u16, [Option<&[u8]>; NAMES.len()], &[u8])| {
    let (status, values, text) = input;
    let fields = NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)));
    let response = Response::builder().status(100 + status % 900);
    let response = fields.fold(response, |response, (name, value)| response.header(name, value));
    // Not every value can stand in a header.
    let Ok(response) = response.body(()) else { return };
    let text = [text, SECRET.as_bytes()].concat();
    // As much as is read of it.
    let text = &text[..text.len().min(RECEIVER_TEXT_BYTES_MAX + 1)];
    let answer = read_answer(&response, text, &[Secret::new(SECRET)]);
    assert!(answer.text.len() <= RECEIVER_TEXT_BYTES_MAX && !answer.text.chars().any(char::is_control));
    assert!(answer.text.is_empty() || !(200..300).contains(&answer.status));
    assert!(!answer.text.contains(SECRET), "{}", answer.text);
    assert!(!answer.to_string().is_empty());
});
