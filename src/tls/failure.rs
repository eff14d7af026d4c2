//! Why a handshake failed, in words that say what to do.

use rustls::{AlertDescription as Alert, CertificateError, Error, InvalidMessage, OtherError, PeerIncompatible};
use std::fmt;
use std::io;

/// What a handshake came to. Each text is what follows "TLS handshake with HOST failed: ".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    UnknownIssuer,
    /// Signed by itself, and not listed in a `ca_file`.
    SelfSigned,
    /// It is good for `names` only.
    WrongName {
        asked: String,
        names: Vec<String>,
    },
    Expired,
    NotValidYet,
    /// An RSA key below 2048 bits.
    ShortKey {
        of: &'static str,
        bits: usize,
    },
    /// X.509 version 1 or 2.
    OldVersion(u8),
    /// Its identifier.
    CriticalExtension(String),
    /// Signed by an algorithm that is not taken any more; its identifier.
    SignatureAlgorithm(String),
    /// An authority's, and not listed itself.
    AuthorityAsServer,
    NotForServers,
    NotACertificate,
    /// The signature of the handshake is not by the certificate's key.
    NotItsKey,
    /// In the words of webpki.
    Malformed(String),
    /// The server speaks none of the versions that may be spoken here.
    Version,
    /// What answers does not speak TLS.
    NotTls,
    /// The server finds nothing in what is offered here that it can use.
    NothingInCommon,
    /// The server asks for a certificate of this side.
    WantsCertificate,
    /// The server refuses the certificate of this side, or that there is none; its alert.
    RefusesCertificate(&'static str),
    /// The server has no certificate for the name that it was asked by.
    UnknownName,
    /// The server closed the connection.
    Closed,
    /// In the words of rustls.
    Other(String),
}

impl From<&io::Error> for TlsFailure {
    fn from(error: &io::Error) -> Self {
        match error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) {
            Some(cause) => TlsFailure::from(cause),
            None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                TlsFailure::Closed
            }
            None => TlsFailure::Other(error.to_string()),
        }
    }
}

impl From<&Error> for TlsFailure {
    fn from(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => {
                cause.downcast_ref().cloned().unwrap_or_else(|| TlsFailure::Other(error.to_string()))
            }
            Error::InvalidCertificate(CertificateError::BadEncoding) => TlsFailure::NotACertificate,
            // A certificate's own signature has another cause by the time that it gets here.
            Error::InvalidCertificate(CertificateError::BadSignature) => TlsFailure::NotItsKey,
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsFailure::NotTls,
            Error::AlertReceived(alert) => TlsFailure::from(*alert),
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => TlsFailure::Version,
            Error::PeerIncompatible(
                PeerIncompatible::NoCipherSuitesInCommon
                | PeerIncompatible::NoKxGroupsInCommon
                | PeerIncompatible::NoSignatureSchemesInCommon,
            ) => TlsFailure::NothingInCommon,
            other => TlsFailure::Other(other.to_string()),
        }
    }
}

impl From<Alert> for TlsFailure {
    fn from(alert: Alert) -> Self {
        match alert {
            Alert::ProtocolVersion => TlsFailure::Version,
            Alert::HandshakeFailure | Alert::InsufficientSecurity => TlsFailure::NothingInCommon,
            Alert::CertificateRequired | Alert::NoCertificate => TlsFailure::WantsCertificate,
            Alert::BadCertificate => TlsFailure::RefusesCertificate("bad certificate"),
            Alert::UnsupportedCertificate => TlsFailure::RefusesCertificate("unsupported certificate"),
            Alert::CertificateRevoked => TlsFailure::RefusesCertificate("certificate revoked"),
            Alert::CertificateExpired => TlsFailure::RefusesCertificate("certificate expired"),
            Alert::CertificateUnknown => TlsFailure::RefusesCertificate("certificate unknown"),
            Alert::UnknownCA => TlsFailure::RefusesCertificate("unknown authority"),
            Alert::DecryptError => TlsFailure::RefusesCertificate("its signature is not good"),
            Alert::AccessDenied => TlsFailure::RefusesCertificate("access denied"),
            Alert::UnrecognisedName => TlsFailure::UnknownName,
            other => TlsFailure::Other(format!("the server ends it with the alert {other:?}")),
        }
    }
}

