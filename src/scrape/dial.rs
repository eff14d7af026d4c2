//! From an origin to a stream of bytes: name resolution, TCP, TLS. The edge: everything here waits for somebody else.

use super::fetch_error::FetchError;
use crate::limits::RESOLVES_AT_ONCE_MAX;
use crate::model::Scheme;
use crate::tls::{TlsError, TlsOptions, client_config};
use futures_rustls::client::TlsStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::lock::Semaphore;
use smol::net::TcpStream;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use ureq_proto::http::Uri;

/// Where a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub scheme: Scheme,
    /// Without the brackets of an IPv6 address.
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
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
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

/// Looks names up, a few at a time, on threads of the blocking pool; shared by all targets of an agent.
#[derive(Clone)]
pub struct Resolver {
    permits: Arc<Semaphore>,
}

impl Resolver {
    pub fn new() -> Self {
        Resolver { permits: Arc::new(Semaphore::new(RESOLVES_AT_ONCE_MAX)) }
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]);
        }
        let permit = self.permits.acquire_arc().await;
        let host = host.to_owned();
        // The permit goes along: a lookup that nobody waits for any more still holds its thread.
        smol::unblock(move || {
            let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            drop(permit);
            addresses
        })
        .await
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new()
    }
}

/// How the targets of one scrape configuration are reached.
pub struct Dialer {
    resolver: Resolver,
    tls: TlsOptions,
    /// Built when there is first an `https` target; most devices have none.
    tls_config: RefCell<Option<Arc<ClientConfig>>>,
}

impl Dialer {
    pub fn new(resolver: Resolver, tls: TlsOptions) -> Self {
        Dialer { resolver, tls, tls_config: RefCell::new(None) }
    }

    pub async fn connect(&self, origin: &Origin) -> Result<Stream, FetchError> {
        let addresses = self.resolver.resolve(&origin.host, origin.port).await;
        let addresses =
            addresses.map_err(|error| FetchError::Resolve { host: origin.host.clone(), cause: error.to_string() })?;
        let connected = connect_first(&addresses).await;
        let tcp = connected.map_err(|error| FetchError::connect(origin, &error))?;
        match origin.scheme {
            Scheme::Http => Ok(Stream::Plain(tcp)),
            Scheme::Https => self.handshake(origin, tcp).await,
        }
    }

    async fn handshake(&self, origin: &Origin, tcp: TcpStream) -> Result<Stream, FetchError> {
        let failed = |cause: String| FetchError::Handshake { origin: origin.to_string(), cause };
        let name = ServerName::try_from(origin.host.clone()).map_err(|error| failed(error.to_string()))?;
        let connector = futures_rustls::TlsConnector::from(self.tls_config().map_err(FetchError::Tls)?);
        let stream = connector.connect(name, tcp).await.map_err(|error| failed(error.to_string()))?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    fn tls_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(config) = &*self.tls_config.borrow() {
            return Ok(config.clone());
        }
        let config = client_config(&self.tls)?;
        *self.tls_config.borrow_mut() = Some(config.clone());
        Ok(config)
    }
}

async fn connect_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A connection to a target.
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Bytes read; none at the end of the stream.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read(buffer).await,
            Stream::Tls(tls) => tls.read(buffer).await,
        }
    }

    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.write_all(bytes).await,
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

    #[test]
    fn addresses_and_localhost_need_no_resolver() {
        // All permits are taken: whoever asks for one waits for ever.
        let resolver = Resolver::new();
        let _taken: Vec<_> = (0..RESOLVES_AT_ONCE_MAX).map(|_| resolver.permits.try_acquire().unwrap()).collect();
        for (host, first) in [("127.0.0.1", "127.0.0.1:5"), ("::1", "[::1]:5"), ("LocalHost", "127.0.0.1:5")] {
            let addresses = smol::block_on(resolver.resolve(host, 5)).unwrap();
            assert_eq!(addresses[0].to_string(), first);
        }
        let waiting = async { Some(resolver.resolve("a.invalid", 5).await) };
        assert!(smol::block_on(smol::future::or(waiting, async { None })).is_none(), "a name takes a permit");
    }
}
