//! A label set: sorted by name, without repeats or empty values, in one piece of memory.
//!
//! ```text
//! packed:  [name len: varint][name][value len: varint][value] ...   sorted by name, byte by byte
//! ```
//!
//! The packed form is what a series is compared by and what the ring stores.

use crate::limits::{LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_PER_SERIES_MAX, SERIES_BYTES_MAX};
use std::fmt;

/// A label set that exists is valid: sorted, no repeats, no empty names or values, within the limits.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels {
    packed: Box<[u8]>,
}

/// Why bytes or pairs are not a label set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelsError {
    /// The packed form is cut short, unsorted, not UTF-8, or has an empty name or value.
    Malformed,
    /// More than [`LABELS_PER_SERIES_MAX`] labels.
    TooMany(usize),
    /// A label has no name.
    NameEmpty,
    /// This name comes twice.
    Repeated(String),
    /// A name, a value or the whole set is longer than `limits.rs` allows.
    TooLong { label: String, bytes: usize },
}

impl fmt::Display for LabelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelsError::Malformed => write!(f, "a stored label set is damaged"),
            LabelsError::TooMany(n) => write!(f, "a series has {n} labels; the most is {LABELS_PER_SERIES_MAX}"),
            LabelsError::NameEmpty => write!(f, "a label has no name"),
            LabelsError::Repeated(name) => write!(f, "label name {name:?} is not unique"),
            LabelsError::TooLong { label, bytes } => write!(f, "label {label:?} is {bytes} bytes long, past the limit"),
        }
    }
}

impl std::error::Error for LabelsError {}

impl Labels {
    /// Takes a packed form, as [`Labels::packed`] gave it, back in.
    pub fn from_packed(packed: &[u8]) -> Result<Labels, LabelsError> {
        check_packed(packed)?;
        Ok(Labels { packed: packed.into() })
    }

    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.packed }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;

    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

/// As Prometheus writes it: `{__name__="up", job="node"}` becomes `up{job="node"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().fmt_series(f)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The pairs of a packed label set, in order of their names.
#[derive(Clone)]
pub struct LabelsIter<'a> {
    rest: &'a [u8],
}

impl<'a> LabelsIter<'a> {
    /// Over bytes that were checked when their [`Labels`] was made.
    pub(super) fn over_checked(packed: &'a [u8]) -> Self {
        LabelsIter { rest: packed }
    }

    pub(super) fn fmt_series(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((_, name)) = self.clone().find(|(n, _)| *n == "__name__") {
            f.write_str(name)?;
        }
        let mut separator = "{";
        for (name, value) in self.filter(|(n, _)| *n != "__name__") {
            write!(f, "{separator}{name}={value:?}")?;
            separator = ", ";
        }
        if separator == ", " { f.write_str("}") } else { Ok(()) }
    }
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = take_text(self.rest)?;
        let (value, rest) = take_text(rest)?;
        self.rest = rest;
        Some((name, value))
    }
}

/// Collects pairs in any order and makes a [`Labels`] of them. Setting an empty value removes the label, as in Prometheus.
///
/// As Prometheus's builder, it may start from a *base*, which is sorted and comes first; what is set comes behind it, in the
/// order of setting, and takes the place of what the base has of that name. The order decides which of two labels that
/// relabelling maps to one name stands.
#[derive(Clone, Default, Debug)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
    /// How many of `pairs` are the base's. Only these may have one name twice.
    base_len: usize,
    /// Names that the base has twice and of which one was replaced: in Prometheus's builder the other stays beside what was
    /// set, until the name is removed.
    replaced_once: Vec<String>,
}

impl LabelsBuilder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts from labels that may have a name twice, as a page can; [`LabelsBuilder::build`] refuses what is left of them.
    pub fn over_base<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut pairs: Vec<(String, String)> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        LabelsBuilder { base_len: pairs.len(), pairs, replaced_once: Vec::new() }
    }

    pub fn clear(&mut self) {
        self.pairs.clear();
        self.replaced_once.clear();
        self.base_len = 0;
    }

    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return self.remove(name);
        }
        let in_base = self.pairs[..self.base_len].iter().filter(|(n, _)| n == name).count();
        if in_base > 0 {
            self.remove(name);
        }
        if in_base > 1 {
            self.replaced_once.push(name.into());
        }
        match self.pairs[self.base_len..].iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.pairs.push((name.into(), value.into())),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.retain(|n| n != name);
    }

    /// Removes each label whose name is not to be kept.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        let (mut index, base_len) = (0, self.base_len);
        self.pairs.retain(|(name, _)| {
            let kept = keep(name);
            self.base_len -= usize::from(!kept && index < base_len);
            index += 1;
            kept
        });
        self.replaced_once.retain(|name| keep(name));
    }

    /// The base, then what was set since, in that order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    pub fn build(&mut self) -> Result<Labels, LabelsError> {
        if self.pairs.len() > LABELS_PER_SERIES_MAX {
            return Err(LabelsError::TooMany(self.pairs.len()));
        }
        self.pairs.sort_unstable();
        self.base_len = 0;
        if self.pairs.first().is_some_and(|(name, _)| name.is_empty()) {
            return Err(LabelsError::NameEmpty);
        }
        let twice = self.pairs.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| &pair[0].0);
        if let Some(name) = twice.or(self.replaced_once.first()) {
            return Err(LabelsError::Repeated(name.chars().take(64).collect()));
        }
        let mut packed = Vec::with_capacity(self.pairs.iter().map(|(n, v)| n.len() + v.len() + 4).sum());
        for (name, value) in &self.pairs {
            check_length(name, name.len(), LABEL_NAME_BYTES_MAX)?;
            check_length(name, value.len(), LABEL_VALUE_BYTES_MAX)?;
            put_text(&mut packed, name);
            put_text(&mut packed, value);
        }
        check_length("(the whole set)", packed.len(), SERIES_BYTES_MAX)?;
        Ok(Labels { packed: packed.into() })
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for LabelsBuilder {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            builder.set(name, value);
        }
        builder
    }
}

