//! A role that is to run as long as the cluster does: the balancer, the autoscaler, the
//! functions' service.

use std::time::Instant;

use crate::domain::restart::Backoff;

/// One role and its process.
#[derive(Debug)]
pub(super) struct Role {
    pub(super) name: &'static str,
    /// Its process and when it started; none while it is to be started (again).
    running: Option<(u32, Instant)>,
    backoff: Backoff,
    not_before: Instant,
}

impl Role {
    pub(super) fn new(name: &'static str, now: Instant) -> Self {
        Self { name, running: None, backoff: Backoff::default(), not_before: now }
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.running.map(|(pid, _)| pid)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.running.is_none() && now >= self.not_before
    }

    pub(super) fn started(&mut self, pid: u32, now: Instant) {
        self.running = Some((pid, now));
    }

    /// Its process has ended, or could not be started: says after what pause it is tried again.
    pub(super) fn died(&mut self, now: Instant) -> std::time::Duration {
        let since = self.running.take().map_or(now, |(_, since)| since);
        let pause = self.backoff.died_after(now.saturating_duration_since(since));
        self.not_before = now + pause;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_role_that_dies_is_due_again_after_its_pause() {
        let start = Instant::now();
        let mut role = Role::new("balancer", start);
        assert!(role.is_due(start));
        role.started(7, start);
        assert_eq!((role.pid(), role.is_due(start)), (Some(7), false));
        assert_eq!(role.died(start + Duration::from_secs(1)), Duration::ZERO);
        assert!(role.is_due(start + Duration::from_secs(1)));
        role.started(8, start);
        let pause = role.died(start);
        assert!(!role.is_due(start) && role.is_due(start + pause));
    }
}
