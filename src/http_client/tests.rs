//! Clients with every option, against servers, proxies and token servers in threads of their own.

use super::*;
use crate::limits::REDIRECTS_MAX;
use crate::model::Secret;
use crate::secrets::SecretSource;
use crate::tls::{TlsFailure, TlsIdentity, TlsOptions, TlsVersion};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use ureq_proto::http::Uri;

/// What servers were asked, in order: head and body of each request.
type Seen = Arc<Mutex<Vec<String>>>;

/// Serves each connection in a thread of its own; gives the port.
fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(connection.unwrap()));
        }
    });
    port
}

/// Head and body of the next request; `None` when there are no more.
fn read_request(connection: &mut impl Read) -> Option<String> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") {
        match connection.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    connection.read_exact(&mut body).ok()?;
    Some(head + std::str::from_utf8(&body).unwrap())
}

fn answer_all(connection: &mut (impl Read + Write), seen: &Seen, answer: &dyn Fn(&str) -> String) {
    while let Some(request) = read_request(connection) {
        seen.lock().unwrap().push(request.clone());
        if connection.write_all(answer(&request).as_bytes()).and_then(|()| connection.flush()).is_err() {
            return;
        }
    }
}

fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (u16, Seen) {
    let seen = Seen::default();
    let held = seen.clone();
    (listen(move |mut connection| answer_all(&mut connection, &held, &answer)), seen)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn redirect(status: u16, to: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

fn session(options: &HttpClientOptions) -> Session {
    Session::new(HttpClient::new(options, Resolver::new()).unwrap())
}

/// Status and body of one answer.
fn ask(session: &mut Session, url: &str, body: Option<&[u8]>) -> Result<(u16, String), HttpError> {
    let uri: Uri = url.parse().unwrap();
    smol::block_on(async {
        let mut answer = session.send(&HttpRequest { uri: &uri, headers: &[], body }).await?;
        let text = answer.read_all(1 << 20).await?.unwrap();
        Ok((answer.status().as_u16(), String::from_utf8(text).unwrap()))
    })
}

fn get(options: &HttpClientOptions, url: &str) -> Result<(u16, String), HttpError> {
    ask(&mut session(options), url, None)
}

fn with_auth(auth: Auth) -> HttpClientOptions {
    HttpClientOptions { auth, ..HttpClientOptions::default() }
}

fn bearer() -> HttpClientOptions {
    with_auth(Auth::Header { kind: "Bearer".into(), credentials: inline("t0ken") })
}

fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text))
}

/// The values of a header in a request.
fn values<'r>(request: &'r str, name: &str) -> Vec<&'r str> {
    let head = request.split("\r\n\r\n").next().unwrap();
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    pairs.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

