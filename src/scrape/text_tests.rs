//! Pages as the specification and Prometheus's own tests (`promparse_test.go`) have them.

use super::{Entry, MetricType, NORMAL_NAN_BITS, Sample, TextError, TextParser};
use proptest::prelude::*;

/// A sample as the tests write it: the series' text, its labels, value and time.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    raw: String,
    labels: Vec<(String, String)>,
    value: f64,
    timestamp_ms: Option<i64>,
}

impl Seen {
    fn of(sample: &Sample<'_>) -> Seen {
        let labels = sample.series.labels().expect("names in UTF-8");
        Seen {
            raw: String::from_utf8(sample.series.raw.to_vec()).unwrap(),
            labels: labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            value: sample.value,
            timestamp_ms: sample.timestamp_ms,
        }
    }
}

fn entries(page: &[u8]) -> Result<Vec<Entry<'_>>, TextError> {
    let mut parser = TextParser::new(page);
    let mut entries = Vec::new();
    while let Some(entry) = parser.next(None)? {
        entries.push(entry);
    }
    Ok(entries)
}

fn samples(page: &str) -> Vec<Seen> {
    let entries = entries(page.as_bytes()).unwrap_or_else(|error| panic!("{page:?}: {error}"));
    let samples = entries.iter().filter_map(|entry| match entry {
        Entry::Sample(sample) => Some(Seen::of(sample)),
        _ => None,
    });
    samples.collect()
}

fn seen(raw: &str, labels: &[(&str, &str)], value: f64, timestamp_ms: Option<i64>) -> Vec<Seen> {
    let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    vec![Seen { raw: raw.into(), labels, value, timestamp_ms }]
}

