//! Sizes as Prometheus writes them: `64MiB`, `1GB`; every unit is a power of 1024, as in Prometheus's own configuration.

use std::fmt;

const UNITS: [(&str, u32); 5] = [("", 0), ("K", 10), ("M", 20), ("G", 30), ("T", 40)];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeError;

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a size; write it as \"64MiB\" or \"512KiB\"")
    }
}

impl std::error::Error for SizeError {}

/// Bytes of `64MiB`, `64MB` (the same, as in Prometheus) or `100B`.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().map_err(|_| SizeError)?;
    let prefix = text[digits..].strip_suffix('B').ok_or(SizeError)?;
    let prefix = prefix.strip_suffix('i').unwrap_or(prefix);
    let (_, shift) = UNITS.iter().find(|(unit, _)| *unit == prefix).ok_or(SizeError)?;
    number.checked_mul(1 << shift).ok_or(SizeError)
}

/// The shortest text that [`parse_size`] reads back as the same number.
pub fn format_size(bytes: u64) -> String {
    let (unit, shift) = UNITS
        .iter()
        .rev()
        .find(|(_, shift)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift))
        .unwrap_or(&UNITS[0]);
    let binary = if unit.is_empty() { "" } else { "i" };
    format!("{}{unit}{binary}B", bytes >> shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes) in [("64MiB", 64 << 20), ("512KiB", 512 << 10), ("1GiB", 1 << 30), ("100B", 100), ("0B", 0)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(format_size(bytes), text);
        }
        assert_eq!(parse_size("64MB"), Ok(64 << 20));
        for text in ["", "64", "64M", "64mib", "iB", "1.5GiB", "-1B", "1iBx", "99999999999TiB", "ü"] {
            assert_eq!(parse_size(text), Err(SizeError), "{text}");
        }
    }
}
