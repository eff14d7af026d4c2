//! TLS of devices that make their own certificates: odd ones are taken where only possession of the key is checked, and else
//! refused for the cause that is true. The servers are OpenSSL's, since rustls refuses to serve most of it.

mod support;

use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use support::*;

const KEY_P256: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const KEY_P521: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"];
const KEY_RSA_1024: &[&str] = &["-newkey", "rsa:1024"];
const FOR_LOCALHOST: &[&str] = &["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"];
const UNKNOWN_CRITICAL: &[&str] = &["-addext", "1.2.3.4.5=critical,ASN1:NULL"];

/// OpenSSL's tool; without it nothing here can be tried.
fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED: there is no openssl here; install it (Debian: openssl)");
    }
    found
}

fn openssl(folder: &Path, words: &[&str]) {
    let output = Command::new("openssl").args(words).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Writes `NAME.pem` and `NAME.key`: signed by itself.
fn self_signed(folder: &Path, name: &str, more: &[&[&str]]) {
    let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
    let fixed =
        ["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-out", &certificate, "-keyout", &key];
    openssl(folder, &[&fixed[..], &more.concat()].concat());
}

/// The same of X.509 version 1, signed by `issuer`, or by itself.
fn version_1(folder: &Path, name: &str, issuer: Option<&str>) {
    let [certificate, key, request] = ["pem", "key", "csr"].map(|end| format!("{name}.{end}"));
    let subject = format!("/CN={name}");
    let fixed = ["req", "-new", "-nodes", "-subj", &subject, "-out", &request, "-keyout", &key];
    openssl(folder, &[&fixed[..], KEY_P256].concat());
    let fixed = ["x509", "-req", "-days", "30", "-in", &request, "-out", &certificate];
    let issuer = issuer.map(|issuer| [format!("{issuer}.pem"), format!("{issuer}.key")]);
    match &issuer {
        Some([ca, ca_key]) => {
            openssl(folder, &[&fixed[..], &["-CA", ca, "-CAkey", ca_key, "-set_serial", "7"]].concat());
        }
        None => openssl(folder, &[&fixed[..], &["-signkey", &key]].concat()),
    }
    let text =
        Command::new("openssl").args(["x509", "-noout", "-text", "-in", &certificate]).current_dir(folder).output();
    assert!(String::from_utf8_lossy(&text.unwrap().stdout).contains("Version: 1 "), "this openssl makes no version 1");
}

/// `openssl s_server` with the certificate `NAME`, which serves a page with the one sample `temperature 21.5`.
struct OpensslServer {
    process: Child,
    port: String,
}

impl OpensslServer {
    fn start(folder: &Path, name: &str, more: &[&str]) -> OpensslServer {
        fs::write(folder.join("metrics"), "temperature 21.5\n").unwrap();
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "0", "-WWW", "-cert", &certificate, "-key", &key])
            .args(more)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let accepting = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ").map(str::to_owned)).unwrap();
        // It would stop at a full pipe.
        thread::spawn(move || lines.for_each(drop));
        OpensslServer { process, port: accepting.rsplit(':').next().unwrap().to_owned() }
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// What one scrape of an https target prints: its samples, and its errors.
fn scrape(folder: &Path, target: &str, tls: &str) -> (String, String) {
    let file = folder.join("n.toml");
    let config = format!(
        "[[scrape_configs]]\njob_name = 'j'\nscheme = 'https'\nstatic_configs = [{{ targets = ['{target}'] }}]\n\
         scrape_interval = '20s'\nscrape_timeout = '20s'\ntls_config = {{ {tls} }}\n"
    );
    fs::write(&file, config).unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap()]);
    [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).into()
}

fn assert_scraped((samples, errors): (String, String), what: &str) {
    assert!(samples.contains("temperature{") && samples.contains("21.5"), "{what}: {samples}{errors}");
}

fn assert_refused((samples, errors): (String, String), said: &str) {
    assert!(!samples.contains("temperature"), "{said}: {samples}");
    let is_said = errors.lines().any(|line| line.contains(said));
    assert!(is_said && !errors.contains("Error("), "{said:?} is not in {errors}");
}

/// Version 1, RSA of 1024 bits and unknown critical extensions were refused even with `insecure_skip_verify`, and without it with
/// a cause that was not theirs: an RSA key of 1024 bits was "not signed by an authority".
#[test]
fn odd_certificates_are_taken_if_nothing_is_verified_and_else_refused_for_what_they_are() {
    if !has_openssl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    version_1(folder, "v1", None);
    self_signed(folder, "short", &[KEY_RSA_1024, FOR_LOCALHOST]);
    self_signed(folder, "critical", &[KEY_P256, FOR_LOCALHOST, UNKNOWN_CRITICAL]);
    self_signed(folder, "own", &[KEY_P256, FOR_LOCALHOST]);
    let weak = ["-cipher", "DEFAULT:@SECLEVEL=0"];
    for (name, cause) in [
        ("v1", "is of X.509 version 1"),
        ("short", "key is too short: RSA of 1024 bits"),
        ("critical", "has the critical extension 1.2.3.4.5"),
        ("own", ""),
    ] {
        for version in ["-tls1_2", "-tls1_3"] {
            let server = OpensslServer::start(folder, name, &[&weak[..], &[version]].concat());
            let target = format!("localhost:{}", server.port);
            let what = format!("{name} {version}");
            assert_scraped(scrape(folder, &target, "insecure_skip_verify = true"), &what);
            let verified = scrape(folder, &target, &format!("ca_file = '{name}.pem'"));
            match cause {
                "" => assert_scraped(verified, &what),
                cause => assert_refused(verified, cause),
            }
        }
    }
}

