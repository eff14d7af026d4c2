//! The head of a response: status line and headers, as Go's net/http takes them, which is more than the standard allows and what
//! devices in the field rely on. Bytes only.
//!
//! ```text
//!  HTTP/1.2 200 OK                  any version of one digit and one digit
//!  Server : x                       spaces before the colon
//!  Warning: a                       a value that goes on in the next line
//!    and more
//! ```
//!
//! ureq-proto refuses all three, and more than 128 headers. So the head is read here, and ureq-proto is given the few lines of it
//! that say how long the body is and whether the connection is kept.

use super::error::HttpError;
use crate::limits::{RESPONSE_HEAD_BYTES_MAX, RESPONSE_HEADERS_MAX};
use ureq_proto::http::header::{CONNECTION, CONTENT_LENGTH, LOCATION, TRANSFER_ENCODING};
use ureq_proto::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

/// How every response begins, and how an alert of TLS does.
const HTTP: &[u8] = b"HTTP/";
const TLS_ALERT: &[u8] = &[0x15, 3];

/// What arrived of a response, until its head is whole.
#[derive(Default)]
pub(super) struct HeadReader {
    bytes: Vec<u8>,
    /// Up to here there is no end of a head.
    searched: usize,
    /// Bytes of the heads before: those of `1xx`.
    taken: usize,
}

/// A head that is whole.
pub(super) struct Head {
    pub(super) response: Response<()>,
    /// A head that says the same of the body and the connection, and nothing else.
    pub(super) framing: Vec<u8>,
}

impl HeadReader {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next head, if it is whole. Fails as soon as the bytes can't become one.
    pub(super) fn next(&mut self) -> Result<Option<Head>, HttpError> {
        let blank = self.bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if self.searched == 0 {
            self.bytes.drain(..blank);
        }
        check_beginning(&self.bytes)?;
        let end = end_of_head(&self.bytes, self.searched);
        if self.taken + end.unwrap_or(self.bytes.len()) > RESPONSE_HEAD_BYTES_MAX {
            return Err(HttpError::HeadTooLarge { bytes_max: RESPONSE_HEAD_BYTES_MAX });
        }
        let Some(end) = end else {
            // The next search begins with the last line's end, behind which a blank line may come.
            self.searched = self.bytes.len().saturating_sub(2);
            return Ok(None);
        };
        let head = parse(&self.bytes[..end])?;
        self.bytes.drain(..end);
        (self.searched, self.taken) = (0, self.taken + end);
        Ok(Some(head))
    }

    /// What came behind the heads.
    pub(super) fn into_rest(self) -> Vec<u8> {
        self.bytes
    }
}

fn check_beginning(bytes: &[u8]) -> Result<(), HttpError> {
    let begins = |expected: &[u8]| bytes.iter().zip(expected).all(|(byte, expected)| byte == expected);
    match () {
        _ if begins(HTTP) => Ok(()),
        _ if !begins(TLS_ALERT) => Err(malformed("it does not begin with HTTP/")),
        _ if bytes.len() < TLS_ALERT.len() => Ok(()),
        _ => Err(HttpError::SpeaksTls),
    }
}

/// The place behind the blank line.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let line_ends = (from..bytes.len()).filter(|at| bytes[*at] == b'\n');
    let mut blank_ends = line_ends.filter_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    });
    blank_ends.next()
}

fn malformed(cause: &str) -> HttpError {
    HttpError::Protocol(cause.into())
}

fn parse(head: &[u8]) -> Result<Head, HttpError> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let (version, status) = parse_status_line(lines.next().unwrap_or_default())?;
    let mut headers = HeaderMap::new();
    let mut count = 0;
    for (name, value) in unfold(lines)? {
        count += 1;
        if count > RESPONSE_HEADERS_MAX {
            return Err(HttpError::TooManyHeaders { headers_max: RESPONSE_HEADERS_MAX });
        }
        // Go keeps headers by names that are none, where nobody finds them.
        let Ok(name) = HeaderName::from_bytes(&name) else { continue };
        let value = HeaderValue::from_bytes(&value)
            .map_err(|_| malformed(&format!("the value of its header {name} has a control character in it")))?;
        headers.append(name, value);
    }
    let framing = framing(version, status, &headers);
    let mut response = Response::new(());
    (*response.version_mut(), *response.status_mut(), *response.headers_mut()) = (version, status, headers);
    Ok(Head { response, framing })
}

