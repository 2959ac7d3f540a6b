//! Keys while a dialog is open. In a text field every letter is a letter.

mod command;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::keys::{self, Action, BINDINGS, Binding, Reach};
use super::model::{Dialog, FIELDS, Model, Screen, Target, Wish};
use super::rows::{Status, rows};
use super::steer;
use super::update::{Effect, act, act_on, moved, refuse};
use crate::domain::cost::Kind;
use crate::operator::{Fault, Volley};

/// The actions that the menu of a VM offers.
pub(crate) const MENU: [Action; 7] = [
    Action::Drain,
    Action::Kill,
    Action::Pause,
    Action::Resume,
    Action::Protect,
    Action::Image,
    Action::Copy,
];

/// How long a typed text may become.
const TYPED: usize = 200;

/// Takes a key while a dialog is open.
pub(crate) fn key(model: &mut Model, key: KeyEvent) -> Option<Effect> {
    let dialog = model.dialog.take()?;
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    // Ctrl-C closes whatever asks, without doing it; a second one leaves.
    if key.code == KeyCode::Esc || control && key.code == KeyCode::Char('c') {
        if let Dialog::Filter { before } = dialog {
            *filter_of(model) = before;
        }
        return None;
    }
    if control || key.modifiers.contains(KeyModifiers::ALT) {
        model.dialog = Some(dialog);
        return None;
    }
    match dialog {
        Dialog::Help { top } => help(model, top, key.code),
        Dialog::Filter { before } => filter(model, before, key.code),
        Dialog::Palette { input, index } => return palette(model, input, index, key.code),
        Dialog::Menu { target, index } => return menu(model, target, index, key.code),
        Dialog::Confirm(wish) => return confirm(model, wish, key.code),
        Dialog::Fire { volley, field } => return fire(model, volley, field, key.code),
        Dialog::Policy { input } => return policy(model, input, key.code),
        Dialog::Leave => return leave(model, key.code),
    }
    None
}

fn help(model: &mut Model, top: usize, key: KeyCode) {
    let top = match key {
        KeyCode::Down | KeyCode::PageDown | KeyCode::Char('j') => top.saturating_add(1),
        KeyCode::Up | KeyCode::PageUp | KeyCode::Char('k') => top.saturating_sub(1),
        KeyCode::Char('?' | 'q') | KeyCode::Enter => return,
        _ => top,
    };
    model.dialog = Some(Dialog::Help { top: top.min(BINDINGS.len()) });
}

/// The filter of the screen's list.
pub(crate) fn filter_of(model: &mut Model) -> &mut String {
    match model.screen {
        Screen::Events => &mut model.event_filter,
        Screen::Requests => &mut model.request_filter,
        _ => &mut model.vm_filter,
    }
}

fn filter(model: &mut Model, before: String, key: KeyCode) {
    match key {
        KeyCode::Enter => return,
        key => typed(filter_of(model), key),
    }
    model.dialog = Some(Dialog::Filter { before });
}

fn typed(text: &mut String, key: KeyCode) {
    match key {
        KeyCode::Char(c) if text.len() < TYPED => text.push(c),
        KeyCode::Backspace => {
            text.pop();
        }
        _ => {}
    }
}

/// The actions that the palette offers for what was typed, the best first.
pub(crate) fn offers(model: &Model, input: &str) -> Vec<&'static Binding> {
    let word = input.split_whitespace().next().unwrap_or("").to_lowercase();
    let mut offers = BINDINGS
        .iter()
        .filter(|binding| binding.applies(model.screen) || binding.reach != Reach::Screen)
        .filter(|binding| binding.action != Action::Palette)
        .filter_map(|binding| Some((rank(binding, &word)?, binding)))
        .collect::<Vec<_>>();
    offers.sort_by_key(|(rank, _)| *rank);
    offers.into_iter().map(|(_, binding)| binding).collect()
}