/// Whoever skips verification must still not be talked to by somebody who copied the certificate.
#[test]
fn a_server_without_the_key_of_its_certificate_is_refused_whatever_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let [shown, held] = [1, 2].map(|_| rcgen::generate_simple_self_signed(["localhost".into()]).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(held.signing_key.serialize_der()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[version]).unwrap();
        let pretended = CertifiedKey::new(vec![shown.cert.der().clone()], key.clone());
        let config = builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(pretended)));
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut tcp in listener.incoming().flatten() {
                let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
                // The client hangs up.
                _ = tls.complete_io(&mut tcp);
            }
        });
        let answer = scrape(folder.path(), &format!("127.0.0.1:{port}"), "insecure_skip_verify = true");
        assert_refused(answer, "does not hold the key of its certificate");
    }
}

/// A client certificate of version 1 was refused by the agent itself: `check` passed, `run` did not start.
#[test]
fn a_client_certificate_of_version_1_is_for_the_server_to_judge() {
    if !has_openssl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    self_signed(folder, "server", &[KEY_P256, FOR_LOCALHOST]);
    version_1(folder, "client", Some("server"));
    self_signed(folder, "stranger", &[KEY_P256]);
    for version in ["-tls1_2", "-tls1_3"] {
        let words = ["-Verify", "1", "-verify_return_error", "-CAfile", "server.pem", version];
        let server = OpensslServer::start(folder, "server", &words);
        let target = format!("localhost:{}", server.port);
        let identity =
            |name: &str| format!("ca_file = 'server.pem', cert_file = '{name}.pem', key_file = '{name}.key'");
        assert_scraped(scrape(folder, &target, &identity("client")), version);
        assert_refused(scrape(folder, &target, &identity("stranger")), "it refuses this side's certificate");
    }
    let mixed = "cert_file = 'client.pem', key_file = 'server.key'";
    assert_refused(scrape(folder, "localhost:1", mixed), "the key is not the certificate's");
}

/// The commonest mistakes were told in a library's words: `Other(OtherError(CaUsedAsEndEntity))`, `corrupt message of type
/// InvalidContentType`, `received fatal alert: HandshakeFailure`.
#[test]
fn what_can_not_be_spoken_with_is_told_with_its_way_out() {
    if !has_openssl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    self_signed(folder, "own", &[KEY_P256, FOR_LOCALHOST]);
    self_signed(folder, "other", &[KEY_P256, FOR_LOCALHOST]);
    self_signed(folder, "p521", &[KEY_P521, FOR_LOCALHOST]);
    let target = |server: &OpensslServer| format!("localhost:{}", server.port);
    let own = OpensslServer::start(folder, "own", &[]);
    assert_refused(
        scrape(folder, &target(&own), ""),
        "self-signed and not trusted here; put it into tls_config ca_file",
    );
    assert_refused(scrape(folder, &target(&own), "ca_file = 'other.pem'"), "its certificate is self-signed");
    let p521 = OpensslServer::start(folder, "p521", &[]);
    let no_p521 = "ECDSA P-521, renew it with P-256";
    assert_refused(scrape(folder, &target(&p521), "insecure_skip_verify = true"), no_p521);
    let cbc = OpensslServer::start(folder, "own", &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"]);
    assert_refused(scrape(folder, &target(&cbc), "ca_file = 'own.pem'"), "enable ECDHE with AES-GCM");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let read = connection.read(&mut [0; 4096]).unwrap();
            assert!(read > 0);
            connection.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").unwrap();
        }
    });
    assert_refused(scrape(folder, &address, ""), "this port does not speak TLS; use http");
}

/// A link-local address needs its zone to be reached, which is of this machine: a certificate and a `Host` have none.
#[test]
fn an_address_with_a_zone_is_reached_and_named_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return eprintln!("SKIPPED: there is no IPv6 here");
    };
    let own = rcgen::generate_simple_self_signed(["::1".into()]).unwrap();
    fs::write(folder.path().join("own.pem"), own.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let (config, port) = (Arc::new(config), listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(tls, tcp);
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let host =
                head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("host: ").map(str::to_owned));
            let body = format!("temperature{{host={:?}}} 21.5\n", host.unwrap_or_default());
            stream.write_all(&page(&body)).unwrap();
            stream.conn.send_close_notify();
            // Who asked may be gone.
            _ = stream.flush();
        }
    });
    for zone in ["lo", "1"] {
        let answer = scrape(folder.path(), &format!("[::1%{zone}]:{port}"), "ca_file = 'own.pem'");
        assert!(answer.0.contains(&format!("host=\"[::1]:{port}\"")), "{answer:?}");
        assert_scraped(answer, zone);
    }
    assert_refused(scrape(folder.path(), &format!("[::1%no-such-link]:{port}"), ""), "no-such-link");
}
