//! The options of an HTTP client, which stand in the table of whoever uses it: a `[[scrape_configs]]`, a `[[remote_write]]`,
//! or where lists of targets are fetched from. What can be together is what Prometheus's `HTTPClientConfig.Validate` says.

use super::error::ConfigError;
use super::http_secrets::{inline_secret, one_of, read_secret, read_tls};
use super::keys;
use super::reader::{Table, Value, quoted};
use crate::http_client::{
    Auth, HeaderOptions, HttpClientOptions, OAuth2Options, ProxyChoice, ProxyOptions, ProxyUrl, is_reserved,
};
use crate::limits::HTTP_CLIENT_HEADERS_MAX;
use crate::model::Secret;
use crate::secrets::SecretSource;
use crate::tls::TlsOptions;
use ureq_proto::http::Uri;

const TOKEN_URL_EXAMPLE: &str = "\"https://login.example/oauth2/token\"";

/// The client's options among the keys of `table`, which knows them ([`keys`]).
///
/// `enable_http2` is taken and means nothing: HTTP/1.1 is spoken, which every server that Prometheus can ask speaks too.
pub(super) fn read_http_client(table: &Table) -> Result<HttpClientOptions, ConfigError> {
    table.get_or("enable_http2", true, Value::flag)?;
    Ok(HttpClientOptions {
        auth: table.source.noted(read_auth(table)).unwrap_or_default(),
        tls: read_tls_config(table),
        proxy: table.source.noted(read_proxy(table)).unwrap_or_default(),
        follow_redirects: table.get_or("follow_redirects", true, Value::flag)?,
        http_headers: table.get_or("http_headers", Vec::new(), read_headers)?,
    })
}

fn read_tls_config(table: &Table) -> TlsOptions {
    let read = || match table.table("tls_config", &keys::TLS_CONFIG)? {
        Some(options) => read_tls(&options),
        None => Ok(TlsOptions::default()),
    };
    table.source.noted(read()).unwrap_or_default()
}

fn read_auth(table: &Table) -> Result<Auth, ConfigError> {
    let present = ["basic_auth", "authorization", "oauth2"].into_iter().filter(|key| table.get(key).is_some());
    let present: Vec<&str> = present.collect();
    if let [first, second, ..] = present[..] {
        return Err(table.error(second, format_args!("conflicts with {first}; remove one of them")));
    }
    if let Some(basic) = table.table("basic_auth", &keys::BASIC_AUTH)? {
        return read_basic(&basic);
    }
    if let Some(authorization) = table.table("authorization", &keys::AUTHORIZATION)? {
        let kind = read_authorization_type(&authorization)?;
        let credentials = read_secret(&authorization, "credentials", "credentials_file")?;
        return match credentials {
            None => Err(authorization.error("credentials", "is missing; write credentials or credentials_file")),
            Some(SecretSource::Inline(secret)) if !fits_header(secret.expose()) => Err(authorization
                .error("credentials", "is empty or has a line break or control character; write the token alone")),
            Some(credentials) => Ok(Auth::Header { kind, credentials }),
        };
    }
    match table.table("oauth2", &keys::OAUTH2)? {
        Some(oauth2) => Ok(Auth::OAuth2(Box::new(read_oauth2(&oauth2)?))),
        None => Ok(Auth::None),
    }
}

fn read_basic(basic: &Table) -> Result<Auth, ConfigError> {
    let username = match one_of(basic, "username", "username_file")? {
        None => None,
        Some((value, true)) => Some(SecretSource::File(value.path("\"/etc/narthex/user\"")?)),
        Some((value, false)) => Some(SecretSource::Inline(Secret::new(value.secret()?))),
    };
    let password = read_secret(basic, "password", "password_file")?;
    match (&username, &password) {
        (None, None) => Err(basic.error_here("is empty; write username and password, or leave it out")),
        _ => Ok(Auth::Basic { username, password }),
    }
}

/// `type` is not repeated in errors: credentials are easily written there.
fn read_authorization_type(table: &Table) -> Result<String, ConfigError> {
    let Some(value) = table.get("type") else { return Ok("Bearer".into()) };
    match value.secret()?.trim() {
        "" => Ok("Bearer".into()),
        kind if kind.eq_ignore_ascii_case("basic") => {
            Err(value.error("is \"basic\"; write basic_auth with username and password instead of authorization"))
        }
        kind if is_token(kind) => Ok(kind.into()),
        _ => Err(value.error("is not one word; write a type such as \"Bearer\", and the rest in credentials")),
    }
}

