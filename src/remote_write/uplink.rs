//! The edge: one request over HTTP to one receiver, and what came of it. Everything that can go wrong out there becomes
//! an [`Outcome`] here, in one line that says what to do, without secrets and without the url's query.
//!
//! Takes up to `remote_timeout`. Decides nothing: whether to send again is for `retry` to say.
//!
//! ```text
//!  on the executor                                      on a thread of the pool, one at a time
//!    Journey::hop ── where to, by way of whom, as whom ──► exchange ── ureq: HTTP, and a connection that is kept
//!    Journey::goes_on ◄── answer ─────────────────────────   connection ── TCP, CONNECT, TLS
//! ```

mod answer;
mod body_kind;
mod connection;
mod exchange;
mod redial;

use super::options::EndpointOptions;
use super::retry::{Answer, Failure, FailureKind, Outcome};
use crate::dns::Resolver;
use crate::http_client::{Hop, HttpClient, HttpError, HttpRequest, Journey};
use crate::model::format_duration;
use crate::tls::{TlsError, TlsFailure};
pub use answer::read_answer;
use connection::SharedAddresses;
use exchange::{Broken, Ended, Exchange, Line};
use redial::{Address, Redial, address_of};
use smol::{Task, Timer};
use std::fmt;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::{HeaderName, HeaderValue, Uri};

const RETRY_ATTEMPT: HeaderName = HeaderName::from_static("retry-attempt");

/// One endpoint's receiver, and the connection to it. For one request at a time.
pub struct Uplink {
    client: Rc<HttpClient>,
    line: Option<Line>,
    addresses: SharedAddresses,
    redial: Redial,
    created: Instant,
    /// Bytes that went over its connections either way, TLS included, since they were taken last.
    carried: Arc<AtomicUsize>,
    /// On the pool; one that was given up holds its thread until its time is up, and the next one waits for it.
    running: Option<Task<Ended>>,
    /// What bodies are copied into, which have to go along to the pool.
    body: Vec<u8>,
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
    /// Scheme, host, port and path, for texts.
    shown: String,
}

/// Why an endpoint can't be used as it is configured.
#[derive(Debug)]
pub enum UplinkError {
    /// The url is not shown: there may be a token in its query.
    Url,
    /// One of `headers` is none.
    Header(String),
    Tls(TlsError),
}

