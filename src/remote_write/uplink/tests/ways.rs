//! By which way a request comes to its receiver: through proxies, with a certificate of its own, where redirects lead, and
//! on a connection that was kept.

use super::*;
use crate::http_client::{OAuth2Options, ProxyChoice, ProxyOptions, ProxyUrl, SigV4Options};
use crate::tls::{TlsIdentity, TlsVersion};
use rustls::server::WebPkiClientVerifier;
use std::io::copy;
use std::time::Instant;

const DELIVERED: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// Serves that many connections, one after the other, each until it closes: all their requests are answered like this.
fn serve(
    connections: usize,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (u16, JoinHandle<Vec<(usize, String)>>) {
    let (listener, port) = listener();
    let serve = move || {
        let mut heads = Vec::new();
        for index in 0..connections {
            let (mut connection, _) = listener.accept().unwrap();
            while let Some(head) = read_request(&mut connection) {
                connection.write_all(answer(&head).as_bytes()).unwrap();
                heads.push((index, head));
            }
        }
        heads
    };
    (port, thread::spawn(serve))
}

fn via(proxy: &str, options: EndpointOptions) -> EndpointOptions {
    let choice = ProxyChoice::Url { url: ProxyUrl::parse(proxy).unwrap(), no_proxy: String::new() };
    let connect_headers = vec![("X-Way".into(), vec![Secret::new("a")])];
    EndpointOptions {
        http: HttpClientOptions { proxy: ProxyOptions { choice, connect_headers }, ..options.http },
        ..options
    }
}

fn again(uplink: &mut Uplink) -> Outcome {
    smol::block_on(uplink.send(b"body", &v1::HEADERS, 0))
}

#[test]
fn a_proxy_is_asked_for_http_by_the_whole_url() {
    let (port, proxy) = serve(1, |_| DELIVERED.into());
    let url = "http://receiver.invalid:9009/api/v1/write?token=hunter2";
    let options = via(&format!("http://user:p%40ss@127.0.0.1:{port}"), options(url.into()));
    let mut uplink = uplink(&options).unwrap();
    assert_eq!(again(&mut uplink).result.unwrap().status, 204, "whose name only the proxy knows");
    assert_eq!(again(&mut uplink).result.unwrap().status, 204);
    drop(uplink);
    let heads = proxy.join().unwrap();
    assert_eq!(heads.len(), 2, "on one connection");
    for (_, head) in heads {
        assert!(head.starts_with(&format!("post {url} http/1.1\r\n")), "{head}");
        for line in ["host: receiver.invalid:9009", "proxy-authorization: basic dxnlcjpwqhnz"] {
            assert!(head.lines().any(|l| l == line), "{line} is not in {head}");
        }
        assert!(!head.contains("x-way"), "which is for CONNECT: {head}");
    }
}

#[test]
fn a_proxy_connects_to_an_https_receiver_and_sees_nothing_of_the_request() {
    let identity = identity("localhost", |_| {});
    let (listener, receiver_port) = listener();
    let config = identity.server.clone();
    let receiver = thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        let tls = rustls::ServerConnection::new(config).unwrap();
        exchange(&mut rustls::StreamOwned::<_, TcpStream>::new(tls, connection), DELIVERED)
    });
    let (proxy_listener, port) = super::listener();
    let proxy = thread::spawn(move || {
        let (mut client, _) = proxy_listener.accept().unwrap();
        let head = read_request(&mut client).unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", receiver_port)).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || copy(&mut from, &mut to));
        copy(&mut server, &mut client).unwrap_or_default();
        head
    });
    let (_dir, tls) = trusting(&identity.ca_pem);
    let options = over_tls(tls, options(format!("https://localhost:{receiver_port}/write?token=hunter2")));
    let outcome = send(&via(&format!("http://u:p@127.0.0.1:{port}"), options));
    assert_eq!((outcome.bytes_sent, outcome.result.unwrap().status), (4, 204));
    assert!(receiver.join().unwrap().starts_with("post /write?token=hunter2 http/1.1\r\n"));
    let head = proxy.join().unwrap();
    assert!(head.starts_with(&format!("connect localhost:{receiver_port} http/1.1\r\n")), "{head}");
    assert!(head.contains("\r\nx-way: a\r\n") && head.contains("\r\nproxy-authorization: basic dtpw\r\n"), "{head}");
    assert!(!head.contains("hunter2") && !head.contains("snappy"), "{head}");
}

