//! A ring as one line of cells, oldest segment first, with the cursors of endpoints below.
//!
//! ```text
//!   2026-11-21T09:12:04Z                     2026-11-21T11:41:07Z
//!   ░░░░░░░░░░░░██████████████████████████████▃·····················
//!               ▲ cloud lacks 120034 samples of 402 scrapes, from 2026-11-21T09:58:30Z on
//!                                             ▲ plant has everything
//! ```

use super::times;
use crate::cli::demo::screen::Style;

/// Columns of the drawing; rings of more segments show several in one.
const COLUMNS_MAX: usize = 64;

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// Some endpoint lacks what is in it. How much of it is written, from 0 to 1.
    Needed { fill: f64 },
    /// Kept until its place is needed.
    Acknowledged { fill: f64 },
    /// Not written, or not readable.
    Free,
}

/// Something to say about a segment, by its index among the cells.
pub struct Mark {
    pub at: usize,
    pub text: String,
}

struct Glyphs {
    needed: [&'static str; 8],
    acknowledged: &'static str,
    free: &'static str,
    mark: &'static str,
}

const UNICODE: Glyphs =
    Glyphs {
        needed: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"], acknowledged: "░", free: "·", mark: "▲"
    };
const ASCII: Glyphs =
    Glyphs { needed: [".", ":", ":", "-", "=", "+", "*", "#"], acknowledged: "o", free: "_", mark: "^" };

/// Lines without indentation. `times`: of the first and last scrape, in milliseconds.
pub fn draw(cells: &[Cell], marks: &[Mark], times: Option<(i64, i64)>, style: Style) -> Vec<String> {
    let glyphs = if style.unicode { UNICODE } else { ASCII };
    let per_column = cells.len().div_ceil(COLUMNS_MAX).max(1);
    let written = cells.iter().take_while(|cell| **cell != Cell::Free).count().div_ceil(per_column);
    let mut lines = Vec::new();
    if let Some((first_ms, last_ms)) = times {
        let (first, last) = (times::text(first_ms), times::text(last_ms));
        let gap = written.saturating_sub(first.len() + last.len()).max(2);
        lines.push(format!("{first}{}{last}", " ".repeat(gap)));
    }
    lines.push(cells.chunks(per_column).map(|cells| glyph(cells, &glyphs)).collect());
    for mark in marks {
        let column = (mark.at / per_column).min(cells.len().div_ceil(per_column));
        lines.push(format!("{}{} {}", " ".repeat(column), glyphs.mark, mark.text));
    }
    let meaning = format!(
        "{} lacked by an endpoint  {} acknowledged by all  {} free",
        glyphs.needed[7], glyphs.acknowledged, glyphs.free
    );
    lines.push(match per_column {
        1 => meaning,
        many => format!("{meaning}  ({many} segments to a column)"),
    });
    lines
}

/// Of several segments: what some endpoint lacks shows before what none does.
fn glyph(cells: &[Cell], glyphs: &Glyphs) -> &'static str {
    let needed = cells.iter().map(|cell| if let Cell::Needed { fill } = cell { *fill } else { 0.0 }).sum::<f64>();
    if cells.iter().any(|cell| matches!(cell, Cell::Needed { .. })) {
        let eighths = (needed / cells.len() as f64 * 8.0).ceil() as usize;
        return glyphs.needed[eighths.clamp(1, 8) - 1];
    }
    if cells.iter().any(|cell| matches!(cell, Cell::Acknowledged { .. })) { glyphs.acknowledged } else { glyphs.free }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { color: false, unicode: true };

    #[test]
    fn a_ring_is_drawn_from_its_oldest_segment_to_what_is_free() {
        let cells = [
            vec![Cell::Acknowledged { fill: 1.0 }; 2],
            vec![Cell::Needed { fill: 1.0 }; 3],
            vec![Cell::Needed { fill: 0.3 }],
            vec![Cell::Free; 4],
        ];
        let marks =
            [Mark { at: 2, text: "a lacks 12 samples".into() }, Mark { at: 6, text: "b has everything".into() }];
        assert_eq!(
            draw(&cells.concat(), &marks, Some((0, 86_400_000)), STYLE),
            [
                "1970-01-01T00:00:00Z  1970-01-02T00:00:00Z",
                "░░███▃····",
                "  ▲ a lacks 12 samples",
                "      ▲ b has everything",
                "█ lacked by an endpoint  ░ acknowledged by all  · free",
            ]
        );
    }

    #[test]
    fn a_ring_of_many_segments_takes_no_more_columns() {
        let mut cells = vec![Cell::Needed { fill: 1.0 }; 4096];
        cells[2048..].fill(Cell::Free);
        cells[2047] = Cell::Needed { fill: 0.5 };
        let ascii = Style { color: false, unicode: false };
        let lines = draw(&cells, &[Mark { at: 4096, text: "x".into() }], None, ascii);
        assert_eq!(lines[0], format!("{}{}", "#".repeat(32), "_".repeat(32)));
        assert_eq!(lines[1], format!("{}^ x", " ".repeat(64)));
        assert!(lines[2].ends_with("(64 segments to a column)"));
    }
}
