//! The bytes of one page as they arrive: inflated if they come compressed, held to limits.
//!
//! Refuses to know where they come from and what they say.

use super::fetch_error::FetchError;
use super::gunzip::Gunzip;
use crate::limits::{PAGE_BYTES_MAX, PAGE_LINE_BYTES_MAX};

/// Bounds on one page, once it is inflated.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Prometheus's `body_size_limit`: a page of this size is too large already. 0 for none.
    pub body_size_bytes_limit: u64,
    /// What a page may have at most, whatever is configured.
    pub page_bytes_max: usize,
    pub line_bytes_max: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        let (page_bytes_max, line_bytes_max) = (PAGE_BYTES_MAX, PAGE_LINE_BYTES_MAX);
        FetchLimits { body_size_bytes_limit: 0, page_bytes_max, line_bytes_max }
    }
}

/// One page after the other. Between two pages it holds no memory.
pub struct Body {
    limits: FetchLimits,
    page: Vec<u8>,
    /// Size of the last page that was released: the next one is likely to be as large.
    usual_bytes: usize,
    gunzip: Option<Gunzip>,
    /// Of the line that is under way.
    line_bytes: usize,
}

impl Body {
    pub fn new(limits: FetchLimits) -> Body {
        Body { limits, page: Vec::new(), usual_bytes: 0, gunzip: None, line_bytes: 0 }
    }

    pub fn page(&self) -> &[u8] {
        &self.page
    }

    /// Begins the next page.
    pub fn clear(&mut self) {
        self.page.clear();
        self.page.reserve_exact(self.usual_bytes + self.usual_bytes / 16);
        self.gunzip = None;
        self.line_bytes = 0;
    }

    /// Gives the page's memory back: hundreds of targets would hold a page each from one scrape to the next.
    pub fn release(&mut self) {
        self.usual_bytes = self.page.len();
        self.page = Vec::new();
        self.gunzip = None;
    }

    /// What the answer's `Content-Encoding` says; as in Prometheus, an unknown one is no matter.
    pub fn begin(&mut self, content_encoding: &[u8]) -> Result<(), FetchError> {
        match content_encoding {
            b"gzip" => self.gunzip = Some(Gunzip::default()),
            b"zstd" => return Err(FetchError::ContentEncoding("zstd".into())),
            _ => {}
        }
        Ok(())
    }

    /// The next bytes of the answer.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), FetchError> {
        let Some(mut gunzip) = self.gunzip.take() else {
            let before = self.page.len();
            self.page.extend_from_slice(bytes);
            return self.check(before);
        };
        loop {
            let before = self.page.len();
            let used = gunzip.step(bytes, &mut self.page).map_err(FetchError::Gunzip)?;
            bytes = &bytes[used..];
            self.check(before)?;
            if used == 0 && self.page.len() == before {
                self.gunzip = Some(gunzip);
                return Ok(());
            }
        }
    }

    /// The answer is complete.
    pub fn finish(&mut self) -> Result<(), FetchError> {
        self.gunzip.take().map_or(Ok(()), |gunzip| gunzip.finish()).map_err(FetchError::Gunzip)
    }

    /// Holds what came behind `before` to the limits.
    fn check(&mut self, before: usize) -> Result<(), FetchError> {
        let FetchLimits { body_size_bytes_limit, page_bytes_max, line_bytes_max } = self.limits;
        if body_size_bytes_limit > 0 && self.page.len() as u64 >= body_size_bytes_limit {
            return Err(FetchError::BodySizeLimit { bytes_limit: body_size_bytes_limit });
        }
        if self.page.len() > page_bytes_max {
            return Err(FetchError::PageTooLarge { bytes_max: page_bytes_max });
        }
        for (part, line) in self.page[before..].split(|byte| *byte == b'\n').enumerate() {
            self.line_bytes = if part == 0 { self.line_bytes } else { 0 } + line.len();
            if self.line_bytes > line_bytes_max {
                return Err(FetchError::LineTooLong { bytes_max: line_bytes_max });
            }
        }
        Ok(())
    }
}