#[test]
fn credentials_and_headers_go_along_and_files_are_read_again() {
    let (port, seen) = serve(|_| ok("x"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let options = HttpClientOptions {
        auth: Auth::Header { kind: "Token".into(), credentials: SecretSource::File(file.clone()) },
        http_headers: vec![HeaderOptions {
            name: "X-Tenant".into(),
            values: vec!["a".into(), "b".into()],
            secrets: vec![Secret::new("hidden")],
            files: vec![file.clone()],
        }],
        ..HttpClientOptions::default()
    };
    let mut session = session(&options);
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(ask(&mut session, &url, None), Ok((200, "x".into())));
    std::fs::write(&file, "other\n").unwrap();
    ask(&mut session, &url, None).unwrap();
    let seen = seen.lock().unwrap();
    for (request, token) in seen.iter().zip(["first", "other"]) {
        assert_eq!(values(request, "authorization"), [format!("Token {token}")]);
        assert_eq!(values(request, "x-tenant"), ["a", "b", "hidden", token]);
    }
    let (client, uri) = (HttpClient::new(&options, Resolver::new()).unwrap(), url.parse().unwrap());
    let request = HttpRequest { uri: &uri, headers: &[], body: None };
    let hop = smol::block_on(Journey::new(client, &request).hop()).unwrap();
    let secrets: Vec<&str> = hop.secrets.iter().map(Secret::expose).collect();
    assert_eq!(secrets, ["other", "hidden", "other"], "plain values are none");
}

#[test]
fn a_secret_that_can_not_be_read_fails_the_request_by_name() {
    let options = with_auth(Auth::Basic { username: None, password: Some(SecretSource::File("/nowhere/pw".into())) });
    let error = get(&options, "http://127.0.0.1:1/").unwrap_err();
    assert!(matches!(error, HttpError::Secret(_)) && error.to_string().contains("/nowhere/pw"), "{error}");
}

#[test]
fn redirects_take_credentials_to_the_same_host_only() {
    // One server under two names.
    let (port, seen) = serve(|request| match request.split(' ').nth(1).unwrap() {
        "/same" => redirect(302, "/end"),
        "/away" => {
            redirect(302, &format!("http://127.0.0.1:{}/end", values(request, "host")[0].split(':').nth(1).unwrap()))
        }
        "/back" => {
            let port = values(request, "host")[0].split(':').nth(1).unwrap().to_owned();
            redirect(307, &format!("http://127.0.0.1:{port}/home"))
        }
        "/home" => {
            let port = values(request, "host")[0].split(':').nth(1).unwrap().to_owned();
            redirect(308, &format!("http://localhost:{port}/end"))
        }
        _ => ok("end"),
    });
    let mut options = bearer();
    let header = |name: &str| HeaderOptions {
        name: name.into(),
        values: vec!["v".into()],
        secrets: Vec::new(),
        files: Vec::new(),
    };
    options.http_headers = vec![header("Cookie"), header("X-Tenant")];
    for (path, told) in [("same", [1, 1, 1].as_slice()), ("away", &[1, 0]), ("back", &[1, 0, 0])] {
        seen.lock().unwrap().clear();
        let (status, body) = get(&options, &format!("http://localhost:{port}/{path}")).unwrap();
        assert_eq!((status, body.as_str()), (200, "end"));
        for (request, told) in seen.lock().unwrap().iter().zip(told) {
            assert_eq!(values(request, "authorization").len(), *told, "{path}: {request}");
            assert_eq!(values(request, "cookie").len(), *told, "{path}: {request}");
            assert_eq!(values(request, "x-tenant"), ["v"]);
        }
    }
}

#[test]
fn redirects_are_followed_as_they_are_configured() {
    let (port, seen) = serve(|_| redirect(302, "/again"));
    let url = format!("http://127.0.0.1:{port}/");
    let stay = HttpClientOptions { follow_redirects: false, ..HttpClientOptions::default() };
    assert_eq!(get(&stay, &url), Ok((302, String::new())));
    assert_eq!(get(&HttpClientOptions::default(), &url), Err(HttpError::TooManyRedirects));
    assert_eq!(seen.lock().unwrap().len(), 1 + REDIRECTS_MAX);
}

#[test]
fn a_post_is_sent_again_where_its_redirect_asks_for_it_and_never_becomes_a_get() {
    for (status, followed) in [(301, false), (302, false), (303, false), (307, true), (308, true)] {
        let (port, seen) = serve(move |request| match request.contains("/end") {
            true => ok("end"),
            false => redirect(status, "/end"),
        });
        let mut session = session(&HttpClientOptions::default());
        let answer = ask(&mut session, &format!("http://127.0.0.1:{port}/"), Some(b"samples")).unwrap();
        assert_eq!(answer.0, if followed { 200 } else { status });
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), 1 + usize::from(followed));
        assert!(seen.iter().all(|request| request.starts_with("POST ") && request.ends_with("\r\n\r\nsamples")));
    }
}

/// A receiver that finds a request too large says so before it has read all of it, and closes: what it says is what makes
/// the request smaller.
#[test]
fn an_answer_that_comes_before_the_request_went_out_is_heard() {
    let port = listen(|mut connection| {
        let mut byte = [0; 64];
        connection.read_exact(&mut byte).unwrap();
        connection.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig").unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        // Reads on for a while, as servers do so that the answer is not lost.
        drop(std::io::copy(&mut connection.take(1 << 20), &mut std::io::sink()));
    });
    let mut session = session(&HttpClientOptions::default());
    let body = vec![b'x'; 16 << 20];
    let answer = ask(&mut session, &format!("http://127.0.0.1:{port}/"), Some(&body));
    assert_eq!(answer, Ok((413, "big".into())));
}

#[test]
fn an_empty_body_can_be_posted() {
    let (port, seen) = serve(|_| ok(""));
    let answer = ask(&mut session(&HttpClientOptions::default()), &format!("http://127.0.0.1:{port}/"), Some(b""));
    assert_eq!(answer, Ok((200, String::new())));
    assert_eq!(values(&seen.lock().unwrap()[0], "content-length"), ["0"]);
}

