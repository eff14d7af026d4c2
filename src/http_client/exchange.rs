//! One request on one connection: its bytes out, the answer's head in, and its body piece by piece.

use super::credentials::{base64, sensitive};
use super::dial::{Origin, Stream};
use super::error::HttpError;
use super::head::{Head, HeadReader};
use super::proxy::ProxyUrl;
use super::socket::Socket;
use crate::model::Secret;
use crate::tls::TlsFailure;
use smol::net::TcpStream;
use std::io;
use ureq_proto::BodyMode;
use ureq_proto::client::state::{RecvBody, RecvResponse, SendRequest};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};
use ureq_proto::http::header::{HOST, PROXY_AUTHORIZATION};
use ureq_proto::http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri};

/// Bytes read from the network at once.
const READ_BYTES: usize = 8 * 1024;

/// Bytes written to the network at once: one TLS record.
const WRITE_BYTES: usize = 16 * 1024;

/// Bytes of a head beyond its path and its headers: methods, versions, separators.
const HEAD_EXTRA_BYTES: usize = 1024;

/// What there is to send.
pub(super) struct Outgoing<'r> {
    pub(super) request: Request<()>,
    pub(super) body: Option<&'r [u8]>,
    /// Put before the path: whom a proxy is to ask.
    pub(super) absolute: Option<String>,
}

/// Sends a request and receives the head of its answer.
pub(super) async fn exchange(
    stream: &mut Stream,
    outgoing: Outgoing<'_>,
) -> Result<(Response<()>, BodyReader), HttpError> {
    let (call, cut_short) = send(stream, outgoing).await?;
    let mut buffer = vec![0; READ_BYTES];
    let (call, response, input) = match (receive_head(stream, call, &mut buffer).await, &cut_short) {
        (Err(_), Some(error)) => return Err(error.clone()),
        (received, _) => received?,
    };
    let state = match call.proceed() {
        Some(RecvResponseResult::RecvBody(call)) => BodyState::More(Box::new(call)),
        Some(RecvResponseResult::Redirect(call)) => BodyState::Ended { must_close: call.must_close_connection() },
        Some(RecvResponseResult::Cleanup(call)) => BodyState::Ended { must_close: call.must_close_connection() },
        None => return Err(HttpError::Truncated),
    };
    Ok((response, BodyReader { state, input, buffer, was_cut_short: cut_short.is_some() }))
}

/// A body that the server doesn't take to its end is an error only if no answer comes either: one that finds it too large
/// says so and closes.
async fn send(
    stream: &mut Stream,
    outgoing: Outgoing<'_>,
) -> Result<(Call<RecvResponse>, Option<HttpError>), HttpError> {
    let Outgoing { request, body, absolute } = outgoing;
    let (call, head) = head_of(request, absolute)?;
    if stream.write_all(&head).await.is_err() {
        return Err(why_unanswered(stream).await);
    }
    let unsendable = || HttpError::Protocol("the request can't be sent".into());
    let mut call = match call.proceed()? {
        Some(SendRequestResult::RecvResponse(call)) => return Ok((call, None)),
        Some(SendRequestResult::SendBody(call)) => call,
        _ => return Err(unsendable()),
    };
    let (body, mut cut_short) = (body.unwrap_or_default(), None);
    for piece in body.chunks(WRITE_BYTES) {
        if let Err(error) = stream.write_all(piece).await {
            cut_short = Some(HttpError::io("sending the request", &error));
            break;
        }
    }
    call.consume_direct_write(body.len())?;
    Ok((call.proceed().ok_or_else(unsendable)?, cut_short))
}

/// Why a server takes no request. It may have said so by an alert before it closed: with TLS 1.3 it judges this side's
/// certificate only after the handshake has ended here. Else it was closed while it was idle.
async fn why_unanswered(stream: &mut Stream) -> HttpError {
    match stream.read(&mut [0]).await {
        Ok(_) => HttpError::Unanswered,
        Err(error) => unanswered(&error),
    }
}

fn unanswered(error: &io::Error) -> HttpError {
    match error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()) {
        true => HttpError::TlsEnded(TlsFailure::from(error)),
        false => HttpError::Unanswered,
    }
}

/// The bytes of a request's head.
fn head_of(request: Request<()>, absolute: Option<String>) -> Result<(Call<SendRequest>, Vec<u8>), HttpError> {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let size = HEAD_EXTRA_BYTES + request.uri().to_string().len() + headers.sum::<usize>();
    let mut call = Call::new(request)?.proceed();
    let mut head = vec![0; size];
    let mut end = 0;
    while !call.can_proceed() {
        end += call.write(&mut head[end..])?;
    }
    head.truncate(end);
    if let Some(absolute) = absolute
        && let Some(space) = head.iter().position(|byte| *byte == b' ')
    {
        head.splice(space + 1..space + 1, absolute.into_bytes());
    }
    Ok((call, head))
}

