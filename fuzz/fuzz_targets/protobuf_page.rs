//! Any protobuf page: the parser ends within it, and an expected series is only a short cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::scrape::{Entry, HistogramForms, ProtobufParser, limit_buckets};

fuzz_target!(|page: &[u8]| {
    for forms in [HistogramForms::default(), HistogramForms { native: true, classic_too: true }] {
        let plain = samples(page, forms, &[]);
        // In step with the series of the page itself, as the cache reads an unchanged page.
        let expected: Vec<Vec<u8>> = plain.iter().map(|(series, ..)| series.clone()).collect();
        assert_eq!(samples(page, forms, &expected), plain);
    }
});

/// The bytes of each sample's series, its value's bits and its time, up to the first error.
fn samples(page: &[u8], forms: HistogramForms, expected: &[Vec<u8>]) -> Vec<(Vec<u8>, u64, Option<i64>)> {
    let mut parser = ProtobufParser::new(page, forms);
    let mut found = Vec::new();
    while let Ok(Some(entry)) = parser.next(expected.get(found.len()).map(Vec::as_slice)) {
        let Entry::Sample(sample) = entry else { continue };
        assert!(sample.series.labels().is_some());
        if let Some(native) = sample.native {
            let mut histogram = (**native.histogram).clone();
            if histogram.validate().is_ok() {
                // Too many buckets at any resolution is an answer too.
                _ = limit_buckets(&mut histogram, 2, 3);
                // Only the counts of what was merged may be past what a number holds.
                _ = histogram.validate();
            }
            native.exemplars.iter().for_each(|exemplar| assert!(exemplar.timestamp_ms.is_some()));
        }
        found.push((sample.series.raw.to_vec(), sample.value.to_bits(), sample.timestamp_ms));
    }
    found
}
