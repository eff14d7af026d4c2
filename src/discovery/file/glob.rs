//! Go's `path.Match`, for the last part of a path: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before a character that is to be
//! taken as it is.

/// Whether a text is a pattern at all; if not, it is a name.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

/// Whether a pattern is well formed: each `[` closed with something in it, each `\` before something.
pub fn is_valid(pattern: &str) -> bool {
    let mut rest = pattern;
    while !rest.is_empty() {
        match take_item(rest) {
            Some((_, next)) => rest = next,
            None => return false,
        }
    }
    true
}

/// Whether the whole name fits. A malformed pattern fits nothing.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Where to go on if what comes after the last star fails: behind the star, with one character more skipped.
    let mut retry: Option<(&str, &str)> = None;
    loop {
        if let Some(behind) = pattern.strip_prefix('*') {
            retry = Some((behind, name));
            pattern = behind;
            continue;
        }
        if pattern.is_empty() && name.is_empty() {
            return true;
        }
        let fits = take_item(pattern).zip(name.chars().next()).filter(|((item, _), first)| item.fits(*first));
        if let Some(((_, next), first)) = fits {
            (pattern, name) = (next, &name[first.len_utf8()..]);
            continue;
        }
        let Some((behind, from)) = retry else { return false };
        let Some(skipped) = from.chars().next() else { return false };
        let from = &from[skipped.len_utf8()..];
        retry = Some((behind, from));
        (pattern, name) = (behind, from);
    }
}

/// What one character is held to.
enum Item<'p> {
    Any,
    Exactly(char),
    Class { ranges: &'p str, is_negated: bool },
}

impl Item<'_> {
    fn fits(&self, character: char) -> bool {
        match self {
            Item::Any => true,
            Item::Exactly(expected) => *expected == character,
            Item::Class { ranges, is_negated } => {
                let (mut rest, mut is_in) = (*ranges, false);
                while let Some((low, high, next)) = take_range(rest) {
                    is_in |= (low..=high).contains(&character);
                    rest = next;
                }
                is_in != *is_negated
            }
        }
    }
}

fn take_item(pattern: &str) -> Option<(Item<'_>, &str)> {
    let first = pattern.chars().next()?;
    let after = &pattern[first.len_utf8()..];
    match first {
        '?' | '*' => Some((Item::Any, after)),
        '\\' => {
            let escaped = after.chars().next()?;
            Some((Item::Exactly(escaped), &after[escaped.len_utf8()..]))
        }
        '[' => {
            let (is_negated, ranges) = after.strip_prefix('^').map_or((false, after), |ranges| (true, ranges));
            let mut rest = ranges;
            loop {
                let (_, _, next) = take_range(rest)?;
                rest = next;
                if let Some(behind) = rest.strip_prefix(']') {
                    let ranges = &ranges[..ranges.len() - rest.len()];
                    return Some((Item::Class { ranges, is_negated }, behind));
                }
            }
        }
        other => Some((Item::Exactly(other), after)),
    }
}

/// `a` or `a-z`, and what follows.
fn take_range(ranges: &str) -> Option<(char, char, &str)> {
    let (low, rest) = take_bound(ranges)?;
    match rest.strip_prefix('-') {
        Some(after) => take_bound(after).map(|(high, rest)| (low, high, rest)),
        None => Some((low, low, rest)),
    }
}

fn take_bound(ranges: &str) -> Option<(char, &str)> {
    let unescaped = match ranges.chars().next()? {
        '-' | ']' => return None,
        '\\' => &ranges[1..],
        _ => ranges,
    };
    let bound = unescaped.chars().next()?;
    Some((bound, &unescaped[bound.len_utf8()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases of Go's own test of `path.Match`, as far as one part of a path goes.
    #[test]
    fn names_fit_as_in_go() {
        for (pattern, name, fits) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*b*c*d*e*", "axbxcxdxe", true),
            ("a*b*c*d*e*", "axbxcxdxexxx", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "-", true),
            ("[x\\-]", "z", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "x", false),
            ("x", "", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
            assert!(is_valid(pattern), "{pattern}");
        }
    }

    #[test]
    fn malformed_patterns_are_known() {
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "\\", "[\\"] {
            assert!(!is_valid(pattern) && !matches(pattern, "a"), "{pattern}");
        }
    }
}
