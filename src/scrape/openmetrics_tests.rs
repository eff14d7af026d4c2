//! Pages as the specification and Prometheus's own tests (`openmetricsparse_test.go`) have them, and what a comparison
//! with its parser over a million pages taught.

use super::{Entry, Exemplar, Format, MetricType, NORMAL_NAN_BITS, OpenMetricsParser, Sample, TextError};
use proptest::prelude::*;

fn entries(page: &[u8]) -> Result<Vec<Entry<'_>>, TextError> {
    let mut parser = OpenMetricsParser::new(page);
    let mut entries = Vec::new();
    while let Some(entry) = parser.next(None)? {
        entries.push(entry);
    }
    Ok(entries)
}

/// The only sample of a line, and `# EOF` behind it.
fn sample(line: &str) -> String {
    let page = format!("{line}\n# EOF\n");
    match entries(page.as_bytes()).as_deref() {
        Ok([Entry::Sample(sample)]) => show(sample),
        other => panic!("{line:?}: {other:?}"),
    }
}

/// Labels, value, time and exemplar.
fn show(sample: &Sample<'_>) -> String {
    let labels = sample.series.labels().expect("names in UTF-8");
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let time = sample.timestamp_ms.map_or_else(String::new, |at| format!(" @{at}"));
    let exemplar = sample.exemplar.map_or_else(String::new, |exemplar| show_exemplar(&exemplar));
    format!("{} {}{time}{exemplar}", labels.join(" "), sample.value)
}

fn show_exemplar(exemplar: &Exemplar<'_>) -> String {
    let labels: Vec<_> = exemplar.labels.labels().expect("names in UTF-8");
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let time = exemplar.timestamp_ms.map_or_else(String::new, |at| format!(" @{at}"));
    format!(" # {} {}{time}", labels.join(" "), exemplar.value)
}

