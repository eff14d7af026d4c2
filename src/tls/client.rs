//! The configuration that rustls works with, built when it is first needed and again when a file changes.

use super::identity::identity;
use super::possession::AcceptAny;
use super::verifier::Trust;
use super::wall_clock::WallClock;
use super::{TlsError, TlsIdentity, TlsOptions, TlsVersion};
use crate::model::Secret;
use crate::secrets::{SecretReader, SecretSource, TextKind};
use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Servers whose TLS sessions are kept, so that connecting anew costs a third of the bytes.
const SERVERS_KEPT: usize = 8;
/// What rustls reserves for each of them.
const SESSIONS_PER_SERVER: usize = 8;

/// One `tls_config` in use.
#[derive(Debug)]
pub struct TlsClient {
    ca: Option<SecretReader>,
    certificate: Option<SecretReader>,
    key: Option<SecretReader>,
    server_name: Option<ServerName<'static>>,
    insecure_skip_verify: bool,
    versions: Vec<&'static SupportedProtocolVersion>,
    /// Built when there is first something to connect to: a system's certificates take some milliseconds and a few hundred
    /// kilobytes, and most devices have `http` targets only.
    built: RefCell<Option<(Material, Arc<ClientConfig>)>>,
}

/// What a configuration was built of; compared by identity.
#[derive(Debug)]
struct Material {
    ca: Option<Rc<Secret>>,
    certificate: Option<Rc<Secret>>,
    key: Option<Rc<Secret>>,
}

impl Material {
    fn is_same(&self, other: &Material) -> bool {
        let same = |a: &Option<Rc<Secret>>, b: &Option<Rc<Secret>>| match (a, b) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        same(&self.ca, &other.ca) && same(&self.certificate, &other.certificate) && same(&self.key, &other.key)
    }
}

impl TlsClient {
    /// Fails if `server_name` is none.
    pub fn new(options: &TlsOptions) -> Result<TlsClient, TlsError> {
        let TlsOptions { ca, identity, server_name, insecure_skip_verify, min_version, max_version } = options;
        let reader = |source: &SecretSource, kind| SecretReader::new(source.clone(), kind);
        let server_name = server_name.clone().map(ServerName::try_from).transpose();
        let is_spoken = |version: &TlsVersion| {
            min_version.is_none_or(|min| *version >= min) && max_version.is_none_or(|max| *version <= max)
        };
        let versions = [TlsVersion::Tls12, TlsVersion::Tls13].into_iter().filter(is_spoken);
        Ok(TlsClient {
            ca: ca.as_ref().map(|source| reader(source, TextKind::Certificates)),
            certificate: identity
                .as_ref()
                .map(|TlsIdentity { certificate, .. }| reader(certificate, TextKind::Certificates)),
            key: identity.as_ref().map(|TlsIdentity { key, .. }| reader(key, TextKind::Secret)),
            server_name: server_name.map_err(|error| TlsError::Setup(format!("server_name: {error}")))?,
            insecure_skip_verify: *insecure_skip_verify,
            versions: versions
                .map(|version| match version {
                    TlsVersion::Tls12 => &TLS12,
                    TlsVersion::Tls13 => &TLS13,
                })
                .collect(),
            built: RefCell::new(None),
        })
    }

    /// The name that a server's certificate has to be for, if it is not its host's.
    pub fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }

    /// The configuration as of now: the same `Arc` as long as no file changes.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let read = |reader: &Option<SecretReader>, key| match reader {
            Some(reader) => reader.read().map(Some).map_err(|cause| TlsError::File { key, cause }),
            None => Ok(None),
        };
        let material = Material {
            ca: read(&self.ca, "ca_file")?,
            certificate: read(&self.certificate, "cert_file")?,
            key: read(&self.key, "key_file")?,
        };
        let mut built = self.built.borrow_mut();
        if let Some((_, config)) = built.as_ref().filter(|(of, _)| of.is_same(&material)) {
            return Ok(config.clone());
        }
        let config = Arc::new(self.build(&material)?);
        *built = Some((material, config.clone()));
        Ok(config)
    }

    fn build(&self, material: &Material) -> Result<ClientConfig, TlsError> {
        let builder = self.with_trust(material.ca.as_deref())?;
        let mut config = match (&material.certificate, &material.key) {
            (Some(certificate), Some(key)) => {
                let own = identity(certificates(certificate, "cert_file")?, key, &ring::default_provider())?;
                builder.with_client_cert_resolver(Arc::new(own))
            }
            _ => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(SERVERS_KEPT * SESSIONS_PER_SERVER);
        Ok(config)
    }

    fn with_trust(&self, ca: Option<&Secret>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(WallClock))
            .with_protocol_versions(&self.versions)
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        let listed = ca.map(|ca| certificates(ca, "ca_file")).transpose()?;
        if self.insecure_skip_verify {
            return Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider))));
        }
        let (roots, listed) = match listed {
            Some(listed) => (roots_of(&listed)?, listed),
            None => (system_roots(), Vec::new()),
        };
        let verifier = Trust::new(roots, listed, provider).map_err(TlsError::Setup)?;
        Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)))
    }
}

