//! One page by HTTP: a GET, its answer held to limits, within the target's timeout.
//!
//! [`crate::http_client`] knows the protocol and the network; this file knows what Prometheus asks for and what a page may
//! be.

use super::content_type::{ContentTypeError, Format};
use super::fetch_error::FetchError;
use crate::http_client::{Answer, HttpClient, HttpError, HttpRequest, Session};
use crate::limits::{PAGE_BYTES_MAX, PAGE_LINE_BYTES_MAX};
use smol::Timer;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use ureq_proto::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use ureq_proto::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

/// What Prometheus sends with `scrape_protocols: [PrometheusText0.0.4]`.
const ACCEPTED: &str = "text/plain;version=0.0.4;q=0.6,*/*;q=0.5";

const SCRAPE_TIMEOUT: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// Bytes of an answer that is no page that are read, so that its connection can be kept.
const ERROR_PAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes read from the network at once.
const READ_BYTES: usize = 8 * 1024;

/// A page buffer larger than this is given back when pages have become this many times smaller.
const SHRINK_FACTOR: usize = 4;

/// Bounds on one page.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    pub page_bytes_max: usize,
    pub line_bytes_max: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        FetchLimits { page_bytes_max: PAGE_BYTES_MAX, line_bytes_max: PAGE_LINE_BYTES_MAX }
    }
}

/// Fetches the pages of one target.
pub struct Fetcher {
    url: String,
    timeout: Duration,
    limits: FetchLimits,
    session: Session,
    page: Vec<u8>,
}

impl Fetcher {
    pub fn new(url: String, timeout: Duration, limits: FetchLimits, client: Rc<HttpClient>) -> Self {
        Fetcher { url, timeout, limits, session: Session::new(client), page: Vec::new() }
    }

    /// Fetches them from whoever listens on a Unix socket.
    pub fn over_socket(mut self, path: PathBuf) -> Self {
        self.session = self.session.over_socket(path);
        self
    }

    /// The page's bytes and its format. An empty page is a page, whatever its `Content-Type`.
    pub async fn fetch(&mut self) -> Result<(&[u8], Format), FetchError> {
        let timeout = self.timeout;
        let late = async {
            Timer::after(timeout).await;
            Err(FetchError::TimedOut(timeout))
        };
        let format = smol::future::or(self.fetch_page(), late).await?;
        Ok((&self.page, format))
    }

    async fn fetch_page(&mut self) -> Result<Format, FetchError> {
        self.clear_page();
        let uri: Uri = self.url.parse().map_err(|error| HttpError::Url(format!("{error}")))?;
        let headers = self.headers();
        let request = HttpRequest { uri: &uri, headers: &headers, body: None };
        let mut answer = self.session.send(&request).await?;
        if answer.status() != StatusCode::OK {
            let status = answer.status().to_string();
            // To its end, so that the connection can be kept.
            answer.read_all(ERROR_PAGE_BYTES_MAX).await?;
            return Err(FetchError::Status(status));
        }
        receive_page(&mut answer, &mut self.page, self.limits).await?;
        if self.page.is_empty() { Ok(Format::Text) } else { format_of(answer.headers()) }
    }

    fn headers(&self) -> [(HeaderName, HeaderValue); 3] {
        let timeout = self.timeout.as_secs_f64().to_string();
        [
            (ACCEPT, HeaderValue::from_static(ACCEPTED)),
            (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            // Digits and a point are always a header's value.
            (SCRAPE_TIMEOUT, HeaderValue::try_from(timeout).unwrap_or(HeaderValue::from_static("0"))),
        ]
    }

    /// Empties the page, and gives memory back that a far larger page once took.
    fn clear_page(&mut self) {
        if self.page.capacity() > READ_BYTES.max(self.page.len() * SHRINK_FACTOR) {
            self.page.shrink_to(self.page.len());
        }
        self.page.clear();
    }
}

/// Moves the answer's body to the page, within limits.
async fn receive_page(answer: &mut Answer<'_>, page: &mut Vec<u8>, limits: FetchLimits) -> Result<(), FetchError> {
    let mut line_bytes = 0;
    loop {
        let start = page.len();
        page.resize(start + READ_BYTES, 0);
        let read = answer.read(&mut page[start..]).await;
        page.truncate(start + *read.as_ref().unwrap_or(&0));
        if read? == 0 {
            return Ok(());
        }
        if page.len() > limits.page_bytes_max {
            return Err(FetchError::PageTooLarge { bytes_max: limits.page_bytes_max });
        }
        for (part, line) in page[start..].split(|byte| *byte == b'\n').enumerate() {
            line_bytes = if part == 0 { line_bytes } else { 0 } + line.len();
            if line_bytes > limits.line_bytes_max {
                return Err(FetchError::LineTooLong { bytes_max: limits.line_bytes_max });
            }
        }
    }
}

fn format_of(headers: &HeaderMap) -> Result<Format, FetchError> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        return Err(FetchError::ContentEncoding(String::from_utf8_lossy(encoding.as_bytes()).into_owned()));
    }
    let content_type = headers.get(CONTENT_TYPE).map_or(Ok(""), |value| value.to_str());
    let content_type =
        content_type.map_err(|_| FetchError::ContentType(ContentTypeError::Malformed("(not ASCII)".into())))?;
    Format::of(content_type.trim()).map_err(FetchError::ContentType)
}
