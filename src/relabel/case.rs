//! Letters one by one to the other case, as Go's `strings.ToUpper` and `strings.ToLower` do: `ß` stays `ß`, where Rust makes it
//! `SS`.

pub fn to_upper(text: &str) -> String {
    text.chars().map(upper).collect()
}

pub fn to_lower(text: &str) -> String {
    text.chars().map(lower).collect()
}

fn lower(c: char) -> char {
    match c {
        // The only letter that becomes more than one.
        'İ' => 'i',
        _ => only(c.to_lowercase()).unwrap_or(c),
    }
}

fn upper(c: char) -> char {
    let simple = match c {
        // Greek letters with a small iota below have a form with a large one beside.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => char::from_u32(c as u32 + 8),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => char::from_u32(c as u32 + 9),
        _ => only(c.to_uppercase()),
    };
    simple.unwrap_or(c)
}

fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    chars.next().filter(|_| chars.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_change_one_by_one() {
        assert_eq!(to_upper("straße ﬁ ŉ ǰ ᾳ ᾀ ǆ ı"), "STRAßE ﬁ ŉ ǰ ᾼ ᾈ Ǆ I");
        assert_eq!(to_lower("ΟΔΟΣ İ K ẞ Ǆ ᾼ"), "οδοσ i k ß ǆ ᾳ");
    }
}