#[test]
fn series_are_read_as_prometheus_reads_them() {
    const N: &str = "__name__";
    type Case<'c> = (&'c str, &'c str, &'c [(&'c str, &'c str)], f64, Option<i64>);
    let cases: &[Case] = &[
        ("a 1\n", "a", &[(N, "a")], 1.0, None),
        ("a 1", "a", &[(N, "a")], 1.0, None),
        ("a\t 1  \t\n", "a", &[(N, "a")], 1.0, None),
        ("a+1\n", "a", &[(N, "a")], 1.0, None),
        ("some:rate5m{a_b=\"c\"}\t1", "some:rate5m{a_b=\"c\"}", &[(N, "some:rate5m"), ("a_b", "c")], 1.0, None),
        ("a{b=\"c\"}1\n", "a{b=\"c\"}", &[(N, "a"), ("b", "c")], 1.0, None),
        ("a{} 1\n", "a{}", &[(N, "a")], 1.0, None),
        ("a { b = \"c\" , } 1\n", "a { b = \"c\" , }", &[(N, "a"), ("b", "c")], 1.0, None),
        ("a{b=\"c\" d=\"e\"} 1\n", "a{b=\"c\" d=\"e\"}", &[(N, "a"), ("b", "c"), ("d", "e")], 1.0, None),
        ("a{_b=\"\"} 1\n", "a{_b=\"\"}", &[(N, "a"), ("_b", "")], 1.0, None),
        (" a 1\n", " a", &[(N, " a")], 1.0, None),
        ("go_goroutines 33  \t123123\n", "go_goroutines", &[(N, "go_goroutines")], 33.0, Some(123_123)),
        ("a 1 9223372036854775807 \n", "a", &[(N, "a")], 1.0, Some(i64::MAX)),
        ("a{b=\"{}\"} 1\n", "a{b=\"{}\"}", &[(N, "a"), ("b", "{}")], 1.0, None),
        (r#"a{b="\"\\\n\x"} 1"#, r#"a{b="\"\\\n\x"}"#, &[(N, "a"), ("b", "\"\\\n\\x")], 1.0, None),
        (r#"a{b="\\n"} 1"#, r#"a{b="\\n"}"#, &[(N, "a"), ("b", "\\n")], 1.0, None),
        ("a{b=\"x\ny\"} 1\n", "a{b=\"x\ny\"}", &[(N, "a"), ("b", "x\ny")], 1.0, None),
        ("a{b=\"abc\0\"} 1", "a{b=\"abc\0\"}", &[(N, "a"), ("b", "abc\0")], 1.0, None),
        ("{\"go.gc\"} 99\n", "{\"go.gc\"}", &[(N, "go.gc")], 99.0, None),
        ("{ \"go.gc\", q= \"1\", } 2\n", "{ \"go.gc\", q= \"1\", }", &[(N, "go.gc"), ("q", "1")], 2.0, None),
        (
            "{\"10€ \\\"x\\\" {c\\nd}\",\"strange©™\"=\"6\"} 10.0",
            "{\"10€ \\\"x\\\" {c\\nd}\",\"strange©™\"=\"6\"}",
            &[(N, "10€ \"x\" {c\nd}"), ("strange©™", "6")],
            10.0,
            None,
        ),
        ("{b=\"c\",\"a\"} 1\n", "{b=\"c\",\"a\"}", &[("b", "c"), (N, "a")], 1.0, None),
    ];
    for (page, raw, labels, value, timestamp_ms) in cases {
        assert_eq!(samples(page), seen(raw, labels, *value, *timestamp_ms), "{page:?}");
    }
}

#[test]
fn pages_that_prometheus_refuses_are_refused() {
    let cases: &[(&[u8], &str)] = &[
        (b"a", "expected value after metric"),
        (b"a\n", "expected value after metric"),
        (b"a{b='c'} 1\n", "expected label value"),
        (b"a{b=\n", "expected label value"),
        (b"a{\xff=\"foo\"} 1\n", "expected label name"),
        (b"a{b=\"\xff\"} 1\n", "invalid UTF-8 label value"),
        (b"{\"a\", \"b = \"c\"}", "expected equal"),
        (b"{\"a\",b\\nc=\"d\"} 1", "expected equal"),
        (b"a true\n", "value is not a number"),
        (b"a 1\r\n", "value is not a number"),
        (b"a 1e999\n", "value is not a number"),
        (b"something_weird{problem=\"", "expected label value"),
        (b"a{b=\"c\\\nd\"} 1", "expected label value"),
        (b"empty_label_name{=\"\"} 0", "expected label name"),
        (b"{A}0", "expected equal"),
        (b"{\"A}0", "expected label name"),
        (b"a{b=\"c\",,} 1", "expected label name"),
        (b"a{,} 1", "expected label name"),
        (b"a{\nb=\"c\"} 1", "expected label name"),
        (b"foo 1_2\n", "value is not a number"),
        (b"foo 0x1p-3\n", "value is not a number"),
        (b"foo 0 1_2\n", "expected next entry after timestamp"),
        (b"foo 0 -1\n", "expected timestamp or new record"),
        (b"foo 0 1.5\n", "expected next entry after timestamp"),
        (b"foo 0 1 2\n", "expected next entry after timestamp"),
        (b"foo 0 9223372036854775808\n", "timestamp is out of range"),
        (b"foo 1{\n", "expected timestamp or new record"),
        (b"{a=\"ok\"} 1", "metric name not set"),
        (b"{} 1", "metric name not set"),
        (b"a{\"b\"} 1", "metric name already set"),
        (b"{\"a\",\"b\"} 1", "metric name already set"),
        (b"a{b=\"c\"}{d=\"e\"} 1", "expected value after metric"),
        (b"# TYPE #\n#EOF\n", "expected metric name after HELP or TYPE"),
        (b"# HELP #\n#EOF\n", "expected metric name after HELP or TYPE"),
        (b"# TYPE \n", "expected metric name after HELP or TYPE"),
        (b"# TYPE a\n", "invalid metric type"),
        (b"# TYPE a  counter\n", "invalid metric type"),
        (b"# TYPE a counter \n", "invalid metric type"),
        (b"# TYPE a info\n", "invalid metric type"),
        (b"# HELP a \xff\n", "help text is not valid UTF-8"),
        (b"7&-\n", "expected a valid start token"),
        (b"<html>", "expected a valid start token"),
        (b"\xff", "expected a valid start token"),
        (b"a{b=\0\"ssss\"} 1\n", "expected label value"),
        (b"a{b=\"\0", "expected label value"),
        (b"a{b\0=\"hiih\"}\t1", "expected equal"),
        (b"a\0{b=\"ddd\"} 1", "expected value after metric"),
        (b"a 0 1\0", "expected next entry after timestamp"),
    ];
    for (page, what) in cases {
        let shown = String::from_utf8_lossy(page);
        let error = entries(page).expect_err(&shown).to_string();
        assert!(error.contains(what), "{shown:?}: {error}");
    }
}

#[test]
fn an_error_says_where_it_is() {
    let error = entries(b"a 1\n\n# a comment\nb{c=\"d\"} x\ne 1\n").unwrap_err();
    assert_eq!(error.line, 4);
    assert_eq!(error.to_string(), r#"line 4 of the page: value is not a number while parsing "b{c=\"d\"} x\n""#);
    let long = format!("a 1\n{} x", "n".repeat(100_000));
    assert!(entries(long.as_bytes()).unwrap_err().to_string().len() < 200, "an endless line is not shown in full");
}

#[test]
fn values_are_read_as_go_reads_them() {
    for (text, bits) in [
        ("4.9351e-05", 4.9351e-05f64.to_bits()),
        ("+Inf", f64::INFINITY.to_bits()),
        ("-inf", f64::NEG_INFINITY.to_bits()),
        ("NaN", NORMAL_NAN_BITS),
        ("nan", NORMAL_NAN_BITS),
        ("-0", (-0.0f64).to_bits()),
        ("9007199254740993", 9_007_199_254_740_992f64.to_bits()),
    ] {
        assert_eq!(samples(&format!("a {text}\n"))[0].value.to_bits(), bits, "{text}");
    }
}

#[test]
fn comments_types_and_helps_are_told_apart() {
    let page = "# HELP a  Help \\n me\n# \tTYPE a counter\n#TYPE b counter\n#\n# \n# HELPER x\n# HELP\n\
                # HELP \"c.d\" e\n# HELP nohelp\n# HELP blanks   \n# TYPE f untyped\n";
    let comment = Entry::Comment;
    let help = |name: &'static str, text| Entry::Help { name: name.as_bytes(), text };
    let of_type = |name: &'static str, metric_type| Entry::Type { name: name.as_bytes(), metric_type };
    assert_eq!(
        entries(page.as_bytes()).unwrap(),
        [
            help("a", " Help \\n me"),
            of_type("a", MetricType::Counter),
            comment,
            comment,
            comment,
            comment,
            comment,
            help("c.d", "e"),
            help("nohelp", ""),
            help("blanks", ""),
            of_type("f", MetricType::Unknown),
        ]
    );
}

#[test]
fn a_zero_byte_where_a_line_should_start_ends_the_page_as_in_prometheus() {
    assert_eq!(samples("a 1\n\0b 2\n").len(), 1);
    assert_eq!(samples("a 1\n#x\0y\nb 2\n").len(), 1);
    assert_eq!(samples("a 1\n# x\0y\nb 2\n").len(), 2);
    for help in [&b"# HELP \0a b\n"[..], b"# H\0ELP\0 a b\n"] {
        assert_eq!(entries(help), Ok(vec![Entry::Help { name: b"a", text: "b" }]));
    }
    assert_eq!(samples("a{b=\"c\"\0} 1\n")[0].labels[1].1, "c\"", "the last zero is taken for the quote");
}

#[test]
fn blank_pages_have_no_entries() {
    for page in ["", "\n", " \n\t\n", "\n\n\n", "  "] {
        assert_eq!(entries(page.as_bytes()), Ok(vec![]), "{page:?}");
    }
}

#[test]
fn an_expected_series_is_recognised_only_where_it_ends() {
    let expected = |page: &str, raw: &str| match TextParser::new(page.as_bytes()).next(Some(raw.as_bytes())) {
        Ok(Some(Entry::Sample(sample))) => (sample.expected, String::from_utf8_lossy(sample.series.raw).into_owned()),
        other => panic!("{page:?}: {other:?}"),
    };
    for (page, raw, is_expected) in [
        ("a 1\n", "a", true),
        ("a\t1\n", "a", true),
        ("ab 1\n", "a", false),
        ("a:b 1\n", "a", false),
        ("a {b=\"c\"} 1\n", "a", false),
        ("a{b=\"c\"} 1\n", "a{b=\"c\"}", true),
        ("a{b=\"c\"}1\n", "a{b=\"c\"}", true),
        ("a{b=\"c\"} 1\n", "a{b=\"d\"}", false),
        (" a 1\n", " a", true),
        ("a 1\n", " a", false),
    ] {
        let (found, text) = expected(page, raw);
        assert_eq!(found, is_expected, "{page:?} for {raw:?}");
        assert_eq!(Some(text), samples(page).pop().map(|seen| seen.raw), "the text is the same either way");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(page in proptest::collection::vec(any::<u8>(), 0..200), expected in any::<Vec<u8>>()) {
        let mut parser = TextParser::new(&page);
        while let Ok(Some(entry)) = parser.next(Some(&expected)) {
            if let Entry::Sample(sample) = entry {
                let _ = sample.series.labels();
            }
        }
    }

    #[test]
    fn near_pages_do_not_make_it_panic(page in "([a#{}\" \t\n\0\\\\=,1.eE+-]|HELP |TYPE |counter|\u{e9}){0,60}") {
        let mut parser = TextParser::new(page.as_bytes());
        while let Ok(Some(entry)) = parser.next(None) {
            if let Entry::Sample(sample) = entry {
                prop_assert!(sample.series.labels().is_some_and(|labels| labels.iter().any(|(name, _)| name == "__name__")));
            }
        }
    }

    #[test]
    fn an_expectation_never_changes_what_is_read(
        page in "(a|b|ab|a\\{b=\"c\"\\}|a \\{\\}|\\{\"a\"\\}|[ \n{}1\t]){0,30}",
        expected in "a|ab|a\\{b=\"c\"\\}|a \\{\\}|\\{\"a\"\\}| a",
    ) {
        let mut plain = TextParser::new(page.as_bytes());
        let mut told = TextParser::new(page.as_bytes());
        loop {
            let (plain, told) = (plain.next(None), told.next(Some(expected.as_bytes())));
            match (&plain, &told) {
                (Ok(Some(Entry::Sample(a))), Ok(Some(Entry::Sample(b)))) => prop_assert_eq!(Seen::of(a), Seen::of(b)),
                _ => prop_assert_eq!(&plain, &told),
            }
            if !matches!(plain, Ok(Some(_))) {
                break;
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,8}|[^\0]{1,6}",
        labels in proptest::collection::vec(("[a-z_][a-z0-9_]{0,5}|[^\0]{1,4}", any::<String>()), 0..4),
        value in any::<f64>(),
        timestamp_ms in proptest::option::of(0..i64::MAX),
    ) {
        let mut page = format!("{{\"{}\"", escaped(&name));
        for (name, value) in &labels {
            page += &format!(",\"{}\"=\"{}\"", escaped(name), escaped(value));
        }
        page += &format!("}} {value}");
        page += &timestamp_ms.map_or_else(String::new, |at| format!(" {at}"));
        let seen = &samples(&page)[0];
        prop_assert_eq!(&seen.labels[0].1, &name);
        prop_assert_eq!(&seen.labels[1..], &labels[..]);
        prop_assert!(seen.value == value || value.is_nan() && seen.value.to_bits() == NORMAL_NAN_BITS);
        prop_assert_eq!(seen.timestamp_ms, timestamp_ms);
    }
}
