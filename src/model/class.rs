//! How much samples matter where not all of them can be sent at once.

/// A class of samples, the one that goes first first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    High,
    #[default]
    Normal,
    Low,
}

impl Class {
    pub const ALL: [Class; 3] = [Class::High, Class::Normal, Class::Low];

    /// As in `priority` and in the label `__priority__`.
    pub fn name(self) -> &'static str {
        match self {
            Class::High => "high",
            Class::Normal => "normal",
            Class::Low => "low",
        }
    }

    /// `None` if there is no such class.
    pub fn parse(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// Samples of each class, by its place in [`Class::ALL`].
pub type ClassCounts = [u64; Class::ALL.len()];
