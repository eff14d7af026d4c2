//! Requests of each second as curves, in SVG: one plot above the other for each cause, logarithmic upwards, as a stampede is many
//! times what comes after it.

use super::{Cause, Run};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const PLOT_HEIGHT: f64 = 300.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 34.0;
const LEGEND_HEIGHT: f64 = 26.0;
const COLORS: [&str; 3] = ["#c0392b", "#e08e0b", "#1f77b4"];

/// What comes later is left out: a wide spread is the same for long.
const SECONDS: usize = 600;
const SECONDS_BETWEEN_TICKS: usize = 60;

/// `capacity` is what the receiver takes in a second.
pub(super) fn draw(plots: &[(Cause, [(&str, Run); 3])], capacity: f64) -> String {
    let height = PLOT_HEIGHT * plots.len() as f64 + LEGEND_HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, (cause, runs)) in plots.iter().enumerate() {
        Plot { svg: &mut svg, top: PLOT_HEIGHT * number as f64, decades: 5.0 }.draw(*cause, runs, capacity);
    }
    for (number, ((name, _), color)) in plots.iter().take(1).flat_map(|plot| &plot.1).zip(COLORS).enumerate() {
        let (x, y) = (LEFT + 180.0 * number as f64, height - 10.0);
        text(&mut svg, x + 20.0, y, "start", &name.replace('"', "&quot;"));
        _ = writeln!(svg, "<rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"3\" fill=\"{color}\"/>", y - 6.0);
    }
    svg + "</svg>\n"
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

struct Plot<'s> {
    svg: &'s mut String,
    top: f64,
    decades: f64,
}

impl Plot<'_> {
    fn x(&self, second: usize) -> f64 {
        LEFT + second as f64 / SECONDS as f64 * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, requests: f64) -> f64 {
        let share = requests.max(1.0).log10() / self.decades;
        self.top + PLOT_HEIGHT - BOTTOM - share * (PLOT_HEIGHT - BOTTOM - TOP)
    }

    fn draw(&mut self, cause: Cause, runs: &[(&str, Run)], capacity: f64) {
        let title = match cause {
            Cause::Receiver => "Requests a second to a receiver that was away for an hour",
            Cause::Power => "Requests a second when power returns to all devices after an hour",
        };
        text(self.svg, LEFT, self.top + 20.0, "start", title);
        for decade in 0..=self.decades as i32 {
            self.line(10f64.powi(decade), "#ddd");
            text(self.svg, LEFT - 8.0, self.y(10f64.powi(decade)) + 4.0, "end", &10u32.pow(decade as u32).to_string());
        }
        self.line(capacity, "#333\" stroke-dasharray=\"6 4");
        text(self.svg, WIDTH - RIGHT, self.y(capacity) - 6.0, "end", "what the receiver takes");
        for second in (0..=SECONDS).step_by(SECONDS_BETWEEN_TICKS) {
            text(self.svg, self.x(second), self.y(1.0) + 18.0, "middle", &format!("{second} s"));
        }
        for ((_, run), color) in runs.iter().zip(COLORS) {
            let point = |(second, n): (usize, &u32)| format!("{:.1},{:.1}", self.x(second), self.y(f64::from(*n)));
            let points: Vec<String> = run.requests.iter().take(SECONDS).enumerate().map(point).collect();
            let points = points.join(" ");
            _ = writeln!(self.svg, "<polyline fill=\"none\" stroke=\"{color}\" points=\"{points}\"/>");
        }
    }

    fn line(&mut self, requests: f64, stroke: &str) {
        let y = self.y(requests);
        _ = writeln!(self.svg, "<path d=\"M{LEFT} {y:.1}H{}\" stroke=\"{stroke}\"/>", WIDTH - RIGHT);
    }
}
