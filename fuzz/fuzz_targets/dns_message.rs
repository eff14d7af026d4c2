//! Any DNS message, from a name server or anybody on the local link: read or refused; and what is heard leaves the browser with
//! a next time to look that lies ahead.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narthex::dns::Message;
use narthex::discovery::mdns::{Browser, SERVICE_TYPE_DEFAULT, service_name};
use std::time::Duration;

fuzz_target!(|packets: Vec<Vec<u8>>| {
    let mut browser = Browser::new(service_name(SERVICE_TYPE_DEFAULT), Duration::ZERO);
    let mut now = Duration::ZERO;
    for packet in packets {
        if let Ok(message) = Message::parse(&packet) {
            browser.receive(&message, now);
        }
        now += Duration::from_secs(7);
        for question in browser.poll(now) {
            Message::parse(&question).expect("what is asked is a message");
        }
        assert!(browser.due() > now);
        browser.groups();
    }
});
