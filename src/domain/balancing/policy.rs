//! The policies by name.

use std::fmt;
use std::str::FromStr;

use crate::domain::vm::UnknownWord;

/// How a VM is chosen among those that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// The VM with the fewest requests, with this one, over its speed: the balancer's own exact
    /// count, and what others have put there. Needs no prediction, and of all that need none it has
    /// the shortest response times for requests of mixed size (Gupta, Harchol-Balter, Sigman and
    /// Whitt, *Analysis of join-the-shortest-queue routing for web server farms*, 2007).
    #[default]
    LeastInFlight,
    /// The VM that would have done this request first, if the predictions hold: the least
    /// predicted work, with this request, over its speed. "Least work left" of the queueing
    /// literature (Harchol-Balter, *Performance Modeling and Design of Computer Systems*, 2013,
    /// ch. 24).
    LeastWork,
    /// The less crowded of two VMs drawn at random (Mitzenmacher, *The power of two choices in
    /// randomized load balancing*, IEEE TPDS 12(10), 2001).
    PowerOfTwo,
    /// Each in turn.
    RoundRobin,
    /// At random, each as often as it is fast.
    Weighted,
    /// An idle VM, the one idle for longest; if none is, any at random (Lu et al., *Join-Idle-Queue*,
    /// Performance Evaluation 68(11), 2011).
    JoinIdleQueue,
    /// The VM with the least load in VMState.xml, however old that is. Kept to show what it does:
    /// between two reports everything goes to the same VM.
    ByFile,
    /// The first VM that is not full, in the order of VMState.xml: packs the requests, so that the
    /// VMs at the end can go.
    FillFirst,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::LeastInFlight,
        Self::LeastWork,
        Self::PowerOfTwo,
        Self::RoundRobin,
        Self::Weighted,
        Self::JoinIdleQueue,
        Self::ByFile,
        Self::FillFirst,
    ];

    /// The word that stands for it in settings and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeastInFlight => "least-in-flight",
            Self::LeastWork => "least-work",
            Self::PowerOfTwo => "power-of-two",
            Self::RoundRobin => "round-robin",
            Self::Weighted => "weighted",
            Self::JoinIdleQueue => "join-idle-queue",
            Self::ByFile => "by-file",
            Self::FillFirst => "fill-first",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Policy {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|policy| policy.as_str() == text);
        known.ok_or_else(|| {
            UnknownWord::new(
                text,
                "least-in-flight, least-work, power-of-two, round-robin, weighted, \
                 join-idle-queue, by-file or fill-first",
            )
        })
    }
}
