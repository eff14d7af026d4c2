//! HTTP/1.1 as a client: for targets, lists of targets and token servers, on the executor. ureq-proto, ureq's own sans-IO
//! HTTP, knows the protocol. No thread waits: a server that hangs costs a socket.
//!
//! Receivers are asked by ureq itself (`remote_write`), with what is decided here: [`Hop`] by [`Hop`], each on its [`Route`].
//!
//! ```text
//!  HttpClientOptions ─► HttpClient, shared by all targets of a scrape configuration
//!                         │  credentials, headers ─ what goes along       (oauth2: asked of a token server first; sigv4)
//!                         │  proxy ─────────────── by way of whom         pure
//!                         │  dial, tls ─────────── a stream of bytes      edge
//!                         ▼
//!                       Journey: where a request goes to next             redirect: where to, and is it the same host
//!                         │  Hop ─ one exchange: Route, request, secrets
//!                         ▼
//!                       Session: one exchange after the other, its connection kept for the next
//!                         │  exchange ─ request out, head in            head: as Go takes it
//!                         ▼
//!                       Answer: the body, piece by piece, as fast as it is asked for
//! ```
//!
//! Refuses to know what is fetched or sent, how large it may be and how long it may take: whoever asks bounds both.

mod addresses;
mod credentials;
mod dial;
mod error;
mod exchange;
mod head;
mod headers;
mod journey;
mod oauth2;
mod options;
mod proxy;
mod redirect;
mod session;
mod sigv4;
mod socket;
#[cfg(test)]
mod tests;
mod token;
mod zone;

pub use addresses::FailedAddresses;
pub use dial::Route;
pub use error::HttpError;
pub use headers::is_reserved;
pub use journey::{Hop, HttpRequest, Journey, absolute_form};
pub use oauth2::{Token, read_token_answer};
pub use options::{Auth, HeaderOptions, HttpClientOptions, OAuth2Options, ProxyChoice, ProxyOptions, SigV4Options};
pub use proxy::{ProxyUrl, ProxyUrlError};
pub use session::{Answer, IDLE_MAX, Session};

use crate::dns::Resolver;
use crate::tls::TlsError;
use credentials::Credentials;
use dial::Dialer;
use headers::ConfiguredHeaders;
use std::rc::Rc;

/// As whom requests are sent.
const USER_AGENT: &str = concat!("Narthex/", env!("CARGO_PKG_VERSION"));

/// What all sessions of one configuration share.
pub struct HttpClient {
    dialer: Dialer,
    credentials: Credentials,
    headers: ConfiguredHeaders,
    follow_redirects: bool,
}

impl HttpClient {
    /// Reads no file and connects to nothing. Fails if the options can't be together, which a configuration that was read
    /// from a file doesn't have.
    pub fn new(options: &HttpClientOptions, resolver: Resolver) -> Result<Rc<HttpClient>, TlsError> {
        Ok(Rc::new(HttpClient {
            credentials: Credentials::new(&options.auth, &resolver)?,
            headers: ConfiguredHeaders::new(&options.http_headers),
            dialer: Dialer::new(resolver, &options.tls, &options.proxy)?,
            follow_redirects: options.follow_redirects,
        }))
    }

    /// Reads the files that TLS needs, so that what is wrong with them is known before anything is sent.
    pub fn check_tls(&self) -> Result<(), TlsError> {
        self.dialer.check_tls()
    }
}
