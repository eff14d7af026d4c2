//! Connections as ureq asks for them: dialled by `http_client` (names, proxies), TLS over them by rustls with what `tls`
//! gives. Blocks its thread, and never beyond the time that ureq says.
//!
//! ```text
//!  ureq::Agent ─► Connector ─► Route::connect_tcp ─► Connection ── Socket (a deadline for each read and write)
//!     keeps it in its pool          rustls ───────────┘
//! ```

use crate::http_client::{FailedAddresses, HttpError, Route, absolute_form};
use crate::tls::TlsFailure;
use rustls::{ClientConnection, Stream};
use smol::Timer;
use smol::future::or;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport, time::Duration,
};

/// Opens connections on one route.
pub(super) struct RouteConnector {
    route: Route,
    /// How many it began to open.
    opened: Arc<AtomicUsize>,
    carried: Arc<AtomicUsize>,
    failed: SharedAddresses,
}

/// What is known of the receiver's addresses, here and on the executor.
pub(super) type SharedAddresses = Arc<Mutex<FailedAddresses>>;

impl RouteConnector {
    pub(super) fn new(
        route: Route,
        opened: Arc<AtomicUsize>,
        carried: Arc<AtomicUsize>,
        failed: SharedAddresses,
    ) -> Self {
        RouteConnector { route, opened, carried, failed }
    }

    fn note_address(&self, tcp: &TcpStream) {
        let Ok(peer) = tcp.peer_addr() else { return };
        let before = self.failed.lock().unwrap_or_else(PoisonError::into_inner).connected(peer.ip());
        if let Some(before) = before {
            log::info!("{}: {} takes the place of {before}, which failed", self.route.origin(), peer.ip());
        }
    }
}

impl Connector for RouteConnector {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Connection>, ureq::Error> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let deadline = deadline(&details.timeout);
        let timed_out = || ureq::Error::Timeout(details.timeout.reason);
        let late = async {
            match deadline {
                Some(deadline) => Timer::at(deadline).await,
                None => std::future::pending().await,
            };
            Err(timed_out())
        };
        let known = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let dialled = async { self.route.connect_tcp(&known).await.map_err(failed) };
        let tcp = blocking(smol::block_on(or(dialled, late))?)?;
        self.note_address(&tcp);
        let mut socket = Socket { tcp, deadline, carried: self.carried.clone() };
        let tls = match self.route.tls().map_err(failed)? {
            None => None,
            Some((config, name)) => {
                let other = |error: rustls::Error| self.route.handshake_failed(TlsFailure::Other(error.to_string()));
                let mut tls = ClientConnection::new(config, name).map_err(|error| failed(other(error)))?;
                tls.complete_io(&mut socket).map_err(|error| match error.kind() {
                    ErrorKind::TimedOut => timed_out(),
                    _ => failed(self.route.handshake_failed(TlsFailure::from(&error))),
                })?;
                Some(Box::new(tls))
            }
        };
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        let prefix = self.route.asks_proxy().map(|_| absolute_form(details.uri));
        Ok(Some(Connection { socket, tls, buffers, prefix, is_at_request: true, takes_no_more: false }))
    }
}

impl fmt::Debug for RouteConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteConnector({})", self.route.origin())
    }
}

/// ureq takes it apart again where it came from.
fn failed(error: HttpError) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}

/// The socket, for reads and writes that block.
fn blocking(tcp: smol::net::TcpStream) -> io::Result<TcpStream> {
    let tcp: Arc<smol::Async<TcpStream>> = tcp.into();
    let tcp = tcp.get_ref().try_clone()?;
    tcp.set_nonblocking(false)?;
    Ok(tcp)
}

fn deadline(timeout: &NextTimeout) -> Option<Instant> {
    match timeout.after {
        Duration::Exact(after) => Some(Instant::now() + after),
        Duration::NotHappening => None,
    }
}

/// Looks nothing up: ureq asks before each request, also where a connection is kept, and a lookup costs bytes and a thread.
#[derive(Debug)]
pub(super) struct NoLookup;

