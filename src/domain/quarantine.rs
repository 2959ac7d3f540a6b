//! Requests that kill: one that has taken two VMs with it must not take the rest.
//!
//! A VM that dies takes all its requests with it, and at most one of them is to blame. So only the
//! death of a VM that had nothing else to do says anything about a request, and one that was alone
//! on two VMs that died is condemned: it is not sent to a third, and the same bytes are refused for
//! a while. One that died in company is only bound by the number of attempts.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::vm::VmId;

/// How long condemned bytes are refused.
pub const REFUSED_FOR: Duration = Duration::from_mins(1);
/// So many are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 256;
/// So many VMs must have died with it alone.
const PROOF: usize = 2;

/// What a request has to do with the deaths of VMs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suspicion {
    /// The VMs that died while they had it alone, with the numbers of their processes.
    alone: Vec<(VmId, u32)>,
}

impl Suspicion {
    /// The process `pid` of a VM died while it had this request and `others` besides. One that
    /// takes its time to die may be met twice, and dies but once.
    pub fn add_death(&mut self, vm: &VmId, pid: u32, others: u32) {
        let is_known = self.alone.iter().any(|(id, process)| (id, *process) == (vm, pid));
        if others == 0 && !is_known {
            self.alone.push((vm.clone(), pid));
        }
    }

    /// How many VMs died while they had this request alone.
    pub fn deaths(&self) -> usize {
        self.alone.len()
    }

    /// Whether it must not be sent to another VM.
    pub fn is_condemned(&self) -> bool {
        self.alone.len() >= PROOF
    }
}

/// The condemned bytes, by a hash of method, path and body. Times are since any one moment.
#[derive(Debug, Default)]
pub struct Quarantine {
    until: HashMap<u64, Duration>,
}

impl Quarantine {
    /// Whether there is nothing in it, not even what has served its time: no clock is needed to tell.
    pub fn is_unused(&self) -> bool {
        self.until.is_empty()
    }

    /// Whether nobody is refused, so that no hash need be computed.
    pub fn is_empty(&mut self, now: Duration) -> bool {
        self.until.retain(|_, until| *until > now);
        self.until.is_empty()
    }

    /// Refuses these bytes from now on.
    pub fn add(&mut self, hash: u64, now: Duration) {
        let oldest = self.until.iter().min_by_key(|(_, until)| **until).map(|(hash, _)| *hash);
        if let Some(oldest) = oldest.filter(|_| self.until.len() >= REMEMBERED) {
            self.until.remove(&oldest);
        }
        self.until.insert(hash, now.saturating_add(REFUSED_FOR));
    }

    /// For how long these bytes are still refused.
    pub fn refuses(&self, hash: u64, now: Duration) -> Option<Duration> {
        self.until
            .get(&hash)
            .and_then(|until| until.checked_sub(now))
            .filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(deaths: &[u32]) -> Suspicion {
        let mut suspicion = Suspicion::default();
        for (pid, others) in (100..).zip(deaths) {
            suspicion.add_death(&"vm-1".parse().unwrap(), pid, *others);
        }
        suspicion
    }

    #[test]
    fn a_vm_dies_but_once() {
        let (one, two) = ("vm-1".parse().unwrap(), "vm-2".parse().unwrap());
        let mut suspicion = Suspicion::default();
        suspicion.add_death(&one, 7, 0);
        suspicion.add_death(&one, 7, 0);
        assert!(!suspicion.is_condemned(), "{suspicion:?}");
        suspicion.add_death(&two, 7, 0);
        assert!(suspicion.is_condemned(), "{suspicion:?}");
    }

    #[test]
    fn alone_on_two_dead_vms_is_proof_and_company_is_none() {
        let cases: &[(&[u32], bool)] = &[
            (&[], false),
            (&[0], false),
            (&[0, 0], true),
            (&[0, 1], false),
            (&[0, 3, 0], true),
            (&[2, 2, 2, 2], false),
        ];
        for (deaths, condemned) in cases {
            assert_eq!(after(deaths).is_condemned(), *condemned, "{deaths:?}");
        }
    }

    #[test]
    fn bytes_are_refused_for_a_while() {
        let mut quarantine = Quarantine::default();
        let now = Duration::from_secs(5);
        assert!(quarantine.is_empty(now));
        quarantine.add(7, now);
        assert!(!quarantine.is_empty(now));
        assert_eq!(quarantine.refuses(7, now), Some(REFUSED_FOR));
        assert_eq!(quarantine.refuses(8, now), None);
        assert_eq!(quarantine.refuses(7, now + REFUSED_FOR), None);
        assert!(quarantine.is_empty(now + REFUSED_FOR));
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_the_last_is_in_it(hashes in proptest::collection::vec(any::<u64>(), 1..600)) {
            let mut quarantine = Quarantine::default();
            for (second, hash) in (0..).zip(&hashes) {
                let now = Duration::from_millis(second);
                quarantine.add(*hash, now);
                prop_assert!(quarantine.refuses(*hash, now).is_some());
                prop_assert!(quarantine.until.len() <= REMEMBERED);
            }
        }
    }
}
