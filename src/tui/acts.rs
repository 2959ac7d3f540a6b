//! What changed the fleet, or decided not to: decisions of the autoscaler, an operator's commands
//! and deaths, in one list. Decisions to hold that follow each other are folded into one.

use jiff::Timestamp;

use super::data::{Data, Decided};
use crate::domain::decision::Direction;
use crate::operator;
use crate::state::events::{Event, EventKind};

/// One thing that moved the fleet, or held it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Act<'a> {
    /// The autoscaler's.
    Decision {
        decided: &'a Decided,
        /// How many decisions to hold it stands for, and when the first was.
        folded: usize,
        since: Timestamp,
    },
    /// A person's, or an accident.
    Event(&'a Event),
}

impl Act<'_> {
    /// When it happened; of folded ones the last.
    pub(crate) fn at(&self) -> Timestamp {
        match self {
            Self::Decision { decided, .. } => decided.at,
            Self::Event(event) => event.at,
        }
    }

    /// It is, or is folded over, what happened then.
    pub(crate) fn covers(&self, at: Timestamp) -> bool {
        match self {
            Self::Decision { decided, since, .. } => (*since..=decided.at).contains(&at),
            Self::Event(event) => event.at == at,
        }
    }

    /// Its sign and word: `▲ OUT`, `▼ IN`, `· hold`, `◆ YOU`, `✖ LOST`, `✖ FAULT`.
    pub(crate) fn sign(&self) -> (&'static str, &'static str) {
        match self {
            Self::Decision { decided, .. } => match decided.action {
                Direction::Out => ("▲", "OUT"),
                Direction::In => ("▼", "IN"),
                Direction::Hold => ("·", "hold"),
            },
            Self::Event(event) => match event.kind {
                EventKind::Crash => ("✖", "LOST"),
                EventKind::Fault if event.role != operator::BY => ("✖", "FAULT"),
                _ => ("◆", "YOU"),
            },
        }
    }

    /// Something changed.
    pub(crate) fn moved(&self) -> bool {
        !matches!(self, Self::Decision { decided, .. } if decided.action == Direction::Hold)
    }
}

/// All of them, newest first.
pub(crate) fn acts(data: &Data, holds: bool) -> Vec<Act<'_>> {
    let told = data.events.iter().filter(|event| {
        matches!(event.kind, EventKind::Operator | EventKind::Fault | EventKind::Crash)
    });
    let mut acts = told.map(Act::Event).collect::<Vec<_>>();
    let kept = data.decisions.iter().filter(|d| holds || d.action != Direction::Hold);
    acts.extend(kept.map(|decided| Act::Decision { decided, folded: 1, since: decided.at }));
    acts.sort_by_key(Act::at);
    let mut folded: Vec<Act<'_>> = Vec::with_capacity(acts.len());
    for act in acts {
        match (folded.last_mut(), act) {
            (
                Some(Act::Decision { decided: before, folded, .. }),
                Act::Decision { decided: now, .. },
            ) if before.action == Direction::Hold && now.action == Direction::Hold => {
                *before = now;
                *folded += 1;
            }
            (_, act) => folded.push(act),
        }
    }
    folded.reverse();
    folded
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Everything.
    All,
    /// What somebody decided.
    Note,
    /// What should not have happened.
    Warn,
}

impl Level {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::All => Self::Note,
            Self::Note => Self::Warn,
            Self::Warn => Self::All,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::All => "INFO",
            Self::Note => "NOTE",
            Self::Warn => "WARN",
        }
    }
}

/// How much a kind of event matters.
pub(crate) fn level(kind: EventKind) -> Level {
    match kind {
        EventKind::Alert | EventKind::Crash | EventKind::Eject | EventKind::Fault => Level::Warn,
        EventKind::Scale | EventKind::Operator => Level::Note,
        _ => Level::All,
    }
}
