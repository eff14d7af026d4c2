//! Reads a page in the text format 0.0.4 as Prometheus 3 does. Written apart from the agent's parser, so that the two check
//! each other.

use crate::series::Series;
use std::collections::BTreeMap;

/// The page's samples. Panics on anything unexpected: pages come from the test's own side.
pub fn parse(page: &str) -> BTreeMap<Series, f64> {
    let mut samples = BTreeMap::new();
    let mut kind = "";
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            kind = family.split_once(' ').unwrap_or_else(|| panic!("no type: {line}")).1;
        } else if !line.starts_with('#') {
            let (series, value) = parse_line(line, kind);
            let twice = samples.insert(series, value).is_some();
            assert!(!twice, "the page has this series twice: {line}");
        }
    }
    samples
}

fn parse_line(line: &str, kind: &str) -> (Series, f64) {
    let name_length = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let (name, rest) = line.split_at(name_length);
    let mut labels = vec![("__name__".to_string(), name.to_string())];
    let value = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest, &mut labels),
        None => rest,
    };
    for (_, bound) in
        labels.iter_mut().filter(|(name, _)| [("histogram", "le"), ("summary", "quantile")].contains(&(kind, name)))
    {
        *bound = write_bound(bound);
    }
    let value = value.trim().parse().unwrap_or_else(|_| panic!("neither a number nor without timestamp: {line}"));
    (Series::new(labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))), value)
}

/// Prometheus 3 writes the bounds of histograms and summaries as OpenMetrics has them: 1 is 1.0. Pages here have no bounds
/// with exponents, which Rust writes in another way.
fn write_bound(bound: &str) -> String {
    match bound.parse::<f64>() {
        Ok(number) if number.is_finite() => format!("{number:?}"),
        _ => bound.to_string(),
    }
}

/// Gives what follows the closing brace.
fn parse_labels<'a>(mut rest: &'a str, labels: &mut Vec<(String, String)>) -> &'a str {
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return after;
        }
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label at {rest}"));
        let (value, length) = unescape(after);
        labels.push((name.to_string(), value));
        rest = &after[length..];
    }
}

/// A label value up to its closing quote, and how many bytes it took, quote included.
fn unescape(text: &str) -> (String, usize) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, at + 1),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            plain => value.push(plain),
        }
    }
    panic!("a label value without end: {text}");
}

#[test]
fn reads_what_the_format_allows() {
    let page = "# TYPE a summary\na 1\na{le=\"1\",quantile=\"1\"} 1\na{b=\"c, d}\",e=\"\"} 2.5e3\na{b=\"x\\\\\\\"\\ny\",} -Inf\n";
    let expected = [
        (Series::new([("__name__", "a")]), 1.0),
        (Series::new([("__name__", "a"), ("le", "1"), ("quantile", "1.0")]), 1.0),
        (Series::new([("__name__", "a"), ("b", "c, d}")]), 2500.0),
        (Series::new([("__name__", "a"), ("b", "x\\\"\ny")]), f64::NEG_INFINITY),
    ];
    assert_eq!(parse(page), BTreeMap::from(expected));
}
