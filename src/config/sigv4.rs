//! `[remote_write.sigv4]`: requests are signed for AWS. What can be together is what Prometheus says.

use super::error::ConfigError;
use super::http_secrets::read_secret;
use super::keys;
use super::reader::{Table, Value, quoted};
use crate::http_client::{Auth, HttpClientOptions, SigV4Options};

/// Amazon Managed Service for Prometheus.
const SERVICE: &str = "aps";

/// Adds what stands under `sigv4` of an endpoint to its client's options.
pub(super) fn read_sigv4(table: &Table, http: HttpClientOptions) -> Result<HttpClientOptions, ConfigError> {
    let Some(sigv4) = table.table("sigv4", &keys::SIGV4)? else { return Ok(http) };
    if !cfg!(feature = "sigv4") {
        let problem = "needs a build with the feature sigv4, which the default one has; this one was made without it";
        return Err(table.error("sigv4", problem));
    }
    if http.auth != Auth::None {
        return Err(table.error("sigv4", "conflicts with basic_auth, authorization or oauth2; remove one of them"));
    }
    let part = |key, example| {
        let value: Value = sigv4.require(key, example)?;
        read_part(&value, example)
    };
    let region = part("region", "\"eu-central-1\"")?;
    let access_key = part("access_key", "\"AKIA...\"")?;
    let Some(secret_key) = read_secret(&sigv4, "secret_key", "secret_key_file")? else {
        return Err(sigv4.error("secret_key", "is missing; write secret_key or secret_key_file"));
    };
    let service = match sigv4.get("service_name") {
        Some(value) => read_part(&value, "\"aps\"")?,
        None => SERVICE.into(),
    };
    let auth = Auth::SigV4(Box::new(SigV4Options { region, service, access_key, secret_key }));
    Ok(HttpClientOptions { auth, ..http })
}

/// One part of a scope, which goes into a header with slashes between.
fn read_part(value: &Value, example: &str) -> Result<String, ConfigError> {
    let text = value.text(example)?;
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        true => Ok(text.into()),
        false => {
            Err(value
                .error(format_args!("{} is not a name as AWS gives it; write one such as {example}", quoted(text))))
        }
    }
}
