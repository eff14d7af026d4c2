//! Any page: the text parser ends within it, with as many lines as it has, and an expected series is only a short cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::scrape::{Entry, TextParser};

fuzz_target!(|page: &[u8]| {
    let plain = samples(page, &[]);
    // In step with the series of the page itself, as the cache reads an unchanged page.
    let expected: Vec<Vec<u8>> = plain.iter().map(|(series, ..)| series.clone()).collect();
    assert_eq!(samples(page, &expected), plain);
});

/// The text of each sample's series, its value's bits and its time, up to the first error.
fn samples(page: &[u8], expected: &[Vec<u8>]) -> Vec<(Vec<u8>, u64, Option<i64>)> {
    let mut parser = TextParser::new(page);
    let mut found = Vec::new();
    loop {
        let expected = expected.get(found.len()).map(Vec::as_slice);
        match parser.next(expected) {
            Ok(Some(Entry::Sample(sample))) => {
                // A name that is not UTF-8 gives none.
                _ = sample.series.labels();
                found.push((sample.series.raw.to_vec(), sample.value.to_bits(), sample.timestamp_ms));
            }
            Ok(Some(_)) => {}
            Ok(None) => return found,
            Err(error) => {
                assert!(error.line <= page.iter().filter(|byte| **byte == b'\n').count() + 1);
                return found;
            }
        }
    }
}
