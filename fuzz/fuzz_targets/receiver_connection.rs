//! Anything that a receiver may answer, from its first byte to its last, over a connection: an answer or a failure in one line, in
//! time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex_fuzz::{Answering, outcome_of};
use std::sync::LazyLock;

static RECEIVER: LazyLock<Answering> = LazyLock::new(Answering::start);

/// Starts that reach what is behind the status line.
const STARTS: [&str; 4] = [
    "",
    "HTTP/1.1 503 No\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: ",
    "HTTP/1.1 200 OK\r\nX-Prometheus-Remote-Write-Samples-Written: ",
    "HTTP/1.1 400 Bad Request\r\n\r\n",
];

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (start, rest) = input;
    let start = STARTS[usize::from(start) % STARTS.len()];
    RECEIVER.answer_with(&[start.as_bytes(), &rest].concat());
    let outcome = outcome_of(&format!("url = 'http://127.0.0.1:{}/'\nfollow_redirects = false", RECEIVER.port));
    if let Ok(answer) = outcome.result {
        assert!(answer.text.is_empty() || !(200..300).contains(&answer.status));
    }
});
