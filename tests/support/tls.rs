//! TLS in front of a receiver, with connections that are kept: it counts bytes, handshakes and requests.
#![allow(dead_code)]

use super::eventually;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ALL_VERSIONS, HandshakeKind, RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
    root: rustls::pki_types::CertificateDer<'static>,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap();
        Authority { pem: own.pem(), root: own.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for this name and its key, as PEM.
    pub fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let (certificate, key) = self.signed(name, change);
        (certificate.pem(), key.serialize_pem())
    }

    fn signed(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.into()]).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server with a certificate for this name.
    pub fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        self.server_of(ALL_VERSIONS, None, name, change)
    }

    /// One that speaks these versions, and asks for certificates that `clients` has signed.
    pub fn server_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<&Authority>,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Arc<ServerConfig> {
        let (certificate, key) = self.signed(name, change);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.root.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }
}

/// Listens with TLS and asks the receiver behind it.
pub struct Front {
    pub port: u16,
    wire: Arc<Wire>,
}

struct Wire {
    receiver: SocketAddr,
    config: Mutex<Arc<ServerConfig>>,
    closes: Mutex<bool>,
    seen: Mutex<Seen>,
}

/// What a front has seen so far.
#[derive(Clone, Default)]
pub struct Seen {
    /// The head of each request, in small letters.
    pub heads: Vec<String>,
    /// Of each connection on which there was a request.
    pub handshakes: Vec<HandshakeKind>,
    /// TLS's bytes in both directions, without those of TCP and IP.
    pub bytes: u64,
}

impl Front {
    pub fn start(address: &str, receiver: SocketAddr, config: Arc<ServerConfig>) -> Front {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let wire = Wire { receiver, config: Mutex::new(config), closes: Mutex::new(false), seen: Mutex::default() };
        let wire = Arc::new(wire);
        let serving = wire.clone();
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let wire = serving.clone();
                // A client that hangs up is part of the tests.
                thread::spawn(move || wire.serve(tcp).unwrap_or_default());
            }
        });
        Front { port, wire }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}/api/v1/write", self.port)
    }

    /// From the next connection on.
    pub fn become_another(&self, config: Arc<ServerConfig>) {
        *self.wire.config.lock().unwrap() = config;
    }

    /// Whether each connection is closed after its first answer.
    pub fn close_after_each(&self, closes: bool) {
        *self.wire.closes.lock().unwrap() = closes;
    }

    pub fn seen(&self) -> Seen {
        self.wire.seen.lock().unwrap().clone()
    }

    pub fn wait_for_requests(&self, count: usize) -> Seen {
        eventually(&format!("{count} requests over TLS"), Duration::from_secs(60), || {
            Some(self.seen()).filter(|seen| seen.heads.len() >= count)
        })
    }
}

impl Wire {
    fn serve(&self, tcp: TcpStream) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        let tls = ServerConnection::new(self.config.lock().unwrap().clone()).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, Counting { tcp, wire: self });
        let mut is_first = true;
        while let Some((head, body)) = read_request(&mut stream)? {
            let mut seen = self.seen.lock().unwrap();
            if std::mem::take(&mut is_first) {
                seen.handshakes.extend(stream.conn.handshake_kind());
            }
            seen.heads.push(head.to_ascii_lowercase());
            drop(seen);
            let mut receiver = TcpStream::connect(self.receiver)?;
            receiver.write_all(&[head.as_bytes(), &body].concat())?;
            let mut answer = String::new();
            receiver.read_to_string(&mut answer)?;
            let closes = *self.closes.lock().unwrap();
            stream.write_all(if closes { answer } else { answer.replace("Connection: close\r\n", "") }.as_bytes())?;
            stream.flush()?;
            if closes {
                stream.conn.send_close_notify();
                return stream.flush();
            }
        }
        Ok(())
    }
}

/// Its head and its body; `None` at the end of the connection.
fn read_request(stream: &mut impl Read) -> io::Result<Option<(String, Vec<u8>)>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte)? {
            0 => return Ok(None),
            _ => head.push(byte[0]),
        }
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok(Some((head, body)))
}

struct Counting<'w> {
    tcp: TcpStream,
    wire: &'w Wire,
}

impl Counting<'_> {
    fn count(&self, bytes: usize) -> usize {
        self.wire.seen.lock().unwrap().bytes += bytes as u64;
        bytes
    }
}

impl Read for Counting<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.tcp.read(into)?;
        Ok(self.count(read))
    }
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.tcp.write(bytes)?;
        Ok(self.count(written))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}
