//! Any page in the text format: the parser ends within it, and an expected series is only a short cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::scrape::Format;
use narthex_fuzz::read_twice;

fuzz_target!(|page: &[u8]| read_twice(page, Format::Text));
