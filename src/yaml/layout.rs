//! White space as `saphyr-parser` wants it, where Go's parser is content with less.
//!
//! ```text
//!  - targets: [            the lines of a bracket or of a quoted text are indented, whatever they were indented by
//!      'a:9100'
//!    ]                     a tab between two tokens becomes a space
//! ```
//!
//! Texts stay as they are: tabs within them, comments, block scalars.

/// Brackets further to the right are left alone: each line in them would be indented as far.
const COLUMN_MAX: usize = 1000;

/// The same document in a layout that every parser takes, line by line. `None` if that would be much larger than the text. Only
/// for texts that a strict parser refuses: it sees tokens, not grammar.
pub fn strict_layout(text: &str) -> Option<String> {
    let mut layout = Layout::default();
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        if !layout.block_scalar_goes_on(body) {
            layout.line(body)?;
        } else {
            layout.out += body;
        }
        layout.out += &line[body.len()..];
        if layout.out.len() > 4 * text.len() + COLUMN_MAX {
            return None;
        }
    }
    Some(layout.out)
}

#[derive(Default)]
struct Layout {
    out: String,
    /// Brackets that are open.
    depth: usize,
    /// The quote that is open.
    quote: Option<char>,
    /// Where what is open over several lines began.
    column: usize,
    block: Option<BlockScalar>,
}

/// A text after `|` or `>`.
struct BlockScalar {
    /// Of the line that begins it.
    parent_indent: usize,
    /// Of the text; `None` before its first line.
    indent: Option<usize>,
}

/// What is known of the characters before one on its line.
struct Before {
    /// A token may begin here.
    is_start: bool,
    /// The first character of the word.
    word: Option<char>,
    last: Option<char>,
}

impl Layout {
    fn block_scalar_goes_on(&mut self, body: &str) -> bool {
        let Some(block) = &mut self.block else { return false };
        let indent = body.len() - body.trim_start_matches(' ').len();
        let goes_on = body.trim().is_empty()
            || match block.indent {
                None => indent > block.parent_indent,
                Some(least) => indent >= least,
            };
        if !goes_on {
            self.block = None;
        } else if block.indent.is_none() && !body.trim().is_empty() {
            block.indent = Some(indent);
        }
        goes_on
    }

    fn line(&mut self, body: &str) -> Option<()> {
        let line_start = self.out.len();
        let mut rest = body;
        if self.depth > 0 || self.quote.is_some() {
            rest = body.trim_start_matches([' ', '\t']);
            let is_marker = body.starts_with("---") || body.starts_with("...");
            let indent = if rest.is_empty() || is_marker { 0 } else { self.column + 1 };
            self.out.extend(std::iter::repeat_n(' ', indent));
        }
        let mut before = Before { is_start: true, word: None, last: None };
        while let Some(c) = rest.chars().next() {
            let column = self.out.len() - line_start;
            let taken = match self.quote {
                Some(quote) => self.quoted(quote, rest, &mut before),
                None if c == ' ' || c == '\t' => self.space(rest, &mut before),
                None if c == '#' && before.word.is_none() => {
                    self.out += rest;
                    break;
                }
                None => self.token(c, rest, column, body, &mut before),
            };
            rest = &rest[taken..];
        }
        (self.column <= COLUMN_MAX).then_some(())
    }

    /// One character of a quoted text, or two that belong together.
    fn quoted(&mut self, quote: char, rest: &str, before: &mut Before) -> usize {
        let mut chars = rest.chars();
        let (first, second) = (chars.next().unwrap_or(quote), chars.next());
        let is_pair = first == '\\' && quote == '"' || first == quote && quote == '\'' && second == Some(quote);
        let taken = first.len_utf8() + second.filter(|_| is_pair).map_or(0, char::len_utf8);
        if first == quote && !is_pair {
            self.quote = None;
            *before = Before { is_start: false, word: Some(quote), last: Some(quote) };
        }
        self.out += &rest[..taken];
        taken
    }

    /// White space up to the next word.
    fn space(&mut self, rest: &str, before: &mut Before) -> usize {
        let taken = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let next = rest[taken..].chars().next();
        let ends_token = before.last.is_some_and(|last| ":,[]{}\"'".contains(last));
        let begins_token = before.last.is_some() && next.is_none_or(|next| "#:,]}".contains(next));
        match ends_token || begins_token {
            true => self.out += &rest[..taken].replace('\t', " "),
            false => self.out += &rest[..taken],
        }
        let is_indicator = matches!((before.word, before.last), (Some('-'), Some('-')) | (Some('?'), Some('?')));
        before.is_start |= is_indicator || before.last == Some(':') || matches!(before.word, Some('&' | '!'));
        before.word = None;
        taken
    }

