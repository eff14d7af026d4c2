//! What a certificate says, however odd it is: of any version, with any key and any extension. Verifies nothing; webpki does,
//! for certificates that it can read.
//!
//! ```text
//!  Certificate ─ TBSCertificate ─ [0] version, serial, algorithm, issuer, validity, subject, key, [3] extensions
//!              └ signature algorithm, signature
//! ```

use super::der::{
    BIT_STRING, BOOLEAN, Element, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, context, oid_text, primitive, unsigned,
};
use rustls::pki_types::{SignatureVerificationAlgorithm, alg_id};
use std::fmt;
use std::net::IpAddr;

/// `2.5.29`, where X.509's own extensions stand.
const ID_CE: [u8; 2] = [0x55, 0x1d];
const SUBJECT_ALT_NAME: u8 = 17;

/// Extensions that webpki understands, of [`ID_CE`]: key usage, names, basic constraints, name constraints, distribution
/// points, extended key usage.
const UNDERSTOOD: [u8; 6] = [15, SUBJECT_ALT_NAME, 19, 30, 31, 37];

/// A certificate that was taken apart.
pub(super) struct Certificate<'d> {
    /// 1 to 3.
    pub(super) version: u8,
    pub(super) issuer: &'d [u8],
    pub(super) subject: &'d [u8],
    pub(super) key: PublicKey<'d>,
    /// Names and addresses that it is for.
    pub(super) names: Vec<String>,
    /// An extension that has to be understood, and that nobody here understands.
    pub(super) unknown_critical: Option<String>,
    signed: Signed<'d>,
}

/// What the issuer signed, and how.
#[derive(Clone, Copy)]
struct Signed<'d> {
    part: &'d [u8],
    algorithm: &'d [u8],
    signature: &'d [u8],
}

/// A certificate's public key.
#[derive(Clone, Copy)]
pub(super) struct PublicKey<'d> {
    /// With its parameters, as [`alg_id`] has it.
    pub(super) algorithm: &'d [u8],
    pub(super) bits: &'d [u8],
    /// The whole `SubjectPublicKeyInfo`.
    pub(super) info: &'d [u8],
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa { bits: usize },
    P256,
    P384,
    P521,
    Ed25519,
    Other,
}

impl<'d> Certificate<'d> {
    /// `None` if it is not a certificate.
    pub(super) fn parse(der: &'d [u8]) -> Option<Certificate<'d>> {
        let mut outer = Reader(der).enter(SEQUENCE)?;
        let signed_part = outer.next_if(SEQUENCE)?;
        let mut inner = Reader(signed_part.content);
        let algorithm = outer.next_if(SEQUENCE)?.content;
        let signed = Signed { part: signed_part.whole, algorithm, signature: bits_of(outer.next_if(BIT_STRING)?)? };
        let version = match inner.enter(context(0)) {
            None => 1,
            Some(mut explicit) => explicit.next_if(INTEGER)?.content.first()?.saturating_add(1),
        };
        inner.next_if(INTEGER)?;
        inner.next_if(SEQUENCE)?;
        let issuer = inner.next_if(SEQUENCE)?.content;
        inner.next_if(SEQUENCE)?;
        let subject = inner.next_if(SEQUENCE)?.content;
        let key = PublicKey::parse(inner.next_if(SEQUENCE)?)?;
        let mut certificate =
            Certificate { version, issuer, subject, key, names: Vec::new(), unknown_critical: None, signed };
        while let Some(element) = inner.next() {
            if element.tag == context(3) {
                certificate.read_extensions(Reader(element.content).enter(SEQUENCE)?);
            }
        }
        Some(certificate)
    }

    fn read_extensions(&mut self, mut extensions: Reader<'_>) {
        while let Some(mut extension) = extensions.enter(SEQUENCE) {
            let Some(Element { content: id, .. }) = extension.next_if(OID) else { continue };
            let is_critical = extension.next_if(BOOLEAN).is_some_and(|boolean| boolean.content != [0]);
            let own = id.strip_prefix(&ID_CE);
            if is_critical && !own.is_some_and(|own| matches!(own, [number] if UNDERSTOOD.contains(number))) {
                self.unknown_critical.get_or_insert_with(|| oid_text(id));
            }
            if own == Some(&[SUBJECT_ALT_NAME])
                && let Some(names) = extension.enter(OCTET_STRING).and_then(|mut value| value.enter(SEQUENCE))
            {
                self.names = names_of(names);
            }
        }
    }

    /// Whether its own key signed it. Names that are the same say nothing: some authorities give everybody one name.
    pub(super) fn is_self_signed(&self, algorithms: &[&dyn SignatureVerificationAlgorithm]) -> bool {
        let Signed { part, algorithm, signature } = self.signed;
        let mut fitting = algorithms.iter().filter(|known| {
            known.signature_alg_id().as_ref() == algorithm && known.public_key_alg_id().as_ref() == self.key.algorithm
        });
        self.issuer == self.subject
            && fitting.any(|known| known.verify_signature(self.key.bits, part, signature).is_ok())
    }

    /// The identifier of the algorithm by which it was signed.
    pub(super) fn signature_algorithm(&self) -> String {
        Reader(self.signed.algorithm).next_if(OID).map_or_else(String::new, |id| oid_text(id.content))
    }
}

/// A bit string of whole bytes: its first byte counts the bits that are not used.
fn bits_of<'d>(string: Element<'d>) -> Option<&'d [u8]> {
    string.content.strip_prefix(&[0])
}

