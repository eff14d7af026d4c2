//! One page by HTTP: a GET, its answer held to limits, within the target's timeout.
//!
//! [`crate::http_client`] knows the protocol and the network; this file knows what Prometheus asks for and what it takes
//! for a page.

use super::body::{Body, FetchLimits};
use super::content_type::{ContentTypeError, Format};
use super::fetch_error::FetchError;
use super::negotiation::{accept_encoding_header, accept_header};
use crate::http_client::{HttpClient, HttpError, HttpRequest, Session};
use crate::model::PageOptions;
use smol::Timer;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use ureq_proto::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use ureq_proto::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

const SCRAPE_TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// Bytes read from the network at once.
const READ_BYTES: usize = 8 * 1024;

/// Bytes of an answer that is no page that are read, so that its connection can be kept.
const ERROR_PAGE_BYTES_MAX: usize = 64 * 1024;

/// Fetches the pages of one target.
pub struct Fetcher {
    url: String,
    timeout: Duration,
    options: Rc<PageOptions>,
    session: Session,
    body: Body,
}

/// A page that arrived.
pub struct Fetched<'f> {
    pub page: &'f [u8],
    /// An empty page is one, whatever its `Content-Type`.
    pub format: Result<Format, ContentTypeError>,
}

impl Fetcher {
    pub fn new(
        url: String,
        timeout: Duration,
        options: Rc<PageOptions>,
        limits: FetchLimits,
        client: Rc<HttpClient>,
    ) -> Self {
        Fetcher { url, timeout, options, session: Session::new(client), body: Body::new(limits) }
    }

    /// Fetches them from whoever listens on a Unix socket.
    pub fn over_socket(mut self, path: &Path) -> Self {
        self.session = self.session.over_socket(path);
        self
    }

    /// The page's bytes and its format.
    pub async fn fetch(&mut self) -> Result<Fetched<'_>, FetchError> {
        let timeout = self.timeout;
        let late = async {
            Timer::after(timeout).await;
            Err(FetchError::TimedOut(timeout))
        };
        // On the heap, since every target's task would hold room for it from one scrape to the next otherwise.
        let fetching = Box::pin(self.fetch_page());
        let headers = smol::future::or(fetching, late).await?;
        let page = self.body.page();
        let format = if page.is_empty() { Ok(Format::Text) } else { self.format_of(&headers) };
        Ok(Fetched { page, format })
    }

    /// Gives the memory of the last page back.
    pub fn release(&mut self) {
        self.body.release();
    }

    /// The answer's headers; its body is in the page buffer.
    async fn fetch_page(&mut self) -> Result<HeaderMap, FetchError> {
        self.body.clear();
        let uri: Uri = self.url.parse().map_err(|error| HttpError::Url(format!("{error}")))?;
        let headers = self.request_headers()?;
        let request = HttpRequest { uri: &uri, headers: &headers, body: None };
        let mut answer = self.session.send(&request).await?;
        if answer.status() != StatusCode::OK {
            // The status is the cause, whatever becomes of the rest.
            _ = answer.read_all(ERROR_PAGE_BYTES_MAX).await;
            return Err(FetchError::Status(answer.status().to_string()));
        }
        let encoding = answer.headers().get(CONTENT_ENCODING).map_or(&b""[..], |encoding| encoding.as_bytes());
        self.body.begin(encoding)?;
        let mut piece = vec![0; READ_BYTES];
        loop {
            match answer.read(&mut piece).await? {
                0 => break,
                read => self.body.push(&piece[..read])?,
            }
        }
        self.body.finish()?;
        Ok(answer.headers().clone())
    }

    fn request_headers(&self) -> Result<[(HeaderName, HeaderValue); 3], HttpError> {
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| HttpError::NotAHeader("scrape".into()));
        Ok([
            (ACCEPT, value(&accept_header(&self.options))?),
            (ACCEPT_ENCODING, value(accept_encoding_header(&self.options))?),
            (SCRAPE_TIMEOUT, value(&self.timeout.as_secs_f64().to_string())?),
        ])
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