/// A proxy that connects, or asks by itself; it notes the heads that it is sent.
fn proxy(refuses: Option<&'static str>) -> (u16, Seen) {
    let seen = Seen::default();
    let held = seen.clone();
    let port = listen(move |mut client| {
        let Some(head) = read_request(&mut client) else { return };
        held.lock().unwrap().push(head.clone());
        if let Some(answer) = refuses {
            return client.write_all(answer.as_bytes()).unwrap();
        }
        let target = head.split(' ').nth(1).unwrap();
        if !head.starts_with("CONNECT ") {
            assert!(target.starts_with("http://"), "{head}");
            return client.write_all(ok("by proxy").as_bytes()).unwrap();
        }
        let server = TcpStream::connect(target.replace("localhost", "127.0.0.1")).unwrap();
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        std::io::copy(&mut { server }, &mut client).unwrap_or_default();
    });
    (port, seen)
}

fn through(port: u16, no_proxy: &str, options: HttpClientOptions) -> HttpClientOptions {
    let url = ProxyUrl::parse(&format!("http://user:p%40ss@127.0.0.1:{port}")).unwrap();
    let choice = ProxyChoice::Url { url, no_proxy: no_proxy.into() };
    let connect_headers = vec![("X-Way".into(), vec![Secret::new("a"), Secret::new("b")])];
    HttpClientOptions { proxy: ProxyOptions { choice, connect_headers }, ..options }
}

#[test]
fn http_goes_to_the_proxy_and_https_through_it() {
    let login = "Basic dXNlcjpwQHNz";
    let (port, seen) = proxy(None);
    let answer = get(&through(port, "", bearer()), "http://device.invalid:9100/metrics?x=1");
    assert_eq!(answer, Ok((200, "by proxy".into())), "whose name only the proxy knows");
    let asked = seen.lock().unwrap().pop().unwrap();
    assert!(asked.starts_with("GET http://device.invalid:9100/metrics?x=1 HTTP/1.1\r\n"), "{asked}");
    assert_eq!(values(&asked, "host"), ["device.invalid:9100"]);
    assert_eq!(values(&asked, "proxy-authorization"), [login]);
    assert_eq!((values(&asked, "authorization"), values(&asked, "x-way").len()), (vec!["Bearer t0ken"], 0));

    let server = TlsServer::start(Certificates::new("localhost"), false);
    let options = HttpClientOptions { tls: server.certificates.trusted(), ..bearer() };
    let url = format!("https://localhost:{}/m", server.port);
    assert_eq!(get(&through(port, "", options.clone()), &url), Ok((200, "secure".into())));
    let asked = seen.lock().unwrap().pop().unwrap();
    assert!(asked.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", server.port)), "{asked}");
    assert_eq!((values(&asked, "proxy-authorization"), values(&asked, "x-way")), (vec![login], vec!["a", "b"]));
    assert!(values(&asked, "authorization").is_empty(), "which is the target's to know");
    assert!(server.seen.lock().unwrap()[0].starts_with("GET /m HTTP/1.1\r\n"));

    assert_eq!(get(&through(port, "unused.example", options), &url), Ok((200, "secure".into())));
    assert!(seen.lock().unwrap().is_empty(), "with no_proxy, this device is reached without, as in Prometheus");
}

#[test]
fn a_proxy_that_refuses_is_named() {
    let (port, _) = proxy(Some("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"));
    let error = get(&through(port, "", bearer()), "https://device.invalid/").unwrap_err();
    assert!(matches!(error, HttpError::Proxy { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("407 Proxy Authentication Required") && text.contains("device.invalid:443"), "{text}");
    assert!(!text.contains("p%40ss") && !text.contains("p@ss"), "{text}");
}

/// An authority, and a server's and a client's certificates that it signed.
struct Certificates {
    ca: CertificateParams,
    ca_key: KeyPair,
    ca_pem: String,
    server: (rcgen::Certificate, KeyPair),
}

impl Certificates {
    fn new(name: &str) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec![name.into()]).unwrap();
        let server = server.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
        Certificates { ca, ca_key, ca_pem, server: (server, key) }
    }

    fn trusted(&self) -> TlsOptions {
        TlsOptions { ca: Some(inline(&self.ca_pem)), ..TlsOptions::default() }
    }

    fn client(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let client = CertificateParams::new(vec!["device-7".into()]).unwrap();
        (client.signed_by(&key, &Issuer::from_params(&self.ca, &self.ca_key)).unwrap().pem(), key.serialize_pem())
    }
}

struct TlsServer {
    port: u16,
    seen: Seen,
    certificates: Certificates,
}

impl TlsServer {
    fn start(certificates: Certificates, asks_for_client: bool) -> Self {
        let (certificate, key) = &certificates.server;
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificates.ca.self_signed(&certificates.ca_key).unwrap().der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let builder = match asks_for_client {
            true => builder.with_client_cert_verifier(verifier),
            false => builder.with_no_client_auth(),
        };
        let config = Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap());
        let seen = Seen::default();
        let held = seen.clone();
        let port = listen(move |connection| {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            answer_all(&mut rustls::StreamOwned::new(session, connection), &held, &|_| ok("secure"));
        });
        TlsServer { port, seen, certificates }
    }
}

