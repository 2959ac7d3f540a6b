//! The VM's word on itself: its element of VMState.xml, and a line of samples.txt.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::complaint::Complaint;
use super::machine::Machine;
use super::memory::Meter;
use crate::domain::load::Load;
use crate::domain::vm::VmState;
use crate::state::samples::Sample;
use crate::state::vm_state::{VmReport, VmStateFile};
use crate::state::{Error, StateFolder};

/// Reports at once, then every period and on every change of the state, until `end`; then says
/// that the VM is terminated.
pub(super) async fn keep(machine: Arc<Machine>, folder: StateFolder, end: CancellationToken) {
    let mut phase = machine.phase.subscribe();
    let period = machine.settings.report_every;
    let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reporter =
        Some(Reporter { folder, memory: Meter::default(), complaint: Complaint::about("reports") });
    loop {
        let state = phase.borrow_and_update().life.state();
        reporter = write(&machine, state, reporter).await;
        tokio::select! {
            () = end.cancelled() => break,
            _ = ticks.tick() => {}
            // The machine holds the sender, so there is always one.
            _ = phase.changed() => {}
        }
    }
    write(&machine, VmState::Terminated, reporter).await;
}

/// Hands the reporter to a thread that may block, and gets it back.
async fn write(
    machine: &Arc<Machine>,
    state: VmState,
    reporter: Option<Reporter>,
) -> Option<Reporter> {
    let mut reporter = reporter?;
    let machine = Arc::clone(machine);
    let written = tokio::task::spawn_blocking(move || {
        reporter.write(&machine, state);
        reporter
    });
    written.await.inspect_err(|error| tracing::error!(%error, "reporting ended badly")).ok()
}

/// Writes reports.
#[derive(Debug)]
struct Reporter {
    folder: StateFolder,
    memory: Meter,
    complaint: Complaint,
}

impl Reporter {
    fn write(&mut self, machine: &Machine, state: VmState) {
        let report = describe(machine, state, self.memory.resident_bytes(), &self.folder);
        let written = self.put(report);
        self.complaint.hear(&written);
    }

    fn put(&self, report: VmReport) -> Result<(), Error> {
        let sample = Sample::from(&report);
        self.folder.update_or(VmStateFile::default, |document| replace(document, report))?;
        self.folder.append_sample(&sample)
    }
}

/// The VM as it is now.
fn describe(
    machine: &Machine,
    state: VmState,
    memory_bytes: u64,
    folder: &StateFolder,
) -> VmReport {
    let counts = machine.admission.counts();
    let credits = machine.credits();
    VmReport {
        id: machine.settings.id.clone(),
        state,
        address: machine.address.clone(),
        // It may have gone with the folder.
        socket: machine.socket.clone().filter(|name| folder.path().join(name).exists()),
        pid: std::process::id(),
        instance_type: machine.settings.instance_type.name.clone(),
        launched_at: machine.launched_at,
        running_since: machine.phase.borrow().running_since,
        reported_at: Timestamp::now(),
        warm: machine.phase.borrow().life.is_held(),
        load: Load {
            cpu: machine.cpu_share(),
            memory_bytes,
            in_flight: counts.in_flight,
            queued: counts.queued,
            cpu_credits: credits.map(|credits| credits.balance()),
            surplus_credits: credits.map(|credits| credits.surplus()),
        },
        served: machine.served(),
        foreign: crate::state::xml::Foreign::default(),
    }
}

/// Puts a VM's report in the place of its last one, and leaves alone what others wrote: their
/// elements, and in its own what this version does not know.
fn replace(document: &mut VmStateFile, mut report: VmReport) {
    match document.vms.iter_mut().find(|vm| vm.id == report.id) {
        Some(last) => {
            report.foreign = std::mem::take(&mut last.foreign);
            *last = report;
        }
        None => document.vms.push(report),
    }
}
