//! Every VM, and the chosen one in detail.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::widgets::{show_lines, sparkline};
use super::{Scene, chart};
use crate::tui::format::{self, UNKNOWN, duration, since};
use crate::tui::history::{Point, column_ends};
use crate::tui::rows::Row;
use crate::tui::theme::{Role, of_status};

/// Columns left of the chart.
const AXIS: u16 = 5;

impl Scene<'_> {
    pub(super) fn instances(&self, frame: &mut Frame<'_>, area: Rect) {
        let chosen = self.rows.get(self.model.chosen_index(&self.rows));
        match chosen {
            Some(row) if self.model.opened => self.detail(frame, area, row),
            Some(row) if area.height >= 20 => {
                let detail = (area.height / 2).clamp(11, 26);
                let [table, detail] =
                    Layout::vertical([Constraint::Min(4), Constraint::Length(detail)]).areas(area);
                self.table(frame, table);
                self.detail(frame, detail, row);
            }
            _ => self.table(frame, area),
        }
    }

    fn detail(&self, frame: &mut Frame<'_>, area: Rect, row: &Row<'_>) {
        let note = if self.model.opened { "Esc goes back" } else { "Enter opens it full size" };
        let inner = self.panel(frame, area, row.id.as_str(), note);
        let halves = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(1);
        // Full size in a narrow window: the words get all of its width.
        let words_above = self.model.opened && inner.width < 100;
        let [beside, _] = halves.areas(inner);
        let width = if words_above { inner.width } else { beside.width };
        let mut lines = self.curves(row, width);
        lines.extend(self.words(row, usize::from(width)));
        let used = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(1);
        show_lines(frame, Rect { width, ..inner }, lines);
        let below = Rect {
            y: inner.y.saturating_add(used),
            height: inner.height.saturating_sub(used),
            ..inner
        };
        let [chart, beside_chart] = halves.areas(below);
        self.cpu_chart(frame, chart, row);
        let [_, right] = halves.areas(inner);
        self.what_happened(frame, if words_above { beside_chart } else { right }, row);
    }

    /// CPU, memory and requests of the last minute.
    fn curves(&self, row: &Row<'_>, width: u16) -> Vec<Line<'static>> {
        let place = row.report.map(|report| format!("pid {}  {}", report.pid, report.address));
        let age = row.age.map(|age| format!("  up {}", duration(age))).unwrap_or_default();
        let kind = row.instance_type().unwrap_or(UNKNOWN);
        let mut lines = vec![Line::from(vec![
            self.span(format!("{} {}  ", row.status.glyph(), row.status), of_status(row.status)),
            self.span(
                format::cut(
                    &format!("{kind}  {}{age}", place.unwrap_or_default()),
                    usize::from(width).saturating_sub(12),
                ),
                Role::Text,
            ),
        ])];
        let columns = usize::from(width).saturating_sub(16).min(60);
        let late = self.data.known.late_after();
        let ends = column_ends(self.data.now, Duration::from_mins(1), columns);
        let points = row.track.map(|track| track.sampled(&ends, late).collect::<Vec<_>>());
        let points = points.unwrap_or_default();
        let curve = |of: fn(&Point) -> f64| {
            points.iter().map(|point| point.as_ref().map(of)).collect::<Vec<_>>()
        };
        let memory = curve(|point| point.memory as f64);
        let most = memory.iter().flatten().copied().fold(1.0, f64::max);
        let flight = curve(|point| f64::from(point.in_flight));
        let busiest = flight.iter().flatten().copied().fold(1.0, f64::max);
        let known = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
        let figures = [
            ("cpu", known(row.cpu().map(format::percent)), sparkline(&curve(|p| p.cpu), 1.0)),
            (
                "memory",
                known(row.report.map(|report| format::bytes(report.load.memory_bytes))),
                sparkline(&memory, most * 1.25),
            ),
            (
                "in flight",
                known(row.in_flight().map(|number| number.to_string())),
                sparkline(&flight, busiest),
            ),
        ];
        lines.extend(figures.into_iter().map(|(name, value, curve)| {
            Line::from(vec![
                self.span(format!("{name:<9} "), Role::Faint),
                self.span(format!("{value:>5} "), Role::Text),
                self.span(curve, Role::Accent),
            ])
        }));
        lines
    }

    fn words(&self, row: &Row<'_>, width: usize) -> Vec<Line<'static>> {
        let short = |text: &str| format::cut(text, width.saturating_sub(9));
        let mut lines = Vec::new();
        let due = duration(self.data.known.report_every);
        if let Some(silent) = row.silent_for {
            let text = format!("{} ago, due every {due}", duration(silent));
            lines.push(self.labelled("reported", text, Role::Text));
        }
        if let Some(report) = row.report {
            let served = &report.served;
            let mut text = format!("{} answered, {} failed", served.requests, served.failures);
            if let Some(rate) = row.rate() {
                text = format!("{text}, {} per second", format::rate(rate));
            }
            lines.push(self.labelled("served", short(&text), Role::Text));
            if let Some(credits) = report.load.cpu_credits {
                lines.push(self.labelled("credits", format!("{credits:.1} left"), Role::Text));
            }
        }
        let rotation = row.target.map(|target| {
            let word = if target.in_rotation { "in rotation" } else { "out of rotation" };
            format!("{word}: {}, p95 {}", target.reason, format::milliseconds(target.p95_ms))
        });
        let role = if row.target.is_some_and(|t| !t.in_rotation) { Role::Warn } else { Role::Text };
        let rotation = rotation.unwrap_or_else(|| "the balancer does not know it".to_owned());
        lines.push(self.labelled("balancer", short(&rotation), role));
        if let Some(order) = row.order {
            let by = order.by.as_deref().unwrap_or("somebody");
            let ago = order.since.map(|at| format!(" {} ago", duration(since(self.data.now, at))));
            let why = order.reason.as_deref().unwrap_or("no reason given");
            let text = format!("{} by {by}{}: {why}", order.action, ago.unwrap_or_default());
            lines.push(self.labelled("wanted", short(&text), Role::Text));
        }
        if !row.note.is_empty() {
            lines.push(self.labelled("note", short(&row.note), Role::Warn));
        }
        lines
    }

    fn cpu_chart(&self, frame: &mut Frame<'_>, area: Rect, row: &Row<'_>) {
        let Some(track) = row.track.filter(|_| area.height >= 4 && area.width > AXIS + 8) else {
            return;
        };
        let plot = Rect { x: area.x + AXIS, width: area.width - AXIS, ..area };
        let window = self.model.window();
        let columns = chart::resolution(plot.width, self.theme.symbols);
        let late = self.data.known.late_after();
        let ends = column_ends(self.data.now, window, columns);
        let values = track.sampled(&ends, late).map(|p| p.map(|p| p.cpu)).collect::<Vec<_>>();
        let labels = (0..area.height).map(|y| {
            let label = match y {
                0 => "100%",
                y if y == area.height - 1 => "  0%",
                _ => "    ",
            };
            Line::from(self.span(format!("{label}│"), Role::Faint))
        });
        show_lines(frame, area, labels.collect());
        let guides = (self.marks.as_slice(), self.theme.style(Role::Warn));
        let style = self.theme.style(Role::Accent);
        chart::draw(frame.buffer_mut(), plot, &values, guides, style, self.theme.symbols);
    }

    /// Its last events and requests.
    fn what_happened(&self, frame: &mut Frame<'_>, area: Rect, row: &Row<'_>) {
        let width = usize::from(area.width);
        let half = usize::from(area.height) / 2;
        let mut lines = vec![Line::from(self.span("What happened to it", Role::Strong))];
        let own = |event: &&crate::state::events::Event| event.vm.as_ref() == Some(row.id);
        let events = self.data.events.iter().rev().filter(own).take(half.saturating_sub(1));
        lines.extend(events.map(|event| self.event_line(event, width)));
        if lines.len() == 1 {
            lines.push(Line::from(self.span("nothing that is known here", Role::Faint)));
        }
        lines.push(Line::from(self.span("What it answered", Role::Strong)));
        let before = lines.len();
        let answered = self.data.requests.iter().rev().filter(|m| m.vm.as_ref() == Some(row.id));
        lines.extend(answered.take(half).map(|metric| {
            let at = format::clock(metric.at, &self.data.known.zone);
            let took = format::milliseconds(metric.wall_us as f64 / 1000.0);
            let size = metric.width.zip(metric.height).map(|(w, h)| format!("{w}x{h}"));
            let size = size.filter(|_| width >= 44).unwrap_or_default();
            let text = format!("{:<9} {:>4} {took:>7} {size:>10}", metric.workload, metric.status);
            Line::from(vec![
                self.span(format!("{at} "), Role::Faint),
                self.span(text, if metric.status >= 500 { Role::Bad } else { Role::Text }),
            ])
        }));
        if lines.len() == before {
            lines.push(Line::from(self.span("nothing yet", Role::Faint)));
        }
        show_lines(frame, area, lines);
    }
}
