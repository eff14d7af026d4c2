//! What is compared: series, and the points that someone holds of them.

use std::collections::BTreeMap;
use std::fmt;

/// A label set, `__name__` included, without empty values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series(BTreeMap<String, String>);

impl Series {
    pub fn new<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Series {
        let kept = labels.into_iter().filter(|(_, value)| !value.is_empty());
        Series(kept.map(|(name, value)| (name.to_string(), value.to_string())).collect())
    }

    /// The same with more labels. None of them may be there already: that would need renaming, which no page here does.
    pub fn with(mut self, labels: &[(String, String)]) -> Series {
        for (name, value) in labels {
            let before = self.0.insert(name.clone(), value.clone());
            assert!(before.is_none(), "{self} has a label {name} of its own");
        }
        self
    }

    pub fn name(&self) -> &str {
        &self.0["__name__"]
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{", self.name())?;
        let labels = self.0.iter().filter(|(name, _)| *name != "__name__");
        for (at, (name, value)) in labels.enumerate() {
            write!(f, "{}{name}={value:?}", if at == 0 { "" } else { ", " })?;
        }
        write!(f, "}}")
    }
}

/// One sample as a receiver gives it back.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub at_ms: i64,
    pub held: Held,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held {
    Value(f64),
    /// The series ended here. VictoriaMetrics alone shows these: Prometheus leaves them out of its answers.
    StaleMarker,
}

/// Every point that a receiver holds, each series in the order of its timestamps.
pub type Stored = BTreeMap<Series, Vec<Point>>;
