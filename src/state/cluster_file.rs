//! cluster.toml: who runs this cluster and where it listens, while it runs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What `cluster.toml` says. The cluster writes it once its addresses are known and removes it when
/// it stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFile {
    /// The process that holds the cluster together.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// Where requests are taken, `host:port`.
    pub balancer: String,
    /// Where health, metrics and the merged state are shown, `host:port`.
    pub admin: String,
    /// The balancer's process, if it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balancer_pid: Option<u32>,
    /// The autoscaler's process, if it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaler_pid: Option<u32>,
}

impl ClusterFile {
    /// The name of the file.
    pub const FILE: &str = "cluster.toml";
}