#[test]
fn a_proxy_that_refuses_or_is_not_there_is_a_failure_that_says_so() {
    let (port, _proxy) = serve(1, |_| "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n".into());
    let https = || options("https://receiver.invalid/?token=hunter2".into());
    let outcome = send(&via(&format!("http://u:hunter2@127.0.0.1:{port}"), https()));
    assert_eq!(outcome.bytes_sent, 0);
    let text = failure_of(outcome, FailureKind::Connect);
    assert!(text.contains(&format!("proxy 127.0.0.1:{port}")) && text.contains("407"), "{text}");

    let (listener, port) = listener();
    drop(listener);
    failure_of(send(&via(&format!("http://127.0.0.1:{port}"), https())), FailureKind::Connect);
}

/// Asks for a certificate that the authority which signed its own has signed, in this version of TLS.
fn asking_for_certificates(
    version: &'static rustls::SupportedProtocolVersion,
) -> (Arc<rustls::ServerConfig>, String, TlsIdentity) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own = ca.self_signed(&ca_key).unwrap();
    let signed = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
        (params.signed_by(&key, &rcgen::Issuer::from_params(&ca, &ca_key)).unwrap(), key)
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(own.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let (certificate, key) = signed("localhost");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let (certificate, key) = signed("device");
    let inline = |text: String| SecretSource::Inline(Secret::new(text));
    let client = TlsIdentity { certificate: inline(certificate.pem()), key: inline(key.serialize_pem()) };
    (Arc::new(config), own.pem(), client)
}

/// In TLS 1.3 a client is done before the server has seen its certificate: the refusal comes in place of the answer.
#[test]
fn a_receiver_may_ask_for_a_certificate() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (config, ca_pem, client) = asking_for_certificates(version);
        let (_dir, trusting) = trusting(&ca_pem);
        for identity in [Some(client), None] {
            let (listener, port) = listener();
            let config = config.clone();
            let server = thread::spawn(move || {
                let (connection, _) = listener.accept().unwrap();
                let tls = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::StreamOwned::<_, TcpStream>::new(tls, connection);
                exchange(&mut stream, DELIVERED);
                // Read to its end, or else the connection's reset overtakes what TLS says.
                _ = stream.sock.shutdown(std::net::Shutdown::Write);
                _ = copy(&mut stream.sock, &mut std::io::sink());
            });
            let is_known = identity.is_some();
            let tls = TlsOptions { identity, ..trusting.clone() };
            let outcome = send(&over_tls(tls, options(format!("https://localhost:{port}/?token=hunter2"))));
            if is_known {
                assert_eq!(outcome.result.unwrap().status, 204);
            } else {
                let text = failure_of(outcome, FailureKind::Tls);
                assert!(text.contains("it asks for a client certificate"), "{version:?}: {text}");
            }
            server.join().unwrap();
        }
    }
}

#[test]
fn a_receiver_is_known_by_the_configured_name_and_asked_in_the_configured_version() {
    let identity = identity("metrics.example", |_| {});
    let (_dir, trusting) = trusting(&identity.ca_pem);
    let named = TlsOptions { server_name: Some("metrics.example".into()), ..trusting };
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let tls = TlsOptions { min_version: Some(version), max_version: Some(version), ..named.clone() };
        assert_eq!(send_over_tls(&identity, tls).result.unwrap().status, 204);
    }
    failure_of(
        send_over_tls(&identity, TlsOptions { server_name: Some("b.example".into()), ..named }),
        FailureKind::Tls,
    );
}

#[test]
fn a_request_is_sent_again_where_307_and_308_lead_unless_that_is_not_wanted() {
    for status in [307, 308] {
        for follow_redirects in [true, false] {
            let (port, receiver) = serve(1, move |head| match head.contains("/moved") {
                true => DELIVERED.into(),
                false => format!("HTTP/1.1 {status} Moved\r\nLocation: /moved\r\nContent-Length: 3\r\n\r\nyes"),
            });
            let options = options(format!("http://127.0.0.1:{port}/"));
            let http = HttpClientOptions { follow_redirects, ..options.http.clone() };
            let outcome = send(&EndpointOptions { http, ..options });
            let heads = receiver.join().unwrap();
            assert_eq!(heads.len(), if follow_redirects { 2 } else { 1 }, "on one connection");
            assert_eq!(outcome.bytes_sent, 4 * heads.len() as u64);
            assert_eq!(outcome.result.unwrap().status, if follow_redirects { 204 } else { status });
        }
    }
}

