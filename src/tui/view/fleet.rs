//! The table of VMs. Columns that do not fit are left out in a fixed order; no word is squeezed.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::Scene;
use super::widgets::{show_lines, sparkline};
use crate::tui::format::{self, UNKNOWN};
use crate::tui::history::column_ends;
use crate::tui::model::Screen;
use crate::tui::rows::{Row, Status};
use crate::tui::theme::{Role, of_cpu, of_status};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Id,
    State,
    Type,
    Cpu,
    Bar,
    Spark,
    Memory,
    InFlight,
    Rate,
    P95,
    Served,
    Failures,
    Age,
    Address,
    Pid,
    Note,
}

/// In the order in which they stand, with their title, width, and whether numbers stand in them.
const COLUMNS: [(Column, &str, usize, bool); 16] = [
    (Column::Id, "id", 6, false),
    (Column::State, "state", 10, false),
    (Column::Type, "type", 10, false),
    (Column::Cpu, "cpu", 4, true),
    (Column::Bar, "", 10, false),
    (Column::Spark, "last minute", 12, false),
    (Column::Memory, "mem", 5, true),
    (Column::InFlight, "flight", 6, true),
    (Column::Rate, "req/s", 5, true),
    (Column::P95, "p95", 6, true),
    (Column::Served, "served", 7, true),
    (Column::Failures, "err", 4, true),
    (Column::Age, "age", 7, true),
    (Column::Address, "address", 15, false),
    (Column::Pid, "pid", 7, true),
    (Column::Note, "note", 12, false),
];

/// The first to get a place, for each screen; what a row says of trouble comes before its figures.
const ORDER_OVERVIEW: [Column; 16] = [
    Column::Id,
    Column::State,
    Column::Cpu,
    Column::InFlight,
    Column::Rate,
    Column::P95,
    Column::Failures,
    Column::Age,
    Column::Spark,
    Column::Bar,
    Column::Memory,
    Column::Note,
    Column::Type,
    Column::Served,
    Column::Pid,
    Column::Address,
];
const ORDER_INSTANCES: [Column; 16] = [
    Column::Id,
    Column::State,
    Column::Cpu,
    Column::InFlight,
    Column::Rate,
    Column::P95,
    Column::Failures,
    Column::Pid,
    Column::Age,
    Column::Type,
    Column::Memory,
    Column::Spark,
    Column::Served,
    Column::Address,
    Column::Bar,
    Column::Note,
];

/// The columns that fit, each with its width.
fn fitting(width: usize, order: &[Column]) -> Vec<(Column, &'static str, usize, bool)> {
    let shape = |column: &Column| COLUMNS.iter().find(|(other, ..)| other == column);
    let mut kept = Vec::new();
    let mut used = 0;
    for column in order.iter().filter_map(shape) {
        if used + column.2 + 1 > width {
            break;
        }
        used += column.2 + 1;
        kept.push(column.0);
    }
    let mut columns =
        COLUMNS.into_iter().filter(|(column, ..)| kept.contains(column)).collect::<Vec<_>>();
    // What is left goes to the note, else to the curve.
    for elastic in [Column::Note, Column::Spark] {
        if let Some(column) = columns.iter_mut().find(|(column, ..)| *column == elastic) {
            let most = if elastic == Column::Spark { 40 } else { 60 };
            let more = (width - used).min(most);
            column.2 += more;
            used += more;
        }
    }
    columns
}

