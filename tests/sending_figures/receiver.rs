//! A receiver that only counts: requests, bytes on the connection and in bodies, series and samples.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// What came so far.
#[derive(Default)]
pub struct Counts {
    pub requests: AtomicU64,
    pub samples: AtomicU64,
    pub series: AtomicU64,
    pub body_bytes: AtomicU64,
    /// Everything that the sender put on its connections: heads, bodies, TLS.
    pub received_bytes: AtomicU64,
    pub answered_bytes: AtomicU64,
    /// When the first and the last request came.
    pub times: Mutex<Option<(Instant, Instant)>>,
}

impl Counts {
    fn add(&self, body_bytes: usize, series: u64, samples: u64) {
        let now = Instant::now();
        self.times.lock().unwrap().get_or_insert((now, now)).1 = now;
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.series.fetch_add(series, Ordering::Relaxed);
        self.body_bytes.fetch_add(body_bytes as u64, Ordering::Relaxed);
        self.samples.fetch_add(samples, Ordering::Relaxed);
    }
}

/// Serves until the process ends. With a folder, over TLS: `ca.pem` is put there.
pub fn start(tls: Option<&Path>) -> (String, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{}/api/v1/write", listener.local_addr().unwrap().port());
    let (counts, tls) = (Arc::<Counts>::default(), tls.map(server_config));
    let counted = counts.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (counts, tls) = (counted.clone(), tls.clone());
            thread::spawn(move || {
                let stream = Metered { stream, counts: counts.clone() };
                // A sender may leave whenever it likes.
                _ = match tls {
                    None => serve(stream, &counts),
                    Some(tls) => {
                        let connection = rustls::ServerConnection::new(tls).unwrap();
                        serve(rustls::StreamOwned::new(connection, stream), &counts)
                    }
                };
            });
        }
    });
    (url, counts)
}

struct Metered {
    stream: TcpStream,
    counts: Arc<Counts>,
}

impl Read for Metered {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(bytes)?;
        self.counts.received_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Write for Metered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(bytes)?;
        self.counts.answered_bytes.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn serve(stream: impl Read + Write, counts: &Counts) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    let (mut line, mut body, mut plain) = (String::new(), Vec::new(), Vec::new());
    loop {
        let (mut length, mut is_v2) = (0, false);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            line.make_ascii_lowercase();
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
                Some(("content-type", value)) => is_v2 = value.contains("write.v2"),
                _ if line == "\r\n" => break,
                _ => {}
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        plain.resize(snap::raw::decompress_len(&body).map_err(io::Error::other)?, 0);
        snap::raw::Decoder::new().decompress(&body, &mut plain).map_err(io::Error::other)?;
        let (series, samples) = count(&plain, is_v2);
        counts.add(length, series, samples);
        let written = format!("X-Prometheus-Remote-Write-Samples-Written: {samples}\r\n");
        let answer = format!("HTTP/1.1 204 No Content\r\n{}\r\n", if is_v2 { &written } else { "" });
        reader.get_mut().write_all(answer.as_bytes())?;
        reader.get_mut().flush()?;
    }
}

/// Series and samples of a request, found without building it.
fn count(request: &[u8], is_v2: bool) -> (u64, u64) {
    const SAMPLES: u64 = 2;
    let timeseries = if is_v2 { 5 } else { 1 };
    let (mut series, mut samples) = (0, 0);
    let all = parts(request).filter(|(field, _)| *field == timeseries);
    all.for_each(|(_, one)| {
        series += 1;
        samples += parts(one).filter(|(field, _)| *field == SAMPLES).count() as u64;
    });
    (series, samples)
}

/// The fields of a message whose fields are all messages, texts or lists.
fn parts(mut message: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let tag = take_varint(&mut message);
        assert_eq!(tag & 7, 2, "a field with a length");
        let length = take_varint(&mut message) as usize;
        let (part, rest) = message.split_at(length);
        message = rest;
        Some((tag >> 3, part))
    })
}

fn take_varint(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return number;
        }
    }
}

fn server_config(folder: &Path) -> Arc<rustls::ServerConfig> {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca_params = CertificateParams::new(vec![]).unwrap();
    ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = ca_params.self_signed(&ca_key).unwrap();
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = params.signed_by(&key, &Issuer::from_params(&ca_params, &ca_key)).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap())
}