impl fmt::Display for UplinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UplinkError::Url => {
                f.write_str("remote_write url is not one; write it as \"https://host/api/v1/write\", without a user")
            }
            UplinkError::Header(name) => write!(f, "remote_write headers {name:?} is not a header; write another"),
            UplinkError::Tls(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UplinkError {}

impl Uplink {
    /// Reads the files that TLS needs; connects to nothing.
    pub fn new(options: &EndpointOptions, resolver: Resolver) -> Result<Uplink, UplinkError> {
        let uri: Uri = options.url.parse().map_err(|_| UplinkError::Url)?;
        let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or(UplinkError::Url)?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme)).ok_or(UplinkError::Url)?;
        let shown = format!("{scheme}://{authority}{}", uri.path());
        let client = HttpClient::new(&options.http, resolver).map_err(UplinkError::Tls)?;
        // Certificates of a whole system take hundreds of kilobytes: they are read only where they are looked at.
        if scheme == "https" {
            client.check_tls().map_err(UplinkError::Tls)?;
        }
        let headers = options.headers.iter().map(|(name, value)| {
            let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
            parsed.ok_or_else(|| UplinkError::Header(name.clone()))
        });
        let headers = headers.collect::<Result<_, _>>()?;
        let timeout = options.timeout;
        Ok(Uplink {
            client,
            line: None,
            addresses: Arc::default(),
            redial: Redial::default(),
            created: Instant::now(),
            carried: Arc::default(),
            running: None,
            body: Vec::new(),
            headers,
            uri,
            timeout,
            shown,
        })
    }

    /// To the same receiver, with the same credentials, over a connection of its own.
    pub fn beside(&self) -> Uplink {
        Uplink {
            client: self.client.clone(),
            line: None,
            addresses: Arc::default(),
            redial: Redial::default(),
            created: Instant::now(),
            carried: Arc::default(),
            running: None,
            body: Vec::new(),
            uri: self.uri.clone(),
            headers: self.headers.clone(),
            timeout: self.timeout,
            shown: self.shown.clone(),
        }
    }

    /// Sends `body` by POST with these headers and those that each request has. `retries` is how often this very request
    /// failed before; receivers are told in `Retry-Attempt`, as Prometheus does.
    pub async fn send(&mut self, body: &[u8], headers: &[(&str, &str)], retries: u32) -> Outcome {
        let fixed = headers
            .iter()
            .filter_map(|(name, value)| Some((HeaderName::try_from(*name).ok()?, HeaderValue::try_from(*value).ok()?)));
        let attempt = (retries > 0).then(|| (RETRY_ATTEMPT, HeaderValue::from(retries)));
        let mut all: Vec<_> = fixed.chain(attempt).collect();
        for (name, value) in &self.headers {
            all.retain(|(other, _)| other != name);
            all.push((name.clone(), value.clone()));
        }
        let deadline = Instant::now() + self.timeout;
        let late = async {
            Timer::at(deadline).await;
            Err(Broken::Late)
        };
        let (uri, sent) = (self.uri.clone(), Arc::<AtomicUsize>::default());
        let request = HttpRequest { uri: &uri, headers: &all, body: Some(body) };
        let result = smol::future::or(self.converse(&request, deadline, &sent), late).await;
        let result = result.map_err(|broken| match broken {
            Broken::Http(error) => self.failure(error),
            Broken::Late => self.timed_out(),
        });
        self.learn_address(&result);
        Outcome { bytes_sent: sent.load(Ordering::Relaxed) as u64, result }
    }

    /// Sees to it that another address is tried first if this one fails: at once where the connection is gone anyway.
    fn learn_address(&mut self, result: &Result<Answer, Failure>) {
        let address = address_of(result);
        let is_left = self.redial.ended(self.created.elapsed(), address);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        match address {
            Address::Right => addresses.forget(),
            Address::Doubtful if is_left || result.is_err() => addresses.fail(),
            Address::Doubtful | Address::Unknown => {}
        }
        if is_left {
            log::debug!("{}: requests fail; a new connection looks the name up again", self.shown);
            self.line = None;
        }
    }

    /// Gives the memory of large requests back.
    pub fn rest(&mut self) {
        self.body = Vec::new();
    }

    /// Bytes that went over connections to the receiver since this was last asked: requests and answers with their headers, and
    /// TLS. What is below that, and how a proxy and a token were asked, is not among them.
    pub fn take_carried_bytes(&self) -> u64 {
        self.carried.swap(0, Ordering::Relaxed) as u64
    }

    /// One exchange, or as many as redirects make of it.
    async fn converse(
        &mut self,
        request: &HttpRequest<'_>,
        deadline: Instant,
        sent: &Arc<AtomicUsize>,
    ) -> Result<Answer, Broken> {
        let mut journey = Journey::new(self.client.clone(), request);
        loop {
            let Hop { route, request: head, secrets } = journey.hop().await?;
            if let Some(given_up) = &mut self.running {
                self.body = given_up.await.body;
                self.running = None;
            }
            self.line = self.line.take().filter(|line| line.is_on(&route));
            let line =
                self.line.get_or_insert_with(|| Line::new(route, self.carried.clone(), self.addresses.clone())).clone();
            let mut body = std::mem::take(&mut self.body);
            body.clear();
            body.extend_from_slice(request.body.unwrap_or_default());
            let exchange = Exchange { line, request: head, body, sent: sent.clone(), deadline };
            let Ended { body, result } = self.running.insert(smol::unblock(|| exchange.run())).await;
            (self.running, self.body) = (None, body);
            let reply = result?;
            if !journey.goes_on(&reply.response)? {
                return Ok(read_answer(&reply.response, &reply.text, &secrets));
            }
        }
    }

    fn failure(&self, error: HttpError) -> Failure {
        let shown = &self.shown;
        let (kind, text) = match &error {
            HttpError::Handshake { cause, .. } | HttpError::TlsEnded(cause) => return self.tls_failure(cause),
            HttpError::Tls(error) => (FailureKind::Tls, format!("{shown}: {error}")),
            HttpError::Secret(_) | HttpError::NotAHeader(_) => (FailureKind::Secret, format!("{shown}: {error}")),
            HttpError::Token { .. } => (FailureKind::Secret, format!("{shown}: {error}")),
            HttpError::Resolve { host, cause } => (
                FailureKind::Name,
                format!("can't look up host {host:?}: {cause}; check the url, the network and its DNS server"),
            ),
            HttpError::ConnectionRefused(_) => (
                FailureKind::Connect,
                format!("{shown} refuses connections; check that the receiver runs, and the url's port"),
            ),
            HttpError::Connect { kind: ErrorKind::TimedOut, .. } => return self.timed_out(),
            HttpError::Connect { cause, .. } => {
                (FailureKind::Connect, format!("{shown} can't be reached: {cause}; check this device's network"))
            }
            HttpError::Proxy { .. } => (FailureKind::Connect, format!("{shown}: {error}")),
            HttpError::HeadTooLarge { .. } | HttpError::TooManyHeaders { .. } | HttpError::SpeaksTls => {
                (FailureKind::NotHttp, format!("{shown}: {error}"))
            }
            HttpError::Protocol(_) => {
                let text = format!("{shown} answers with something that is not HTTP; check the url's scheme and port");
                (FailureKind::NotHttp, text)
            }
            HttpError::Unanswered | HttpError::Truncated | HttpError::Io { .. } => (
                FailureKind::Broken,
                format!(
                    "{shown} closed the connection without an answer; check the url's scheme and port, and the link"
                ),
            ),
            HttpError::Url(_) | HttpError::TooManyRedirects => {
                (FailureKind::Broken, format!("{shown}: {error}; check the url"))
            }
        };
        Failure { kind, text }
    }

    fn timed_out(&self) -> Failure {
        let (shown, timeout) = (&self.shown, format_duration(self.timeout));
        let text = format!("{shown} did not answer within {timeout}; check the link, or raise remote_timeout");
        Failure { kind: FailureKind::Timeout, text }
    }

    fn tls_failure(&self, failure: &TlsFailure) -> Failure {
        Failure { kind: FailureKind::Tls, text: format!("TLS handshake with {} failed: {failure}", self.shown) }
    }
}

#[cfg(test)]
mod tests;
