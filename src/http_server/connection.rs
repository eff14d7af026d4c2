//! One connection: requests in, each gathered whole within its limits, the handler's responses out.

use super::socket::{SmolTimer, Socket};
use super::{Handler, Limits, Request, Response, StatusCode};
use crate::clock::system_time;
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_TYPE, DATE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol::channel::{Receiver, RecvError, Sender};
use smol::net::TcpStream;
use smol::{Timer, future};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

/// What the connections of one server have in common.
pub(super) struct Shared {
    pub handler: Handler,
    pub limits: Limits,
    /// Closed when the server stops.
    pub stopping: Receiver<Infallible>,
    /// Closed, by being dropped, when the last connection has ended.
    pub _alive: Sender<Infallible>,
}

/// Runs one connection to its end.
pub(super) async fn converse(stream: TcpStream, shared: Rc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("http: {error}");
    }
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request, &shared).await) });
    let connection = http1::Builder::new()
        .timer(SmolTimer)
        .header_read_timeout(shared.limits.head_timeout)
        .max_headers(HTTP_HEADERS_MAX)
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .half_close(true)
        // Ours, since hyper's is told by the standard library: see `crate::clock`.
        .auto_date_header(false)
        .serve_connection(Socket::new(stream, shared.limits.write_stall_timeout), service);
    let mut connection = pin!(connection);
    let ended = async { Some(connection.as_mut().await) };
    let stopped = async {
        let Err(RecvError) = shared.stopping.recv().await;
        None
    };
    let result = match future::or(ended, stopped).await {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        log::debug!("http: {error}");
    }
}

async fn answer(request: hyper::Request<Incoming>, shared: &Shared) -> hyper::Response<Whole> {
    let (head, body) = request.into_parts();
    let limits = &shared.limits;
    let in_time = gather(body, limits.body_bytes_max);
    let late = async {
        Timer::after(limits.body_timeout).await;
        Err((StatusCode::REQUEST_TIMEOUT, "the request's body took too long\n"))
    };
    let (response, whole) = match future::or(in_time, late).await {
        Ok(body) => ((shared.handler)(Request { head, body }), true),
        Err((status, line)) => (Response::text(status, line), false),
    };
    let mut out = hyper::Response::new(Whole((!response.body.is_empty()).then(|| response.body.into())));
    *out.status_mut() = response.status;
    out.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(response.content_type));
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(system_time())) {
        out.headers_mut().insert(DATE, date);
    }
    if !whole {
        out.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    out
}

/// The whole body, trailers left out; or the status and line that refuse it.
async fn gather(mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, (StatusCode, &'static str)> {
    const TOO_LARGE: (StatusCode, &str) = (StatusCode::PAYLOAD_TOO_LARGE, "the request's body is too large\n");
    // Before anything is read: a client that asked with `Expect: 100-continue` keeps its body.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(TOO_LARGE);
    }
    let mut gathered = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| (StatusCode::BAD_REQUEST, "the request's body is cut short or malformed\n"))?;
        let Ok(data) = frame.into_data() else { continue };
        if gathered.len() + data.len() > bytes_max {
            return Err(TOO_LARGE);
        }
        gathered.extend_from_slice(&data);
    }
    Ok(gathered)
}

/// A response's body, in one piece.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
