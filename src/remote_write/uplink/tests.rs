use super::answer::one_line;
use super::*;
use crate::http_client::{Auth, HttpClientOptions};
use crate::limits::{RECEIVER_TEXT_BYTES_MAX, RETRY_AFTER_MAX};
use crate::model::Secret;
use crate::remote_write::encoder::Content;
use crate::remote_write::options::QueueOptions;
use crate::remote_write::protocol::Version;
use crate::remote_write::protocol::{ProtobufMessage, Written};
use crate::remote_write::retry::{Verdict, classify};
use crate::remote_write::v1;
use crate::secrets::SecretSource;
use crate::tls::TlsOptions;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

mod ways;

/// Long enough for a busy machine; what must time out has a shorter one.
const TIMEOUT: Duration = Duration::from_secs(30);

fn options(url: String) -> EndpointOptions {
    EndpointOptions {
        catch_up: Default::default(),
        name: "test".into(),
        ring_key: "r".into(),
        url,
        timeout: TIMEOUT,
        http: HttpClientOptions::default(),
        headers: Vec::new(),
        queue: QueueOptions::default(),
        priority: Default::default(),
        rates: Default::default(),
        message: ProtobufMessage::default(),
        metadata: crate::remote_write::MetadataOptions::default(),
        content: Content::default(),
        write_relabel: Default::default(),
    }
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A receiver that takes one connection and gives each request on it the next of these answers. Returns the requests.
fn receiver(answers: Vec<&'static str>) -> (String, JoinHandle<Vec<String>>) {
    let (listener, port) = listener();
    let serve = move || {
        let (mut connection, _) = listener.accept().unwrap();
        answers.iter().map(|answer| exchange(&mut connection, answer)).collect()
    };
    (format!("http://127.0.0.1:{port}/api/v1/write?token=hunter2"), thread::spawn(serve))
}

/// Reads a request to the end of its body and writes the answer; gives the request's head.
fn exchange(connection: &mut (impl Read + Write), answer: &str) -> String {
    let Some(head) = read_request(connection) else { return String::new() };
    connection.write_all(answer.as_bytes()).unwrap();
    connection.flush().unwrap();
    head
}

/// The head of the next request, in small letters; `None` if there is none.
fn read_request(connection: &mut impl Read) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    connection.read_exact(&mut body).ok()?;
    Some(head)
}

fn uplink(options: &EndpointOptions) -> Result<Uplink, UplinkError> {
    Uplink::new(options, Resolver::new())
}

fn with(auth: Auth, options: EndpointOptions) -> EndpointOptions {
    EndpointOptions { http: HttpClientOptions { auth, ..options.http }, ..options }
}

fn over_tls(tls: TlsOptions, options: EndpointOptions) -> EndpointOptions {
    EndpointOptions { http: HttpClientOptions { tls, ..options.http }, ..options }
}

fn send(options: &EndpointOptions) -> Outcome {
    smol::block_on(uplink(options).unwrap().send(b"body", &v1::HEADERS, 0))
}

fn outcome_of(answer: &'static str) -> Outcome {
    let (url, server) = receiver(vec![answer]);
    let outcome = send(&options(url));
    server.join().unwrap();
    assert!(!outcome.to_string().contains("hunter2"), "{outcome}");
    outcome
}

fn failure_of(outcome: Outcome, kind: FailureKind) -> String {
    assert!(!outcome.to_string().contains("hunter2"), "{outcome}");
    let failure = outcome.result.expect_err("there was an answer");
    assert_eq!(failure.kind, kind, "{}", failure.text);
    failure.text
}

