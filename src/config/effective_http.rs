//! The options of an HTTP client as they are in effect, secrets masked: what differs from the defaults.

use crate::http_client::{Auth, HttpClientOptions, OAuth2Options, ProxyChoice, ProxyOptions, SigV4Options};
use crate::model::Secret;
use crate::secrets::SecretSource;
use crate::tls::TlsOptions;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Whether the configuration itself holds a secret of this client's.
pub(super) fn has_inline_secret(options: &HttpClientOptions) -> bool {
    let inline = |source: &Option<SecretSource>| matches!(source, Some(SecretSource::Inline(_)));
    let key = |tls: &TlsOptions| tls.identity.as_ref().is_some_and(|i| matches!(i.key, SecretSource::Inline(_)));
    let proxy = |proxy: &ProxyOptions| {
        let login = match &proxy.choice {
            ProxyChoice::Url { url, .. } => url.user.is_some(),
            _ => false,
        };
        login || proxy.connect_headers.iter().any(|(_, values)| !values.is_empty())
    };
    let auth = match &options.auth {
        Auth::None => false,
        Auth::Basic { password, .. } => inline(password),
        Auth::Header { credentials, .. } => matches!(credentials, SecretSource::Inline(_)),
        Auth::SigV4(sigv4) => matches!(sigv4.secret_key, SecretSource::Inline(_)),
        Auth::OAuth2(oauth2) => inline(&oauth2.client_secret) || key(&oauth2.tls) || proxy(&oauth2.proxy),
    };
    auth || key(&options.tls)
        || proxy(&options.proxy)
        || options.http_headers.iter().any(|header| !header.secrets.is_empty())
}

/// In the order of the file: what is a table comes last.
#[derive(Serialize)]
pub(super) struct HttpClient<'c> {
    follow_redirects: bool,
    #[serde(flatten)]
    proxy: Proxy<'c>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Tls<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basic_auth: Option<BasicAuth<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<Authorization<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth2: Option<OAuth2<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sigv4: Option<SigV4<'c>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    http_headers: BTreeMap<&'c str, Header<'c>>,
}

#[derive(Serialize)]
struct Proxy<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_url: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    no_proxy: &'c str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    proxy_from_environment: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    proxy_connect_header: BTreeMap<&'c str, Vec<&'static str>>,
}

#[derive(Serialize)]
struct Tls<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'c str>,
    insecure_skip_verify: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_version: Option<&'static str>,
}

#[derive(Serialize)]
struct BasicAuth<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_file: Option<String>,
}

#[derive(Serialize)]
struct Authorization<'c> {
    r#type: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials_file: Option<String>,
}

#[derive(Serialize)]
struct OAuth2<'c> {
    client_id: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_file: Option<String>,
    token_url: &'c str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    scopes: &'c [String],
    #[serde(flatten)]
    proxy: Proxy<'c>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    endpoint_params: BTreeMap<&'c str, &'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_config: Option<Tls<'c>>,
}

#[derive(Serialize)]
struct SigV4<'c> {
    region: &'c str,
    access_key: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_key_file: Option<String>,
    service_name: &'c str,
}

#[derive(Serialize)]
struct Header<'c> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    values: &'c [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<String>,
}

