//! The one table of keys: input, footer, help and palette all read it, so none of them can lie.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::Screen;

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
    /// The keys, the first is shown.
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
        footer: true,
        screens: VMS,
        ..look(Action::Sort, &[Char('s')], "sort", "sort by the next column")
    },
    Binding {
        screens: VMS,
        ..look(Action::Reverse, &[Char('S')], "reverse", "sort the other way round")
    },
    Binding {
        footer: true,
        screens: &[Screen::Instances, Screen::Requests, Screen::Events, Screen::Overview],
        ..look(Action::Filter, &[Char('/')], "filter", "filter: vm-4, blur, 503, cpu>70, !running")
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

/// Keys that a person put in the place of those of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebound(Vec<(Action, KeyCode)>);

impl Rebound {
    /// Reads `launch=L freeze=F5`: the names are those of the palette, a key is a sign or one of
    /// `Space`, `Tab`, `Enter`, `Del` and `F1` to `F12`.
    ///
    /// # Errors
    /// A sentence, for what is no such pair, or where a key would mean two things on one screen.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut rebound = Self::default();
        for pair in text.split_whitespace() {
            let (name, key) = pair.split_once('=').ok_or_else(|| {
                format!("screen.keys: `{pair}` is not NAME=KEY, for example launch=L")
            })?;
            let Some(binding) = BINDINGS.iter().find(|binding| binding.name == name) else {
                let names = BINDINGS.iter().map(|b| b.name).collect::<Vec<_>>().join(", ");
                return Err(format!("screen.keys: nothing is called `{name}`; there is {names}"));
            };
            let key = key_of(key).ok_or_else(|| {
                format!("screen.keys: `{key}` is no key: a sign, Space, Tab, Del or F1 to F12")
            })?;
            rebound.0.push((binding.action, key));
        }
        rebound.check()?;
        Ok(rebound)
    }

    fn check(&self) -> Result<(), String> {
        for screen in Screen::ALL {
            let here = || BINDINGS.iter().filter(|binding| binding.applies(screen));
            for (at, binding) in here().enumerate() {
                let twice =
                    |key: &&KeyCode| here().skip(at + 1).any(|b| self.keys(b).contains(key));
                if let Some(key) = self.keys(binding).iter().find(twice) {
                    return Err(format!(
                        "screen.keys: {} would mean two things on the screen {}, one is {}",
                        shown(*key),
                        screen.name(),
                        binding.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// The keys of an action.
    pub(crate) fn keys(&self, binding: &'static Binding) -> &[KeyCode] {
        let own = self.0.iter().rev().find(|(action, _)| *action == binding.action);
        own.map_or(binding.keys, |(_, key)| std::slice::from_ref(key))
    }

    /// The key of an action as it is shown.
    pub(crate) fn shown(&self, binding: &'static Binding) -> String {
        self.keys(binding).first().map(|key| shown(*key)).unwrap_or_default()
    }

    /// What a key asks for on a screen. Ctrl-C leaves, as `q`; no other Ctrl combination does
    /// anything: they lie too close to the keys that move.
    pub(crate) fn action(&self, key: KeyEvent, screen: Screen) -> Option<Action> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == Char('c')).then_some(Action::Leave);
        }
        if key.modifiers.contains(KeyModifiers::ALT) {
            return None;
        }
        BINDINGS
            .iter()
            .find(|binding| binding.applies(screen) && self.keys(binding).contains(&key.code))
            .map(|binding| binding.action)
    }
}

/// A key by its name.
fn key_of(name: &str) -> Option<KeyCode> {
    let mut signs = name.chars();
    if let (Some(sign), None) = (signs.next(), signs.next()) {
        return (!sign.is_control()).then_some(Char(sign));
    }
    match name.to_ascii_lowercase().as_str() {
        "space" => Some(Char(' ')),
        "tab" => Some(KeyCode::Tab),
        "enter" => Some(KeyCode::Enter),
        "del" => Some(KeyCode::Delete),
        other => {
            let number = other.strip_prefix('f')?.parse().ok()?;
            (1..=12).contains(&number).then_some(KeyCode::F(number))
        }
    }
}

/// The row of an action.
pub(crate) fn binding(action: Action) -> Option<&'static Binding> {
    BINDINGS.iter().find(|binding| binding.action == action)
}

fn shown(key: KeyCode) -> String {
    match key {
        Char(' ') => "Space".to_owned(),
        Char(c) => c.to_string(),
        KeyCode::Up => "↑".to_owned(),
        KeyCode::Down => "↓".to_owned(),
        KeyCode::BackTab => "S-Tab".to_owned(),
        KeyCode::PageUp => "PgUp".to_owned(),
        KeyCode::PageDown => "PgDn".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_means_two_things_on_one_screen_and_no_action_stands_twice() {
        for screen in Screen::ALL {
            let here = BINDINGS.iter().filter(|binding| binding.applies(screen));
            let keys: Vec<_> = here.flat_map(|binding| binding.keys).collect();
            let distinct: HashSet<_> = keys.iter().collect();
            assert_eq!(distinct.len(), keys.len(), "{screen:?}");
        }
        let actions: HashSet<_> = BINDINGS.iter().map(|binding| binding.action).collect();
        assert_eq!(actions.len(), BINDINGS.len());
    }

    #[test]
    fn no_dangerous_key_lies_beside_a_plain_letter_that_moves() {
        let ctrl = |c| KeyEvent::new(Char(c), KeyModifiers::CONTROL);
        for c in ('a'..='z').filter(|c| *c != 'c') {
            assert_eq!(Rebound::default().action(ctrl(c), Screen::Instances), None, "Ctrl-{c}");
        }
        let leaves = Rebound::default().action(ctrl('c'), Screen::Instances);
        assert_eq!(leaves, Some(Action::Leave));
    }

    #[test]
    fn a_key_of_ones_own_takes_the_place_of_the_other_and_never_means_two_things() {
        let plain = |c| KeyEvent::new(c, KeyModifiers::NONE);
        let own = Rebound::read("launch=L freeze=F5").unwrap();
        assert_eq!(own.action(plain(Char('L')), Screen::Cost), Some(Action::Launch));
        assert_eq!(own.action(plain(Char('n')), Screen::Cost), None);
        assert_eq!(own.action(plain(KeyCode::F(5)), Screen::Cost), Some(Action::Freeze));
        assert_eq!(own.shown(binding(Action::Launch).unwrap()), "L");
        let problem = |text| Rebound::read(text).unwrap_err();
        assert!(problem("launch=q").contains("two things"), "{}", problem("launch=q"));
        assert!(problem("lunch=L").contains("nothing is called `lunch`"));
        assert!(problem("launch").contains("is not NAME=KEY"));
        assert!(problem("launch=Ctrl-L").contains("is no key"));
    }
}
