//! Groups in YAML, as `file_sd` has them, read as Prometheus's `yaml.UnmarshalStrict` reads them.
//!
//! ```text
//!  - targets: [host:port, ...]      plain scalars are text whatever they look like; null and ~ are empty
//!    labels: { name: value }        anchors, aliases and << work, a key that comes twice is refused
//! ```
//!
//! The parser gives events, of which a bounded number is kept; an alias is read again from where its anchor is, and what
//! is read in all is bounded too, so that aliases of aliases come to nothing.

use super::group::{Group, ListError, Pairs, Tally, add_label};
use crate::limits::YAML_EVENTS_MAX;
use crate::yaml::{decode_binary, strict_layout};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// Groups without a source. The error is one line that says where and what.
pub fn parse_yaml(text: &[u8]) -> Result<Vec<Group>, String> {
    let text = std::str::from_utf8(text).map_err(|_| refused("it is not UTF-8"))?;
    let laid_out;
    let document = match Document::parse(text) {
        Ok(document) => document,
        Err(refused) => {
            laid_out = strict_layout(text).ok_or_else(|| refused.clone())?;
            Document::parse(&laid_out).map_err(|_| refused)?
        }
    };
    let Some(root) = document.root else { return Ok(Vec::new()) };
    Reader { document: &document, reads: 0, tally: Tally::default() }.groups(root)
}

fn refused(problem: impl std::fmt::Display) -> String {
    format!("is not a list of groups in YAML: {problem}")
}

/// The events of one document, and where its anchors are.
struct Document<'t> {
    events: Vec<(Event<'t>, usize)>,
    anchors: HashMap<usize, usize>,
    /// `None`: there is nothing in it.
    root: Option<usize>,
}

impl<'t> Document<'t> {
    /// Only the first document counts; what comes behind it is not even looked at.
    fn parse(text: &'t str) -> Result<Self, String> {
        let mut document = Document { events: Vec::new(), anchors: HashMap::new(), root: None };
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span): (Event, Span) = event.map_err(refused)?;
            let line = span.start.line();
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => continue,
                Event::DocumentEnd | Event::StreamEnd => break,
                Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                    if anchor > 0 =>
                {
                    document.anchors.insert(anchor, document.events.len());
                }
                _ => {}
            }
            if document.events.len() == YAML_EVENTS_MAX {
                return Err(refused(format_args!("line {line}: {}", ListError::TooMany)));
            }
            document.root = Some(0);
            document.events.push((event, line));
        }
        Ok(document)
    }
}

/// What a node is once aliases are followed.
enum Node<'d> {
    Scalar(Scalar<'d>),
    /// The place of its first item.
    Sequence(usize),
    /// The place of its first key.
    Mapping(usize),
}

struct Scalar<'d> {
    text: Cow<'d, str>,
    /// Null by its form: such an item has no value at all.
    is_null: bool,
    /// One of the other words for null: such an item has the empty value.
    is_null_word: bool,
    is_plain: bool,
}

struct Reader<'d> {
    document: &'d Document<'d>,
    /// Events read, those behind aliases each time anew.
    reads: usize,
    tally: Tally,
}

impl<'d> Reader<'d> {
    fn groups(&mut self, root: usize) -> Result<Vec<Group>, String> {
        let mut groups = Vec::new();
        let first = match self.node(root)? {
            Node::Sequence(first) => first,
            Node::Scalar(scalar) if scalar.is_null || scalar.is_null_word => return Ok(groups),
            _ => return self.fail(root, "write a list of groups: - targets: [\"host:port\"]"),
        };
        let mut at = first;
        while !self.ends(at) {
            self.tally.one_more().or_else(|error| self.fail(at, error))?;
            groups.push(self.group(at)?);
            at = self.skip(at)?;
        }
        Ok(groups)
    }

