//! What the cluster costs: live, per VM and per function, and beside a fleet of fixed size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::Scene;
use super::widgets::show_lines;
use crate::state::function_state::FunctionReport;
use crate::tui::cost::{Bill, Item, bill};
use crate::tui::format::{self, UNKNOWN, dollars, duration, percent};
use crate::tui::functions;
use crate::tui::theme::Role;

impl Scene<'_> {
    pub(super) fn cost(&self, frame: &mut Frame<'_>, area: Rect) {
        let bill = bill(self.data);
        let spent = self.spent(&bill, area.width);
        let height = |lines: usize| u16::try_from(lines).unwrap_or(u16::MAX).saturating_add(2);
        let reports = functions::reports(self.data);
        // Frame, heading and rows; the VMs, which can be scrolled, give way as far as two of them.
        let left = area.height.saturating_sub(height(spent.len()));
        let below = if reports.is_empty() {
            0
        } else {
            height(reports.len() + 1).min(left.saturating_sub(5))
        };
        let [top, middle, bottom] = Layout::vertical([
            Constraint::Length(height(spent.len())),
            Constraint::Min(0),
            Constraint::Length(below),
        ])
        .areas(area);
        let inner = self.panel(frame, top, "Cost", "by the second, at the price of the type");
        show_lines(frame, inner, spent);
        self.per_instance(frame, middle, &bill);
        if below > 0 {
            self.per_function(frame, bottom, reports);
        }
    }

    fn spent(&self, bill: &Bill<'_>, width: u16) -> Vec<Line<'static>> {
        let per_thousand = |cost: Option<f64>| {
            let text = cost.map(|cost| format!("   {} per 1000 requests", dollars(cost)));
            self.span(text.unwrap_or_default(), Role::Text)
        };
        let hourly = format!("{} an hour", dollars(bill.hourly));
        let month = format!("   {} in 30 days", dollars(bill.hourly * 24.0 * 30.0));
        let mut lines = vec![
            Line::from(vec![
                self.span(format!("spent     {}", dollars(bill.total)), Role::Strong),
                per_thousand(bill.per_thousand()),
            ]),
            Line::from(vec![
                self.span(format!("now       {hourly}"), Role::Strong),
                per_thousand(bill.per_thousand_now),
                self.span(month, Role::Text),
            ]),
        ];
        if let Some(sum) = functions::sum(self.data) {
            let (bill, without) = (sum.usage.price(), sum.usage.list_price());
            let text = format!(" this month   {} without the free tier", dollars(without));
            lines.push(Line::from(vec![
                self.span(format!("functions {}", dollars(bill)), Role::Strong),
                self.span(text, Role::Text),
            ]));
        }
        lines.extend(self.fleets(bill, width));
        if let Some((idle, booting)) = bill.wasted {
            let text = format!(
                "{} of the paid time was below 30% cpu · {} was booting",
                percent(idle),
                percent(booting)
            );
            lines.push(Line::from(self.span(text, Role::Text)));
        }
        lines.push(Line::from(self.span(bill.caveat.clone(), Role::Faint)));
        lines
    }

    /// This run beside fleets of a fixed size.
    fn fleets(&self, bill: &Bill<'_>, width: u16) -> Vec<Line<'static>> {
        let most = bill.fixed.iter().map(|(_, cost)| *cost).fold(bill.total, f64::max);
        let fleets = std::iter::once(("this run".to_owned(), bill.total, Role::Accent)).chain(
            bill.fixed.iter().map(|(size, cost)| {
                let name = format!("{} always on", format::count(*size as usize, "VM"));
                (name, *cost, Role::Faint)
            }),
        );
        let bar = usize::from(width).saturating_sub(34).min(60);
        fleets
            .map(|(name, cost, role)| {
                let mut spans = vec![self.span(format!("{name:<18}"), Role::Text)];
                let share = if most > 0.0 { cost / most } else { 0.0 };
                spans.extend(self.bar(share, bar, role));
                spans.push(self.span(format!("  {}", dollars(cost)), Role::Text));
                Line::from(spans)
            })
            .collect()
    }

    fn per_instance(&self, frame: &mut Frame<'_>, area: Rect, bill: &Bill<'_>) {
        let height = usize::from(area.height.saturating_sub(3));
        let all = bill.items.len();
        let first = self.model.places.cost.min(all.saturating_sub(height));
        let last = (first + height).min(all);
        let note = if height < all {
            format!("{}–{last} of {all} · ↑↓", first + 1)
        } else {
            String::new()
        };
        let inner = self.panel(frame, area, "Per instance", &note);
        let heading = format!(
            "{:<12}{:<10}{:>9}{:>9}{:>10}{:>9}{:>10}{:>6}",
            "id", "type", "price/h", "billed", "cost", "served", "per 1000", "used"
        );
        let mut lines = vec![Line::from(self.span(heading, Role::Faint))];
        lines.extend(bill.items.iter().skip(first).map(|item| self.instance_line(item)));
        if bill.items.is_empty() {
            lines.push(Line::from(self.span("no VM has run yet", Role::Faint)));
        }
        show_lines(frame, inner, lines);
    }

    fn instance_line(&self, item: &Item<'_>) -> Line<'static> {
        let known = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
        let name = if item.gone { format!("{} gone", item.id) } else { item.id.to_string() };
        let per = item.cost.filter(|_| item.served > 0);
        let text = format!(
            "{name:<12}{:<10}{:>9}{:>9}{:>10}{:>9}{:>10}{:>6}",
            item.instance_type,
            known(item.price.map(dollars)),
            duration(item.billed),
            known(item.cost.map(dollars)),
            item.served,
            known(per.map(|cost| dollars(cost / item.served as f64 * 1000.0))),
            known(item.used.map(percent)),
        );
        Line::from(self.span(text, if item.gone { Role::Faint } else { Role::Text }))
    }

    fn per_function(&self, frame: &mut Frame<'_>, area: Rect, reports: &[FunctionReport]) {
        let inner = self.panel(frame, area, "Per function", "of this month");
        let heading = format!(
            "{:<12}{:>7}{:>6}{:>10}{:>6}{:>11}{:>8}{:>8}{:>10}",
            "name", "running", "warm", "answered", "cold", "throttled", "errors", "GB·s", "cost"
        );
        let mut lines = vec![Line::from(self.span(heading, Role::Faint))];
        lines.extend(reports.iter().map(|report| {
            let (counts, usage) = (report.counts, report.usage);
            let text = format!(
                "{:<12}{:>7}{:>6}{:>10}{:>6}",
                format::cut(report.name.as_str(), 11),
                report.running,
                report.warm,
                usage.requests,
                counts.cold_starts,
            );
            let trouble = |number: u64| if number > 0 { Role::Warn } else { Role::Faint };
            let (gb_seconds, cost) = (usage.gb_seconds, dollars(usage.list_price()));
            Line::from(vec![
                self.span(text, Role::Text),
                self.span(format!("{:>11}", counts.throttled), trouble(counts.throttled)),
                self.span(format!("{:>8}", counts.errors), trouble(counts.errors)),
                self.span(format!("{gb_seconds:>8.1}{cost:>10}"), Role::Text),
            ])
        }));
        show_lines(frame, inner, lines);
    }
}
