//! What happened, in one stream. It follows its end unless the reader has gone back.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::widgets::show_lines;
use super::{Scene, WIDE};
use crate::state::events::{Event, EventKind};
use crate::tui::acts::{Level, level};
use crate::tui::events_list;
use crate::tui::format::{self, clock, clock_exact};
use crate::tui::functions;
use crate::tui::stats::by_workload;
use crate::tui::theme::Role;

impl Scene<'_> {
    /// `whole` is the screen of its own, which is filtered and scrolled; else the last few.
    pub(super) fn events(&self, frame: &mut Frame<'_>, area: Rect, whole: bool) {
        let model = self.model;
        let (events, note): (Vec<&Event>, String) = if whole {
            let fitting = events_list::events(model).len();
            let follow = match model.places.event {
                None => "following",
                Some(_) => "held · G follows again",
            };
            let filter = if model.event_filter.is_empty() {
                String::new()
            } else {
                format!(" · filter: {}", model.event_filter)
            };
            let level = model.level.as_str();
            let all = self.data.events.len();
            let note = format!("{fitting} of {all}{filter} · from {level} · {follow}");
            (events_list::shown_events(model).take(usize::from(area.height)).collect(), note)
        } else {
            let last = self.data.events.iter().rev().take(usize::from(area.height)).collect();
            // Where there is no room for a panel of requests, they stand here in a line.
            let narrow = area.width < WIDE.0;
            (last, if narrow { self.requests_in_a_line() } else { String::new() })
        };
        let inner = self.panel(frame, area, "Events", &note);
        let mut lines = events
            .into_iter()
            .take(usize::from(inner.height))
            .map(|event| self.event_line(event, usize::from(inner.width)))
            .collect::<Vec<_>>();
        if lines.is_empty() {
            let text = if self.data.events.is_empty() {
                "nothing has happened yet"
            } else {
                "no event fits the filter"
            };
            lines.push(Line::from(self.span(text, Role::Faint)));
        }
        show_lines(frame, inner, lines);
    }

    /// `15.9 req/s · p95 940ms · 1 failed`, of the last minute.
    fn requests_in_a_line(&self) -> String {
        let (all, _) = by_workload(self.data, Duration::from_mins(1));
        let functions = functions::overflow_share(self.data).filter(|share| *share > 0.0);
        let functions =
            functions.map(|share| format!(" · {} to functions", format::percent(share)));
        format!(
            "last minute: {} req/s · p95 {} · {} failed{}",
            format::rate(all.rate),
            format::milliseconds(all.p95),
            all.failures,
            functions.unwrap_or_default()
        )
    }

    pub(super) fn event_line(&self, event: &Event, width: usize) -> Line<'static> {
        let zone = &self.data.known.zone;
        let roomy = width >= 100;
        let at = if roomy { clock_exact(event.at, zone) } else { clock(event.at, zone) };
        let (word, role) = match (event.kind, level(event.kind)) {
            (EventKind::Crash, _) => ("FAIL", Role::Bad),
            (_, Level::Warn) => ("WARN", Role::Warn),
            (_, Level::Note) => ("NOTE", Role::Accent),
            (_, Level::All) => ("INFO", Role::Faint),
        };
        // Where there is little room, as beside a VM's figures, what happened matters most.
        let who = if width >= 60 {
            format!("{:<10} ", format::cut(&event.role, 10))
        } else {
            String::new()
        };
        let vm = event.vm.as_ref().map(|vm| format!("{vm} ")).unwrap_or_default();
        let head = at.len() + 6 + format::columns(&who);
        let text = format!("{vm}{}", event.detail);
        // These tell in their own words what happened; the others say why.
        let plain = matches!(event.kind, EventKind::Role | EventKind::Operator | EventKind::Fault);
        let text = if plain { text } else { format!("{} {text}", event.kind) };
        let text_role = if role == Role::Faint { Role::Text } else { role };
        let text_role = if text_role == Role::Accent { Role::Text } else { text_role };
        Line::from(vec![
            self.span(format!("{at} "), Role::Faint),
            self.span(format!("{word} "), role),
            self.span(who, Role::Faint),
            self.span(format::cut(&text, width.saturating_sub(head)), text_role),
        ])
    }
}
