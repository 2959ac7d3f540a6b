//! Which requests are inside the VM.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

/// The requests inside, by the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Register(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    last: u64,
    inside: BTreeMap<u64, Request>,
}

#[derive(Debug)]
struct Request {
    id: String,
    workload: &'static str,
    since: Instant,
    is_worked_on: bool,
}

impl Register {
    /// Notes a request that has just come, until what is returned is dropped.
    pub(super) fn enter(self: &Arc<Self>, id: &str, workload: &'static str) -> Inside {
        let mut entries = self.lock();
        entries.last += 1;
        let number = entries.last;
        let since = Instant::now();
        let request = Request { id: id.to_owned(), workload, since, is_worked_on: false };
        entries.inside.insert(number, request);
        Inside { register: Arc::clone(self), number }
    }

    /// All of them, as JSON: `request` (its id), `workload`, `seconds` since it came, and `state`,
    /// `waiting` or `working`.
    pub(super) fn to_json(&self) -> Value {
        let entries = self.lock();
        let told = entries.inside.values().map(|request| {
            json!({
                "request": request.id,
                "workload": request.workload,
                "seconds": request.since.elapsed().as_secs_f64(),
                "state": if request.is_worked_on { "working" } else { "waiting" },
            })
        });
        told.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is inside.
#[derive(Debug)]
pub(super) struct Inside {
    register: Arc<Register>,
    number: u64,
}

impl Inside {
    /// It has waited: now it is worked on.
    pub(super) fn begin(&self) {
        if let Some(request) = self.register.lock().inside.get_mut(&self.number) {
            request.is_worked_on = true;
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.register.lock().inside.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_in_their_order_until_they_leave() {
        let register = Arc::new(Register::default());
        let first = register.enter("a", "blur");
        let second = register.enter("b", "raytrace");
        second.begin();
        let told = |field: &str| {
            let all = register.to_json();
            let all = all.as_array().unwrap().iter().map(|it| it[field].as_str().unwrap());
            all.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(told("request"), ["a", "b"]);
        assert_eq!(told("state"), ["waiting", "working"]);
        drop(first);
        assert_eq!(told("workload"), ["raytrace"]);
    }
}
