//! What the VMs of a cluster cost while a load runs.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::domain::instance_type::InstanceType;
use crate::state::StateFolder;
use crate::state::vm_state::VmStateFile;

/// Adds up the prices of the VMs that VMState.xml lists, for as long as it lists them.
#[derive(Debug)]
pub struct Bill {
    folder: StateFolder,
    types: BTreeMap<String, InstanceType>,
    /// When it was looked last, and dollars per hour from then on.
    before: Option<(Instant, f64)>,
    /// None once there was a VM whose price is not known.
    dollars: Option<f64>,
}

impl Bill {
    /// A bill for the cluster on `folder`.
    pub fn new(folder: StateFolder, types: BTreeMap<String, InstanceType>) -> Self {
        Self { folder, types, before: None, dollars: Some(0.0) }
    }

    /// Looks at the file. What happens between two looks is as it was at the first.
    pub fn look(&mut self, now: Instant) {
        let Ok(Some(file)) = self.folder.read::<VmStateFile>() else { return };
        let price = |name: &String| self.types.get(name).map(|known| known.price_per_hour);
        let hourly = file.vms.iter().map(|vm| price(&vm.instance_type)).sum();
        self.add(hourly, now);
    }

    fn add(&mut self, hourly: Option<f64>, now: Instant) {
        if let Some((then, hourly)) = self.before {
            let hours = now.saturating_duration_since(then).as_secs_f64() / 3600.0;
            self.dollars = self.dollars.map(|dollars| dollars + hourly * hours);
        }
        self.dollars = self.dollars.filter(|_| hourly.is_some());
        self.before = hourly.map(|hourly| (now, hourly));
    }

    /// US dollars so far, if all prices are known.
    pub fn dollars(&self) -> Option<f64> {
        self.dollars
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bill_is_price_times_time_and_nothing_once_a_price_is_unknown() {
        let directory = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(directory.path()).unwrap();
        let mut bill = Bill::new(folder, BTreeMap::new());
        let start = Instant::now();
        bill.add(Some(7.2), start);
        bill.add(Some(3.6), start + Duration::from_secs(10));
        bill.add(Some(0.0), start + Duration::from_secs(20));
        assert!((bill.dollars().unwrap() - 0.03).abs() < 1e-9);
        bill.add(None, start + Duration::from_secs(30));
        bill.add(Some(3.6), start + Duration::from_secs(40));
        assert_eq!(bill.dollars(), None);
    }
}
