//! ASState.xml: what should be. Written by the autoscaler, by an operator's command and by a
//! person's editor, with the same force; the others only read it.

use jiff::Timestamp;

use crate::domain::decision::{Action, Decision};
use crate::domain::vm::VmId;
use crate::state::xml::Foreign;

/// How many of the last decisions stay in the file.
pub const DECISIONS_KEPT: usize = 20;

/// ASState.xml.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AsStateFile {
    /// Grows by one with each write.
    pub seq: u64,
    /// When the autoscaler last wrote it; none before its first word.
    pub decided_at: Option<Timestamp>,
    /// The scaling policy in force.
    pub policy: String,
    /// VMs wanted: those to keep and those to add.
    pub desired: u32,
    /// The fewest that the autoscaler may want.
    pub minimum: u32,
    /// The most that the autoscaler may want.
    pub maximum: u32,
    /// The autoscaler leaves the size of the fleet alone.
    pub paused: bool,
    /// The highest number given to a VM in this cluster's life, so that no id is given twice.
    pub last_vm: u64,
    /// What is wanted of each VM.
    pub vms: Vec<VmOrder>,
    /// The last decisions, oldest first, at most [`DECISIONS_KEPT`].
    pub decisions: Vec<Decision>,
    /// What a newer writer or a person put at the root, kept.
    pub foreign: Foreign,
}

/// What should become of one VM.
#[derive(Debug, Clone, PartialEq)]
pub struct VmOrder {
    /// Its id.
    pub id: VmId,
    /// What should become of it.
    pub action: Action,
    /// The type it is to be launched as; none is the cluster's default.
    pub instance_type: Option<String>,
    /// Who wants it: `autoscaler`, `operator`, or whatever a person wrote.
    pub by: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// Attributes and elements that this version does not know, kept.
    pub foreign: Foreign,
}

impl AsStateFile {
    /// What is wanted of the VM with this id.
    pub fn order(&self, id: &VmId) -> Option<&VmOrder> {
        self.vms.iter().find(|vm| &vm.id == id)
    }

    /// VMs wanted: those to keep and those to add.
    pub fn wanted(&self) -> u32 {
        let wanted = self.vms.iter().filter(|vm| vm.action != Action::Delete).count();
        u32::try_from(wanted).unwrap_or(u32::MAX)
    }

    /// A new id, never given before in this cluster's life.
    pub fn next_vm_id(&mut self) -> VmId {
        let highest = self.vms.iter().filter_map(|vm| vm.id.number()).max().unwrap_or(0);
        self.last_vm = self.last_vm.max(highest).saturating_add(1);
        VmId::numbered(self.last_vm)
    }
}