/// Names that are shown of a certificate that is for others.
const NAMES_SHOWN_MAX: usize = 3;

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsFailure::UnknownIssuer => {
                "its certificate is not signed by an authority that is trusted here; name the right CA in tls_config \
                 ca_file, or check who answers at this address"
            }
            TlsFailure::SelfSigned => {
                "its certificate is self-signed and not trusted here; put it into tls_config ca_file, or check who \
                 answers at this address"
            }
            TlsFailure::WrongName { asked, names } => return write_wrong_name(f, asked, names),
            TlsFailure::Expired => "its certificate has expired; renew it, or check that this device's clock is right",
            TlsFailure::NotValidYet => "its certificate is not valid yet; check that this device's clock is right",
            TlsFailure::ShortKey { of, bits } => {
                return write!(
                    f,
                    "{of} key is too short: RSA of {bits} bits; renew it with P-256 or RSA of 2048 bits, or set \
                     tls_config insecure_skip_verify"
                );
            }
            TlsFailure::OldVersion(version) => {
                return write!(
                    f,
                    "its certificate is of X.509 version {version}, which has no names to verify; renew it as version 3 \
                     with a subjectAltName, or set tls_config insecure_skip_verify"
                );
            }
            TlsFailure::CriticalExtension(id) => {
                return write!(
                    f,
                    "its certificate has the critical extension {id}, which is unknown here; renew it without, or set \
                     tls_config insecure_skip_verify"
                );
            }
            TlsFailure::SignatureAlgorithm(id) => {
                return write!(
                    f,
                    "its certificate is signed by the algorithm {id}, which is not accepted, as SHA-1 and MD5 are not; \
                     renew it with SHA-256, or set tls_config insecure_skip_verify"
                );
            }
            TlsFailure::AuthorityAsServer => {
                "its certificate is an authority's (CA:TRUE) and not a server's; renew it with CA:FALSE, or put it \
                 itself into tls_config ca_file"
            }
            TlsFailure::NotForServers => {
                "its certificate is not made for servers; renew it with the extended key usage serverAuth"
            }
            TlsFailure::NotACertificate => "what it shows can't be read as a certificate; renew the certificate",
            TlsFailure::NotItsKey => {
                "it does not hold the key of its certificate; check the server's key file, and who answers at this address"
            }
            TlsFailure::Malformed(cause) => {
                return write!(
                    f,
                    "its certificate can't be verified ({cause}); renew it, or set tls_config insecure_skip_verify"
                );
            }
            TlsFailure::Version => {
                "it speaks no version of TLS that may be spoken here; check tls_config min_version and max_version, and \
                 that it knows TLS 1.2 or 1.3"
            }
            TlsFailure::NotTls => "this port does not speak TLS; use http instead of https, or another port",
            TlsFailure::NothingInCommon => {
                "it accepts nothing of what is offered here; if its key is ECDSA P-521, renew it with P-256; if it offers \
                 CBC cipher suites only, enable ECDHE with AES-GCM or ChaCha20; if it asks for a client certificate, set \
                 tls_config cert_file and key_file"
            }
            TlsFailure::WantsCertificate => "it asks for a client certificate; set tls_config cert_file and key_file",
            TlsFailure::RefusesCertificate(alert) => {
                return write!(
                    f,
                    "it refuses this side's certificate ({alert}); check tls_config cert_file, and which authorities \
                     the server trusts"
                );
            }
            TlsFailure::UnknownName => {
                "it has no certificate for the name that it was asked by; set tls_config server_name to the right one"
            }
            TlsFailure::Closed => {
                "it closed the connection during the handshake; check that this port speaks TLS, and the server's log"
            }
            TlsFailure::Other(cause) => {
                return write!(f, "{cause}; check the port, and the certificates of both sides");
            }
        })
    }
}

fn write_wrong_name(f: &mut fmt::Formatter<'_>, asked: &str, names: &[String]) -> fmt::Result {
    write!(f, "its certificate is not for {asked:?}")?;
    match names {
        [] => f.write_str(", nor for any other name, since it has no subjectAltName; renew it with one")?,
        names => {
            let shown: Vec<String> = names.iter().take(NAMES_SHOWN_MAX).map(|name| format!("{name:?}")).collect();
            let more = if names.len() > NAMES_SHOWN_MAX { " and others" } else { "" };
            write!(f, " but for {}{more}; use the name it was made for, ", shown.join(", "))?;
            f.write_str("write that into tls_config server_name")?;
        }
    }
    f.write_str(", or check who answers there")
}

impl std::error::Error for TlsFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_answers_is_told_without_jargon() {
        for (error, said) in [
            (Error::AlertReceived(Alert::HandshakeFailure), "P-521"),
            (Error::AlertReceived(Alert::CertificateRequired), "asks for a client certificate"),
            (Error::AlertReceived(Alert::UnknownCA), "(unknown authority)"),
            (Error::AlertReceived(Alert::UnrecognisedName), "server_name"),
            (Error::AlertReceived(Alert::ProtocolVersion), "min_version"),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "use http"),
            (Error::InvalidCertificate(CertificateError::BadEncoding), "renew the certificate"),
        ] {
            let shown = TlsFailure::from(&io::Error::other(error.clone())).to_string();
            assert!(shown.contains(said) && !shown.contains("Error("), "{error:?}: {shown}");
        }
        let ended = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(TlsFailure::from(&ended), TlsFailure::Closed);
    }

    #[test]
    fn a_wrong_name_is_told_with_the_right_ones() {
        let shown = |names: &[&str]| {
            let names = names.iter().map(|name| name.to_string()).collect();
            TlsFailure::WrongName { asked: "a".into(), names }.to_string()
        };
        assert!(shown(&["b"]).starts_with("its certificate is not for \"a\" but for \"b\"; use the name"));
        assert!(shown(&["b", "c", "d", "e"]).contains("\"d\" and others; "));
        assert!(shown(&[]).contains("no subjectAltName"));
    }
}
