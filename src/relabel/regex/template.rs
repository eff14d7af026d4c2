//! `$1` and `${name}` in a replacement: Go's `Regexp.Expand`.

use super::class::is_letter_or_digit;
use super::{Captures, Regex};

/// A replacement, taken apart for one regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The first of these groups that took part in the match.
    Groups(Vec<usize>),
}

impl Template {
    pub fn new(template: &str, regex: &Regex) -> Template {
        let (mut pieces, mut text, mut rest) = (Vec::new(), String::new(), template);
        while let Some((before, after)) = rest.split_once('$') {
            text += before;
            rest = after;
            if let Some(after) = after.strip_prefix('$') {
                text.push('$');
                rest = after;
            } else if let Some((name, after)) = take_name(after) {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Groups(groups_of(name, regex)));
                rest = after;
            } else {
                text.push('$');
            }
        }
        text += rest;
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Template { pieces }
    }

    /// Puts what the template comes to behind `out`; `captures` are of a match in `text`.
    pub fn expand(&self, captures: &Captures, text: &str, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Groups(groups) => {
                    if let Some(found) = groups.iter().find_map(|group| captures.group(*group)) {
                        out.push_str(&text[found]);
                    }
                }
            }
        }
    }
}

/// The name behind a `$`, and what follows it. `None` if there is none, and the `$` stands for itself.
fn take_name(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('{').unwrap_or(text);
    let end = inside.find(|c| c != '_' && !is_letter_or_digit(c)).unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    if name.is_empty() {
        return None;
    }
    if text.starts_with('{') { Some((name, rest.strip_prefix('}')?)) } else { Some((name, rest)) }
}

/// A number, unless it has leading zeros or no pattern has so many groups, is that of a group; anything else is a name, which
/// several groups may have.
fn groups_of(name: &str, regex: &Regex) -> Vec<usize> {
    let is_number = name.len() <= 9 && name.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && (name == "0" || !name.starts_with('0')) {
        return name.parse().into_iter().collect();
    }
    regex.0.names.iter().filter(|(known, _)| known == name).map(|(_, number)| *number).collect()
}
