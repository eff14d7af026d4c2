//! What a server's certificate has to be, where it is verified: webpki's rules, one exception that Go makes as well, and causes
//! that say what to do.

use super::failure::TlsFailure;
use super::x509::{Certificate, KeyKind};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// The least that ring and webpki take of an RSA key.
const RSA_BITS_MIN: usize = 2048;

/// Trusts authorities: the system's, or the certificates of a `ca_file`, and those as servers' own, too. `openssl req -x509`
/// makes certificates that are both, and Go's TLS takes them for a server's where they are trusted themselves; webpki refuses
/// any authority's as a server's.
#[derive(Debug)]
pub(super) struct Trust {
    /// Of the `ca_file`; of the system's it is not known that they are servers' own.
    listed: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
    algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
}

impl Trust {
    pub(super) fn new(
        roots: RootCertStore,
        listed: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let algorithms = provider.signature_verification_algorithms.all;
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Trust { listed, authorities: authorities.build().map_err(|error| error.to_string())?, algorithms })
    }

    /// Why a certificate was refused. What its maker has to change comes before what can be trusted here: a certificate of
    /// version 1 is no better off in a `ca_file`.
    fn cause(
        &self,
        error: &Error,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
    ) -> Option<TlsFailure> {
        use CertificateError as Bad;
        let Error::InvalidCertificate(error) = error else { return None };
        let Some(shown) = Certificate::parse(end_entity) else { return Some(TlsFailure::NotACertificate) };
        if shown.version < 3 {
            return Some(TlsFailure::OldVersion(shown.version));
        }
        if let Some(short) = short_key(&shown) {
            return Some(TlsFailure::ShortKey { of: "its certificate's", bits: short });
        }
        let is_self_signed = || shown.is_self_signed(self.algorithms);
        let cause = match error {
            Bad::Expired | Bad::ExpiredContext { .. } => TlsFailure::Expired,
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => TlsFailure::NotValidYet,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                TlsFailure::WrongName { asked: server_name.to_str().into_owned(), names: shown.names }
            }
            Bad::UnsupportedSignatureAlgorithmContext { .. }
            | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                TlsFailure::SignatureAlgorithm(shown.signature_algorithm())
            }
            Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => TlsFailure::NotForServers,
            // A bad signature is that of another authority with the name of one that is trusted.
            Bad::UnknownIssuer | Bad::BadSignature => {
                let candidates = intermediates.iter().chain(&self.listed).filter_map(|der| Certificate::parse(der));
                let short = candidates.filter(|signer| signer.subject == shown.issuer).find_map(|s| short_key(&s));
                match short {
                    Some(bits) => TlsFailure::ShortKey { of: "its authority's", bits },
                    None if is_self_signed() => TlsFailure::SelfSigned,
                    None => TlsFailure::UnknownIssuer,
                }
            }
            Bad::Other(OtherError(other)) => match other.downcast_ref()? {
                webpki::Error::CaUsedAsEndEntity if is_self_signed() => TlsFailure::SelfSigned,
                webpki::Error::CaUsedAsEndEntity => TlsFailure::AuthorityAsServer,
                webpki::Error::UnsupportedCriticalExtension => {
                    TlsFailure::CriticalExtension(shown.unknown_critical.unwrap_or_default())
                }
                other => TlsFailure::Malformed(format!("{other:?}")),
            },
            other => TlsFailure::Malformed(format!("{other:?}")),
        };
        Some(cause)
    }
}

/// The length of an RSA key that is too short.
fn short_key(certificate: &Certificate<'_>) -> Option<usize> {
    match certificate.key.kind() {
        KeyKind::Rsa { bits } if bits < RSA_BITS_MIN => Some(bits),
        _ => None,
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let verdict = match verdict {
            // Asked after the validity was found good.
            Err(error) if is_ca_used_as_server(&error) && self.listed.iter().any(|own| own == end_entity) => {
                ParsedCertificate::try_from(end_entity).and_then(|own| verify_server_name(&own, server_name))
            }
            verdict => verdict.map(drop),
        };
        // A short key would sign the handshake in vain, which says nothing of why.
        let is_short = || Certificate::parse(end_entity).is_some_and(|shown| short_key(&shown).is_some());
        let verdict = match verdict {
            Ok(()) if is_short() => Err(CertificateError::BadSignature.into()),
            verdict => verdict,
        };
        verdict.map(|()| ServerCertVerified::assertion()).map_err(|error| {
            match self.cause(&error, end_entity, intermediates, server_name) {
                Some(cause) => CertificateError::Other(OtherError(Arc::new(cause))).into(),
                None => error,
            }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

fn is_ca_used_as_server(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(cause)) = error else { return false };
    matches!(cause.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}
