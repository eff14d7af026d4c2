//! The built binary as an HTTP client: a target that asks for everything at once, files that change, an endpoint behind a
//! login, and a configuration of Prometheus that becomes ours.

mod support;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use support::*;

/// The values of a header in a request's head.
fn values(head: &str, name: &str) -> Vec<String> {
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    pairs.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

/// An exporter that serves only those whose certificate its authority signed; its files are put into `folder`.
fn exporter_over_tls(folder: &Path) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.into()]).unwrap();
        (params.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap(), key)
    };
    let ((server, server_key), (client, client_key)) = (signed("exporter.example"), signed("gateway-7"));
    fs::write(folder.join("ca.pem"), ca_certificate.pem()).unwrap();
    fs::write(folder.join("cert.pem"), client.pem()).unwrap();
    fs::write(folder.join("key.pem"), client_key.serialize_pem()).unwrap();

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(ca_certificate.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let key = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.der().clone()], key)
        .unwrap();
    let (config, seen) = (Arc::new(config), Arc::<Mutex<Vec<String>>>::default());
    let (listener, held) = (TcpListener::bind("127.0.0.1:0").unwrap(), seen.clone());
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(session, connection);
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                head.push(byte[0]);
            }
            if head.is_empty() {
                continue;
            }
            held.lock().unwrap().push(String::from_utf8(head).unwrap());
            stream.write_all(&page("temperature 21.5\n")).unwrap();
            stream.conn.send_close_notify();
            // Who asked may be gone.
            drop(stream.flush());
        }
    });
    (address, seen)
}

/// Connects whoever asks for `exporter.example` with the exporter; notes what it was asked.
fn connecting_proxy(exporter: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let (listener, held) = (TcpListener::bind("127.0.0.1:0").unwrap(), seen.clone());
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read > 0) {
                head.push(byte[0]);
            }
            held.lock().unwrap().push(String::from_utf8(head).unwrap());
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let mut server = TcpStream::connect(exporter).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            thread::spawn(move || std::io::copy(&mut server, &mut client));
        }
    });
    (address, seen)
}

#[test]
fn a_target_behind_tls_a_proxy_and_a_token_server_is_scraped() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, targets_seen) = exporter_over_tls(folder.path());
    let (proxy, proxy_seen) = connecting_proxy(exporter);
    let tokens = Server::start(|_, request| match values(&request.head, "authorization")[..] {
        [ref login] if login == "Basic Z2F0ZXdheTpodW50ZXIy" => {
            respond("200 OK", "Content-Type: application/json\r\n", br#"{"access_token":"t0ken","expires_in":3600}"#)
        }
        _ => respond("401 Unauthorized", "", b"{\"error\":\"invalid_client\"}"),
    });
    let file = folder.path().join("n.toml");
    let config = format!(
        r#"
[[scrape_configs]]
job_name = "sensors"
scheme = "https"
static_configs = [{{ targets = ["exporter.example:9100"] }}]
proxy_url = "http://{proxy}"
tls_config = {{ ca_file = "ca.pem", cert_file = "cert.pem", key_file = "key.pem", min_version = "TLS13" }}
http_headers = {{ X-Tenant = {{ values = ["north"], files = ["tenant"] }} }}
[scrape_configs.oauth2]
client_id = "gateway"
client_secret_file = "secret"
token_url = "{}"
"#,
        tokens.url("/token")
    );
    fs::write(&file, config).unwrap();
    fs::write(folder.path().join("secret"), "hunter2\n").unwrap();
    fs::write(folder.path().join("tenant"), "gateway-7\n").unwrap();
    let scrape = || narthex(&["scrape", "--config", file.to_str().unwrap()]);
    let output = scrape();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("temperature{") && shown.contains("21.5"), "{shown}");
    assert!(proxy_seen.lock().unwrap()[0].starts_with("CONNECT exporter.example:9100 HTTP/1.1\r\n"));
    let request = targets_seen.lock().unwrap()[0].clone();
    assert!(request.starts_with("GET /metrics HTTP/1.1\r\n"), "{request}");
    assert_eq!(values(&request, "authorization"), ["Bearer t0ken"]);
    assert_eq!(values(&request, "x-tenant"), ["north", "gateway-7"]);

    fs::write(folder.path().join("secret"), "hunter3\n").unwrap();
    let output = scrape();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("HTTP 401, invalid_client"), "{error}");
    assert!(!error.contains("hunter"), "{error}");
}

