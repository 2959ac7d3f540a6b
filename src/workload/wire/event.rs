//! A request and its answer as events: what a function reads and writes that is invoked in the
//! place of a webserver. Both are JSON, with the field names that API gateways use; bodies are
//! base64.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Path and query.
    pub uri: String,
    /// Its headers, with names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its body, as base64.
    #[serde(default)]
    pub body: String,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The HTTP status.
    pub status_code: u16,
    /// Its headers; with a status from 400 on there are none.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its body, as base64; with a status from 400 on, a sentence about what is wrong.
    #[serde(default)]
    pub body: String,
    /// What it asked for and what it cost; none if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// What a request asked for and what it cost, in the units of metrics.txt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Width in pixels of the picture, or of the window that was rendered.
    pub width: u32,
    /// Height of the same.
    pub height: u32,
    /// Elementary operations.
    pub work: u64,
    /// CPU time in microseconds.
    pub cpu_micros: u64,
    /// What only this workload has.
    #[serde(default)]
    pub extra: BTreeMap<String, u64>,
}