/// How well a word fits an action, 0 best: the beginning of its name, somewhere in it, in its
/// help, or its letters in order.
fn rank(binding: &Binding, word: &str) -> Option<u8> {
    let mut letters = binding.name.chars();
    if binding.name == word {
        Some(0)
    } else if binding.name.starts_with(word) {
        Some(1)
    } else if binding.name.contains(word) {
        Some(2)
    } else if binding.help.to_lowercase().contains(word) {
        Some(3)
    } else if word.chars().all(|c| letters.any(|letter| letter == c)) {
        Some(4)
    } else {
        None
    }
}

/// Has an action typed to its end: after the VM it is about, or with what is in force.
pub(crate) fn begin(model: &mut Model, action: Action, target: Option<&Target>) {
    let Some(binding) = keys::binding(action) else { return };
    let file = model.live.as_state.document.as_ref();
    let begun = match (action, target, file) {
        (Action::Image, Some(target), _) => format!("{} ", target.id),
        (Action::SetDesired, _, Some(file)) => file.desired.to_string(),
        (Action::Limits, _, Some(file)) if file.maximum != u32::MAX => {
            format!("{} {}", file.minimum, file.maximum)
        }
        _ => String::new(),
    };
    let input = format!("{} {begun}", binding.name);
    model.dialog = Some(Dialog::Palette { input, index: 0 });
}

fn palette(model: &mut Model, mut input: String, index: usize, key: KeyCode) -> Option<Effect> {
    let offers = offers(model, &input);
    let index = match key {
        KeyCode::Enter => {
            let Some(binding) = offers.get(index) else {
                refuse(model, &format!("nothing here is called `{}`", input.trim()));
                return None;
            };
            let arguments = input.split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
            return command::command(model, binding, arguments.trim());
        }
        KeyCode::Down => moved(index, 1, offers.len()),
        KeyCode::Up => moved(index, -1, offers.len()),
        key => {
            typed(&mut input, key);
            0
        }
    };
    model.dialog = Some(Dialog::Palette { input, index });
    None
}

/// Changes what is to be fired: arrows choose, digits are typed, Enter fires.
fn fire(model: &mut Model, volley: Volley, field: usize, key: KeyCode) -> Option<Effect> {
    let Volley { workload, count, at_once } = volley;
    let (mut workload, mut count, mut at_once) = (workload, count, at_once);
    let mut field = field;
    match key {
        KeyCode::Enter => {
            model.fired = workload;
            return Some(Effect::Fire(volley));
        }
        KeyCode::Down | KeyCode::Tab => field = moved(field, 1, FIELDS.len()),
        KeyCode::Up | KeyCode::BackTab => field = moved(field, -1, FIELDS.len()),
        key if field == 0 => workload = other_workload(workload, key),
        key if field == 1 => count = other_number(count, key),
        key => at_once = other_number(at_once, key),
    }
    // What is asked for at a time is never more than there is.
    let volley = match field {
        2 => Volley::of(workload, count.max(at_once), at_once),
        _ => Volley::of(workload, count, at_once),
    };
    model.dialog = Some(Dialog::Fire { volley, field });
    None
}

/// The next workload, or the one whose first letter was typed.
fn other_workload(workload: Kind, key: KeyCode) -> Kind {
    let all = Kind::WORKLOADS;
    let at = all.iter().position(|kind| *kind == workload).unwrap_or(0);
    match key {
        KeyCode::Right | KeyCode::Char(' ') => all[(at + 1) % all.len()],
        KeyCode::Left => all[(at + all.len() - 1) % all.len()],
        KeyCode::Char(c) => {
            all.into_iter().find(|kind| kind.as_str().starts_with(c)).unwrap_or(workload)
        }
        _ => workload,
    }
}

fn other_number(number: u32, key: KeyCode) -> u32 {
    match key {
        KeyCode::Right => number.saturating_add(1),
        KeyCode::Left => number.saturating_sub(1),
        KeyCode::Backspace => number / 10,
        KeyCode::Char(c) => {
            c.to_digit(10).map_or(number, |digit| number.saturating_mul(10).saturating_add(digit))
        }
        _ => number,
    }
}

