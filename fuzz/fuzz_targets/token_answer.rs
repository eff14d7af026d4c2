//! Any body that a token server may answer with: a token, or why there is none, in a short line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::http_client::read_token_answer;

const TYPES: [&str; 3] = ["application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8"];

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (is_success, kind, body) = input;
    let status = if is_success { 200 } else { 401 };
    match read_token_answer(status, TYPES[usize::from(kind) % TYPES.len()], body) {
        Ok(token) => assert!(is_success && !token.access_token.expose().is_empty() && !token.kind.is_empty()),
        Err(cause) => assert!(!cause.is_empty() && cause.len() < 100 && !cause.chars().any(char::is_control), "{cause:?}"),
    }
});
