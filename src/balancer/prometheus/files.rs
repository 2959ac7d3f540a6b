//! What the state files say of the VMs and of the autoscaler, so that one address is enough to
//! watch a cluster.

use jiff::Timestamp;

use super::{Page, escaped};
use crate::domain::vm::VmState;
use crate::state::as_state::AsStateFile;
use crate::state::vm_state::{VmReport, VmStateFile};

/// The states that are counted, so that one in which no VM is shows as 0.
const STATES: [VmState; 4] =
    [VmState::Booting, VmState::Running, VmState::Draining, VmState::Terminated];

/// All of it.
pub(super) fn render(page: &mut Page, vm_state: &VmStateFile, as_state: &AsStateFile) {
    vms(page, &vm_state.vms);
    loads(page, &vm_state.vms);
    served(page, &vm_state.vms);
    autoscaler(page, as_state);
}

fn vms(page: &mut Page, vms: &[VmReport]) {
    let counted = STATES.map(|state| {
        let count = vms.iter().filter(|vm| vm.state == state).count();
        (format!("state=\"{}\"", state.as_str()), count)
    });
    page.each("cumulet_vms", "gauge", "VMs, by what they are.", counted);
    page.each(
        "cumulet_vm_info",
        "gauge",
        "1 for each VM: its instance type and its state.",
        vms.iter().map(|vm| {
            let (kind, state) = (escaped(&vm.instance_type), vm.state.as_str());
            (format!("vm=\"{}\",type=\"{kind}\",state=\"{state}\"", vm.id), 1)
        }),
    );
    page.each(
        "cumulet_vm_launch_timestamp_seconds",
        "gauge",
        "When a VM's process started, in seconds since 1970.",
        vms.iter().map(|vm| (name(vm), seconds(vm.launched_at))),
    );
    page.each(
        "cumulet_vm_report_timestamp_seconds",
        "gauge",
        "When a VM reported last, in seconds since 1970.",
        vms.iter().map(|vm| (name(vm), seconds(vm.reported_at))),
    );
}

fn loads(page: &mut Page, vms: &[VmReport]) {
    page.each(
        "cumulet_vm_cpu_ratio",
        "gauge",
        "Share of its own vCPUs that a VM used over its last report period, 0 to 1.",
        vms.iter().map(|vm| (name(vm), vm.load.cpu.get())),
    );
    page.each(
        "cumulet_vm_memory_bytes",
        "gauge",
        "Resident memory of a VM's process.",
        vms.iter().map(|vm| (name(vm), vm.load.memory_bytes)),
    );
    page.each(
        "cumulet_vm_requests_in_flight",
        "gauge",
        "Requests that a VM works on.",
        vms.iter().map(|vm| (name(vm), vm.load.in_flight)),
    );
    page.each(
        "cumulet_vm_queue_length",
        "gauge",
        "Requests that wait in a VM.",
        vms.iter().map(|vm| (name(vm), vm.load.queued)),
    );
    page.each(
        "cumulet_vm_cpu_credits",
        "gauge",
        "CPU credits that a VM has left; a credit is a vCPU for a minute.",
        vms.iter().filter_map(|vm| Some((name(vm), vm.load.cpu_credits?))),
    );
}

fn served(page: &mut Page, vms: &[VmReport]) {
    page.each(
        "cumulet_vm_requests_total",
        "counter",
        "Requests that a VM's process has answered.",
        vms.iter().map(|vm| (name(vm), vm.served.requests)),
    );
    page.each(
        "cumulet_vm_failures_total",
        "counter",
        "Those of them that it answered with a 5xx status.",
        vms.iter().map(|vm| (name(vm), vm.served.failures)),
    );
    page.each(
        "cumulet_vm_cpu_seconds_total",
        "counter",
        "CPU time of the threads that did a VM's work.",
        vms.iter().map(|vm| (name(vm), vm.served.cpu.as_secs_f64())),
    );
}

fn autoscaler(page: &mut Page, orders: &AsStateFile) {
    page.each(
        "cumulet_autoscaler_info",
        "gauge",
        "1: the policy in force.",
        [(format!("policy=\"{}\"", escaped(&orders.policy)), 1)],
    );
    page.whole("cumulet_autoscaler_desired_vms", "gauge", "VMs wanted.", orders.desired);
    page.whole("cumulet_autoscaler_minimum_vms", "gauge", "The fewest VMs.", orders.minimum);
    page.whole("cumulet_autoscaler_maximum_vms", "gauge", "The most VMs.", orders.maximum);
    page.whole(
        "cumulet_autoscaler_paused",
        "gauge",
        "1 while the autoscaler leaves the size of the fleet alone.",
        u8::from(orders.paused),
    );
    if let Some(at) = orders.decided_at {
        page.whole(
            "cumulet_autoscaler_decision_timestamp_seconds",
            "gauge",
            "When the autoscaler decided last, in seconds since 1970.",
            seconds(at),
        );
    }
}

fn name(vm: &VmReport) -> String {
    format!("vm=\"{}\"", vm.id)
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}
