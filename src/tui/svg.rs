//! A frame as a picture (SVG 1.1), for documents: every cell where the terminal has it.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Width and height of a cell, in pixels.
const CELL: (f64, f64) = (8.4, 18.0);
/// Space around the frame, in pixels.
const MARGIN: f64 = 12.0;
/// Size of the letters, in pixels.
const LETTERS: f64 = 14.0;
/// From the top of a cell to the line that letters stand on, in pixels.
const BASE: f64 = 13.5;
/// Where a cell has no colours of its own.
const TEXT: &str = "#d4d4d4";
const GROUND: &str = "#16181d";

/// The whole frame.
pub(crate) fn svg(buffer: &Buffer) -> String {
    let columns = usize::from(buffer.area.width).max(1);
    let rows = usize::from(buffer.area.height);
    let (width, height) = (
        (columns as f64).mul_add(CELL.0, 2.0 * MARGIN),
        (rows as f64).mul_add(CELL.1, 2.0 * MARGIN),
    );
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"{LETTERS}\">\n"
    );
    for (y, row) in buffer.content.chunks(columns).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(alike) {
            write_run(&mut out, run, (x, y));
            x += run.len();
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn alike(a: &Cell, b: &Cell) -> bool {
    (a.fg, a.bg, a.modifier) == (b.fg, b.bg, b.modifier)
}

/// Cells beside each other that look alike.
fn write_run(out: &mut String, run: &[Cell], (x, y): (usize, usize)) {
    let Some(cell) = run.first() else { return };
    let (mut text, mut ground) = (colour(cell.fg), colour(cell.bg));
    if cell.modifier.contains(Modifier::REVERSED) {
        (text, ground) = (
            Some(ground.unwrap_or_else(|| GROUND.to_owned())),
            Some(text.unwrap_or_else(|| TEXT.to_owned())),
        );
    }
    let left = (x as f64).mul_add(CELL.0, MARGIN);
    let top = (y as f64).mul_add(CELL.1, MARGIN);
    let width = run.len() as f64 * CELL.0;
    // Writing to a string cannot fail.
    if let Some(ground) = ground {
        let height = CELL.1;
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height}\" \
             fill=\"{ground}\"/>"
        );
    }
    let said = run.iter().map(Cell::symbol).collect::<String>();
    if said.trim().is_empty() {
        return;
    }
    let fill = text.unwrap_or_else(|| TEXT.to_owned());
    let bold = if cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let dim = if cell.modifier.contains(Modifier::DIM) { " opacity=\"0.6\"" } else { "" };
    // The length is given, so that a font of another width, or another font for one sign, moves
    // nothing.
    let _ = writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{:.1}\" textLength=\"{width:.1}\" fill=\"{fill}\"{bold}{dim}>{}\
         </text>",
        top + BASE,
        escaped(&said)
    );
}

/// Spaces become such as no viewer folds.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(' ', "\u{a0}")
}

/// An indexed colour as most terminals show it: a cube of 6 × 6 × 6 from 16 on, greys from 232 on
/// (xterm's 256 colours). The themes use no others.
fn colour(colour: Color) -> Option<String> {
    let Color::Indexed(index) = colour else { return None };
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    let [red, green, blue] = match index {
        0..16 => return None,
        16..232 => {
            let cube = index - 16;
            [cube / 36, cube / 6 % 6, cube % 6].map(level)
        }
        232.. => [8 + 10 * (index - 232); 3],
    };
    Some(format!("#{red:02x}{green:02x}{blue:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    #[test]
    fn a_picture_has_the_text_and_the_colours_of_the_frame() {
        let mut buffer = Buffer::with_lines(["a<b  & c", ""]);
        buffer.set_string(0, 1, "no", Style::new().fg(Color::Indexed(166)));
        let svg = svg(&buffer);
        assert!(svg.contains(">a&lt;b\u{a0}\u{a0}&amp;\u{a0}c</text>"), "{svg}");
        assert!(svg.contains("fill=\"#d75f00\">no</text>"), "{svg}");
        assert_eq!(svg.matches("<text").count(), 2, "{svg}");
    }

    #[test]
    fn indexed_colours_are_those_of_a_terminal() {
        let all = [16, 231, 74, 232, 255].map(|index| colour(Color::Indexed(index)).unwrap());
        assert_eq!(all, ["#000000", "#ffffff", "#5fafd7", "#080808", "#eeeeee"]);
        assert_eq!(colour(Color::Reset), None);
    }
}
