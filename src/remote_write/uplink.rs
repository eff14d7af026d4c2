//! The edge: one request over HTTP to one receiver, and what came of it. Everything that can go wrong out there becomes
//! an [`Outcome`] here, in one line that says what to do, without secrets and without the url's query.
//!
//! Blocks its caller for up to `remote_timeout`, so it runs on a thread of the pool and not on the executor. Decides
//! nothing: whether to send again is for `retry` to say.

use super::auth::{AuthHeader, auth_header};
use super::options::{Auth, EndpointOptions};
use super::protocol::Written;
use super::retry::{Answer, Failure, FailureKind, Outcome, retry_after};
use crate::limits::{RECEIVER_TEXT_BYTES_MAX, RESPONSE_HEAD_BYTES_MAX};
use crate::model::{Secret, format_duration};
use crate::tls::{Roots, TlsError, TlsOptions};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::time::Duration;
use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, SendBody};

/// Connections wait this long for their next request, as Prometheus's do: a handshake costs more bytes than a few samples.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// Bytes gathered before they are written to the connection: one TLS record.
const OUTPUT_BUFFER_BYTES: usize = 16 * 1024;

/// One endpoint's receiver, and the connection to it. For one request at a time.
pub struct Uplink {
    agent: Agent,
    uri: Uri,
    auth: Auth,
    timeout: Duration,
    /// Scheme, host, port and path, for texts.
    shown: String,
}

/// Why an endpoint can't be used as it is configured.
#[derive(Debug)]
pub enum UplinkError {
    /// The url is not shown: there may be a token in its query.
    Url,
    Tls(TlsError),
}

impl fmt::Display for UplinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UplinkError::Url => {
                f.write_str("remote_write url is not one; write it as \"https://host/api/v1/write\", without a user")
            }
            UplinkError::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UplinkError {}

impl Uplink {
    /// Reads the trusted certificates, once; connects to nothing.
    pub fn new(options: &EndpointOptions) -> Result<Uplink, UplinkError> {
        let uri: Uri = options.url.parse().map_err(|_| UplinkError::Url)?;
        let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or(UplinkError::Url)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(UplinkError::Url),
        };
        let shown = format!("{}://{authority}{}", if secure { "https" } else { "http" }, uri.path());
        // Certificates of a whole system take hundreds of kilobytes: they are read only where they are looked at.
        let verified = secure && !options.tls.insecure_skip_verify;
        let tls = TlsConfig::builder()
            .root_certs(if verified { trusted_roots(&options.tls)? } else { RootCerts::WebPki })
            .disable_verification(options.tls.insecure_skip_verify)
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(format!("Narthex/{}", env!("CARGO_PKG_VERSION")))
            .accept("")
            .max_response_header_size(RESPONSE_HEAD_BYTES_MAX)
            .input_buffer_size(RESPONSE_HEAD_BYTES_MAX)
            .output_buffer_size(OUTPUT_BUFFER_BYTES)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE_MAX)
            .build();
        Ok(Uplink { agent: config.into(), uri, auth: options.auth.clone(), timeout: options.timeout, shown })
    }

    /// Sends `body` by POST with these headers and those that each request has. `retries` is how often this very request
    /// failed before; receivers are told in `Retry-Attempt`, as Prometheus does.
    pub fn send(&self, body: &[u8], headers: &[(&str, &str)], retries: u32) -> Outcome {
        let auth = match auth_header(&self.auth) {
            Ok(auth) => auth,
            Err(error) => {
                let failure = Failure { kind: FailureKind::Secret, text: format!("{}: {error}", self.shown) };
                return Outcome { bytes_sent: 0, result: Err(failure) };
            }
        };
        // Read from, so that what was sent is known even of a request that broke off; the length keeps it in one piece.
        let mut unsent = body;
        let mut request = self.agent.post(&self.uri).header(header::CONTENT_LENGTH, body.len());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if retries > 0 {
            request = request.header("Retry-Attempt", retries);
        }
        if let Some(AuthHeader { value, .. }) = &auth {
            request = request.header(header::AUTHORIZATION, value);
        }
        let response = request.send(SendBody::from_reader(&mut unsent));
        let bytes_sent = (body.len() - unsent.len()) as u64;
        let secrets = auth.map_or_else(Vec::new, |auth| auth.secrets);
        let result = match response {
            Ok(response) => Ok(read_answer(response, &secrets)),
            Err(error) => Err(self.failure(error)),
        };
        Outcome { bytes_sent, result }
    }

    fn failure(&self, error: ureq::Error) -> Failure {
        let shown = &self.shown;
        let (kind, text) = match error {
            ureq::Error::Io(error) => match tls_error_within(&error) {
                Some(error) => return self.tls_failure(error),
                None => self.io_failure(&error),
            },
            ureq::Error::Rustls(error) => return self.tls_failure(&error),
            ureq::Error::Timeout(_) => self.timed_out(),
            ureq::Error::HostNotFound => self.name_unknown("no address is known for it"),
            ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) | ureq::Error::Http(_) => {
                let text = format!("{shown} answers with something that is not HTTP; check the url's scheme and port");
                (FailureKind::NotHttp, text)
            }
            other => (FailureKind::Broken, format!("{shown}: {other}; check the url and the network")),
        };
        Failure { kind, text }
    }

    fn io_failure(&self, error: &io::Error) -> (FailureKind, String) {
        let shown = &self.shown;
        match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => self.timed_out(),
            ErrorKind::ConnectionRefused => (
                FailureKind::Connect,
                format!("{shown} refuses connections; check that the receiver runs, and the url's port"),
            ),
            ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable => {
                (FailureKind::Connect, format!("{shown} can't be reached: {error}; check this device's network"))
            }
            ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe => (
                FailureKind::Broken,
                format!(
                    "{shown} closed the connection without an answer; check the url's scheme and port, and the link"
                ),
            ),
            // The standard library has no kind of its own for this.
            _ if error.to_string().starts_with("failed to lookup address") => self.name_unknown(&error.to_string()),
            _ => (FailureKind::Broken, format!("{shown}: {error}; check the network")),
        }
    }

    fn timed_out(&self) -> (FailureKind, String) {
        let (shown, timeout) = (&self.shown, format_duration(self.timeout));
        let text = format!("{shown} did not answer within {timeout}; check the link, or raise remote_timeout");
        (FailureKind::Timeout, text)
    }

    fn name_unknown(&self, cause: &str) -> (FailureKind, String) {
        let host = self.uri.host().unwrap_or_default();
        (
            FailureKind::Name,
            format!("can't look up host {host:?}: {cause}; check the url, the network and its DNS server"),
        )
    }

    fn tls_failure(&self, error: &rustls::Error) -> Failure {
        use rustls::CertificateError as Bad;
        let (shown, host) = (&self.shown, self.uri.host().unwrap_or_default());
        let text = match error {
            rustls::Error::InvalidCertificate(Bad::UnknownIssuer) => format!(
                "the certificate of {shown} is not signed by an authority that is trusted here; \
                 name the right CA in tls_config ca_file, or check who answers at this address"
            ),
            rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => format!(
                "the certificate of {shown} is not for {host:?}; use the name it was made for, or check who answers there"
            ),
            rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
                format!("the certificate of {shown} has expired; renew it, or check that this device's clock is right")
            }
            rustls::Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
                format!("the certificate of {shown} is not valid yet; check that this device's clock is right")
            }
            other => format!("TLS with {shown} failed: {other}; check the url's port and the receiver's certificate"),
        };
        Failure { kind: FailureKind::Tls, text }
    }
}