impl Scene<'_> {
    pub(super) fn table(&self, frame: &mut Frame<'_>, area: Rect) {
        let model = self.model;
        let arrow = if model.descending { "▼" } else { "▲" };
        let mut note = format!("{} of {}", self.rows.len(), self.all);
        if !model.vm_filter.is_empty() {
            note = format!("{note} · filter: {}", model.vm_filter);
        }
        if area.width > 56 {
            note = format!("{note} · sort: {} {arrow}", model.sort.name());
        }
        let inner = self.panel(frame, area, "Instances", &note);
        if inner.height == 0 || inner.width < 4 {
            return;
        }
        let order = if model.screen == Screen::Overview { ORDER_OVERVIEW } else { ORDER_INSTANCES };
        let columns = fitting(usize::from(inner.width) - 2, &order);
        let mut lines = vec![self.heading(&columns)];
        let chosen = model.chosen_index(&self.rows);
        let height = usize::from(inner.height) - 1;
        // The chosen row is always on the screen.
        let first = (chosen + 1).saturating_sub(height);
        for (index, row) in self.rows.iter().enumerate().skip(first).take(height) {
            lines.push(self.row(row, &columns, index == chosen));
        }
        if self.rows.is_empty() {
            lines.push(Line::from(
                self.span("  no VM fits the filter · Esc clears it", Role::Faint),
            ));
        }
        show_lines(frame, inner, lines);
    }

    fn heading(&self, columns: &[(Column, &'static str, usize, bool)]) -> Line<'static> {
        let mut text = String::from("  ");
        for (_, title, width, right) in columns {
            let cell =
                if *right { format!("{title:>width$} ") } else { format!("{title:<width$} ") };
            text.push_str(&cell);
        }
        Line::from(self.span(text, Role::Faint))
    }

    fn row(
        &self,
        row: &Row<'_>,
        columns: &[(Column, &'static str, usize, bool)],
        chosen: bool,
    ) -> Line<'static> {
        let mut spans = vec![self.span(if chosen { "▌ " } else { "  " }, Role::Accent)];
        for (column, _, width, right) in columns {
            spans.extend(self.cell(row, *column, *width, *right));
            spans.push(Span::raw(" "));
        }
        let line = Line::from(spans);
        if chosen { line.style(self.theme.style(Role::Chosen)) } else { line }
    }

    fn cell(&self, row: &Row<'_>, column: Column, width: usize, right: bool) -> Vec<Span<'static>> {
        let known = |text: Option<String>| text.unwrap_or_else(|| UNKNOWN.to_owned());
        let report = row.report;
        let old = matches!(row.status, Status::Silent | Status::Dead | Status::Terminated);
        let figures = if old { Role::Faint } else { Role::Text };
        let cpu_role = match row.cpu() {
            Some(cpu) if !old => of_cpu(cpu, &self.marks),
            _ => Role::Faint,
        };
        let (text, role) = match column {
            Column::Id => (row.id.to_string(), Role::Text),
            Column::State => {
                (format!("{} {}", row.status.glyph(), row.status), of_status(row.status))
            }
            Column::Type => (known(row.instance_type().map(str::to_owned)), Role::Faint),
            Column::Cpu => (known(row.cpu().map(format::percent)), cpu_role),
            Column::Bar => return self.bar(row.cpu().unwrap_or(0.0), width, cpu_role).to_vec(),
            Column::Spark => {
                (self.last_minute(row, width), if old { Role::Faint } else { Role::Accent })
            }
            Column::Memory => {
                (known(report.map(|report| format::bytes(report.load.memory_bytes))), figures)
            }
            Column::InFlight => (known(row.in_flight().map(|n| n.to_string())), figures),
            Column::Rate => (known(row.rate().map(format::rate)), figures),
            Column::P95 => (known(row.p95().map(format::milliseconds)), figures),
            Column::Served => (known(report.map(|r| r.served.requests.to_string())), figures),
            Column::Failures => {
                let failures = report.map(|report| report.served.failures);
                let bad = failures.is_some_and(|failures| failures > 0);
                (known(failures.map(|n| n.to_string())), if bad { Role::Bad } else { Role::Faint })
            }
            Column::Age => (known(row.age.map(format::duration)), figures),
            Column::Address => (known(report.map(|report| report.address.clone())), Role::Faint),
            Column::Pid => (known(report.map(|report| report.pid.to_string())), Role::Faint),
            Column::Note => (row.note.clone(), Role::Faint),
        };
        let text = format::cut(&text, width);
        let gap = " ".repeat(width.saturating_sub(format::columns(&text)));
        let text = if right { format!("{gap}{text}") } else { format!("{text}{gap}") };
        vec![self.span(text, role)]
    }

    fn last_minute(&self, row: &Row<'_>, width: usize) -> String {
        let window = std::time::Duration::from_mins(1);
        let Some(track) = row.track else { return String::new() };
        let ends = column_ends(self.data.now, window, width);
        let points = track.sampled(&ends, self.data.known.late_after());
        let values = points.map(|point| point.map(|point| point.cpu)).collect::<Vec<_>>();
        sparkline(&values, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::sort::Sort;

    #[test]
    fn no_width_squeezes_a_column_and_the_first_ones_are_never_left_out() {
        for order in [ORDER_OVERVIEW, ORDER_INSTANCES] {
            for width in 20..300 {
                let columns = fitting(width, &order);
                let used: usize = columns.iter().map(|(_, _, width, _)| width + 1).sum();
                assert!(used <= width, "{used} of {width}");
                assert!(columns.iter().any(|(column, ..)| *column == Column::Id));
                for (column, _, width, _) in &columns {
                    let (_, title, least, _) =
                        COLUMNS.iter().find(|(other, ..)| other == column).unwrap();
                    assert!(width >= least && *least >= title.len(), "{column:?}");
                }
            }
        }
    }

    #[test]
    fn every_sort_has_a_column_of_its_name() {
        for sort in Sort::ALL {
            assert!(COLUMNS.iter().any(|(_, title, ..)| *title == sort.name()), "{sort:?}");
        }
    }
}
