//! What the screen shows and where the user is in it. Changed only by [`super::update`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::acts::{self, Act};
use super::data::{Data, Known};
use super::filter::Filter;
use super::format::since;
use super::keys::Rebound;
use super::rows::{Row, rows};
use super::sort::{RequestSort, Sort};
use super::theme::Theme;
use crate::domain::cost::Kind;
use crate::domain::vm::VmId;
use crate::operator::{Fault, Volley};
use crate::units::Share;

/// The screens, in the order of their number keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Screen {
    Overview,
    Instances,
    Requests,
    Autoscaler,
    Events,
    Cost,
}

impl Screen {
    pub(crate) const ALL: [Self; 6] = [
        Self::Overview,
        Self::Instances,
        Self::Requests,
        Self::Autoscaler,
        Self::Events,
        Self::Cost,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Instances => "Instances",
            Self::Requests => "Requests",
            Self::Autoscaler => "Autoscaler",
            Self::Events => "Events",
            Self::Cost => "Cost",
        }
    }

    /// The name where there is little room.
    pub(crate) fn short_name(self) -> &'static str {
        match self {
            Self::Overview => "Over",
            Self::Instances => "Inst",
            Self::Requests => "Reqs",
            Self::Autoscaler => "Auto",
            Self::Events => "Events",
            Self::Cost => "Cost",
        }
    }

    /// The screen so many further on, round and round.
    pub(crate) fn shifted(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|screen| *screen == self).unwrap_or(0);
        Self::ALL[(at + by) % Self::ALL.len()]
    }
}

/// A VM that something is to be done to, fixed when the wish was uttered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) id: VmId,
    /// Its process then; none for a VM that had none yet.
    pub(crate) pid: Option<u32>,
}

/// A wish that is asked about before it is granted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wish {
    Drain(Target),
    Inflict(Target, Fault),
    /// Replace every VM, so much of the fleet at a time.
    Refresh(Share),
    /// Have fewer VMs than now.
    Shrink(u32),
    StopCluster,
}

/// What lies over the screen and takes the keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Dialog {
    Help {
        top: usize,
    },
    /// The filter is being typed; the text is what it was before.
    Filter {
        before: String,
    },
    Palette {
        input: String,
        index: usize,
    },
    Menu {
        target: Target,
        index: usize,
    },
    Confirm(Wish),
    /// Requests are about to be fired; one of its [`FIELDS`] is being changed.
    Fire {
        volley: Volley,
        field: usize,
    },
    /// A policy with its parameters and the limits is being typed.
    Policy {
        input: String,
    },
    /// Inside `cumulet up`: leave alone, or stop the cluster as well?
    Leave,
}

/// The fields of [`Dialog::Fire`].
pub(crate) const FIELDS: [&str; 3] = ["workload", "how many", "at a time"];

/// A sentence for the user about what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) text: String,
    pub(crate) bad: bool,
    pub(crate) at: Timestamp,
}

/// What was decided when the screen was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// Nothing can be done, only looked at.
    pub(crate) read_only: bool,
    /// The screen belongs to `cumulet up`: leaving it can stop the cluster.
    pub(crate) in_up: bool,
}

/// The lists of the screens: each keeps its place by what it points at, not by where that stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Places {
    pub(crate) vm: Option<VmId>,
    /// Where the chosen VM stood: its neighbour is chosen when it goes.
    pub(crate) vm_index: usize,
    /// When the chosen decision was made; none is the newest.
    pub(crate) act: Option<Timestamp>,
    /// The number of the last event that is shown; none follows the newest.
    pub(crate) event: Option<usize>,
    /// The number of the last request that is shown; none follows the newest.
    pub(crate) request: Option<usize>,
    /// How many VMs of the bill stand above the first that is shown.
    pub(crate) cost: usize,
}

