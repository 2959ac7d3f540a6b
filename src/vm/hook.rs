//! Lifecycle hooks: a command of the user's at the launch of a VM, before it serves, and at its
//! termination, after its last request.

use std::time::Duration;

use crate::domain::vm::Failing;

/// The hooks of a VM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Run by `sh -c` when the boot time is over. The VM serves once it has succeeded; what happens
    /// if it fails or takes too long, `failing` says.
    pub launch: Option<String>,
    /// Run by `sh -c` when the VM was told to stop and has answered its last request. The VM ends
    /// then, also if it fails or takes too long; a VM that is killed runs nothing.
    pub terminate: Option<String>,
    /// How long either may take.
    pub timeout: Duration,
    /// What a launch hook that fails or takes too long means.
    pub failing: Failing,
}
