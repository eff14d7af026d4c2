//! Any configuration: an error of one line, or options that are the same when they are written out and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::config::parse;
use std::path::Path;

fuzz_target!(|text: &str| {
    let file = Path::new("/etc/narthex/narthex.toml");
    match parse(text, file) {
        Ok(config) => {
            let written = config.to_toml();
            // Masks are refused where a secret belongs.
            let again = parse(&written.replace("<secret>", "x"), file).unwrap_or_else(|error| panic!("{error}\n{written}"));
            assert_eq!(again.to_toml(), written);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