fn read_oauth2(table: &Table) -> Result<OAuth2Options, ConfigError> {
    if let Some(grant_type) = table.get("grant_type")
        && grant_type.text("\"client_credentials\"")? != "client_credentials"
    {
        return Err(grant_type.error(
            "is not supported; Narthex asks for tokens with client_id and client_secret only: write \"client_credentials\"",
        ));
    }
    let client_id = table.require("client_id", "\"device-7\"")?;
    let token_url = table.require("token_url", TOKEN_URL_EXAMPLE)?;
    let scopes = match table.get("scopes") {
        Some(scopes) => scopes.list("[\"metrics\"]")?.map(|scope| Ok(scope.text("\"metrics\"")?.to_owned())).collect(),
        None => Ok(Vec::new()),
    };
    let options = OAuth2Options {
        client_id: match client_id.text("\"device-7\"")? {
            "" => return Err(client_id.error("is empty; write the name that the token server knows this client by")),
            id => id.into(),
        },
        client_secret: read_secret(table, "client_secret", "client_secret_file")?,
        token_url: read_token_url(&token_url)?,
        scopes: scopes?,
        endpoint_params: match table.get("endpoint_params") {
            Some(params) => read_params(&params)?,
            None => Vec::new(),
        },
        tls: read_tls_config(table),
        proxy: table.source.noted(read_proxy(table)).unwrap_or_default(),
    };
    if !options.scopes.is_empty() && options.endpoint_params.iter().any(|(name, _)| name == "scope") {
        return Err(table.error("endpoint_params", "has a scope, which conflicts with scopes; remove one of them"));
    }
    Ok(options)
}

