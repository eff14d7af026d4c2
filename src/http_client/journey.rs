//! A request on its way from one server to the next, as redirects lead it: where to, and what goes along. Sends nothing;
//! asks nobody but a token server.

use super::HttpClient;
use super::USER_AGENT;
use super::dial::{Origin, Route};
use super::error::HttpError;
use super::exchange::add_proxy_login;
use super::headers::is_sensitive;
use super::redirect::{is_foreign, resolve};
use super::zone::authority_without_zone;
use crate::limits::REDIRECTS_MAX;
use crate::model::Secret;
use std::borrow::Cow;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use ureq_proto::http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, LOCATION, USER_AGENT as USER_AGENT_HEADER};
use ureq_proto::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};

/// What to ask. The client adds who asks and what the configuration adds.
pub struct HttpRequest<'r> {
    pub uri: &'r Uri,
    pub headers: &'r [(HeaderName, HeaderValue)],
    /// A GET without, a POST with it.
    pub body: Option<&'r [u8]>,
}

/// A request, and where it has come to.
pub struct Journey<'r> {
    client: Rc<HttpClient>,
    request: &'r HttpRequest<'r>,
    uri: Uri,
    /// It has left the host that was asked first.
    foreign: bool,
    hops: usize,
    /// Where all of it leads to, whatever the URL.
    socket: Option<Arc<Path>>,
}

/// One exchange of a journey.
pub struct Hop {
    pub route: Route,
    /// With all its headers; the body is the request's.
    pub request: Request<()>,
    /// The credentials among the headers: what an answer may repeat of them is not to be shown.
    pub secrets: Vec<Secret>,
}

impl<'r> Journey<'r> {
    pub fn new(client: Rc<HttpClient>, request: &'r HttpRequest<'r>) -> Self {
        Journey { client, request, uri: request.uri.clone(), foreign: false, hops: 0, socket: None }
    }

    /// Every hop goes to the server behind a Unix socket.
    pub(super) fn over_socket(mut self, path: Option<Arc<Path>>) -> Self {
        self.socket = path;
        self
    }

    /// The exchange to make now.
    pub async fn hop(&self) -> Result<Hop, HttpError> {
        let Journey { client, request, uri, foreign, .. } = self;
        let origin = Origin::of(uri).ok_or_else(|| HttpError::Url("it is neither http nor https".into()))?;
        let mut route = client.dialer.route(origin)?;
        if let Some(path) = &self.socket {
            route = route.over_socket(path.clone());
        }
        let (mut headers, mut secrets) = (HeaderMap::new(), Vec::new());
        headers.insert(USER_AGENT_HEADER, HeaderValue::from_static(USER_AGENT));
        if let Some(Cow::Owned(host)) = uri.authority().map(|authority| authority_without_zone(authority.as_str())) {
            let host = HeaderValue::from_str(&host).map_err(|_| HttpError::Url("its host is not one".into()))?;
            headers.insert(HOST, host);
        }
        for (name, value) in request.headers {
            if !(*foreign && is_sensitive(name)) {
                headers.append(name, value.clone());
            }
        }
        if !foreign && let Some(value) = client.credentials.header(&mut secrets).await? {
            headers.insert(AUTHORIZATION, value);
        }
        if let Some(body) = request.body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let mut prepared = Request::new(());
        *prepared.method_mut() = if request.body.is_some() { Method::POST } else { Method::GET };
        *prepared.uri_mut() = uri.clone();
        *prepared.headers_mut() = headers;
        if !foreign {
            client.credentials.sign(&mut prepared, request.body.unwrap_or_default(), &mut secrets)?;
        }
        let headers = prepared.headers_mut();
        client.headers.add(headers, *foreign, &mut secrets)?;
        if let Some(proxy) = route.asks_proxy() {
            add_proxy_login(headers, proxy)?;
        }
        Ok(Hop { route, request: prepared, secrets })
    }

    /// Whether this answer leads on; if not, it is the one to take.
    ///
    /// A POST is sent again where 307 and 308 lead to. Go makes a GET without a body of one that is redirected otherwise:
    /// then its answer would be taken for that to the POST, so here the redirect is the answer.
    pub fn goes_on(&mut self, response: &Response<()>) -> Result<bool, HttpError> {
        let followed = match response.status().as_u16() {
            301..=303 => self.request.body.is_none(),
            307 | 308 => true,
            _ => false,
        };
        let location = response.headers().get(LOCATION).filter(|_| followed && self.client.follow_redirects);
        let Some(location) = location else { return Ok(false) };
        // The Location is not shown: there may be a password in it.
        let next = location.to_str().ok().and_then(|location| resolve(&self.uri, location));
        self.uri = next.ok_or_else(|| HttpError::Url("a redirect leads to what is none".into()))?;
        // Once it has left, nothing secret goes along any more, not even back.
        let first_host = self.request.uri.host().unwrap_or_default();
        self.foreign |= is_foreign(self.uri.host().unwrap_or_default(), first_host);
        self.hops += 1;
        if self.hops == REDIRECTS_MAX { Err(HttpError::TooManyRedirects) } else { Ok(true) }
    }
}

/// What stands before the path in a request to a proxy.
pub fn absolute_form(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    format!("http://{}", authority_without_zone(authority.rsplit_once('@').map_or(authority, |(_, host)| host)))
}
