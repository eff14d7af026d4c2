//! `http_sd`: a URL whose answer is a list of groups in JSON, asked for again and again.
//!
//! As Prometheus's `discovery/http`: an answer that is none, or no list, leaves the targets as they are.

use super::group::Group;
use super::json::parse_json;
use crate::http_client::{HttpClient, HttpClientOptions, HttpError, HttpRequest, Session};
use crate::limits::SD_DOCUMENT_BYTES_MAX;
use smol::Timer;
use smol::future::or;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use ureq_proto::http::header::{ACCEPT, CONTENT_TYPE};
use ureq_proto::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

const URL_LABEL: &str = "__meta_url";

const REFRESH_INTERVAL: HeaderName = HeaderName::from_static("x-prometheus-refresh-interval-seconds");

/// One `http_sd_configs` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSdOptions {
    /// `http` or `https`, with a host.
    pub url: String,
    /// Also how long an answer may take.
    pub refresh_interval: Duration,
    pub http: HttpClientOptions,
}

/// Why there is no list. Each is one line; none shows the URL, which may hold a password.
#[derive(Debug)]
pub enum HttpSdError {
    Http(HttpError),
    TimedOut(Duration),
    Status(StatusCode),
    ContentType(String),
    TooLarge,
    List(String),
}

impl fmt::Display for HttpSdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpSdError::Http(error) => error.fmt(f),
            HttpSdError::TimedOut(time) => {
                write!(f, "no answer within the refresh_interval of {time:?}; let it be longer")
            }
            HttpSdError::Status(status) => write!(f, "server returned HTTP status {status}"),
            HttpSdError::ContentType(found) => {
                write!(f, "unsupported content type {found:?}; let the server say application/json")
            }
            HttpSdError::TooLarge => {
                write!(f, "the list is larger than {SD_DOCUMENT_BYTES_MAX} bytes; let the server list fewer targets")
            }
            HttpSdError::List(problem) => write!(f, "the answer {problem}"),
        }
    }
}

impl std::error::Error for HttpSdError {}

impl From<HttpError> for HttpSdError {
    fn from(error: HttpError) -> Self {
        HttpSdError::Http(error)
    }
}

/// Asks for one list, again and again, on a connection that is kept.
pub struct HttpDiscovery {
    options: HttpSdOptions,
    session: Session,
}

impl HttpDiscovery {
    pub fn new(options: HttpSdOptions, client: Rc<HttpClient>) -> HttpDiscovery {
        HttpDiscovery { options, session: Session::new(client) }
    }

    /// The URL without what is in front of an `@`, and without its query.
    pub fn shown_url(&self) -> String {
        let uri: Option<Uri> = self.options.url.parse().ok();
        let shown = uri.as_ref().and_then(|uri| {
            let host = uri.authority()?.as_str().rsplit('@').next()?;
            Some(format!("{}://{host}{}", uri.scheme_str()?, uri.path()))
        });
        shown.unwrap_or_default()
    }

    /// The groups that the answer lists.
    pub async fn look(&mut self) -> Result<Vec<Group>, HttpSdError> {
        let time = self.options.refresh_interval;
        let late = async {
            Timer::after(time).await;
            Err(HttpSdError::TimedOut(time))
        };
        let body = or(self.fetch(), late).await?;
        groups_of(&self.options.url, &body)
    }

    async fn fetch(&mut self) -> Result<Vec<u8>, HttpSdError> {
        let uri: Uri = self.options.url.parse().map_err(|_| HttpError::Url("it is malformed".into()))?;
        let interval = self.options.refresh_interval.as_secs_f64().to_string();
        let headers = [
            (ACCEPT, HeaderValue::from_static("application/json")),
            // Digits and a point are always a header's value.
            (REFRESH_INTERVAL, HeaderValue::try_from(interval).unwrap_or(HeaderValue::from_static("0"))),
        ];
        let mut answer = self.session.send(&HttpRequest { uri: &uri, headers: &headers, body: None }).await?;
        let (status, content_type) = (answer.status(), content_type(answer.headers()));
        // To its end in any case, so that the connection can be kept.
        let body = answer.read_all(SD_DOCUMENT_BYTES_MAX).await?;
        match body {
            _ if status != StatusCode::OK => Err(HttpSdError::Status(status)),
            _ if !is_json(&content_type) => Err(HttpSdError::ContentType(content_type)),
            None => Err(HttpSdError::TooLarge),
            Some(body) => Ok(body),
        }
    }
}

fn content_type(headers: &HeaderMap) -> String {
    headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// Prometheus's `^(?i:application\/json(;\s*charset=("utf-8"|utf-8))?)$`.
fn is_json(content_type: &str) -> bool {
    let lower = content_type.trim().to_ascii_lowercase();
    let Some(parameters) = lower.strip_prefix("application/json") else { return false };
    let Some(parameter) = parameters.strip_prefix(';') else { return parameters.is_empty() };
    let parameter = parameter.trim_start_matches(['\t', '\n', '\u{c}', '\r', ' ']);
    matches!(parameter, "charset=utf-8" | "charset=\"utf-8\"")
}

fn groups_of(url: &str, body: &[u8]) -> Result<Vec<Group>, HttpSdError> {
    let mut groups = parse_json(body).map_err(HttpSdError::List)?;
    for (group, index) in groups.iter_mut().zip(0..) {
        group.source = format!("http_sd:{index}");
        group.set_label(URL_LABEL, url);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_is_json_and_nothing_else() {
        for good in [
            "application/json",
            " Application/JSON ",
            "application/json;charset=utf-8",
            "application/json; charset=\"UTF-8\"",
            "application/json;\t charset=utf-8",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/jsonp",
            "application/json;",
            "application/json; charset=latin1",
            "application/json ;charset=utf-8",
            "application/json; charset=utf-8; x=y",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn groups_know_where_they_come_from() {
        let groups = groups_of("http://a/b", br#"[{"targets":["x:1"],"labels":{"__meta_url":"theirs"}},{}]"#).unwrap();
        assert_eq!(groups[1].source, "http_sd:1");
        assert_eq!(groups[0].labels, [("__meta_url".into(), "http://a/b".to_string())]);
        assert!(matches!(groups_of("http://a/b", b"{}"), Err(HttpSdError::List(_))));
    }
}
