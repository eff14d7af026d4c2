//! The texts of one request, each once, numbered in order of their appearance. Memory is kept from request to request.

use std::hash::{DefaultHasher, Hasher};

/// A hash table of numbers, open, twice as large as what is in it; a zero is a free place.
#[derive(Default)]
pub struct Symbols {
    text: Vec<u8>,
    /// Where each one but the first, which is empty, ends in `text`.
    ends: Vec<usize>,
    places: Vec<u32>,
}

/// Places at the start.
const PLACES_MIN: usize = 1024;

impl Symbols {
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.places.fill(0);
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..=self.ends.len() as u32).map(|number| self.get(number))
    }

    /// The number of this text; 0 is that of the empty one.
    pub fn number_of(&mut self, text: &[u8]) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if self.ends.len() * 2 >= self.places.len() {
            self.grow();
        }
        let place = self.place_of(text);
        if self.places[place] == 0 {
            self.text.extend_from_slice(text);
            self.ends.push(self.text.len());
            self.places[place] = self.ends.len() as u32;
        }
        self.places[place]
    }

    fn get(&self, number: u32) -> &[u8] {
        match number as usize {
            0 => &[],
            1 => &self.text[..self.ends[0]],
            number => &self.text[self.ends[number - 2]..self.ends[number - 1]],
        }
    }

    /// Where it is, or the free place where it belongs.
    fn place_of(&self, text: &[u8]) -> usize {
        let mut hasher = DefaultHasher::new();
        hasher.write(text);
        let mut place = hasher.finish() as usize % self.places.len();
        while self.places[place] != 0 && self.get(self.places[place]) != text {
            place = (place + 1) % self.places.len();
        }
        place
    }

    fn grow(&mut self) {
        self.places.fill(0);
        self.places.resize((2 * self.places.len()).max(PLACES_MIN), 0);
        for number in 1..=self.ends.len() as u32 {
            let place = self.place_of(self.get(number));
            self.places[place] = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_one_number_and_the_empty_one_is_the_first() {
        let mut symbols = Symbols::default();
        for _ in 0..2 {
            symbols.clear();
            let texts: Vec<String> = (0..5000).map(|number| format!("text {}", number % 3000)).collect();
            let numbers: Vec<u32> = texts.iter().map(|text| symbols.number_of(text.as_bytes())).collect();
            assert_eq!((numbers[0], numbers[2999], numbers[3000], symbols.number_of(b"")), (1, 3000, 1, 0));
            let held: Vec<&[u8]> = symbols.iter().collect();
            assert_eq!((held.len(), held[0]), (3001, &b""[..]));
            assert!(texts.iter().zip(&numbers).all(|(text, number)| held[*number as usize] == text.as_bytes()));
        }
    }
}
