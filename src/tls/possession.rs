//! That a server holds the key of the certificate that it shows, whatever else the certificate says: all that is left of
//! verification under `insecure_skip_verify`, as in Go.
//!
//! rustls's own check reads the certificate by webpki, which refuses what devices make for themselves: X.509 version 1, unknown
//! critical extensions, RSA keys below 2048 bits.

use super::short_rsa::{self, SHORT_BITS};
use super::x509::{Certificate, KeyKind};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};
use std::sync::Arc;

/// `insecure_skip_verify`: whose certificate it is does not matter; that the server holds its key still does.
#[derive(Debug)]
pub(super) struct AcceptAny(pub(super) Arc<CryptoProvider>);

impl AcceptAny {
    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        is_tls13: bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        let scheme = signed.scheme;
        let unasked = PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme;
        let offered = self.0.signature_verification_algorithms.mapping.iter().find(|(offered, _)| *offered == scheme);
        let (_, algorithms) = offered.filter(|_| !is_tls13 || is_of_tls13(scheme)).ok_or(unasked)?;
        let key = Certificate::parse(certificate).ok_or(CertificateError::BadEncoding)?.key;
        let is_good = match (key.kind(), key.rsa()) {
            (KeyKind::Rsa { bits }, Some(rsa)) if SHORT_BITS.contains(&bits) => {
                short_rsa::is_signed_by(rsa, scheme, message, signed.signature())
            }
            // In TLS 1.2 a scheme says nothing of the curve.
            _ => algorithms.iter().take(if is_tls13 { 1 } else { algorithms.len() }).any(|algorithm| {
                algorithm.public_key_alg_id().as_ref() == key.algorithm
                    && algorithm.verify_signature(key.bits, message, signed.signature()).is_ok()
            }),
        };
        if is_good { Ok(HandshakeSignatureValid::assertion()) } else { Err(CertificateError::BadSignature.into()) }
    }
}

/// TLS 1.3 takes no PKCS #1.
fn is_of_tls13(scheme: SignatureScheme) -> bool {
    !matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA256 | SignatureScheme::RSA_PKCS1_SHA384 | SignatureScheme::RSA_PKCS1_SHA512
    )
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signed, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify(message, certificate, signed, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
