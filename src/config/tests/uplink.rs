//! `[uplink]`, and rates and classes of endpoints.

use super::mistakes::assert_mistakes;
use super::*;
use crate::model::Class;
use crate::remote_write::{Hours, RateOptions, UplinkOptions};

#[test]
fn nothing_is_limited_unless_it_is_asked_for() {
    let config = valid("[[remote_write]]\nurl = 'http://a'\n[buffer]\npath = 'x'\nsize = '1MiB'");
    assert_eq!(config.uplink, UplinkOptions::default());
    assert_eq!((config.uplink.bytes_per_day, config.uplink.spread), (None, None));
    assert_eq!((config.endpoints[0].priority, config.endpoints[0].rates), (Class::Normal, RateOptions::default()));
}

#[test]
fn all_of_it_is_read() {
    let config = valid(FULL);
    let hours = |text| Hours::parse(text).unwrap();
    let expected = UplinkOptions {
        bytes_per_day: Some(20 << 20),
        bytes_per_month: Some(400 << 20),
        month_starts_on: 15,
        windows: vec![hours("01:00-05:00"), hours("22:30-00:15")],
        low_windows: Some(vec![hours("02:00-04:00")]),
        spread: Some(Duration::from_secs(60)),
    };
    assert_eq!(config.uplink, expected);
    assert_eq!(valid(&config.to_toml().replace("<secret>", "s")).uplink, expected);
    let rates = RateOptions { bytes_per_second: Some(64 << 10), backlog_bytes_per_second: Some(16 << 10) };
    assert_eq!((config.endpoints[0].priority, config.endpoints[0].rates), (Class::High, rates));
}

#[test]
fn mistakes_are_told_with_what_to_write() {
    assert_mistakes(&[
        (
            "[uplink]\nmax_bytes_per_day = '1KiB'",
            "n.toml:2: uplink.max_bytes_per_day: is too little; write \"64KiB\" or more, or leave the key out",
        ),
        (
            "[uplink]\nmax_bytes_per_day = '2MiB'\nmax_bytes_per_month = '1MiB'",
            "n.toml:2: uplink.max_bytes_per_day: is more than max_bytes_per_month; write less, or leave it out",
        ),
        (
            "[uplink]\nmonth_starts_on = 3",
            "n.toml:2: uplink.month_starts_on: means nothing without max_bytes_per_month; write both",
        ),
        (
            "[uplink]\nmax_bytes_per_month = '1MiB'\nmonth_starts_on = 31",
            "n.toml:3: uplink.month_starts_on: is 31; write a number from 1 to 28",
        ),
        (
            "[uplink]\nwindows = '01:00-05:00'",
            "n.toml:2: uplink.windows: is a string; write a list such as [\"01:00-05:00\"]",
        ),
        (
            "[uplink]\nwindows = ['1-5']",
            "n.toml:2: uplink.windows: \"1-5\" is no window; write it as \"01:00-05:00\", in UTC",
        ),
        (
            "[uplink]\nlow_windows = []",
            "n.toml:2: uplink.low_windows: is empty, and would never be open; write a window, or leave the key out",
        ),
        ("[uplink]\nspread = '2h'", "n.toml:2: uplink.spread: is too long; write at most \"1h\""),
        (
            "[uplink]\nmax_bytes_per_week = '1MiB'",
            "n.toml:2: uplink.max_bytes_per_week: unknown key; did you mean max_bytes_per_day?",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\npriority = 'urgent'",
            "n.toml:3: remote_write.priority: \"urgent\" is no class; write \"high\", \"normal\" or \"low\"",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nmax_bytes_per_second = 64",
            "n.toml:3: remote_write.max_bytes_per_second: is the integer 64; write a size such as \"64MiB\"",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nmax_bytes_per_second = '64B'",
            "n.toml:3: remote_write.max_bytes_per_second: is too little; write \"128B\" or more, or leave the key out",
        ),
        (
            "[[remote_write]]\nurl = 'http://a'\nmax_bytes_per_second = '1KiB'\nbacklog_max_bytes_per_second = '2KiB'",
            "n.toml:4: remote_write.backlog_max_bytes_per_second: is more than max_bytes_per_second, which the backlog counts \
             for too; write less, or leave it out",
        ),
    ]);
}
