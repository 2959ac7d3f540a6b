//! Where requests go, how long they take, and the last of them.

use std::collections::BTreeMap;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::Scene;
use super::autoscaler::minutes;
use super::widgets::{show_lines, sparkline};
use crate::domain::vm::VmId;
use crate::state::lb_state::LbStateFile;
use crate::state::metrics::Metric;
use crate::tui::events_list::shown_requests;
use crate::tui::format::{self, UNKNOWN, clock, duration};
use crate::tui::functions;
use crate::tui::stats::{self, BANDS, Stats, by_workload, heat};
use crate::tui::theme::{Role, of_status};

/// Over how long requests are counted.
const LAST_MINUTE: Duration = Duration::from_mins(1);

impl Scene<'_> {
    pub(super) fn requests(&self, frame: &mut Frame<'_>, area: Rect) {
        if self.model.opened {
            let [list, detail] =
                Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
            self.latest(frame, list);
            self.request_detail(frame, detail);
            return;
        }
        let targets = self.data.balancer().map_or(1, |balancer| balancer.vms.len());
        let functions = usize::from(functions::sum(self.data).is_some());
        let flow = u16::try_from(targets + functions + 3).unwrap_or(u16::MAX);
        let flow = flow.clamp(4, (area.height / 2).max(4));
        let heat = if area.height >= 28 && area.width >= 100 { 10 } else { 0 };
        let [flow, middle, latest] = Layout::vertical([
            Constraint::Length(flow),
            Constraint::Length(heat),
            Constraint::Min(4),
        ])
        .areas(area);
        self.flow(frame, flow);
        if heat > 0 {
            let [map, figures] =
                Layout::horizontal([Constraint::Fill(1), Constraint::Length(56)]).areas(middle);
            self.heat_map(frame, map);
            self.request_panel(frame, figures);
        }
        self.latest(frame, latest);
    }

    /// Clients, the balancer, each VM with its share of the last minute.
    fn flow(&self, frame: &mut Frame<'_>, area: Rect) {
        let Some(balancer) = self.data.balancer() else {
            let inner = self.panel(frame, area, "Flow", "");
            let text = "no balancer has written LBState.xml yet";
            show_lines(frame, inner, vec![Line::from(self.span(text, Role::Faint))]);
            return;
        };
        let age = self.data.lb_state_age().map_or_else(|| UNKNOWN.to_owned(), duration);
        let note = format!("rule: {} · LBState #{} {age}", balancer.policy, balancer.seq);
        let inner = self.panel(frame, area, "Flow", &note);
        let totals = &balancer.totals;
        let ready = balancer.vms.iter().filter(|target| target.in_rotation).count();
        let mut lines = vec![Line::from(vec![
            self.span(format!("{} req/s ", format::rate(totals.rate)), Role::Strong),
            self.span("─▶ ", Role::Faint),
            self.span(format!("{} ", format::reachable(&balancer.address)), Role::Strong),
            self.span(
                format!("{} in flight, {} queued ", totals.in_flight, totals.queued),
                Role::Text,
            ),
            self.span("─▶ ", Role::Faint),
            self.span(format!("{ready} in rotation"), Role::Strong),
        ])];
        lines.extend(self.shares(balancer, inner.width));
        // What does not fit is said rather than left out.
        let height = usize::from(inner.height);
        if lines.len() > height && height > 1 {
            let more = lines.len() + 1 - height;
            lines.truncate(height - 1);
            lines.push(Line::from(self.span(format!("  and {more} more"), Role::Faint)));
        }
        show_lines(frame, inner, lines);
    }

    /// Each VM, and the functions, with what share of the last minute's requests they answered.
    fn shares(&self, balancer: &LbStateFile, width: u16) -> Vec<Line<'static>> {
        let mut counts: BTreeMap<&VmId, usize> = BTreeMap::new();
        let mut all = 0_usize;
        for vm in self.data.recent(LAST_MINUTE).filter_map(|metric| metric.vm.as_ref()) {
            *counts.entry(vm).or_default() += 1;
            all += 1;
        }
        let bar = usize::from(width).saturating_sub(64).clamp(6, 40);
        let line = |(glyph, role): (&str, Role),
                    name: &str,
                    share: f64,
                    in_flight: u32,
                    (reason, why): (String, Role)| {
            let known = if all == 0 { UNKNOWN.to_owned() } else { format::percent(share) };
            let mut spans = vec![
                self.span(format!("  {glyph} "), role),
                self.span(format!("{name:<9} "), Role::Text),
            ];
            spans.extend(self.bar(share, bar, Role::Accent));
            let load = format!(" {known:>4}  {in_flight:>3} in flight  ");
            spans.push(self.span(load, Role::Text));
            // The sign, the name, the bar and the figures stand before it.
            let room = usize::from(width).saturating_sub(36 + bar);
            spans.push(self.span(format::cut(&reason, room), why));
            Line::from(spans)
        };
        let statuses: BTreeMap<_, _> = self.rows.iter().map(|row| (row.id, row.status)).collect();
        let mut lines = Vec::new();
        for target in &balancer.vms {
            let share = counts.get(&target.id).copied().unwrap_or(0) as f64 / all.max(1) as f64;
            let status = statuses.get(&target.id);
            let sign =
                status.map_or(("·", Role::Faint), |status| (status.glyph(), of_status(*status)));
            let why = if target.in_rotation { Role::Faint } else { Role::Warn };
            let reason = (target.reason.clone(), why);
            lines.push(line(sign, target.id.as_str(), share, target.in_flight, reason));
        }
        if let Some(sum) = functions::sum(self.data) {
            let share = functions::overflow_share(self.data).unwrap_or(0.0);
            let sign = if sum.running > 0 { ("●", Role::Good) } else { ("○", Role::Faint) };
            let reason = (format!("{} warm, take the overflow", sum.warm), Role::Faint);
            lines.push(line(sign, "functions", share, sum.running, reason));
        }
        lines
    }

    /// How many requests took how long, over time.
    fn heat_map(&self, frame: &mut Frame<'_>, area: Rect) {
        const LABEL: usize = 6;
        let window = self.model.window();
        let note = format!("older ← {} → now", minutes(window));
        let inner = self.panel(frame, area, "Latency heat map", &note);
        let columns = usize::from(inner.width).saturating_sub(LABEL);
        if columns == 0 {
            return;
        }
        let cells = heat(self.data, window, columns);
        let most = cells.iter().flatten().copied().max().unwrap_or(0);
        let labels = BANDS.map(|bound| match bound {
            bound if bound.is_infinite() => ">4s".to_owned(),
            bound => format::milliseconds(bound).replace(".0s", "s"),
        });
        let lines = cells.iter().zip(labels).map(|(row, label)| {
            let shades = row.iter().map(|count| shade(*count, most)).collect::<String>();
            Line::from(vec![
                self.span(format!("{label:>5} "), Role::Faint),
                self.span(shades, Role::Accent),
            ])
        });
        show_lines(frame, inner, lines.collect());
    }

    /// Rates and percentiles of each kind.
    pub(super) fn request_panel(&self, frame: &mut Frame<'_>, area: Rect) {
        let inner = self.panel(frame, area, "Requests", "last minute");
        let (all, kinds) = by_workload(self.data, LAST_MINUTE);
        let columns = usize::from(inner.width).saturating_sub(12);
        let rates = stats::rates(self.data, LAST_MINUTE, columns);
        let most = rates.iter().copied().fold(0.0, f64::max);
        let curve: Vec<_> = rates.into_iter().map(Some).collect();
        let totals = self.data.balancer().map(|balancer| balancer.totals).unwrap_or_default();
        let mut lines = vec![
            Line::from(vec![
                self.span(format!("{:>5} req/s ", format::rate(all.rate)), Role::Strong),
                self.span(sparkline(&curve, most), Role::Accent),
            ]),
            Line::from(vec![
                self.span(
                    format!("in flight {}  queued {}  ", totals.in_flight, totals.queued),
                    Role::Text,
                ),
                self.span(format!("retried {}  ", all.retried), Role::Text),
                self.span(
                    format!("failed {}", all.failures),
                    if all.failures > 0 { Role::Bad } else { Role::Text },
                ),
            ]),
            Line::from(self.span(
                format!("{:<10}{:>6}{:>8}{:>8}{:>8}{:>5}", "", "req/s", "p50", "p95", "p99", "err"),
                Role::Faint,
            )),
        ];
        lines.extend(kinds.iter().map(|(kind, stats)| self.kind_line(kind, stats)));
        if let Some((functions, bill)) =
            functions::summary(self.data).zip(functions::bill(self.data))
        {
            let text = format!("functions {functions}");
            let with_bill = format!("{text}, {bill}");
            let width = usize::from(inner.width);
            let text = if format::columns(&with_bill) <= width { with_bill } else { text };
            lines.insert(2, Line::from(self.span(format::cut(&text, width), Role::Text)));
        }
        if kinds.is_empty() {
            lines.push(Line::from(self.span("no request was finished", Role::Faint)));
        }
        show_lines(frame, inner, lines);
    }

    fn kind_line(&self, kind: &str, stats: &Stats) -> Line<'static> {
        let figures = format!(
            "{:<10}{:>6}{:>8}{:>8}{:>8}",
            format::cut(kind, 10),
            format::rate(stats.rate),
            format::milliseconds(stats.p50),
            format::milliseconds(stats.p95),
            format::milliseconds(stats.p99),
        );
        let bad = if stats.failures > 0 { Role::Bad } else { Role::Faint };
        Line::from(vec![
            self.span(figures, Role::Text),
            self.span(format!("{:>5}", stats.failures), bad),
        ])
    }

    /// The last requests, newest first.
    fn latest(&self, frame: &mut Frame<'_>, area: Rect) {
        let model = self.model;
        let arrow = if model.request_ascending { "▲" } else { "▼" };
        let mut note = match (model.requests_in_time(), model.places.request) {
            (true, None) => "following".to_owned(),
            (true, Some(_)) => "held · G follows again".to_owned(),
            (false, _) => format!("sort: {} {arrow}", model.request_sort.name()),
        };
        if !model.request_filter.is_empty() {
            note = format!("{note} · /{}", model.request_filter);
        }
        let inner = self.panel(frame, area, "Latest", &note);
        let height = usize::from(inner.height);
        // What stands before the reason; the size of the picture gives way to it.
        let sized = inner.width >= 100;
        let wide = if sized { 12 } else { 0 };
        let room = usize::from(inner.width).saturating_sub(56 + wide + 2);
        let heading = format!(
            "{:<10}{:<10}{:>wide$}{:<9}{:>5}{:>8}{:>8}{:>6}  why there",
            "at",
            "kind",
            if sized { "size " } else { "" },
            "to",
            "code",
            "queue",
            "took",
            "tries"
        );
        let mut lines = vec![Line::from(self.span(heading, Role::Faint))];
        for metric in shown_requests(self.model).take(height.saturating_sub(1)) {
            let size = metric.width.zip(metric.height).map(|(w, h)| format!("{w}x{h}"));
            let size = size.unwrap_or_else(|| UNKNOWN.to_owned());
            let size = if sized { format!("{size:>11} ") } else { String::new() };
            let vm = metric.vm.as_ref();
            let vm = vm.map_or(UNKNOWN, |vm| vm.function().map_or(vm.as_str(), |_| "function"));
            let queue = metric.queue_us.map(|us| format::milliseconds(us as f64 / 1000.0));
            let role = match metric.status {
                500.. => Role::Bad,
                400.. => Role::Warn,
                _ => Role::Text,
            };
            lines.push(Line::from(vec![
                self.span(format!("{:<10}", clock(metric.at, &self.data.known.zone)), Role::Faint),
                self.span(format!("{:<10}", format::cut(&metric.workload, 9)), Role::Text),
                self.span(size, Role::Faint),
                self.span(format!("{vm:<9}"), Role::Text),
                self.span(format!("{:>5}", metric.status), role),
                self.span(
                    format!("{:>8}", queue.unwrap_or_else(|| UNKNOWN.to_owned())),
                    Role::Faint,
                ),
                self.span(
                    format!("{:>8}", format::milliseconds(metric.wall_us as f64 / 1000.0)),
                    Role::Text,
                ),
                self.span(
                    format!("{:>6}", metric.attempts),
                    if metric.attempts > 1 { Role::Warn } else { Role::Faint },
                ),
                Span::raw("  "),
                self.span(format::cut(&self.why_there(metric), room), Role::Faint),
            ]));
        }
        if lines.len() == 1 {
            let filtered = !self.model.request_filter.is_empty();
            let text =
                if filtered { "no request fits" } else { "no request has been finished yet" };
            lines.push(Line::from(self.span(text, Role::Faint)));
        }
        show_lines(frame, inner, lines);
    }

    /// Why it went where it did, as far as the balancer's words of that second were caught.
    fn why_there(&self, metric: &Metric) -> String {
        match self.data.choices_for(&metric.request).next() {
            // The rule stands above, the VM beside it.
            Some(choice) => match choice.reason.split_once(&format!(": {}: ", choice.vm)) {
                Some((_, reason)) => reason.to_owned(),
                None => choice.reason.clone(),
            },
            None if metric.vm.is_none() => "no VM took it".to_owned(),
            None => UNKNOWN.to_owned(),
        }
    }

    /// The request at the top of the list: where its time went, and each choice made for it.
    fn request_detail(&self, frame: &mut Frame<'_>, area: Rect) {
        let inner = self.panel(frame, area, "Request", "the one at the top · ↑↓ choose");
        let width = usize::from(inner.width);
        let Some(metric) = shown_requests(self.model).next() else {
            show_lines(frame, inner, vec![Line::from(self.span("no request", Role::Faint))]);
            return;
        };
        let time = |us: Option<u64>| {
            us.map_or_else(|| UNKNOWN.to_owned(), |us| format::milliseconds(us as f64 / 1000.0))
        };
        let vm = metric.vm.as_ref().map_or("no VM", |vm| vm.as_str());
        let mut lines = vec![
            Line::from(self.span(
                format!("{} {} to {vm}: {}", metric.workload, metric.request, metric.status),
                Role::Strong,
            )),
            self.labelled(
                "time",
                format!(
                    "{} from arrival to answer; {} queued, {} of CPU",
                    time(Some(metric.wall_us)),
                    time(metric.queue_us),
                    time(metric.cpu_us)
                ),
                Role::Text,
            ),
            self.labelled(
                "bytes",
                format!(
                    "{} in, {} out",
                    format::bytes(metric.input_bytes),
                    format::bytes(metric.output_bytes)
                ),
                Role::Text,
            ),
        ];
        let mut choices = self.data.choices_for(&metric.request).collect::<Vec<_>>();
        choices.sort_by_key(|choice| choice.attempt);
        for choice in &choices {
            let waited = format::milliseconds(choice.waited_ms);
            let text = format!(
                "attempt {} to {}, foreseen {:.3} s of work, waited {waited} for a VM",
                choice.attempt, choice.vm, choice.work_seconds
            );
            lines.push(Line::from(self.span(text, Role::Accent)));
            // The policy and the one chosen first, then each that could have been.
            for rival in choice.reason.split("; ") {
                lines.push(Line::from(self.span(format!("  {rival}"), Role::Text)));
            }
        }
        if choices.is_empty() {
            let text =
                "why it went there was not caught: LBState.xml tells the last of each second";
            lines.push(Line::from(self.span(format::cut(text, width), Role::Faint)));
        }
        show_lines(frame, inner, lines);
    }
}

fn shade(count: u32, most: u32) -> char {
    match f64::from(count) / f64::from(most.max(1)) {
        0.0 => ' ',
        share if share <= 0.25 => '░',
        share if share <= 0.5 => '▒',
        share if share <= 0.75 => '▓',
        _ => '█',
    }
}