#[test]
fn a_request_has_the_headers_of_remote_write_and_the_connection_is_kept() {
    let refused = "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad";
    let (url, server) =
        receiver(vec!["HTTP/1.1 204 No Content\r\n\r\n", refused, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]);
    let mut uplink = uplink(&options(url)).unwrap();
    let statuses: Vec<u16> = (0..3)
        .map(|retries| smol::block_on(uplink.send(b"body", &v1::HEADERS, retries)).result.unwrap().status)
        .collect();
    assert_eq!(statuses, [204, 400, 200]);
    let heads = server.join().unwrap();
    for line in [
        "post /api/v1/write?token=hunter2 http/1.1",
        "content-encoding: snappy",
        "content-type: application/x-protobuf",
        "content-length: 4",
        "x-prometheus-remote-write-version: 0.1.0",
        concat!("user-agent: narthex/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(heads[0].lines().any(|l| l == line), "{line} is not in {}", heads[0]);
    }
    assert!(!heads[0].contains("transfer-encoding") && !heads[0].contains("retry-attempt"), "{}", heads[0]);
    assert!(heads[2].lines().any(|l| l == "retry-attempt: 2"), "{}", heads[2]);
}

/// What a link is paid for: heads and bodies, both ways.
#[test]
fn all_bytes_of_a_connection_are_counted() {
    const ANSWER: &str = "HTTP/1.1 204 No Content\r\n\r\n";
    let (url, server) = receiver(vec![ANSWER, ANSWER]);
    let mut uplink = uplink(&options(url)).unwrap();
    let mut counted = 0;
    for _ in 0..2 {
        smol::block_on(uplink.send(b"body", &v1::HEADERS, 0));
        counted += uplink.take_carried_bytes();
    }
    let heads = server.join().unwrap();
    let expected: usize = heads.iter().map(|head| head.len() + 4 + ANSWER.len()).sum();
    assert_eq!((counted, uplink.take_carried_bytes()), (expected as u64, 0));
}

#[test]
fn what_a_receiver_answers_is_taken_down() {
    let delivered = outcome_of("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!((delivered.bytes_sent, classify(&delivered.result, Version::V1, &[])), (4, Verdict::Delivered));

    let refused =
        outcome_of("HTTP/1.1 400 Bad Request\r\nContent-Length: 29\r\n\r\nout of order sample\nline\x1b[2m\n");
    assert_eq!(classify(&refused.result, Version::V1, &[]), Verdict::Refused);
    assert_eq!(refused.to_string(), r"HTTP 400: out of order sample\nline\u{1b}[2m");

    let later = outcome_of("HTTP/1.1 429 Too Many\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(classify(&later.result, Version::V1, &[]), Verdict::Retry { after: Duration::from_secs(17) });

    let dated = "HTTP/1.1 503 No\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                 Retry-After: Sun, 06 Nov 1994 08:51:37 GMT\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        classify(&outcome_of(dated).result, Version::V1, &[]),
        Verdict::Retry { after: Duration::from_secs(120) }
    );

    let forever = outcome_of("HTTP/1.1 503 No\r\nRetry-After: 99999999999\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(classify(&forever.result, Version::V1, &[]), Verdict::Retry { after: RETRY_AFTER_MAX });

    let broken = outcome_of("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\nonly a part");
    assert_eq!(broken.to_string(), "HTTP 500: only a part");

    let moved = outcome_of("HTTP/1.1 302 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(moved.bytes_sent, 4, "which is not followed");
    assert_eq!(classify(&moved.result, Version::V1, &[]), Verdict::Retry { after: Duration::ZERO });
}

#[test]
fn a_web_page_is_not_taken_for_a_delivery() {
    let portal = outcome_of("HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=utf-8\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(classify(&portal.result, Version::V1, &[]), Verdict::Retry { after: Duration::ZERO });
    assert!(portal.to_string().contains("captive portal"), "{portal}");
}

#[test]
fn a_receiver_that_does_not_speak_http_or_nothing_at_all_is_a_failure_that_says_so() {
    let text = failure_of(outcome_of("SSH-2.0-OpenSSH_9.6\r\n\r\n"), FailureKind::NotHttp);
    assert!(text.contains("not HTTP"), "{text}");

    let text = failure_of(outcome_of(""), FailureKind::Broken);
    assert!(text.contains("closed the connection"), "{text}");

    let (silent, port) = listener();
    let url = format!("http://127.0.0.1:{port}/?token=hunter2");
    let outcome = send(&EndpointOptions { timeout: Duration::from_millis(500), ..options(url) });
    assert_eq!(outcome.bytes_sent, 4, "it may have arrived");
    let text = failure_of(outcome, FailureKind::Timeout);
    assert!(text.contains("within 500ms") && text.contains("remote_timeout"), "{text}");
    drop(silent);
}

#[test]
fn a_receiver_that_is_not_there_is_a_failure_that_says_so() {
    let (listener, port) = listener();
    drop(listener);
    let outcome = send(&options(format!("http://127.0.0.1:{port}/?token=hunter2")));
    assert_eq!(outcome.bytes_sent, 0);
    let text = failure_of(outcome, FailureKind::Connect);
    assert!(text.contains("refuses connections"), "{text}");

    let text = failure_of(send(&options("http://receiver.invalid/write?token=hunter2".into())), FailureKind::Name);
    assert!(text.contains("\"receiver.invalid\"") && text.contains("DNS"), "{text}");
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let echo = "HTTP/1.1 401 No\r\nContent-Length: 27\r\n\r\nBearer topsecret is unknown";
    let (url, server) = receiver(vec![echo]);
    let credentials = SecretSource::Inline(Secret::new("topsecret"));
    let auth = Auth::Header { kind: "Bearer".into(), credentials };
    let outcome = send(&with(auth, options(url)));
    assert!(server.join().unwrap()[0].lines().any(|l| l == "authorization: bearer topsecret"));
    assert!(outcome.to_string().ends_with(": Bearer <secret> is unknown"), "{outcome}");

    let credentials = SecretSource::File("/nowhere/token".into());
    let auth = Auth::Header { kind: "Bearer".into(), credentials };
    let outcome = send(&with(auth, options("http://127.0.0.1:1/".into())));
    assert_eq!(
        (outcome.bytes_sent, classify(&outcome.result, Version::V1, &[])),
        (0, Verdict::Retry { after: Duration::ZERO })
    );
    assert!(failure_of(outcome, FailureKind::Secret).contains("/nowhere/token"));
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let text = "ü".repeat(RECEIVER_TEXT_BYTES_MAX);
    let line = one_line(format!("x{text}").as_bytes(), &[]);
    assert_eq!(line.len(), RECEIVER_TEXT_BYTES_MAX - 1);
    assert!(one_line("\u{1}".repeat(RECEIVER_TEXT_BYTES_MAX).as_bytes(), &[]).len() <= RECEIVER_TEXT_BYTES_MAX);
}

/// Of a receiver's text only the start is read; a secret that it repeats there used to be shown up to that point.
#[test]
fn a_secret_that_is_cut_with_the_text_is_not_shown_in_part() {
    let secrets = [Secret::new("topsecret")];
    for shown_bytes in 1..=9 {
        let said = ". ".repeat(RECEIVER_TEXT_BYTES_MAX);
        let start = &said[..RECEIVER_TEXT_BYTES_MAX + 1 - shown_bytes];
        let read = format!("{start}{}", &"topsecret"[..shown_bytes]);
        let expected = if shown_bytes < 9 { start.into() } else { format!("{start}<secret>") };
        let expected = &expected[..expected.len().min(RECEIVER_TEXT_BYTES_MAX)];
        assert_eq!(one_line(read.as_bytes(), &secrets), expected, "{shown_bytes}");
    }
    assert_eq!(one_line(b"it must not be top", &secrets), "it must not be top", "it is whole");
}

#[test]
fn a_url_must_be_http_with_a_host_and_without_a_user() {
    for url in ["", "receiver/write", "ftp://host/", "/api/v1/write", "https://user:hunter2@host/", "http://"] {
        let error = uplink(&options(url.into())).err().expect(url).to_string();
        assert!(error.contains("https://host/") && !error.contains("hunter2"), "{error}");
    }
}

/// A receiver's key and certificate, and the PEM file of the authority that signed it.
struct Identity {
    server: Arc<rustls::ServerConfig>,
    ca_pem: String,
}

fn identity(name: &str, change: impl FnOnce(&mut rcgen::CertificateParams)) -> Identity {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca_params = rcgen::CertificateParams::new(vec![]).unwrap();
    ca_params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = ca_params.self_signed(&ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, &rcgen::Issuer::from_params(&ca_params, &ca_key)).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let server = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    Identity { server: Arc::new(server), ca_pem: ca.pem() }
}

/// Sends one request to a receiver with this identity.
fn send_over_tls(identity: &Identity, tls: TlsOptions) -> Outcome {
    let (listener, port) = listener();
    let config = identity.server.clone();
    let server = thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        let tls = rustls::ServerConnection::new(config).unwrap();
        exchange(&mut rustls::StreamOwned::<_, TcpStream>::new(tls, connection), "HTTP/1.1 204 No Content\r\n\r\n");
    });
    let outcome = send(&over_tls(tls, options(format!("https://localhost:{port}/write?token=hunter2"))));
    server.join().unwrap();
    outcome
}

fn trusting(ca_pem: &str) -> (tempfile::TempDir, TlsOptions) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, ca_pem).unwrap();
    (dir, TlsOptions { ca: Some(SecretSource::File(path)), ..TlsOptions::default() })
}

#[test]
fn a_receiver_is_trusted_by_its_ca_or_without_verification_only() {
    let identity = identity("localhost", |_| {});
    let (_dir, tls) = trusting(&identity.ca_pem);
    assert_eq!(send_over_tls(&identity, tls).result.unwrap().status, 204);

    let insecure = TlsOptions { insecure_skip_verify: true, ..TlsOptions::default() };
    assert_eq!(send_over_tls(&identity, insecure).result.unwrap().status, 204);

    let outcome = send_over_tls(&identity, TlsOptions::default());
    assert_eq!(outcome.bytes_sent, 0);
    let text = failure_of(outcome, FailureKind::Tls);
    assert!(text.contains("not signed by an authority") && text.contains("ca_file"), "{text}");
}

#[test]
fn a_certificate_that_does_not_fit_is_refused_with_the_reason() {
    let date = rcgen::date_time_ymd;
    for (identity, said) in [
        (identity("elsewhere.example", |_| {}), "is not for \"localhost\""),
        (identity("localhost", |params| params.not_after = date(2020, 1, 1)), "has expired"),
        (identity("localhost", |params| params.not_before = date(4000, 1, 1)), "is not valid yet"),
    ] {
        let (_dir, tls) = trusting(&identity.ca_pem);
        let text = failure_of(send_over_tls(&identity, tls), FailureKind::Tls);
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn https_to_a_receiver_without_tls_is_a_failure_that_says_so() {
    let (listener, port) = listener();
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        connection
    });
    let text = failure_of(send(&options(format!("https://127.0.0.1:{port}/?token=hunter2"))), FailureKind::Tls);
    assert!(text.contains("this port does not speak TLS; use http"), "{text}");
    drop(server.join().unwrap());
}

#[test]
fn a_ca_file_must_be_there_and_hold_certificates() {
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for content in ["hello", damaged] {
        let (_dir, tls) = trusting(content);
        let error = uplink(&over_tls(tls, options("https://localhost/".into()))).err().unwrap();
        assert!(error.to_string().contains("write it anew"), "{error}");
    }
    let tls = TlsOptions { ca: Some(SecretSource::File("/nowhere/ca.pem".into())), ..TlsOptions::default() };
    let error = uplink(&over_tls(tls, options("https://localhost/".into()))).err().unwrap();
    assert!(error.to_string().contains("check the path"), "{error}");
}

#[test]
fn what_a_receiver_says_it_has_written_is_read() {
    let written = |samples, histograms, exemplars| Some(Written { samples, histograms, exemplars });
    for (headers, expected) in [
        ("", None),
        ("X-Prometheus-Remote-Write-Samples-Written: 7\r\n", written(7, 0, 0)),
        (
            "x-prometheus-remote-write-histograms-written: 2\r\nX-Prometheus-Remote-Write-Exemplars-Written: 1\r\n",
            written(0, 2, 1),
        ),
        ("X-Prometheus-Remote-Write-Samples-Written: many\r\n", None),
    ] {
        let answer = format!("HTTP/1.1 204 No Content\r\n{headers}\r\n");
        let found = outcome_of(Box::leak(answer.into_boxed_str())).result.unwrap().written;
        assert_eq!(found, expected, "{headers}");
    }
}
