//! Secrets, certificates and `tls_config`: texts that stand in the configuration or in a file that it names.

use super::error::ConfigError;
use super::reader::{Table, Value, quoted};
use crate::model::Secret;
use crate::secrets::SecretSource;
use crate::tls::{TlsIdentity, TlsOptions, TlsVersion};
use rustls::pki_types::ServerName;

/// The one of two keys that is there, and whether it is the second, which names a file. An empty text is none, as in
/// Prometheus.
pub(super) fn one_of<'t>(
    table: &Table<'t>,
    key: &str,
    file_key: &str,
) -> Result<Option<(Value<'t>, bool)>, ConfigError> {
    let inline = match table.get(key) {
        Some(value) if value.secret()?.is_empty() => None,
        value => value,
    };
    match (inline, table.get(file_key)) {
        (Some(_), Some(_)) => Err(table.error(file_key, format_args!("conflicts with {key}; remove one of them"))),
        (Some(inline), None) => Ok(Some((inline, false))),
        (None, Some(file)) => Ok(Some((file, true))),
        (None, None) => Ok(None),
    }
}

/// A secret that stands under `key`, or in the file that `file_key` names.
pub(super) fn read_secret(table: &Table, key: &str, file_key: &str) -> Result<Option<SecretSource>, ConfigError> {
    Ok(match one_of(table, key, file_key)? {
        None => None,
        Some((file, true)) => Some(SecretSource::File(file.path("\"/etc/narthex/secret\"")?)),
        Some((inline, false)) => Some(SecretSource::Inline(inline_secret(&inline)?)),
    })
}

pub(super) fn inline_secret(value: &Value) -> Result<Secret, ConfigError> {
    match value.secret()? {
        Secret::MASK => Err(value.error("is what Narthex shows instead of a secret; write the secret itself")),
        text => Ok(Secret::new(text)),
    }
}

/// `tls_config`, as Prometheus's `TLSConfig.Validate` has it.
pub(super) fn read_tls(table: &Table) -> Result<TlsOptions, ConfigError> {
    let ca = read_pem(table, "ca", "ca_file", "\"ca.pem\"")?;
    let certificate = read_pem(table, "cert", "cert_file", "\"cert.pem\"")?;
    let key = read_secret(table, "key", "key_file")?;
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsIdentity { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(table.error("key_file", "is missing beside the certificate; write key_file or key, too"));
        }
        (None, Some(_)) => {
            return Err(table.error("cert_file", "is missing beside the key; write cert_file or cert, too"));
        }
    };
    let min_version = read_version(table, "min_version")?;
    let max_version = read_version(table, "max_version")?;
    if let (Some(min), Some(max)) = (min_version, max_version)
        && max < min
        && table.is_clean()
    {
        let (min, max) = (quoted(min.name()), quoted(max.name()));
        return Err(table.error("max_version", format_args!("{max} is below min_version {min}; write {min} or more")));
    }
    Ok(TlsOptions {
        ca,
        identity,
        server_name: read_server_name(table)?,
        insecure_skip_verify: table.get_or("insecure_skip_verify", false, Value::flag)?,
        min_version,
        max_version,
    })
}

/// Whether an inline certificate is one is not known before it is used; a file's name in its place is.
fn read_pem(table: &Table, key: &str, file_key: &str, example: &str) -> Result<Option<SecretSource>, ConfigError> {
    match one_of(table, key, file_key)? {
        None => Ok(None),
        Some((file, true)) => Ok(Some(SecretSource::File(file.path(example)?))),
        Some((inline, false)) => match inline.secret()? {
            pem if pem.contains("-----BEGIN ") => Ok(Some(SecretSource::Inline(Secret::new(pem)))),
            _ => Err(inline.error(format_args!(
                "is not PEM, which has a line -----BEGIN CERTIFICATE-----; write that, or name a file in {file_key}"
            ))),
        },
    }
}

/// A name or an address, as certificates have them. An empty one is none.
fn read_server_name(table: &Table) -> Result<Option<String>, ConfigError> {
    let Some(value) = table.get("server_name") else { return Ok(None) };
    match value.text("\"metrics.example\"")? {
        "" => Ok(None),
        name if ServerName::try_from(name).is_ok() => Ok(Some(name.into())),
        name => {
            Err(value
                .error(format_args!("{} is not a host's name; write one such as \"metrics.example\"", quoted(name))))
        }
    }
}

fn read_version(table: &Table, key: &str) -> Result<Option<TlsVersion>, ConfigError> {
    let Some(value) = table.get(key) else { return Ok(None) };
    match value.text("\"TLS12\"")? {
        "TLS12" => Ok(Some(TlsVersion::Tls12)),
        "TLS13" => Ok(Some(TlsVersion::Tls13)),
        "TLS10" | "TLS11" => {
            Err(value
                .error("is a version that was broken and that Narthex does not speak; write \"TLS12\" or \"TLS13\""))
        }
        other => Err(value.error(format_args!("{} is not a version; write \"TLS12\" or \"TLS13\"", quoted(other)))),
    }
}
