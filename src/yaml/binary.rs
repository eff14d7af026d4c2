//! `!!binary`: base64, which Go decodes where a text is wanted.

/// The text that a `!!binary` scalar stands for. `None` if it is not base64 as RFC 4648, section 4, has it, or not UTF-8. Line
/// breaks are ignored, as by Go.
pub fn decode_binary(text: &str) -> Option<String> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let padding = digits.iter().rev().take_while(|byte| **byte == b'=').count();
    if !digits.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    for group in digits[..digits.len() - padding].chunks(4) {
        let mut bits = 0;
        for digit in group {
            bits = bits << 6 | value_of(*digit)?;
        }
        let missing = 4 - group.len() as u32;
        let whole = (bits << (6 * missing)).to_be_bytes();
        bytes.extend_from_slice(&whole[1..4 - missing as usize]);
    }
    String::from_utf8(bytes).ok()
}

fn value_of(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded_as_by_go() {
        for (text, plain) in [
            ("", Some("")),
            ("Zg==", Some("f")),
            ("Zm8=", Some("fo")),
            ("Zm9v\nYmFy", Some("foobar")),
            ("Zg=", None),
            ("Zg", None),
            ("====", None),
            ("Z=g=", None),
            ("#", None),
            ("/w==", None),
        ] {
            assert_eq!(decode_binary(text).as_deref(), plain, "{text:?}");
        }
    }
}
