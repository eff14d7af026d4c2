//! Domain names: labels of any bytes, which compare without regard to ASCII case.

use crate::limits::{DNS_LABEL_BYTES_MAX, DNS_NAME_BYTES_MAX};
use std::fmt;
use std::hash::{Hash, Hasher};

/// A name from the root down; no labels is the root. Held as it goes over the wire, without the final zero.
#[derive(Clone, Default, Debug)]
pub struct Name {
    wire: Vec<u8>,
}

impl Name {
    /// Reads the usual form, with or without the last dot; `\.` is a dot within a label and `\065` a byte. `None` if a label
    /// is empty or too long, or the whole is.
    pub fn parse(text: &str) -> Option<Name> {
        let mut name = Name::default();
        let (mut label, mut bytes) = (Vec::new(), text.strip_suffix('.').unwrap_or(text).bytes().peekable());
        if bytes.peek().is_none() {
            return Some(name);
        }
        while let Some(byte) = bytes.next() {
            match byte {
                b'.' => {
                    name.push(&label)?;
                    label.clear();
                }
                b'\\' => label.push(unescape(&mut bytes)?),
                byte => label.push(byte),
            }
        }
        name.push(&label)?;
        Some(name)
    }

    /// Adds a label at the end; `None` if it is empty, or it or the name becomes too long.
    pub fn push(&mut self, label: &[u8]) -> Option<()> {
        let is_fit = !label.is_empty() && label.len() <= DNS_LABEL_BYTES_MAX;
        if !is_fit || self.wire.len() + label.len() + 2 > DNS_NAME_BYTES_MAX {
            return None;
        }
        self.wire.push(label.len() as u8);
        self.wire.extend_from_slice(label);
        Some(())
    }

    /// The labels' bytes, each with its length before it; the root's zero is not there.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.wire[..];
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first()?;
            let (label, next) = after.split_at(usize::from(*len));
            rest = next;
            Some(label)
        })
    }

    /// The labels in front, if the rest is this name.
    pub fn strip_parent(&self, parent: &Name) -> Option<Vec<&[u8]>> {
        let count = self.labels().count().checked_sub(parent.labels().count())?;
        let same = self.labels().skip(count).zip(parent.labels()).all(|(a, b)| a.eq_ignore_ascii_case(b));
        same.then(|| self.labels().take(count).collect())
    }
}

/// What stands behind a backslash.
fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let (second, third) = (bytes.next()?, bytes.next()?);
    let digits = [first, second, third];
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// As the library that Prometheus uses writes it, with a dot at the end: what may be misread is escaped.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wire.is_empty() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for byte in label {
                match byte {
                    b'.' | b' ' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\' => {
                        write!(f, "\\{}", char::from(*byte))?
                    }
                    b'!'..=b'~' => write!(f, "{}", char::from(*byte))?,
                    other => write!(f, "\\{other:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        // Lengths are below 64 and no letters.
        self.wire.eq_ignore_ascii_case(&other.wire)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wire.iter().for_each(|byte| byte.to_ascii_lowercase().hash(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, shown) in [
            ("a.example", "a.example."),
            ("a.example.", "a.example."),
            ("", "."),
            (".", "."),
            ("Kitchen\\.2._x._tcp.local", "Kitchen\\.2._x._tcp.local."),
            ("a\\032b\\200", "a\\ b\\200."),
        ] {
            assert_eq!(Name::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let long = format!("{}.x", "a".repeat(64));
        for bad in ["..", ".a", "a..b", "a\\", "a\\25", "a\\256", &long, &"a.".repeat(128)] {
            assert!(Name::parse(bad).is_none(), "{bad}");
        }
        assert!(Name::parse(&"a.".repeat(127)).is_some());
    }

    #[test]
    fn case_makes_no_difference() {
        let name = |text| Name::parse(text).unwrap();
        assert_eq!(name("A.Example"), name("a.eXAMPLE."));
        assert_ne!(name("a.example"), name("b.example"));
        let instance = name("Pump._Prometheus-http._tcp.local");
        assert_eq!(instance.strip_parent(&name("_prometheus-http._tcp.local")), Some(vec![&b"Pump"[..]]));
        assert_eq!(instance.strip_parent(&name("_other._tcp.local")), None);
        assert_eq!(name("local").strip_parent(&name("a.local")), None);
    }
}
