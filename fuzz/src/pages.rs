//! What a parser makes of a page, alone and in step with itself.

use narthex::scrape::{Entry, Format, HistogramForms, Parser};

/// A sample as far as two readings of a page can be compared.
type Seen = (Vec<u8>, u64, Option<i64>, Option<(Vec<u8>, u64, Option<i64>)>);

/// Reads the page twice, the second time in step with its own series, as the cache reads an unchanged page.
pub fn read_twice(page: &[u8], format: Format) {
    let plain = samples(page, format, &[]);
    let expected: Vec<Vec<u8>> = plain.iter().map(|(series, ..)| series.clone()).collect();
    assert_eq!(samples(page, format, &expected), plain);
}

/// Each sample up to the first error.
fn samples(page: &[u8], format: Format, expected: &[Vec<u8>]) -> Vec<Seen> {
    let mut parser = Parser::new(page, format, HistogramForms::default());
    let mut found = Vec::new();
    while let Ok(Some(entry)) = parser.next(expected.get(found.len()).map(Vec::as_slice)) {
        let Entry::Sample(sample) = entry else { continue };
        // A name that is not UTF-8 gives none.
        _ = sample.series.labels();
        let exemplar = sample.exemplar.map(|exemplar| {
            _ = exemplar.labels.labels();
            (exemplar.labels.raw.to_vec(), exemplar.value.to_bits(), exemplar.timestamp_ms)
        });
        found.push((sample.series.raw.to_vec(), sample.value.to_bits(), sample.timestamp_ms, exemplar));
    }
    assert!(found.len() <= page.len() / 2 + 1);
    found
}