fn trusted_roots(options: &TlsOptions) -> Result<RootCerts, UplinkError> {
    Ok(match Roots::load(options).map_err(UplinkError::Tls)? {
        Roots::Certificates(list) => {
            list.iter().map(|der| Certificate::from_der(der).to_owned()).collect::<Vec<_>>().into()
        }
        Roots::BuiltIn => RootCerts::WebPki,
    })
}

fn tls_error_within(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn read_answer(mut response: Response<Body>, secrets: &[Secret]) -> Answer {
    let headers = response.headers();
    let text_of = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let retry_after = text_of(header::RETRY_AFTER).and_then(|value| retry_after(value, text_of(header::DATE)));
    let (status, html, written) = (response.status(), is_html(headers), written(headers));
    let mut bytes = Vec::new();
    // Read for a success, too: a connection with an unread answer can't be used again. The verdict is in the status, so
    // that a text which breaks off changes nothing, and what came of it is shown.
    let mut reader = response.body_mut().as_reader().take(RECEIVER_TEXT_BYTES_MAX as u64 + 1);
    if let Err(error) = reader.read_to_end(&mut bytes) {
        log::debug!("a receiver's answer broke off: {error}");
    }
    let text = if status.is_success() { String::new() } else { one_line(&bytes, secrets) };
    Answer { status: status.as_u16(), retry_after, html, text, written }
}

/// Of three counts, one that is missing is zero; without any of them, nothing is said.
fn written(headers: &HeaderMap) -> Option<Written> {
    let count = |name| headers.get(name).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let samples = count("X-Prometheus-Remote-Write-Samples-Written");
    let histograms = count("X-Prometheus-Remote-Write-Histograms-Written");
    let exemplars = count("X-Prometheus-Remote-Write-Exemplars-Written");
    let is_said = samples.or(histograms).or(exemplars).is_some();
    is_said.then(|| Written {
        samples: samples.unwrap_or(0),
        histograms: histograms.unwrap_or(0),
        exemplars: exemplars.unwrap_or(0),
    })
}

fn is_html(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    content_type.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"text/html"))
}

/// The text as it came, but for control characters, which are escaped, and secrets that the receiver repeats.
fn one_line(bytes: &[u8], secrets: &[Secret]) -> String {
    let mut text = String::from_utf8_lossy(bytes).trim().to_owned();
    for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
        text = text.replace(secret.expose(), Secret::MASK);
    }
    let mut line = String::new();
    for char in text.chars() {
        match char.is_control() {
            true => line.extend(char.escape_default()),
            false => line.push(char),
        }
    }
    let end = (0..=RECEIVER_TEXT_BYTES_MAX.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    line.truncate(end.unwrap_or(0));
    line
}

#[cfg(test)]
mod tests;
