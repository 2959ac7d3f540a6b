//! `cumulet alerts`: where each alert stands.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{operate, print};
use crate::config::Config;
use crate::state::alerts::AlertsFile;
use crate::tui::format;

pub(super) fn alerts(config: &Config, json: bool) -> anyhow::Result<()> {
    let folder = operate::folder(config)?;
    let file = folder.read_alerts()?;
    if json {
        let all = file.map(|file| serde_json::to_value(file.alerts)).transpose()?;
        return print(&format!("{:#}\n", all.unwrap_or_else(|| serde_json::json!([]))));
    }
    print(&match file {
        Some(file) => as_text(&file, Timestamp::now()),
        None => "no alerts; [[alert]] in cumulet.toml makes one\n".to_owned(),
    })
}

fn as_text(file: &AlertsFile, now: Timestamp) -> String {
    let mut text = String::new();
    // Written every second while a cluster watches.
    let age = format::since(now, file.at);
    if age.as_secs() >= 10 {
        let _ = writeln!(text, "as of {} ago: no cluster watches", format::duration(age));
    }
    let wide = file.alerts.iter().map(|alert| format::columns(&alert.name)).max().unwrap_or(0);
    for alert in &file.alerts {
        let since = format::duration(format::since(now, alert.since));
        let value = alert.value.map_or_else(
            || format::UNKNOWN.to_owned(),
            |value| format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        );
        let gap = " ".repeat(wide - format::columns(&alert.name).min(wide));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}{gap}  {:<7}  for {since:<7}  {} for {}s, now {value}",
            alert.name, alert.state, alert.when, alert.for_seconds
        );
    }
    text
}
