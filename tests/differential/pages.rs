//! An exporter's pages in the text format: series come, go and return, values move.

use crate::values::{LABEL_NAMES, METRIC_NAMES, gap, label_value, number, once_in, pick};
use fastrand::Rng;

/// What an exporter is like: chosen once for each case.
#[derive(Clone, Debug)]
pub struct Style {
    /// Samples with times of their own.
    pub own_times: bool,
    /// The same series twice on one page.
    pub duplicates: bool,
    /// Names in quotes, with any character.
    pub quoted_names: bool,
    /// Among them a label without a name, which breaks the page.
    pub nameless_labels: bool,
    /// In OpenMetrics' words: units, `_total` and `_created`, info and stateset, exemplars, `# EOF`, times in seconds.
    pub openmetrics: bool,
    /// Only where no page breaks: Prometheus forgets none of those that a broken page had.
    pub exemplars: bool,
    /// For Prometheus 2: bounds as OpenMetrics writes them (1.0, not 1), and no newlines, which its `.` doesn't match.
    pub old: bool,
    /// Odd whitespace, comments, empty lines.
    pub untidy: bool,
    /// One in so many series changes between being there and not.
    pub churn: u32,
    pub families: usize,
}

/// An exporter with its state.
pub struct Exporter {
    style: Style,
    families: Vec<Family>,
    /// Times that pages give start here.
    base_ms: i64,
}

struct Family {
    name: String,
    kind: &'static str,
    series: Vec<Series>,
}

struct Series {
    /// Up to the value.
    text: String,
    is_there: bool,
    value: String,
    has_own_times: bool,
    /// With times of their own or without; a mixture is not compared.
    exemplars: &'static [&'static str],
}

const KINDS: &[&str] = &["counter", "gauge", "histogram", "summary", "untyped"];
const OPENMETRICS_KINDS: &[&str] =
    &["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"];

impl Exporter {
    pub fn new(rng: &mut Rng, style: Style, base_ms: i64) -> Exporter {
        let mut families: Vec<Family> = Vec::new();
        for _ in 0..style.families {
            let name = metric_name(rng);
            if families.iter().all(|family| family.name != name) {
                families.push(Family::new(rng, name, &style));
            }
        }
        Exporter { style, families, base_ms }
    }

    /// The next page, a line each.
    pub fn next_page(&mut self, rng: &mut Rng) -> Vec<String> {
        let mut lines = Vec::new();
        if self.style.own_times {
            // The agent begins to watch times with the first page that gives one.
            lines.push(format!("gives_times 1 {}", self.base_ms));
        }
        for family in &mut self.families {
            let described = family.described();
            if !once_in(rng, 8) {
                lines.push(format!("# HELP {described} Some help, with \\\\ and \\n."));
            }
            // Prometheus reads the labels of a refused sample again with the next page's type.
            if self.style.own_times || !once_in(rng, 8) {
                lines.push(format!("# TYPE {described} {}", family.kind));
            }
            if self.style.openmetrics && !self.style.exemplars && once_in(rng, 5) {
                lines.push(format!("# UNIT {described} {}", described.rsplit('_').next().unwrap_or_default()));
            }
            for series in &mut family.series {
                series.move_on(rng, self.style.churn);
                if series.is_there {
                    series.write(rng, &self.style, self.base_ms, &mut lines);
                }
            }
        }
        if self.style.openmetrics {
            lines.push("# EOF".into());
        } else if self.style.untidy {
            for line in ["", "# a comment", "#", "# HELP", "#TYPE x counter", "   ", "\t# indented"] {
                if once_in(rng, 4) {
                    lines.insert(rng.usize(..=lines.len()), line.into());
                }
            }
        }
        lines
    }
}

fn metric_name(rng: &mut Rng) -> String {
    format!("{}{}", pick(rng, METRIC_NAMES), pick(rng, &["", "", "_2", "_3", "_4", "_5", "_6"]))
}

impl Family {
    fn new(rng: &mut Rng, name: String, style: &Style) -> Family {
        let kind = pick_static(rng, if style.openmetrics { OPENMETRICS_KINDS } else { KINDS });
        let mut series = Vec::new();
        for _ in 0..1 + rng.usize(..3) {
            let labels = labels(rng, style);
            for (suffix, extra) in members(rng, kind, style) {
                let text = series_text(rng, &format!("{name}{suffix}"), &labels, extra, style);
                if series.iter().all(|known: &Series| known.text != text) {
                    let has_own_times = style.own_times && once_in(rng, 3);
                    let exemplars = if once_in(rng, 3) { TIMED_EXEMPLARS } else { EXEMPLARS };
                    let (is_there, value) = (!once_in(rng, 5), number(rng));
                    series.push(Series { text, is_there, value, has_own_times, exemplars });
                }
            }
        }
        Family { name, kind, series }
    }

    fn described(&self) -> &str {
        &self.name
    }
}

fn pick_static(rng: &mut Rng, all: &'static [&'static str]) -> &'static str {
    all[rng.usize(..all.len())]
}

const EXEMPLARS: &[&str] = &[" # {id=\"x\"} 1", " # {} 0.5", " # {a=\"é\",b=\"\\n\"} -Inf"];
const TIMED_EXEMPLARS: &[&str] = &[" # {id=\"x\"} 1 1.5", " # {} 0.5 2", " # {a=\"é\",b=\"\\n\"} -Inf 4102444800"];

