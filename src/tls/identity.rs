//! What this side shows of itself where a server asks for it. Whether a certificate is good is for the server to say, so it is
//! only read as far as it takes to see that the key is its own.

use super::TlsError;
use super::x509::Certificate;
use crate::model::Secret;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// The line by which PEM says that a key needs a passphrase; older files say so in a header.
const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];

/// `chain` begins with this side's own certificate; `key` is PEM.
pub(super) fn identity(
    chain: Vec<CertificateDer<'static>>,
    key: &Secret,
    provider: &CryptoProvider,
) -> Result<SingleCertAndKey, TlsError> {
    let text = key.expose();
    let key_error = |cause: String| TlsError::NotPem { key: "key_file", cause };
    if ENCRYPTED.iter().any(|line| text.contains(line)) {
        return Err(key_error("it needs a passphrase, which nobody could type; decrypt it".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| key_error(error.to_string()))?;
    let own = chain.first().and_then(|own| Certificate::parse(own));
    let own = own.ok_or_else(|| TlsError::NotPem { key: "cert_file", cause: "it is not a certificate".into() })?;
    let signer = provider.key_provider.load_private_key(key).map_err(|error| {
        TlsError::Identity(format!(
            "the key is {}, and P-256, P-384, Ed25519 and RSA of 2048 to 4096 bits can be signed with: {error}",
            own.key.kind()
        ))
    })?;
    if signer.public_key().is_some_and(|public| public.as_ref() != own.key.info) {
        return Err(TlsError::Identity("the key is not the certificate's".into()));
    }
    Ok(SingleCertAndKey::from(CertifiedKey::new(chain, signer)))
}
