use super::*;
use crate::http_server::{Limits, Server};
use crate::remote_write::messages::Sample;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;

const TOLD: Told<'static> = Told {
    content_encoding: Some("snappy"),
    content_type: Some("application/x-protobuf"),
    version: Some("0.1.0"),
    user_agent: Some("narthex/0.1.0"),
};

fn series(labels: &[(&str, &str)], timestamps_ms: &[i64]) -> TimeSeries {
    TimeSeries {
        labels: labels.iter().map(|(name, value)| Label { name: (*name).into(), value: (*value).into() }).collect(),
        samples: timestamps_ms.iter().map(|timestamp| Sample { value: 1.0, timestamp: *timestamp }).collect(),
        ..TimeSeries::default()
    }
}

fn body(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&WriteRequest { timeseries }.encode_to_vec()).unwrap()
}

#[test]
fn what_keeps_to_the_specification_is_taken_and_counted() {
    let mut ledger = Ledger::new();
    let sent = body(vec![
        series(&[("__name__", "node:up"), ("job", "x é")], &[1000, 2000]),
        series(&[("A", "1"), ("__name__", "m")], &[1000]),
    ]);
    receive(&TOLD, &sent, &mut ledger).unwrap();
    let with_message = Told { content_type: Some("application/x-protobuf;proto=prometheus.WriteRequest"), ..TOLD };
    receive(&with_message, &sent, &mut ledger).unwrap();
    let expected = Received {
        requests: 2,
        wire_bytes: 2 * sent.len() as u64,
        samples_distinct: 3,
        samples_repeated: 3,
        ..Received::default()
    };
    assert_eq!(ledger.received(), expected);
    assert_eq!(ledger.series(), 2);
}

#[test]
fn headers_that_are_missing_or_wrong_are_refused() {
    let sent = body(vec![series(&[("__name__", "m")], &[1])]);
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    for (told, status, text) in [
        (Told { content_encoding: None, ..TOLD }, 415, "Content-Encoding is missing"),
        (Told { content_encoding: Some("gzip"), ..TOLD }, 415, "Content-Encoding is \"gzip\""),
        (Told { content_type: None, ..TOLD }, 415, "Content-Type is missing"),
        (Told { content_type: Some(v2), ..TOLD }, 415, "Content-Type is \"application"),
        (Told { version: None, ..TOLD }, 400, "Version is missing"),
        (Told { version: Some("2.0.0"), ..TOLD }, 400, "Version is \"2.0.0\""),
        (Told { user_agent: None, ..TOLD }, 400, "User-Agent is missing"),
    ] {
        refused(&told, &sent, status, text);
    }
}

