//! What lies over the screen: help, palette, menu, and the questions before something is done.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::Scene;
use super::widgets::show_lines;
use crate::operator::Fault;
use crate::state::as_state::VmOrder;
use crate::tui::dialogs::{MENU, named, offers};
use crate::tui::format;
use crate::tui::keys::{BINDINGS, Group, Reach, arguments, binding};
use crate::tui::model::{Dialog, Target, Wish};
use crate::tui::rows::{Row, Status, rows};
use crate::tui::theme::{Role, of_status};
use crate::units::Share;

impl Scene<'_> {
    pub(super) fn dialog(&self, frame: &mut Frame<'_>, area: Rect) {
        match &self.model.dialog {
            None | Some(Dialog::Filter { .. }) => {}
            Some(Dialog::Help { top }) => self.help(frame, area, *top),
            Some(Dialog::Palette { input, index }) => self.palette(frame, area, input, *index),
            Some(Dialog::Menu { target, index }) => self.menu(frame, area, target, *index),
            Some(Dialog::Confirm(wish)) => self.confirm(frame, area, wish),
            Some(Dialog::Fire { volley, field }) => self.fire(frame, area, *volley, *field),
            Some(Dialog::Policy { input }) => self.policy(frame, area, input),
            Some(Dialog::Leave) => self.leave(frame, area),
        }
    }

    fn help(&self, frame: &mut Frame<'_>, area: Rect, top: usize) {
        let inner =
            self.window(frame, area, (96, 36), "Help", "what works on this screen is bright");
        let mut lines = self.keys_and_signs();
        // Two columns where there is room for both.
        if inner.width >= 84 {
            let half = lines.len().div_ceil(2);
            let right = lines.split_off(half);
            let columns = [(0, lines), (inner.width / 2, right)];
            for (x, column) in columns {
                let place = Rect { x: inner.x + x, width: inner.width / 2, ..inner };
                let top = top.min(half.saturating_sub(usize::from(inner.height)));
                show_lines(frame, place, column.into_iter().skip(top).collect());
            }
        } else {
            let top = top.min(lines.len().saturating_sub(usize::from(inner.height)));
            show_lines(frame, inner, lines.into_iter().skip(top).collect());
        }
    }

    /// Every key and what it does, and what the signs stand for.
    fn keys_and_signs(&self) -> Vec<Line<'static>> {
        let groups = [
            (Group::Act, "Act"),
            (Group::Look, "Look"),
            (Group::Move, "Move"),
            (Group::Leave, "Leave"),
        ];
        let mut lines = Vec::new();
        for (group, title) in groups {
            lines.push(Line::from(self.span(title, Role::Strong)));
            for binding in BINDINGS.iter().filter(|binding| binding.group == group) {
                let refused = self.model.options.read_only && binding.reach != Reach::Screen;
                let here = binding.applies(self.model.screen) && !refused;
                let asks = if binding.reach == Reach::Danger { " (asks)" } else { "" };
                let (key_role, role) =
                    if here { (Role::Accent, Role::Text) } else { (Role::Faint, Role::Faint) };
                let key = match self.model.rebound.shown(binding) {
                    key if key.is_empty() => format!("  :{} ", binding.name),
                    key => format!("  {key:<6}"),
                };
                lines.push(Line::from(vec![
                    self.span(key, key_role),
                    self.span(format!("{}{asks}", binding.help), role),
                ]));
            }
        }
        lines.push(Line::from(self.span("Signs", Role::Strong)));
        let states = [
            Status::Running,
            Status::Booting,
            Status::Wanted,
            Status::Draining,
            Status::Silent,
            Status::Dead,
        ];
        let signs = states.chunks(3).map(|states| {
            let sign = |status: &Status| {
                self.span(format!("{} {status}   ", status.glyph()), of_status(*status))
            };
            let indent = std::iter::once(Span::raw("  "));
            indent.chain(states.iter().map(sign)).collect::<Line<'_>>()
        });
        lines.extend(signs);
        for text in ["  ▲ more VMs   ▼ fewer   · held still", "  ◆ you   ✖ a VM was lost"]
        {
            lines.push(Line::from(self.span(text, Role::Text)));
        }
        lines
    }

    fn palette(&self, frame: &mut Frame<'_>, area: Rect, input: &str, index: usize) {
        let note = "an action, then what it is about";
        let inner = self.window(frame, area, (76, 16), "Command", note);
        let mut lines = vec![Line::from(vec![
            self.span("› ", Role::Accent),
            self.span(input.to_owned(), Role::Text),
            Span::styled(" ", Style::new().reversed()),
        ])];
        let offers = offers(self.model, input);
        let usage = offers.get(index).map_or("", |binding| arguments(binding.action));
        let usage = self.wrapped(usage, usize::from(inner.width));
        let taken = 2 + u16::try_from(usage.len()).unwrap_or(0);
        let height = usize::from(inner.height.saturating_sub(taken)).max(1);
        let first = (index + 1).saturating_sub(height);
        for (at, binding) in offers.iter().enumerate().skip(first).take(height) {
            let line = Line::from(vec![
                self.span(format!("{:<17}", binding.name), Role::Strong),
                self.span(format!("{:<6}", self.model.rebound.shown(binding)), Role::Accent),
                self.span(binding.help, Role::Faint),
            ]);
            let chosen = self.theme.style(Role::Chosen);
            lines.push(if at == index { line.style(chosen) } else { line });
        }
        if offers.is_empty() {
            lines.push(Line::from(self.span("no action is called that", Role::Warn)));
        } else {
            lines.push(Line::default());
            lines.extend(usage.into_iter().map(|line| line.style(self.theme.style(Role::Faint))));
        }
        show_lines(frame, inner, lines);
    }

    fn menu(&self, frame: &mut Frame<'_>, area: Rect, target: &Target, index: usize) {
        let height = u16::try_from(MENU.len()).unwrap_or(8) + 2;
        let inner = self.window(frame, area, (60, height), &named(target), "");
        let lines = MENU.iter().enumerate().filter_map(|(at, action)| {
            let binding = binding(*action)?;
            let refused = self.model.options.read_only && binding.reach != Reach::Screen;
            let role = if refused { Role::Faint } else { Role::Text };
            let line = Line::from(vec![
                self.span(format!(" {:<3}", self.model.rebound.shown(binding)), Role::Accent),
                self.span(binding.help, role),
            ]);
            let chosen = self.theme.style(Role::Chosen);
            Some(if at == index { line.style(chosen) } else { line })
        });
        show_lines(frame, inner, lines.collect());
    }

    /// Names the VM and its process, says what will happen, and waits for `y`.
    fn confirm(&self, frame: &mut Frame<'_>, area: Rect, wish: &Wish) {
        let (title, target, consequence) = match wish {
            Wish::Drain(target) => ("Drain and end", Some(target), self.drain_means(target)),
            Wish::Inflict(target, Fault::Kill) => {
                ("Kill -9", Some(target), self.kill_means(target))
            }
            Wish::Inflict(target, Fault::Pause) => (
                "Let it hang (SIGSTOP)",
                Some(target),
                "It stays alive and says nothing. If it stays so, it is replaced.".to_owned(),
            ),
            Wish::Inflict(target, Fault::Resume) => {
                ("Let it go on (SIGCONT)", Some(target), String::new())
            }
            Wish::Refresh(share) => ("Replace every VM?", None, self.refresh_means(*share)),
            Wish::Shrink(number) => ("Fewer VMs?", None, self.shrink_means(*number)),
            Wish::StopCluster => (
                "Stop the cluster?",
                None,
                "Every VM finishes what it has and ends; then this command ends.".to_owned(),
            ),
        };
        let title =
            target.map_or_else(|| title.to_owned(), |target| format!("{title} {}?", target.id));
        let inner = self.window(frame, area, (66, 7), &title, "y does it");
        let mut lines = Vec::new();
        if let Some(target) = target {
            let found = rows(&self.model.live);
            let row = found.iter().find(|row| row.id == &target.id);
            let place = row.and_then(|row| row.report).map(|report| report.address.clone());
            let text = format!("{}  {}", named(target), place.unwrap_or_default());
            lines.push(Line::from(self.span(text, Role::Strong)));
        }
        lines.push(Line::from(self.span(consequence, Role::Text)));
        lines.push(Line::default());
        let mut answers = vec![self.span(" no ", Role::Chosen)];
        answers.extend(self.key("n", "or Enter"));
        answers.push(Span::raw("    "));
        answers.push(self.span("yes", Role::Bad));
        answers.extend(self.key(" y", ""));
        lines.push(Line::from(answers));
        let paragraph =
            ratatui::widgets::Paragraph::new(lines).wrap(ratatui::widgets::Wrap { trim: false });
        frame.render_widget(paragraph, inner);
    }

    fn in_flight_of(&self, target: &Target) -> Option<u32> {
        let rows = rows(&self.model.live);
        rows.iter().find(|row| row.id == &target.id).and_then(Row::in_flight)
    }

    fn drain_means(&self, target: &Target) -> String {
        match self.in_flight_of(target) {
            Some(0) | None => "It gets nothing new and ends.".to_owned(),
            Some(1) => "It gets nothing new, finishes 1 request and ends.".to_owned(),
            Some(left) => format!("It gets nothing new, finishes {left} requests and ends."),
        }
    }

    fn kill_means(&self, target: &Target) -> String {
        match self.in_flight_of(target) {
            Some(0) | None => "It is gone at once, as in a crash.".to_owned(),
            Some(1) => "It is gone at once; 1 request is lost or tried elsewhere.".to_owned(),
            Some(left) => {
                format!("It is gone at once; {left} requests are lost or tried elsewhere.")
            }
        }
    }

    fn refresh_means(&self, share: Share) -> String {
        let file = self.model.live.as_state.document.as_ref();
        let replaced = |order: &&VmOrder| order.counts() && !order.protected;
        let count = file.map_or(0, |file| file.vms.iter().filter(replaced).count());
        format!(
            "{} that no protection keeps, {} of the fleet at a time: each ends once its \
             successor serves.",
            format::count(count, "VM"),
            format::percent(share.get())
        )
    }

    fn shrink_means(&self, number: u32) -> String {
        let wanted = self.model.live.as_state.document.as_ref().map_or(0, |file| file.wanted());
        match wanted.saturating_sub(number) {
            1 => format!("{number} instead of {wanted}: 1 VM finishes what it has and ends."),
            ends => {
                format!("{number} instead of {wanted}: {ends} VMs finish what they have and end.")
            }
        }
    }

    fn leave(&self, frame: &mut Frame<'_>, area: Rect) {
        let inner = self.window(frame, area, (66, 6), "Leave", "");
        let mut stop = self.key("y", "stop the cluster: every VM finishes what it has");
        stop.insert(0, Span::raw(" "));
        let mut detach = self.key("d", "leave the screen, the cluster runs on in this terminal");
        detach.insert(0, Span::raw(" "));
        let mut stay = self.key("n", "stay (also Enter, Esc)");
        stay.insert(0, Span::raw(" "));
        show_lines(frame, inner, vec![stop.into(), detach.into(), stay.into()]);
    }
}