    fn group(&mut self, at: usize) -> Result<Group, String> {
        let (mut targets, mut labels) = (None, None);
        match self.node(at)? {
            Node::Mapping(first) => self.fields(first, &mut targets, &mut labels, 0)?,
            Node::Scalar(scalar) if scalar.is_null => return self.fail(at, ListError::NoGroup),
            Node::Scalar(scalar) if scalar.is_null_word => {}
            _ => return self.fail(at, "a group is no mapping; write targets and labels"),
        }
        Ok(Group::of_addresses(targets.unwrap_or_default(), labels.unwrap_or_default()))
    }

    /// The keys of a group. Those that are merged in stand in for what is not there.
    fn fields(
        &mut self,
        first: usize,
        targets: &mut Option<Vec<String>>,
        labels: &mut Option<Pairs>,
        depth: usize,
    ) -> Result<(), String> {
        let (mut at, mut has_targets, mut has_labels) = (first, false, false);
        while !self.ends(at) {
            let value = self.skip(at)?;
            let Node::Scalar(key) = self.node(at)? else { return self.fail(at, "a key is no text") };
            match &*key.text {
                "<<" if key.is_plain => {
                    for merged in self.merged(value, depth)? {
                        self.fields(merged, targets, labels, depth + 1)?;
                    }
                }
                "targets" if !has_targets => {
                    has_targets = true;
                    *targets = self.targets(value)?;
                }
                "labels" if !has_labels => {
                    has_labels = true;
                    let found = labels.get_or_insert_default();
                    self.labels(value, found, 0)?;
                }
                "targets" | "labels" => return self.fail(at, format_args!("{} comes twice; write it once", key.text)),
                _ => return self.fail(at, "unknown key; write targets or labels"),
            }
            at = self.skip(value)?;
        }
        Ok(())
    }

    fn targets(&mut self, list: usize) -> Result<Option<Vec<String>>, String> {
        let mut at = match self.node(list)? {
            Node::Sequence(first) => first,
            Node::Scalar(scalar) if scalar.is_null || scalar.is_null_word => return Ok(None),
            _ => return self.fail(list, "targets is no list; write targets: [\"host:port\"]"),
        };
        let mut targets = Vec::new();
        while !self.ends(at) {
            self.tally.one_more().or_else(|error| self.fail(at, error))?;
            targets.push(self.text(at, "a target is no text; write \"host:port\"")?);
            at = self.skip(at)?;
        }
        Ok(Some(targets))
    }

    fn labels(&mut self, table: usize, labels: &mut Pairs, depth: usize) -> Result<(), String> {
        let first = match self.node(table)? {
            Node::Mapping(first) => first,
            Node::Scalar(scalar) if scalar.is_null || scalar.is_null_word => {
                labels.clear();
                return Ok(());
            }
            _ => return self.fail(table, "labels is no mapping; write labels: { name: value }"),
        };
        self.label_entries(first, labels, depth)
    }

    fn label_entries(&mut self, first: usize, labels: &mut Pairs, depth: usize) -> Result<(), String> {
        let mut at = first;
        while !self.ends(at) {
            let value = self.skip(at)?;
            let Node::Scalar(key) = self.node(at)? else { return self.fail(at, "a label's name is no text") };
            if key.text == "<<" && key.is_plain {
                for merged in self.merged(value, depth)? {
                    self.label_entries(merged, labels, depth + 1)?;
                }
            } else {
                let name = self.text(at, "a label's name is no text")?;
                let text = self.text(value, "a label's value is no text; write it in quotes")?;
                let is_new = add_label(labels, name, text).or_else(|error| self.fail(at, error))?;
                if !is_new {
                    return self.fail(at, "a label comes twice; write it once");
                }
            }
            at = self.skip(value)?;
        }
        Ok(())
    }

