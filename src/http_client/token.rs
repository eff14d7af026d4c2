//! A token, kept until it ends. One fetch at a time: whoever else needs it waits for the one that is under way.

use super::error::HttpError;
use super::journey::HttpRequest;
use super::oauth2::{Style, Token, form, login, read_token_answer};
use super::options::{Auth, HttpClientOptions, OAuth2Options};
use super::session::Session;
use super::{HttpClient, credentials};
use crate::dns::Resolver;
use crate::limits::TOKEN_ANSWER_BYTES_MAX;
use crate::model::Secret;
use crate::secrets::{SecretReader, TextKind};
use crate::tls::TlsError;
use smol::lock::Mutex;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;
use ureq_proto::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq_proto::http::{HeaderValue, Uri};

pub(super) struct TokenSource {
    options: OAuth2Options,
    secret: Option<SecretReader>,
    client: Rc<HttpClient>,
    held: Mutex<Option<Held>>,
    /// What the server was found to understand.
    style: Cell<Option<Style>>,
}

struct Held {
    token: Token,
    asked_at: Instant,
    /// It was asked for with this one; another asks for another.
    secret: Rc<Secret>,
}

impl TokenSource {
    pub(super) fn new(options: &OAuth2Options, resolver: &Resolver) -> Result<TokenSource, TlsError> {
        let http = HttpClientOptions {
            auth: Auth::None,
            tls: options.tls.clone(),
            proxy: options.proxy.clone(),
            ..HttpClientOptions::default()
        };
        Ok(TokenSource {
            secret: options.client_secret.clone().map(|source| SecretReader::new(source, TextKind::Secret)),
            client: HttpClient::new(&http, resolver.clone())?,
            options: options.clone(),
            held: Mutex::new(None),
            style: Cell::new(None),
        })
    }

    /// The token to use now.
    pub(super) async fn token(&self) -> Result<Token, HttpError> {
        let mut held = self.held.lock().await;
        let secret = match &self.secret {
            Some(reader) => reader.read().map_err(HttpError::Secret)?,
            None => Rc::new(Secret::new("")),
        };
        if let Some(held) = held.as_ref().filter(|held| held.is_usable(&secret)) {
            return Ok(held.token.clone());
        }
        let asked_at = Instant::now();
        let token = self.fetch(&secret).await?;
        *held = Some(Held { token: token.clone(), asked_at, secret });
        Ok(token)
    }

    /// In the way that the server is known to understand, or else in both.
    async fn fetch(&self, secret: &Secret) -> Result<Token, HttpError> {
        if let Some(style) = self.style.get() {
            return self.ask(secret, style).await;
        }
        let (style, token) = match self.ask(secret, Style::Header).await {
            Ok(token) => (Style::Header, token),
            Err(HttpError::Token { .. }) => (Style::Form, self.ask(secret, Style::Form).await?),
            Err(error) => return Err(error),
        };
        self.style.set(Some(style));
        Ok(token)
    }

    async fn ask(&self, secret: &Secret, style: Style) -> Result<Token, HttpError> {
        let uri: Uri = self.options.token_url.parse().map_err(|_| HttpError::Url("token_url is none".into()))?;
        let refused = |cause| HttpError::Token { host: uri.host().unwrap_or_default().to_owned(), cause };
        let form = form(&self.options, secret, style);
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))];
        if let Some(login) = login(&self.options, secret, style) {
            headers.push((AUTHORIZATION, credentials::sensitive(&login)?));
        }
        let mut session = Session::new(self.client.clone());
        let request = HttpRequest { uri: &uri, headers: &headers, body: Some(form.as_bytes()) };
        // Boxed, since a session may need a token, and so holds what this is.
        let mut answer = Box::pin(session.send(&request)).await?;
        let body = answer.read_all(TOKEN_ANSWER_BYTES_MAX).await?;
        let body = body.ok_or_else(|| refused(format!("its answer is larger than {TOKEN_ANSWER_BYTES_MAX} bytes")))?;
        let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let token = read_token_answer(answer.status().as_u16(), content_type.unwrap_or_default(), &body);
        // As the code of an error, it may repeat what it was told.
        let is_shown = |cause: &String| !secret.expose().is_empty() && cause.contains(secret.expose());
        token.map_err(|cause| refused(if is_shown(&cause) { "its answer repeats the secret".into() } else { cause }))
    }
}

impl Held {
    fn is_usable(&self, secret: &Secret) -> bool {
        let is_fresh = self.token.usable_for.is_none_or(|usable_for| self.asked_at.elapsed() < usable_for);
        is_fresh && *self.secret == *secret
    }
}