    /// One character of a word.
    fn token(&mut self, c: char, rest: &str, column: usize, line: &str, before: &mut Before) -> usize {
        let is_start = before.is_start;
        before.is_start = false;
        match c {
            '"' | '\'' if is_start => {
                self.quote = Some(c);
                self.begin(column);
            }
            '[' | '{' if is_start || self.depth > 0 => {
                self.begin(column);
                self.depth += 1;
                before.is_start = true;
            }
            ']' | '}' if self.depth > 0 => self.depth -= 1,
            ',' if self.depth > 0 => before.is_start = true,
            ':' if matches!(before.last, Some('"' | '\'')) => before.is_start = true,
            '|' | '>' if is_start && self.depth == 0 && is_block_header(&rest[1..]) => {
                let parent_indent = line.len() - line.trim_start_matches(' ').len();
                self.block = Some(BlockScalar { parent_indent, indent: None });
            }
            _ => {}
        }
        before.word = before.word.or(Some(c)).filter(|_| !before.is_start);
        before.last = Some(c);
        self.out.push(c);
        c.len_utf8()
    }

    fn begin(&mut self, column: usize) {
        if self.depth == 0 {
            self.column = column;
        }
    }
}

/// What may stand behind `|` or `>` on its line.
fn is_block_header(after: &str) -> bool {
    let behind = after.trim_start_matches(|c: char| "+-0123456789".contains(c));
    behind.trim().is_empty() || behind.trim_start().starts_with('#') && behind.starts_with([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use saphyr_parser::{Event, Parser};

    /// What a strict parser makes of a text.
    fn events(text: &str) -> Result<String, String> {
        let mut shown = String::new();
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            match event.map_err(|error| error.to_string())?.0 {
                Event::Scalar(text, ..) => shown += &format!("{text:?} "),
                Event::SequenceStart(..) => shown += "[ ",
                Event::SequenceEnd => shown += "] ",
                Event::MappingStart(..) => shown += "{ ",
                Event::MappingEnd => shown += "} ",
                _ => {}
            }
        }
        Ok(shown.trim_end().into())
    }

    /// As Go's `yaml.Unmarshal` reads them.
    #[test]
    fn what_go_takes_is_taken() {
        for (text, expected) in [
            ("- t: [\n    'a:9100'\n  ]\n", "[ { \"t\" [ \"a:9100\" ] } ]"),
            ("- t: [\n'a'\n]\n", "[ { \"t\" [ \"a\" ] } ]"),
            ("- t: [\n\t'a',\n\tb\n\t]\n", "[ { \"t\" [ \"a\" \"b\" ] } ]"),
            ("- t: [\n# c: '\n'a' # it's\n]\n", "[ { \"t\" [ \"a\" ] } ]"),
            ("- t:\t['a']\n  l:\t\n    x:\ty\n", "[ { \"t\" [ \"a\" ] \"l\" { \"x\" \"y\" } } ]"),
            ("- t: [a\t, b\t]\t# c\n", "[ { \"t\" [ \"a\" \"b\" ] } ]"),
            ("- l: {\n  x: 1,\n}\n- t: []\n", "[ { \"l\" { \"x\" \"1\" } } { \"t\" [ ] } ]"),
            ("- l: {x:\ty, \"z\":\t1}\n", "[ { \"l\" { \"x\" \"y\" \"z\" \"1\" } } ]"),
            ("- l:\n    x: \"a\nb\"\n", "[ { \"l\" { \"x\" \"a b\" } } ]"),
            ("- l:\n    x: 'it''s\n\tb'\n", "[ { \"l\" { \"x\" \"it's b\" } } ]"),
            ("- t:\n  - a\t\n  - 'b'\t\n", "[ { \"t\" [ \"a\" \"b\" ] } ]"),
            ("- x:\ta\tb\n", "[ { \"x\" \"a\\tb\" } ]"),
            ("a: |\n  x:\ty\n  [\nb:\t[\n]\n", "{ \"a\" \"x:\\ty\\n[\\n\" \"b\" [ ] }"),
            ("- a: &x [\n  ]\n  b: !!str\tit's\n", "[ { \"a\" [ ] \"b\" \"it's\" } ]"),
        ] {
            let laid_out = strict_layout(text).unwrap();
            assert_eq!(events(&laid_out).as_deref(), Ok(expected), "{text}\n{laid_out}");
            assert_eq!(laid_out.lines().count(), text.lines().count(), "lines keep their numbers");
        }
    }

    #[test]
    fn what_every_parser_takes_stays_what_it_is() {
        for text in ["a: it's [b\nc: d]\n", "a: 'x: [' # [\nb: \"\\\"[\"\n", "a: >2\n    [\nb: c # '\n", "- - a: [b]\n"]
        {
            assert_eq!(events(&strict_layout(text).unwrap()), events(text), "{text}");
        }
    }

    #[test]
    fn a_text_that_would_grow_without_bound_is_left_alone() {
        assert_eq!(strict_layout(&format!("{}[\na\n]", " ".repeat(2000))), None);
        let rows = format!("{}[\n{}", "- ".repeat(400), "a\n".repeat(10_000));
        assert_eq!(strict_layout(&rows), None);
    }
}