#[test]
fn a_running_agent_takes_up_secrets_that_change_for_targets_and_endpoints() {
    let folder = tempfile::tempdir().unwrap();
    let (targets, receivers) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<String>>>::default());
    let (seen_by_target, seen_by_receiver) = (targets.clone(), receivers.clone());
    let exporter = Server::start(move |_, request| {
        seen_by_target.lock().unwrap().extend(values(&request.head, "authorization"));
        page("a 1\n")
    });
    let receiver = Server::start(move |_, request| {
        let sent = [values(&request.head, "authorization"), values(&request.head, "x-scope-orgid")].concat();
        seen_by_receiver.lock().unwrap().push(sent.join(" "));
        respond("204 No Content", "", b"")
    });
    let write = |token: &str| fs::write(folder.path().join("token"), token).unwrap();
    write("s3cret-1");
    let config = format!(
        "[global]\nscrape_interval = '200ms'\n\
         [[scrape_configs]]\njob_name = 'j'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         authorization = {{ credentials_file = 'token' }}\n\
         [[remote_write]]\nurl = '{}'\nheaders = {{ X-Scope-OrgID = 'fleet' }}\n\
         authorization = {{ type = 'Token', credentials_file = 'token' }}\nqueue_config.batch_send_deadline = '200ms'\n\
         [buffer]\npath = 'ring'\nsize = '256KiB'\n",
        exporter.address,
        receiver.url("/write")
    );
    let agent = Agent::start(folder.path(), &config);
    let limit = Duration::from_secs(20);
    let wait_for = |seen: &Mutex<Vec<String>>, text: &str| {
        eventually(text, limit, || seen.lock().unwrap().iter().any(|sent| sent == text).then_some(()));
    };
    wait_for(&targets, "Bearer s3cret-1");
    wait_for(&receivers, "Token s3cret-1 fleet");
    write("s3cret-2");
    wait_for(&targets, "Bearer s3cret-2");
    wait_for(&receivers, "Token s3cret-2 fleet");
    let log = agent.log();
    assert!(!log.contains("s3cret-1") && !log.contains("s3cret-2"), "{log}");
    assert!(agent.stop().0.success());
}

#[test]
fn a_configuration_of_prometheus_is_imported_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (yaml, toml) = (folder.path().join("prometheus.yml"), folder.path().join("narthex.toml"));
    let import = |text: &str| {
        fs::write(&yaml, text).unwrap();
        let output = narthex(&["import", yaml.to_str().unwrap()]);
        fs::write(&toml, &output.stdout).unwrap();
        let told = String::from_utf8(output.stderr).unwrap().replace(&format!("{}", yaml.display()), "FILE");
        (output.status.code().unwrap(), told)
    };
    fs::write(folder.path().join("pw"), "hunter2").unwrap();
    fs::set_permissions(folder.path().join("pw"), fs::Permissions::from_mode(0o600)).unwrap();
    let whole = "global: {scrape_interval: 30s}\nscrape_configs:\n- job_name: node\n  bearer_token: hunter2\n  \
                 static_configs: [{targets: ['localhost:9100'], labels: {rack: 7}}]\n\
                 remote_write: [{url: 'https://metrics.example/write', basic_auth: {username: u, password_file: pw}}]\n";
    assert_eq!(import(whole), (0, String::new()));
    let ring = folder.path().join("ring");
    let local = fs::read_to_string(&toml).unwrap().replace("/var/lib/narthex/ring", ring.to_str().unwrap());
    fs::write(&toml, local).unwrap();
    let checked = narthex(&["check", toml.to_str().unwrap()]);
    let shown = String::from_utf8(checked.stdout).unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for line in [
        "scrape_interval = \"30s\"",
        "targets = [\"localhost:9100\"]",
        "rack = \"7\"",
        "credentials = \"<secret>\"",
        &format!("password_file = \"{}/pw\"", folder.path().display()),
    ] {
        assert!(shown.lines().any(|l| l == line), "{line} is not in {shown}");
    }

    let unneeded =
        "global: {evaluation_interval: 1m}\nrule_files: [r.yml]\nalerting: {}\nscrape_config_files: ['more*.yml']\n";
    fs::write(folder.path().join("more1.yml"), "scrape_configs:\n- job_name: a\n").unwrap();
    let (code, told) = import(unneeded);
    let lines: Vec<&str> = told.lines().collect();
    let not_needed = [
        "not needed: FILE:1: global.evaluation_interval: means nothing to an agent, which evaluates no rules",
        "not needed: FILE:2: rule_files, alerting: means nothing to an agent, which evaluates no rules",
    ];
    assert_eq!((code, lines.len(), &lines[..2]), (0, 3, &not_needed[..]), "{told}");
    assert!(lines[2].starts_with("hint: there is no remote_write"), "{told}");
    assert!(fs::read_to_string(&toml).unwrap().contains("job_name = \"a\""), "of the file that is named");
    let (code, told) = import("scrape_configs: [{job_name: a, scheme: ftp}]\n");
    assert!(code == 2 && told.starts_with("not carried over: FILE:1: scrape_configs.scheme: "), "{told}");
    assert_eq!(import("- nothing").0, 1);
}

