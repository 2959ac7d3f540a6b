//! `cumulet list`: the VMs, and which requests run on which of them now.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::{operate, print};
use crate::client::send;
use crate::config::Config;
use crate::domain::decision::Action;
use crate::domain::vm::VmState;
use crate::state::as_state::{AsStateFile, VmOrder};
use crate::state::vm_state::{VmReport, VmStateFile};

/// How long a VM may take to say what it works on.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where a VM says it.
const PATH: &str = "/requests";

pub(super) fn list(config: &Config, json: bool) -> anyhow::Result<()> {
    let folder = operate::folder(config)?;
    let vms = folder.read::<VmStateFile>()?.unwrap_or_default();
    let orders = folder.read::<AsStateFile>()?.unwrap_or_default();
    let requests = ask(&vms.vms)?;
    let mut rows = vms
        .vms
        .iter()
        .zip(requests)
        .map(|(vm, requests)| Row::of(vm, orders.order(&vm.id), requests))
        .collect::<Vec<_>>();
    let unstarted = orders.vms.iter().filter(|order| vms.vm(&order.id).is_none());
    rows.extend(unstarted.map(Row::of_order));
    if json {
        let all = rows.iter().map(Row::to_json).collect::<Value>();
        return print(&format!("{all:#}\n"));
    }
    print(&text(&rows))
}

/// What each VM says that it works on; none from one that does not answer.
fn ask(vms: &[VmReport]) -> anyhow::Result<Vec<Option<Value>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        let asked = vms.iter().map(|vm| {
            let address = vm.address.clone();
            tokio::spawn(tokio::time::timeout(PATIENCE, async move {
                let answer = send::ask(&address, "GET", PATH, Vec::new()).await.ok()?;
                serde_json::from_slice::<Value>(&answer.body).ok().filter(Value::is_array)
            }))
        });
        let mut heard = Vec::new();
        // All of them have been asked before the first is waited for.
        for answer in asked.collect::<Vec<_>>() {
            heard.push(answer.await.ok().and_then(Result::ok).flatten());
        }
        heard
    }))
}

/// A VM and what it does.
struct Row<'a> {
    id: &'a str,
    /// Its state, or what is wanted of one that has not started.
    state: &'a str,
    report: Option<&'a VmReport>,
    order: Option<&'a VmOrder>,
    requests: Option<Value>,
}

impl<'a> Row<'a> {
    fn of(vm: &'a VmReport, order: Option<&'a VmOrder>, requests: Option<Value>) -> Self {
        let state =
            if vm.warm && vm.state == VmState::Booting { "warm" } else { vm.state.as_str() };
        Self { id: vm.id.as_str(), state, report: Some(vm), order, requests }
    }

    fn of_order(order: &'a VmOrder) -> Self {
        let state = if order.action == Action::Delete { "gone" } else { "wanted" };
        Self { id: order.id.as_str(), state, report: None, order: Some(order), requests: None }
    }

    fn instance_type(&self) -> Option<&str> {
        let wanted = self.order.and_then(|order| order.instance_type.as_deref());
        self.report.map(|vm| vm.instance_type.as_str()).or(wanted)
    }

    fn is_protected(&self) -> bool {
        self.order.is_some_and(|order| order.protected)
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "state": self.state,
            "type": self.instance_type(),
            "image": self.order.and_then(|order| order.image.as_ref()),
            "address": self.report.map(|vm| &vm.address),
            "pid": self.report.map(|vm| vm.pid),
            "protected": self.is_protected(),
            "cpuCredits": self.report.and_then(|vm| vm.load.cpu_credits),
            "requests": self.requests,
        })
    }
}

fn text(rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    for row in rows {
        let busy = match &row.requests {
            Some(requests) => requests.as_array().map_or(0, Vec::len).to_string(),
            None => "-".to_owned(),
        };
        let address = row.report.map_or("-", |vm| vm.address.as_str());
        let mut remarks = Vec::new();
        if row.is_protected() {
            remarks.push("protected".to_owned());
        }
        if let Some(credits) = row.report.and_then(|vm| vm.load.cpu_credits) {
            remarks.push(format!("{credits:.1} credits"));
        }
        if row.report.is_some() && row.requests.is_none() {
            remarks.push("does not answer".to_owned());
        }
        let (id, state, kind) = (row.id, row.state, row.instance_type().unwrap_or("-"));
        // Writing to a text does not fail.
        let _ = writeln!(
            text,
            "{id:<8} {state:<10} {kind:<10} {address:<21} {busy:>3} requests  {}",
            remarks.join(", ")
        );
        for request in row.requests.iter().filter_map(Value::as_array).flatten() {
            let field = |name: &str| request[name].as_str().unwrap_or("-");
            let seconds = request["seconds"].as_f64().unwrap_or(0.0);
            let _ = writeln!(
                text,
                "         {:<9} {:<18} {} for {seconds:.1} s",
                field("workload"),
                field("request"),
                field("state")
            );
        }
    }
    if text.is_empty() { "no VMs\n".to_owned() } else { text.replace("  \n", "\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::vm::VmId;

    #[test]
    fn a_vm_is_told_with_its_requests_and_one_that_is_only_wanted_without() {
        let order = VmOrder { protected: true, ..VmOrder::new(VmId::numbered(7), Action::Add) };
        let mut row = Row::of_order(&order);
        assert_eq!(
            text(std::slice::from_ref(&row)),
            "vm-7     wanted     -          -                       - requests  protected\n"
        );
        row.requests = Some(json!([
            {"request": "r1", "workload": "blur", "seconds": 0.25, "state": "working"}
        ]));
        let told = text(&[row]);
        assert!(told.contains("1 requests"), "{told}");
        assert!(told.ends_with("blur      r1                 working for 0.2 s\n"), "{told}");
    }
}
