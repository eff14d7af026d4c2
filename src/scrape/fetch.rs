//! One page by HTTP/1.1: a GET on a connection that is kept for the next scrape.
//!
//! ureq-proto knows the protocol, [`super::dial`] the network; this file moves bytes between them, within limits and
//! within the target's timeout. No thread waits: a target that hangs costs a timer.
//!
//! ```text
//!  kept connection ──► request ──► head ──► body ──► page       connection kept
//!        │ died while idle           │ 3xx with Location
//!        └──► new connection ◄───────┘
//! ```

use super::body::{Body, FetchLimits};
use super::content_type::{ContentTypeError, Format};
use super::dial::{Dialer, Origin, Stream};
use super::fetch_error::FetchError;
use super::negotiation::{accept_encoding_header, accept_header};
use crate::limits::{REDIRECTS_MAX, RESPONSE_HEAD_BYTES_MAX};
use crate::model::PageOptions;
use smol::Timer;
use std::rc::Rc;
use std::time::Duration;
use ureq_proto::BodyMode;
use ureq_proto::client::state::{Prepare, RecvBody, RecvResponse, Redirect};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, RedirectAuthHeaders, SendRequestResult};
use ureq_proto::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use ureq_proto::http::{HeaderMap, Request, Response, StatusCode, Uri};

const USER_AGENT: &str = concat!("Narthex/", env!("CARGO_PKG_VERSION"));

/// Bytes read from the network at once.
const READ_BYTES: usize = 8 * 1024;

/// Fetches the pages of one target.
pub struct Fetcher {
    url: String,
    timeout: Duration,
    options: Rc<PageOptions>,
    dialer: Rc<Dialer>,
    kept: Option<(Origin, Stream)>,
    body: Body,
}

/// A page that arrived.
pub struct Fetched<'f> {
    pub page: &'f [u8],
    /// An empty page is one, whatever its `Content-Type`.
    pub format: Result<Format, ContentTypeError>,
}

/// What came back, the body in the page buffer.
enum Answer {
    Page(Response<()>),
    Redirect(Uri),
}

/// Why an exchange on one connection failed.
enum ExchangeError {
    /// Nothing came back: if the connection had been kept, the target closed it meanwhile, and a new one will do.
    Unanswered(FetchError),
    Failed(FetchError),
}

impl From<FetchError> for ExchangeError {
    fn from(error: FetchError) -> Self {
        ExchangeError::Failed(error)
    }
}

impl From<ureq_proto::Error> for ExchangeError {
    fn from(error: ureq_proto::Error) -> Self {
        ExchangeError::Failed(error.into())
    }
}

impl Fetcher {
    pub fn new(
        url: String,
        timeout: Duration,
        options: Rc<PageOptions>,
        limits: FetchLimits,
        dialer: Rc<Dialer>,
    ) -> Self {
        Fetcher { url, timeout, options, dialer, kept: None, body: Body::new(limits) }
    }

