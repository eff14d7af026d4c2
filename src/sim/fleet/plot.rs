//! Requests of each second as curves, in SVG: logarithmic upwards, as a stampede is many times what comes after it.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 50.0;
const TOP: f64 = 40.0;
const RIGHT: f64 = 20.0;
const COLORS: [&str; 3] = ["#c0392b", "#e08e0b", "#1f77b4"];

/// `capacity` is what the receiver takes in a second.
pub(super) fn draw(curves: &[(&str, &[u32])], capacity: f64) -> String {
    let seconds = curves.iter().map(|(_, requests)| requests.len()).max().unwrap_or(1).max(1) as f64;
    let peak = curves.iter().flat_map(|(_, requests)| requests.iter()).copied().max().unwrap_or(1).max(10);
    let decades = f64::from(peak).log10().ceil();
    let x = |second: f64| LEFT + second / seconds * (WIDTH - LEFT - RIGHT);
    let y = |requests: f64| HEIGHT - BOTTOM - requests.max(1.0).log10() / decades * (HEIGHT - BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">Requests a second after an hour's outage</text>\n"
    );
    let mut line = |y: f64, label: &str, style: &str| {
        _ = writeln!(svg, "<path d=\"M{LEFT} {y:.1}H{:.1}\" {style}/>", WIDTH - RIGHT);
        _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0, y + 4.0);
    };
    for decade in 0..=decades as u32 {
        let requests = 10u32.pow(decade);
        line(y(f64::from(requests)), &requests.to_string(), "stroke=\"#ddd\"");
    }
    line(y(capacity), "", "stroke=\"#333\" stroke-dasharray=\"6 4\"");
    _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">what the receiver takes</text>",
        WIDTH - RIGHT,
        y(capacity) - 6.0
    );
    let step = [30, 60, 120, 300, 600].into_iter().find(|step| seconds / f64::from(*step) <= 12.0).unwrap_or(1200);
    for second in (0..=seconds as u32).step_by(step as usize) {
        _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{second} s</text>",
            x(f64::from(second)),
            HEIGHT - BOTTOM + 20.0
        );
    }
    for (number, ((name, requests), color)) in curves.iter().zip(COLORS).enumerate() {
        let points: Vec<String> = (0..)
            .zip(*requests)
            .map(|(second, n)| format!("{:.1},{:.1}", x(f64::from(second)), y(f64::from(*n))))
            .collect();
        _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\" points=\"{}\"/>",
            points.join(" ")
        );
        let at = LEFT + 180.0 * number as f64;
        _ = writeln!(
            svg,
            "<rect x=\"{at:.1}\" y=\"{:.1}\" width=\"14\" height=\"3\" fill=\"{color}\"/>",
            HEIGHT - 14.0
        );
        _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            at + 20.0,
            HEIGHT - 8.0,
            name.replace('"', "&quot;")
        );
    }
    svg + "</svg>\n"
}
