//! What a token server is asked (RFC 6749, section 4.4), and what its answer means. Pure; as Go's `oauth2` does it.

use super::credentials::base64;
use super::options::OAuth2Options;
use crate::model::Secret;
use serde_json::Value;
use std::time::Duration;

/// A token is renewed this long before it expires.
const EXPIRES_EARLY: Duration = Duration::from_secs(10);

/// How the client names itself to the token server. Servers know one of the two; Go tries them in this order, and so do we.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// By `Authorization: Basic`.
    Header,
    /// In the form.
    Form,
}

/// A token, and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// `Bearer`, mostly.
    pub kind: String,
    pub access_token: Secret,
    /// After it was asked for, with some time to spare; None if it never ends.
    pub usable_for: Option<Duration>,
}

/// The form that is posted.
pub(super) fn form(options: &OAuth2Options, secret: &Secret, style: Style) -> String {
    let mut fields: Vec<(&str, String)> = vec![("grant_type", "client_credentials".into())];
    if !options.scopes.is_empty() {
        fields.push(("scope", options.scopes.join(" ")));
    }
    let own = options.endpoint_params.iter().map(|(name, value)| (name.as_str(), value.clone()));
    let client = [("client_id", options.client_id.clone()), ("client_secret", secret.expose().to_owned())];
    let client = client.into_iter().filter(|(_, value)| style == Style::Form && !value.is_empty());
    for (name, value) in own.chain(client) {
        fields.retain(|(field, _)| *field != name);
        fields.push((name, value));
    }
    fields.sort();
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", form_encoded(name), form_encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The value of `Authorization` that goes with the form.
pub(super) fn login(options: &OAuth2Options, secret: &Secret, style: Style) -> Option<String> {
    let pair = || format!("{}:{}", form_encoded(&options.client_id), form_encoded(secret.expose()));
    (style == Style::Header).then(|| format!("Basic {}", base64(pair().as_bytes())))
}

/// The token in an answer, or why there is none: never more of it than the error's code, since it may repeat secrets.
pub fn read_token_answer(status: u16, content_type: &str, body: &[u8]) -> Result<Token, String> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fields = match media_type.as_str() {
        "application/x-www-form-urlencoded" | "text/plain" => read_form(body),
        _ => read_json(body),
    };
    let error = fields.as_ref().and_then(|fields| fields("error")).filter(|code| !code.is_empty());
    let shown_error = error.as_deref().map(shown_code);
    if !(200..300).contains(&status) {
        return Err(shown_error.map_or(format!("HTTP {status}"), |code| format!("HTTP {status}, {code}")));
    }
    if let Some(code) = shown_error {
        return Err(code);
    }
    let fields = fields.ok_or("its answer is not what a token server says; check token_url")?;
    let access_token =
        fields("access_token").filter(|token| !token.is_empty()).ok_or("its answer holds no access_token")?;
    let kind = match fields("token_type").unwrap_or_default() {
        kind if kind.is_empty() || kind.eq_ignore_ascii_case("bearer") => "Bearer".into(),
        kind if kind.eq_ignore_ascii_case("mac") => "MAC".into(),
        kind if kind.eq_ignore_ascii_case("basic") => "Basic".into(),
        kind => kind,
    };
    let expires_s: Option<i64> = fields("expires_in").and_then(|text| text.parse().ok()).filter(|s| *s != 0);
    let usable_for =
        expires_s.map(|s| Duration::from_secs(u64::try_from(s).unwrap_or(0)).saturating_sub(EXPIRES_EARLY));
    Ok(Token { kind, access_token: Secret::new(access_token), usable_for })
}

type Fields = Box<dyn Fn(&str) -> Option<String>>;

fn read_json(body: &[u8]) -> Option<Fields> {
    let Value::Object(object) = serde_json::from_slice(body).ok()? else { return None };
    Some(Box::new(move |name| match object.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }))
}

fn read_form(body: &[u8]) -> Option<Fields> {
    let text = std::str::from_utf8(body).ok()?.trim().to_owned();
    Some(Box::new(move |name| {
        let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(field, _)| *field == name).map(|(_, value)| form_decoded(value))
    }))
}

