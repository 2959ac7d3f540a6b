//! Lines as rows of the index.

use rusqlite::types::Value;

use crate::state::metrics::{EXTRA, Metric};
use crate::state::samples::Sample;

/// The columns of a line with their values; none for a line that is not for the table.
pub(super) type Columns = Vec<(&'static str, Value)>;

/// Those of a request.
pub(super) fn metric_columns(metric: Metric) -> Columns {
    let mut columns = vec![
        ("at_us", Value::Integer(metric.at.as_microsecond())),
        ("request", Value::Text(metric.request)),
        ("workload", Value::Text(metric.workload)),
        ("vm", metric.vm.map_or(Value::Null, |vm| Value::Text(vm.to_string()))),
        ("status", Value::Integer(metric.status.into())),
        ("width", known(metric.width.map(u64::from))),
        ("height", known(metric.height.map(u64::from))),
        ("input_bytes", whole(metric.input_bytes)),
        ("output_bytes", whole(metric.output_bytes)),
        ("queue_us", known(metric.queue_us)),
        ("cpu_us", known(metric.cpu_us)),
        ("wall_us", whole(metric.wall_us)),
        ("work", known(metric.work)),
        ("attempts", whole(metric.attempts.into())),
    ];
    columns.extend(EXTRA.map(|name| {
        let value = metric.extra.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        (name, known(value))
    }));
    columns
}

/// Those of a report of a VM; the autoscaler's decisions are none.
pub(super) fn sample_columns(sample: Sample) -> Columns {
    let Sample::Vm {
        at,
        vm,
        state,
        instance_type,
        cpu,
        memory_bytes,
        in_flight,
        queued,
        requests,
        failures,
        cpu_credits,
        ..
    } = sample
    else {
        return Vec::new();
    };
    vec![
        ("at_us", Value::Integer(at.as_microsecond())),
        ("vm", Value::Text(vm.to_string())),
        ("state", Value::Text(state.to_string())),
        ("type", Value::Text(instance_type)),
        ("cpu", Value::Real(cpu.get())),
        ("memory_bytes", whole(memory_bytes)),
        ("in_flight", whole(in_flight.into())),
        ("queued", whole(queued.into())),
        ("requests", whole(requests)),
        ("failures", whole(failures)),
        ("cpu_credits", cpu_credits.map_or(Value::Null, Value::Real)),
    ]
}

/// A count as `SQLite` has it. Beyond its 63 bits there is nothing that was counted.
fn whole(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

fn known(count: Option<u64>) -> Value {
    count.map_or(Value::Null, whole)
}