fn check_length(label: &str, bytes: usize, most: usize) -> Result<(), LabelsError> {
    if bytes <= most {
        return Ok(());
    }
    let shown = label.chars().take(64).collect();
    Err(LabelsError::TooLong { label: shown, bytes })
}

fn check_packed(packed: &[u8]) -> Result<(), LabelsError> {
    if packed.len() > SERIES_BYTES_MAX {
        return Err(LabelsError::Malformed);
    }
    let (mut rest, mut before, mut count) = (packed, "", 0);
    while !rest.is_empty() {
        let (name, after) = take_text(rest).ok_or(LabelsError::Malformed)?;
        let (value, after) = take_text(after).ok_or(LabelsError::Malformed)?;
        count += 1;
        if name <= before || value.is_empty() || count > LABELS_PER_SERIES_MAX {
            return Err(LabelsError::Malformed);
        }
        (rest, before) = (after, name);
    }
    Ok(())
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let mut len = text.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (mut len, mut used) = (0usize, 0);
    loop {
        let byte = *bytes.get(used)?;
        len |= ((byte & 0x7f) as usize) << (7 * used);
        used += 1;
        if byte < 0x80 {
            break;
        }
        if used == 3 {
            return None;
        }
    }
    let text = bytes.get(used..used + len)?;
    Some((std::str::from_utf8(text).ok()?, &bytes[used + len..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_out_sorted_without_empty_values() {
        let mut builder: LabelsBuilder = [("job", "node"), ("__name__", "up"), ("empty", "")].into_iter().collect();
        let labels = builder.build().unwrap();
        let pairs: Vec<_> = labels.iter().collect();
        assert_eq!(pairs, [("__name__", "up"), ("job", "node")]);
        assert_eq!(labels.to_string(), r#"up{job="node"}"#);
        assert_eq!(labels.get("job"), Some("node"));
        assert_eq!(labels.get("empty"), None);
    }

    #[test]
    fn the_packed_form_survives_a_round_trip_and_refuses_damage() {
        let long = "x".repeat(300);
        let mut builder: LabelsBuilder = [("a", long.as_str()), ("b", "2")].into_iter().collect();
        let labels = builder.build().unwrap();
        assert_eq!(Labels::from_packed(labels.packed()).unwrap(), labels);
        for cut in 1..labels.packed().len() {
            let part = &labels.packed()[..cut];
            if part.len() != 304 {
                assert_eq!(Labels::from_packed(part), Err(LabelsError::Malformed), "cut at {cut}");
            }
        }
        assert_eq!(Labels::from_packed(b"\x01b\x011\x01a\x011"), Err(LabelsError::Malformed), "unsorted");
        assert_eq!(Labels::from_packed(b"\x01a\x00"), Err(LabelsError::Malformed), "empty value");
    }

    #[test]
    fn what_is_set_comes_behind_the_base_and_in_its_place() {
        let mut builder = LabelsBuilder::over_base([("b", "1"), ("a", "1"), ("b", "2")]);
        assert_eq!((builder.get("b"), builder.clone().build()), (Some("1"), Err(LabelsError::Repeated("b".into()))));
        builder.set("c", "3");
        builder.set("a", "4");
        builder.set("c", "5");
        assert_eq!(builder.iter().collect::<Vec<_>>(), [("b", "1"), ("b", "2"), ("c", "5"), ("a", "4")]);
        builder.retain(|name| name != "b");
        builder.set("b", "6");
        assert_eq!(builder.iter().collect::<Vec<_>>(), [("c", "5"), ("a", "4"), ("b", "6")]);
        builder.set("", "7");
        assert_eq!(builder.build(), Err(LabelsError::NameEmpty));
    }

    /// As `labels.Builder` of Prometheus does it: what is set replaces one of two, and only removing the name removes both.
    #[test]
    fn a_name_that_the_base_has_twice_stays_twice_until_it_is_removed() {
        let twice = || LabelsBuilder::over_base([("a", "1"), ("b", "1"), ("b", "2")]);
        let show = |builder: &mut LabelsBuilder| builder.build().map(|labels| labels.to_string());
        let refused = || Err(LabelsError::Repeated("b".into()));
        let mut set = twice();
        set.set("b", "3");
        assert_eq!((set.get("b"), show(&mut set.clone())), (Some("3"), refused()));
        set.set("b", "4");
        assert_eq!(show(&mut set.clone()), refused());
        set.set("b", "");
        set.set("b", "5");
        assert_eq!(show(&mut set).as_deref(), Ok(r#"{a="1", b="5"}"#));
        let mut removed = twice();
        removed.retain(|name| name != "b");
        removed.set("b", "3");
        assert_eq!(show(&mut removed).as_deref(), Ok(r#"{a="1", b="3"}"#));
    }

    #[test]
    fn what_is_past_a_limit_is_refused() {
        let long = "x".repeat(LABEL_VALUE_BYTES_MAX + 1);
        let mut builder: LabelsBuilder = [("a", long.as_str())].into_iter().collect();
        assert!(matches!(builder.build(), Err(LabelsError::TooLong { .. })));
    }
}