/// An error's code as RFC 6749 allows it; anything else is not repeated.
fn shown_code(code: &str) -> String {
    let is_code = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if code.len() <= 60 && code.chars().all(is_code) { code.to_owned() } else { "an error of its own".into() }
}

/// As a form's field: Go's `url.QueryEscape`.
fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte as char),
            b' ' => encoded.push('+'),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

fn form_decoded(text: &str) -> String {
    super::proxy::percent_decoded(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::ProxyOptions;
    use crate::tls::TlsOptions;

    fn options() -> OAuth2Options {
        OAuth2Options {
            client_id: "dev ice/7".into(),
            client_secret: None,
            token_url: "http://t/".into(),
            scopes: vec!["read".into(), "write".into()],
            endpoint_params: vec![("audience".into(), "a&b=c".into())],
            tls: TlsOptions::default(),
            proxy: ProxyOptions::default(),
        }
    }

    #[test]
    fn requests_are_those_of_go() {
        let secret = Secret::new("s:ü");
        let form = |style| form(&options(), &secret, style);
        assert_eq!(form(Style::Header), "audience=a%26b%3Dc&grant_type=client_credentials&scope=read+write");
        assert_eq!(
            form(Style::Form),
            "audience=a%26b%3Dc&client_id=dev+ice%2F7&client_secret=s%3A%C3%BC&grant_type=client_credentials&\
             scope=read+write"
        );
        let login = |style| login(&options(), &secret, style);
        assert_eq!(login(Style::Header), Some(format!("Basic {}", base64(b"dev+ice%2F7:s%3A%C3%BC"))));
        assert_eq!(login(Style::Form), None);
        let overridden = OAuth2Options { endpoint_params: vec![("grant_type".into(), "own".into())], ..options() };
        assert_eq!(super::form(&overridden, &secret, Style::Header), "grant_type=own&scope=read+write");
    }

    #[test]
    fn tokens_are_read_from_json_and_forms() {
        let json = "application/json;charset=UTF-8";
        for (content_type, body, kind, token, seconds) in [
            (json, r#"{"access_token":"t","token_type":"bearer","expires_in":3600}"#, "Bearer", "t", Some(3590)),
            (json, r#"{"access_token":"t","expires_in":"30"}"#, "Bearer", "t", Some(20)),
            (json, r#"{"access_token":"t","token_type":"MaC","expires_in":5}"#, "MAC", "t", Some(0)),
            ("", r#"{"access_token":"t","token_type":"DPoP","expires_in":null}"#, "DPoP", "t", None),
            ("application/x-www-form-urlencoded", "access_token=a%2Bb&expires_in=70", "Bearer", "a+b", Some(60)),
            ("text/plain", "token_type=bearer&access_token=t", "Bearer", "t", None),
        ] {
            let read = read_token_answer(200, content_type, body.as_bytes()).unwrap();
            assert_eq!((read.kind.as_str(), read.access_token.expose()), (kind, token), "{body}");
            assert_eq!(read.usable_for, seconds.map(Duration::from_secs), "{body}");
        }
    }

    #[test]
    fn refusals_say_why_and_repeat_no_secret() {
        for (status, body, said) in [
            (401, r#"{"error":"invalid_client","error_description":"hunter2"}"#, "HTTP 401, invalid_client"),
            (200, r#"{"error":"invalid_scope"}"#, "invalid_scope"),
            (500, "<html>hunter2", "HTTP 500"),
            (400, r#"{"error":"secret hunter2 is wrong"}"#, "HTTP 400, an error of its own"),
            (200, "<html>hunter2", "its answer is not what a token server says; check token_url"),
            (200, r#"["hunter2"]"#, "its answer is not what a token server says; check token_url"),
            (200, r#"{"token":"hunter2"}"#, "its answer holds no access_token"),
        ] {
            assert_eq!(read_token_answer(status, "application/json", body.as_bytes()), Err(said.into()), "{body}");
        }
    }
}
