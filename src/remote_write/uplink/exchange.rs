//! One exchange by ureq: what blocks, on a thread of the pool.

use super::connection::{NoLookup, RouteConnector, SharedAddresses, is_hang_up};
use crate::http_client::{HttpError, IDLE_MAX, Route};
use crate::limits::{RECEIVER_HEAD_BYTES_MAX, RECEIVER_TEXT_BYTES_MAX};
use crate::tls::TlsFailure;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use ureq::http::{Request, Response};
use ureq::{Agent, SendBody};

/// Bytes gathered before they are written to the connection: one TLS record.
const OUTPUT_BUFFER_BYTES: usize = 16 * 1024;

/// A route, and ureq with the connection that it keeps on it.
#[derive(Clone)]
pub(super) struct Line {
    route: Route,
    agent: Agent,
    opened: Arc<AtomicUsize>,
}

impl Line {
    /// `carried` counts bytes either way.
    pub(super) fn new(route: Route, carried: Arc<AtomicUsize>, failed: SharedAddresses) -> Line {
        // What ureq would add or decide by itself is left to http_client: headers, redirects, proxies, names.
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .accept("")
            .accept_encoding("")
            .max_response_header_size(RECEIVER_HEAD_BYTES_MAX)
            .input_buffer_size(RECEIVER_HEAD_BYTES_MAX)
            .output_buffer_size(OUTPUT_BUFFER_BYTES)
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE_MAX)
            .build();
        let opened = Arc::<AtomicUsize>::default();
        let connector = RouteConnector::new(route.clone(), opened.clone(), carried, failed);
        Line { agent: Agent::with_parts(config, connector, NoLookup), route, opened }
    }

    pub(super) fn is_on(&self, route: &Route) -> bool {
        self.route == *route
    }
}

/// What a receiver answered.
pub(super) struct Reply {
    pub(super) response: Response<()>,
    /// The start of its body.
    pub(super) text: Vec<u8>,
}

/// Why there is no answer.
pub(super) enum Broken {
    Http(HttpError),
    /// The time was up.
    Late,
}

impl From<HttpError> for Broken {
    fn from(error: HttpError) -> Self {
        Broken::Http(error)
    }
}

/// What to send, and by when the answer has to be there.
pub(super) struct Exchange {
    pub(super) line: Line,
    pub(super) request: Request<()>,
    pub(super) body: Vec<u8>,
    /// Counts the bytes of the body that go out, each time that they do.
    pub(super) sent: Arc<AtomicUsize>,
    pub(super) deadline: Instant,
}

/// What came of an exchange, and the body to use again.
pub(super) struct Ended {
    pub(super) body: Vec<u8>,
    pub(super) result: Result<Reply, Broken>,
}

impl Exchange {
    /// Takes until the deadline at most.
    pub(super) fn run(self) -> Ended {
        let result = self.attempts();
        Ended { body: self.body, result }
    }

    fn attempts(&self) -> Result<Reply, Broken> {
        let opened = self.line.opened.load(Ordering::Relaxed);
        match self.attempt() {
            // Closed while it was idle, or just as it was used.
            Err(Broken::Http(HttpError::Unanswered)) if self.line.opened.load(Ordering::Relaxed) == opened => {
                log::debug!("the kept connection to {} is gone; opening a new one", self.line.route.origin());
                self.attempt()
            }
            result => result,
        }
    }

    fn attempt(&self) -> Result<Reply, Broken> {
        // Read from, so that what was sent is known even of a request that broke off; its length keeps it in one piece.
        let mut body = Counted { rest: &self.body, sent: &self.sent };
        let (parts, ()) = self.request.clone().into_parts();
        let request = Request::from_parts(parts, SendBody::from_reader(&mut body));
        let left = self.deadline.saturating_duration_since(Instant::now());
        let request = self.line.agent.configure_request(request).timeout_global(Some(left)).build();
        let response = self.line.agent.run(request).map_err(|error| self.broken(error))?;
        let (parts, body) = response.into_parts();
        let mut text = Vec::new();
        // Read for a success, too: a connection with an unread answer can't be used again. The verdict is in the status, so
        // that a text which breaks off changes nothing, and what came of it is shown.
        if let Err(error) = body.into_reader().take(RECEIVER_TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut text) {
            log::debug!("a receiver's answer broke off: {error}");
        }
        Ok(Reply { response: Response::from_parts(parts, ()), text })
    }

    fn broken(&self, error: ureq::Error) -> Broken {
        let sending = |cause| HttpError::Io { doing: "sending the request", cause };
        Broken::Http(match error {
            ureq::Error::Timeout(_) => return Broken::Late,
            ureq::Error::Io(error) if is_of_tls(&error) => self.line.route.handshake_failed(TlsFailure::from(&error)),
            ureq::Error::Io(error) => match error.kind() {
                ErrorKind::UnexpectedEof => HttpError::Unanswered,
                _ if is_hang_up(&error) => HttpError::Unanswered,
                _ => sending(error.to_string()),
            },
            ureq::Error::LargeResponseHeader(..) => HttpError::HeadTooLarge { bytes_max: RECEIVER_HEAD_BYTES_MAX },
            ureq::Error::Protocol(error) => error.into(),
            // The connector's.
            ureq::Error::Other(error) => match error.downcast() {
                Ok(error) => *error,
                Err(error) => sending(error.to_string()),
            },
            error => sending(error.to_string()),
        })
    }
}

fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>())
}

/// A body that counts what is taken of it.
struct Counted<'b> {
    rest: &'b [u8],
    sent: &'b AtomicUsize,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.rest.read(buffer)?;
        self.sent.fetch_add(read, Ordering::Relaxed);
        Ok(read)
    }
}
