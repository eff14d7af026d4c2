//! Comments that stand before a key or an item: they go where that goes.

use super::yaml::Place;
use std::collections::HashMap;

/// The comments of all files that are imported, by the place of what they stand before.
#[derive(Default)]
pub(super) struct Comments(HashMap<Place, Vec<String>>);

impl Comments {
    /// Adds those of a file. Each is one line, beginning with `#`, fit for TOML.
    pub(super) fn add(&mut self, text: &str, file: usize) {
        let mut waiting = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('#') {
                waiting.push(line.chars().filter(|c| *c == '\t' || !c.is_control()).collect());
            } else if !line.is_empty() && !waiting.is_empty() {
                self.0.insert(Place { file, line: index + 1 }, std::mem::take(&mut waiting));
            }
        }
    }

    /// Those that stand before what is there.
    pub(super) fn at(&self, place: Place) -> &[String] {
        self.0.get(&place).map_or(&[], |lines| lines)
    }
}
