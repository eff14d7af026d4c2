//! Numbers as Go reads and writes them, which is what "a value of the text format" means in Prometheus.

/// `strconv.ParseFloat`, without the forms that Prometheus refuses (hexadecimal, underscores).
///
/// Unlike Rust's own parser it knows no signed NaN, and a number too large for an f64 is an error, not infinity.
pub fn parse_go_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let signed = unsigned.len() != text.len();
    let number: f64 = text.parse().ok()?;
    let named_infinity = unsigned.starts_with(['i', 'I']);
    if number.is_nan() && signed || number.is_infinite() && !named_infinity { None } else { Some(number) }
}

/// A bucket's bound as `strconv.ParseFloat` reads it, which here takes underscores between digits too. Hexadecimal ones
/// are the exception: they are left as they are written.
pub fn parse_go_bound(text: &str) -> Option<f64> {
    if !text.contains('_') {
        return parse_go_float(text);
    }
    let digit_at = |at: Option<usize>| at.and_then(|at| text.as_bytes().get(at)).is_some_and(u8::is_ascii_digit);
    let between_digits = |(at, _)| digit_at(usize::checked_sub(at, 1)) && digit_at(Some(at + 1));
    if text.match_indices('_').all(between_digits) { parse_go_float(&text.replace('_', "")) } else { None }
}

/// `FormatOpenMetricsFloat`: Go's shortest `%g`, with `.0` where the text would pass for an integer.
pub fn format_open_metrics_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    if number == 0.0 {
        return "0.0".into();
    }
    let shortest = format!("{number:e}");
    // Where two texts of this length are equally near, Go takes the even one.
    let digits = shortest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let nearest = format!("{number:.*e}", digits - 1);
    let scientific = if nearest.parse() == Ok(number) { nearest } else { shortest };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // `strconv.FormatFloat(f, 'g', -1, 64)` turns to exponents below 1e-4 and from 1e6 on.
    if (-4..6).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        let nearest = format!("{number:.decimals$}");
        let plain = if nearest.parse() == Ok(number) { nearest } else { number.to_string() };
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, number) in [
            ("1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("+1e3", 1000.0),
            ("-iNf", f64::NEG_INFINITY),
            ("+Infinity", f64::INFINITY),
            ("1e-400", 0.0),
        ] {
            assert_eq!(parse_go_float(text), Some(number), "{text}");
        }
        assert!(parse_go_float("nAn").unwrap().is_nan());
        for text in
            ["", ".", "1e", "+nan", "-NaN", "1e400", "-1e400", "0x1", "0x1p-3", "1_2", "infin", "true", "1\r", " 1"]
        {
            assert_eq!(parse_go_float(text), None, "{text:?}");
        }
    }

    #[test]
    fn bucket_bounds_may_have_underscores() {
        for (text, number) in [
            ("0.1_05", Some(0.105)),
            ("1_0e1_0", Some(1e11)),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("1_.5", None),
        ] {
            assert_eq!(parse_go_bound(text), number, "{text}");
        }
    }

    #[test]
    fn bucket_bounds_are_written_as_go_writes_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.0, "-1.0"),
            (0.5, "0.5"),
            (10.0, "10.0"),
            (123456.0, "123456.0"),
            (1e6, "1e+06"),
            (1234567.0, "1.234567e+06"),
            (123456789.5, "1.234567895e+08"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            // Halfway between two texts of their length.
            (802.0 + 1.0 / 16384.0, "802.0000610351562"),
            (f64::from_bits(0x42e4321be9e21854), "1.7764359386336262e+14"),
            (1e300, "1e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_open_metrics_float(number), text);
        }
    }
}
