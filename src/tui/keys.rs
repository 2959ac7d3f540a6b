//! The one table of keys: input, footer, help and palette all read it, so none of them can lie.

mod rebound;

use crossterm::event::KeyCode;

use super::model::Screen;

pub use rebound::Rebound;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Go(Screen),
    NextScreen,
    PreviousScreen,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Back,
    Shorter,
    Longer,
    Filter,
    Sort,
    Reverse,
    Freeze,
    Holds,
    Level,
    Copy,
    Save,
    Mouse,
    Theme,
    Menu,
    Launch,
    Drain,
    Kill,
    Pause,
    Resume,
    PauseAutoscaler,
    Fire,
    FireMany,
    Policy,
    Protect,
    Refresh,
    SetDesired,
    Limits,
    Balancing,
    RestartBalancer,
    Image,
    Palette,
    Help,
    Leave,
    Stop,
}

/// Where an action stands in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Move,
    Look,
    Act,
    Leave,
}

/// What an action may do to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Only what is on the screen.
    Screen,
    /// Something in the cluster, that can be taken back.
    Cluster,
    /// Something in the cluster that cannot: it asks first.
    Danger,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Binding {
    /// What it asks for.
    pub(crate) action: Action,
    /// The keys, the first is shown; none for what is only typed.
    pub(crate) keys: &'static [KeyCode],
    /// The word in the footer and the palette.
    pub(crate) name: &'static str,
    /// What it does, for the help.
    pub(crate) help: &'static str,
    /// Where it stands in the help.
    pub(crate) group: Group,
    /// What it may do.
    pub(crate) reach: Reach,
    /// The screens where it means something; empty is all of them.
    pub(crate) screens: &'static [Screen],
    /// It stands in the footer of those screens.
    pub(crate) footer: bool,
}

const fn look(
    action: Action,
    keys: &'static [KeyCode],
    name: &'static str,
    help: &'static str,
) -> Binding {
    let (group, reach) = (Group::Look, Reach::Screen);
    Binding { action, keys, name, help, group, reach, screens: &[], footer: false }
}

const fn step(
    action: Action,
    keys: &'static [KeyCode],
    name: &'static str,
    help: &'static str,
) -> Binding {
    Binding { group: Group::Move, ..look(action, keys, name, help) }
}

const fn act(
    action: Action,
    key: &'static [KeyCode],
    name: &'static str,
    help: &'static str,
    reach: Reach,
) -> Binding {
    Binding { group: Group::Act, reach, footer: true, ..look(action, key, name, help) }
}

/// Screens with a table of VMs.
const VMS: &[Screen] = &[Screen::Overview, Screen::Instances];
/// Screens with a table that can be sorted.
const LISTS: &[Screen] = &[Screen::Overview, Screen::Instances, Screen::Requests];
/// Screens that show how large the fleet is.
const SIZED: &[Screen] = &[Screen::Overview, Screen::Instances, Screen::Autoscaler];
/// Screens with a time axis.
const TIMED: &[Screen] = &[Screen::Overview, Screen::Requests, Screen::Autoscaler];

use KeyCode::Char;

