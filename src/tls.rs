//! Which certificates are trusted: read once from files or from the system, for targets and receivers alike.

use crate::limits::CA_FILE_BYTES_MAX;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Servers whose TLS sessions are kept for a quicker reconnect.
const SESSIONS_KEPT: usize = 8;

/// `tls_config` of Prometheus, as far as it is supported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM file with the certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Accept any certificate. Traffic can then be read and changed by whoever stands between.
    pub insecure_skip_verify: bool,
}

/// Why there is no TLS to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The `ca_file` can't be read.
    Read { path: PathBuf, cause: String },
    /// The `ca_file` holds something that is no certificate, or none at all.
    NoCertificate { path: PathBuf, cause: String },
    /// rustls refuses to work with what it was given.
    Setup(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Read { path, cause } => {
                write!(f, "can't read ca_file {}: {cause}; check the path and who may read it", path.display())
            }
            TlsError::NoCertificate { path, cause } => {
                let path = path.display();
                write!(
                    f,
                    "ca_file {path} is no list of certificates ({cause}); write it anew, as PEM with BEGIN CERTIFICATE"
                )
            }
            TlsError::Setup(cause) => write!(f, "TLS can't be set up: {cause}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// The certificates that all trust starts from.
#[derive(Clone, Debug)]
pub enum Roots {
    /// From the `ca_file` or the system's own list; at least one.
    Certificates(Vec<CertificateDer<'static>>),
    /// The system has none, so it is Mozilla's list as of this build, which is part of the binary (`webpki-roots`; ureq
    /// has it as `RootCerts::WebPki`).
    BuiltIn,
}

impl Roots {
    /// Reads the `ca_file`, or else the system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded).
    pub fn load(options: &TlsOptions) -> Result<Roots, TlsError> {
        if let Some(path) = &options.ca_file {
            return read_ca_file(path).map(Roots::Certificates);
        }
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            log::warn!("some of the system's certificates can't be read: {error}");
        }
        if system.certs.is_empty() {
            log::warn!("the system has no root certificates; using those built in");
            return Ok(Roots::BuiltIn);
        }
        Ok(Roots::Certificates(system.certs))
    }

    fn into_store(self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        match self {
            Roots::Certificates(certificates) => {
                // Systems' lists hold old certificates that nobody can use; the rest must not suffer for them.
                store.add_parsable_certificates(certificates);
            }
            Roots::BuiltIn => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        store
    }
}

/// What a TLS client needs to know, built from files; takes some milliseconds and a few hundred kilobytes, so it is to be
/// built only when there is something to connect to, and shared.
pub fn client_config(options: &TlsOptions) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    let mut config = if options.insecure_skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider))).with_no_client_auth()
    } else {
        builder.with_root_certificates(Roots::load(options)?.into_store()).with_no_client_auth()
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS_KEPT);
    Ok(Arc::new(config))
}

fn read_ca_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let no_certificate = |cause: String| TlsError::NoCertificate { path: path.into(), cause };
    let pem = read_bounded(path).map_err(|error| TlsError::Read { path: path.into(), cause: error.to_string() })?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| no_certificate(error.to_string()))?;
    if certificates.is_empty() {
        return Err(no_certificate("it holds none".into()));
    }
    for certificate in &certificates {
        RootCertStore::empty().add(certificate.clone()).map_err(|error| no_certificate(error.to_string()))?;
    }
    Ok(certificates)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(CA_FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > CA_FILE_BYTES_MAX {
        return Err(io::Error::other(format!(
            "it is larger than {CA_FILE_BYTES_MAX} bytes, and should name only the authorities that are needed"
        )));
    }
    Ok(bytes)
}

/// `insecure_skip_verify`: whose certificate it is does not matter; that the server holds its key still does.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn with_ca_file(content: &str) -> (tempfile::NamedTempFile, TlsOptions) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let options = TlsOptions { ca_file: Some(file.path().into()), insecure_skip_verify: false };
        (file, options)
    }

    #[test]
    fn a_ca_file_replaces_the_systems_certificates() {
        let own = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        let (_file, options) = with_ca_file(&format!("a comment\n{}", own.cert.pem()));
        let Ok(Roots::Certificates(certificates)) = Roots::load(&options) else { panic!("no certificates") };
        assert_eq!(certificates, [own.cert.der().clone()]);
        assert!(client_config(&options).is_ok());
    }

    #[test]
    fn a_ca_file_that_is_none_is_refused_with_its_name() {
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for content in ["", "no certificate here\n", garbage] {
            let (file, options) = with_ca_file(content);
            let error = Roots::load(&options).unwrap_err();
            assert!(matches!(error, TlsError::NoCertificate { .. }), "{content:?}: {error}");
            assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
        }
        let missing = TlsOptions { ca_file: Some("/nonexistent/ca.pem".into()), insecure_skip_verify: false };
        assert!(matches!(Roots::load(&missing), Err(TlsError::Read { .. })));
    }

    #[test]
    fn without_a_ca_file_there_are_always_roots() {
        let roots = Roots::load(&TlsOptions::default()).unwrap();
        assert!(!roots.into_store().is_empty());
        assert!(!Roots::BuiltIn.into_store().is_empty());
    }
}
