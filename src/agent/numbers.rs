//! Numbers for targets, as small as can be: one that is free again is given to the next target.

use std::cell::RefCell;
use std::rc::Rc;

#[derive(Default)]
pub(super) struct Numbers {
    is_taken: RefCell<Vec<bool>>,
}

/// A number that nobody else has until this is dropped.
pub(super) struct Number {
    numbers: Rc<Numbers>,
    index: usize,
}

impl Numbers {
    pub fn take(self: Rc<Self>) -> Number {
        let mut is_taken = self.is_taken.borrow_mut();
        let index = is_taken.iter().position(|taken| !taken).unwrap_or_else(|| {
            is_taken.push(false);
            is_taken.len() - 1
        });
        is_taken[index] = true;
        drop(is_taken);
        Number { numbers: self, index }
    }
}

impl Number {
    pub fn get(&self) -> u32 {
        self.index as u32
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.numbers.is_taken.borrow_mut()[self.index] = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_free_again_is_given_to_the_next() {
        let numbers = Rc::<Numbers>::default();
        let (a, b, c) = (numbers.clone().take(), numbers.clone().take(), numbers.clone().take());
        assert_eq!((a.get(), b.get(), c.get()), (0, 1, 2));
        drop(b);
        assert_eq!(numbers.clone().take().get(), 1);
    }
}