/// Types a policy. Enter puts it in force if it makes sense.
fn policy(model: &mut Model, mut input: String, key: KeyCode) -> Option<Effect> {
    if key == KeyCode::Enter {
        match steer::parse(&model.live, &input) {
            Ok(steering) => return Some(Effect::Steer(steering)),
            Err(problem) => refuse(model, &problem),
        }
    } else {
        typed(&mut input, key);
    }
    model.dialog = Some(Dialog::Policy { input });
    None
}

fn menu(model: &mut Model, target: Target, index: usize, key: KeyCode) -> Option<Effect> {
    let index = match key {
        KeyCode::Down | KeyCode::Char('j') => moved(index, 1, MENU.len()),
        KeyCode::Up | KeyCode::Char('k') => moved(index, -1, MENU.len()),
        KeyCode::Enter => return from_menu(model, MENU.get(index).copied()?, target),
        key => {
            let hit = MENU.into_iter().find(|action| {
                keys::binding(*action)
                    .is_some_and(|binding| model.rebound.keys(binding).contains(&key))
            });
            if let Some(action) = hit {
                return from_menu(model, action, target);
            }
            index
        }
    };
    model.dialog = Some(Dialog::Menu { target, index });
    None
}

/// Does what was chosen in the menu to the VM for which it was opened, whatever is chosen in the
/// table by now.
fn from_menu(model: &mut Model, action: Action, target: Target) -> Option<Effect> {
    if action == Action::Copy {
        let pid = target.pid.map(|pid| format!(" pid {pid}")).unwrap_or_default();
        return Some(Effect::Copy(format!("{}{pid}", target.id)));
    }
    if model.options.read_only {
        return act(model, action);
    }
    if action == Action::Image {
        begin(model, action, Some(&target));
        return None;
    }
    let status = status_of(model, &target);
    act_on(model, action, target, status)
}

/// What the VM of a dialog is by now; a process of another number is another VM.
fn status_of(model: &Model, target: &Target) -> Status {
    rows(&model.live)
        .iter()
        .find(|row| row.id == &target.id && row.report.map(|report| report.pid) == target.pid)
        .map_or(Status::Terminated, |row| row.status)
}

/// `y` alone says yes: Enter, which the hand presses by itself, says no.
fn confirm(model: &mut Model, wish: Wish, key: KeyCode) -> Option<Effect> {
    if key != KeyCode::Char('y') {
        if !matches!(key, KeyCode::Char('n') | KeyCode::Enter) {
            model.dialog = Some(Dialog::Confirm(wish));
        }
        return None;
    }
    match wish {
        Wish::StopCluster => Some(Effect::Leave { stop: true }),
        Wish::Drain(target) if still_there(model, &target) => Some(Effect::Drain(target)),
        Wish::Inflict(target, fault) if still_there(model, &target) => {
            Some(Effect::Inflict(target, fault))
        }
        Wish::Refresh(share) => Some(Effect::Refresh(share)),
        Wish::Shrink(number) => Some(Effect::SetDesired(number)),
        Wish::Drain(target) | Wish::Inflict(target, Fault::Kill | Fault::Pause | Fault::Resume) => {
            refuse(model, &format!("{} already ended: nothing was done", named(&target)));
            None
        }
    }
}

/// The VM of the dialog is the one that it was when the dialog opened.
fn still_there(model: &Model, target: &Target) -> bool {
    rows(&model.live)
        .iter()
        .any(|row| row.id == &target.id && row.report.map(|report| report.pid) == target.pid)
}

/// A VM with its process.
pub(crate) fn named(target: &Target) -> String {
    match target.pid {
        Some(pid) => format!("{} (pid {pid})", target.id),
        None => target.id.to_string(),
    }
}

fn leave(model: &mut Model, key: KeyCode) -> Option<Effect> {
    match key {
        KeyCode::Char('y') => Some(Effect::Leave { stop: true }),
        KeyCode::Char('d') => Some(Effect::Leave { stop: false }),
        KeyCode::Char('n') | KeyCode::Enter => None,
        _ => {
            model.dialog = Some(Dialog::Leave);
            None
        }
    }
}