const BOUNDS: &[&str] = &["0.005", "1", "2.5", "1e1", "100", "1e+06", "+Inf"];
const CANONICAL_BOUNDS: &[&str] = &["0.005", "1.0", "2.5", "10.0", "100.0", "1e+06", "+Inf"];
const QUANTILES: &[&str] = &["0", "0.5", "0.99", "1"];
const CANONICAL_QUANTILES: &[&str] = &["0.0", "0.5", "0.99", "1.0"];

/// The series that a family of this kind has for each set of labels: suffix of the name, one more label.
fn members(rng: &mut Rng, kind: &str, style: &Style) -> Vec<(&'static str, Option<String>)> {
    let (suffix, label, bounds, more): (_, _, &[&str], &[_]) = match kind {
        "histogram" if style.openmetrics => ("_bucket", "le", BOUNDS, &["_sum", "_count", "_created"]),
        "histogram" if style.old => ("_bucket", "le", CANONICAL_BOUNDS, &["_sum", "_count"]),
        "histogram" => ("_bucket", "le", BOUNDS, &["_sum", "_count"]),
        "gaugehistogram" => ("_bucket", "le", BOUNDS, &["_gsum", "_gcount"]),
        "summary" if style.old => ("", "quantile", CANONICAL_QUANTILES, &["_sum", "_count"]),
        "summary" => ("", "quantile", QUANTILES, &["_sum", "_count"]),
        "stateset" => ("", "state", &["on", "off"], &[]),
        "counter" if style.openmetrics => return vec![("_total", None), ("_created", None)],
        "info" => return vec![("_info", None)],
        _ => return vec![("", None)],
    };
    let chosen = bounds.iter().filter(|_| !once_in(rng, 4));
    let bucket = |bound: &&str| (suffix, Some(format!("{label}=\"{bound}\"")));
    chosen.map(bucket).chain(more.iter().map(|suffix| (*suffix, None))).collect()
}

/// Different names, any values.
fn labels(rng: &mut Rng, style: &Style) -> Vec<String> {
    let mut names: Vec<&str> = Vec::new();
    for _ in 0..rng.usize(..4) {
        let name = pick(rng, LABEL_NAMES);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let values = names.iter().map(|name| (name, label_value(rng)));
    // An empty value makes another text of the same series.
    let is_left_out = |value: &str| value.is_empty() && style.exemplars || style.old && value.contains("\\n");
    let shown = values.filter(|(_, value)| !is_left_out(value));
    let mut labels: Vec<String> = shown.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    if style.quoted_names && once_in(rng, 2) {
        let nameless = if style.nameless_labels { "" } else { "a.b" };
        let name = pick(rng, &["a.b", "ä", "with space", "9", nameless, "a-b", "le "]);
        labels.push(format!("\"{name}\"=\"{}\"", label_value(rng)));
    }
    labels
}

fn series_text(rng: &mut Rng, name: &str, labels: &[String], extra: Option<String>, style: &Style) -> String {
    let mut labels: Vec<String> = labels.iter().cloned().chain(extra).collect();
    let mut before = name.to_string();
    if style.quoted_names && once_in(rng, 3) {
        let odd = pick(rng, &["", ".dot", " space", "-dash", "é"]);
        labels.insert(0, format!("\"{name}{odd}\""));
        before.clear();
    }
    if labels.is_empty() {
        return if !style.exemplars && once_in(rng, 6) { format!("{before}{{}}") } else { before };
    }
    let (comma, end) = match style.untidy && !style.openmetrics {
        true => (pick(rng, &[",", " , ", ",\t"]), pick(rng, &["", ",", " ", ", "])),
        false => (",", ""),
    };
    format!("{before}{{{}{end}}}", labels.join(comma))
}

impl Series {
    fn move_on(&mut self, rng: &mut Rng, churn: u32) {
        if once_in(rng, churn) {
            self.is_there = !self.is_there;
        }
        if !once_in(rng, 3) {
            self.value = number(rng);
        }
    }

    fn write(&self, rng: &mut Rng, style: &Style, base_ms: i64, lines: &mut Vec<String>) {
        let space = if style.untidy && !style.openmetrics { gap(rng) } else { " " };
        let time = |rng: &mut Rng| match self.has_own_times && !once_in(rng, 6) {
            true => own_time(rng, base_ms),
            false => String::new(),
        };
        let exemplar = match style.exemplars && once_in(rng, 5) {
            true => pick(rng, self.exemplars),
            false => "",
        };
        lines.push(format!("{}{space}{}{}{exemplar}", self.text, self.value, time(rng)));
        if style.duplicates && once_in(rng, 6) {
            let value = if once_in(rng, 2) { self.value.clone() } else { number(rng) };
            lines.push(format!("{}{space}{value}{}", self.text, time(rng)));
        }
    }
}

/// A time far from that of any scrape, so that it is before or after it for both agents: in the second after `base_ms`, when
/// scrapes have not begun; minutes ahead, which is taken; further ahead, which is refused; long ago, which Prometheus takes
/// but doesn't send.
fn own_time(rng: &mut Rng, base_ms: i64) -> String {
    let at_ms = match rng.u32(..12) {
        0..6 => base_ms + rng.i64(0..900),
        6..9 => base_ms + 300_000 + rng.i64(0..100),
        9 => base_ms + 3_600_000,
        _ => rng.i64(0..100_000),
    };
    format!(" {at_ms}")
}
