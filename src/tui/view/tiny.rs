//! The smallest windows: a few lines of status, the most important first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::Scene;
use super::widgets::show_lines;
use crate::tui::acts::Act;
use crate::tui::format::{self, UNKNOWN, clock, percent};
use crate::tui::rows::{Status, rows};
use crate::tui::stats::by_workload;
use crate::tui::theme::{Role, of_condition, of_cpu};
use crate::tui::verdict::{Census, mean_cpu};

impl Scene<'_> {
    pub(super) fn tiny(&self, frame: &mut Frame<'_>, area: Rect) {
        let width = usize::from(area.width);
        let condition = self.verdict.condition;
        let everything = rows(self.data);
        let head = format!("▶ {condition} ");
        let reason =
            format::cut(&self.verdict.reason, width.saturating_sub(format::columns(&head)));
        let census = Census::of(&everything).to_string();
        let mut lines = vec![
            Line::from(vec![
                self.span(head, of_condition(condition)),
                self.span(reason, Role::Text),
            ]),
            Line::from(self.heartbeat(false)),
            Line::from(self.span(format::cut(&census, width), Role::Text)),
            self.figures(mean_cpu(&everything), width),
        ];
        let acts = self.model.acts();
        if let Some(act @ Act::Decision { decided, .. }) =
            acts.iter().find(|act| matches!(act, Act::Decision { .. }))
        {
            let text = format!("{} {}: {}", act.sign().1, decided.to, decided.reason);
            lines.push(Line::from(self.span(format::cut(&text, width), Role::Text)));
        }
        let cpus = everything.iter().filter(|row| row.status == Status::Running);
        let cpus = cpus.map(|row| {
            format!("{} {}", row.id, row.cpu().map_or_else(|| UNKNOWN.to_owned(), percent))
        });
        let cpus = cpus.collect::<Vec<_>>().join("  ");
        lines.push(Line::from(self.span(format::cut(&cpus, width), Role::Faint)));
        if let Some(event) = self.data.events.back() {
            let at = clock(event.at, &self.data.known.zone);
            let vm = event.vm.as_ref().map(|vm| format!("{vm} ")).unwrap_or_default();
            let text = format::cut(&format!("{at} {vm}{}", event.detail), width);
            lines.push(Line::from(self.span(text, Role::Faint)));
        }
        lines.truncate(usize::from(area.height).saturating_sub(1).max(1));
        show_lines(frame, area, lines);
        if area.height > 1 {
            let last = Rect { y: area.y + area.height - 1, height: 1, ..area };
            self.footer(frame, last);
        }
    }

    fn figures(&self, cpu: Option<f64>, width: usize) -> Line<'static> {
        let (all, _) = by_workload(self.data, std::time::Duration::from_mins(1));
        let cpu_text = cpu.map_or_else(|| UNKNOWN.to_owned(), percent);
        let rest = format!(
            "  {} req/s  p95 {}  err {}",
            format::rate(all.rate),
            format::milliseconds(all.p95),
            all.failures
        );
        let role = cpu.map_or(Role::Faint, |cpu| of_cpu(cpu, &self.marks));
        Line::from(vec![
            self.span(format!("cpu {cpu_text}"), role),
            self.span(format::cut(&rest, width.saturating_sub(8)), Role::Text),
        ])
    }
}
