//! Answers that no exporter should give.

use crate::answers::{Answer, OPENMETRICS, TEXT};
use crate::values::{once_in, pick};
use fastrand::Rng;
use std::time::Duration;

/// Lines at the edges of the grammar. Some are valid. A series has a time always or never, so that what is refused does not
/// hang on where pages are cut.
const LINES: &[&str] = &[
    "a",
    "a ",
    "timed 1 2 3",
    "a  1",
    " a 1",
    "a\t1",
    "a 1\t",
    "a 1 ",
    "a{} 1",
    "a{ } 1",
    "a{,} 1",
    "a{b=\"c\",,} 1",
    "a{,b=\"c\"} 1",
    "a{b=\"c\"}1",
    "a{b=\"c\" 1",
    "a{b=c} 1",
    "a{b='c'} 1",
    "a{b=\"c} 1",
    "a{b} 1",
    "a{b=} 1",
    "a{=\"c\"} 1",
    "a{b=\"c\"d=\"e\"} 1",
    "a{b=\"c\" , d=\"e\"} 1",
    "a{b =\"c\"} 1",
    "a{b= \"c\"} 1",
    "a {b=\"c\"} 1",
    "a{b=\"c\"} ",
    "a{b=\"c\"}",
    "{} 1",
    "{b=\"c\"} 1",
    "{\"a\"} 1",
    "{\"a\",b=\"c\"} 1",
    "{b=\"c\",\"a\"} 1",
    "{\"a\",\"b\"} 1",
    "a{\"a\"} 1",
    "a{\"b\"=\"c\"} 1",
    "{\"a b\"} 1",
    "{\"\"} 1",
    "{\"a\"=\"c\"} 1",
    "{\"a\\\"b\"} 1",
    "{\"a\\nb\"} 1",
    "{\"__name__\"=\"x\"} 1",
    "{__name__=\"x\"} 1",
    "a{b=\"c\",b=\"c\"} 1",
    "a{b=\"c\",b=\"d\"} 1",
    "a{__name__=\"b\"} 1",
    "a{job=\"x\",job=\"y\"} 1",
    "a{mode=\"x\",mode=\"y\"} 1",
    "a{b=\"\",b=\"\"} 1",
    "a{le=\"1\",le=\"1.0\"} 1",
    "1a 1",
    "a-b 1",
    "a.b 1",
    "é 1",
    ":a 1",
    "_ 1",
    "a 0x1p-2",
    "a 0x10",
    "a 1_000",
    "a 1e",
    "a e1",
    "a --1",
    "a +-1",
    "a 1.2.3",
    "a 1,5",
    "a one",
    "a nan",
    "a -nan",
    "a +nan",
    "a infi",
    "a infinity",
    "a 1e999",
    "a -1e999",
    "a 0b1",
    "a 0o7",
    "a 1f",
    "a 1d",
    "a ∞",
    "a .",
    "a +",
    "a -",
    "a 1 -",
    "timed 1 1.5",
    "timed 1 1e3",
    "timed 1 +5",
    "timed 1 99999999999999999999",
    "timed 1 9223372036854775807",
    "timed 1 -9223372036854775808",
    "timed 1 -9223372036854775809",
    "timed 1 0",
    "timed 1 -0",
    "timed 1 00001",
    "a 1 # {x=\"y\"} 1",
    "a 1 #",
    "timed 1 2 #",
    "# TYPE",
    "# TYPE a",
    "# TYPE a counter extra",
    "# TYPE a nonsense",
    "# TYPE a COUNTER",
    "# TYPE a unknown",
    "# TYPE a info",
    "# TYPE a stateset",
    "# TYPE a gaugehistogram",
    "# TYPE a  counter",
    "#  TYPE a counter",
    "# TYPE\ta\tcounter",
    "# TYPE a\tcounter",
    "# TYPE \"a\" counter",
    "# TYPE \"a b\" counter",
    "# TYPE {\"a\"} counter",
    "# TYPE a untyped",
    "# HELP a",
    "# HELP a ",
    "# HELP a \\q \\n \\\\",
    "# HELP \"a b\" c",
    "# HELP \u{0}",
    "# HELP a b\u{0}c",
    "# UNIT a seconds",
    "# EOF",
    "#EOF",
    "# comment",
    "##",
    "#",
    "# ",
    "# TYPE a counter\ra 1",
    "a 1\r",
    "\r",
    "a{b=\"c\r\"} 1",
    "a{b=\"x\\\"} 1",
    "a{b=\"\\x\"} 1",
    "a{b=\"\\\\\"} 1",
    "a{b=\"\\n\"} 1",
    "\u{0}",
    "a\u{0} 1",
    "a{b=\"\u{0}\"} 1",
    "a 1\u{0}",
    "a{b=\"c\"}\u{a0}1",
    "a\u{a0}1",
    "\u{feff}a 1",
    "<html>",
    "{",
    "}",
    "\"a\" 1",
    "\"a\"",
    "a{b=\"c\"}} 1",
    "a{{b=\"c\"}} 1",
    "a{b=\"c\"} 1 {",
    "up 0",
    "up{} 7",
    "scrape_series_added 9",
    "scrape_samples_scraped NaN",
    "up{instance=\"other\"} 3",
    "a[b=\"c\"] 1",
    "a;b=c 1",
    "a=1",
    "a: 1",
    "a 1;",
    "scrape_x 1",
    "a{b=\"c\",} 1",
    "a{b=\"c\", } 1",
    "a{\t} 1",
    "timed{b=\"c\"}\t1\t5",
    "a{é=\"c\"} 1",
    "a{1b=\"c\"} 1",
    "a{b:c=\"d\"} 1",
    "a{b-c=\"d\"} 1",
    "a{\"b c\"=\"d\"} 1",
    "a{\"\"=\"d\"} 1",
    "a{\"b\"=d} 1",
    "a{\"b\":\"d\"} 1",
    "a{job=\"x\"} 1",
    "a{instance=\"\"} 1",
    "a{exported_job=\"x\",job=\"y\"} 1",
    "a{__a=\"x\"} 1",
    "a{__address__=\"x\"} 1",
    "a_bucket{le=\"1\"} 1",
    "a_bucket{le=\"abc\"} 1",
    "a_bucket{le=\"\"} 1",
    "a_bucket{le=\"1e400\"} 1",
    "a{quantile=\"1\"} 1",
    "a{quantile=\"nan\"} 1",
];