/// Not repeated in errors: there may be a password or a token in it.
fn read_token_url(value: &Value) -> Result<String, ConfigError> {
    let url = value.secret()?;
    let uri: Option<Uri> = url.parse().ok();
    let is_fit = uri.is_some_and(|uri| {
        let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        matches!(uri.scheme_str(), Some("http" | "https"))
            && is_plain
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    match is_fit {
        true => Ok(url.into()),
        false => Err(value
            .error(format_args!("is not an http or https URL without a user; write one such as {TOKEN_URL_EXAMPLE}"))),
    }
}

fn read_params(params: &Value) -> Result<Vec<(String, String)>, ConfigError> {
    let entries = params.table("write { audience = \"metrics\" }")?;
    entries.entries().map(|(name, value)| Ok((name.to_owned(), value.secret()?.to_owned()))).collect()
}

fn read_proxy(table: &Table) -> Result<ProxyOptions, ConfigError> {
    let url = match table.get("proxy_url") {
        Some(value) => read_proxy_url(&value)?,
        None => None,
    };
    let no_proxy = table.get_or("no_proxy", "", |value| value.text("\"localhost,10.0.0.0/8\""))?;
    let from_environment = table.get_or("proxy_from_environment", false, Value::flag)?;
    let choice = match (url, from_environment) {
        (Some(_), true) => {
            return Err(table.error("proxy_from_environment", "conflicts with proxy_url; remove one of them"));
        }
        (None, true) if !no_proxy.is_empty() => {
            let problem = "stands beside proxy_from_environment, which takes NO_PROXY; remove it";
            return Err(table.error("no_proxy", problem));
        }
        (None, true) => ProxyChoice::Environment,
        (None, false) if !no_proxy.is_empty() && table.get("proxy_url").is_none() => {
            return Err(table.error("no_proxy", "is of no use without proxy_url; write that, too, or remove it"));
        }
        (None, false) => ProxyChoice::None,
        (Some(url), false) => ProxyChoice::Url { url, no_proxy: no_proxy.into() },
    };
    let connect_headers = match table.get("proxy_connect_header") {
        None => Vec::new(),
        Some(value) => {
            let headers = read_connect_headers(&value)?;
            if choice == ProxyChoice::None && !headers.is_empty() {
                let problem =
                    "is of no use without proxy_url or proxy_from_environment; write one of them, or remove it";
                return Err(value.error(problem));
            }
            headers
        }
    };
    Ok(ProxyOptions { choice, connect_headers })
}

/// An empty one is none, as in Prometheus. Never repeated: there may be a password in it.
fn read_proxy_url(value: &Value) -> Result<Option<ProxyUrl>, ConfigError> {
    match value.secret()? {
        "" => Ok(None),
        url if url.contains(Secret::MASK) => {
            Err(value.error("has what Narthex shows instead of a password; write it itself"))
        }
        url => ProxyUrl::parse(url).map(Some).map_err(|problem| value.error(problem)),
    }
}

fn read_connect_headers(value: &Value) -> Result<Vec<(String, Vec<Secret>)>, ConfigError> {
    let mut headers = Vec::new();
    for (name, values) in value.table("write { X-Tenant = [\"a\"] }")?.entries() {
        check_name(name, &values)?;
        let secrets = values.list("[\"a\"]")?.map(|value| {
            let secret = inline_secret(&value)?;
            check_text(secret.expose(), &value)?;
            Ok(secret)
        });
        headers.push((name.to_owned(), secrets.collect::<Result<_, _>>()?));
    }
    Ok(headers)
}

fn read_headers(value: &Value) -> Result<Vec<HeaderOptions>, ConfigError> {
    let mut headers = Vec::new();
    for (name, value) in value.table("write { X-Tenant = { values = [\"a\"] } }")?.entries() {
        check_name(name, &value)?;
        if is_reserved(name) {
            let problem = "is set by Narthex itself, or by other keys (as in Prometheus); remove it";
            return Err(value.error(problem));
        }
        let header = value.table("write { values = [\"a\"] }")?;
        header.only(&keys::HTTP_HEADER);
        let list = |key| match header.get(key) {
            Some(list) => list.list("[\"a\"]").map(Iterator::collect::<Vec<Value>>),
            None => Ok(Vec::new()),
        };
        let values = list("values")?.into_iter().map(|value| {
            let text = value.text("\"a\"")?;
            check_text(text, &value).map(|()| text.to_owned())
        });
        let secrets = list("secrets")?.into_iter().map(|value| {
            let secret = inline_secret(&value)?;
            check_text(secret.expose(), &value).map(|()| secret)
        });
        let files = list("files")?.into_iter().map(|value| value.path("\"/etc/narthex/header\""));
        headers.push(HeaderOptions {
            values: values.collect::<Result<_, _>>()?,
            secrets: secrets.collect::<Result<_, _>>()?,
            files: files.collect::<Result<_, _>>()?,
            name: name.to_owned(),
        });
        if headers.len() > HTTP_CLIENT_HEADERS_MAX {
            return Err(value.error(format_args!("is one too many; write at most {HTTP_CLIENT_HEADERS_MAX}")));
        }
    }
    Ok(headers)
}

/// `headers` of a `[[remote_write]]`: one value for each name, which Prometheus shows as it is.
pub(super) fn read_plain_headers(table: &Table) -> Result<Vec<(String, String)>, ConfigError> {
    let Some(value) = table.get("headers") else { return Ok(Vec::new()) };
    let mut headers = Vec::new();
    for (name, value) in value.table("write { X-Scope-OrgID = \"a\" }")?.entries() {
        check_name(name, &value)?;
        if name.eq_ignore_ascii_case("authorization") {
            return Err(value.error("is made of basic_auth, authorization or oauth2; write one of them instead"));
        }
        // The one that only scrapes set.
        if is_reserved(name) && !name.eq_ignore_ascii_case("x-prometheus-scrape-timeout-seconds") {
            return Err(value.error("is set by Narthex itself, or by other keys (as in Prometheus); remove it"));
        }
        let text = value.text("\"a\"")?;
        check_text(text, &value)?;
        headers.push((name.to_owned(), text.to_owned()));
        if headers.len() > HTTP_CLIENT_HEADERS_MAX {
            return Err(value.error(format_args!("is one too many; write at most {HTTP_CLIENT_HEADERS_MAX}")));
        }
    }
    Ok(headers)
}

fn check_name(name: &str, value: &Value) -> Result<(), ConfigError> {
    match is_token(name) {
        true => Ok(()),
        false => Err(value.error(format_args!("{} is not a header's name; write one such as X-Tenant", quoted(name)))),
    }
}

fn check_text(text: &str, value: &Value) -> Result<(), ConfigError> {
    match text.contains(|c: char| c.is_control() && c != '\t') {
        true => Err(value.error("has a line break or control character, which no header may hold; remove it")),
        false => Ok(()),
    }
}

/// A password goes out in base64 and may be any text; credentials go out as they are.
fn fits_header(credentials: &str) -> bool {
    !credentials.is_empty() && !credentials.contains(char::is_control)
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}
