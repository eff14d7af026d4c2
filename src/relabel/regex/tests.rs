//! Patterns. Every expectation is what Go's `regexp` makes of the same.

use super::{Regex, RegexError, Template};

#[test]
fn patterns_mean_what_they_mean_in_go() {
    for (pattern, text, matches) in [
        (r"^\d$", "5", true),
        (r"^\d$", "٣", false),
        (r"^\w\s\W\S\D$", "a\t-xx", true),
        (r"^\s$", "\u{0b}", false),
        (r"^[[:space:]]$", "\u{0b}", true),
        (r"^\w$", "é", false),
        (r"a\bé", "aé", true),
        (r"^(?i)straße$", "STRASSE", false),
        (r"^(?i)k$", "\u{212a}", true),
        (r"^(?i)[^k]$", "K", false),
        (r"^\pL\PL$", "é1", true),
        (r"^\p{Greek}\p{^Greek}\P{Greek}\P{^Greek}$", "αaaα", true),
        (r"^\p{lu}\p{Uppercase_Letter}$", "AÉ", true),
        (r"^\p{Han}\p{Zl}\p{Thai}$", "日\u{2028}ก", true),
        (r"^[\d\-x]$", "-", true),
        (r"^[a&&b]{2}$", "&b", true),
        (r"^[+--c]{4}$", "+,-c", true),
        (r"^[[a]]$", "[]", true),
        (r"^[]a]$", "]", true),
        (r"^[^]a]$", "b", true),
        (r"^\Q.*\E+$", ".***", true),
        (r"^\Qa", "a", true),
        (r"^\x41\x{e9}\101\a$", "AéA\u{7}", true),
        (r"^a{,2}$", "a{,2}", true),
        (r"^a{2$", "a{2", true),
        (r"^a{02}$", "a{02}", true),
        (r"^.$", "\n", false),
        (r"(?s)^.$", "\n", true),
        (r"(?m)^b$", "a\nb\nc", true),
        (r"^b$", "a\nb", false),
        (r"\Ab\z", "b\n", false),
        (r"b$", "b\n", false),
        (r"^[^a]$", "\n", true),
        (r"(?i-i:A)b", "Ab", true),
        (r"((?i)a)A", "Aa", false),
        (r"^a(?i)*$", "aaa", true),
        (r"^\_\-\ $", "_- ", true),
        (r"^#.*$", "# x", true),
    ] {
        assert_eq!(Regex::new(pattern).unwrap().is_match(text), matches, "{pattern} {text:?}");
    }
}

#[test]
fn patterns_that_go_refuses_are_refused_in_its_words() {
    for (pattern, error) in [
        ("(", "missing closing ): `(`"),
        (")", "unexpected ): `)`"),
        ("[a", "missing closing ]: `[a`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("(|+?)", "missing argument to repetition operator: `+?`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("(a{100}){11}", "invalid repeat count: `{11}`"),
        ("[b-a]", "invalid character class range: `b-a`"),
        (r"[[:alfa:]]", "invalid character class range: `[:alfa:]`"),
        (r"\p{Grek}", r"invalid character class range: `\p{Grek}`"),
        (r"\p{isGreek}", r"invalid character class range: `\p{isGreek}`"),
        (r"\p{Alphabetic}", r"invalid character class range: `\p{Alphabetic}`"),
        (r"\p{sc=Greek}", r"invalid character class range: `\p{sc=Greek}`"),
        (r"\pX", r"invalid character class range: `\pX`"),
        (r"\C", r"invalid escape sequence: `\C`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"\<a\>x\q", r"invalid escape sequence: `\q`"),
        (r"\1", r"invalid escape sequence: `\1`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
        (r"\u0041", r"invalid escape sequence: `\u`"),
        ("\\", "trailing backslash at end of expression: ``"),
        ("(?x)a", "invalid or unsupported Perl syntax: `(?x`"),
        ("(?R)", "invalid or unsupported Perl syntax: `(?R`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?<!a)", "invalid named capture: `(?<!a)`"),
        ("(?P<n-1>a)", "invalid named capture: `(?P<n-1>`"),
        ("(?i", "invalid or unsupported Perl syntax: `(?i`"),
    ] {
        let found = Regex::new(pattern).unwrap_err().to_string();
        assert_eq!(found.strip_prefix("error parsing regexp: "), Some(error), "{pattern}");
    }
}

#[test]
fn patterns_past_the_limits_are_refused() {
    let nested = |depth: usize| format!("{}a{}", "(?:b|".repeat(depth), ")".repeat(depth));
    assert!(Regex::new(&nested(80)).is_ok());
    assert_eq!(Regex::new(&nested(2000)).unwrap_err(), RegexError::NestsTooDeeply);
    assert_eq!(Regex::new(&r"\pL".repeat(10_000)).unwrap_err(), RegexError::TooLarge);
    assert_eq!(Regex::new(r"\pL{1000}").unwrap_err(), RegexError::TooLarge);
}

#[test]
fn templates_expand_as_in_go() {
    let regex = Regex::new("^(a)(?P<n>b)?(?P<n>c)(?P<no>x)?$").unwrap();
    for (template, expected) in [
        ("$1-$2", "a-"),
        ("$n", "c"),
        ("${n}o", "co"),
        ("$no", ""),
        ("$1x", ""),
        ("${1}x", "ax"),
        ("$$1", "$1"),
        ("$", "$"),
        ("$-", "$-"),
        ("${1", "${1"),
        ("${}", "${}"),
        ("$01", ""),
        ("$0", "ac"),
        ("$9é", ""),
        ("$999999999999", ""),
        ("$1½", "a½"),
    ] {
        let captures = regex.captures("ac").unwrap();
        let mut out = String::new();
        Template::new(template, &regex).expand(&captures, "ac", &mut out);
        assert_eq!(out, expected, "{template}");
    }
}

#[test]
fn every_match_is_replaced_once() {
    for (pattern, text, replacement, expected) in [
        ("a*", "baac", "x", "xbxcx"),
        ("b|", "abc", "-", "-a-c-"),
        ("é", "xéxé", "[$0]", "x[é]x[é]"),
        ("$", "é", "!", "é!"),
    ] {
        let regex = Regex::new(pattern).unwrap();
        assert_eq!(regex.replace_all(text, &Template::new(replacement, &regex)), expected, "{pattern}");
    }
}

/// The quick engine gives up on long texts.
#[test]
fn long_texts_are_matched_too() {
    let regex = Regex::new(r"^(?s:(\pL+)-(.*))$").unwrap();
    let text = format!("{}-end", "ä".repeat(400_000));
    assert!(regex.is_match(&text));
    assert_eq!(regex.captures(&text).unwrap().group(2), Some(800_001..800_004));
}
