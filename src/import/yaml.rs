//! A YAML document as a tree whose values know their lines: what Prometheus's `yaml.UnmarshalStrict` makes of it, as far
//! as that does not depend on where a value is to go. Refuses to know what keys mean.

use crate::limits::{IMPORT_DEPTH_MAX, IMPORT_NODES_MAX};
use crate::yaml::{decode_binary, strict_layout};
use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;

/// Where something stands: a file by its number, and the line, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) line: usize,
}

/// A value and where it begins; of a value in a mapping, where its key does.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Written without a value, or as one of the words for none.
    Null,
    Scalar {
        text: String,
        is_plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file; each key once.
    Map(Vec<(String, Node)>),
}

/// One step from a value to one in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Item(usize),
}

/// The first document's root, which is a mapping. The error is one line.
pub(super) fn parse(text: &str, file: usize) -> Result<Node, String> {
    parse_strict(text, file).or_else(|refused| {
        let laid_out = strict_layout(text).ok_or_else(|| refused.clone())?;
        parse_strict(&laid_out, file).map_err(|_| refused)
    })
}

fn parse_strict(text: &str, file: usize) -> Result<Node, String> {
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0, file };
    loop {
        match reader.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::StreamEnd | Event::DocumentEnd, line) => {
                return Ok(Node { place: Place { file, line }, value: Value::Map(Vec::new()) });
            }
            (event, line) => {
                let root = reader.node(event, line, 0)?;
                return match root.value {
                    Value::Map(_) => Ok(root),
                    Value::Null => Ok(Node { value: Value::Map(Vec::new()), ..root }),
                    _ => Err(format!("line {line}: it is no mapping of keys to values")),
                };
            }
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    /// Values so far, those behind aliases each time anew.
    nodes: usize,
    file: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, usize), String> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            // Its text names the place, and nothing that stands there.
            Some(Err(error)) => Err(format!("{error}").replace(['\n', '\r'], " ")),
            None => Err("it is cut short".into()),
        }
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), String> {
        self.nodes += nodes;
        match self.nodes > IMPORT_NODES_MAX {
            true => Err(format!("line {line}: it has more than {IMPORT_NODES_MAX} values")),
            false => Ok(()),
        }
    }

    fn node(&mut self, event: Event<'t>, line: usize, depth: usize) -> Result<Node, String> {
        self.count(1, line)?;
        let place = Place { file: self.file, line };
        if depth > IMPORT_DEPTH_MAX {
            return Err(format!("line {line}: it is nested more than {IMPORT_DEPTH_MAX} deep"));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, _, anchor, Some(tag)) if tag.is_yaml_core_schema() && tag.suffix == "binary" => {
                let text = decode_binary(&text);
                let text = text.ok_or_else(|| format!("line {line}: a !!binary value is not base64 of a text"))?;
                (anchor, Value::Scalar { text, is_plain: false })
            }
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.suffix == "str") || style != ScalarStyle::Plain;
                (anchor, scalar(text.into_owned(), !is_text))
            }
            Event::SequenceStart(anchor, _) => (anchor, Value::List(self.items(depth)?)),
            Event::MappingStart(anchor, _) => (anchor, Value::Map(self.entries(depth)?)),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| format!("line {line}: an alias names what contains it, or nothing"))?;
                self.count(size(&node), line)?;
                return Ok(Node { place, value: node.value });
            }
            _ => return Err(format!("line {line}: it is malformed")),
        };
        let node = Node { place, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, line) => items.push(self.node(event, line, depth + 1)?),
            }
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(String, Node)>, String> {
        let (mut entries, mut merged) = (Vec::<(String, Node)>::new(), Vec::new());
        loop {
            let (event, line) = match self.next()? {
                (Event::MappingEnd, _) => break,
                next => next,
            };
            let Value::Scalar { text: key, is_plain } = self.node(event, line, depth + 1)?.value else {
                return Err(format!("line {line}: a key is no text"));
            };
            let (event, value_line) = self.next()?;
            let value = self.node(event, value_line, depth + 1)?.value;
            match value {
                Value::Map(from) if is_plain && key == "<<" => merged.extend(from),
                Value::List(lists) if is_plain && key == "<<" => {
                    for node in lists {
                        let Value::Map(from) = node.value else {
                            return Err(format!("line {line}: << wants a mapping, or a list of them"));
                        };
                        merged.extend(from);
                    }
                }
                _ if entries.iter().any(|(name, _)| *name == key) => {
                    return Err(format!("line {line}: a key comes twice; write it once"));
                }
                value => entries.push((key, Node { place: Place { file: self.file, line }, value })),
            }
        }
        for (key, node) in merged {
            if entries.iter().all(|(name, _)| *name != key) {
                entries.push((key, node));
            }
        }
        Ok(entries)
    }
}

fn scalar(text: String, is_plain: bool) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" if is_plain => Value::Null,
        _ => Value::Scalar { text, is_plain },
    }
}

/// Values in it, itself counted.
fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Null | Value::Scalar { .. } => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|(_, node)| size(node)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".into(),
            Value::Scalar { text, is_plain } => {
                if *is_plain {
                    text.clone()
                } else {
                    format!("{text:?}")
                }
            }
            Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let shown = entries.iter().map(|(key, node)| format!("{}@{key}={}", node.place.line, shown(node)));
                format!("{{{}}}", shown.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn documents_are_read_as_prometheus_reads_them() {
        for (text, tree) in [
            ("", "{}"),
            ("# nothing\n", "{}"),
            ("~", "{}"),
            ("a: 1\nb:\n  c: [x, 'y', ~]\n", "{1@a=1 2@b={3@c=[x \"y\" null]}}"),
            ("a: !!str 5\nb: |\n  two\n  lines\n", "{1@a=\"5\" 2@b=\"two\\nlines\\n\"}"),
            ("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n", "{1@a={1@p=1 1@q=2} 2@b={4@q=3 1@p=1}}"),
            ("a: &x [1]\nb: *x\n---\nc: 1", "{1@a=[1] 2@b=[1]}"),
            ("a: !!binary aGFsbG8=\n", "{1@a=\"hallo\"}"),
            // What Go's parser takes, and YAML's grammar does not.
            ("a:\n  b: [\n    'c'\n  ]\nd:\te\nf: {\n\tg:\th\n}\n", "{1@a={2@b=[\"c\"]} 5@d=e 6@f={7@g=h}}"),
        ] {
            assert_eq!(parse(text, 0).map(|root| shown(&root)), Ok(tree.into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_mapping_or_too_much_is_refused_with_its_line() {
        for (text, said) in [
            ("- a", "line 1: it is no mapping"),
            ("a: !!binary '#'", "line 1: a !!binary value is not base64"),
            ("a: 1\na: 2", "line 2: a key comes twice"),
            ("a: &x [*x]", "line 1: an alias names what contains it"),
            ("? [a]\n: b", "line 1: a key is no text"),
            ("a: {<<: [1]}", "line 1: << wants"),
            ("a: [1", ""),
            (&format!("a: {}", "[".repeat(40)), "deep"),
            (&format!("a: {}", "[".repeat(1000)), ""),
            (&format!("a: [{}]", "1,".repeat(IMPORT_NODES_MAX)), "values"),
        ] {
            let error = parse(text, 0).map(|root| shown(&root)).expect_err(text);
            assert!(error.contains(said) && !error.contains('\n'), "{error}");
        }
        let doubled: String = (1..40).map(|i| format!("a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1)).collect();
        assert!(parse(&format!("a0: &a0 [1]\n{doubled}"), 0).unwrap_err().contains("values"));
    }
}
