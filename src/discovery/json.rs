//! Groups in JSON, as `file_sd` and `http_sd` have them, read as Go's `encoding/json` reads them.
//!
//! ```text
//!  [ { "targets": ["host:port", ...], "labels": { "name": "value", ... } }, ... ]
//! ```
//!
//! Two things that Go takes are errors here: half of a surrogate pair (`\ud800`), and nesting that no group has.

use super::group::{Group, ListError, Pairs, Tally, add_label};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Groups without a source. The error is one line that says where and what.
pub fn parse_json(text: &[u8]) -> Result<Vec<Group>, String> {
    let text = decode(text);
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let mut tally = Tally::default();
    let groups = (&mut deserializer).deserialize_option(Nullable(List(&mut tally)));
    let groups = groups.and_then(|groups| deserializer.end().map(|()| groups));
    groups.map_err(|error| format!("is not a list of groups in JSON: {error}"))
}

/// As Go does: each byte that is not UTF-8 becomes a replacement character.
fn decode(text: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(text) {
        return Cow::Borrowed(text);
    }
    let mut decoded = String::with_capacity(text.len() + 16);
    for chunk in text.utf8_chunks() {
        decoded.push_str(chunk.valid());
        decoded.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(decoded)
}

fn refused<E: Error>(error: ListError) -> E {
    E::custom(error)
}

/// A value, or null for the default.
struct Nullable<S>(S);

impl<'de, S> Visitor<'de> for Nullable<S>
where
    S: DeserializeSeed<'de>,
    S::Value: Default,
{
    type Value = S::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E>(self) -> Result<S::Value, E> {
        Ok(S::Value::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(deserializer)
    }
}

impl<'de, S> DeserializeSeed<'de> for Nullable<S>
where
    S: DeserializeSeed<'de>,
    S::Value: Default,
{
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

/// The whole list.
struct List<'a>(&'a mut Tally);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Vec<Group>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Group>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Vec<Group>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of groups")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Group>, A::Error> {
        let mut groups = Vec::new();
        while let Some(group) = items.next_element_seed(Nullable(OneGroup(self.0)))? {
            groups.push(group.ok_or_else(|| refused(ListError::NoGroup))?);
        }
        Ok(groups)
    }
}

struct OneGroup<'a>(&'a mut Tally);

impl<'de> DeserializeSeed<'de> for OneGroup<'_> {
    type Value = Option<Group>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Group>, D::Error> {
        self.0.one_more().map_err(refused)?;
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneGroup<'_> {
    type Value = Option<Group>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a group with targets and labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Option<Group>, A::Error> {
        let (mut targets, mut labels) = (Vec::new(), Pairs::new());
        while let Some(key) = entries.next_key::<String>()? {
            match folded(&key).as_str() {
                "targets" => targets = entries.next_value_seed(Nullable(Targets(self.0)))?,
                "labels" => labels = entries.next_value_seed(Nullable(LabelPairs))?,
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                    let shown: String = key.chars().take(60).collect();
                    return Err(A::Error::custom(format_args!("unknown field {shown:?}; write targets or labels")));
                }
            }
        }
        Ok(Some(Group::of_addresses(targets, labels)))
    }
}

/// Go finds fields whatever their case, by Unicode's simple folding: the long s and the Kelvin sign are letters too.
fn folded(key: &str) -> String {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars().map(fold).collect()
}

struct Targets<'a>(&'a mut Tally);

impl<'de> DeserializeSeed<'de> for Targets<'_> {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Targets<'_> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of addresses")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
        let mut targets = Vec::new();
        while let Some(target) = items.next_element::<Option<String>>()? {
            self.0.one_more().map_err(refused)?;
            targets.push(target.unwrap_or_default());
        }
        Ok(targets)
    }
}

struct LabelPairs;

impl<'de> DeserializeSeed<'de> for LabelPairs {
    type Value = Pairs;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Pairs, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LabelPairs {
    type Value = Pairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels and their values, as strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Pairs, A::Error> {
        let mut labels = Pairs::new();
        while let Some((name, value)) = entries.next_entry::<String, Option<String>>()? {
            add_label(&mut labels, name, value.unwrap_or_default()).map_err(refused)?;
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::DISCOVERED_TARGETS_MAX;

    fn shown(text: &str) -> Result<Vec<String>, String> {
        parse_json(text.as_bytes()).map(|groups| groups.iter().map(Group::shown).collect())
    }

    #[test]
    fn groups_are_read_as_go_reads_them() {
        for (text, groups) in [
            ("[]", vec![]),
            ("null", vec![]),
            (r#"[{"targets":["a:1","b"],"labels":{"x":"1","y":"2"}}]"#, vec!["a:1,b x=1,y=2"]),
            (r#"[{"TARGETS":["a"]},{"Label\u017f":{"x":null}},{}]"#, vec!["a", "x=", ""]),
            (r#"[{"targets":null,"labels":null}]"#, vec![""]),
            (r#"[{"targets":["a",null]}]"#, vec!["a,"]),
            (r#"[{"targets":["a"],"targets":["b"],"labels":{"x":"1","x":"2"}}]"#, vec!["b x=2"]),
            (r#"[{"labels":{"ü b":"ü"}}]"#, vec!["ü b=ü"]),
        ] {
            assert_eq!(shown(text), Ok(groups.into_iter().map(String::from).collect()), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_become_replacement_characters() {
        let groups = parse_json(b"[{\"labels\":{\"a\":\"\xe9\xff\"}}]").unwrap();
        assert_eq!(groups[0].labels[0].1, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn what_is_no_list_of_groups_is_refused() {
        for text in [
            "",
            "{}",
            "[",
            "[] []",
            "[null]",
            "[1]",
            r#"[{"target":["a"]}]"#,
            r#"[{"targets":"a"}]"#,
            r#"[{"targets":[1]}]"#,
            r#"[{"labels":{"a":1}}]"#,
            r#"[{"labels":{"":"a"}}]"#,
            r#"[{"labels":[]}]"#,
        ] {
            assert!(shown(text).is_err(), "{text}");
        }
        let error = shown("[\n {\"target\": []}\n]").unwrap_err();
        assert_eq!(
            error,
            "is not a list of groups in JSON: unknown field \"target\"; write targets or labels at line 2 column 15"
        );
    }

    #[test]
    fn lists_are_bounded() {
        let many = |n: usize| format!("[{{\"targets\":[{}]}}]", vec!["\"a\""; n].join(","));
        assert!(shown(&many(DISCOVERED_TARGETS_MAX - 1)).is_ok());
        assert!(shown(&many(DISCOVERED_TARGETS_MAX)).unwrap_err().contains("list fewer"));
        assert!(shown(&format!("[{}]", vec!["{}"; DISCOVERED_TARGETS_MAX + 1].join(","))).is_err());
        let labels: Vec<String> = (0..129).map(|i| format!("\"l{i}\":\"\"")).collect();
        assert!(shown(&format!("[{{\"labels\":{{{}}}}}]", labels.join(","))).unwrap_err().contains("more than 128"));
    }
}