#[test]
fn series_that_are_not_as_they_should_be_are_refused_with_the_whole_request() {
    let cases = [
        (series(&[("__name__", "m"), ("b", "1"), ("a", "1")], &[1]), r#""a" follows "b""#),
        (series(&[("__name__", "m"), ("a", "1"), ("a", "2")], &[1]), r#""a" follows "a""#),
        (series(&[("__name__", "m"), ("a", "")], &[1]), r#""a" has an empty value"#),
        (series(&[("", "1"), ("__name__", "m")], &[1]), r#""" is not a label or metric name"#),
        (series(&[("__name__", "m"), ("a:b", "1")], &[1]), r#""a:b" is not a label"#),
        (series(&[("__name__", "m"), ("a-b", "1")], &[1]), r#""a-b" is not a label"#),
        (series(&[("__name__", "1m")], &[1]), r#""1m" is not a label or metric name"#),
        (series(&[("__name__", "")], &[1]), r#""" is not a label or metric name"#),
        (series(&[("job", "x")], &[1]), r#"{job="x"} has no __name__"#),
        (series(&[], &[1]), "{} has no __name__"),
        (series(&[("__name__", "m")], &[2, 1]), "a sample of 1 after one of 2"),
        (series(&[("__name__", "m")], &[2, 2]), "a sample of 2 after one of 2"),
    ];
    for (bad, text) in cases {
        refused(&TOLD, &body(vec![series(&[("__name__", "good")], &[1]), bad]), 400, text);
    }
}

#[test]
fn bodies_that_cannot_be_read_are_refused() {
    refused(&TOLD, b"", 400, "not snappy's block format");
    refused(&TOLD, b"\x05\x00", 400, "not snappy's block format");
    refused(&TOLD, b"\xff\xff\xff\xff\x07\x00", 400, "2147483647 bytes when decompressed");
    let no_proto = snap::raw::Encoder::new().compress_vec(b"\x0a\xff").unwrap();
    refused(&TOLD, &no_proto, 400, "not a prometheus.WriteRequest");
    let sent = body(vec![series(&[("__name__", "m")], &[1])]);
    for cut in 0..sent.len() {
        assert!(receive(&TOLD, &sent[..cut], &mut Ledger::new()).is_err(), "cut at {cut}");
    }
}

fn refused(told: &Told<'_>, body: &[u8], status: u16, text: &str) {
    let mut ledger = Ledger::new();
    let refusal = receive(told, body, &mut ledger).expect_err(text);
    assert_eq!(refusal.status().as_u16(), status, "{refusal}");
    assert!(refusal.to_string().contains(text), "{refusal:?}: {refusal} does not say: {text}");
    let counted = Received { requests: 1, requests_refused: 1, wire_bytes: body.len() as u64, ..Received::default() };
    assert_eq!(ledger.received(), counted, "{text}");
}

#[test]
fn a_ledger_takes_no_more_than_it_may_hold() {
    let mut ledger = Ledger::new();
    let labels = [("__name__", "m")];
    ledger.record(labels.into_iter(), (0..RECEIVER_SAMPLES_MAX as i64 - 1).map(|time| (time, 1.0)));
    let full = RECEIVER_SAMPLES_MAX as i64;
    let error = receive(&TOLD, &body(vec![series(&labels, &[full, full + 1])]), &mut ledger).unwrap_err();
    assert!(matches!(error, Refusal::LedgerFull));
    receive(&TOLD, &body(vec![series(&labels, &[full])]), &mut ledger).unwrap();
}

#[test]
fn requests_are_answered_over_http() {
    let good = body(vec![series(&[("__name__", "m")], &[1, 2])]);
    let bad = body(vec![series(&[("job", "x")], &[1])]);
    let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
                   X-Prometheus-Remote-Write-Version: 0.1.0\r\nUser-Agent: narthex\r\n";
    let ledger = Rc::new(RefCell::new(Ledger::new()));
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).unwrap();
    let address = server.local_addr();
    let handler = {
        let ledger = ledger.clone();
        Rc::new(move |request: Request| answer(&request, &mut ledger.borrow_mut()))
    };
    let client = smol::unblock(move || {
        let ask = |what: &str, body: &[u8]| {
            let head = format!("{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}");
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "{head}Content-Length: {}\r\n\r\n", body.len()).unwrap();
            stream.write_all(body).unwrap();
            let mut response = String::new();
            stream.read_to_string(&mut response).unwrap();
            response
        };
        assert!(ask("POST /api/v1/write", &good).starts_with("HTTP/1.1 204 "));
        let refused = ask("POST /api/v1/write", &bad);
        assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
        assert!(refused.ends_with("series {job=\"x\"} has no __name__; send it with the others\n"), "{refused}");
        assert!(ask("GET /api/v1/write", b"").starts_with("HTTP/1.1 405 "));
        assert!(ask("POST /", &good).starts_with("HTTP/1.1 404 "));
    });
    smol::block_on(smol::future::or(server.serve(handler, smol::future::pending()), client));
    let received = ledger.borrow().received();
    assert_eq!((received.samples_distinct, received.requests, received.requests_refused), (2, 2, 1));
}
