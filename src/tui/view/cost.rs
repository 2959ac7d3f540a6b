//! What the cluster costs: live, per VM, and beside a fleet of fixed size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::Scene;
use super::widgets::show_lines;
use crate::tui::cost::{Bill, bill};
use crate::tui::format::{self, UNKNOWN, dollars, duration, percent};
use crate::tui::theme::Role;

impl Scene<'_> {
    pub(super) fn cost(&self, frame: &mut Frame<'_>, area: Rect) {
        let bill = bill(self.data);
        let [top, bottom] =
            Layout::vertical([Constraint::Length(11), Constraint::Min(4)]).areas(area);
        self.spent(frame, top, &bill);
        self.per_instance(frame, bottom, &bill);
    }

    fn spent(&self, frame: &mut Frame<'_>, area: Rect, bill: &Bill<'_>) {
        let inner = self.panel(frame, area, "Cost", "by the second, at the price of the type");
        let hourly = format!("{}/h now", dollars(bill.hourly));
        let month = format!("{} in 30 days at this rate", dollars(bill.hourly * 24.0 * 30.0));
        let per_thousand = bill
            .per_thousand()
            .map(|cost| format!("   {} per 1000 requests", dollars(cost)))
            .unwrap_or_default();
        let spent = format!("{} spent", dollars(bill.total));
        let mut lines = vec![
            Line::from(vec![self.span(spent, Role::Strong), self.span(per_thousand, Role::Text)]),
            Line::from(self.span(format!("{hourly}   {month}"), Role::Text)),
            Line::default(),
        ];
        let most = bill.fixed.iter().map(|(_, cost)| *cost).fold(bill.total, f64::max);
        let fleets = std::iter::once(("this run".to_owned(), bill.total, Role::Accent)).chain(
            bill.fixed.iter().map(|(size, cost)| {
                let name = format!("{} always on", format::count(*size as usize, "VM"));
                (name, *cost, Role::Faint)
            }),
        );
        for (name, cost, role) in fleets {
            let mut spans = vec![self.span(format!("{name:<18}"), Role::Text)];
            let share = if most > 0.0 { cost / most } else { 0.0 };
            let bar = usize::from(inner.width).saturating_sub(32).min(60);
            spans.extend(self.bar(share, bar, role));
            spans.push(self.span(format!("  {}", dollars(cost)), Role::Text));
            lines.push(Line::from(spans));
        }
        lines.push(Line::default());
        if let Some((idle, booting)) = bill.wasted {
            let text = format!(
                "{} of the paid time was below 30% cpu · {} was booting",
                percent(idle),
                percent(booting)
            );
            lines.push(Line::from(self.span(text, Role::Text)));
        }
        lines.push(Line::from(self.span(bill.caveat.clone(), Role::Faint)));
        show_lines(frame, inner, lines);
    }

    fn per_instance(&self, frame: &mut Frame<'_>, area: Rect, bill: &Bill<'_>) {
        let inner = self.panel(frame, area, "Per instance", "");
        let heading = format!(
            "{:<12}{:<10}{:>9}{:>9}{:>10}{:>9}{:>10}{:>6}",
            "id", "type", "price/h", "billed", "cost", "served", "per 1000", "used"
        );
        let mut lines = vec![Line::from(self.span(heading, Role::Faint))];
        for item in &bill.items {
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
            lines.push(Line::from(
                self.span(text, if item.gone { Role::Faint } else { Role::Text }),
            ));
        }
        if bill.items.is_empty() {
            lines.push(Line::from(self.span("no VM has run yet", Role::Faint)));
        }
        show_lines(frame, inner, lines);
    }
}