impl Resolver for NoLookup {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut none = self.empty();
        // There has to be one; the connector knows better.
        none.push((Ipv4Addr::UNSPECIFIED, 0).into());
        Ok(none)
    }
}

/// A connection to a receiver, or to the proxy that is to ask it.
pub(super) struct Connection {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
    buffers: LazyBuffers,
    /// Of each request's path: whom a proxy is to ask.
    prefix: Option<String>,
    /// What goes out next is the first of a request.
    is_at_request: bool,
    /// The other side has closed within a request. It may have answered: one that finds a request too large says so and closes.
    takes_no_more: bool,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.socket.deadline = deadline(&timeout);
        let is_at_request = std::mem::replace(&mut self.is_at_request, false);
        if self.takes_no_more {
            return Ok(());
        }
        let output = &self.buffers.output()[..amount];
        let written = match (&mut self.tls, self.prefix.as_ref().filter(|_| is_at_request)) {
            (Some(tls), _) => write_all(&mut Stream::new(&mut **tls, &mut self.socket), output),
            (None, Some(prefix)) => self.socket.write_all(&with_prefix(output, prefix)),
            (None, None) => self.socket.write_all(output),
        };
        match written {
            Err(error) if !is_at_request && is_hang_up(&error) => self.takes_no_more = true,
            written => written.map_err(|error| in_time(error, &timeout))?,
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.socket.deadline = deadline(&timeout);
        self.is_at_request = true;
        let input = self.buffers.input_append_buf();
        let read = match &mut self.tls {
            Some(tls) => Stream::new(&mut **tls, &mut self.socket).read(input),
            None => self.socket.read(input),
        };
        let read = read.map_err(|error| in_time(error, &timeout))?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    fn is_open(&mut self) -> bool {
        !self.takes_no_more
            && self.socket.tcp.set_nonblocking(true).is_ok()
            && self.is_quiet()
            && self.socket.tcp.set_nonblocking(false).is_ok()
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl Connection {
    /// Whether nothing came unasked, not even its end; TLS's own messages (tickets, new keys) aside. The socket doesn't block.
    fn is_quiet(&mut self) -> bool {
        let tcp = &mut self.socket.tcp;
        let Some(tls) = &mut self.tls else { return is_nothing_yet(&tcp.read(&mut [0])) };
        loop {
            match tls.process_new_packets() {
                Ok(state) if !state.peer_has_closed() && state.plaintext_bytes_to_read() == 0 => {}
                _ => return false,
            }
            match tls.read_tls(tcp) {
                Ok(1..) => {}
                ended => return is_nothing_yet(&ended),
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// Whether the other side has closed the connection.
pub(super) fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

fn is_nothing_yet(read: &io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn write_all(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// The start of a request, with the proxy told by its path whom to ask.
fn with_prefix(output: &[u8], prefix: &str) -> Vec<u8> {
    let path_at = output.iter().position(|byte| *byte == b' ').map_or(0, |space| space + 1);
    let (method, rest) = output.split_at(path_at);
    [method, prefix.as_bytes(), rest].concat()
}

fn in_time(error: io::Error, timeout: &NextTimeout) -> ureq::Error {
    match error.kind() {
        ErrorKind::TimedOut => ureq::Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

/// Reads and writes that end by a time, all of them together.
struct Socket {
    tcp: TcpStream,
    deadline: Option<Instant>,
    /// Counts bytes either way.
    carried: Arc<AtomicUsize>,
}

impl Socket {
    fn left(&self) -> io::Result<Option<std::time::Duration>> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(self.left()?)?;
        let read = self.tcp.read(buffer).map_err(timed_out)?;
        self.carried.fetch_add(read, Ordering::Relaxed);
        Ok(read)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(self.left()?)?;
        let written = self.tcp.write(bytes).map_err(timed_out)?;
        self.carried.fetch_add(written, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket that blocks says by this that its time is up.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}