    /// The mappings that `<<` names, in the order in which they are to be taken: earlier ones of a list come last.
    fn merged(&mut self, at: usize, depth: usize) -> Result<Vec<usize>, String> {
        const MERGE_DEPTH_MAX: usize = 16;
        let problem = "<< wants a mapping, or a list of them";
        if depth == MERGE_DEPTH_MAX {
            return self.fail(at, "<< in << goes too deep");
        }
        let mut item = match self.node(at)? {
            Node::Mapping(first) => return Ok(vec![first]),
            Node::Sequence(first) if !matches!(self.document.events[at].0, Event::Alias(_)) => first,
            _ => return self.fail(at, problem),
        };
        let mut mappings = Vec::new();
        while !self.ends(item) {
            let Node::Mapping(first) = self.node(item)? else { return self.fail(item, problem) };
            mappings.push(first);
            item = self.skip(item)?;
        }
        mappings.reverse();
        Ok(mappings)
    }

    fn text(&mut self, at: usize, problem: &str) -> Result<String, String> {
        match self.node(at)? {
            Node::Scalar(scalar) if scalar.is_null || scalar.is_null_word => Ok(String::new()),
            Node::Scalar(scalar) => Ok(scalar.text.into()),
            _ => self.fail(at, problem),
        }
    }

