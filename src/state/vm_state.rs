//! VMState.xml: what is. Each VM replaces its own element, never anybody else's.

use jiff::Timestamp;

use crate::domain::load::{Load, Served};
use crate::domain::vm::{VmId, VmState};
use crate::state::xml::Foreign;

/// VMState.xml.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VmStateFile {
    /// Grows by one with each write.
    pub seq: u64,
    /// The VMs, in the order of the file.
    pub vms: Vec<VmReport>,
    /// What a newer writer or a person put at the root, kept.
    pub foreign: Foreign,
}

/// One VM's word on itself.
#[derive(Debug, Clone, PartialEq)]
pub struct VmReport {
    /// Its id.
    pub id: VmId,
    /// Where it is in its life.
    pub state: VmState,
    /// Where its webserver listens, `host:port`.
    pub address: String,
    /// Its process.
    pub pid: u32,
    /// The name of its instance type.
    pub instance_type: String,
    /// When its process started.
    pub launched_at: Timestamp,
    /// When it became `running`; none while it boots.
    pub running_since: Option<Timestamp>,
    /// When it wrote this. For people: readers judge age by their own clock since they last saw
    /// the report change.
    pub reported_at: Timestamp,
    /// How busy it is.
    pub load: Load,
    /// What it has done.
    pub served: Served,
    /// Attributes and elements that this version does not know, kept.
    pub foreign: Foreign,
}

impl VmStateFile {
    /// The report of the VM with this id.
    pub fn vm(&self, id: &VmId) -> Option<&VmReport> {
        self.vms.iter().find(|vm| &vm.id == id)
    }
}
