//! What is shown when there is nothing to show: a sentence about why, and what to do.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::Scene;
use super::widgets::show_lines;
use crate::state::Document;
use crate::state::as_state::AsStateFile;
use crate::state::lb_state::LbStateFile;
use crate::state::vm_state::VmStateFile;
use crate::tui::format::{cut, duration};
use crate::tui::rows::{Status, rows};
use crate::tui::theme::{Role, of_condition};
use crate::tui::verdict::Condition;

impl Scene<'_> {
    pub(super) fn nothing_yet(&self, frame: &mut Frame<'_>, area: Rect) {
        let data = self.data;
        let files = [
            (
                VmStateFile::FILE,
                data.vm_state.document.is_some(),
                data.vm_state.problem.as_deref(),
                data.vm_state_age(),
                "the VMs write it",
            ),
            (
                AsStateFile::FILE,
                data.as_state.document.is_some(),
                data.as_state.problem.as_deref(),
                data.as_state_age(),
                "the autoscaler writes it",
            ),
            (
                LbStateFile::FILE,
                data.lb_state.document.is_some(),
                data.lb_state.problem.as_deref(),
                data.lb_state_age(),
                "the balancer writes it",
            ),
        ];
        let condition = self.verdict.condition;
        let mut lines = vec![
            Line::from(self.span(self.verdict.reason.clone(), of_condition(condition))),
            Line::default(),
        ];
        for (name, there, problem, age, who) in files {
            let (text, role) = match (problem, there, age) {
                (Some(problem), ..) => (problem.to_owned(), Role::Bad),
                (None, true, Some(age)) => (format!("last word {} ago", duration(age)), Role::Text),
                (None, true, None) => ("there, and says nothing of VMs".to_owned(), Role::Text),
                (None, false, _) => (format!("not there ({who})"), Role::Faint),
            };
            lines.push(Line::from(vec![
                self.span(format!("{name:<12} "), Role::Strong),
                self.span(text, role),
            ]));
        }
        lines.push(Line::default());
        let advice = match condition {
            Condition::Starting => "The first VMs report as soon as they have booted.",
            Condition::Failed => {
                "Start it again with `cumulet up`: it carries on from these files."
            }
            _ => "Start one with `cumulet up` in another terminal: it appears here.",
        };
        lines.push(Line::from(self.span(advice, Role::Text)));
        if !data.events.is_empty() {
            lines.push(Line::from(self.span("5 shows what happened before.", Role::Faint)));
        }
        let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
        let inner = self.window(frame, area, (72, height), condition.as_str(), "");
        show_lines(frame, inner, lines);
    }

    /// Over the last known numbers: that they are not of now, and who is still there.
    pub(super) fn stale(&self, frame: &mut Frame<'_>, area: Rect) {
        let inner = self.window(frame, area, (66, 8), "State is stale", "Esc: look anyway");
        let everything = rows(self.data);
        let processes = everything.iter().map(|row| {
            let there = if row.status == Status::Dead { "gone" } else { "there" };
            format!("{} {there}", row.id)
        });
        let processes = processes.collect::<Vec<_>>().join(" · ");
        let all_gone = everything.iter().all(|row| row.status == Status::Dead);
        let likely = if all_gone {
            "Likely: all of it was killed. `cumulet up` carries on from here."
        } else {
            "Likely: the processes are stopped, or the disk is full."
        };
        let lines = [
            (format!("{}.", self.verdict.reason), Role::Warn),
            ("The numbers below are the last known ones, not of now.".to_owned(), Role::Text),
            (likely.to_owned(), Role::Text),
            (String::new(), Role::Text),
            (format!("processes: {processes}"), Role::Faint),
        ];
        let width = usize::from(inner.width);
        let lines = lines.map(|(text, role)| Line::from(self.span(cut(&text, width), role)));
        show_lines(frame, inner, lines.to_vec());
    }
}