/// Every key there is.
pub(crate) static BINDINGS: &[Binding] = &[
    act(Action::Launch, &[Char('n')], "launch", "launch one VM", Reach::Cluster),
    Binding {
        screens: VMS,
        ..act(Action::Drain, &[Char('d')], "terminate", "drain the VM, then end it", Reach::Danger)
    },
    Binding {
        screens: VMS,
        ..act(Action::Kill, &[Char('K')], "kill", "kill the VM at once (SIGKILL)", Reach::Danger)
    },
    Binding {
        screens: VMS,
        footer: false,
        ..act(Action::Pause, &[Char('z')], "pause", "let the VM hang (SIGSTOP)", Reach::Danger)
    },
    Binding {
        screens: VMS,
        footer: false,
        ..act(Action::Resume, &[Char('Z')], "resume", "let it go on (SIGCONT)", Reach::Cluster)
    },
    act(
        Action::PauseAutoscaler,
        &[Char('p')],
        "pause-scaler",
        "pause or resume the autoscaler",
        Reach::Cluster,
    ),
    Binding {
        screens: VMS,
        ..act(Action::Menu, &[Char('a')], "actions", "all actions for the VM", Reach::Screen)
    },
    Binding {
        screens: VMS,
        footer: false,
        ..act(
            Action::Protect,
            &[Char('o')],
            "protect",
            "protect it from scale-in, or no longer",
            Reach::Cluster,
        )
    },
    Binding {
        screens: VMS,
        footer: false,
        ..act(Action::Image, &[Char('I')], "image", "make an image of the VM", Reach::Cluster)
    },
    Binding {
        screens: SIZED,
        footer: false,
        ..act(
            Action::Refresh,
            &[Char('R')],
            "refresh",
            "replace every VM, or stop it",
            Reach::Danger,
        )
    },
    Binding {
        screens: SIZED,
        footer: false,
        ..act(
            Action::SetDesired,
            &[Char('D')],
            "set-desired",
            "ask for so many VMs (asks if fewer)",
            Reach::Cluster,
        )
    },
    Binding {
        footer: false,
        ..act(Action::Limits, &[], "limits", "fewest and most VMs, tried first", Reach::Cluster)
    },
    Binding {
        screens: &[Screen::Autoscaler],
        ..act(Action::Policy, &[Char('P')], "policy", "try a policy and limits", Reach::Cluster)
    },
    Binding {
        screens: &[Screen::Overview, Screen::Requests],
        ..act(Action::Fire, &[Char('f')], "fire", "fire one request", Reach::Cluster)
    },
    Binding {
        screens: &[Screen::Requests],
        ..act(Action::FireMany, &[Char('F')], "fire-many", "fire many requests", Reach::Cluster)
    },
    Binding {
        screens: &[Screen::Requests],
        ..act(
            Action::Balancing,
            &[Char('B')],
            "balancing",
            "choose VMs by another rule",
            Reach::Cluster,
        )
    },
    Binding {
        footer: false,
        ..act(
            Action::RestartBalancer,
            &[],
            "restart-balancer",
            "a new balancer takes over",
            Reach::Cluster,
        )
    },
    Binding {
        footer: true,
        screens: LISTS,
        ..look(Action::Sort, &[Char('s')], "sort", "sort by the next column")
    },
    Binding {
        screens: LISTS,
        ..look(Action::Reverse, &[Char('S')], "reverse", "sort the other way round")
    },
    Binding {
        footer: true,
        screens: &[Screen::Instances, Screen::Requests, Screen::Events, Screen::Overview],
        ..look(Action::Filter, &[Char('/')], "filter", "filter: vm-4, 503, cpu>70, took>90")
    },
    Binding {
        footer: true,
        screens: &[Screen::Autoscaler],
        ..look(Action::Holds, &[Char('h')], "holds", "show or hide decisions to hold")
    },
    Binding {
        footer: true,
        screens: &[Screen::Events],
        ..look(Action::Level, &[Char('l')], "level", "show all, notes or warnings")
    },
    Binding {
        screens: TIMED,
        ..look(Action::Longer, &[Char('+'), Char('=')], "longer", "longer window of time")
    },
    Binding {
        screens: TIMED,
        ..look(Action::Shorter, &[Char('-')], "shorter", "shorter window of time")
    },
    Binding {
        footer: true,
        ..look(Action::Freeze, &[Char(' ')], "freeze", "freeze the picture, or let it go on")
    },
    look(Action::Copy, &[Char('y')], "copy", "copy the row (OSC 52)"),
    look(Action::Save, &[Char('w')], "save", "save this screen as text"),
    look(Action::Mouse, &[Char('m')], "mouse", "mouse on or off"),
    look(Action::Theme, &[Char('t')], "theme", "dark, light, no colour"),
    step(Action::Go(Screen::Overview), &[Char('1')], "overview", "the whole cluster"),
    step(Action::Go(Screen::Instances), &[Char('2')], "instances", "each VM"),
    step(Action::Go(Screen::Requests), &[Char('3')], "requests", "what is asked and answered"),
    step(Action::Go(Screen::Autoscaler), &[Char('4')], "autoscaler", "what it did, and why"),
    step(Action::Go(Screen::Events), &[Char('5')], "events", "what happened"),
    step(Action::Go(Screen::Cost), &[Char('6')], "cost", "what it costs"),
    step(Action::NextScreen, &[KeyCode::Tab], "next", "next screen"),
    step(Action::PreviousScreen, &[KeyCode::BackTab], "previous", "previous screen"),
    step(Action::Up, &[KeyCode::Up, Char('k')], "up", "row up"),
    step(Action::Down, &[KeyCode::Down, Char('j')], "down", "row down"),
    step(Action::PageUp, &[KeyCode::PageUp], "page-up", "page up"),
    step(Action::PageDown, &[KeyCode::PageDown], "page-down", "page down"),
    step(Action::First, &[Char('g'), KeyCode::Home], "first", "first row"),
    step(Action::Last, &[Char('G'), KeyCode::End], "last", "last row, follow"),
    step(Action::Open, &[KeyCode::Enter], "open", "open the row full size"),
    step(Action::Back, &[KeyCode::Esc], "back", "back, close, clear the filter"),
    Binding { footer: true, ..look(Action::Palette, &[Char(':')], "command", "type any action") },
    Binding {
        group: Group::Leave,
        ..look(Action::Leave, &[Char('q')], "quit", "leave; a cluster elsewhere runs on")
    },
    Binding {
        group: Group::Leave,
        reach: Reach::Danger,
        ..look(Action::Stop, &[Char('Q')], "stop-cluster", "stop the whole cluster")
    },
    look(Action::Help, &[Char('?')], "help", "this help"),
];

impl Binding {
    /// It means something on this screen.
    pub(crate) fn applies(&self, screen: Screen) -> bool {
        self.screens.is_empty() || self.screens.contains(&screen)
    }
}

/// What may be typed after the name of an action in the palette; nothing for most.
pub(crate) fn arguments(action: Action) -> &'static str {
    match action {
        Action::Launch => "launch · launch TYPE · launch image NAME",
        Action::Drain => "terminate · terminate VM",
        Action::Kill => "kill · kill VM",
        Action::Pause => "pause · pause VM",
        Action::Resume => "resume · resume VM",
        Action::Protect => "protect · protect VM",
        Action::Image => "image VM NAME",
        Action::Refresh => "refresh · refresh 50% of the fleet at a time",
        Action::SetDesired => "set-desired VMS",
        Action::Limits => "limits FEWEST MOST",
        Action::Balancing => {
            "balancing RULE: least-in-flight, least-work, power-of-two, round-robin, weighted, \
             join-idle-queue, by-file or fill-first"
        }
        Action::Policy => "policy · policy NAME KEY=VALUE …",
        Action::Fire | Action::FireMany => "fire · fire blur|enhance|raytrace MANY AT-A-TIME",
        _ => "",
    }
}

/// The row of an action.
pub(crate) fn binding(action: Action) -> Option<&'static Binding> {
    BINDINGS.iter().find(|binding| binding.action == action)
}
