//! Anything that a token server may answer over a connection, whole or as the body of an answer that is well-formed: a token that a header can
//! hold, or a failure in one line that repeats no secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex_fuzz::{Answering, SECRET, outcome_of};
use std::sync::LazyLock;

static TOKENS: LazyLock<Answering> = LazyLock::new(Answering::start);

const TYPES: [&str; 3] = ["application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8"];

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (kind, bytes) = input;
    let whole = match TYPES.get(usize::from(kind) % 4) {
        None => bytes,
        Some(media_type) => {
            let status = if kind < 128 { "200 OK" } else { "401 No" };
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", bytes.len());
            [head.as_bytes(), &bytes].concat()
        }
    };
    // A token may be anything that a server makes up, the secret included.
    TOKENS.answer_with(&whole);
    // Nobody is at port 1.
    outcome_of(&format!(
        "url = 'http://127.0.0.1:1/'\n\
         oauth2 = {{ client_id = 'device-7', client_secret = '{SECRET}', token_url = 'http://127.0.0.1:{}/token' }}",
        TOKENS.port
    ));
});