#[test]
fn a_client_proves_itself_with_a_certificate_that_is_read_again_when_it_changes() {
    let server = TlsServer::start(Certificates::new("localhost"), true);
    let url = format!("https://localhost:{}/", server.port);
    let trusted = server.certificates.trusted();
    let options = |tls| HttpClientOptions { tls, ..HttpClientOptions::default() };
    assert!(get(&options(trusted.clone()), &url).is_err(), "without a certificate");

    let dir = tempfile::tempdir().unwrap();
    let (cert_file, key_file) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let write = |(certificate, key): (String, String)| {
        std::fs::write(&cert_file, certificate).unwrap();
        std::fs::write(&key_file, key).unwrap();
    };
    let stranger = Certificates::new("localhost");
    write(stranger.client());
    let identity =
        TlsIdentity { certificate: SecretSource::File(cert_file.clone()), key: SecretSource::File(key_file.clone()) };
    let mut session = session(&options(TlsOptions { identity: Some(identity), ..trusted }));
    assert!(ask(&mut session, &url, None).is_err(), "with another authority's");
    write(server.certificates.client());
    assert_eq!(ask(&mut session, &url, None), Ok((200, "secure".into())));
    std::fs::write(&key_file, stranger.client().1).unwrap();
    let error = ask(&mut session, &url, None).unwrap_err();
    assert!(error.to_string().contains("the key it was made for"), "and its kept connection is not used: {error}");
}

#[test]
fn a_server_is_known_by_its_name_or_by_the_one_that_is_configured() {
    let server = TlsServer::start(Certificates::new("metrics.example"), false);
    let url = format!("https://127.0.0.1:{}/", server.port);
    let options = |tls| HttpClientOptions { tls, ..HttpClientOptions::default() };
    let trusted = server.certificates.trusted();
    match get(&options(trusted.clone()), &url) {
        Err(HttpError::Handshake { cause: TlsFailure::WrongName { .. }, .. }) => {}
        other => panic!("{other:?}"),
    }
    let named = TlsOptions { server_name: Some("metrics.example".into()), ..trusted };
    assert_eq!(get(&options(named.clone()), &url), Ok((200, "secure".into())));
    let newest = TlsOptions { min_version: Some(TlsVersion::Tls13), ..named };
    assert_eq!(get(&options(newest), &url), Ok((200, "secure".into())));
}

/// `openssl req -x509`, which Prometheus's own guides use, makes certificates that are an authority's and a server's at once.
/// Trusted by themselves they are taken by Go; rustls calls them `CaUsedAsEndEntity`.
#[test]
fn a_self_signed_authority_that_is_trusted_itself_may_serve() {
    let own = |name: &str| {
        let mut certificates = Certificates::new("unused");
        certificates.ca = CertificateParams::new(vec![name.into()]).unwrap();
        certificates.ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = certificates.ca.self_signed(&certificates.ca_key).unwrap();
        certificates.ca_pem = certificate.pem();
        let key = KeyPair::from_pem(&certificates.ca_key.serialize_pem()).unwrap();
        certificates.server = (certificate, key);
        certificates
    };
    for (name, fits) in [("localhost", true), ("elsewhere", false)] {
        let server = TlsServer::start(own(name), false);
        let trusted = HttpClientOptions { tls: server.certificates.trusted(), ..HttpClientOptions::default() };
        let answer = get(&trusted, &format!("https://localhost:{}/", server.port));
        assert_eq!(answer.is_ok(), fits, "{answer:?}");
        let other = HttpClientOptions { tls: own("localhost").trusted(), ..HttpClientOptions::default() };
        assert!(get(&other, &format!("https://localhost:{}/", server.port)).is_err(), "another one's");
    }
}

fn oauth2(token_port: u16, secret: SecretSource) -> HttpClientOptions {
    with_auth(Auth::OAuth2(Box::new(OAuth2Options {
        client_id: "device-7".into(),
        client_secret: Some(secret),
        token_url: format!("http://127.0.0.1:{token_port}/token"),
        scopes: vec!["metrics".into()],
        endpoint_params: vec![("audience".into(), "x".into())],
        tls: TlsOptions::default(),
        proxy: ProxyOptions::default(),
    })))
}