    /// The page's bytes and its format.
    pub async fn fetch(&mut self) -> Result<Fetched<'_>, FetchError> {
        let timeout = self.timeout;
        let late = async {
            Timer::after(timeout).await;
            Err(FetchError::TimedOut(timeout))
        };
        let response = smol::future::or(self.follow(), late).await?;
        self.body.finish()?;
        let page = self.body.page();
        let format = if page.is_empty() { Ok(Format::Text) } else { self.format_of(response.headers()) };
        Ok(Fetched { page, format })
    }

    /// Follows redirects until there is a page.
    async fn follow(&mut self) -> Result<Response<()>, FetchError> {
        let mut uri: Uri = self.url.parse().map_err(|error| FetchError::Url(format!("{error}")))?;
        for _ in 0..=REDIRECTS_MAX {
            let origin = Origin::of(&uri).ok_or_else(|| FetchError::Url("it is neither http nor https".into()))?;
            match self.exchange_on_connection(&origin, uri).await? {
                Answer::Page(response) => return Ok(response),
                Answer::Redirect(next) => uri = next,
            }
        }
        Err(FetchError::TooManyRedirects)
    }

    async fn exchange_on_connection(&mut self, origin: &Origin, uri: Uri) -> Result<Answer, FetchError> {
        if let Some((_, stream)) = self.kept.take().filter(|(kept, _)| kept == origin) {
            match self.exchange(origin, stream, self.request(uri.clone())?).await {
                Ok(answer) => return Ok(answer),
                Err(ExchangeError::Failed(error)) => return Err(error),
                Err(ExchangeError::Unanswered(error)) => {
                    log::debug!("the kept connection to {origin} is gone ({error}); opening a new one");
                }
            }
        }
        let stream = self.dialer.connect(origin).await?;
        self.exchange(origin, stream, self.request(uri)?).await.map_err(|error| match error {
            ExchangeError::Unanswered(error) | ExchangeError::Failed(error) => error,
        })
    }

    fn request(&self, uri: Uri) -> Result<Call<Prepare>, FetchError> {
        let request = Request::get(uri)
            .header("Accept", accept_header(&self.options))
            .header("Accept-Encoding", accept_encoding_header(&self.options))
            .header("User-Agent", USER_AGENT)
            .header("X-Prometheus-Scrape-Timeout-Seconds", self.timeout.as_secs_f64().to_string())
            .body(())
            .map_err(|error| FetchError::Url(error.to_string()))?;
        Ok(Call::new(request)?)
    }

    /// Keeps the connection if that is allowed.
    async fn exchange(
        &mut self,
        origin: &Origin,
        mut stream: Stream,
        call: Call<Prepare>,
    ) -> Result<Answer, ExchangeError> {
        let mut buffer = vec![0; READ_BYTES];
        let call = send(&mut stream, call, &mut buffer).await?;
        let (call, response, mut rest) = receive_head(&mut stream, call, &mut buffer).await?;
        self.body.clear();
        let encoding = response.headers().get(CONTENT_ENCODING).map_or(&b""[..], |encoding| encoding.as_bytes());
        self.body.begin(if response.status() == StatusCode::OK { encoding } else { b"" })?;
        let (must_close, answer) = match call.proceed() {
            Some(RecvResponseResult::RecvBody(call)) => {
                let call = self.receive_body(&mut stream, call, &mut rest, &mut buffer).await?;
                match call.proceed() {
                    Some(RecvBodyResult::Redirect(call)) => (call.must_close_connection(), redirect(call, response)?),
                    Some(RecvBodyResult::Cleanup(call)) => (call.must_close_connection(), Answer::Page(response)),
                    None => return Err(FetchError::Truncated.into()),
                }
            }
            Some(RecvResponseResult::Redirect(call)) => (call.must_close_connection(), redirect(call, response)?),
            Some(RecvResponseResult::Cleanup(call)) => (call.must_close_connection(), Answer::Page(response)),
            None => return Err(FetchError::Truncated.into()),
        };
        if !must_close && rest.is_empty() {
            self.kept = Some((origin.clone(), stream));
        }
        match answer {
            Answer::Page(response) if response.status() != StatusCode::OK => {
                Err(FetchError::Status(response.status().to_string()).into())
            }
            answer => Ok(answer),
        }
    }

    /// `rest` is what came along with the head, and in the end what came behind the body.
    async fn receive_body(
        &mut self,
        stream: &mut Stream,
        mut call: Call<RecvBody>,
        rest: &mut Vec<u8>,
        buffer: &mut [u8],
    ) -> Result<Call<RecvBody>, FetchError> {
        let until_close = call.body_mode() == BodyMode::CloseDelimited;
        loop {
            let used = self.take_body(&mut call, rest)?;
            rest.drain(..used);
            if call.can_proceed() && !until_close {
                return Ok(call);
            }
            match stream.read(buffer).await {
                Ok(0) if until_close => {
                    self.body.finish()?;
                    return Ok(call);
                }
                Ok(0) => return Err(FetchError::Truncated),
                Ok(read) => rest.extend_from_slice(&buffer[..read]),
                Err(error) => return Err(FetchError::io("receiving the page", &error)),
            }
        }
    }

    /// Moves what it can from the input to the page; the answer is how much of the input that was.
    fn take_body(&mut self, call: &mut Call<RecvBody>, input: &[u8]) -> Result<usize, FetchError> {
        let mut plain = [0; READ_BYTES / 4];
        let mut used = 0;
        loop {
            let (consumed, produced) = call.read(&input[used..], &mut plain)?;
            used += consumed;
            self.body.push(&plain[..produced])?;
            if consumed == 0 && produced == 0 || used == input.len() {
                return Ok(used);
            }
        }
    }

    fn format_of(&self, headers: &HeaderMap) -> Result<Format, ContentTypeError> {
        let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let fallback = self.options.fallback_protocol.and_then(Format::of_protocol);
        Format::of(&String::from_utf8_lossy(content_type)).or_else(|error| match fallback {
            Some(format) => {
                log::debug!("{}: {error}; using fallback_scrape_protocol", self.url);
                Ok(format)
            }
            None => Err(error),
        })
    }
}

