//! The lines around every screen: the verdict, the heartbeat of the files, and the keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::Scene;
use crate::tui::data::BALANCER_LATE;
use crate::tui::format::{self, UNKNOWN, clock, duration};
use crate::tui::keys::{Action, BINDINGS, Reach, binding};
use crate::tui::model::{Dialog, Screen};
use crate::tui::theme::{Role, of_condition};
use crate::tui::verdict::Census;

/// From this width on names are written out.
const ROOMY: u16 = 110;

impl Scene<'_> {
    pub(super) fn header(&self, frame: &mut Frame<'_>, area: Rect) {
        let [first, second] =
            [area, Rect { y: area.y + 1, ..area }].map(|line| Rect { height: 1, ..line });
        self.verdict_line(frame, first);
        self.tabs(frame, second);
    }

    /// The verdict, its reason, the census; time on the right.
    fn verdict_line(&self, frame: &mut Frame<'_>, area: Rect) {
        let up = self.data.uptime().map(|up| format!("up {}  ", duration(up)));
        let right =
            format!("{}{} ", up.unwrap_or_default(), clock(self.data.now, &self.data.known.zone));
        let word = self.verdict.condition;
        let census = format!("   {}", Census::of(&self.rows));
        let left = format!(" ▶ {word} ");
        let room = usize::from(area.width)
            .saturating_sub(format::columns(&left) + format::columns(&right) + 2);
        let reason = format::cut(&self.verdict.reason, room);
        let census_fits = self.model.vm_filter.is_empty()
            && !self.rows.is_empty()
            && format::columns(&reason) + format::columns(&census) <= room;
        let mut line = vec![
            self.span(" ▶ ", Role::Faint),
            self.span(format!("{word} "), of_condition(word))
                .style(self.theme.style(of_condition(word)).patch(self.theme.style(Role::Strong))),
            self.span(reason, Role::Text),
        ];
        if census_fits {
            line.push(self.span(census, Role::Faint));
        }
        two_sided(frame, area, line, vec![self.span(right, Role::Faint)]);
    }

    /// The screens; on the right the number of the last write and the age of both files.
    fn tabs(&self, frame: &mut Frame<'_>, area: Rect) {
        let roomy = area.width >= ROOMY;
        let mut right = self.heartbeat(roomy);
        right.push(match &self.model.frozen {
            Some(data) => {
                let since = format::since(self.model.live.now, data.now);
                self.span(format!(" FROZEN {} ", duration(since)), Role::Warn)
            }
            None if self.model.options.read_only => self.span(" READ-ONLY ", Role::Faint),
            None => self.span(" LIVE ", Role::Faint),
        });
        let taken: usize = right.iter().map(Span::width).sum();
        let room = usize::from(area.width).saturating_sub(taken);
        let names: [fn(Screen) -> &'static str; 3] = [Screen::name, Screen::short_name, |_| ""];
        let left = names
            .into_iter()
            .map(|name| self.tab_spans(name))
            .find(|spans| spans.iter().map(Span::width).sum::<usize>() <= room)
            .unwrap_or_default();
        two_sided(frame, area, left, right);
    }

    /// The screens by their numbers and names; the one that is shown always has its name.
    fn tab_spans(&self, name: fn(Screen) -> &'static str) -> Vec<Span<'static>> {
        let mut spans = vec![Span::raw(" ")];
        for (number, screen) in Screen::ALL.into_iter().enumerate() {
            let chosen = screen == self.model.screen;
            let role = if chosen { Role::Chosen } else { Role::Faint };
            let name = match name(screen) {
                "" if chosen => screen.short_name(),
                name => name,
            };
            let space = if name.is_empty() { "" } else { " " };
            spans.push(self.span(format!(" {}{space}{name} ", number + 1), role));
        }
        spans
    }

    /// `VMState #412 1s ✓  ASState #57 3s ✓`
    pub(super) fn heartbeat(&self, roomy: bool) -> Vec<Span<'static>> {
        let data = self.data;
        let late = data.known.late_after();
        let vm_state = data.vm_state.document.as_ref().map(|document| document.seq);
        let as_state = data.as_state.document.as_ref().map(|document| document.seq);
        let names = if roomy { ["VMState", "ASState"] } else { ["VM", "AS"] };
        let files = [
            (names[0], vm_state, data.vm_state_age(), late, data.vm_state.problem.is_some()),
            (
                names[1],
                as_state,
                data.as_state_age(),
                late.max(BALANCER_LATE),
                data.as_state.problem.is_some(),
            ),
        ];
        let mut spans = Vec::new();
        for (name, seq, age, late, broken) in files {
            let Some(seq) = seq else {
                let text =
                    if broken { format!("{name} BROKEN ") } else { format!("{name} {UNKNOWN} ") };
                spans.push(self.span(text, if broken { Role::Bad } else { Role::Faint }));
                continue;
            };
            let old = age.is_none_or(|age| age > late);
            let age = age.map_or_else(|| UNKNOWN.to_owned(), duration);
            let (sign, role) = match (broken, old) {
                (true, _) => ("BROKEN", Role::Bad),
                (false, true) => ("OLD", Role::Warn),
                (false, false) => ("✓", Role::Faint),
            };
            let space = if roomy || sign != "✓" { " " } else { "" };
            spans.push(self.span(format!("{name} #{seq} {age}{space}{sign} "), role));
        }
        spans
    }

    /// The keys of this screen; what was just done takes their place for a while.
    pub(super) fn footer(&self, frame: &mut Frame<'_>, area: Rect) {
        let mut right = Vec::new();
        if self.model.dialog.is_none() {
            // The two hints that must not be the ones that do not fit.
            for action in [Action::Leave, Action::Help] {
                let hint = binding(action).map(|it| (self.model.rebound.shown(it), it.name));
                let (key, name) = hint.unwrap_or_default();
                right.extend(self.key(&key, name));
            }
        }
        let width = usize::from(area.width);
        if let Some(left) = self.typed_line() {
            two_sided(frame, area, left, right);
            return;
        }
        if let Some(notice) = &self.model.notice {
            let role = if notice.bad { Role::Warn } else { Role::Good };
            let sign = if notice.bad { "✗" } else { "✓" };
            let text = format::cut(&format!(" {sign} {}", notice.text), width.saturating_sub(16));
            two_sided(frame, area, vec![self.span(text, role)], right);
            return;
        }
        let mut left: Vec<Span<'_>> = Vec::new();
        let mut used = 16;
        for binding in BINDINGS.iter().filter(|b| b.footer && b.applies(self.model.screen)) {
            let refused = self.model.options.read_only && binding.reach != Reach::Screen;
            // Without a VM there is nothing that could be done to one.
            let pointless = self.all == 0 && !binding.screens.is_empty();
            if refused || pointless {
                continue;
            }
            let hint = self.key(&self.model.rebound.shown(binding), binding.name);
            let wide: usize = hint.iter().map(Span::width).sum();
            if used + wide > width {
                continue;
            }
            used += wide;
            left.extend(hint);
        }
        two_sided(frame, area, left, right);
    }

    /// What is being typed, or the keys of the dialog.
    fn typed_line(&self) -> Option<Vec<Span<'static>>> {
        let keys = match self.model.dialog.as_ref()? {
            Dialog::Filter { .. } => {
                let text = match self.model.screen {
                    Screen::Events => &self.model.event_filter,
                    Screen::Requests => &self.model.request_filter,
                    _ => &self.model.vm_filter,
                };
                let mut line =
                    vec![self.span(" / ", Role::Accent), self.span(text.clone(), Role::Text)];
                line.push(Span::styled(" ", Style::new().reversed()));
                line.push(self.span("  Enter keeps · Esc undoes", Role::Faint));
                return Some(line);
            }
            Dialog::Help { .. } => [("Esc", "close"), ("↑↓", "scroll")],
            Dialog::Palette { .. } | Dialog::Menu { .. } => [("Enter", "do"), ("Esc", "close")],
            Dialog::Confirm(_) => [("y", "yes"), ("n", "no")],
            Dialog::Fire { .. } => [("Enter", "fire"), ("Esc", "do not")],
            Dialog::Policy { .. } => [("Enter", "put in force"), ("Esc", "leave as it is")],
            Dialog::Leave => [("y", "stop it"), ("d", "let it run")],
        };
        Some(keys.into_iter().flat_map(|(key, name)| self.key(key, name)).collect())
    }

    pub(super) fn key(&self, key: &str, name: &str) -> Vec<Span<'static>> {
        let style = self.theme.style(Role::Accent).patch(self.theme.style(Role::Strong));
        vec![Span::styled(format!(" {key} "), style), self.span(format!("{name} "), Role::Faint)]
    }
}

/// Something on the left, and something on the right that covers it where both do not fit.
fn two_sided(frame: &mut Frame<'_>, area: Rect, left: Vec<Span<'_>>, right: Vec<Span<'_>>) {
    let right = Line::from(right);
    let wide = u16::try_from(right.width()).unwrap_or(u16::MAX).min(area.width);
    frame.render_widget(Paragraph::new(Line::from(left)), area);
    let place = Rect { x: area.x + area.width - wide, width: wide, ..area };
    frame.render_widget(ratatui::widgets::Clear, place);
    frame.render_widget(Paragraph::new(right), place);
}
