//! Signatures by RSA keys that are too short for ring, for `insecure_skip_verify` alone: a device that has such a key is asked all
//! the same, and still has to hold it.
//!
//! Verification (RFC 8017) works with public numbers only, so nothing here needs to take the same time for all of them. Once in a
//! handshake, some milliseconds; numbers are multiplied bit by bit, which is slow and short.

use super::x509::bit_length;
use ring::digest::{Algorithm, Context, SHA256, SHA384, SHA512, digest};
use rustls::SignatureScheme;

/// Lengths in bits that are verified here: from what Go takes up to what ring does not.
pub(super) const SHORT_BITS: std::ops::Range<usize> = 1024..2048;

/// Bytes of an exponent; almost all have three.
const EXPONENT_BYTES_MAX: usize = 4;

/// `DigestInfo` of RFC 8017, section 9.2, before the digest.
const DIGEST_INFO_SHA256: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
const DIGEST_INFO_SHA384: [u8; 19] =
    [0x30, 0x41, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2, 5, 0, 4, 0x30];
const DIGEST_INFO_SHA512: [u8; 19] =
    [0x30, 0x51, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3, 5, 0, 4, 0x40];

/// Whether the signature is good. Numbers begin with their highest byte, which is not zero.
pub(super) fn is_signed_by(
    (modulus, exponent): (&[u8], &[u8]),
    scheme: SignatureScheme,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let bits = bit_length(modulus);
    let is_odd = |number: &[u8]| number.last().is_some_and(|low| low & 1 == 1);
    let is_key = SHORT_BITS.contains(&bits) && modulus[0] != 0 && is_odd(modulus);
    let is_exponent = is_odd(exponent) && exponent.len() <= EXPONENT_BYTES_MAX;
    if !is_key || !is_exponent || signature.len() != modulus.len() || signature >= modulus {
        return false;
    }
    let encoded = power(signature, exponent, modulus);
    match scheme {
        SignatureScheme::RSA_PKCS1_SHA256 => is_pkcs1(&encoded, &DIGEST_INFO_SHA256, digest(&SHA256, message).as_ref()),
        SignatureScheme::RSA_PKCS1_SHA384 => is_pkcs1(&encoded, &DIGEST_INFO_SHA384, digest(&SHA384, message).as_ref()),
        SignatureScheme::RSA_PKCS1_SHA512 => is_pkcs1(&encoded, &DIGEST_INFO_SHA512, digest(&SHA512, message).as_ref()),
        SignatureScheme::RSA_PSS_SHA256 => is_pss(&encoded, bits, &SHA256, message),
        SignatureScheme::RSA_PSS_SHA384 => is_pss(&encoded, bits, &SHA384, message),
        SignatureScheme::RSA_PSS_SHA512 => is_pss(&encoded, bits, &SHA512, message),
        _ => false,
    }
}

/// Section 9.2: `00 01 ff .. ff 00`, then what was digested and the digest.
fn is_pkcs1(encoded: &[u8], digest_info: &[u8], digest: &[u8]) -> bool {
    let Some(padding) = encoded.len().checked_sub(3 + digest_info.len() + digest.len()) else { return false };
    let expected = [&[0, 1][..], &vec![0xff; padding], &[0], digest_info, digest].concat();
    padding >= 8 && encoded == expected
}

/// Section 9.1.2, with a salt as long as the digest, as TLS has it.
fn is_pss(encoded: &[u8], bits: usize, algorithm: &'static Algorithm, message: &[u8]) -> bool {
    let digest_len = algorithm.output_len();
    // One bit less than the modulus, which may be one byte less.
    let encoded_bits = bits - 1;
    let (above, encoded) = encoded.split_at(encoded.len() - encoded_bits.div_ceil(8));
    let Some(zeros) = encoded.len().checked_sub(2 * digest_len + 2) else { return false };
    let (masked, rest) = encoded.split_at(encoded.len() - digest_len - 1);
    let (seed, trailer) = rest.split_at(digest_len);
    let unused = 0xff_u8.checked_shl(8 - (8 * encoded.len() - encoded_bits) as u32).unwrap_or_default();
    if above.iter().any(|byte| *byte != 0) || trailer != [0xbc] || masked[0] & unused != 0 {
        return false;
    }
    let mask = mask_of(algorithm, seed, masked.len());
    let mut block: Vec<u8> = masked.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
    block[0] &= !unused;
    let (padding, salt) = block.split_at(zeros + 1);
    let is_padded = padding.split_last().is_some_and(|(last, zeros)| *last == 1 && zeros.iter().all(|byte| *byte == 0));
    let mut digested = Context::new(algorithm);
    [&[0; 8][..], digest(algorithm, message).as_ref(), salt].iter().for_each(|part| digested.update(part));
    is_padded && digested.finish().as_ref() == seed
}