/// Bytes that no text has.
const BYTES: &[&[u8]] = &[b"\xff", b"\xc3\x28", b"\xe2\x82", b"\xf0\x9f\xa6", b"\xed\xa0\x80", b"\xc0\x80", b"\0"];

const CONTENT_TYPES: &[&str] = &[
    "text/plain",
    "text/plain; version=0.0.4",
    "text/plain;version=1.0.0",
    "TEXT/PLAIN",
    "text/html",
    "text/html; charset=utf-8",
    "application/json",
    "text/plain; charset",
    "text/plain; version=9",
    "text/plain ;",
    ";",
    "text",
    "text/plain; a=1; a=2",
    "text/plain; version=\"0.0.4\"",
    "*/*",
    "application/octet-stream",
    "text/plain, text/html",
    "multipart/x; boundary=y",
    "text/plain; version=1.0.0; escaping=allow-utf-8",
    "application/openmetrics-text",
    "application/openmetrics-text; version=0.0.1",
    "application/openmetrics-text; version=9",
];

/// Which ways of being hostile may be taken.
#[derive(Clone, Copy, Debug)]
pub struct Hostility {
    /// Of the exporter's own pages.
    pub content_type: &'static str,
    pub content_types: bool,
    /// In the middle of a page.
    pub breaks: bool,
    /// Longer than any timeout.
    pub too_slow: Duration,
}

