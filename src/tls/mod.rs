//! What a TLS client trusts, what it shows of itself and which versions it speaks: from the configuration, from files that
//! are read again when they change, or from the system. For targets, receivers and token servers alike.

mod client;
mod der;
mod failure;
mod identity;
mod possession;
mod short_rsa;
mod verifier;
mod wall_clock;
mod x509;

pub use client::TlsClient;
pub use failure::TlsFailure;

use crate::secrets::{SecretError, SecretSource};
use std::fmt;

/// `tls_config` of Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// `ca`, `ca_file`: PEM with the certificates to trust instead of the system's.
    pub ca: Option<SecretSource>,
    /// What this side proves itself with, where a server asks for it.
    pub identity: Option<TlsIdentity>,
    /// The name that the server's certificate has to be for, and that it is asked by, instead of the URL's host.
    pub server_name: Option<String>,
    /// Accept any certificate whose key the server holds. Traffic can then be read and changed by whoever stands between.
    pub insecure_skip_verify: bool,
    pub min_version: Option<TlsVersion>,
    /// Not below `min_version`.
    pub max_version: Option<TlsVersion>,
}

/// A certificate and its key, both as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// `cert`, `cert_file`: the certificate, and those that lead from it to the authority.
    pub certificate: SecretSource,
    /// `key`, `key_file`.
    pub key: SecretSource,
}

/// Those that can be spoken; earlier ones are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

impl TlsVersion {
    /// As in Prometheus.
    pub fn name(self) -> &'static str {
        match self {
            TlsVersion::Tls12 => "TLS12",
            TlsVersion::Tls13 => "TLS13",
        }
    }
}

/// Why there is no TLS to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// A file that `key` of `tls_config` names can't be used.
    File { key: &'static str, cause: SecretError },
    /// `key` of `tls_config` holds something that is no certificate or key, or none at all.
    NotPem { key: &'static str, cause: String },
    /// The certificate and the key are there, but can't be used, or not together.
    Identity(String),
    /// rustls refuses to work with what it was given.
    Setup(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::File { key, cause } => write!(f, "tls_config {key}: {cause}"),
            TlsError::NotPem { key, cause } => {
                write!(
                    f,
                    "tls_config {key} is not what it should be ({cause}); write it anew, as PEM with its BEGIN line"
                )
            }
            TlsError::Identity(cause) => {
                write!(
                    f,
                    "tls_config cert and key can't be used ({cause}); write a certificate and the key it was made for"
                )
            }
            TlsError::Setup(cause) => write!(f, "TLS can't be set up: {cause}"),
        }
    }
}

impl std::error::Error for TlsError {}
