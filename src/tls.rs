//! Which certificates are trusted: read once from files or from the system, for targets and receivers alike.

use std::path::PathBuf;

/// `tls_config` of Prometheus, as far as it is supported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM file with the certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate. Traffic can then be read and changed by whoever stands between.
    pub insecure_skip_verify: bool,
}
