//! What the kernel says of links, or anything in its place: read to its end, and what was told twice came up once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::links::Links;

fuzz_target!(|datagrams: Vec<Vec<u8>>| {
    let mut links = Links::default();
    for datagram in datagrams {
        links.hear(&datagram);
        links.hear(&datagram[..datagram.len() / 2]);
    }
    // RTM_NEWLINK of link 7: family and kind of device, index, flags (running), changes.
    let link = [32u32, 16, 0, 0, 0, 7, 0x40, 0].map(u32::to_ne_bytes).concat();
    links.hear(&link);
    links.hear(&link);
    assert!(!links.hear(&link));
});
