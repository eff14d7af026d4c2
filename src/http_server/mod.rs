//! One HTTP/1.1 server on the executor, for pages that are rendered at once: status, metrics, the demo's two ends.
//!
//! Every bound is the server's own: connections, bytes of head and body, and the time that a client may take over each.
//! Refuses to know what is served, and TLS. hyper reads and writes the protocol and is named in this folder only.
//!
//! ```text
//!  serve ── accepts ──► connection ── whole request ──► handler
//!    │                  hyper         ◄── whole response ──┘
//!    └─ owns its connections: they end with it
//! ```

mod connection;
mod socket;
#[cfg(test)]
mod tests;

use crate::clock::is_past_std;
use crate::limits;
use connection::{Shared, converse};
use hyper::http::request::Parts;
use smol::channel::{self, RecvError};
use smol::net::{TcpListener, TcpStream};
use smol::{LocalExecutor, Timer, future};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

pub use hyper::StatusCode;

/// Answers a request; must not block. Boxed, so that all servers of a process share one compiled hyper.
pub type Handler = Rc<dyn Fn(Request) -> Response>;

/// What a client may ask of a server. The defaults are those of `limits.rs`.
#[derive(Clone, Debug)]
pub struct Limits {
    pub connections_max: usize,
    /// A longer body is answered with 413.
    pub body_bytes_max: usize,
    /// From one response, or from connecting, to the end of the next request's headers: an idle connection is closed then.
    pub head_timeout: Duration,
    /// From the end of the headers to the end of the body; answered with 408.
    pub body_timeout: Duration,
    /// How long not one byte of a response may be taken by the client.
    pub write_stall_timeout: Duration,
    /// How long requests that are under way may take to end once the server stops.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: limits::HTTP_CONNECTIONS_MAX,
            body_bytes_max: limits::HTTP_BODY_BYTES_MAX,
            head_timeout: limits::HTTP_HEAD_TIMEOUT,
            body_timeout: limits::HTTP_BODY_TIMEOUT,
            write_stall_timeout: limits::HTTP_WRITE_STALL_TIMEOUT,
            stop_timeout: limits::HTTP_STOP_TIMEOUT,
        }
    }
}

/// A request that arrived whole.
pub struct Request {
    head: Parts,
    pub body: Vec<u8>,
}

impl Request {
    pub fn method(&self) -> &str {
        self.head.method.as_str()
    }

    /// Starts with `/`, percent-encoding left as it came.
    pub fn path(&self) -> &str {
        self.head.uri.path()
    }

    /// What follows the `?`.
    pub fn query(&self) -> Option<&str> {
        self.head.uri.query()
    }

    /// The first header of this name, in any case; `None` too if its value is not plain ASCII text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

/// What a handler answers. `Content-Length`, `Date` and what `HEAD` asks for are seen to by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: StatusCode,
    /// A header's value: plain ASCII.
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

impl Response {
    /// A 200 with this body.
    pub fn ok(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Response { status: StatusCode::OK, content_type, body: body.into() }
    }

    /// A status that one line explains to whoever asked.
    pub fn text(status: StatusCode, line: impl Into<Vec<u8>>) -> Self {
        Response { status, content_type: "text/plain; charset=utf-8", body: line.into() }
    }
}

/// A bound address that waits for [`Server::serve`]; clients may connect already.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    limits: Limits,
}

impl Server {
    /// Port 0 takes a free one, which [`Server::local_addr`] then tells.
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Server> {
        let listener = TcpListener::try_from(std::net::TcpListener::bind(address)?)?;
        let local_addr = listener.local_addr()?;
        Ok(Server { listener, local_addr, limits })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `stop` resolves: then no connection is accepted any more, idle ones are closed, and requests that are
    /// under way are answered within `stop_timeout`. Dropping the future instead closes the listener and every connection
    /// on the spot.
    pub async fn serve(self, handler: Handler, stop: impl Future<Output = ()>) {
        let Server { listener, limits, .. } = self;
        let stop_timeout = limits.stop_timeout;
        let (stop_sender, stopping) = channel::bounded::<Infallible>(1);
        let (alive, all_ended) = channel::bounded::<Infallible>(1);
        let shared = Rc::new(Shared { handler, limits, stopping, _alive: alive });

        // An executor of its own: whatever it runs ends when this future is dropped.
        let connections = LocalExecutor::new();
        let serving = async {
            future::or(stop, accept(&listener, &connections, &shared)).await;
            drop((listener, stop_sender, shared));
            let ended = async {
                let Err(RecvError) = all_ended.recv().await;
            };
            let late = async {
                Timer::after(stop_timeout).await;
                log::debug!("http: requests that took longer than {stop_timeout:?} to end were cut off");
            };
            future::or(ended, late).await;
        };
        connections.run(serving).await;
    }
}

/// Waits out what an `accept` that failed leaves behind: out of descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

async fn accept(listener: &TcpListener, connections: &LocalExecutor<'static>, shared: &Rc<Shared>) {
    loop {
        let stream: TcpStream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("http: no connection can be accepted: {error}");
                Timer::after(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // hyper asks the standard library for the time on each connection.
        if is_past_std() {
            log::warn!("http: this build cannot serve pages after January 2038; set the clock, or use a 64-bit build");
            continue;
        }
        // Each connection holds `shared` once, and so does this loop's caller.
        if Rc::strong_count(shared) > shared.limits.connections_max {
            log::debug!("http: a connection past the {} allowed was closed", shared.limits.connections_max);
            continue;
        }
        connections.spawn(converse(stream, shared.clone())).detach();
    }
}
