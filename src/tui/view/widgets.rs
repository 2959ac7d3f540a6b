//! Small pieces that every screen is made of.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};

use super::Scene;
use crate::tui::format;
use crate::tui::theme::Role;

impl Scene<'_> {
    /// A text in a role.
    pub(super) fn span(&self, text: impl Into<String>, role: Role) -> Span<'static> {
        Span::styled(text.into(), self.theme.style(role))
    }

    /// A frame with a title on its left and a remark on its right, which gives way.
    pub(super) fn panel(&self, frame: &mut Frame<'_>, area: Rect, title: &str, note: &str) -> Rect {
        let room = usize::from(area.width).saturating_sub(format::columns(title) + 8);
        let block = Block::bordered()
            .border_type(BorderType::Rounded)
            .border_style(self.theme.style(Role::Faint))
            .title(self.span(format!(" {title} "), Role::Strong));
        let block = if note.is_empty() || room < 4 {
            block
        } else {
            let note = format!(" {} ", format::cut(note, room));
            block.title(Line::from(self.span(note, Role::Faint)).right_aligned())
        };
        let inner = block.inner(area);
        frame.render_widget(block, area);
        inner
    }

    /// A panel over whatever is there, in the middle of `area`.
    pub(super) fn window(
        &self,
        frame: &mut Frame<'_>,
        area: Rect,
        (width, height): (u16, u16),
        title: &str,
        note: &str,
    ) -> Rect {
        let place = area.centered(
            ratatui::layout::Constraint::Length(width.min(area.width)),
            ratatui::layout::Constraint::Length(height.min(area.height)),
        );
        frame.render_widget(Clear, place);
        self.panel(frame, place, title, note)
    }

    /// A label and what it says.
    pub(super) fn labelled(
        &self,
        label: &str,
        text: impl Into<String>,
        role: Role,
    ) -> Line<'static> {
        Line::from(vec![self.span(format!("{label:<9}"), Role::Faint), self.span(text, role)])
    }

    /// A bar that is filled to a share of its width.
    pub(super) fn bar(&self, share: f64, width: usize, role: Role) -> [Span<'static>; 2] {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to width")]
        let filled = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
        [
            self.span("━".repeat(filled), role),
            self.span("┄".repeat(width.saturating_sub(filled)), Role::Faint),
        ]
    }
}

/// Lines from the top of `area` on; what does not fit is left out.
pub(super) fn show_lines(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    frame.render_widget(Paragraph::new(lines), area);
}

/// A curve one line high, its top at `most`; a gap where nothing is known.
pub(super) fn sparkline(values: &[Option<f64>], most: f64) -> String {
    const BLOCKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    values
        .iter()
        .map(|value| match value {
            None => " ",
            Some(value) if most > 0.0 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "clamped to 0 to 7"
                )]
                let level = (value / most * 8.0).clamp(0.0, 7.0) as usize;
                BLOCKS[level]
            }
            Some(_) => BLOCKS[0],
        })
        .collect()
}
