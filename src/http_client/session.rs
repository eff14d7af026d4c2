//! One exchange after the other, redirects followed, on a connection that is kept.
//!
//! ```text
//!  kept connection ──► request ──► head ──► body, as it is asked for        connection kept
//!        │ died while idle           │ 3xx with Location
//!        └──► new connection ◄───────┘
//! ```

use super::HttpClient;
use super::USER_AGENT;
use super::dial::{Origin, Route, Stream};
use super::error::HttpError;
use super::exchange::{BodyReader, Outgoing, add_proxy_login, exchange};
use super::redirect::{is_foreign, resolve};
use crate::limits::REDIRECTS_MAX;
use crate::model::Secret;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};
use ureq_proto::http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, USER_AGENT as USER_AGENT_HEADER};
use ureq_proto::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};

/// Connections wait this long for their next request, as Prometheus's do.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// Bytes of a redirect's body that are read so that its connection can be kept, as in Go.
const REDIRECT_BODY_BYTES_MAX: usize = 2048;

/// What to ask. The session adds who asks and what the configuration adds.
pub struct HttpRequest<'r> {
    pub uri: &'r Uri,
    pub headers: &'r [(HeaderName, HeaderValue)],
    /// A GET without, a POST with it.
    pub body: Option<&'r [u8]>,
}

/// Asks one server, one request at a time.
pub struct Session {
    client: Rc<HttpClient>,
    kept: Option<Kept>,
    /// What went along with the last request and nobody else may see.
    secrets: Vec<Secret>,
    body_sent_bytes: Rc<Cell<u64>>,
    /// Where all connections lead to, whatever the URL.
    socket: Option<PathBuf>,
}

struct Kept {
    route: Route,
    stream: Stream,
    since: Instant,
}

impl Session {
    pub fn new(client: Rc<HttpClient>) -> Self {
        Session { client, kept: None, secrets: Vec::new(), body_sent_bytes: Rc::default(), socket: None }
    }

    /// Asks the server behind a Unix socket: of the URL that is asked for, it gets host and path. No proxy is in between.
    pub fn over_socket(mut self, path: PathBuf) -> Self {
        self.socket = Some(path);
        self
    }

    /// The credentials that went along with the last request: what an answer may repeat of them is not to be shown.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Bytes of the last request's body that went out, also of one that broke off, each time that they did.
    pub fn body_sent_bytes(&self) -> u64 {
        self.body_sent_bytes.get()
    }

    /// Sends it, and follows redirects if that is configured. What answers in the end may have any status.
    ///
    /// A POST is sent again where 307 and 308 lead to. Go makes a GET without a body of one that is redirected otherwise:
    /// then its answer would be taken for that to the POST, so here it is the answer.
    pub async fn send(&mut self, request: &HttpRequest<'_>) -> Result<Answer<'_>, HttpError> {
        self.body_sent_bytes.set(0);
        let first_host = request.uri.host().unwrap_or_default();
        let (mut uri, mut foreign) = (request.uri.clone(), false);
        for _ in 0..REDIRECTS_MAX {
            let (route, mut stream, response, mut body) = self.exchange(request, &uri, foreign).await?;
            let next = self.redirect(&uri, request.body.is_some(), &response)?;
            let Some(next) = next else {
                return Ok(Answer { session: self, route, stream: Some(stream), response, body });
            };
            if read_rest(&mut stream, &mut body).await {
                self.keep(route, stream);
            }
            // Once it has left, nothing secret goes along any more, not even back.
            foreign |= is_foreign(next.host().unwrap_or_default(), first_host);
            uri = next;
        }
        Err(HttpError::TooManyRedirects)
    }

    /// Where the answer leads to; `None` if it is to be taken as it is.
    fn redirect(&self, uri: &Uri, has_body: bool, response: &Response<()>) -> Result<Option<Uri>, HttpError> {
        let followed = match response.status().as_u16() {
            301..=303 => !has_body,
            307 | 308 => true,
            _ => false,
        };
        let location = response.headers().get(LOCATION).filter(|_| followed && self.client.follow_redirects);
        let Some(location) = location else { return Ok(None) };
        // The Location is not shown: there may be a password in it.
        let resolved = location.to_str().ok().and_then(|location| resolve(uri, location));
        resolved.map(Some).ok_or_else(|| HttpError::Url("a redirect leads to what is none".into()))
    }

    async fn exchange(
        &mut self,
        request: &HttpRequest<'_>,
        uri: &Uri,
        foreign: bool,
    ) -> Result<(Route, Stream, Response<()>, BodyReader), HttpError> {
        let client = self.client.clone();
        let origin = Origin::of(uri).ok_or_else(|| HttpError::Url("it is neither http nor https".into()))?;
        let mut route = client.dialer.route(origin)?;
        route.proxy.take_if(|_| self.socket.is_some());
        let prepared = self.prepare(request, uri, &route, foreign).await?;
        let body_sent = self.body_sent_bytes.clone();
        let outgoing = || Outgoing {
            request: prepared.clone(),
            body: request.body,
            absolute: route.asks_proxy().map(|_| format!("http://{}", without_user(uri))),
            sent: &body_sent,
        };
        if let Some(mut stream) = self.take_kept(&route).await {
            match exchange(&mut stream, outgoing()).await {
                Ok((response, body)) => return Ok((route, stream, response, body)),
                Err(HttpError::Unanswered) => {
                    log::debug!("the kept connection to {} is gone; opening a new one", route.origin);
                }
                Err(error) => return Err(error),
            }
        }
        let mut stream = match &self.socket {
            None => client.dialer.connect(&route).await?,
            Some(path) => client.dialer.connect_unix(&route, path).await?,
        };
        let (response, body) = exchange(&mut stream, outgoing()).await?;
        Ok((route, stream, response, body))
    }

    /// The request with all its headers.
    async fn prepare(
        &mut self,
        request: &HttpRequest<'_>,
        uri: &Uri,
        route: &Route,
        foreign: bool,
    ) -> Result<Request<()>, HttpError> {
        let client = self.client.clone();
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT_HEADER, HeaderValue::from_static(USER_AGENT));
        for (name, value) in request.headers {
            if !(foreign && super::headers::is_sensitive(name)) {
                headers.append(name, value.clone());
            }
        }
        self.secrets.clear();
        if !foreign && let Some(value) = client.credentials.header(&mut self.secrets).await? {
            headers.insert(AUTHORIZATION, value);
        }
        client.headers.add(&mut headers, foreign, &mut self.secrets)?;
        if let Some(proxy) = route.asks_proxy() {
            add_proxy_login(&mut headers, proxy)?;
        }
        if let Some(body) = request.body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let mut prepared = Request::new(());
        *prepared.method_mut() = if request.body.is_some() { Method::POST } else { Method::GET };
        *prepared.uri_mut() = uri.clone();
        *prepared.headers_mut() = headers;
        Ok(prepared)
    }

    async fn take_kept(&mut self, route: &Route) -> Option<Stream> {
        let mut kept = self.kept.take().filter(|kept| kept.route == *route && kept.since.elapsed() < IDLE_MAX)?;
        kept.stream.is_quiet().await.then_some(kept.stream)
    }

    fn keep(&mut self, route: Route, stream: Stream) {
        self.kept = Some(Kept { route, stream, since: Instant::now() });
    }
}

fn without_user(uri: &Uri) -> &str {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
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

    /// The credentials that went along with the request.
    pub fn secrets(&self) -> &[Secret] {
        &self.session.secrets
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
