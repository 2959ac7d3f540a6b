//! alerts.json: where each alert stands. Replaced whole while a cluster with alerts runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// All alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertsFile {
    /// When it was written.
    pub at: Timestamp,
    /// The alerts, in the order of the settings.
    pub alerts: Vec<AlertStatus>,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertStatus {
    /// Its name.
    pub name: String,
    /// What has to hold.
    pub when: String,
    /// For how long, in seconds.
    pub for_seconds: f64,
    /// `quiet`, `pending` or `firing`.
    pub state: String,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// The figure; none if it is not known.
    pub value: Option<f64>,
}

impl AlertsFile {
    /// The name of the file.
    pub const FILE: &'static str = "alerts.json";
}