/// The response, and what came of its body along with the head.
async fn receive_head(
    stream: &mut Stream,
    mut call: Call<RecvResponse>,
    buffer: &mut [u8],
) -> Result<(Call<RecvResponse>, Response<()>, Vec<u8>), HttpError> {
    let (mut heads, mut answered) = (HeadReader::default(), false);
    loop {
        match stream.read(buffer).await {
            Err(error) if !answered => return Err(unanswered(&error)),
            Ok(0) if !answered => return Err(HttpError::Unanswered),
            Ok(0) => return Err(HttpError::Truncated),
            Ok(read) => {
                answered = true;
                heads.push(&buffer[..read]);
                if let Some(response) = final_response(&mut call, &mut heads)? {
                    return Ok((call, response, heads.into_rest()));
                }
            }
            Err(error) => return Err(HttpError::io("waiting for the response", &error)),
        }
    }
}

/// The response, behind any `1xx` that comes before it.
fn final_response(call: &mut Call<RecvResponse>, heads: &mut HeadReader) -> Result<Option<Response<()>>, HttpError> {
    while let Some(Head { response, framing }) = heads.next()? {
        if call.try_response(&framing, false)?.1.is_some() {
            return Ok(Some(response));
        }
    }
    Ok(None)
}

/// What is left of an answer's body.
pub(super) struct BodyReader {
    state: BodyState,
    /// What was received and not taken yet.
    input: Vec<u8>,
    /// On the heap, since every target's task would hold it otherwise.
    buffer: Vec<u8>,
    /// The request did not go out whole.
    was_cut_short: bool,
}

enum BodyState {
    More(Box<Call<RecvBody>>),
    Ended { must_close: bool },
}

impl BodyReader {
    /// Bytes of the body, at least one unless it has ended. `out` is not empty.
    pub(super) async fn read(&mut self, stream: &mut Stream, out: &mut [u8]) -> Result<usize, HttpError> {
        loop {
            let BodyState::More(call) = &mut self.state else { return Ok(0) };
            let (used, produced) = call.read(&self.input, out)?;
            self.input.drain(..used);
            if produced > 0 {
                return Ok(produced);
            }
            let until_close = call.body_mode() == BodyMode::CloseDelimited;
            if call.can_proceed() && !until_close {
                self.end();
                return Ok(0);
            }
            if used > 0 {
                continue;
            }
            match stream.read(&mut self.buffer).await {
                Ok(0) if until_close => {
                    self.state = BodyState::Ended { must_close: true };
                    return Ok(0);
                }
                Ok(0) => return Err(HttpError::Truncated),
                Ok(read) => self.input.extend_from_slice(&self.buffer[..read]),
                Err(error) => return Err(HttpError::io("receiving the answer", &error)),
            }
        }
    }

    fn end(&mut self) {
        let state = std::mem::replace(&mut self.state, BodyState::Ended { must_close: true });
        let BodyState::More(call) = state else { return };
        let must_close = match call.proceed() {
            Some(RecvBodyResult::Redirect(call)) => call.must_close_connection(),
            Some(RecvBodyResult::Cleanup(call)) => call.must_close_connection(),
            None => true,
        };
        self.state = BodyState::Ended { must_close };
    }

    /// Whether the connection can take another request: the body has ended, and nothing came behind it.
    pub(super) fn leaves_connection(&self) -> bool {
        matches!(self.state, BodyState::Ended { must_close: false }) && self.input.is_empty() && !self.was_cut_short
    }
}

/// Has the proxy at the other end connect to the origin.
pub(super) async fn tunnel(
    tcp: TcpStream,
    proxy: &ProxyUrl,
    origin: &Origin,
    headers: &[(String, Vec<Secret>)],
) -> Result<TcpStream, HttpError> {
    let failed = |cause| HttpError::Proxy { proxy: proxy.origin().to_string(), origin: origin.to_string(), cause };
    let uri: Uri = origin.to_string().parse().map_err(|_| HttpError::Url("a proxy can't be asked for it".into()))?;
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (Method::CONNECT, uri);
    add_proxy_login(request.headers_mut(), proxy)?;
    for (name, values) in headers {
        let wrong = || HttpError::NotAHeader("proxy_connect_header".into());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        // As in Go: one that is configured takes the place of the client's own.
        request.headers_mut().remove(&name);
        for value in values {
            request.headers_mut().append(&name, sensitive(value.expose()).map_err(|_| wrong())?);
        }
    }
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, sensitive(&origin.to_string())?);
    }
    let outgoing = Outgoing { request, body: None, absolute: None };
    let mut stream = Stream::Plain(Socket::Tcp(tcp));
    match (exchange(&mut stream, outgoing).await, stream) {
        (Ok((response, _)), Stream::Plain(Socket::Tcp(tcp))) if response.status() == StatusCode::OK => Ok(tcp),
        (Ok((response, _)), _) => Err(failed(format!("HTTP {}", response.status()))),
        (Err(error), _) => Err(failed(error.to_string())),
    }
}

/// The proxy URL's own user and password.
pub(super) fn add_proxy_login(headers: &mut HeaderMap, proxy: &ProxyUrl) -> Result<(), HttpError> {
    if let Some(login) = proxy.login() {
        headers.insert(PROXY_AUTHORIZATION, sensitive(&format!("Basic {}", base64(login.expose().as_bytes())))?);
    }
    Ok(())
}
