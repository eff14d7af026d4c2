//! One exchange after the other, redirects followed, on a connection that is kept.
//!
//! ```text
//!  kept connection ──► request ──► head ──► body, as it is asked for        connection kept
//!        │ died while idle           │ 3xx with Location
//!        └──► new connection ◄───────┘
//! ```

use super::HttpClient;
use super::dial::{Route, Stream};
use super::error::HttpError;
use super::exchange::{BodyReader, Outgoing, exchange};
use super::journey::{Hop, HttpRequest, Journey, absolute_form};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq_proto::http::{HeaderMap, Response, StatusCode};

/// Connections wait this long for their next request, as Prometheus's do: a handshake costs more bytes than a few samples.
pub const IDLE_MAX: Duration = Duration::from_secs(300);

/// Bytes of a redirect's body that are read so that its connection can be kept, as in Go.
const REDIRECT_BODY_BYTES_MAX: usize = 2048;

/// Asks one server, one request at a time.
pub struct Session {
    client: Rc<HttpClient>,
    kept: Option<Kept>,
    socket: Option<Arc<Path>>,
}

struct Kept {
    route: Route,
    stream: Stream,
    since: Instant,
}

impl Session {
    pub fn new(client: Rc<HttpClient>) -> Self {
        Session { client, kept: None, socket: None }
    }

    /// Asks the server behind a Unix socket: of the URL that is asked for, it gets host and path.
    pub fn over_socket(mut self, path: &Path) -> Self {
        self.socket = Some(path.into());
        self
    }

    /// Sends it, and follows redirects if that is configured. What answers in the end may have any status.
    pub async fn send(&mut self, request: &HttpRequest<'_>) -> Result<Answer<'_>, HttpError> {
        let mut journey = Journey::new(self.client.clone(), request).over_socket(self.socket.clone());
        loop {
            let hop = journey.hop().await?;
            let (mut stream, response, mut body) = self.exchange(&hop, request.body).await?;
            if !journey.goes_on(&response)? {
                return Ok(Answer { session: self, route: hop.route, stream: Some(stream), response, body });
            }
            if read_rest(&mut stream, &mut body).await {
                self.keep(hop.route, stream);
            }
        }
    }

    async fn exchange(
        &mut self,
        hop: &Hop,
        body: Option<&[u8]>,
    ) -> Result<(Stream, Response<()>, BodyReader), HttpError> {
        let Hop { route, request, .. } = hop;
        let outgoing = || Outgoing {
            request: request.clone(),
            body,
            absolute: route.asks_proxy().map(|_| absolute_form(request.uri())),
        };
        if let Some(mut stream) = self.take_kept(route).await {
            match exchange(&mut stream, outgoing()).await {
                Ok((response, body)) => return Ok((stream, response, body)),
                Err(HttpError::Unanswered | HttpError::TlsEnded(_)) => {
                    log::debug!("the kept connection to {} is gone; opening a new one", route.origin());
                }
                Err(error) => return Err(error),
            }
        }
        let mut stream = route.connect().await?;
        let exchanged = exchange(&mut stream, outgoing()).await;
        let (response, body) = exchanged.map_err(|error| match error {
            HttpError::TlsEnded(cause) => route.handshake_failed(cause),
            error => error,
        })?;
        Ok((stream, response, body))
    }

    async fn take_kept(&mut self, route: &Route) -> Option<Stream> {
        let mut kept = self.kept.take().filter(|kept| kept.route == *route && kept.since.elapsed() < IDLE_MAX)?;
        kept.stream.is_quiet().await.then_some(kept.stream)
    }

    fn keep(&mut self, route: Route, stream: Stream) {
        self.kept = Some(Kept { route, stream, since: Instant::now() });
    }
}

/// Whether the rest of a redirect's body was short enough to keep the connection.
async fn read_rest(stream: &mut Stream, body: &mut BodyReader) -> bool {
    let mut buffer = vec![0; REDIRECT_BODY_BYTES_MAX];
    let mut read = 0;
    while read < REDIRECT_BODY_BYTES_MAX {
        match body.read(stream, &mut buffer).await {
            Ok(0) => break,
            Ok(bytes) => read += bytes,
            Err(_) => return false,
        }
    }
    body.leaves_connection()
}

/// An answer whose body is still to be read. The connection is kept if it is read to its end.
pub struct Answer<'s> {
    session: &'s mut Session,
    route: Route,
    /// None once it was given back.
    stream: Option<Stream>,
    response: Response<()>,
    body: BodyReader,
}

impl Answer<'_> {
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Bytes of the body; none at its end. `out` is not empty.
    pub async fn read(&mut self, out: &mut [u8]) -> Result<usize, HttpError> {
        let Some(stream) = &mut self.stream else { return Ok(0) };
        let read = self.body.read(stream, out).await?;
        if read == 0
            && let Some(stream) = self.stream.take()
            && self.body.leaves_connection()
        {
            self.session.keep(self.route.clone(), stream);
        }
        Ok(read)
    }

    /// The whole body; `None` if it is larger than that.
    pub async fn read_all(&mut self, bytes_max: usize) -> Result<Option<Vec<u8>>, HttpError> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 4096]);
        loop {
            match self.read(&mut buffer).await? {
                0 => return Ok(Some(all)),
                read => all.extend_from_slice(&buffer[..read]),
            }
            if all.len() > bytes_max {
                return Ok(None);
            }
        }
    }
}