/// Versions from 1.1 on keep connections and know chunks, as in Go's `ProtoAtLeast(1, 1)`.
fn parse_status_line(line: &[u8]) -> Result<(Version, StatusCode), HttpError> {
    let Some((&[major, b'.', minor, b' '], status)) = line
        .strip_prefix(HTTP)
        .and_then(|rest| rest.split_first_chunk())
        .filter(|([major, _, minor, _], _)| major.is_ascii_digit() && minor.is_ascii_digit())
    else {
        return Err(malformed("its first line has no version such as HTTP/1.1"));
    };
    let version = if (major, minor) < (b'1', b'1') { Version::HTTP_10 } else { Version::HTTP_11 };
    let code = status.trim_ascii_start().split(|byte| *byte == b' ').next().unwrap_or_default();
    match StatusCode::from_bytes(code) {
        Ok(status) => Ok((version, status)),
        Err(_) => Err(malformed("its status is not a number from 100 to 999")),
    }
}

/// A header's name and its value, as they came.
type Line = (Vec<u8>, Vec<u8>);

/// Names and values, with values that go on in the lines behind put together by single spaces.
fn unfold<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Result<Vec<Line>, HttpError> {
    let mut headers: Vec<Line> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            let (_, value) = headers.last_mut().ok_or_else(|| malformed("its first header begins with a space"))?;
            value.push(b' ');
            value.extend_from_slice(line.trim_ascii());
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or_else(|| malformed("one of its headers has no colon"))?);
        headers.push((name.trim_ascii_end().to_vec(), value[1..].trim_ascii().to_vec()));
    }
    Ok(headers)
}

