//! Any compressed page, in pieces: the same page or the same error however it is cut; and any `Content-Type`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::scrape::{Body, FetchLimits, Format};

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece_bytes, bytes) = input;
    _ = Format::of(&String::from_utf8_lossy(&bytes));
    assert_eq!(inflated(&bytes, usize::from(piece_bytes) + 1), inflated(&bytes, bytes.len().max(1)));
});

fn inflated(bytes: &[u8], piece_bytes: usize) -> Result<Vec<u8>, String> {
    let limits = FetchLimits { page_bytes_max: 1 << 20, line_bytes_max: 1 << 20, ..FetchLimits::default() };
    let mut body = Body::new(limits);
    let read = body.begin(b"gzip").and_then(|()| {
        bytes.chunks(piece_bytes).try_for_each(|piece| body.push(piece))?;
        body.finish()
    });
    assert!(body.page().len() <= (1 << 20) + 64 * 1024, "held to its limit");
    read.map(|()| body.page().to_vec()).map_err(|error| error.to_string())
}
