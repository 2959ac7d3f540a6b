//! What can go wrong with an attempt, and what follows from it.

use std::io;
use std::time::Duration;

use crate::balancer::tape::Fault as BodyFault;
use crate::domain::health::Event;
use crate::domain::vm::VmId;

/// Why a VM gave no answer that could be passed on.
#[derive(Debug, thiserror::Error)]
pub(in crate::balancer) enum ForwardError {
    /// Nobody listens, or the network does not lead there.
    #[error("{vm} at {address} takes no connection: {source}")]
    Refused {
        /// The VM.
        vm: VmId,
        /// Where it should listen.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// This process has no means to connect: no file descriptor, no port, no memory.
    #[error("cannot connect to {vm}: {source}")]
    NoMeans {
        /// The VM.
        vm: VmId,
        /// What the operating system said.
        source: io::Error,
    },
    /// The connection was not taken up in time.
    #[error("{vm} at {address} did not take up a connection within {after:?}")]
    NotTakenUp {
        /// The VM.
        vm: VmId,
        /// Where it listens.
        address: String,
        /// The limit.
        after: Duration,
    },
    /// A kept connection turned out to be closed before anything was written to it.
    #[error("{vm} had closed an idle connection")]
    Unsent {
        /// The VM.
        vm: VmId,
    },
    /// A kept connection closed before any byte of an answer came.
    #[error("{vm} closed a kept connection without an answer: {detail}")]
    ReusedClosed {
        /// The VM.
        vm: VmId,
        /// What happened.
        detail: String,
    },
    /// A fresh connection closed without an answer, or any connection amid an answer.
    #[error("{vm} closed the connection {when}: {detail}")]
    CutShort {
        /// The VM.
        vm: VmId,
        /// Before or amid the answer.
        when: &'static str,
        /// What happened.
        detail: String,
    },
    /// What came is not an answer in HTTP.
    #[error("{vm} answered in a way that is not HTTP: {detail}")]
    BadAnswer {
        /// The VM.
        vm: VmId,
        /// What is wrong with it.
        detail: String,
    },
    /// It is full or drains (503).
    #[error("{vm} would not take the request (503)")]
    Declined {
        /// The VM.
        vm: VmId,
        /// Whole seconds after which it is worth asking again.
        retry_after: u32,
    },
    /// It neither reports nor answers probes.
    #[error("{vm} hangs")]
    Hangs {
        /// The VM.
        vm: VmId,
    },
    /// There is no time left.
    #[error("no answer came within {after:?}")]
    TooLate {
        /// The limit for the whole request.
        after: Duration,
    },
    /// The client's body is too long or could not be read.
    #[error("{0}")]
    Body(BodyFault),
}

/// Who is to blame for a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::balancer) enum Blame {
    /// The client: its request is at fault.
    Client,
    /// The VM.
    Vm,
    /// Nobody: two sides closed or gave up at the same time.
    Nobody,
}

/// Whether an attempt may be followed by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::balancer) enum Again {
    /// Never: it would fail in the same way, or there is no time.
    No,
    /// Always: the VM has not begun with it.
    Yes,
    /// If doing the work twice does no harm: the VM may have begun with it.
    IfRepeatable,
}

impl Again {
    /// Whether there may be another attempt for a request that is `repeatable` or not.
    pub(in crate::balancer) fn allows(self, repeatable: bool) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::IfRepeatable => repeatable,
        }
    }
}

impl ForwardError {
    /// Whose fault it is.
    pub(in crate::balancer) fn blame(&self) -> Blame {
        match self {
            Self::Body(_) => Blame::Client,
            Self::NoMeans { .. }
            | Self::Unsent { .. }
            | Self::ReusedClosed { .. }
            | Self::Declined { .. } => Blame::Nobody,
            Self::Refused { .. }
            | Self::NotTakenUp { .. }
            | Self::CutShort { .. }
            | Self::BadAnswer { .. }
            | Self::Hangs { .. }
            | Self::TooLate { .. } => Blame::Vm,
        }
    }

    /// Whether the request may be sent again.
    pub(in crate::balancer) fn again(&self) -> Again {
        match self {
            Self::Body(_) | Self::TooLate { .. } => Again::No,
            Self::Refused { .. }
            | Self::NoMeans { .. }
            | Self::NotTakenUp { .. }
            | Self::Unsent { .. }
            | Self::Declined { .. } => Again::Yes,
            Self::ReusedClosed { .. }
            | Self::CutShort { .. }
            | Self::BadAnswer { .. }
            | Self::Hangs { .. } => Again::IfRepeatable,
        }
    }

    /// Whether the attempt counts against the limit: the VM may have begun with the request, or
    /// nothing keeps the next attempt from ending in the same way. A VM that takes up no connection
    /// is out of rotation afterwards.
    pub(in crate::balancer) fn counts(&self) -> bool {
        !matches!(
            self,
            Self::Refused { .. } | Self::NotTakenUp { .. } | Self::Unsent { .. } | Self::Body(_)
        )
    }

    /// Whether the VM may have died of the request.
    pub(in crate::balancer) fn may_be_a_death(&self) -> bool {
        matches!(self, Self::CutShort { .. } | Self::ReusedClosed { .. })
    }

    /// What it says about the health of the VM.
    pub(in crate::balancer) fn symptom(&self) -> Option<Event> {
        match self {
            Self::Refused { .. } => Some(Event::Refused),
            Self::NotTakenUp { .. } => Some(Event::NotTakenUp),
            Self::ReusedClosed { .. } => Some(Event::ReusedClosed),
            Self::CutShort { .. } => Some(Event::CutShort),
            Self::BadAnswer { .. } => Some(Event::Failed { can_spare: false }),
            Self::NoMeans { .. }
            | Self::Unsent { .. }
            | Self::Declined { .. }
            | Self::Hangs { .. }
            | Self::TooLate { .. }
            | Self::Body(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_does_not_count_may_always_be_followed_by_another() {
        let vm = || VmId::numbered(1);
        let errors = [
            ForwardError::NotTakenUp {
                vm: vm(),
                address: "127.0.0.1:1".to_owned(),
                after: Duration::from_secs(2),
            },
            ForwardError::Unsent { vm: vm() },
            ForwardError::ReusedClosed { vm: vm(), detail: String::new() },
            ForwardError::CutShort { vm: vm(), when: "amid its answer", detail: String::new() },
            ForwardError::Hangs { vm: vm() },
            ForwardError::TooLate { after: Duration::from_mins(5) },
            ForwardError::Body(BodyFault::TooLong { limit: 1 }),
        ];
        for error in errors {
            if !error.counts() && error.blame() != Blame::Client {
                assert_eq!(error.again(), Again::Yes, "{error}");
            } else {
                assert_ne!(error.again(), Again::Yes, "{error}");
            }
        }
    }
}
