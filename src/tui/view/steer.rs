//! What is about to be fired, and a policy with what it would have done.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::Scene;
use super::autoscaler::minutes;
use super::widgets::{show_lines, sparkline};
use crate::domain::cost::Kind;
use crate::operator::Volley;
use crate::tui::format::{self, UNKNOWN};
use crate::tui::model::FIELDS;
use crate::tui::replay::{Replayed, WINDOW};
use crate::tui::steer::{Trial, trial};
use crate::tui::theme::Role;

impl Scene<'_> {
    /// What is about to be fired.
    pub(super) fn fire(&self, frame: &mut Frame<'_>, area: Rect, volley: Volley, field: usize) {
        let inner = self.window(frame, area, (62, 7), "Fire requests", "Enter fires");
        let Volley { workload, count, at_once } = volley;
        let mut kinds = Vec::new();
        for kind in Kind::WORKLOADS {
            let role = if kind == workload { Role::Strong } else { Role::Faint };
            let mark = if kind == workload { "●" } else { "○" };
            kinds.push(self.span(format!("{mark} {}  ", kind.as_str()), role));
        }
        let number = |number: u32| vec![self.span(number.to_string(), Role::Strong)];
        let values = [kinds, number(count), number(at_once)];
        let mut lines = Vec::new();
        for (at, (name, value)) in FIELDS.into_iter().zip(values).enumerate() {
            let mark = if at == field { "▌" } else { " " };
            let mut line = vec![
                self.span(format!("{mark} "), Role::Accent),
                self.span(format!("{name:<11}"), Role::Faint),
            ];
            line.extend(value);
            let line = Line::from(line);
            let style = self.theme.style(Role::Chosen);
            lines.push(if at == field { line.style(style) } else { line });
        }
        lines.push(Line::default());
        let hint = "↑↓ choose · ←→ change · digits type a number";
        lines.push(Line::from(self.span(hint, Role::Faint)));
        show_lines(frame, inner, lines);
    }

    /// A policy as it is typed, its parameters, and what the last minutes would have been like.
    pub(super) fn policy(&self, frame: &mut Frame<'_>, area: Rect, input: &str) {
        let note = "nothing changes until Enter";
        let inner = self.window(frame, area, (100, 24), "Policy and limits", note);
        let typed = Line::from(vec![
            self.span("› ", Role::Accent),
            self.span(input.to_owned(), Role::Text),
            Span::styled(" ", Style::new().reversed()),
        ]);
        let trial = match trial(&self.model.live, input) {
            Ok(trial) => trial,
            Err(problem) => {
                let mut lines = vec![typed, Line::default()];
                let words = self.wrapped(&problem, usize::from(inner.width));
                lines
                    .extend(words.into_iter().map(|line| line.style(self.theme.style(Role::Warn))));
                show_lines(frame, inner, lines);
                return;
            }
        };
        let [top, bottom] =
            Layout::vertical([Constraint::Length(8), Constraint::Min(0)]).areas(inner);
        let mut lines = vec![typed, Line::default()];
        lines.extend(self.replayed(&trial, usize::from(inner.width)));
        show_lines(frame, top, lines);
        let widest = |width: fn(&crate::domain::scaling::Parameter) -> usize| {
            trial.parameters.iter().map(width).max().unwrap_or(0)
        };
        let (names, values) = (widest(|p| p.name.len()), widest(|p| p.value.len()).min(24));
        let parameters = trial.parameters.iter().map(|parameter| {
            let value = format::cut(&parameter.value, 24);
            Line::from(vec![
                self.span(format!("  {:<names$}  ", parameter.name), Role::Accent),
                self.span(format!("{value:<values$}  "), Role::Text),
                self.span(parameter.help, Role::Faint),
            ])
        });
        show_lines(frame, bottom, parameters.collect());
    }

    fn replayed(&self, trial: &Trial, width: usize) -> Vec<Line<'static>> {
        const FIGURES: usize = 34;
        let curve = width.saturating_sub(FIGURES + 13).max(4);
        let heading =
            format!("the load of the last {}, thought through with each", minutes(WINDOW));
        let (Some(before), Some(after)) = (&trial.before, &trial.after) else {
            let text = "too little is known of the last minutes to think it through";
            return vec![Line::from(self.span(text, Role::Faint))];
        };
        let most = before.sizes.iter().chain(&after.sizes).copied().max().unwrap_or(1);
        let figures = format!("{:>8}{:>9}{:>17}", "changes", "VM time", "beyond the VMs");
        let mut lines = vec![
            Line::from(self.span(heading, Role::Strong)),
            Line::from(self.span(
                format!("{:<12} {:<curve$}{figures}", "", format!("VMs, 0 to {most}")),
                Role::Faint,
            )),
        ];
        for (name, replayed, role) in
            [("in force", before, Role::Faint), ("as typed", after, Role::Accent)]
        {
            lines.push(self.replayed_line(name, replayed, (curve, most), role));
        }
        let same = if before == after { "no difference on this load" } else { "" };
        lines.push(Line::from(self.span(same, Role::Faint)));
        lines
    }

    fn replayed_line(
        &self,
        name: &str,
        replayed: &Replayed,
        (curve, most): (usize, u32),
        role: Role,
    ) -> Line<'static> {
        let sizes = &replayed.sizes;
        let at = |x: usize| sizes.get(x * sizes.len() / curve.max(1)).copied().map(f64::from);
        let values = (0..curve).map(at).collect::<Vec<_>>();
        let overflow = match replayed.overflow {
            share if share.is_finite() => format!("{:.1} %", share * 100.0),
            _ => UNKNOWN.to_owned(),
        };
        let figures = format!(
            "{:>8}{:>9}{overflow:>17}",
            replayed.changes,
            format::duration(replayed.vm_time)
        );
        Line::from(vec![
            self.span(format!("{name:<12} "), Role::Text),
            self.span(sparkline(&values, f64::from(most)), role),
            self.span(figures, Role::Text),
        ])
    }
}