/// What a `ca_file` lists, without what can't be read as an authority, as in Go: bundles hold old certificates, too.
fn roots_of(listed: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let mut last_cause = None;
    for certificate in listed {
        last_cause = roots.add(certificate.clone()).err().or(last_cause);
    }
    match last_cause {
        Some(cause) if roots.is_empty() => Err(TlsError::NotPem { key: "ca_file", cause: cause.to_string() }),
        Some(cause) => {
            log::warn!(
                "tls_config ca_file: {} of {} certificates are left out, since they can't be read ({cause}); remove them",
                listed.len() - roots.len(),
                listed.len()
            );
            Ok(roots)
        }
        None => Ok(roots),
    }
}

/// The system's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` are heeded); if it has none, Mozilla's list as of this
/// build, which is part of the binary.
fn system_roots() -> RootCertStore {
    let mut store = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        log::warn!("some of the system's certificates can't be read: {error}");
    }
    // Systems' lists hold old certificates that nobody can use; the rest must not suffer for them.
    store.add_parsable_certificates(system.certs);
    if store.is_empty() {
        log::warn!("the system has no root certificates; using those built in");
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    store
}

/// At least one.
fn certificates(pem: &Secret, key: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let not_pem = |cause: String| TlsError::NotPem { key, cause };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.expose().as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| not_pem(error.to_string()))?;
    if certificates.is_empty() {
        return Err(not_pem("it holds no certificate".into()));
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn with_ca_file(content: &str) -> (tempfile::NamedTempFile, TlsOptions) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        let options = TlsOptions { ca: Some(SecretSource::File(file.path().into())), ..TlsOptions::default() };
        (file, options)
    }

    fn config_of(options: &TlsOptions) -> Result<Arc<ClientConfig>, TlsError> {
        TlsClient::new(options).unwrap().config()
    }

    #[test]
    fn a_ca_file_that_changes_is_taken_up_and_one_that_does_not_is_not() {
        let own = || rcgen::generate_simple_self_signed(["localhost".into()]).unwrap().cert.pem();
        let (file, options) = with_ca_file(&format!("a comment\n{}", own()));
        let client = TlsClient::new(&options).unwrap();
        let first = client.config().unwrap();
        assert!(Arc::ptr_eq(&first, &client.config().unwrap()));
        std::fs::write(file.path(), own()).unwrap();
        assert!(!Arc::ptr_eq(&first, &client.config().unwrap()));
        std::fs::write(file.path(), "").unwrap();
        assert!(client.config().is_err());
    }

    #[test]
    fn a_ca_file_that_is_none_is_refused() {
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for content in ["no certificate here\n", garbage] {
            let (_file, options) = with_ca_file(content);
            let error = config_of(&options).unwrap_err();
            assert!(matches!(error, TlsError::NotPem { key: "ca_file", .. }), "{content:?}: {error}");
        }
        let (file, options) = with_ca_file("");
        let error = config_of(&options).unwrap_err();
        assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
    }

    #[test]
    fn a_key_must_be_the_certificates() {
        let [one, other] = [1, 2].map(|_| rcgen::generate_simple_self_signed(["localhost".into()]).unwrap());
        let inline = |text: String| SecretSource::Inline(Secret::new(text));
        for (key, fits) in [(one.signing_key.serialize_pem(), true), (other.signing_key.serialize_pem(), false)] {
            let identity = Some(TlsIdentity { certificate: inline(one.cert.pem()), key: inline(key) });
            let result = config_of(&TlsOptions { identity, ..TlsOptions::default() });
            assert_eq!(result.is_ok(), fits);
            assert!(fits || matches!(result, Err(TlsError::Identity(_))));
        }
    }

    #[test]
    fn without_a_ca_there_are_always_roots() {
        assert!(!system_roots().is_empty());
    }

    #[test]
    fn versions_are_those_between_the_least_and_the_most() {
        use TlsVersion::{Tls12, Tls13};
        for (min_version, max_version, spoken) in [
            (None, None, 2),
            (Some(Tls13), None, 1),
            (None, Some(Tls12), 1),
            (Some(Tls12), Some(Tls13), 2),
            (Some(Tls13), Some(Tls13), 1),
        ] {
            let options = TlsOptions { min_version, max_version, ..TlsOptions::default() };
            assert_eq!(TlsClient::new(&options).unwrap().versions.len(), spoken);
        }
    }
}