/// The head as ureq-proto is given it. Values of several lines of one name mean the same with commas between them.
fn framing(version: Version, status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let version = if version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
    let mut out = format!("{version} {} \r\n", status.as_u16()).into_bytes();
    let joined = |name: &HeaderName| {
        headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..])
    };
    let mut add = |name: &HeaderName, value: &[u8]| {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(&[b": ", value, b"\r\n"].concat());
    };
    // An interim response has no body, and ureq-proto takes none with headers.
    if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
        for name in [&CONNECTION, &CONTENT_LENGTH, &TRANSFER_ENCODING] {
            if headers.contains_key(name) {
                add(name, &joined(name));
            }
        }
        if let Some(location) = headers.get_all(LOCATION).iter().next_back() {
            add(&LOCATION, location.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Option<Head>, HttpError> {
        let mut reader = HeadReader::default();
        reader.push(bytes);
        reader.next()
    }

    fn text(head: &Head) -> String {
        let lines = head.response.headers().iter().map(|(name, value)| format!("{name}={}|", value.to_str().unwrap()));
        format!("{:?} {} {}", head.response.version(), head.response.status().as_u16(), lines.collect::<String>())
    }

    #[test]
    fn heads_are_read_as_go_reads_them() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "HTTP/1.1 200 a=b|"),
            ("HTTP/1.0 200 OK\nA:b\n\n", "HTTP/1.0 200 a=b|"),
            ("\r\nHTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 "),
            ("HTTP/1.1   404 Not Found\r\n\r\n", "HTTP/1.1 404 "),
            ("HTTP/1.2 200 OK\r\n\r\n", "HTTP/1.1 200 "),
            ("HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 200 "),
            ("HTTP/0.9 200 OK\r\n\r\n", "HTTP/1.0 200 "),
            ("HTTP/1.1 200 OK\r\nServer : x\r\nB\t:y\r\n\r\n", "HTTP/1.1 200 server=x|b=y|"),
            ("HTTP/1.1 200 OK\r\nA: one\r\n  two\r\n\tthree \r\nB: c\r\n\r\n", "HTTP/1.1 200 a=one two three|b=c|"),
            ("HTTP/1.1 200 OK\r\nA:\r\n  two\r\n \r\n\r\n", "HTTP/1.1 200 a= two |"),
            ("HTTP/1.1 200 OK\r\nno name: x\r\n: y\r\nA: b:c\r\n\r\n", "HTTP/1.1 200 a=b:c|"),
        ] {
            let read = read(head.as_bytes()).unwrap().expect(head);
            assert_eq!(text(&read), expected, "{head:?}");
        }
        for bad in [
            "SSH-2.0-dropbear\r\n",
            "HTTP/1.1\r\n\r\n",
            "HTTP/11 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n",
        ] {
            assert!(matches!(read(bad.as_bytes()), Err(HttpError::Protocol(_))), "{bad:?}");
        }
        assert!(matches!(read(b"\x15\x03\x01\x00\x02\x02\x28"), Err(HttpError::SpeaksTls)));
    }

    #[test]
    fn a_head_is_whole_wherever_it_is_cut() {
        let bytes = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\n\n";
        for cut in 0..bytes.len() {
            let (mut reader, mut heads) = (HeadReader::default(), Vec::new());
            for part in [&bytes[..cut], &bytes[cut..]] {
                reader.push(part);
                while heads.len() < 2
                    && let Some(head) = reader.next().unwrap()
                {
                    heads.push(text(&head));
                }
            }
            assert_eq!(heads, ["HTTP/1.1 103 link=x|", "HTTP/1.1 200 a=b|"], "cut at {cut}");
            assert_eq!(reader.into_rest(), b"body\n\n");
        }
    }

    #[test]
    fn limits_are_held_to_by_name() {
        let head = |lines: String| format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
        let many = |count| head("A: b\r\n".repeat(count));
        assert!(read(many(RESPONSE_HEADERS_MAX).as_bytes()).unwrap().is_some());
        let refused = read(many(RESPONSE_HEADERS_MAX + 1).as_bytes()).err().unwrap();
        assert!(refused.to_string().contains("256 headers"), "{refused}");
        let long = |bytes: usize| head(format!("A: {}\r\n", "b".repeat(bytes)));
        assert!(read(long(RESPONSE_HEAD_BYTES_MAX - 100).as_bytes()).unwrap().is_some());
        let refused = read(long(RESPONSE_HEAD_BYTES_MAX).as_bytes()).err().unwrap();
        assert!(refused.to_string().contains("65536 bytes"), "{refused}");
        let mut reader = HeadReader::default();
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(RESPONSE_HEAD_BYTES_MAX / 30);
        reader.push(interim.as_bytes());
        let mut outcomes = std::iter::from_fn(|| Some(reader.next()));
        assert!(outcomes.any(|outcome| matches!(outcome, Err(HttpError::HeadTooLarge { .. }))), "interim ones count");
    }

    #[test]
    fn what_says_how_long_the_body_is_is_passed_on() {
        for (lines, framing) in [
            ("Content-Length : 5\r\nServer: x\r\n", "content-length: 5\r\n"),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", "content-length: 5, 5\r\n"),
            ("Transfer-Encoding: Chunked\r\n", "transfer-encoding: Chunked\r\n"),
            ("Connection: a\r\nConnection: close\r\n", "connection: a, close\r\n"),
            ("Location: /a\r\nLocation: /b\r\n", "location: /b\r\n"),
        ] {
            let read = read(format!("HTTP/1.1 200 OK\r\n{lines}\r\n").as_bytes()).unwrap().unwrap();
            assert_eq!(String::from_utf8(read.framing).unwrap(), format!("HTTP/1.1 200 \r\n{framing}\r\n"));
        }
    }
}
