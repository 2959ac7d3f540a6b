//! A curve over time with its guide lines, in the dots that the terminal's font has.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::theme::Symbols;

/// Dots across and down in one cell.
fn dots(symbols: Symbols) -> (usize, usize) {
    match symbols {
        Symbols::Braille => (2, 4),
        Symbols::Block => (1, 8),
        Symbols::Ascii => (1, 1),
    }
}

/// How many values across a chart of this width shows.
pub(super) fn resolution(width: u16, symbols: Symbols) -> usize {
    usize::from(width) * dots(symbols).0
}

/// Draws `values`, shares of 1 from left to right, into `area`; gaps stay empty. `guides` are levels
/// that are drawn dotted behind the curve.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    values: &[Option<f64>],
    guides: (&[f64], Style),
    style: Style,
    symbols: Symbols,
) {
    if area.is_empty() {
        return;
    }
    let (across, down) = dots(symbols);
    let rows = usize::from(area.height) * down;
    for guide in guides.0 {
        let row = row_of(*guide, rows) / down;
        for x in (0..area.width).step_by(3) {
            put(buffer, area, (usize::from(x), row), "•", guides.1);
        }
    }
    let mut before: Option<usize> = None;
    let mut cells = vec![0_u8; usize::from(area.width) * usize::from(area.height)];
    for (x, value) in values.iter().enumerate().take(usize::from(area.width) * across) {
        let Some(value) = value else {
            before = None;
            continue;
        };
        let row = row_of(*value, rows);
        // A steep step is drawn as the line that it is, not as two dots far apart.
        let (top, bottom) = match (symbols, before) {
            (Symbols::Braille, Some(before)) if before > row => (row, before - 1),
            (Symbols::Braille, Some(before)) if before < row => (before + 1, row),
            _ => (row, row),
        };
        for y in top..=bottom {
            let cell = (y / down) * usize::from(area.width) + x / across;
            if let Some(cell) = cells.get_mut(cell) {
                *cell = filled(*cell, symbols, x % across, y % down);
            }
        }
        before = Some(row);
    }
    for (index, cell) in cells.iter().enumerate().filter(|(_, cell)| **cell != 0) {
        let place = (index % usize::from(area.width), index / usize::from(area.width));
        put(buffer, area, place, &symbol(*cell, symbols), style);
    }
}

/// The row of dots of a level, 0 at the top.
fn row_of(level: f64, rows: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to rows")]
    let from_top =
        ((1.0 - level.clamp(0.0, 1.0)) * (rows.saturating_sub(1)) as f64).round() as usize;
    from_top
}

/// The cell with one more dot.
fn filled(cell: u8, symbols: Symbols, x: usize, y: usize) -> u8 {
    /// Bits of the dots of a braille cell, by column and row (Unicode, block U+2800).
    const BRAILLE: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
    match symbols {
        Symbols::Braille => cell | BRAILLE[x.min(1)][y.min(3)],
        // The height of the column in eighths; the highest dot wins.
        Symbols::Block => cell.max(8 - u8::try_from(y.min(7)).unwrap_or(7)),
        Symbols::Ascii => 1,
    }
}

fn symbol(cell: u8, symbols: Symbols) -> String {
    const BLOCKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    match symbols {
        Symbols::Braille => {
            char::from_u32(0x2800 + u32::from(cell)).map(String::from).unwrap_or_default()
        }
        Symbols::Block => BLOCKS[usize::from(cell.clamp(1, 8)) - 1].to_owned(),
        Symbols::Ascii => "*".to_owned(),
    }
}

fn put(buffer: &mut Buffer, area: Rect, (x, y): (usize, usize), symbol: &str, style: Style) {
    let (Ok(x), Ok(y)) = (u16::try_from(x), u16::try_from(y)) else { return };
    if x < area.width && y < area.height {
        buffer[(area.x + x, area.y + y)].set_symbol(symbol).set_style(style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[Option<f64>], symbols: Symbols) -> Vec<String> {
        let area = Rect::new(0, 0, 4, 2);
        let mut buffer = Buffer::empty(area);
        draw(&mut buffer, area, values, (&[2.0], Style::new()), Style::new(), symbols);
        (0..2).map(|y| (0..4).map(|x| buffer[(x, y)].symbol().to_owned()).collect()).collect()
    }

    #[test]
    fn the_top_is_all_and_the_bottom_is_nothing() {
        let full = drawn(&[Some(1.0); 8], Symbols::Braille);
        assert_eq!(full[0], "⠉⠉⠉⠉");
        let none = drawn(&[Some(0.0); 8], Symbols::Braille);
        assert_eq!(none[1], "⣀⣀⣀⣀");
    }

    #[test]
    fn a_gap_stays_empty_and_values_beyond_the_bounds_stay_inside() {
        let gap = drawn(&[Some(0.0), None, Some(7.0), Some(-3.0)], Symbols::Ascii);
        assert_eq!(gap, ["• *•", "*  *"]);
    }
}
