//! Regular expressions as Go reads them, over the automata of the `regex` crate.
//!
//! ```text
//!  text ──► parser (+ class, escape): Go's grammar and errors ──► Hir ──► NFA ──► Regex
//! ```
//!
//! Go and Rust agree on how a match is found (leftmost, first alternative) and differ in what a pattern means: `\d` and its
//! like are ASCII in Go, and `[a&&b]`, `(?x)` or `\<` are Rust's alone. So the grammar is ours, after Go's `regexp/syntax`.
//! Refuses to know what is matched and what becomes of it.

mod class;
mod error;
mod escape;
mod parser;
mod template;

#[cfg(test)]
mod tests;

pub use error::RegexError;
pub use template::Template;

use crate::limits::RELABEL_REGEX_BYTES_MAX;
use parser::Parsed;
use regex_automata::Input;
use regex_automata::nfa::thompson::backtrack::{self, BoundedBacktracker};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{Compiler, Config, NFA};
use regex_automata::util::primitives::NonMaxUsize;
use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

/// A compiled pattern; cloning copies a pointer.
#[derive(Clone)]
pub struct Regex(Rc<Compiled>);

struct Compiled {
    pattern: String,
    /// Of the groups that have one, with their numbers, in order.
    names: Vec<(String, usize)>,
    slots: usize,
    /// Quick, for texts of usual length.
    backtracker: BoundedBacktracker,
    backtracker_cache: RefCell<backtrack::Cache>,
    /// For the others.
    pike_vm: PikeVM,
}

/// Where a pattern's groups matched, the whole match as group 0.
pub struct Captures {
    slots: Vec<Option<NonMaxUsize>>,
}

impl Regex {
    /// Go's `regexp.Compile`.
    pub fn new(pattern: &str) -> Result<Regex, RegexError> {
        let Parsed { hir, names } = parser::parse(pattern)?;
        let config = Config::new().nfa_size_limit(Some(RELABEL_REGEX_BYTES_MAX));
        let nfa: NFA = Compiler::new().configure(config).build_from_hir(&hir).map_err(|_| RegexError::TooLarge)?;
        let slots = nfa.group_info().slot_len();
        let too_large = |_| RegexError::TooLarge;
        let backtracker = BoundedBacktracker::new_from_nfa(nfa.clone()).map_err(too_large)?;
        let backtracker_cache = RefCell::new(backtracker.create_cache());
        let pike_vm = PikeVM::new_from_nfa(nfa).map_err(too_large)?;
        let pattern = pattern.to_owned();
        Ok(Regex(Rc::new(Compiled { pattern, names, slots, backtracker, backtracker_cache, pike_vm })))
    }

    pub fn pattern(&self) -> &str {
        &self.0.pattern
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.search(text, 0, &mut [])
    }

    pub fn captures(&self, text: &str) -> Option<Captures> {
        self.captures_from(text, 0)
    }

    /// Go's `ReplaceAllString`.
    pub fn replace_all(&self, text: &str, replacement: &Template) -> String {
        let (mut replaced, mut copied_to, mut from) = (String::new(), 0, 0);
        while let Some(captures) = (from <= text.len()).then(|| self.captures_from(text, from)).flatten() {
            let Some(found) = captures.group(0) else { break };
            replaced += &text[copied_to..found.start];
            // An empty match right behind another match is none.
            if found.end > copied_to || found.start == 0 {
                replacement.expand(&captures, text, &mut replaced);
            }
            copied_to = found.end;
            let step = text[from..].chars().next().map_or(1, char::len_utf8);
            from = if from + step > found.end { from + step } else { found.end };
        }
        replaced + &text[copied_to..]
    }

    fn captures_from(&self, text: &str, from: usize) -> Option<Captures> {
        let mut slots = vec![None; self.0.slots];
        self.search(text, from, &mut slots).then_some(Captures { slots })
    }

    fn search(&self, text: &str, from: usize, slots: &mut [Option<NonMaxUsize>]) -> bool {
        let input = Input::new(text).range(from..);
        let Compiled { backtracker, backtracker_cache, pike_vm, .. } = &*self.0;
        match backtracker.try_search_slots(&mut backtracker_cache.borrow_mut(), &input, slots) {
            Ok(found) => found.is_some(),
            // The text is too long for it.
            Err(_) => pike_vm.search_slots(&mut pike_vm.create_cache(), &input, slots).is_some(),
        }
    }
}

impl Captures {
    /// `None` if there is no such group, or it took no part in the match.
    pub fn group(&self, number: usize) -> Option<Range<usize>> {
        let start = self.slots.get(number.checked_mul(2)?)?;
        let end = self.slots.get(number * 2 + 1)?;
        Some((*start)?.get()..(*end)?.get())
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.pattern() == other.pattern()
    }
}

impl Eq for Regex {}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.pattern())
    }
}