impl<'c> From<&'c HttpClientOptions> for HttpClient<'c> {
    fn from(options: &'c HttpClientOptions) -> Self {
        let (mut basic_auth, mut authorization, mut oauth2, mut sigv4) = (None, None, None, None);
        match &options.auth {
            Auth::None => {}
            Auth::Basic { username, password } => {
                let (username, username_file) = shown(username.as_ref());
                let (password, password_file) = masked(password.as_ref());
                basic_auth = Some(BasicAuth { username, username_file, password, password_file });
            }
            Auth::Header { kind, credentials } => {
                let (credentials, credentials_file) = masked(Some(credentials));
                authorization = Some(Authorization { r#type: kind, credentials, credentials_file });
            }
            Auth::OAuth2(options) => oauth2 = Some(OAuth2::from(&**options)),
            Auth::SigV4(options) => sigv4 = Some(SigV4::from(&**options)),
        }
        let headers = options.http_headers.iter().map(|header| {
            let secrets = header.secrets.iter().map(|_| Secret::MASK).collect();
            let files = header.files.iter().map(|path| shown_path(path)).collect();
            (header.name.as_str(), Header { values: &header.values, secrets, files })
        });
        HttpClient {
            follow_redirects: options.follow_redirects,
            proxy: Proxy::from(&options.proxy),
            tls_config: shown_tls(&options.tls),
            basic_auth,
            authorization,
            oauth2,
            sigv4,
            http_headers: headers.collect(),
        }
    }
}

impl<'c> From<&'c OAuth2Options> for OAuth2<'c> {
    fn from(options: &'c OAuth2Options) -> Self {
        let (client_secret, client_secret_file) = masked(options.client_secret.as_ref());
        let params = options.endpoint_params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        OAuth2 {
            client_id: &options.client_id,
            client_secret,
            client_secret_file,
            token_url: &options.token_url,
            scopes: &options.scopes,
            proxy: Proxy::from(&options.proxy),
            endpoint_params: params.collect(),
            tls_config: shown_tls(&options.tls),
        }
    }
}

impl<'c> From<&'c SigV4Options> for SigV4<'c> {
    fn from(options: &'c SigV4Options) -> Self {
        let SigV4Options { region, service, access_key, secret_key } = options;
        let (secret_key, secret_key_file) = masked(Some(secret_key));
        SigV4 { region, access_key, secret_key, secret_key_file, service_name: service }
    }
}

impl<'c> From<&'c ProxyOptions> for Proxy<'c> {
    fn from(options: &'c ProxyOptions) -> Self {
        let (proxy_url, no_proxy) = match &options.choice {
            ProxyChoice::Url { url, no_proxy } => (Some(url.to_string()), no_proxy.as_str()),
            ProxyChoice::None | ProxyChoice::Environment => (None, ""),
        };
        let headers = options.connect_headers.iter();
        Proxy {
            proxy_url,
            no_proxy,
            proxy_from_environment: options.choice == ProxyChoice::Environment,
            proxy_connect_header: headers
                .map(|(name, values)| (name.as_str(), values.iter().map(|_| Secret::MASK).collect()))
                .collect(),
        }
    }
}

fn shown_tls(options: &TlsOptions) -> Option<Tls<'_>> {
    let identity = options.identity.as_ref();
    let (ca, ca_file) = shown(options.ca.as_ref());
    let (cert, cert_file) = shown(identity.map(|identity| &identity.certificate));
    let (key, key_file) = masked(identity.map(|identity| &identity.key));
    (*options != TlsOptions::default()).then(|| Tls {
        ca,
        ca_file,
        cert,
        cert_file,
        key,
        key_file,
        server_name: options.server_name.as_deref(),
        insecure_skip_verify: options.insecure_skip_verify,
        min_version: options.min_version.map(|version| version.name()),
        max_version: options.max_version.map(|version| version.name()),
    })
}

/// An inline text that is no secret, or the path of the file that it is in.
fn shown(source: Option<&SecretSource>) -> (Option<&str>, Option<String>) {
    match source {
        None => (None, None),
        Some(SecretSource::Inline(text)) => (Some(text.expose()), None),
        Some(SecretSource::File(path)) => (None, Some(shown_path(path))),
    }
}

/// An inline secret's mask, or the path of the file it is in.
fn masked(source: Option<&SecretSource>) -> (Option<&'static str>, Option<String>) {
    match source {
        Some(SecretSource::Inline(_)) => (Some(Secret::MASK), None),
        source => (None, shown(source).1),
    }
}

fn shown_path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
