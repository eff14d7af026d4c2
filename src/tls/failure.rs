//! Why a handshake failed, in words that say what to do.

use std::fmt;
use std::io;

/// What a handshake came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    UnknownIssuer,
    WrongName,
    Expired,
    NotValidYet,
    /// The server speaks none of the versions that may be spoken here.
    Version,
    /// In the words of rustls.
    Other(String),
}

impl From<&io::Error> for TlsFailure {
    fn from(error: &io::Error) -> Self {
        use rustls::{AlertDescription, CertificateError as Bad, Error, PeerIncompatible as Unfit};
        let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) else {
            return TlsFailure::Other(error.to_string());
        };
        match cause {
            // A bad signature is that of another authority with the name of one that is trusted.
            Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => TlsFailure::UnknownIssuer,
            Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
                TlsFailure::WrongName
            }
            Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => TlsFailure::Expired,
            Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => TlsFailure::NotValidYet,
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(
                Unfit::ServerDoesNotSupportTls12Or13 | Unfit::ServerTlsVersionIsDisabledByOurConfig,
            ) => TlsFailure::Version,
            other => TlsFailure::Other(other.to_string()),
        }
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsFailure::UnknownIssuer => {
                "its certificate is not signed by an authority that is trusted here; name the right CA in tls_config \
                 ca_file, or check who answers at this address"
            }
            TlsFailure::WrongName => {
                "its certificate is not for that name; use the name it was made for, write that into tls_config \
                 server_name, or check who answers there"
            }
            TlsFailure::Expired => "its certificate has expired; renew it, or check that this device's clock is right",
            TlsFailure::NotValidYet => "its certificate is not valid yet; check that this device's clock is right",
            TlsFailure::Version => {
                "it speaks no version of TLS that may be spoken here; check tls_config min_version and max_version, and \
                 that it knows TLS 1.2 or 1.3"
            }
            TlsFailure::Other(cause) => {
                return write!(f, "{cause}; check the port, and the certificates of both sides");
            }
        })
    }
}
