//! Go's grammar of regular expressions (`regexp/syntax` with the flags `Perl`), read into a [`Hir`].
//!
//! ```text
//!  text ─► atoms ─► the open group: [branch | branch | branch so far] ─► its Hir ─► an atom of the group around it
//! ```
//!
//! As in Go, a repetition takes the atom before it, even with a change of flags in between: `a(?i)*` is `a*`.

use super::class::{self, AnyCase};
use super::error::RegexError;
use super::escape::{self, Escape};
use crate::limits::{RELABEL_REGEX_DEPTH_MAX, RELABEL_REGEX_RANGES_MAX};
use regex_syntax::hir::{Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, Look, Repetition};

/// Go's bound on a repetition, and on the product of those within each other.
const REPEAT_MAX: u64 = 1000;

/// What a pattern means, and the names of its groups with their numbers.
pub struct Parsed {
    pub hir: Hir,
    pub names: Vec<(String, usize)>,
}

#[derive(Clone, Copy, Default)]
struct Flags {
    /// `i`
    any_case: bool,
    /// `m`: `^` and `$` match at lines.
    multi_line: bool,
    /// `s`: `.` matches a line's end.
    dot_all: bool,
    /// `U`: repetitions take as little as they can.
    ungreedy: bool,
}

/// A part of a pattern, with what has to be held to limits.
struct Atom {
    hir: Hir,
    depth: usize,
    /// What counted repetitions within each other multiply to.
    repeats: u64,
}

/// A group whose closing parenthesis has not come yet; the pattern itself is one.
#[derive(Default)]
struct Group {
    /// `None` if it only groups.
    number: Option<u32>,
    flags_outside: Flags,
    branches: Vec<Atom>,
    branch: Vec<Atom>,
}

struct Parser<'p> {
    pattern: &'p str,
    rest: &'p str,
    flags: Flags,
    outer: Vec<Group>,
    group: Group,
    groups: u32,
    names: Vec<(String, usize)>,
    /// Of all classes so far.
    class_ranges: usize,
    /// Where the repetition just read began, if the last thing read was one.
    repetition: Option<&'p str>,
}

pub fn parse(pattern: &str) -> Result<Parsed, RegexError> {
    let mut parser = Parser {
        pattern,
        rest: pattern,
        flags: Flags::default(),
        outer: Vec::new(),
        group: Group::default(),
        groups: 0,
        names: Vec::new(),
        class_ranges: 0,
        repetition: None,
    };
    while let Some(c) = parser.rest.chars().next() {
        parser.repetition = parser.next(c)?;
        if parser.class_ranges > RELABEL_REGEX_RANGES_MAX {
            return Err(RegexError::TooLarge);
        }
    }
    if !parser.outer.is_empty() {
        return Err(RegexError::MissingParenthesis(pattern.into()));
    }
    let whole = parser.group.close()?;
    Ok(Parsed { hir: whole.hir, names: parser.names })
}