/// A page that is valid.
pub enum Page {
    Lines(Vec<String>),
    Bytes(Vec<u8>),
}

impl Page {
    pub fn whole(&self) -> Vec<u8> {
        match self {
            Page::Lines(lines) => page_of(lines),
            Page::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// Makes something else of it.
pub fn spoil(rng: &mut Rng, page: Page, target: (usize, usize), hostility: &Hostility) -> Answer {
    let (whole, own) = (page.whole(), hostility.content_type);
    match (rng.u32(..16), page) {
        (0..=5, Page::Lines(lines)) if hostility.breaks => odd_lines(rng, lines, hostility),
        (6, Page::Lines(_)) if hostility.breaks => edited(rng, whole, own),
        (7, _) if hostility.breaks => cut(rng, whole, own),
        (number, _) => spoil_whole(rng, number, whole, target, hostility),
    }
}

fn spoil_whole(rng: &mut Rng, number: u32, whole: Vec<u8>, target: (usize, usize), hostility: &Hostility) -> Answer {
    let own = hostility.content_type;
    match number {
        0..=5 => Answer::page("valid", own, &whole),
        8 => Answer::page("empty", own, b""),
        6 | 7 => status(rng, &whole, own),
        9 if hostility.content_types => content_type(rng, &whole),
        9 | 10 => status(rng, &whole, own),
        11 => broken_connection(rng, &whole, own),
        12 => redirect(rng, whole, target, own),
        13 => Answer { delay: hostility.too_slow, ..Answer::page("too slow", own, &whole) },
        14 if own == TEXT || own == OPENMETRICS && hostility.breaks => {
            Answer::page("no final newline", own, whole.strip_suffix(b"\n").unwrap_or(&whole))
        }
        _ => framed(rng, &whole, hostility),
    }
}

fn page_of(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.bytes().chain(*b"\n")).collect()
}

fn odd_lines(rng: &mut Rng, mut lines: Vec<String>, hostility: &Hostility) -> Answer {
    let mut about = String::from("odd lines");
    for _ in 0..1 + rng.usize(..2) {
        let line = pick(rng, LINES);
        about += &format!(" {line:?}");
        let place = if once_in(rng, 3) { lines.len() } else { rng.usize(..=lines.len()) };
        lines.insert(place, line.into());
    }
    let mut page = page_of(&lines);
    if once_in(rng, 4) {
        page.pop();
        about += ", no final newline";
    }
    Answer::page(about, hostility.content_type, &page)
}

fn cut(rng: &mut Rng, mut page: Vec<u8>, own: &str) -> Answer {
    page.truncate(rng.usize(..=page.len()));
    Answer::page("cut", own, &page)
}

fn edited(rng: &mut Rng, mut page: Vec<u8>, own: &str) -> Answer {
    for _ in 0..1 + rng.usize(..3) {
        let place = rng.usize(..=page.len());
        // Digits stay, so that no time of a sample comes to lie among the scrapes.
        match (rng.u32(..4), page.get(place).copied()) {
            (0, Some(byte)) if !byte.is_ascii_digit() => page[place] = rng.u8(..),
            (1, Some(byte)) if !byte.is_ascii_digit() => drop(page.remove(place)),
            (2, _) => drop(page.splice(place..place, BYTES[rng.usize(..BYTES.len())].iter().copied())),
            _ => page.insert(place, b"\n \t{}=\",#\\x"[rng.usize(..11)]),
        }
    }
    Answer::page("bytes edited", own, &page)
}

fn content_type(rng: &mut Rng, page: &[u8]) -> Answer {
    if once_in(rng, 4) {
        return Answer::new("no Content-Type", "200 OK", "", page);
    }
    let content_type = pick(rng, CONTENT_TYPES);
    Answer::page(format!("Content-Type {content_type}"), content_type, page)
}

fn status(rng: &mut Rng, page: &[u8], own: &str) -> Answer {
    let status = pick(
        rng,
        &[
            "500 Internal Server Error",
            "404 Not Found",
            "204 No Content",
            "201 Created",
            "401 Unauthorized",
            "206 Partial Content",
            "304 Not Modified",
            "999 ?",
        ],
    );
    let body = if status.starts_with("204") || status.starts_with("304") { b"" } else { page };
    Answer::new(format!("status {status}"), status, &format!("Content-Type: {own}\r\n"), body)
}

fn broken_connection(rng: &mut Rng, page: &[u8], own: &str) -> Answer {
    let mut answer = Answer::page("connection closed early", own, page);
    // Whether the last byte of the body is there decides: the head ends well before it.
    answer.bytes.truncate(rng.usize(..answer.bytes.len()));
    answer
}

fn redirect(rng: &mut Rng, page: Vec<u8>, (case, number): (usize, usize), own: &str) -> Answer {
    let status = pick(
        rng,
        &[
            "301 Moved Permanently",
            "302 Found",
            "303 See Other",
            "307 Temporary Redirect",
            "308 Permanent Redirect",
            "300 Multiple Choices",
        ],
    );
    let location = match rng.u32(..6) {
        0 => String::new(),
        1 => "Location: /nowhere\r\n".into(),
        2 => "Location: ftp://127.0.0.1/x\r\n".into(),
        _ => format!("Location: /moved/{case}/{number}\r\n"),
    };
    let moved = Answer::page("", own, &page).bytes;
    Answer { behind_redirect: Some(moved), ..Answer::new(format!("{status} {location:?}"), status, &location, b"") }
}

/// The same page, in chunks or up to the connection's end.
fn framed(rng: &mut Rng, page: &[u8], hostility: &Hostility) -> Answer {
    let own = hostility.content_type;
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Type: {own}\r\nConnection: close\r\n").into_bytes();
    if once_in(rng, 3) {
        bytes.extend(b"\r\n");
        bytes.extend(page);
        return Answer { about: "up to the connection's end".into(), bytes, ..Answer::default() };
    }
    if once_in(rng, 2) {
        return gzipped(rng, page, hostility);
    }
    bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
    for chunk in page.chunks(1 + rng.usize(..200)) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    let mut about = "in chunks".to_string();
    if once_in(rng, 4) {
        bytes.truncate(bytes.len() - 1 - rng.usize(..7));
        about += ", cut";
    }
    Answer { about, bytes, ..Answer::default() }
}

/// In gzip, uncompressed inside; sometimes damaged.
fn gzipped(rng: &mut Rng, page: &[u8], hostility: &Hostility) -> Answer {
    let own = hostility.content_type;
    let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let blocks: Vec<&[u8]> = page.chunks(1000).collect();
    for (n, block) in blocks.iter().enumerate() {
        let length = block.len() as u16;
        body.push(u8::from(n + 1 == blocks.len()));
        body.extend(length.to_le_bytes());
        body.extend((!length).to_le_bytes());
        body.extend(*block);
    }
    if blocks.is_empty() {
        body.extend([1, 0, 0, 0xff, 0xff]);
    }
    body.extend(crc32fast::hash(page).to_le_bytes());
    body.extend((page.len() as u32).to_le_bytes());
    let mut about = "gzip".to_string();
    match rng.u32(..6) {
        0 => body.truncate(rng.usize(..body.len())),
        1 => {
            let place = rng.usize(..body.len());
            body[place] ^= 1 << rng.u32(..8);
        }
        2 => body.extend(b"behind"),
        // Behind its `# EOF` a page has an error.
        3 if own != OPENMETRICS || hostility.breaks => body.extend(body.clone()),
        _ => return Answer::new(about, "200 OK", &format!("Content-Type: {own}\r\nContent-Encoding: gzip\r\n"), &body),
    }
    about += ", damaged or continued";
    Answer::new(about, "200 OK", &format!("Content-Type: {own}\r\nContent-Encoding: gzip\r\n"), &body)
}
