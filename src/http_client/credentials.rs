//! The `Authorization` header of a request.

use super::error::HttpError;
use super::options::{Auth, SigV4Options};
use super::sigv4::sign;
use super::token::TokenSource;
use crate::clock::system_time;
use crate::dns::Resolver;
use crate::model::Secret;
use crate::secrets::{SecretReader, SecretSource, TextKind};
use crate::tls::TlsError;
use ureq_proto::http::{HeaderValue, Request};

/// What a configuration's requests are authorized with.
pub(super) enum Credentials {
    None,
    Basic { username: Option<SecretReader>, password: Option<SecretReader> },
    Header { kind: String, credentials: SecretReader },
    OAuth2(Box<TokenSource>),
    SigV4 { options: Box<SigV4Options>, secret_key: SecretReader },
}

impl Credentials {
    pub(super) fn new(auth: &Auth, resolver: &Resolver) -> Result<Credentials, TlsError> {
        let reader = |source: &SecretSource| SecretReader::new(source.clone(), TextKind::Secret);
        Ok(match auth {
            Auth::None => Credentials::None,
            Auth::Basic { username, password } => {
                Credentials::Basic { username: username.as_ref().map(reader), password: password.as_ref().map(reader) }
            }
            Auth::Header { kind, credentials } => {
                Credentials::Header { kind: kind.clone(), credentials: reader(credentials) }
            }
            Auth::OAuth2(options) => Credentials::OAuth2(Box::new(TokenSource::new(options, resolver)?)),
            Auth::SigV4(options) => {
                Credentials::SigV4 { secret_key: reader(&options.secret_key), options: options.clone() }
            }
        })
    }

    /// The header's value, if there is one; adds what nobody else may see to `secrets`.
    pub(super) async fn header(&self, secrets: &mut Vec<Secret>) -> Result<Option<HeaderValue>, HttpError> {
        let text = match self {
            // Made of the whole request: `sign`.
            Credentials::None | Credentials::SigV4 { .. } => return Ok(None),
            Credentials::Basic { username, password } => {
                let read = |reader: &Option<SecretReader>| match reader {
                    Some(reader) => reader.read().map(|text| (*text).clone()).map_err(HttpError::Secret),
                    None => Ok(Secret::new("")),
                };
                let (username, password) = (read(username)?, read(password)?);
                let encoded = base64(format!("{}:{}", username.expose(), password.expose()).as_bytes());
                let text = format!("Basic {encoded}");
                secrets.extend([Secret::new(encoded), password]);
                text
            }
            Credentials::Header { kind, credentials } => {
                let credentials = credentials.read().map_err(HttpError::Secret)?;
                secrets.push((*credentials).clone());
                format!("{kind} {}", credentials.expose())
            }
            Credentials::OAuth2(source) => {
                let token = source.token().await?;
                secrets.push(token.access_token.clone());
                format!("{} {}", token.kind, token.access_token.expose())
            }
        };
        sensitive(&text).map(Some)
    }

    /// Signs a request that is complete but for what a configuration adds to each, if requests are to be signed.
    pub(super) fn sign(
        &self,
        request: &mut Request<()>,
        body: &[u8],
        secrets: &mut Vec<Secret>,
    ) -> Result<(), HttpError> {
        // A configuration that asks for it is refused where the feature is off.
        if cfg!(feature = "sigv4")
            && let Credentials::SigV4 { options, secret_key } = self
        {
            let secret_key = secret_key.read().map_err(HttpError::Secret)?;
            sign(options, &secret_key, system_time(), request, body)?;
            secrets.push((*secret_key).clone());
        }
        Ok(())
    }
}

/// A header's value that is not shown by accident.
pub(super) fn sensitive(text: &str) -> Result<HeaderValue, HttpError> {
    let mut value =
        HeaderValue::from_str(text).map_err(|_| HttpError::NotAHeader("the password or credentials".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 4648, section 4.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let filled = digit <= group.len();
            text.push(if filled { DIGITS[(bits >> (18 - 6 * digit)) as usize & 63] as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(auth: Auth) -> Result<HeaderValue, HttpError> {
        let credentials = Credentials::new(&auth, &Resolver::new()).unwrap();
        smol::block_on(credentials.header(&mut Vec::new())).map(Option::unwrap)
    }

    fn inline(text: &str) -> SecretSource {
        SecretSource::Inline(Secret::new(text))
    }

    #[test]
    fn basic_auth_is_as_in_rfc_7617() {
        for (username, password, value) in [
            (Some("Aladdin"), Some("open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            (Some("Aladdin"), None, "Basic QWxhZGRpbjo="),
            (None, None, "Basic Og=="),
        ] {
            let sent = header(Auth::Basic { username: username.map(inline), password: password.map(inline) }).unwrap();
            assert_eq!(sent, value);
            assert!(!format!("{sent:?}").contains("QWxh"), "not shown by accident");
        }
    }

    #[test]
    fn credentials_that_no_header_may_hold_are_refused_and_not_shown() {
        let error =
            header(Auth::Header { kind: "Bearer".into(), credentials: inline("hunter2\nhunter3") }).unwrap_err();
        assert!(error.to_string().contains("character") && !error.to_string().contains("hunter"), "{error}");
    }

    #[test]
    fn base64_is_as_in_rfc_4648() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")]
        {
            assert_eq!(base64(plain.as_bytes()), text);
        }
    }
}
