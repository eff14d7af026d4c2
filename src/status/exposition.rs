//! Writes the exposition format: families with their HELP and TYPE, and samples.

use std::fmt::{Display, Write};

pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone, Copy)]
pub enum Kind {
    Counter,
    Gauge,
}

/// A number in units of its last digit: 12345 with 2 digits is 123.45.
pub struct Fraction {
    pub units: u64,
    pub digits: u32,
}

impl Display for Fraction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let one = 10u64.pow(self.digits);
        write!(f, "{}.{:0digits$}", self.units / one, self.units % one, digits = self.digits as usize)
    }
}

/// Text under way, family by family.
#[derive(Default)]
pub struct Page {
    pub text: String,
    family: String,
}

impl Page {
    /// Begins a family, unless it is the one that was begun last.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        if self.family == name {
            return;
        }
        self.family = name.into();
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        let mut separator = '{';
        for (label, text) in labels {
            let text = text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
            self.put(format_args!("{separator}{label}=\"{text}\""));
            separator = ',';
        }
        self.put(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a String takes what is written to it");
    }
}