/// Everything that a frame is drawn from.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the user's, independent of each other"
)]
pub(crate) struct Model {
    pub(crate) live: Data,
    /// The picture as it was frozen.
    pub(crate) frozen: Option<Box<Data>>,
    pub(crate) options: Options,
    pub(crate) theme: Theme,
    pub(crate) rebound: Rebound,
    pub(crate) screen: Screen,
    pub(crate) sort: Sort,
    pub(crate) descending: bool,
    pub(crate) request_sort: RequestSort,
    /// Requests are shown the other way round: oldest first, or the smallest.
    pub(crate) request_ascending: bool,
    pub(crate) vm_filter: String,
    pub(crate) event_filter: String,
    pub(crate) request_filter: String,
    /// The workload that was fired last.
    pub(crate) fired: Kind,
    pub(crate) level: acts::Level,
    pub(crate) holds: bool,
    /// Which window of time the user chose; none is the one that the history fills.
    pub(crate) window: Option<usize>,
    /// The chosen row fills the screen.
    pub(crate) opened: bool,
    pub(crate) places: Places,
    /// The user has been told that the state is stale, and looks on.
    pub(crate) stale_seen: bool,
    pub(crate) dialog: Option<Dialog>,
    pub(crate) notice: Option<Notice>,
    pub(crate) mouse: bool,
    pub(crate) size: (u16, u16),
}

/// The windows of time that can be shown.
pub(crate) const WINDOWS: [Duration; 4] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(10),
    Duration::from_mins(30),
];

impl Model {
    pub(crate) fn new(known: Arc<Known>, now: Timestamp, options: Options, theme: Theme) -> Self {
        Self {
            live: Data::new(known, now),
            frozen: None,
            options,
            theme,
            rebound: Rebound::default(),
            screen: Screen::Overview,
            sort: Sort::Id,
            descending: false,
            request_sort: RequestSort::At,
            request_ascending: false,
            vm_filter: String::new(),
            event_filter: String::new(),
            request_filter: String::new(),
            fired: Kind::Blur,
            level: acts::Level::All,
            holds: true,
            window: None,
            opened: false,
            places: Places {
                vm: None,
                vm_index: 0,
                act: None,
                event: None,
                request: None,
                cost: 0,
            },
            stale_seen: false,
            dialog: None,
            notice: None,
            mouse: false,
            size: (80, 24),
        }
    }

    /// What is shown: the frozen picture, or the live one.
    pub(crate) fn shown(&self) -> &Data {
        self.frozen.as_deref().unwrap_or(&self.live)
    }

    /// The window of time that is shown.
    pub(crate) fn window(&self) -> Duration {
        WINDOWS[self.window_index()]
    }

    /// Until the user chooses one: the shortest that holds all that is known, ten minutes at most.
    pub(crate) fn window_index(&self) -> usize {
        const LONGEST_UNASKED: usize = 2;
        let data = self.shown();
        let known = data.history.begins.map_or(Duration::ZERO, |begins| since(data.now, begins));
        let fitting = WINDOWS.iter().position(|window| *window >= known);
        let unasked = fitting.unwrap_or(LONGEST_UNASKED).min(LONGEST_UNASKED);
        self.window.unwrap_or(unasked).min(WINDOWS.len() - 1)
    }

    /// The rows of VMs as they are shown, filtered and sorted, and how many there are in all.
    pub(crate) fn rows(&self) -> (Vec<Row<'_>>, usize) {
        let mut rows = rows(self.shown());
        let all = rows.len();
        let filter = Filter::parse(&self.vm_filter);
        rows.retain(|row| filter.lets_through(row));
        // A stable sort: equal rows stay in the order of their numbers.
        rows.sort_by(|a, b| {
            let order = self.sort.compare(a, b);
            if self.descending { order.reverse() } else { order }
        });
        (rows, all)
    }

    /// Requests are listed as they came, the newest first.
    pub(crate) fn requests_in_time(&self) -> bool {
        self.request_sort == RequestSort::At && !self.request_ascending
    }

    /// Where the chosen VM stands among `rows`; its neighbour if it has gone.
    pub(crate) fn chosen_index(&self, rows: &[Row<'_>]) -> usize {
        let place = self.places.vm.as_ref();
        rows.iter()
            .position(|row| place == Some(row.id))
            .unwrap_or_else(|| self.places.vm_index.min(rows.len().saturating_sub(1)))
    }

    /// The decisions and what else changed the fleet, newest first.
    pub(crate) fn acts(&self) -> Vec<Act<'_>> {
        acts::acts(self.shown(), self.holds)
    }

    /// Where the chosen decision stands among `acts`.
    pub(crate) fn chosen_act(&self, acts: &[Act<'_>]) -> usize {
        let place = self.places.act;
        place.and_then(|at| acts.iter().position(|act| act.covers(at))).unwrap_or(0)
    }
}