async fn send(
    stream: &mut Stream,
    call: Call<Prepare>,
    buffer: &mut [u8],
) -> Result<Call<RecvResponse>, ExchangeError> {
    let mut call = call.proceed();
    while !call.can_proceed() {
        let written = call.write(buffer)?;
        let sent = stream.write_all(&buffer[..written]).await;
        sent.map_err(|error| ExchangeError::Unanswered(FetchError::io("sending the request", &error)))?;
    }
    match call.proceed()? {
        Some(SendRequestResult::RecvResponse(call)) => Ok(call),
        _ => Err(FetchError::Protocol("a GET has no body".into()).into()),
    }
}

/// The response, and what came of its body along with the head.
async fn receive_head(
    stream: &mut Stream,
    mut call: Call<RecvResponse>,
    buffer: &mut [u8],
) -> Result<(Call<RecvResponse>, Response<()>, Vec<u8>), ExchangeError> {
    let mut head = Vec::new();
    let mut answered = false;
    loop {
        let error = match stream.read(buffer).await {
            Ok(0) => FetchError::Truncated,
            Ok(read) => {
                answered = true;
                head.extend_from_slice(&buffer[..read]);
                if let Some(response) = try_response(&mut call, &mut head)? {
                    return Ok((call, response, head));
                }
                continue;
            }
            Err(error) => FetchError::io("waiting for the response", &error),
        };
        return Err(if answered { ExchangeError::Failed(error) } else { ExchangeError::Unanswered(error) });
    }
}

/// Takes the response's head off `head`, and any `1xx` that comes before it.
fn try_response(call: &mut Call<RecvResponse>, head: &mut Vec<u8>) -> Result<Option<Response<()>>, FetchError> {
    loop {
        let (used, response) = call.try_response(head, false)?;
        if used > RESPONSE_HEAD_BYTES_MAX || used == 0 && head.len() > RESPONSE_HEAD_BYTES_MAX {
            return Err(FetchError::HeadTooLarge);
        }
        head.drain(..used);
        if response.is_some() || used == 0 {
            return Ok(response);
        }
    }
}

/// Go's client follows these five, if they say where to; any other `3xx` is an answer.
fn redirect(mut call: Call<Redirect>, response: Response<()>) -> Result<Answer, FetchError> {
    let followed = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    if !followed || !response.headers().contains_key(LOCATION) {
        return Ok(Answer::Page(response));
    }
    match call.as_new_call(RedirectAuthHeaders::Never) {
        Ok(Some(next)) => Ok(Answer::Redirect(next.uri().clone())),
        Ok(None) => Ok(Answer::Page(response)),
        // The library's own text would show the Location, which may hold a password.
        Err(_) => Err(FetchError::Url("the target redirects to what is no URL".into())),
    }
}