impl<'p> Parser<'p> {
    /// Reads what starts with `c`. The answer is where it began, if it is a repetition.
    fn next(&mut self, c: char) -> Result<Option<&'p str>, RegexError> {
        let before = self.rest;
        match c {
            '(' if before.starts_with("(?") => self.group_syntax()?,
            '(' => {
                self.skip(1);
                self.open_numbered()?;
            }
            ')' => self.close_group()?,
            '|' => {
                self.skip(1);
                self.group.end_branch()?;
            }
            '^' => self.look(1, if self.flags.multi_line { Look::StartLF } else { Look::Start }),
            '$' => self.look(1, if self.flags.multi_line { Look::EndLF } else { Look::End }),
            '.' => {
                self.skip(1);
                let all = ClassUnicodeRange::new('\0', char::MAX);
                let without_line_end =
                    [ClassUnicodeRange::new('\0', '\x09'), ClassUnicodeRange::new('\x0b', char::MAX)];
                self.class(if self.flags.dot_all {
                    ClassUnicode::new([all])
                } else {
                    ClassUnicode::new(without_line_end)
                });
            }
            '[' => {
                let (class, rest) = class::parse_bracketed(before, self.any_case())?;
                self.rest = rest;
                self.class(class);
            }
            '*' => return self.repeat(1, 0, None),
            '+' => return self.repeat(1, 1, None),
            '?' => return self.repeat(1, 0, Some(1)),
            '{' => match escape::parse_counts(before) {
                None => self.literal(1, Some('{')),
                Some(counts) => {
                    let text = &before[..counts.len];
                    let too_large = || RegexError::InvalidRepeatCount(text.into());
                    let (min, max) = counts
                        .range
                        .filter(|(min, max)| {
                            u64::from(max.unwrap_or(*min).max(*min)) <= REPEAT_MAX && max.is_none_or(|max| *min <= max)
                        })
                        .ok_or_else(too_large)?;
                    return self.repeat(counts.len, min, max);
                }
            },
            '\\' => self.escape()?,
            literal => self.literal(literal.len_utf8(), Some(literal)),
        }
        Ok(None)
    }

    fn any_case(&self) -> AnyCase {
        AnyCase(self.flags.any_case)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn push(&mut self, hir: Hir) {
        self.group.branch.push(Atom { hir, depth: 1, repeats: 0 });
    }

    fn class(&mut self, class: ClassUnicode) {
        self.class_ranges += class.ranges().len();
        self.push(Hir::class(Class::Unicode(class)));
    }

    fn look(&mut self, bytes: usize, look: Look) {
        self.skip(bytes);
        self.push(Hir::look(look));
    }

    /// `None` stands for a code point that no text has: half of a surrogate pair.
    fn literal(&mut self, bytes: usize, literal: Option<char>) {
        self.skip(bytes);
        let Some(literal) = literal else { return self.push(Hir::fail()) };
        let mut class = ClassUnicode::new([ClassUnicodeRange::new(literal, literal)]);
        self.any_case().fold(&mut class);
        self.class(class);
    }

    fn escape(&mut self) -> Result<(), RegexError> {
        let before = self.rest;
        match before.as_bytes().get(1) {
            Some(b'A') => self.look(2, Look::Start),
            Some(b'z') => self.look(2, Look::End),
            Some(b'b') => self.look(2, Look::WordAscii),
            Some(b'B') => self.look(2, Look::WordAsciiNegate),
            Some(b'C') => return Err(RegexError::InvalidEscape(before[..2].into())),
            Some(b'Q') => {
                let quoted = &before[2..];
                let (literals, rest) = quoted.split_once("\\E").unwrap_or((quoted, ""));
                literals.chars().for_each(|c| self.literal(0, Some(c)));
                self.rest = rest;
            }
            _ => {
                if let Some((class, rest)) = class::parse_named(before, self.any_case())? {
                    self.rest = rest;
                    self.class(class);
                    return Ok(());
                }
                let Escape { code, len } = escape::parse_escape(before)?;
                self.literal(len, char::from_u32(code));
            }
        }
        Ok(())
    }

    /// Repeats the last atom; `len` is that of the operator, without the `?` behind it.
    fn repeat(&mut self, len: usize, min: u32, max: Option<u32>) -> Result<Option<&'p str>, RegexError> {
        let before = self.rest;
        self.skip(len);
        let mut greedy = !self.flags.ungreedy;
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest;
            greedy = !greedy;
        }
        let upto_here = |from: &str| from[..from.len() - self.rest.len()].to_owned();
        if let Some(first) = self.repetition {
            return Err(RegexError::InvalidRepeatOperator(upto_here(first)));
        }
        let text = upto_here(before);
        let Some(atom) = self.group.branch.pop() else { return Err(RegexError::MissingRepeatArgument(text)) };
        let counted = before.starts_with('{');
        let repeats = match max.unwrap_or(min) {
            _ if !counted => atom.repeats,
            0 if max.is_some() => 0,
            0 => atom.repeats,
            most => u64::from(most) * atom.repeats.max(1),
        };
        if counted && (min >= 2 || max.is_some_and(|max| max >= 2)) && repeats > REPEAT_MAX {
            return Err(RegexError::InvalidRepeatCount(text));
        }
        let hir = Hir::repetition(Repetition { min, max, greedy, sub: Box::new(atom.hir) });
        self.group.branch.push(Atom { hir, depth: deeper(atom.depth)?, repeats });
        Ok(Some(before))
    }

    fn open(&mut self, number: Option<u32>) -> Result<(), RegexError> {
        let inner = Group { number, flags_outside: self.flags, ..Group::default() };
        self.outer.push(std::mem::replace(&mut self.group, inner));
        if self.outer.len() > RELABEL_REGEX_DEPTH_MAX {
            return Err(RegexError::NestsTooDeeply);
        }
        Ok(())
    }

    fn open_numbered(&mut self) -> Result<(), RegexError> {
        self.groups += 1;
        self.open(Some(self.groups))
    }

    fn close_group(&mut self) -> Result<(), RegexError> {
        self.skip(1);
        let unexpected = || RegexError::UnexpectedParenthesis(self.pattern.into());
        let outside = self.outer.pop().ok_or_else(unexpected)?;
        let inner = std::mem::replace(&mut self.group, outside);
        self.flags = inner.flags_outside;
        self.group.branch.push(inner.close()?);
        Ok(())
    }

    /// What starts with `(?`: a named group, one that only groups, a change of flags.
    fn group_syntax(&mut self) -> Result<(), RegexError> {
        let before = self.rest;
        let name_at = match before {
            _ if before.len() > 4 && before.starts_with("(?P<") => Some(4),
            _ if before.len() > 3 && before.starts_with("(?<") => Some(3),
            _ => None,
        };
        let Some(name_at) = name_at else { return self.flags_or_group() };
        let end = before.find('>').ok_or_else(|| RegexError::InvalidNamedCapture(before.into()))?;
        let name = before.get(name_at..end).unwrap_or_default();
        if name.is_empty() || !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
            return Err(RegexError::InvalidNamedCapture(before[..=end].into()));
        }
        self.skip(end + 1);
        self.open_numbered()?;
        self.names.push((name.into(), self.groups as usize));
        Ok(())
    }

    /// `(?flags)`, `(?flags:` or `(?:`.
    fn flags_or_group(&mut self) -> Result<(), RegexError> {
        let before = self.rest;
        let (mut flags, mut on, mut seen) = (self.flags, true, false);
        for (at, c) in before.char_indices().skip(2) {
            match c {
                'i' => flags.any_case = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_all = on,
                'U' => flags.ungreedy = on,
                '-' if on => {
                    (on, seen) = (false, false);
                    continue;
                }
                ':' | ')' if on || seen => {
                    self.skip(at + 1);
                    if c == ':' {
                        self.open(None)?;
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(RegexError::InvalidGroup(before[..at + c.len_utf8()].into())),
            }
            seen = true;
        }
        Err(RegexError::InvalidGroup(before.into()))
    }
}

impl Group {
    fn end_branch(&mut self) -> Result<(), RegexError> {
        let atoms = std::mem::take(&mut self.branch);
        self.branches.push(join(atoms, Hir::concat)?);
        Ok(())
    }

    fn close(mut self) -> Result<Atom, RegexError> {
        self.end_branch()?;
        let Atom { hir, depth, repeats } = join(self.branches, Hir::alternation)?;
        let Some(index) = self.number else { return Ok(Atom { hir, depth, repeats }) };
        let hir = Hir::capture(Capture { index, name: None, sub: Box::new(hir) });
        Ok(Atom { hir, depth: deeper(depth)?, repeats })
    }
}

fn join(mut atoms: Vec<Atom>, with: impl FnOnce(Vec<Hir>) -> Hir) -> Result<Atom, RegexError> {
    if atoms.len() == 1 {
        return Ok(atoms.remove(0));
    }
    let depth = deeper(atoms.iter().map(|atom| atom.depth).max().unwrap_or_default())?;
    let repeats = atoms.iter().map(|atom| atom.repeats).max().unwrap_or_default();
    Ok(Atom { hir: with(atoms.into_iter().map(|atom| atom.hir).collect()), depth, repeats })
}

fn deeper(depth: usize) -> Result<usize, RegexError> {
    if depth < RELABEL_REGEX_DEPTH_MAX { Ok(depth + 1) } else { Err(RegexError::NestsTooDeeply) }
}