/// A page that arrives at once and takes long to read was reported as quick: reading was left out of `scrape_duration_seconds`,
/// which Prometheus takes after the page was parsed and relabelled. Whoever looks for the cause of late scrapes looks there.
#[test]
fn the_duration_of_a_scrape_includes_reading_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..30_000).map(|n| format!("m{{n=\"{n}\",text=\"{}\"}} 1\n", "ab".repeat(20))).collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let begun = Instant::now();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap() > 0 {
            head.push(byte[0]);
        }
        connection.write_all(&page(&lines)).unwrap();
        (begun.elapsed(), Instant::now())
    });
    let config = format!(
        "[[scrape_configs]]\njob_name = 'j'\nstatic_configs = [{{ targets = ['{address}'] }}]\n\
         scrape_interval = '30s'\nscrape_timeout = '30s'\n\
         metric_relabel_configs = [{{ source_labels = ['text'], regex = '(a.)+', action = 'drop' }}]\n"
    );
    let file = folder.path().join("n.toml");
    fs::write(&file, config).unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap()]);
    let ended = Instant::now();
    let shown = String::from_utf8(output.stdout).unwrap();
    let line = shown.lines().find(|line| line.starts_with("scrape_duration_seconds")).expect(&shown);
    let reported: f64 = line.split_whitespace().nth(1).unwrap().parse().expect(line);
    let (transfer, sent) = serving.join().unwrap();
    let (transfer, reading) = (transfer.as_secs_f64(), (ended - sent).as_secs_f64());
    assert!(
        reported > transfer + reading / 4.0,
        "{reported} s reported; {transfer} s of transfer, {reading} s until the end"
    );
}

/// The body behind this head, to whoever asks.
fn answering(head: String) -> Server {
    let body = "temperature 21.5\n";
    Server::start(move |_, _| {
        format!("{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
    })
}

/// Small HTTP servers send what the standard has deprecated or forbidden; Prometheus's client takes it. Here a folded header, a
/// space before a colon, 130 headers, a cookie of 20 kB or `HTTP/1.2` failed the scrape as "not HTTP".
#[test]
fn odd_heads_are_taken_as_prometheus_takes_them_and_the_limits_have_names() {
    let folder = tempfile::tempdir().unwrap();
    let (status, page_type) = ("HTTP/1.1 200 OK\r\n", "Content-Type: text/plain; version=0.0.4\r\n");
    let many = |count| "X-Module: a\r\n".repeat(count);
    let long = |bytes| format!("Set-Cookie: {}\r\n", "a".repeat(bytes));
    let cases = [
        (format!("{status}Content-Type: text/plain;\r\n  version=0.0.4\r\n"), None),
        (format!("{status}Server : x\r\n{page_type}"), None),
        (format!("HTTP/1.2 200 OK\r\n{page_type}"), None),
        (format!("{status}{page_type}{}", many(250)), None),
        (format!("{status}{page_type}{}", long(60_000)), None),
        (format!("{status}{page_type}{}", many(300)), Some("more than 256 headers")),
        (format!("{status}{page_type}{}", long(70_000)), Some("more than 65536 bytes")),
        ("\x15\x03\x01\x00\x02\x02\x28".into(), Some("this port speaks TLS; use https")),
    ];
    let servers: Vec<_> = cases.iter().map(|(head, _)| answering(head.clone())).collect();
    let targets: Vec<String> = servers.iter().map(|server| format!("{:?}", server.address.to_string())).collect();
    let config = format!(
        "[[scrape_configs]]\njob_name = 'j'\nscrape_interval = '30s'\nscrape_timeout = '30s'\n\
         static_configs = [{{ targets = [{}] }}]\n",
        targets.join(", ")
    );
    let file = folder.path().join("n.toml");
    fs::write(&file, config).unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap()]);
    let [shown, errors] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    for ((head, refused), target) in cases.iter().zip(&targets) {
        let is_up = shown.contains(&format!("temperature{{instance={target},job=\"j\"}} 21.5"));
        let line = errors.lines().find(|line| line.contains(target.trim_matches('"'))).unwrap_or_default();
        let head = &head[..head.len().min(80)];
        match refused {
            None => assert!(is_up, "{head:?}: {line}"),
            Some(cause) => assert!(!is_up && line.contains(cause), "{head:?}: {line}"),
        }
    }
}
