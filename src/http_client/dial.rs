//! From an origin to a stream of bytes: name resolution, TCP, a proxy, TLS. The edge: everything here waits for somebody
//! else.

use super::addresses::FailedAddresses;
use super::error::HttpError;
use super::exchange::tunnel;
use super::options::ProxyOptions;
use super::proxy::{Proxies, ProxyUrl};
use super::socket::Socket;
use super::zone::{host_of, without_zone};
use crate::dns::Resolver;
use crate::model::{Scheme, Secret};
use crate::tls::{TlsClient, TlsError, TlsFailure, TlsOptions};
use futures_rustls::client::TlsStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use smol::Timer;
use smol::future::{or, poll_once};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;
use smol::net::unix::UnixStream;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use ureq_proto::http::Uri;

/// How long an address may take before the next one is tried beside it, as in Go.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(300);

/// Where a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub scheme: Scheme,
    /// Without the brackets of an IPv6 address, with its zone if it has one.
    pub host: String,
    pub port: u16,
}

impl Origin {
    /// `None` if the URL is not one of `http` or `https` with a host.
    pub fn of(uri: &Uri) -> Option<Origin> {
        let (scheme, default_port) = match uri.scheme_str()? {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            _ => return None,
        };
        let host = host_of(uri.host()?);
        Some(Origin { scheme, host, port: uri.port_u16().unwrap_or(default_port) })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How a client's servers are reached.
pub(super) struct Dialer {
    resolver: Resolver,
    tls: TlsClient,
    proxies: Proxies,
    connect_headers: Arc<[(String, Vec<Secret>)]>,
}

impl Dialer {
    pub(super) fn new(resolver: Resolver, tls: &TlsOptions, proxy: &ProxyOptions) -> Result<Self, TlsError> {
        Ok(Dialer {
            resolver,
            tls: TlsClient::new(tls)?,
            proxies: Proxies::new(proxy),
            connect_headers: proxy.connect_headers.as_slice().into(),
        })
    }

    pub(super) fn check_tls(&self) -> Result<(), TlsError> {
        self.tls.config().map(drop)
    }

    /// The way as of now: files that TLS needs may have changed.
    pub(super) fn route(&self, origin: Origin) -> Result<Route, HttpError> {
        let tls = match origin.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(self.tls.config().map_err(HttpError::Tls)?),
        };
        Ok(Route {
            proxy: self.proxies.for_origin(&origin).cloned(),
            origin,
            tls,
            server_name: self.tls.server_name().cloned(),
            resolver: self.resolver.clone(),
            connect_headers: self.connect_headers.clone(),
            socket: None,
        })
    }
}

/// A way to a server, and what it depends on: a connection is kept for the next request only while that is the same. Goes
/// to other threads.
#[derive(Clone)]
pub struct Route {
    origin: Origin,
    proxy: Option<ProxyUrl>,
    /// For `https` origins.
    tls: Option<Arc<ClientConfig>>,
    server_name: Option<ServerName<'static>>,
    resolver: Resolver,
    connect_headers: Arc<[(String, Vec<Secret>)]>,
    /// Where it leads to instead, whatever the origin.
    socket: Option<Arc<Path>>,
}

impl PartialEq for Route {
    /// Among those of one `Dialer`.
    fn eq(&self, other: &Self) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        same_tls && self.origin == other.origin && self.proxy == other.proxy && self.socket == other.socket
    }
}

impl Route {
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether requests go to the proxy rather than through it.
    pub fn asks_proxy(&self) -> Option<&ProxyUrl> {
        self.proxy.as_ref().filter(|_| self.origin.scheme == Scheme::Http)
    }