#[test]
fn a_token_is_asked_for_once_and_used_by_all() {
    let (target_port, target_seen) = serve(|_| ok("x"));
    let (token_port, token_seen) = serve(|_| {
        thread::sleep(std::time::Duration::from_millis(100));
        let body = r#"{"access_token":"fresh","token_type":"bearer","expires_in":3600}"#;
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let client = HttpClient::new(&oauth2(token_port, inline("hunter2")), Resolver::new()).unwrap();
    let url = format!("http://127.0.0.1:{target_port}/");
    let uri: Uri = url.parse().unwrap();
    let executor = smol::LocalExecutor::new();
    smol::block_on(executor.run(async {
        let asks = (0..5).map(|_| {
            let (mut session, uri) = (Session::new(client.clone()), uri.clone());
            executor.spawn(async move {
                let request = HttpRequest { uri: &uri, headers: &[], body: None };
                session.send(&request).await.map(|answer| answer.status().as_u16())
            })
        });
        for ask in asks.collect::<Vec<_>>() {
            assert_eq!(ask.await, Ok(200));
        }
    }));
    let asked = token_seen.lock().unwrap();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("POST /token HTTP/1.1\r\n"), "{}", asked[0]);
    assert_eq!(values(&asked[0], "authorization"), ["Basic ZGV2aWNlLTc6aHVudGVyMg=="]);
    assert!(asked[0].ends_with("\r\n\r\naudience=x&grant_type=client_credentials&scope=metrics"), "{}", asked[0]);
    let targets = target_seen.lock().unwrap();
    assert!(targets.len() == 5 && targets.iter().all(|request| values(request, "authorization") == ["Bearer fresh"]));
}

#[test]
fn a_token_server_may_want_the_secret_in_the_form_and_a_new_secret_asks_for_a_new_token() {
    let (target_port, target_seen) = serve(|_| ok("x"));
    let (token_port, token_seen) = serve(|request| match request.split_once("client_secret=") {
        None => "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".into(),
        Some((_, rest)) => ok(&format!("{{\"access_token\":\"for-{}\"}}", rest.split('&').next().unwrap())),
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "one").unwrap();
    let mut session = session(&oauth2(token_port, SecretSource::File(file.clone())));
    let url = format!("http://127.0.0.1:{target_port}/");
    for _ in 0..2 {
        ask(&mut session, &url, None).unwrap();
    }
    assert_eq!(token_seen.lock().unwrap().len(), 2, "in the header, then in the form, then not again");
    std::fs::write(&file, "two").unwrap();
    ask(&mut session, &url, None).unwrap();
    let seen = target_seen.lock().unwrap();
    let tokens: Vec<_> = seen.iter().map(|request| values(request, "authorization")[0]).collect();
    assert_eq!(tokens, ["Bearer for-one", "Bearer for-one", "Bearer for-two"]);
}

#[test]
fn a_token_server_that_refuses_says_why_and_shows_no_secret() {
    let (token_port, _) = serve(|_| {
        let body = r#"{"error":"invalid_client","error_description":"hunter2 is wrong"}"#;
        format!("HTTP/1.1 401 No\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let error = get(&oauth2(token_port, inline("hunter2")), "http://127.0.0.1:1/").unwrap_err();
    let text = "the token server 127.0.0.1 gives no token: HTTP 401, invalid_client; check oauth2";
    assert_eq!(error.to_string(), text);

    // Even where it looks like an error's code.
    let (token_port, _) = serve(|_| {
        let body = r#"{"error":"hunter2"}"#;
        format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let error = get(&oauth2(token_port, inline("hunter2")), "http://127.0.0.1:1/").unwrap_err();
    assert!(error.to_string().contains("its answer repeats the secret"), "{error}");
}

#[test]
fn an_address_that_does_not_answer_delays_no_connection() {
    use std::net::SocketAddr;
    let (port, _) = serve(|_| ok("x"));
    let answers: SocketAddr = ([127, 0, 0, 1], port).into();
    // A port whose queue of connections is full: nothing comes of it, neither good nor bad.
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = full.local_addr().unwrap();
    let _queue: Vec<_> = (0..200)
        .map_while(|_| TcpStream::connect_timeout(&silent, std::time::Duration::from_millis(50)).ok())
        .collect();
    let refuses: SocketAddr = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    for addresses in [&[refuses, answers][..], &[silent, refuses, answers], &[answers, silent], &[silent, answers]] {
        let started = std::time::Instant::now();
        assert!(smol::block_on(dial::connect_first(addresses)).is_ok(), "{addresses:?}");
        assert!(started.elapsed() < std::time::Duration::from_secs(5), "{addresses:?}");
    }
    assert!(smol::block_on(dial::connect_first(&[refuses, refuses])).is_err());
}
