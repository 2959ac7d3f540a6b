//! Commands that only look.

use std::fmt::Write;

use super::print;
use crate::config::Config;

pub(super) fn config(config: &Config, json: bool) -> anyhow::Result<()> {
    if json {
        let rows = config.rows().map(|(key, value, source)| {
            let source = source.to_string();
            (key.name.to_owned(), serde_json::json!({ "value": value, "source": source }))
        });
        let all = serde_json::Value::Object(rows.collect());
        return print(&format!("{all:#}\n"));
    }
    let mut text = String::new();
    for (key, value, source) in config.rows() {
        writeln!(text, "{:<32} {value:<14} {:<24} {source}", key.name, key.help)?;
    }
    print(&text)
}