#[test]
fn samples_are_read_as_prometheus_reads_them() {
    for (line, shown) in [
        ("a 1", r#"__name__="a" 1"#),
        ("a:b_9 +Inf", r#"__name__="a:b_9" inf"#),
        (r#"a{b="c"} 1 1520879607.789"#, r#"__name__="a" b="c" 1 @1520879607789"#),
        ("a{} 1 0", r#"__name__="a" 1 @0"#),
        (r#"a{b="c",} 1 -1"#, r#"__name__="a" b="c" 1 @-1000"#),
        ("a 1 0.9999", r#"__name__="a" 1 @999"#),
        ("a 1 -1.0009", r#"__name__="a" 1 @-1000"#),
        ("a 1 1e300", r#"__name__="a" 1 @9223372036854775807"#),
        (r#"{"a.b",c="d","é"="f"} 1"#, r#"__name__="a.b" c="d" é="f" 1"#),
        (r#"{c="d","a",} 1"#, r#"c="d" __name__="a" 1"#),
        (r#"a{b="\"\\\n\x{}"} 1"#, r#"__name__="a" b="\"\\\n\\x{}" 1"#),
        ("{\"a\nb\"} 1", r#"__name__="a\nb" 1"#),
        ("a 1 # {} 2", r#"__name__="a" 1 #  2"#),
        (r#"a{b="c"} 1 2 # {id="x",} -Inf 1.5"#, r#"__name__="a" b="c" 1 @2000 # id=x -inf @1500"#),
        (r#"a 1 # {"é.f"="\"\n",a=""} 2"#, r#"__name__="a" 1 # é.f=\"\n a= 2"#),
        ("a{b=\"c\0d\"} 1", r#"__name__="a" b="c\0d" 1"#),
        ("a{b=\"c\"\0} 1", r#"__name__="a" b="c\"" 1"#),
    ] {
        assert_eq!(sample(line), shown, "{line:?}");
    }
}

#[test]
fn pages_that_prometheus_refuses_are_refused() {
    const PAGES: &[(&[u8], &str)] = &[
        (b"", "data does not end with # EOF"),
        (b"a 1\n", "data does not end with # EOF"),
        (b"a 1", "data does not end with # EOF"),
        (b"\n# EOF\n", "expected a valid start token"),
        (b"a 1\n\n# EOF\n", "expected a valid start token"),
        (b"# EOF\n\n", "unexpected data after # EOF"),
        (b"# EOF\na 1\n# EOF\n", "unexpected data after # EOF"),
        (b"# EOF ", "unexpected data after # EOF"),
        (b"#EOF\n", "expected a valid start token"),
        (b"# a comment\n# EOF\n", "expected HELP, TYPE, UNIT or EOF"),
        (b"#  EOF\n", "expected HELP, TYPE, UNIT or EOF"),
        (b"\ta 1\n# EOF\n", "expected a valid start token"),
        (b" a 1\n# EOF\n", "expected a valid start token"),
        (b"a\t1\n# EOF\n", "expected value after metric"),
        (b"a  1\n# EOF\n", "expected value after metric"),
        (b"a {b=\"c\"} 1\n# EOF\n", "value is not a number"),
        (b"a{b=\"c\"}1\n# EOF\n", "expected value after metric"),
        (b"a{ b=\"c\"} 1\n# EOF\n", "expected label name"),
        (b"a{b=\"c\" ,d=\"e\"} 1\n# EOF\n", "expected comma or brace close"),
        (b"a{b=\"c\"d=\"e\"} 1\n# EOF\n", "expected comma or brace close"),
        (b"a{,} 1\n# EOF\n", "expected label name"),
        (b"a{b} 1\n# EOF\n", "expected equal"),
        (b"a{b=c} 1\n# EOF\n", "expected label value"),
        (b"a{b=\"c\nd\"} 1\n# EOF\n", "expected label value"),
        (b"a{b=\"\xff\"} 1\n# EOF\n", "invalid UTF-8 label value"),
        (b"{b=\"c\"} 1\n# EOF\n", "metric name not set"),
        (b"{} 1\n# EOF\n", "metric name not set"),
        (b"a{\"b\"} 1\n# EOF\n", "metric name already set"),
        (b"a 1 \n# EOF\n", "expected timestamp, exemplar or new record"),
        (b"a 1\r\n# EOF\n", "value is not a number"),
        (b"a 1 # x\n# EOF\n", "expected timestamp, exemplar or new record"),
        (b"a 1 2 3\n# EOF\n", "expected next entry after timestamp"),
        (b"a 1 NaN\n# EOF\n", "invalid timestamp"),
        (b"a 1 Inf\n# EOF\n", "invalid timestamp"),
        (b"a 1 x\n# EOF\n", "value is not a number"),
        (b"a 1 #{} 1\n# EOF\n", "value is not a number"),
        (b"a 1 # {\"b\"} 1\n# EOF\n", "expected label name"),
        (b"a 1 # {b=\"c\"}\n# EOF\n", "expected value after exemplar labels"),
        (b"a 1 # {} 1 NaN\n# EOF\n", "invalid timestamp"),
        (b"a 1 # {} 1 2 3\n# EOF\n", "expected next entry after exemplar"),
        (b"a 1 # {} 1 # {} 1\n# EOF\n", "value is not a number"),
        (b"a 0x1p3\n# EOF\n", "value is not a number"),
        (b"# TYPE a\n# EOF\n", "expected text in HELP, TYPE or UNIT"),
        (b"# TYPE a untyped\n# EOF\n", "invalid metric type"),
        (b"# TYPE a  gauge\n# EOF\n", "invalid metric type"),
        (b"# TYPE 9 gauge\n# EOF\n", "expected metric name after HELP, TYPE or UNIT"),
        (b"# HELP a \xff\n# EOF\n", "help text is not valid UTF-8"),
        (b"# UNIT a_seconds second\n# EOF\n", "unit is not a suffix of the metric"),
        (b"# UNIT aseconds seconds\n# EOF\n", "unit is not a suffix of the metric"),
        (b"# UNIT seconds seconds\n# EOF\n", "unit is not a suffix of the metric"),
        (b"# HELP a b", "expected text in HELP, TYPE or UNIT"),
    ];
    for (page, what) in PAGES {
        let shown = String::from_utf8_lossy(page);
        let error = entries(page).expect_err(&shown).to_string();
        assert!(error.contains(what), "{shown:?}: {error}");
    }
}

#[test]
fn a_sample_whose_line_goes_wrong_behind_its_value_still_counts_as_in_prometheus() {
    for page in ["a 1 \n# EOF\n", "a 1 # x\n# EOF\n", "a 1\0\n# EOF\n", "a 1  2\n# EOF\n"] {
        let mut parser = OpenMetricsParser::new(page.as_bytes());
        assert!(matches!(parser.next(None), Ok(Some(Entry::Sample(_)))), "{page:?}");
        assert!(parser.next(None).is_err() && parser.next(None).is_err(), "{page:?}");
    }
}

#[test]
fn metadata_is_told() {
    let page =
        b"# TYPE a_seconds gaugehistogram\n# HELP a_seconds b \\n c\n# UNIT a_seconds seconds\n# TYPE \"b.c\" info\n\
        # TYPE c stateset\n# HELP c \n# UNIT c \n# TYPE d unknown\n# EOF";
    let name: &[u8] = b"a_seconds";
    let of_type = |name: &'static str, metric_type| Entry::Type { name: name.as_bytes(), metric_type };
    assert_eq!(
        entries(page).unwrap(),
        [
            of_type("a_seconds", MetricType::GaugeHistogram),
            Entry::Help { name, text: "b \\n c" },
            Entry::Unit { name, unit: b"seconds" },
            of_type("b.c", MetricType::Info),
            of_type("c", MetricType::StateSet),
            Entry::Help { name: b"c", text: "" },
            Entry::Unit { name: b"c", unit: b"" },
            of_type("d", MetricType::Unknown),
        ]
    );
}

#[test]
fn bounds_are_normalised_by_the_type_before_them() {
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{quantile=\"1\"} 1\n\
                # TYPE g gaugehistogram\ng_bucket{le=\"1\"} 1\n\
                # TYPE s summary\ns{quantile=\"5e-1\"} 1\ns{quantile=\"0.1_05\"} 1\n# EOF\n";
    let found: Vec<_> = entries(page.as_bytes())
        .unwrap()
        .iter()
        .filter_map(|entry| if let Entry::Sample(sample) = entry { Some(show(sample)) } else { None })
        .collect();
    assert_eq!(
        found,
        [
            r#"__name__="h_bucket" le="1.0" 1"#,
            r#"__name__="h_bucket" quantile="1" 1"#,
            r#"__name__="g_bucket" le="1" 1"#,
            r#"__name__="s" quantile="0.5" 1"#,
            r#"__name__="s" quantile="0.105" 1"#,
        ]
    );
}

#[test]
fn start_timestamps_are_told_where_they_are_wanted() {
    let page = "# TYPE a counter\na_total{b=\"c\"} 1\na_created{b=\"c\"} 1500.25\na_total{b=\"d\"} 2\na_created{b=\"e\"} 9\n\
                # TYPE h histogram\nh_bucket{le=\"1\",x=\"y\"} 1\nh_bucket{le=\"+Inf\",x=\"y\"} 1\nh_count{x=\"y\"} 1\n\
                h_created{x=\"y\"} 2\n# TYPE g gauge\ng 1\ng_created 3\n# TYPE \"u.v\" counter\n{\"u.v_total\"} 1\n\
                {\"u.v_created\"} 4\n# EOF\n";
    let mut parser = OpenMetricsParser::with_start_timestamps(page.as_bytes());
    let mut starts = Vec::new();
    while let Some(entry) = parser.next(None).unwrap() {
        if let Entry::Sample(sample) = entry {
            starts.push((std::str::from_utf8(sample.series.raw).unwrap(), sample.start_timestamp_ms));
        }
    }
    assert_eq!(
        starts,
        [
            ("a_total{b=\"c\"}", Some(1_500_250)),
            ("a_total{b=\"d\"}", None),
            ("h_bucket{le=\"1\",x=\"y\"}", Some(2000)),
            ("h_bucket{le=\"+Inf\",x=\"y\"}", Some(2000)),
            ("h_count{x=\"y\"}", Some(2000)),
            ("g", None),
            ("g_created", None),
            ("{\"u.v_total\"}", Some(4000)),
        ]
    );
}

#[test]
fn any_nan_is_the_one_nan() {
    let entries = entries(b"a NaN # {} nan\n# EOF\n").unwrap();
    let [Entry::Sample(sample)] = entries[..] else { panic!("one sample") };
    assert_eq!(sample.value.to_bits(), NORMAL_NAN_BITS);
    assert_eq!(sample.exemplar.unwrap().value.to_bits(), NORMAL_NAN_BITS);
}

#[test]
fn zero_bytes_count_for_nothing_in_hash_lines() {
    for page in [&b"# E\0OF\0\n\0"[..], b"# EOF\n\0\0", b"# HE\0LP \0a b\n\0# EOF\n"] {
        assert!(entries(page).is_ok(), "{page:?}");
    }
    for page in [&b"# \0EOF\n"[..], b"# TYPE a\0 gauge\n# EOF\n", b"# TYPE a gauge\n\0# EOF\n", b"\0# EOF\n"] {
        assert!(entries(page).is_err(), "{page:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(page in proptest::collection::vec(any::<u8>(), 0..200), expected in any::<Vec<u8>>()) {
        let mut parser = OpenMetricsParser::new(&page);
        while let Ok(Some(entry)) = parser.next(Some(&expected)) {
            if let Entry::Sample(sample) = entry {
                let _ = sample.series.labels();
            }
        }
    }

    #[test]
    fn an_expectation_never_changes_what_is_read(
        page in "(a|ab|a\\{b=\"c\"\\}|\\{\"a\"\\}|a\\{\\}|[ \n{}1\t,=\"\0]| 1\n| # \\{| # \\{a=\"b\"\\} 1|# EOF|# TYPE a gauge\n){0,30}",
        expected in "a|ab|a\\{b=\"c\"\\}|a\\{\\}|\\{\"a\"\\}",
    ) {
        let mut plain = OpenMetricsParser::new(page.as_bytes());
        let mut told = OpenMetricsParser::new(page.as_bytes());
        loop {
            let (plain, told) = (plain.next(None), told.next(Some(expected.as_bytes())));
            match (&plain, &told) {
                (Ok(Some(Entry::Sample(a))), Ok(Some(Entry::Sample(b)))) => {
                    prop_assert_eq!((a.series, show(a)), (b.series, show(b)));
                    prop_assert_eq!(b.expected, a.series.raw == expected.as_bytes());
                }
                _ => prop_assert_eq!(&plain, &told),
            }
            if !matches!(plain, Ok(Some(_))) {
                break;
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,8}",
        labels in proptest::collection::vec(("[a-z_][a-z0-9_]{0,5}", "[^\0]{0,6}"), 0..4),
        value in any::<f64>(),
        exemplar in proptest::option::of(("[a-z]{1,4}", "[a-z ]{0,9}", any::<f64>())),
    ) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let written: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let tail = exemplar.as_ref().map_or_else(String::new, |(name, text, value)| format!(" # {{{name}=\"{text}\"}} {value}"));
        let page = format!("{name}{{{}}} {value}{tail}\n# EOF\n", written.join(","));
        let entries = entries(page.as_bytes()).unwrap();
        let [Entry::Sample(sample)] = &entries[..] else { panic!("{entries:?}") };
        prop_assert_eq!(sample.series.format, Format::OpenMetrics);
        let read = sample.series.labels().unwrap();
        prop_assert_eq!(&read[0].1, &name);
        prop_assert_eq!(read.len(), labels.len() + 1);
        for ((name, value), (read_name, read_value)) in labels.iter().zip(&read[1..]) {
            prop_assert_eq!((name.as_str(), value.as_str()), (read_name.as_ref(), read_value.as_ref()));
        }
        prop_assert!(sample.value == value || value.is_nan());
        let read = sample.exemplar.map(|exemplar| (exemplar.labels.labels().unwrap()[0], exemplar.value.to_bits()));
        let expected = exemplar.as_ref().map(|(name, text, value)| {
            ((name.as_str(), text.as_str()), if value.is_nan() { NORMAL_NAN_BITS } else { value.to_bits() })
        });
        prop_assert_eq!(read, expected);
    }
}