/// A server closes a connection that was idle for long; often the request meets its end on the way.
#[test]
fn a_connection_that_ended_while_it_was_kept_costs_no_failure() {
    // Closed before the next request; closed once that was read.
    for reads_next in [false, true] {
        let (listener, port) = listener();
        let (closed, is_closed) = std::sync::mpsc::channel();
        let receiver = thread::spawn(move || {
            let (mut first, _) = listener.accept().unwrap();
            exchange(&mut first, DELIVERED);
            if reads_next {
                closed.send(()).unwrap();
                read_request(&mut first).unwrap();
            }
            drop(first);
            closed.send(()).unwrap_or_default();
            exchange(&mut listener.accept().unwrap().0, DELIVERED);
        });
        let mut uplink = uplink(&options(format!("http://127.0.0.1:{port}/"))).unwrap();
        assert_eq!(again(&mut uplink).result.unwrap().status, 204);
        is_closed.recv().unwrap();
        let outcome = again(&mut uplink);
        assert_eq!((outcome.bytes_sent, outcome.result.unwrap().status), (if reads_next { 8 } else { 4 }, 204));
        receiver.join().unwrap();
    }
}

#[test]
fn a_kept_tls_connection_is_used_again() {
    let identity = identity("localhost", |_| {});
    let (listener, port) = listener();
    let config = identity.server.clone();
    let server = thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        let tls = rustls::ServerConnection::new(config).unwrap();
        let mut stream = rustls::StreamOwned::<_, TcpStream>::new(tls, connection);
        for _ in 0..3 {
            exchange(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        }
    });
    let (_dir, tls) = trusting(&identity.ca_pem);
    let mut uplink = uplink(&over_tls(tls, options(format!("https://localhost:{port}/")))).unwrap();
    for _ in 0..3 {
        assert_eq!(again(&mut uplink).result.unwrap().status, 200);
    }
    server.join().unwrap();
}

/// One thread for each endpoint, however often it is given up: whoever stops waiting, the exchange ends by its time, and the
/// next one begins after it.
#[test]
fn an_exchange_that_was_given_up_ends_before_the_next_one_begins() {
    let (port, receiver) = serve(2, |_| {
        thread::sleep(Duration::from_millis(300));
        DELIVERED.into()
    });
    let mut uplink = uplink(&options(format!("http://127.0.0.1:{port}/"))).unwrap();
    smol::block_on(async {
        let given_up = async {
            Timer::after(Duration::from_millis(100)).await;
            None
        };
        let sent = async { Some(uplink.send(b"body", &v1::HEADERS, 0).await) };
        assert_eq!(smol::future::or(sent, given_up).await, None);
    });
    let started = Instant::now();
    assert_eq!(again(&mut uplink).result.unwrap().status, 204);
    assert!(started.elapsed() >= Duration::from_millis(400), "{:?}", started.elapsed());
    drop((uplink, TcpStream::connect(("127.0.0.1", port))));
    assert_eq!(receiver.join().unwrap().len(), 2);
}

