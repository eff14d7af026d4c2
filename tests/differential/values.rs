//! Texts of values, labels and names, usual and odd ones.

use fastrand::Rng;

pub fn pick<'a>(rng: &mut Rng, all: &[&'a str]) -> &'a str {
    all[rng.usize(..all.len())]
}

/// One in `many`.
pub fn once_in(rng: &mut Rng, many: u32) -> bool {
    rng.u32(..many) == 0
}

const ODD_NUMBERS: &[&str] = &[
    "NaN",
    "nan",
    "NAN",
    "+Inf",
    "-Inf",
    "Inf",
    "inf",
    "+inf",
    "-inf",
    "Infinity",
    "-infinity",
    "0",
    "-0",
    "-0.0",
    "+0",
    "00",
    "1e0",
    "1E5",
    "1.",
    ".5",
    "+.5e-3",
    "5e-324",
    "4.9406564584124654e-324",
    "2.2250738585072011e-308",
    "1.7976931348623157e308",
    "-1.7976931348623157e+308",
    "9007199254740993",
    "18446744073709551615",
    "123456789012345678901234567890",
    "1e-400",
    "-1e-400",
    "0.1",
    "0.30000000000000004",
    "1e22",
    "1e23",
    "8.41e21",
    "6.9294956446009195e15",
    "000000000000000000001",
    "1e+09",
    "100000000000000016777215",
];

/// A number that parses.
pub fn number(rng: &mut Rng) -> String {
    match rng.u32(..10) {
        0 => pick(rng, ODD_NUMBERS).into(),
        1 => format!("{:e}", f64::from_bits(rng.u64(..))),
        2 => format!("{}", f32::from_bits(rng.u32(..))),
        3 => format!("{}", rng.i64(..)),
        4 => format!("{:.3}", rng.f64() * 1000.0),
        _ => rng.u32(..100).to_string(),
    }
}

const ODD_VALUES: &[&str] = &[
    "",
    " ",
    "x",
    "é",
    "日本",
    "🦀",
    r"\\",
    r"\n",
    r#"\""#,
    r"C:\\DIR\\",
    r"a\nb",
    "{}",
    "a,b=c",
    "#",
    "/dev/sda1",
    "\t",
    "\u{7f}",
    "\u{1}",
    r"\q",
    r"\u00e9",
    "'",
    "a=\\\"b\\\"",
    "\u{feff}",
    "\u{301}",
    "  padded  ",
    "}",
    "\r",
    "0",
    "NaN",
    "$1",
    "${name}",
    "%41",
];

/// A label's value, escaped as it stands between quotes.
pub fn label_value(rng: &mut Rng) -> String {
    match rng.u32(..5) {
        0 => pick(rng, ODD_VALUES).into(),
        1 => format!("{}{}", pick(rng, ODD_VALUES), pick(rng, ODD_VALUES)),
        _ => pick(rng, &["a", "b", "cpu0", "cpu1", "eth0", "GET", "200", "/", "value"]).into(),
    }
}

/// Names of labels, among them some that a target has too.
pub const LABEL_NAMES: &[&str] =
    &["a", "b", "B", "mode", "cpu", "device", "__x", "_", "x_1", "job", "instance", "exported_job", "site", "version"];

pub const METRIC_NAMES: &[&str] = &[
    "requests_total",
    "temperature_celsius",
    "a",
    "a:b",
    ":colon",
    "_under",
    "A9",
    "process_cpu_seconds_total",
    "node_load1",
    "x_created",
    "x_total",
    "x_info",
    "memory_bytes",
    "errors",
    "queue_length",
];

/// Whitespace between the parts of a line.
pub fn gap(rng: &mut Rng) -> &'static str {
    if once_in(rng, 12) { pick(rng, &["  ", "\t", " \t "]) } else { " " }
}
