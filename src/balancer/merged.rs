//! What is, what should be and what the balancer sees, in one JSON document.

use serde_json::{Value, json};

use crate::domain::vm::VmId;
use crate::state::as_state::AsStateFile;
use crate::state::lb_state::{LbChoice, LbStateFile, LbTarget};
use crate::state::vm_state::{VmReport, VmStateFile};

/// The merged view. Under `vms` stands every VM that any of the three tells of; `report`, `order`
/// and `balancer` are null where one does not. Names and units are those of the files.
pub(super) fn view(vm_state: &VmStateFile, as_state: &AsStateFile, lb: &LbStateFile) -> Value {
    let mut ids: Vec<&VmId> = vm_state.vms.iter().map(|vm| &vm.id).collect();
    for id in as_state.vms.iter().map(|order| &order.id).chain(lb.vms.iter().map(|vm| &vm.id)) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let vms: Vec<Value> = ids
        .into_iter()
        .map(|id| {
            json!({
                "id": id.as_str(),
                "report": vm_state.vm(id).map(report),
                "order": as_state.order(id).map(|order| json!({
                    "action": order.action.as_str(),
                    "instanceType": order.instance_type,
                    "by": order.by,
                    "since": order.since.map(|at| at.to_string()),
                    "reason": order.reason,
                })),
                "balancer": lb.vms.iter().find(|target| &target.id == id).map(target),
            })
        })
        .collect();
    json!({
        "vmStateSeq": vm_state.seq,
        "asStateSeq": as_state.seq,
        "balancer": {
            "reportedAt": lb.reported_at.map(|at| at.to_string()),
            "address": lb.address,
            "pid": lb.pid,
            "policy": lb.policy,
            "requests": lb.totals.requests,
            "inFlight": lb.totals.in_flight,
            "queued": lb.totals.queued,
            "queueSeconds": lb.totals.queue_seconds,
            "failures": lb.totals.failures,
            "retries": lb.totals.retries,
            "overflowed": lb.totals.overflowed,
            "rate": lb.totals.rate,
            "offeredLoad": lb.totals.offered_load,
            "predictions": lb.predictions.iter().map(|prediction| json!({
                "workload": prediction.workload.as_str(),
                "requests": prediction.requests,
                "error": prediction.error,
            })).collect::<Vec<_>>(),
        },
        "autoscaler": {
            "decidedAt": as_state.decided_at.map(|at| at.to_string()),
            "policy": as_state.policy,
            "desired": as_state.desired,
            "minimum": as_state.minimum,
            "maximum": as_state.maximum,
            "paused": as_state.paused,
            "decisions": as_state.decisions.iter().map(|decision| json!({
                "at": decision.at.to_string(),
                "action": decision.action.as_str(),
                "from": decision.from,
                "to": decision.to,
                "reason": decision.reason,
            })).collect::<Vec<_>>(),
        },
        "vms": vms,
        "choices": lb.choices.iter().map(choice).collect::<Vec<_>>(),
    })
}

fn report(vm: &VmReport) -> Value {
    json!({
        "state": vm.state.as_str(),
        "address": vm.address,
        "pid": vm.pid,
        "instanceType": vm.instance_type,
        "launchedAt": vm.launched_at.to_string(),
        "runningSince": vm.running_since.map(|at| at.to_string()),
        "reportedAt": vm.reported_at.to_string(),
        "cpu": vm.load.cpu.get(),
        "memoryBytes": vm.load.memory_bytes,
        "inFlight": vm.load.in_flight,
        "queued": vm.load.queued,
        "cpuCredits": vm.load.cpu_credits,
        "requests": vm.served.requests,
        "failures": vm.served.failures,
        "cpuSeconds": vm.served.cpu.as_secs_f64(),
    })
}

fn choice(choice: &LbChoice) -> Value {
    json!({
        "at": choice.at.to_string(),
        "request": choice.request,
        "attempt": choice.attempt,
        "workload": choice.workload,
        "workSeconds": choice.work_seconds,
        "waitedMs": choice.waited_ms,
        "vm": choice.vm.as_str(),
        "reason": choice.reason,
    })
}

fn target(vm: &LbTarget) -> Value {
    json!({
        "inRotation": vm.in_rotation,
        "reason": vm.reason,
        "inFlight": vm.in_flight,
        "outstandingSeconds": vm.outstanding_seconds,
        "served": vm.served,
        "failures": vm.failures,
        "retries": vm.retries,
        "p50Ms": vm.p50_ms,
        "p95Ms": vm.p95_ms,
        "p99Ms": vm.p99_ms,
        "ejections": vm.ejections,
        "cap": vm.capacity.cap,
        "speed": vm.capacity.speed,
        "weight": vm.capacity.weight,
        "foreign": vm.capacity.foreign,
    })
}