#[test]
fn a_token_is_asked_for_before_the_request_and_never_shown() {
    let (token_port, _tokens) = serve(1, |_| {
        let body = r#"{"access_token":"fresh","token_type":"bearer"}"#;
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let (port, receiver) = serve(1, |_| "HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nnot fresh".into());
    let auth = Auth::OAuth2(Box::new(OAuth2Options {
        client_id: "device-7".into(),
        client_secret: Some(SecretSource::Inline(Secret::new("hunter2"))),
        token_url: format!("http://127.0.0.1:{token_port}/token"),
        scopes: Vec::new(),
        endpoint_params: Vec::new(),
        tls: TlsOptions::default(),
        proxy: ProxyOptions::default(),
    }));
    let outcome = send(&with(auth, options(format!("http://127.0.0.1:{port}/"))));
    assert!(outcome.to_string().ends_with("not <secret>"), "{outcome}");
    assert!(receiver.join().unwrap()[0].1.contains("\r\nauthorization: bearer fresh\r\n"));
}

/// The signature itself is held to Prometheus's and AWS's own in `http_client::sigv4`.
#[cfg(feature = "sigv4")]
#[test]
fn a_request_is_signed_for_aws_and_its_secret_never_shown() {
    let (port, receiver) = serve(1, |_| "HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\nhunter2 no".into());
    let auth = Auth::SigV4(Box::new(SigV4Options {
        region: "eu-central-1".into(),
        service: "aps".into(),
        access_key: "AKIDEXAMPLE".into(),
        secret_key: SecretSource::Inline(Secret::new("hunter2")),
    }));
    let outcome = send(&with(auth, options(format!("http://127.0.0.1:{port}//write"))));
    assert!(outcome.to_string().ends_with(": <secret> no"), "{outcome}");
    let head = &receiver.join().unwrap()[0].1;
    assert!(head.starts_with("post /write http/1.1\r\n"), "{head}");
    assert_eq!(head.matches("\r\nhost: ").count(), 1, "{head}");
    let signed = "signedheaders=content-encoding;content-length;content-type;host;x-amz-date;x-prometheus-remote-write-version, ";
    for part in ["\r\nx-amz-date: 2", "\r\nauthorization: aws4-hmac-sha256 credential=akidexample/2", signed] {
        assert!(head.contains(part), "{part} is not in {head}");
    }
}

#[test]
fn a_file_that_tls_needs_is_read_again_and_the_connection_made_with_the_former_is_not_used() {
    let (own, other) = (identity("localhost", |_| {}), identity("localhost", |_| {}));
    let (listener, port) = listener();
    let config = own.server.clone();
    let server = thread::spawn(move || {
        for _ in 0..3 {
            let (connection, _) = listener.accept().unwrap();
            let tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::<_, TcpStream>::new(tls, connection);
            while !exchange(&mut stream, DELIVERED).is_empty() {}
        }
    });
    let (dir, tls) = trusting(&own.ca_pem);
    let mut uplink = uplink(&over_tls(tls, options(format!("https://localhost:{port}/")))).unwrap();
    assert_eq!(again(&mut uplink).result.unwrap().status, 204);
    std::fs::write(dir.path().join("ca.pem"), other.ca_pem).unwrap();
    failure_of(again(&mut uplink), FailureKind::Tls);
    std::fs::write(dir.path().join("ca.pem"), own.ca_pem).unwrap();
    assert_eq!(again(&mut uplink).result.unwrap().status, 204);
    drop(uplink);
    server.join().unwrap();
}

#[test]
fn a_handshake_that_hangs_takes_its_time_and_no_more() {
    let (silent, port) = listener();
    let timeout = Duration::from_millis(300);
    let options = EndpointOptions { timeout, ..options(format!("https://127.0.0.1:{port}/?token=hunter2")) };
    let mut uplink = uplink(&options).unwrap();
    for _ in 0..3 {
        let started = Instant::now();
        let outcome = again(&mut uplink);
        assert!(started.elapsed() < 10 * timeout, "{:?}", started.elapsed());
        assert_eq!(outcome.bytes_sent, 0);
        failure_of(outcome, FailureKind::Timeout);
    }
    // Either end may see first that the time is up.
    if let Some(late) = uplink.running.take() {
        assert!(matches!(smol::block_on(late).result, Err(Broken::Late)), "and its thread is free again");
    }
    drop(silent);
}

/// A receiver that finds a request too large says so before it has read all of it, and closes: what it says is what makes
/// the request smaller.
#[test]
fn an_answer_that_comes_before_the_request_went_out_is_heard() {
    let (listener, port) = listener();
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.read_exact(&mut [0; 64]).unwrap();
        connection.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig").unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        // Reads on for a while, as servers do so that the answer is not lost.
        drop(copy(&mut connection.take(1 << 20), &mut std::io::sink()));
    });
    let mut uplink = uplink(&options(format!("http://127.0.0.1:{port}/"))).unwrap();
    let answer = smol::block_on(uplink.send(&vec![b'x'; 16 << 20], &v1::HEADERS, 0)).result.unwrap();
    assert_eq!((answer.status, answer.text.as_str()), (413, "big"));
}
