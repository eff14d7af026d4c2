//! What Go takes a backslash and a counted repetition for.

use super::error::RegexError;

/// One character, written with a backslash.
pub struct Escape {
    /// The code point; it may be half of a surrogate pair, which no text has.
    pub code: u32,
    /// Bytes of the escape.
    pub len: usize,
}

/// `{2}`, `{2,}` or `{2,3}`.
pub struct Counts {
    /// `None` if a number is larger than any that is allowed.
    pub range: Option<(u32, Option<u32>)>,
    /// Bytes of it all.
    pub len: usize,
}

/// Reads the escape that `text` starts with.
pub fn parse_escape(text: &str) -> Result<Escape, RegexError> {
    let mut chars = text.char_indices().skip(1);
    let Some((_, first)) = chars.next() else { return Err(RegexError::TrailingBackslash) };
    let after = 1 + first.len_utf8();
    let literal = |literal| Ok(Escape { code: u32::from(literal), len: after });
    match first {
        '1'..='7' if !text[after..].starts_with(is_octal) => {}
        '0'..='7' => {
            let digits = text[1..].chars().take(3).take_while(|c| is_octal(*c)).count();
            // At most 0o777.
            let code = u32::from_str_radix(&text[1..1 + digits], 8).unwrap_or_default();
            return Ok(Escape { code, len: 1 + digits });
        }
        'x' => return parse_hex(text),
        'a' => return literal('\x07'),
        'f' => return literal('\x0c'),
        'n' => return literal('\n'),
        'r' => return literal('\r'),
        't' => return literal('\t'),
        'v' => return literal('\x0b'),
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => return literal(other),
        _ => {}
    }
    Err(RegexError::InvalidEscape(text[..after].into()))
}

/// `\x7f` or `\x{10ffff}`.
fn parse_hex(text: &str) -> Result<Escape, RegexError> {
    let mut end = 2;
    let mut next = || {
        let c = text[end..].chars().next();
        end += c.map_or(0, char::len_utf8);
        (c, end)
    };
    let (first, after_first) = next();
    let invalid = |upto: usize| Err(RegexError::InvalidEscape(text[..upto].into()));
    if first != Some('{') {
        let Some(first) = first else { return invalid(after_first) };
        let (second, after_second) = next();
        return match first.to_digit(16).zip(second.and_then(|c| c.to_digit(16))) {
            Some((high, low)) => Ok(Escape { code: high * 16 + low, len: after_second }),
            None => invalid(after_second),
        };
    }
    let mut code: Option<u32> = None;
    loop {
        let (c, after) = next();
        match (c, c.and_then(|c| c.to_digit(16))) {
            (Some('}'), _) => {
                let Some(code) = code else { return invalid(after) };
                return Ok(Escape { code, len: after });
            }
            (_, Some(digit)) => {
                let larger = code.unwrap_or_default() * 16 + digit;
                if larger > char::MAX as u32 {
                    return invalid(after);
                }
                code = Some(larger);
            }
            _ => return invalid(after),
        }
    }
}

fn is_octal(c: char) -> bool {
    matches!(c, '0'..='7')
}

/// Reads the counts that `text` starts with; `None` if they are none, and the brace stands for itself.
pub fn parse_counts(text: &str) -> Option<Counts> {
    let inside = text.strip_prefix('{')?;
    let (min, rest) = take_number(inside)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (max, rest) = take_number(rest)?;
            (Some(max), rest)
        }
    };
    let rest = rest.strip_prefix('}')?;
    let range = match (min, max) {
        (Some(min), None) => Some((min, None)),
        (Some(min), Some(Some(max))) => Some((min, Some(max))),
        _ => None,
    };
    Some(Counts { range, len: text.len() - rest.len() })
}

/// A number without leading zeros, and what follows; the number is `None` if it is too large.
fn take_number(text: &str) -> Option<(Option<u32>, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > 1 && text.starts_with('0') {
        return None;
    }
    Some((text[..digits].parse().ok(), &text[digits..]))
}
