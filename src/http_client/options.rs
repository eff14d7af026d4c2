//! What an HTTP client is configured with: Prometheus's `HTTPClientConfig`, with its names and defaults.

use super::proxy::ProxyUrl;
use crate::model::Secret;
use crate::secrets::SecretSource;
use crate::tls::TlsOptions;
use std::path::PathBuf;

/// The options of one scrape configuration, endpoint, or list of targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpClientOptions {
    pub auth: Auth,
    pub tls: TlsOptions,
    pub proxy: ProxyOptions,
    pub follow_redirects: bool,
    /// Added to each request. None is reserved ([`super::is_reserved`]); all names and values are fit for a header.
    pub http_headers: Vec<HeaderOptions>,
}

impl HttpClientOptions {
    /// The texts that only this device may know, each with its key. Without those of TLS.
    pub fn secrets(&self) -> Vec<(&'static str, SecretSource)> {
        let named = |key, source: &Option<SecretSource>| source.clone().map(|source| (key, source));
        let mut secrets = match &self.auth {
            Auth::None => Vec::new(),
            Auth::Basic { username, password } => {
                let (username, password) =
                    (named("basic_auth username_file", username), named("basic_auth password_file", password));
                username.into_iter().chain(password).collect()
            }
            Auth::Header { credentials, .. } => vec![("authorization credentials_file", credentials.clone())],
            Auth::OAuth2(options) => named("oauth2 client_secret_file", &options.client_secret).into_iter().collect(),
            Auth::SigV4(options) => vec![("sigv4 secret_key_file", options.secret_key.clone())],
        };
        let files = self.http_headers.iter().flat_map(|header| &header.files);
        secrets.extend(files.map(|file| ("http_headers files", SecretSource::File(file.clone()))));
        secrets
    }

    /// Its own, and that of its token server.
    pub fn tls_configs(&self) -> impl Iterator<Item = &TlsOptions> {
        let of_tokens = match &self.auth {
            Auth::OAuth2(options) => Some(&options.tls),
            _ => None,
        };
        std::iter::once(&self.tls).chain(of_tokens)
    }
}

impl Default for HttpClientOptions {
    fn default() -> Self {
        HttpClientOptions {
            auth: Auth::None,
            tls: TlsOptions::default(),
            proxy: ProxyOptions::default(),
            follow_redirects: true,
            http_headers: Vec::new(),
        }
    }
}

/// How a request proves who sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    #[default]
    None,
    /// `basic_auth`. What is missing is empty.
    Basic { username: Option<SecretSource>, password: Option<SecretSource> },
    /// `authorization`: `{kind} {credentials}`; kind defaults to `Bearer`.
    Header { kind: String, credentials: SecretSource },
    /// `oauth2`.
    OAuth2(Box<OAuth2Options>),
    /// `sigv4`, of a `[[remote_write]]` only.
    SigV4(Box<SigV4Options>),
}

/// `sigv4`: requests are signed for AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigV4Options {
    pub region: String,
    /// `service_name`; that of Managed Prometheus is `aps`.
    pub service: String,
    pub access_key: String,
    pub secret_key: SecretSource,
}

/// `oauth2`: a token is asked for with client credentials (RFC 6749, section 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth2Options {
    pub client_id: String,
    pub client_secret: Option<SecretSource>,
    /// `http` or `https`.
    pub token_url: String,
    pub scopes: Vec<String>,
    /// Sent along to the token server.
    pub endpoint_params: Vec<(String, String)>,
    /// Of the connection to the token server, as is `proxy`.
    pub tls: TlsOptions,
    pub proxy: ProxyOptions,
}

/// `proxy_url` and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyOptions {
    pub choice: ProxyChoice,
    /// `proxy_connect_header`: sent to the proxy with each CONNECT.
    pub connect_headers: Vec<(String, Vec<Secret>)>,
}

/// By way of whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    #[default]
    None,
    /// `proxy_url`; `no_proxy` lists who is reached without it and may be empty.
    Url { url: ProxyUrl, no_proxy: String },
    /// `proxy_from_environment`: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, or in small letters, which come first.
    Environment,
}

/// One header of `http_headers`; each value becomes a line of its own, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderOptions {
    pub name: String,
    pub values: Vec<String>,
    pub secrets: Vec<Secret>,
    pub files: Vec<PathBuf>,
}
