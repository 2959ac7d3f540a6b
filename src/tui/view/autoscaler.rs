//! Load, decisions and fleet on one axis of time; why each decision was made; when the next may be.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::widgets::show_lines;
use super::{Scene, chart};
use crate::domain::decision::Check;
use crate::tui::acts::{self, Act};
use crate::tui::data::{Decided, Seen};
use crate::tui::format::{self, clock, duration, percent, since};
use crate::tui::history::column_of;
use crate::tui::model::WINDOWS;
use crate::tui::scaler;
use crate::tui::theme::{Role, Symbols, of_cpu};
use crate::tui::verdict::mean_cpu;

/// Columns left of a chart: `100%│`.
const AXIS: u16 = 5;

impl Scene<'_> {
    pub(super) fn autoscaler(&self, frame: &mut Frame<'_>, area: Rect) {
        let chart = if area.height >= 30 { 12 } else { 0 };
        let why = match area.height {
            34.. => 15,
            16.. => 9,
            _ => 0,
        };
        let [top, middle, bottom] = Layout::vertical([
            Constraint::Length(chart),
            Constraint::Min(4),
            Constraint::Length(why),
        ])
        .areas(area);
        if self.model.opened {
            let act = self.model.acts();
            let index = self.model.chosen_act(&act);
            self.why(frame, area, act.get(index));
            return;
        }
        if chart > 0 {
            self.timeline(frame, top);
        }
        let acts = self.model.acts();
        self.decisions(frame, middle, &acts);
        if why > 0 {
            self.why(frame, bottom, acts.get(self.model.chosen_act(&acts)));
        }
    }

    /// Mean CPU against its target; under it what moved the fleet, and its size.
    pub(super) fn timeline(&self, frame: &mut Frame<'_>, area: Rect) {
        let window = self.model.window();
        let marks = scaler::marks_text(&self.marks);
        let marks = marks.map(|text| format!("{text} · ")).unwrap_or_default();
        let note = format!("mean of running · {marks}{}", minutes(window));
        let inner = self.panel(frame, area, "Fleet cpu", &note);
        if inner.width < AXIS + 10 || inner.height < 6 {
            return;
        }
        let plot = Rect {
            x: inner.x + AXIS,
            width: inner.width - AXIS,
            height: inner.height - 3,
            ..inner
        };
        let symbols = self.theme.symbols;
        let columns = chart::resolution(plot.width, symbols);
        let fleet =
            self.data.history.fleet(self.data.now, window, columns, self.data.known.late_after());
        let values = fleet.iter().map(|column| column.cpu).collect::<Vec<_>>();
        let guides = (self.marks.as_slice(), self.theme.style(Role::Warn));
        let style = self.theme.style(Role::Accent);
        self.axis(frame, inner, plot.height);
        chart::draw(frame.buffer_mut(), plot, &values, guides, style, symbols);
        let strip = |y| Rect { y: plot.y + plot.height + y, height: 1, ..inner };
        show_lines(frame, strip(0), vec![self.time_axis(plot.width)]);
        show_lines(frame, strip(1), vec![self.acts_strip(plot.width)]);
        let across = if symbols == Symbols::Braille { 2 } else { 1 };
        let running = fleet.iter().skip(across - 1).step_by(across).map(|column| column.running);
        show_lines(frame, strip(2), vec![self.size_strip(running)]);
    }

    fn axis(&self, frame: &mut Frame<'_>, area: Rect, height: u16) {
        let lines = (0..height).map(|y| {
            let label = match y {
                0 => "100%",
                y if y == height - 1 => "  0%",
                y if y == height / 2 && height % 2 == 1 => " 50%",
                _ => "    ",
            };
            Line::from(self.span(format!("{label}│"), Role::Faint))
        });
        show_lines(frame, area, lines.collect());
    }

    fn time_axis(&self, width: u16) -> Line<'static> {
        let window = self.model.window();
        let width = usize::from(width);
        let (left, middle) = (format!("-{}", minutes(window)), format!("-{}", minutes(window / 2)));
        let half = width / 2;
        let first = format!("{left:<half$}");
        let rest = format!("{middle:<0$}", width.saturating_sub(half + 3));
        Line::from(self.span(format!("     {first}{rest}now"), Role::Faint))
    }

    /// What moved the fleet, each at its time.
    fn acts_strip(&self, width: u16) -> Line<'static> {
        let width = usize::from(width);
        let mut signs: Vec<Option<(&'static str, Role)>> = vec![None; width];
        for act in acts::acts(self.data, false).iter().rev() {
            let column = column_of(self.data.now, self.model.window(), width, act.at());
            if let Some(cell) = column.and_then(|column| signs.get_mut(column)) {
                *cell = Some((act.sign().0, role_of(act)));
            }
        }
        let mut spans = vec![self.span("acts ", Role::Faint)];
        spans.extend(signs.into_iter().map(|sign| match sign {
            Some((sign, role)) => self.span(sign, role),
            None => Span::raw(" "),
        }));
        Line::from(spans)
    }

    /// The number of VMs that ran, a digit per column; its tens where there are more than nine.
    fn size_strip(&self, running: impl Iterator<Item = usize>) -> Line<'static> {
        let digits = running.map(|running| match running {
            0 => ' ',
            1..=9 => char::from_digit(u32::try_from(running).unwrap_or(9), 10).unwrap_or('9'),
            _ => '+',
        });
        let text = format!("size {}", digits.collect::<String>());
        Line::from(self.span(text, Role::Faint))
    }

    /// What it did last and why, where the load lies, and what may come next.
    pub(super) fn scaler_panel(&self, frame: &mut Frame<'_>, area: Rect) {
        let inner = self.panel(frame, area, "Autoscaler", &scaler::bounds(self.data));
        let width = usize::from(inner.width);
        let acts = acts::acts(self.data, true);
        let mut lines = Vec::new();
        if let Some(act) = acts.iter().find(|act| matches!(act, Act::Decision { .. })) {
            let moved = acts.iter().find(|act| act.moved() && matches!(act, Act::Decision { .. }));
            lines.push(self.did(act));
            let moved = moved.filter(|moved| moved.at() != act.at());
            // The other lines: what it did, what before, the gauge, what next.
            let others = 3 + usize::from(moved.is_some());
            let room = usize::from(inner.height).saturating_sub(others).max(1);
            lines.extend(self.because(reason(act), width, room));
            if let Some(moved) = moved {
                let ago = duration(since(self.data.now, moved.at()));
                let text = format!("{} {} ago: {}", did_words(moved), ago, reason(moved));
                lines.push(self.labelled(
                    "before",
                    format::cut(&text, width.saturating_sub(9)),
                    Role::Faint,
                ));
            }
        } else {
            lines.push(Line::from(self.span("no decision yet", Role::Faint)));
        }
        lines.push(self.gauge(width));
        lines.push(self.labelled("next", scaler::next(self.data), Role::Text));
        show_lines(frame, inner, lines);
    }

    /// A reason in so many lines, the last of them cut.
    fn because(&self, reason: &str, width: usize, most: usize) -> Vec<Line<'static>> {
        let room = width.saturating_sub(9).max(1);
        let mut words = format::wrap(reason, room);
        if words.len() > most {
            let last = words.split_off(most - 1).join(" ");
            words.push(format::cut(&last, room));
        }
        let labels = std::iter::once("because").chain(std::iter::repeat(""));
        let lines = labels.zip(words);
        lines.map(|(label, words)| self.labelled(label, words, Role::Text)).collect()
    }

    fn did(&self, act: &Act<'_>) -> Line<'static> {
        let ago = duration(since(self.data.now, act.at()));
        Line::from(vec![
            self.span(format!("{} ", did_words(act)), role_of(act)),
            self.span(format!("{ago} ago"), Role::Faint),
        ])
    }

    /// Where the mean lies between nothing and all, with what the policy goes by marked.
    fn gauge(&self, width: usize) -> Line<'static> {
        let mean = mean_cpu(&crate::tui::rows::rows(self.data));
        let length = width.saturating_sub(9 + 6).clamp(4, 60);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below length")]
        let at = |share: f64| ((share * length as f64) as usize).min(length - 1);
        let mut spans = vec![self.span("cpu      ", Role::Faint)];
        for x in 0..length {
            spans.push(match mean {
                Some(mean) if x == at(mean) => self.span("◆", of_cpu(mean, &self.marks)),
                _ if self.marks.iter().any(|mark| x == at(*mark)) => self.span("┤", Role::Warn),
                _ => self.span("─", Role::Faint),
            });
        }
        let role = mean.map_or(Role::Faint, |mean| of_cpu(mean, &self.marks));
        let text = mean.map_or_else(|| format::UNKNOWN.to_owned(), percent);
        spans.push(self.span(format!(" {text:>4}"), role));
        Line::from(spans)
    }

    fn decisions(&self, frame: &mut Frame<'_>, area: Rect, acts: &[Act<'_>]) {
        let holds = if self.model.holds { "" } else { " · holds hidden" };
        let note = format!("{}{holds}", scaler::next(self.data));
        let inner = self.panel(frame, area, "Decisions", &note);
        let (width, height) = (usize::from(inner.width), usize::from(inner.height));
        if height < 2 {
            return;
        }
        let mut lines =
            vec![Line::from(self.span("at        did     size   because", Role::Faint))];
        let chosen = self.model.chosen_act(acts);
        let first = (chosen + 2).saturating_sub(height);
        for (index, act) in acts.iter().enumerate().skip(first).take(height - 1) {
            let line = self.decision_line(act, width);
            let style = self.theme.style(Role::Chosen);
            lines.push(if index == chosen { line.style(style) } else { line });
        }
        if acts.is_empty() {
            lines.push(Line::from(self.span("nothing has been decided yet", Role::Faint)));
        }
        show_lines(frame, inner, lines);
    }

    fn decision_line(&self, act: &Act<'_>, width: usize) -> Line<'static> {
        let (sign, word) = act.sign();
        let quiet = if act.moved() { Role::Text } else { Role::Faint };
        let size = match act {
            Act::Decision { decided, .. } => size(decided),
            Act::Event(event) => event.vm.as_ref().map(ToString::to_string).unwrap_or_default(),
        };
        let folded = match act {
            Act::Decision { folded: 2.., .. } => format!(" (×{})", folds(act)),
            _ => String::new(),
        };
        let text = format::cut(reason(act), width.saturating_sub(25 + format::columns(&folded)));
        Line::from(vec![
            self.span(format!("{}  ", clock(act.at(), &self.data.known.zone)), Role::Faint),
            self.span(format!("{sign} {word:<5} "), role_of(act)),
            self.span(format!("{size:<6} "), quiet),
            self.span(text, quiet),
            self.span(folded, Role::Faint),
        ])
    }

    /// A decision with the numbers that it was made from.
    fn why(&self, frame: &mut Frame<'_>, area: Rect, act: Option<&Act<'_>>) {
        let inner = self.panel(frame, area, "Why", "what the decision was made from");
        let width = usize::from(inner.width);
        let mut lines = Vec::new();
        match act {
            None => lines.push(Line::from(self.span("nothing has been decided yet", Role::Faint))),
            Some(Act::Event(event)) => {
                let at = clock(event.at, &self.data.known.zone);
                let text = format!("{at}  {} by {}", event.kind, event.role);
                lines.push(Line::from(self.span(text, Role::Strong)));
                lines.extend(self.wrapped(&event.detail, width));
            }
            Some(act @ Act::Decision { decided, folded, since: first }) => {
                let zone = &self.data.known.zone;
                let mut head = format!("{}  {}", clock(decided.at, zone), did_words(act));
                if *folded > 1 {
                    let first = clock(*first, zone);
                    head = format!("{head}, the last of {folded} in a row since {first}");
                }
                lines.push(Line::from(self.span(format::cut(&head, width), Role::Strong)));
                lines.extend(self.wrapped(&decided.reason, width));
                lines.extend(decided.seen.as_ref().map(|seen| self.fleet_then(seen)));
                let said = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(inner.height);
                let [above, below] =
                    Layout::vertical([Constraint::Length(said), Constraint::Min(0)]).areas(inner);
                show_lines(frame, above, lines);
                self.show_checks(frame, below, decided);
                return;
            }
        }
        show_lines(frame, inner, lines);
    }

    /// Side by side where there is more room across than down.
    fn show_checks(&self, frame: &mut Frame<'_>, area: Rect, decided: &Decided) {
        /// A check with its numbers is hardly ever wider.
        const COLUMN: u16 = 58;
        let mut lines = self.checks(decided);
        let height = usize::from(area.height);
        if lines.len() > height && area.width >= 2 * COLUMN {
            let rest = lines.split_off(height);
            let [left, right] =
                Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
            show_lines(frame, left, lines);
            show_lines(frame, right, rest);
        } else {
            show_lines(frame, area, lines);
        }
    }

    pub(super) fn wrapped(&self, text: &str, width: usize) -> Vec<Line<'static>> {
        format::wrap(text, width.saturating_sub(2))
            .into_iter()
            .map(|line| Line::from(self.span(format!("  {line}"), Role::Text)))
            .collect()
    }

    /// Each number that the decision was made from, with what it was held against.
    fn checks(&self, decided: &Decided) -> Vec<Line<'static>> {
        let names = decided.checks.iter().map(|check| format::columns(&check.name));
        let widest = names.max().unwrap_or(0);
        let mut lines = decided.checks.iter().map(|c| self.check(c, widest)).collect::<Vec<_>>();
        if lines.is_empty() {
            let text =
                "  · its numbers are no longer in ASState.xml, which keeps the last decisions";
            lines.push(Line::from(self.span(text, Role::Faint)));
        }
        lines
    }

    /// The fleet and its work, as the decision saw them.
    fn fleet_then(&self, seen: &Seen) -> Line<'static> {
        let mut text = format!(
            "  {} running, {} booting, {} draining",
            seen.running, seen.booting, seen.draining
        );
        if let Some(load) = seen.offered_load {
            text = format!("{text}; work for {load:.2} vCPUs arrives");
        }
        if let Some(queue) = seen.queue_seconds {
            text = format!("{text}, {queue:.1} s wait");
        }
        Line::from(self.span(text, Role::Faint))
    }

    fn check(&self, check: &Check, widest: usize) -> Line<'static> {
        let (sign, role) = match check.holds {
            Some(true) => ("✓", Role::Good),
            Some(false) => ("✗", Role::Faint),
            None => ("·", Role::Faint),
        };
        let limit = check.limit.map(|limit| format!("  against {limit}")).unwrap_or_default();
        Line::from(vec![
            self.span(format!("  {sign} "), role),
            self.span(format!("{:<widest$}", check.name), Role::Faint),
            self.span(format!("  {}", check.value), Role::Text),
            self.span(limit, Role::Faint),
        ])
    }
}