    /// What TLS with the origin begins with; `None` if it is asked without.
    pub fn tls(&self) -> Result<Option<(Arc<ClientConfig>, ServerName<'static>)>, HttpError> {
        let Some(config) = &self.tls else { return Ok(None) };
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(without_zone(&self.origin.host).to_owned())
                .map_err(|error| self.handshake_failed(TlsFailure::Other(error.to_string())))?,
        };
        Ok(Some((config.clone(), name)))
    }

    pub fn handshake_failed(&self, cause: TlsFailure) -> HttpError {
        HttpError::Handshake { origin: self.origin.to_string(), cause }
    }

    /// A connection that leads to the origin, through its proxy if there is one, before TLS.
    /// Addresses that `failed` knows are tried last.
    pub async fn connect_tcp(&self, failed: &FailedAddresses) -> Result<TcpStream, HttpError> {
        let hop = self.proxy.as_ref().map_or_else(|| self.origin.clone(), ProxyUrl::origin);
        let addresses = self.resolver.resolve(&hop.host, hop.port).await;
        let mut addresses =
            addresses.map_err(|error| HttpError::Resolve { host: hop.host.clone(), cause: error.to_string() })?;
        failed.order(&mut addresses);
        let mut tcp = connect_first(&addresses).await.map_err(|error| HttpError::connect(&hop, &error))?;
        tcp.set_nodelay(true).map_err(|error| HttpError::connect(&hop, &error))?;
        if let Some(proxy) = self.proxy.as_ref().filter(|_| self.tls.is_some()) {
            tcp = tunnel(tcp, proxy, &self.origin, &self.connect_headers).await?;
        }
        Ok(tcp)
    }

    /// The same, to the server behind a Unix socket. No proxy is in between.
    pub(super) fn over_socket(self, path: Arc<Path>) -> Route {
        Route { proxy: None, socket: Some(path), ..self }
    }

    pub(super) async fn connect(&self) -> Result<Stream, HttpError> {
        let tls = self.tls()?;
        let socket = match &self.socket {
            None => Socket::Tcp(self.connect_tcp(&FailedAddresses::default()).await?),
            Some(path) => {
                let unix = UnixStream::connect(path).await;
                Socket::Unix(unix.map_err(|error| HttpError::connect(&path.display(), &error))?)
            }
        };
        let Some((config, name)) = tls else { return Ok(Stream::Plain(socket)) };
        let stream = futures_rustls::TlsConnector::from(config).connect(name, socket).await;
        let stream = stream.map_err(|error| self.handshake_failed(TlsFailure::from(&error)))?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// The first connection that comes about. An address that does not answer is not waited for: the next one is tried beside
/// it after a while (RFC 8305), or else a network whose IPv6 leads nowhere would cost every request its whole time.
pub(super) async fn connect_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let Some((first, rest)) = addresses.split_first() else {
        return Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
    };
    if rest.is_empty() {
        return TcpStream::connect(first).await;
    }
    let mut connecting = pin!(TcpStream::connect(first));
    let waited = async {
        Timer::after(NEXT_ADDRESS_AFTER).await;
        None
    };
    match or(async { Some(connecting.as_mut().await) }, waited).await {
        Some(Ok(tcp)) => Ok(tcp),
        Some(Err(_)) => Box::pin(connect_first(rest)).await,
        None => first_ok(connecting, Box::pin(connect_first(rest))).await,
    }
}

/// What is ready first and good; the second's error if neither is.
async fn first_ok<T>(
    mut first: impl Future<Output = io::Result<T>> + Unpin,
    mut second: impl Future<Output = io::Result<T>> + Unpin,
) -> io::Result<T> {
    let (mut first_failed, mut second_error) = (false, None);
    poll_fn(move |context| {
        if !first_failed && let Poll::Ready(result) = Pin::new(&mut first).poll(context) {
            match result {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(_) => first_failed = true,
            }
        }
        if second_error.is_none()
            && let Poll::Ready(result) = Pin::new(&mut second).poll(context)
        {
            match result {
                Ok(value) => return Poll::Ready(Ok(value)),
                Err(error) => second_error = Some(error),
            }
        }
        match second_error.take() {
            Some(error) if first_failed => Poll::Ready(Err(error)),
            error => {
                second_error = error;
                Poll::Pending
            }
        }
    })
    .await
}

/// A connection to a server.
pub enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    /// Bytes read; none at the end of the stream.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer).await,
            Stream::Tls(tls) => tls.read(buffer).await,
        }
    }

    /// Whether it can still be used: nothing came unasked, not even its end.
    pub async fn is_quiet(&mut self) -> bool {
        poll_once(self.read(&mut [0])).await.is_none()
    }

    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.write_all(bytes).await,
            Stream::Tls(tls) => {
                tls.write_all(bytes).await?;
                tls.flush().await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_from_urls() {
        for (url, shown) in [
            ("http://a/metrics", Some("a:80")),
            ("https://a/", Some("a:443")),
            ("http://[::1]:9100/metrics", Some("[::1]:9100")),
            ("http://user:secret@a:1/", Some("a:1")),
            ("ftp://a/", None),
            ("/metrics", None),
        ] {
            let origin = Origin::of(&url.parse().unwrap()).map(|origin| origin.to_string());
            assert_eq!(origin.as_deref(), shown, "{url}");
        }
    }
}