    fn node(&mut self, at: usize) -> Result<Node<'d>, String> {
        self.reads += 1;
        if self.reads > 4 * YAML_EVENTS_MAX {
            return self.fail(at, "aliases make it too large; write fewer");
        }
        let document = self.document;
        match &document.events[at].0 {
            Event::Scalar(text, style, _, tag) => self.scalar(at, text, *style, tag.as_deref()).map(Node::Scalar),
            Event::SequenceStart(..) => Ok(Node::Sequence(at + 1)),
            Event::MappingStart(..) => Ok(Node::Mapping(at + 1)),
            // An anchor stands before its alias: this ends.
            Event::Alias(anchor) => match document.anchors.get(anchor).copied() {
                Some(place) if place < at && !self.encloses(place, at) => self.node(place),
                _ => self.fail(at, "an alias names what contains it"),
            },
            _ => self.fail(at, "the document is malformed"),
        }
    }

    fn scalar(&self, at: usize, text: &'d str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar<'d>, String> {
        let is_text = match tag {
            None => style != ScalarStyle::Plain,
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "binary" => {
                let Some(text) = decode_binary(text) else {
                    return self.fail(at, "a !!binary value is not base64 of a text; write it anew");
                };
                return Ok(Scalar { text: text.into(), is_null: false, is_null_word: false, is_plain: false });
            }
            // A number is a text here, whatever its tag says.
            Some(tag)
                if tag.is_yaml_core_schema() && ["str", "int", "float", "bool"].contains(&tag.suffix.as_str()) =>
            {
                true
            }
            Some(tag) if tag.is_yaml_core_schema() => {
                return self.fail(at, format_args!("the tag !!{} is not supported; remove it", tag.suffix));
            }
            Some(_) => true,
        };
        let is_null = !is_text && matches!(text, "" | "~" | "null");
        let is_null_word = !is_text && matches!(text, "Null" | "NULL");
        Ok(Scalar { text: text.into(), is_null, is_null_word, is_plain: !is_text })
    }

    fn encloses(&self, place: usize, at: usize) -> bool {
        let mut depth = 0usize;
        for (event, _) in &self.document.events[place..at] {
            match event {
                Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
                Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return false;
            }
        }
        true
    }

    fn ends(&self, at: usize) -> bool {
        !matches!(
            self.document.events.get(at),
            Some((Event::Scalar(..) | Event::Alias(_) | Event::SequenceStart(..) | Event::MappingStart(..), _))
        )
    }

    /// The place behind the node.
    fn skip(&mut self, at: usize) -> Result<usize, String> {
        let (mut depth, mut next) = (0usize, at);
        loop {
            match self.document.events.get(next) {
                Some((Event::SequenceStart(..) | Event::MappingStart(..), _)) => depth += 1,
                Some((Event::SequenceEnd | Event::MappingEnd, _)) => depth = depth.saturating_sub(1),
                Some(_) => {}
                None => return self.fail(at, "the document is cut short"),
            }
            next += 1;
            if depth == 0 {
                return Ok(next);
            }
        }
    }

    fn fail<T>(&self, at: usize, problem: impl std::fmt::Display) -> Result<T, String> {
        let line = self.document.events.get(at).map_or(0, |(_, line)| *line);
        Err(refused(format_args!("line {line}: {problem}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Vec<String>, String> {
        parse_yaml(text.as_bytes()).map(|groups| groups.iter().map(Group::shown).collect())
    }

    #[test]
    fn groups_are_read_as_prometheus_reads_them() {
        for (text, groups) in [
            ("", vec![]),
            ("# nothing\n", vec![]),
            ("null", vec![]),
            ("[]", vec![]),
            ("- targets: ['a:1', b:2]\n  labels:\n    x: 1\n    y: yes\n", vec!["a:1,b:2 x=1,y=yes"]),
            ("- targets:\n  - a:1\n  - 9100\n- labels: {x: ~, y: 'null', z: Null}\n", vec!["a:1,9100", "x=,y=null,z="]),
            ("- targets: null\n- Null\n- {}\n", vec!["", "", ""]),
            ("- &g\n  targets: [a]\n- *g\n", vec!["a", "a"]),
            ("- labels: &l {x: 1}\n- labels: {<<: *l, y: 2}\n", vec!["x=1", "x=1,y=2"]),
            ("- &g {targets: [a], labels: {x: 1}}\n- {<<: *g, targets: [b]}\n", vec!["a x=1", "b x=1"]),
            ("- labels: {x: !!str 1, y: !own z}\n", vec!["x=1,y=z"]),
            ("- targets: [a]\n---\n- nonsense\n", vec!["a"]),
            ("[{targets: [a]}]", vec!["a"]),
            // What Go's parser takes, and YAML's grammar does not.
            ("- targets: [\n    'a:1'\n  ]\n  labels:\t{x:\ty}\n", vec!["a:1 x=y"]),
            ("- labels: {x: !!binary aGFsbG8=, y: !!int 010}\n", vec!["x=hallo,y=010"]),
        ] {
            assert_eq!(shown(text), Ok(groups.into_iter().map(String::from).collect()), "{text}");
        }
    }

    #[test]
    fn what_is_no_list_of_groups_is_refused_with_its_line() {
        for (text, problem) in [
            ("targets: [a]", "line 1: write a list of groups: - targets: [\"host:port\"]"),
            ("- targets: [a]\n  label: {}\n", "line 2: unknown key; write targets or labels"),
            ("- targets: [a]\n  targets: [b]\n", "line 2: targets comes twice; write it once"),
            ("- labels:\n    x: 1\n    x: 2\n", "line 3: a label comes twice; write it once"),
            ("- targets: a\n", "line 1: targets is no list; write targets: [\"host:port\"]"),
            ("- targets: [[a]]\n", "line 1: a target is no text; write \"host:port\""),
            ("- null\n", "line 1: a group is null; write targets and labels, or remove it"),
            ("-\n", "line 1: a group is null; write targets and labels, or remove it"),
            ("- labels: {'': x}\n", "line 1: a label has no name; write one such as site"),
            ("- labels: {<<: 1}\n", "line 1: << wants a mapping, or a list of them"),
            ("- &g {labels: *g}\n", "line 1: an alias names what contains it"),
            ("- labels: {x: !!binary '#'}\n", "line 1: a !!binary value is not base64 of a text; write it anew"),
        ] {
            assert_eq!(shown(text), Err(refused(problem)), "{text}");
        }
        assert!(shown("- targets: [a\n").is_err() && shown("- targets: *none\n").is_err());
        assert!(parse_yaml(b"- targets: [\xff]\n").is_err());
    }

    #[test]
    fn aliases_of_aliases_come_to_nothing() {
        let mut text = String::from("- &a0 {targets: [x, x, x, x, x, x, x, x]}\n");
        for i in 1..20 {
            text += &format!("- &a{i} {{<<: [*a{0}, *a{0}, *a{0}, *a{0}]}}\n", i - 1);
        }
        assert!(shown(&text).is_err());
        let nested: String = "[".repeat(100_000);
        assert!(shown(&nested).is_err());
    }
}