/// DNS names and addresses.
fn names_of(mut names: Reader<'_>) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(Element { tag, content, .. }) = names.next() {
        if tag == primitive(2) {
            found.push(String::from_utf8_lossy(content).into_owned());
        } else if tag == primitive(7) {
            let v4 = <[u8; 4]>::try_from(content).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(content).map(IpAddr::from));
            found.extend(address.map(|address| address.to_string()));
        }
    }
    found
}

impl<'d> PublicKey<'d> {
    fn parse(info: Element<'d>) -> Option<PublicKey<'d>> {
        let mut inside = Reader(info.content);
        let algorithm = inside.next_if(SEQUENCE)?.content;
        let bits = bits_of(inside.next_if(BIT_STRING)?)?;
        Some(PublicKey { algorithm, bits, info: info.whole })
    }

    /// Modulus and exponent of an RSA key, without leading zeros.
    pub(super) fn rsa(&self) -> Option<(&'d [u8], &'d [u8])> {
        if self.algorithm != alg_id::RSA_ENCRYPTION.as_ref() {
            return None;
        }
        let mut numbers = Reader(self.bits).enter(SEQUENCE)?;
        let modulus = unsigned(numbers.next_if(INTEGER)?.content)?;
        Some((modulus, unsigned(numbers.next_if(INTEGER)?.content)?))
    }

    pub(super) fn kind(&self) -> KeyKind {
        if let Some((modulus, _)) = self.rsa() {
            return KeyKind::Rsa { bits: bit_length(modulus) };
        }
        match self.algorithm {
            own if own == alg_id::ECDSA_P256.as_ref() => KeyKind::P256,
            own if own == alg_id::ECDSA_P384.as_ref() => KeyKind::P384,
            own if own == alg_id::ED25519.as_ref() => KeyKind::Ed25519,
            own if own == alg_id::ECDSA_P521.as_ref() => KeyKind::P521,
            _ => KeyKind::Other,
        }
    }
}

/// Bits of a number that begins with its highest byte.
pub(super) fn bit_length(number: &[u8]) -> usize {
    match number.iter().position(|byte| *byte != 0) {
        None => 0,
        Some(first) => (number.len() - first) * 8 - number[first].leading_zeros() as usize,
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyKind::Rsa { bits } => write!(f, "RSA of {bits} bits"),
            KeyKind::P256 => f.write_str("ECDSA P-256"),
            KeyKind::P384 => f.write_str("ECDSA P-384"),
            KeyKind::P521 => f.write_str("ECDSA P-521"),
            KeyKind::Ed25519 => f.write_str("Ed25519"),
            KeyKind::Other => f.write_str("of another kind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, CustomExtension, Issuer, KeyPair};

    #[test]
    fn a_certificate_says_who_it_is_for() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["a.example".into(), "192.0.2.7".into(), "::1".into()]).unwrap();
        let own = params.self_signed(&key).unwrap();
        let read = Certificate::parse(own.der()).unwrap();
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
        assert_eq!((read.version, read.key.kind(), read.is_self_signed(algorithms)), (3, KeyKind::P256, true));
        assert_eq!(read.names, ["a.example", "192.0.2.7", "::1"]);
        assert_eq!(read.signature_algorithm(), "1.2.840.10045.4.3.2");
        assert!(read.unknown_critical.is_none());
        let mut odd = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999], vec![5, 0]);
        odd.set_criticality(true);
        params.custom_extensions = vec![odd];
        let own = params.self_signed(&key).unwrap();
        let read = Certificate::parse(own.der()).unwrap();
        assert_eq!(read.unknown_critical.as_deref(), Some("1.3.6.1.4.1.99999"));

        let signer = Issuer::new(CertificateParams::new(vec![]).unwrap(), KeyPair::generate().unwrap());
        let signed = params.signed_by(&key, &signer).unwrap();
        let read = Certificate::parse(signed.der()).unwrap();
        assert_eq!(read.issuer, read.subject, "rcgen's name for everybody");
        assert!(!read.is_self_signed(algorithms));
    }

    #[test]
    fn no_cut_or_changed_certificate_makes_it_panic() {
        let own = rcgen::generate_simple_self_signed(["a.example".into()]).unwrap();
        let der = own.cert.der().to_vec();
        for at in 0..der.len() {
            Certificate::parse(&der[..at]);
            let mut changed = der.clone();
            changed[at] ^= 0xff;
            Certificate::parse(&changed).map(|certificate| certificate.key.kind());
        }
    }

    #[test]
    fn bits_of_a_number_are_counted_from_its_highest_one() {
        assert_eq!((bit_length(&[]), bit_length(&[0, 1]), bit_length(&[0x80, 0]), bit_length(&[0x7f])), (0, 1, 16, 7));
    }
}
