//! Lifecycle hooks: a command of the user's at the launch of a VM, before it serves, and at its
//! termination, after its last request.

use std::time::Duration;

/// The hooks of a VM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Run by `sh -c` when the boot time is over. The VM serves once it has succeeded; if it fails
    /// or takes too long, the VM ends, and is replaced like any that crashed.
    pub launch: Option<String>,
    /// Run by `sh -c` when the VM was told to stop and has answered its last request. The VM ends
    /// then, also if it fails or takes too long; a VM that is killed runs nothing.
    pub terminate: Option<String>,
    /// How long either may take.
    pub timeout: Duration,
}
