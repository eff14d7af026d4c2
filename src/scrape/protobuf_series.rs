//! The bytes by which a series of a protobuf page is known, and its labels made of them.
//!
//! ```text
//! [kind: 1 byte][quantile or bound: 8 bytes][length: 4 bytes][name] { [length: 4 bytes][LabelPair as the page has it] }*
//! ```

use super::go_float::format_open_metrics_float;
use super::protobuf_metric::read_label;
use super::series_text::LabelText;
use super::wire::Fields;
use std::borrow::Cow;

/// Which series of a metric it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Plain,
    Count,
    Sum,
    Bucket(f64),
    Quantile(f64),
}

/// Writes the bytes of a series in place of what was there.
pub fn put_series(out: &mut Vec<u8>, kind: Kind, name: &str, labels: &[u8]) {
    let (number, bound) = match kind {
        Kind::Plain => (0, 0.0),
        Kind::Count => (1, 0.0),
        Kind::Sum => (2, 0.0),
        Kind::Bucket(bound) => (3, bound),
        Kind::Quantile(quantile) => (4, quantile),
    };
    out.clear();
    out.push(number);
    out.extend_from_slice(&bound.to_bits().to_le_bytes());
    put_label(out, name.as_bytes());
    out.extend_from_slice(labels);
}

/// Appends one `LabelPair`, or another text.
pub fn put_label(out: &mut Vec<u8>, label: &[u8]) {
    out.extend_from_slice(&(label.len() as u32).to_le_bytes());
    out.extend_from_slice(label);
}

/// The pieces that [`put_label`] wrote.
pub fn labels(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = bytes.split_first_chunk()?;
        let (label, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        bytes = rest;
        Some(label)
    })
}

/// Name and labels; `None` if they are not what a parser has written.
pub fn labels_of_series(raw: &[u8]) -> Option<Vec<LabelText<'_>>> {
    let (kind, rest) = raw.split_first()?;
    let (bound, rest) = rest.split_first_chunk()?;
    let mut pieces = labels(rest);
    let name = std::str::from_utf8(pieces.next()?).ok()?;
    let bound = || Cow::Owned(format_open_metrics_float(f64::from_le_bytes(*bound)));
    let (suffix, magic) = match kind {
        0 => ("", None),
        1 => ("_count", None),
        2 => ("_sum", None),
        3 => ("_bucket", Some(("le", bound()))),
        _ => ("", Some(("quantile", bound()))),
    };
    let name = if suffix.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}{suffix}")) };
    let mut found = vec![(Cow::Borrowed("__name__"), name)];
    for label in pieces {
        let (name, value) = read_label(label).ok()?;
        let text = |bytes| std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
        found.push((text(name.unwrap_or_default())?, text(value)?));
    }
    found.extend(magic.map(|(name, value)| (Cow::Borrowed(name), value)));
    Some(found)
}

/// Names and values of an `Exemplar`'s labels.
pub fn labels_of_exemplar(message: &[u8]) -> Option<Vec<(&str, &str)>> {
    let (mut fields, mut found) = (Fields::of(message), Vec::new());
    while let Some((number, field)) = fields.next_field().ok()? {
        if number == 1 {
            let (name, value) = read_label(field.bytes().ok()?).ok()?;
            found.push((std::str::from_utf8(name.unwrap_or_default()).ok()?, std::str::from_utf8(value).ok()?));
        }
    }
    Some(found)
}
