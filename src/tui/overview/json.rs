//! The picture with stable field names, for scripts.

use std::time::Duration;

use serde_json::{Value, json};

use super::LAST_MINUTE;
use crate::state::function_state::FunctionReport;
use crate::state::lb_state::LbStateFile;
use crate::tui::data::Data;
use crate::tui::rows::{Row, rows};
use crate::tui::verdict::{Census, judge, mean_cpu};
use crate::tui::{format, functions, scaler, stats};

pub(crate) fn as_json(data: &Data) -> Value {
    let verdict = judge(data);
    let rows = rows(data);
    let (last, kinds) = stats::by_workload(data, LAST_MINUTE);
    let seconds = |age: Option<Duration>| age.map(|age| age.as_secs_f64());
    let file = |seq: Option<u64>, age, problem: &Option<String>| {
        let age = seconds(age);
        json!({ "seq": seq, "ageSeconds": age, "problem": problem })
    };
    let census = Census::of(&rows);
    json!({
        "at": data.now,
        "verdict": verdict.condition.as_str().to_ascii_lowercase(),
        "reason": verdict.reason,
        "uptimeSeconds": seconds(data.uptime()),
        "cluster": data.cluster.file,
        "files": {
            "VMState": file(
                data.vm_state.document.as_ref().map(|d| d.seq),
                data.vm_state_age(),
                &data.vm_state.problem,
            ),
            "ASState": file(
                data.as_state.document.as_ref().map(|d| d.seq),
                data.as_state_age(),
                &data.as_state.problem,
            ),
            "LBState": file(
                data.lb_state.document.as_ref().map(|d| d.seq),
                data.lb_state_age(),
                &data.lb_state.problem,
            ),
        },
        "fleet": {
            "running": census.running,
            "booting": census.booting,
            "draining": census.draining,
            "lost": census.lost,
            "meanCpu": mean_cpu(&rows),
        },
        "vms": rows.iter().map(row_json).collect::<Vec<_>>(),
        "balancer": data.balancer().map(balancer_json),
        "functions": functions_json(data),
        "lastMinute": {
            "all": stats_json(&last),
            "byWorkload": kinds
                .iter()
                .map(|(kind, stats)| ((*kind).to_owned(), stats_json(stats)))
                .collect::<serde_json::Map<_, _>>(),
        },
        "autoscaler": autoscaler_json(data),
    })
}

fn row_json(row: &Row<'_>) -> Value {
    let load = row.report.map(|report| &report.load);
    let served = row.report.map(|report| &report.served);
    json!({
        "id": row.id.as_str(),
        "state": row.status.as_str(),
        "instanceType": row.instance_type(),
        "address": row.report.map(|report| &report.address),
        "pid": row.report.map(|report| report.pid),
        "ageSeconds": row.age.map(|age| age.as_secs_f64()),
        "reportAgeSeconds": row.silent_for.map(|age| age.as_secs_f64()),
        "cpu": row.cpu(),
        "memoryBytes": load.map(|load| load.memory_bytes),
        "inFlight": load.map(|load| load.in_flight),
        "queued": load.map(|load| load.queued),
        "cpuCredits": load.and_then(|load| load.cpu_credits),
        "requestsPerSecond": row.rate(),
        "p95Milliseconds": row.p95(),
        "requests": served.map(|served| served.requests),
        "failures": served.map(|served| served.failures),
        "cpuSeconds": served.map(|served| served.cpu.as_secs_f64()),
        "inRotation": row.target.map(|target| target.in_rotation),
        "wanted": row.order.map(|order| order.action.as_str()),
        "note": row.note,
    })
}

fn balancer_json(balancer: &LbStateFile) -> Value {
    let totals = &balancer.totals;
    json!({
        "address": format::reachable(&balancer.address),
        "policy": balancer.policy,
        "requests": totals.requests,
        "inFlight": totals.in_flight,
        "queued": totals.queued,
        "failures": totals.failures,
        "retries": totals.retries,
        "overflowed": totals.overflowed,
        "requestsPerSecond": totals.rate,
        "offeredLoad": totals.offered_load,
    })
}

fn stats_json(stats: &stats::Stats) -> Value {
    json!({
        "requests": stats.count,
        "requestsPerSecond": stats.rate,
        "failures": stats.failures,
        "retried": stats.retried,
        "p50Milliseconds": stats.p50,
        "p95Milliseconds": stats.p95,
        "p99Milliseconds": stats.p99,
    })
}

fn autoscaler_json(data: &Data) -> Option<Value> {
    let document = data.as_state.document.as_ref()?;
    let cooldowns = scaler::cooldowns(data);
    let last = document.decisions.last().map(|decision| {
        json!({
            "at": decision.at,
            "action": decision.action.as_str(),
            "from": decision.from,
            "to": decision.to,
            "reason": decision.reason,
        })
    });
    Some(json!({
        "policy": document.policy,
        "paused": document.paused,
        "desired": document.desired,
        "minimum": document.minimum,
        "maximum": (document.maximum != u32::MAX).then_some(document.maximum),
        "targetCpu": scaler::marks(data).last(),
        "mayGrowInSeconds": cooldowns.out.as_secs_f64(),
        "mayShrinkInSeconds": cooldowns.into.as_secs_f64(),
        "lastDecision": last,
    }))
}

fn functions_json(data: &Data) -> Option<Value> {
    let file = data.functions.document.as_ref()?;
    let function = |report: &FunctionReport| {
        json!({
            "name": report.name.as_str(),
            "running": report.running,
            "warm": report.warm,
            "requests": report.usage.requests,
            "coldStarts": report.counts.cold_starts,
            "throttled": report.counts.throttled,
            "errors": report.counts.errors,
            "gbSeconds": report.usage.gb_seconds,
            "listPrice": report.usage.list_price(),
        })
    };
    Some(json!({
        "month": file.month,
        "bill": file.usage().price(),
        "shareOfLastMinute": functions::overflow_share(data),
        "all": file.functions.iter().map(function).collect::<Vec<_>>(),
    }))
}
