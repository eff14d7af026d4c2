//! DER, as far as certificates need it: one element after the other. Bytes only; nothing is copied.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const SEQUENCE: u8 = 0x30;

/// The tag of a constructed element that its context explains: `[number]`.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// The same of one that is not constructed.
pub(super) const fn primitive(number: u8) -> u8 {
    0x80 | number
}

/// Elements in their order.
#[derive(Clone, Copy)]
pub(super) struct Reader<'d>(pub(super) &'d [u8]);

/// One element.
#[derive(Clone, Copy)]
pub(super) struct Element<'d> {
    pub(super) tag: u8,
    pub(super) content: &'d [u8],
    /// Tag and length included.
    pub(super) whole: &'d [u8],
}

impl<'d> Reader<'d> {
    /// The next element; `None` at the end, and where there is none that is whole.
    pub(super) fn next(&mut self) -> Option<Element<'d>> {
        let (&[tag, first], mut rest) = self.0.split_first_chunk()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x83 => {
                let (bytes, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = behind;
                bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
            }
            // Without a length, or longer than any part of a certificate.
            _ => return None,
        };
        let (content, behind) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - behind.len()];
        self.0 = behind;
        Some(Element { tag, content, whole })
    }

    /// The next element, if it has this tag; else the reader stays where it is.
    pub(super) fn next_if(&mut self, tag: u8) -> Option<Element<'d>> {
        let mut ahead = *self;
        let element = ahead.next().filter(|element| element.tag == tag)?;
        *self = ahead;
        Some(element)
    }

    /// What is inside the next element, if it has this tag.
    pub(super) fn enter(&mut self, tag: u8) -> Option<Reader<'d>> {
        self.next_if(tag).map(|element| Reader(element.content))
    }
}

/// A number without its sign; `None` if it is negative.
pub(super) fn unsigned(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [0, rest @ ..] => Some(rest),
        [0x80..=0xff, ..] => None,
        digits => Some(digits),
    }
}

/// An object identifier in its usual form, such as `2.5.29.17`.
pub(super) fn oid_text(content: &[u8]) -> String {
    let (mut text, mut number) = (String::new(), 0u64);
    for byte in content {
        number = number.wrapping_shl(7) | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        text = match text.is_empty() {
            true => format!("{}.{}", (number / 40).min(2), number - 40 * (number / 40).min(2)),
            false => format!("{text}.{number}"),
        };
        number = 0;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_in_order_and_not_past_the_end() {
        let mut reader = Reader(&[0x30, 3, 2, 1, 5, 4, 0]);
        let mut inner = reader.enter(SEQUENCE).unwrap();
        assert_eq!(inner.next_if(INTEGER).unwrap().content, [5]);
        assert!(inner.next().is_none());
        assert!(reader.next_if(INTEGER).is_none(), "and it stays where it is");
        assert_eq!(reader.next_if(OCTET_STRING).unwrap().whole, [4, 0]);
        let long = [&[4, 0x82, 1, 0][..], &[7; 256]].concat();
        assert_eq!(Reader(&long).next().unwrap().content.len(), 256);
        for cut in [&[][..], &[4], &[4, 1], &[4, 0x81], &[4, 0x82, 1], &[4, 0x84, 0, 0, 0, 0], &[4, 0x80], &long[..99]]
        {
            assert!(Reader(cut).next().is_none(), "{cut:?}");
        }
    }

    #[test]
    fn numbers_and_identifiers_are_read() {
        assert_eq!(unsigned(&[0, 0x80]), Some(&[0x80][..]));
        assert_eq!(unsigned(&[1, 2]), Some(&[1, 2][..]));
        assert_eq!(unsigned(&[0x80]), None);
        assert_eq!(oid_text(&[0x55, 0x1d, 0x11]), "2.5.29.17");
        assert_eq!(oid_text(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5]), "1.2.840.113549.1.1.5");
        assert_eq!(oid_text(&[]), "");
    }
}