/// MGF1 of appendix B.2.1.
fn mask_of(algorithm: &'static Algorithm, seed: &[u8], len: usize) -> Vec<u8> {
    let blocks = (0u32..).map(|counter| digest(algorithm, &[seed, &counter.to_be_bytes()].concat()));
    let mut mask = Vec::with_capacity(len + algorithm.output_len());
    for block in blocks.take(len.div_ceil(algorithm.output_len())) {
        mask.extend_from_slice(block.as_ref());
    }
    mask.truncate(len);
    mask
}

/// `base ^ exponent mod modulus`; all of them positive, `base` the smaller one, and the result as long as the modulus.
fn power(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    let (mut base, modulus, mut result) = (limbs(base), limbs(modulus), limbs(&[1]));
    base.resize(modulus.len(), 0);
    result.resize(modulus.len(), 0);
    for bit in bits_of(exponent) {
        result = multiply(&result, &result, &modulus);
        if bit {
            result = multiply(&result, &base, &modulus);
        }
    }
    let bytes: Vec<u8> = result.iter().flat_map(|limb| limb.to_le_bytes()).collect();
    let len = modulus_bytes(&modulus);
    bytes[..len].iter().rev().copied().collect()
}

/// From the highest on.
fn bits_of(number: &[u8]) -> impl Iterator<Item = bool> {
    number.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
}

/// Lowest first.
fn limbs(number: &[u8]) -> Vec<u32> {
    let limb = |bytes: &[u8]| bytes.iter().fold(0, |limb, byte| limb << 8 | u32::from(*byte));
    number.rchunks(4).map(limb).collect()
}

fn modulus_bytes(modulus: &[u32]) -> usize {
    modulus.len() * 4 - modulus.last().map_or(0, |top| top.leading_zeros() as usize / 8)
}

/// `a * b mod modulus`: doubles and adds, from `a`'s highest bit on. Both are below the modulus, and all have its length.
fn multiply(a: &[u32], b: &[u32], modulus: &[u32]) -> Vec<u32> {
    let mut sum = vec![0; modulus.len()];
    for limb in a.iter().rev() {
        for bit in (0..32).rev() {
            let copy = sum.clone();
            add(&mut sum, &copy, modulus);
            if limb >> bit & 1 == 1 {
                add(&mut sum, b, modulus);
            }
        }
    }
    sum
}