/// `10m`, `30s` for an axis.
pub(super) fn minutes(time: std::time::Duration) -> String {
    let seconds = time.as_secs();
    if seconds.is_multiple_of(60) { format!("{}m", seconds / 60) } else { duration(time) }
}

/// `OUT 3→4`, `hold 4`.
fn did_words(act: &Act<'_>) -> String {
    match act {
        Act::Decision { decided, .. } => format!("{} {}", act.sign().1, size(decided)),
        Act::Event(event) => act.sign().1.to_owned() + " " + &event.detail,
    }
}

fn size(decided: &Decided) -> String {
    match decided.from {
        Some(from) if from != decided.to => format!("{from}→{}", decided.to),
        _ => decided.to.to_string(),
    }
}

fn reason<'a>(act: &Act<'a>) -> &'a str {
    match act {
        Act::Decision { decided, .. } => &decided.reason,
        Act::Event(event) => &event.detail,
    }
}

fn folds(act: &Act<'_>) -> usize {
    match act {
        Act::Decision { folded, .. } => *folded,
        Act::Event(_) => 1,
    }
}

fn role_of(act: &Act<'_>) -> Role {
    match act.sign().1 {
        "OUT" | "IN" => Role::Warn,
        "YOU" => Role::Leaving,
        "LOST" | "FAULT" => Role::Bad,
        _ => Role::Faint,
    }
}

/// The longest window is as long as the history: a chart never shows what was never kept.
const _: () = assert!(WINDOWS[WINDOWS.len() - 1].as_secs() == crate::tui::history::KEPT.as_secs());
