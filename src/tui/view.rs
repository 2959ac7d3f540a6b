//! How the model looks: a pure function from it to a frame, at any size.

mod autoscaler;
mod chart;
mod chrome;
mod cost;
mod dialog;
mod events;
mod fleet;
mod instances;
mod requests;
mod state;
mod steer;
mod tiny;
mod widgets;

#[cfg(test)]
mod tests;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::model::{Model, Screen};
use super::rows::Row;
use super::scaler;
use super::theme::{Symbols, Theme, to_ascii};
use super::verdict::{Condition, Verdict};
use super::{data::Data, verdict};

/// What every part of a frame is drawn from.
struct Scene<'a> {
    model: &'a Model,
    data: &'a Data,
    theme: Theme,
    verdict: Verdict,
    /// The VMs as the table shows them.
    rows: Vec<Row<'a>>,
    /// How many there are beyond the filter.
    all: usize,
    /// The levels of mean CPU that the policy goes by.
    marks: Vec<f64>,
}

/// From this size on there are two columns.
const WIDE: (u16, u16) = (110, 30);
/// From this height on there is room for whole reasons beside the charts.
const ROOMY: u16 = 38;
/// Below this size there is a status of a few lines.
const SMALL: (u16, u16) = (60, 15);

/// Draws the model.
pub(crate) fn draw(model: &Model, frame: &mut Frame<'_>) {
    let (rows, all) = model.rows();
    let data = model.shown();
    let scene = Scene {
        model,
        data,
        theme: model.theme,
        verdict: verdict::judge(data),
        rows,
        all,
        marks: scaler::marks(data),
    };
    scene.draw(frame);
    if model.theme.symbols == Symbols::Ascii {
        to_ascii(frame.buffer_mut());
    }
}

impl Scene<'_> {
    fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        if area.width < SMALL.0 || area.height < SMALL.1 {
            self.tiny(frame, area);
            if self.model.dialog.is_some() {
                self.dialog(frame, area);
            }
            return;
        }
        let [header, body, footer] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(0), Constraint::Length(1)])
                .areas(area);
        self.header(frame, header);
        self.body(frame, body);
        let stale = self.verdict.condition == Condition::Stale && !self.model.stale_seen;
        if stale && matches!(self.model.screen, Screen::Overview | Screen::Instances) {
            self.stale(frame, body);
        }
        self.footer(frame, footer);
        self.dialog(frame, body);
    }

    fn body(&self, frame: &mut Frame<'_>, area: Rect) {
        let nothing = self.rows.is_empty() && self.model.vm_filter.is_empty();
        let absent = match self.verdict.condition {
            Condition::Empty => true,
            Condition::Starting | Condition::Stopped | Condition::Failed => nothing,
            _ => false,
        };
        if absent && matches!(self.model.screen, Screen::Overview | Screen::Instances) {
            self.nothing_yet(frame, area);
            return;
        }
        match self.model.screen {
            Screen::Overview => self.overview(frame, area),
            Screen::Instances => self.instances(frame, area),
            Screen::Requests => self.requests(frame, area),
            Screen::Autoscaler => self.autoscaler(frame, area),
            Screen::Events => self.events(frame, area, true),
            Screen::Cost => self.cost(frame, area),
        }
    }

    /// Load against its target, what the autoscaler did, requests, each VM, what happened.
    fn overview(&self, frame: &mut Frame<'_>, area: Rect) {
        let full = frame.area();
        // Frame, heading and rows; the events get what is left, and give first.
        let table = u16::try_from(self.rows.len()).unwrap_or(u16::MAX).max(1).saturating_add(3);
        if full.width >= WIDE.0 && full.height >= WIDE.1 {
            // Where there is height to spare, reasons are told to the end.
            let reasons = if full.height >= ROOMY { 2 } else { 0 };
            let [top, middle, bottom] = Layout::vertical([
                Constraint::Length(16 + reasons),
                Constraint::Length(table.min(area.height.saturating_sub(16 + reasons + 5))),
                Constraint::Min(3),
            ])
            .areas(area);
            let [left, right] =
                Layout::horizontal([Constraint::Fill(1), Constraint::Length(56)]).areas(top);
            self.timeline(frame, left);
            let [scaler, requests] =
                Layout::vertical([Constraint::Length(7 + reasons), Constraint::Min(0)])
                    .areas(right);
            self.scaler_panel(frame, scaler);
            self.request_panel(frame, requests);
            self.table(frame, middle);
            self.events(frame, bottom, false);
        } else {
            let [table, scaler, events] = Layout::vertical([
                Constraint::Length(table.min(area.height.saturating_sub(7 + 4))),
                Constraint::Length(7),
                Constraint::Min(3),
            ])
            .areas(area);
            self.table(frame, table);
            self.scaler_panel(frame, scaler);
            self.events(frame, events, false);
        }
    }
}