/// `sum = (sum + other) mod modulus`.
fn add(sum: &mut [u32], other: &[u32], modulus: &[u32]) {
    let mut carry = 0;
    for (limb, other) in sum.iter_mut().zip(other) {
        let wide = u64::from(*limb) + u64::from(*other) + carry;
        (*limb, carry) = (wide as u32, wide >> 32);
    }
    if carry == 0 && sum.iter().rev().lt(modulus.iter().rev()) {
        return;
    }
    let mut borrow = 0;
    for (limb, modulus) in sum.iter_mut().zip(modulus) {
        let wide = i64::from(*limb) - i64::from(*modulus) + borrow;
        (*limb, borrow) = (wide as u32, wide >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // By OpenSSL: `openssl dgst -sign`, of keys with 1024 and 1025 bits and the exponent 65537.
    const MODULUS: &str = "\
        ac8f41c53f84a718309c2c03bd9f8cbfc13c54a94188bb6878ba9cd03e0f6787a016fc9f55129b46735b9242716126f092832e647a9f5255\
        75e0c2f45eb2ea74ebd13dafeead2db793f6a4d6396d5e4451f9df0b6aa14ce413a9d19de5ffa451fca1a014d98accd60998936c70263987\
        3478e1ea2efd6d90ad63303eb6c28905";
    const MODULUS_1025: &str = "\
        01a5b937bd0b682cccbdecdd9115460968c0fb63085554f8b3d0d70b688da4211587547b4856834d3a7f4313428871387453b23892f053af\
        75e603121235b564c4059c8e00ecae31b02c8c10cf89ef79bdfecb1d4de411912bd272ff5017ed2486dccf6ff434871259e1c108996ffe63\
        37b86f164d62eaa3ea265e9f1b6c92c65b";
    const PKCS1_SHA256: &str = "\
        806920ce4030388c7f5ce64c173141f6dcbcc6f6af77d11eeb59c7f312b107a4a7bedf251f96e93e81c332fd83c7f7b3c2427d157395a7d7\
        8298f44f46adb2eb9f111835e53f4338974bbd0ed5aa9aad2f15ea7f085d27151a1e7aa9ef8847bac85a177dcc88a81ad9fbcb86cf19eb8a\
        cbdd7ede28bfa0ff07293e59cefa4d17";
    const PKCS1_SHA384: &str = "\
        2903b4bee8d916e7b8cdd975283e54a8af5ab2b2e3fc90d7059bd8613982028787f08ccd1e066c7140fc81d9fa41ca0042b69220a1064ab1\
        406c05048e0d2d25fbf2f4b7e317851a38050dd2a9dfb0899c413be72400fea60da6dd0a4d840cd487f2bf75969f1d6626f86ff2d5d0c5a8\
        c32b415a060ee1c7f1ec61fd4a222a64";
    const PSS_SHA256: &str = "\
        a6c6c9854917b4d6320ff365817f0665b40ede10be4a8c38fb1901c991c29ea872b1abad2247f01d3532e8fae234a0038b26e5ad61c2e0d1\
        fa60d2b43a374d2ec483391b5ead40a9314e7b0efdc369774eec42d3ff4ace9296a14c4202332ddb1609775fbf10a8e664b020ba1c731343\
        382f7e9f218458753a220f86232fc772";
    const PSS_SHA384: &str = "\
        0b256c60b0e722ed062a502a65a79846678ceb90626b41b23c214d7eceee30340d1824f45b1b9ad1c30fcf0b2469837cf27c71298784c351\
        cab875a8fc0a88f4315be756f2f7d0782b1916213b37ad7a13c113b79c9e224f337ed5b5b0ad12ed8c7e7e8a52a5c4fefa17ff8973747934\
        a7f73009164ac6bdba8f87d5fdc1bed2";
    const PSS_SHA256_1025: &str = "\
        014ce67cde1c5f5240444273a3ecf7ec58eb47960a460844f4bbe46d410474da07e7870f2a0a24ab6afeda0d7b6d60f12a2394c5f4b67571\
        78aabd9ee3123cf512ff78ab1398a08a191703a548dc4f92539aed38a2c9535632bdc8ac89cad688d476670ab88bf37904af7cc632cf82e8\
        22d7be4512b7ed89a8372ec165912e33dd";
    const EXPONENT: [u8; 3] = [1, 0, 1];

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn signatures_of_openssl_are_good_and_changed_ones_are_not() {
        use SignatureScheme as Scheme;
        for (modulus, scheme, signature) in [
            (MODULUS, Scheme::RSA_PKCS1_SHA256, PKCS1_SHA256),
            (MODULUS, Scheme::RSA_PKCS1_SHA384, PKCS1_SHA384),
            (MODULUS, Scheme::RSA_PSS_SHA256, PSS_SHA256),
            (MODULUS, Scheme::RSA_PSS_SHA384, PSS_SHA384),
            (MODULUS_1025, Scheme::RSA_PSS_SHA256, PSS_SHA256_1025),
        ] {
            let (modulus, mut signature) = (bytes(modulus), bytes(signature));
            let is_good = |scheme, message: &[u8], signature: &[u8]| {
                is_signed_by((&modulus, &EXPONENT), scheme, message, signature)
            };
            assert!(is_good(scheme, b"a message", &signature), "{scheme:?}");
            assert!(!is_good(scheme, b"another", &signature), "{scheme:?}");
            assert!(!is_good(Scheme::RSA_PSS_SHA512, b"a message", &signature), "there is no room for it");
            assert!(!is_good(Scheme::RSA_PKCS1_SHA512, b"a message", &signature));
            assert!(!is_good(scheme, b"a message", &signature[1..]));
            assert!(!is_good(scheme, b"a message", &modulus));
            signature[9] ^= 4;
            assert!(!is_good(scheme, b"a message", &signature), "{scheme:?}");
        }
    }

    #[test]
    fn keys_that_are_none_sign_nothing() {
        let (modulus, signature) = (bytes(MODULUS), bytes(PKCS1_SHA256));
        for (modulus, exponent) in [
            (&modulus[..64], &EXPONENT[..]),
            (&[0xff; 256], &EXPONENT),
            (&modulus, &[]),
            (&modulus, &[2]),
            (&modulus, &[1; 5]),
            (&[], &EXPONENT),
        ] {
            assert!(!is_signed_by((modulus, exponent), SignatureScheme::RSA_PKCS1_SHA256, b"a message", &signature));
        }
    }

    #[test]
    fn powers_are_those_of_small_numbers() {
        for (base, exponent, modulus) in [(2u64, 10u64, 1_000_003u64), (65_000, 65_537, 65_521), (3, 255, 0xffff_fffb)]
        {
            let mut expected = 1u128;
            (0..exponent).for_each(|_| expected = expected * u128::from(base) % u128::from(modulus));
            let short = |number: u64| number.to_be_bytes()[8 - number.to_be_bytes().len()..].to_vec();
            let trimmed = |number: u64| short(number).into_iter().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
            let result = power(&trimmed(base), &trimmed(exponent), &trimmed(modulus));
            let value = result.iter().fold(0u128, |value, byte| value << 8 | u128::from(*byte));
            assert_eq!(value, expected, "{base}^{exponent} mod {modulus}");
        }
    }
}
