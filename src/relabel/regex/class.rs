//! Character classes as Go has them: `[a-z]`, `[[:alpha:]]`, `\d`, `\p{Greek}`.

use super::error::RegexError;
use super::escape::{Escape, parse_escape};
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// Scripts whose names are as short as the codes of others, which Go does not take.
const SHORT_SCRIPTS: [&str; 15] =
    ["ahom", "cham", "han", "kawi", "lao", "lisu", "miao", "modi", "mro", "newa", "nko", "thai", "toto", "vai", "yi"];

/// Whether classes are read under `(?i)`.
#[derive(Clone, Copy)]
pub struct AnyCase(pub bool);

impl AnyCase {
    pub fn fold(self, class: &mut ClassUnicode) {
        if self.0 {
            // Fails only without Unicode's tables, which are built in.
            _ = class.try_case_fold_simple();
        }
    }
}

/// Reads the `[...]` that `text` starts with. The answer is the class and what follows it.
pub fn parse_bracketed(text: &str, any_case: AnyCase) -> Result<(ClassUnicode, &str), RegexError> {
    let inside = &text[1..];
    let (negated, mut rest) = inside.strip_prefix('^').map_or((false, inside), |rest| (true, rest));
    let mut class = ClassUnicode::empty();
    let mut first = true;
    while first || !rest.starts_with(']') {
        first = false;
        if let Some((named, after)) = parse_posix(rest, any_case)? {
            class.union(&named);
            rest = after;
        } else if let Some((named, after)) = parse_named(rest, any_case)? {
            class.union(&named);
            rest = after;
        } else {
            let (mut range, after) = parse_range(rest, text)?;
            any_case.fold(&mut range);
            class.union(&range);
            rest = after;
        }
    }
    if negated {
        class.negate();
    }
    Ok((class, &rest[1..]))
}

/// One character or `a-z`.
fn parse_range<'t>(text: &'t str, whole: &str) -> Result<(ClassUnicode, &'t str), RegexError> {
    let (low, mut rest) = parse_char(text, whole)?;
    let mut high = low;
    // A `-` before the closing bracket stands for itself.
    if let Some(after) = rest.strip_prefix('-').filter(|after| !after.is_empty() && !after.starts_with(']')) {
        (high, rest) = parse_char(after, whole)?;
        if high < low {
            return Err(RegexError::InvalidClassRange(text[..text.len() - rest.len()].into()));
        }
    }
    Ok((code_points(low, high), rest))
}

/// A code point of a class and what follows it; may be one that no text has.
fn parse_char<'t>(text: &'t str, whole: &str) -> Result<(u32, &'t str), RegexError> {
    let Some(first) = text.chars().next() else { return Err(RegexError::MissingBracket(whole.into())) };
    if first != '\\' {
        return Ok((first as u32, &text[first.len_utf8()..]));
    }
    let Escape { code, len } = parse_escape(text)?;
    Ok((code, &text[len..]))
}

/// The characters among these code points.
fn code_points(low: u32, high: u32) -> ClassUnicode {
    let mut class = ClassUnicode::empty();
    let halves = [(low, high.min(0xd7ff)), (low.max(0xe000), high)];
    for (low, high) in halves.into_iter().filter(|(low, high)| low <= high) {
        if let (Some(low), Some(high)) = (char::from_u32(low), char::from_u32(high)) {
            class.push(ClassUnicodeRange::new(low, high));
        }
    }
    class
}

/// `[:alpha:]` and its like, within brackets.
fn parse_posix(text: &str, any_case: AnyCase) -> Result<Option<(ClassUnicode, &str)>, RegexError> {
    let Some(end) = text.strip_prefix("[:").and_then(|inside| inside.find(":]")) else { return Ok(None) };
    let (whole, rest) = text.split_at(2 + end + 2);
    let name = &whole[2..2 + end];
    let (negated, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let ranges: &[(char, char)] = match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => &[('0', '9'), ('A', 'Z'), ('a', 'z'), ('_', '_')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return Err(RegexError::InvalidClassRange(whole.into())),
    };
    Ok(Some((finished(class_of(ranges), negated, any_case), rest)))
}

/// `\d`, `\W`, `\pL`, `\p{^Greek}` and their like. `None` if the text starts with none of them.
pub fn parse_named(text: &str, any_case: AnyCase) -> Result<Option<(ClassUnicode, &str)>, RegexError> {
    let Some(letter) = text.strip_prefix('\\').and_then(|rest| rest.chars().next()) else { return Ok(None) };
    let ranges: &[(char, char)] = match letter {
        'p' | 'P' => return parse_unicode(text, letter == 'P', any_case).map(Some),
        'd' | 'D' => &[('0', '9')],
        's' | 'S' => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        'w' | 'W' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        _ => return Ok(None),
    };
    Ok(Some((finished(class_of(ranges), letter.is_ascii_uppercase(), any_case), &text[2..])))
}

fn parse_unicode(text: &str, negated: bool, any_case: AnyCase) -> Result<(ClassUnicode, &str), RegexError> {
    let (whole, name) = if text[2..].starts_with('{') {
        let end = text.find('}').ok_or_else(|| RegexError::InvalidClassRange(text.into()))?;
        (&text[..=end], &text[3..end])
    } else {
        let end = 2 + text[2..].chars().next().map_or(0, char::len_utf8);
        (&text[..end], &text[2..end])
    };
    let (twice, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let class = unicode_class(name).ok_or_else(|| RegexError::InvalidClassRange(whole.into()))?;
    Ok((finished(class, negated != twice, any_case), &text[whole.len()..]))
}

/// A general category or a script; case, spaces, `-` and `_` of its name do not count.
fn unicode_class(name: &str) -> Option<ClassUnicode> {
    let plain: String = name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).collect::<String>().to_ascii_lowercase();
    match plain.as_str() {
        "any" => return Some(class_of(&[('\0', char::MAX)])),
        "ascii" => return Some(class_of(&[('\0', '\x7f')])),
        "cs" | "surrogate" => return Some(ClassUnicode::empty()),
        // regex-syntax takes `is` for nothing.
        _ if plain.is_empty() || plain.starts_with("is") || !plain.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            return None;
        }
        _ => {}
    }
    let is_code = plain.len() <= 4 && !SHORT_SCRIPTS.contains(&plain.as_str());
    let script = if is_code { None } else { look_up("sc", &plain) };
    script.or_else(|| look_up("gc", &plain))
}

/// The class that regex-syntax's tables give for a property's value.
fn look_up(property: &str, value: &str) -> Option<ClassUnicode> {
    let hir = regex_syntax::parse(&format!(r"\p{{{property}={value}}}")).ok()?;
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        // A class of one character.
        HirKind::Literal(literal) => {
            let only = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(class_of(&[(only, only)]))
        }
        _ => None,
    }
}

fn class_of(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|(low, high)| ClassUnicodeRange::new(*low, *high)))
}

fn finished(mut class: ClassUnicode, negated: bool, any_case: AnyCase) -> ClassUnicode {
    any_case.fold(&mut class);
    if negated {
        class.negate();
    }
    class
}

/// Go's `unicode.IsLetter` or `unicode.IsDigit`.
pub fn is_letter_or_digit(c: char) -> bool {
    let holds = |category| {
        look_up("gc", category).is_some_and(|class| class.ranges().iter().any(|r| r.start() <= c && c <= r.end()))
    };
    c.is_ascii_alphanumeric() || !c.is_ascii() && (holds("l") || holds("nd"))
}
