//! How messages change the model, and what they ask of the world. Pure: effects are returned, not
//! done.

use crossterm::event::KeyEvent;
use jiff::Timestamp;

use super::cost;
use super::dialogs;
use super::events_list;
use super::format::since;
use super::keys::{self, Action, Reach};
use super::model::{Dialog, Model, Notice, Screen, Target, WINDOWS, Wish};
use super::news::News;
use super::rows::{Row, Status};
use super::sort;
use super::steer::{self, Steering};
use super::verdict::{Condition, judge};
use crate::domain::balancing;
use crate::domain::vm::VmId;
use crate::operator::{Fault, Volley};
use crate::state::as_state::Refresh;
use crate::state::image::ImageName;
use crate::units::Share;

/// How long a notice stays.
const NOTICE_FOR: std::time::Duration = std::time::Duration::from_secs(8);

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// The wheel was turned, up or down.
    Wheel { up: bool },
    /// The state folder said something, or time passed.
    News(Box<News>),
    /// The window has another size.
    Resize(u16, u16),
    /// An effect was done, or was not: a sentence.
    Done(Result<String, String>),
}

/// What is asked of the world: the only way by which keys touch it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Launch a VM of this type, or of the default one.
    Launch(Option<String>),
    /// Launch a VM from an image.
    LaunchFrom(ImageName),
    /// Make an image of a VM.
    MakeImage(ImageName, Target),
    /// Protect a VM from scale-in and refresh, or no longer.
    Protect(VmId, bool),
    /// Replace every VM, so much of the fleet at a time.
    Refresh(Share),
    /// Replace no more.
    StopRefresh,
    /// Ask for so many VMs.
    SetDesired(u32),
    /// Choose VMs by another rule.
    BalanceBy(balancing::Policy),
    /// Have another balancer take over.
    RestartBalancer,
    /// Drain and end a VM.
    Drain(Target),
    /// Do something to a VM's process.
    Inflict(Target, Fault),
    /// Pause the autoscaler, or let it go on.
    PauseAutoscaler(bool),
    /// Fire requests.
    Fire(Volley),
    /// Put a policy and limits in force.
    Steer(Steering),
    /// Put a text into the clipboard.
    Copy(String),
    /// Write the screen into a file.
    Save,
    /// Take the mouse, or give it back.
    Mouse(bool),
    /// Leave the screen.
    Leave {
        /// And stop the cluster.
        stop: bool,
    },
}

/// Changes the model as the message says. Returns what it asks of the world.
pub(crate) fn update(model: &mut Model, message: Message) -> Option<Effect> {
    match message {
        Message::News(news) => {
            let now = news.at;
            model.live.take_in(*news);
            forget_notice(model, now);
            keep_choice(model);
            model.stale_seen &= judge(model.shown()).condition == Condition::Stale;
            None
        }
        Message::Resize(width, height) => {
            model.size = (width, height);
            None
        }
        Message::Done(result) => {
            let bad = result.is_err();
            let text = result.unwrap_or_else(|problem| problem);
            model.notice = Some(Notice { text, bad, at: model.live.now });
            None
        }
        Message::Wheel { up } => {
            if model.dialog.is_none() {
                act(model, if up { Action::Up } else { Action::Down })
            } else {
                None
            }
        }
        Message::Key(key) if model.dialog.is_some() => dialogs::key(model, key),
        Message::Key(key) => {
            model.rebound.action(key, model.screen).and_then(|wish| act(model, wish))
        }
    }
}

/// Chooses a VM as soon as there is one, and the neighbour of one that has gone: what is chosen is
/// always a VM, never a place in a list that moves.
fn keep_choice(model: &mut Model) {
    let (rows, _) = model.rows();
    let index = model.chosen_index(&rows);
    let id = rows.get(index).map(|row| row.id.clone());
    model.places.vm_index = index;
    model.places.vm = id.or(model.places.vm.take());
}

fn forget_notice(model: &mut Model, now: Timestamp) {
    let old = |notice: &Notice| since(now, notice.at) > NOTICE_FOR;
    if model.notice.as_ref().is_some_and(old) {
        model.notice = None;
    }
}

/// Does what a key, the palette or a menu asked for.
pub(crate) fn act(model: &mut Model, action: Action) -> Option<Effect> {
    let reach = keys::binding(action).map_or(Reach::Screen, |binding| binding.reach);
    // Stopping the cluster from a screen that does not belong to it is refused below, in words.
    if model.options.read_only && reach != Reach::Screen {
        refuse(model, "read-only: nothing can be done from here, only looked at");
        return None;
    }
    match action {
        Action::Go(screen) => go(model, screen),
        Action::NextScreen => go(model, model.screen.shifted(1)),
        Action::PreviousScreen => go(model, model.screen.shifted(Screen::ALL.len() - 1)),
        Action::Up => step(model, -1),
        Action::Down => step(model, 1),
        Action::PageUp => step(model, -page(model)),
        Action::PageDown => step(model, page(model)),
        Action::First => step(model, isize::MIN),
        Action::Last => step(model, isize::MAX),
        Action::Open => model.opened = true,
        Action::Back => back(model),
        Action::Longer => model.window = Some((model.window_index() + 1).min(WINDOWS.len() - 1)),
        Action::Shorter => model.window = Some(model.window_index().saturating_sub(1)),
        Action::Sort => sort::by_next(model),
        Action::Reverse => sort::reverse(model),
        Action::Freeze => freeze(model),
        Action::Holds => model.holds = !model.holds,
        Action::Level => model.level = model.level.next(),
        Action::Theme => model.theme = model.theme.next(),
        Action::Help => model.dialog = Some(Dialog::Help { top: 0 }),
        Action::Palette => {
            model.dialog = Some(Dialog::Palette { input: String::new(), index: 0 });
        }
        Action::Filter => {
            let before = dialogs::filter_of(model).clone();
            model.dialog = Some(Dialog::Filter { before });
        }
        Action::Copy => return copied(model).map(Effect::Copy),
        Action::Save => return Some(Effect::Save),
        Action::Mouse => {
            model.mouse = !model.mouse;
            return Some(Effect::Mouse(model.mouse));
        }
        _ => return operate(model, action),
    }
    None
}

/// Does what reaches beyond the screen.
fn operate(model: &mut Model, action: Action) -> Option<Effect> {
    match action {
        Action::Launch => return Some(Effect::Launch(None)),
        Action::PauseAutoscaler => {
            let paused = model.live.as_state.document.as_ref().map(|document| document.paused);
            match paused {
                Some(paused) => return Some(Effect::PauseAutoscaler(!paused)),
                None => refuse(model, "there is no ASState.xml yet"),
            }
        }
        Action::Menu => {
            if let Some((target, _)) = chosen(model) {
                model.dialog = Some(Dialog::Menu { target, index: 0 });
            }
        }
        Action::Drain | Action::Kill | Action::Pause | Action::Resume | Action::Protect => {
            let Some((target, status)) = chosen(model) else {
                refuse(model, "there is no VM here to act on");
                return None;
            };
            return act_on(model, action, target, status);
        }
        Action::Refresh => return refresh(model, Share::saturating(Refresh::SHARE)),
        Action::SetDesired | Action::Limits | Action::Balancing | Action::Image => {
            let target = chosen(model).map(|(target, _)| target);
            dialogs::begin(model, action, target.as_ref());
        }
        Action::RestartBalancer => return Some(Effect::RestartBalancer),
        Action::Fire => ask_what_to_fire(model, 1, 1),
        Action::FireMany => ask_what_to_fire(model, 20, 4),
        Action::Policy => match steer::in_force(&model.live) {
            Some(input) => model.dialog = Some(Dialog::Policy { input }),
            None => refuse(model, "there is no ASState.xml yet"),
        },
        Action::Leave if model.options.in_up => model.dialog = Some(Dialog::Leave),
        Action::Leave => return Some(Effect::Leave { stop: false }),
        Action::Stop if model.options.in_up => {
            model.dialog = Some(Dialog::Confirm(Wish::StopCluster));
        }
        Action::Stop => {
            refuse(model, "the cluster belongs to another terminal: stop it there with Ctrl-C");
        }
        _ => {}
    }
    None
}

/// Asks before every VM is replaced; one that goes on is stopped without a question.
pub(crate) fn refresh(model: &mut Model, share: Share) -> Option<Effect> {
    if model.live.as_state.document.as_ref().is_some_and(|file| file.refresh.is_some()) {
        return Some(Effect::StopRefresh);
    }
    model.dialog = Some(Dialog::Confirm(Wish::Refresh(share)));
    None
}

fn ask_what_to_fire(model: &mut Model, count: u32, at_once: u32) {
    let volley = Volley::of(model.fired, count, at_once);
    model.dialog = Some(Dialog::Fire { volley, field: 0 });
}

/// Does something to one VM, or asks about it first.
pub(crate) fn act_on(
    model: &mut Model,
    action: Action,
    target: Target,
    status: Status,
) -> Option<Effect> {
    if action == Action::Protect {
        let file = model.live.as_state.document.as_ref();
        let order = file.and_then(|file| file.order(&target.id));
        let protected = order.is_some_and(|order| order.protected);
        return Some(Effect::Protect(target.id, !protected));
    }
    if action != Action::Drain && !status.has_process() {
        refuse(model, &format!("{} is {status} and has no process to act on", target.id));
        return None;
    }
    let wish = match action {
        Action::Drain => Wish::Drain(target),
        Action::Kill => Wish::Inflict(target, Fault::Kill),
        Action::Pause => Wish::Inflict(target, Fault::Pause),
        Action::Resume => return Some(Effect::Inflict(target, Fault::Resume)),
        _ => return None,
    };
    model.dialog = Some(Dialog::Confirm(wish));
    None
}

/// The VM that is chosen, with the process it has now, and what it is.
pub(crate) fn chosen(model: &Model) -> Option<(Target, Status)> {
    let (rows, _) = model.rows();
    let row = rows.get(model.chosen_index(&rows))?;
    Some((target(row), row.status))
}

pub(crate) fn target(row: &Row<'_>) -> Target {
    Target { id: row.id.clone(), pid: row.report.map(|report| report.pid) }
}

pub(crate) fn refuse(model: &mut Model, text: &str) {
    model.notice = Some(Notice { text: text.to_owned(), bad: true, at: model.live.now });
}

fn go(model: &mut Model, screen: Screen) {
    model.screen = screen;
    model.opened = false;
}

fn back(model: &mut Model) {
    let stale = judge(model.shown()).condition == Condition::Stale;
    if model.opened {
        model.opened = false;
    } else if stale && !model.stale_seen {
        model.stale_seen = true;
    } else if model.notice.take().is_none() {
        dialogs::filter_of(model).clear();
    }
}

fn freeze(model: &mut Model) {
    model.frozen = match model.frozen.take() {
        Some(_) => None,
        None => Some(Box::new(model.live.clone())),
    };
}

fn page(model: &Model) -> isize {
    isize::from(i16::try_from(model.size.1).unwrap_or(i16::MAX)).saturating_sub(8).max(1)
}

/// Moves by so many rows in the list of the screen.
fn step(model: &mut Model, by: isize) {
    match model.screen {
        Screen::Overview | Screen::Instances => {
            let (rows, _) = model.rows();
            let index = moved(model.chosen_index(&rows), by, rows.len());
            let id = rows.get(index).map(|row| row.id.clone());
            model.places.vm = id;
            model.places.vm_index = index;
        }
        Screen::Autoscaler => {
            let acts = model.acts();
            let index = moved(model.chosen_act(&acts), by, acts.len());
            // The newest is followed.
            let place = acts.get(index).map(super::acts::Act::at).filter(|_| index > 0);
            model.places.act = place;
        }
        Screen::Events => model.places.event = events_list::step_events(model, by),
        Screen::Requests => model.places.request = events_list::step_requests(model, by),
        Screen::Cost => {
            let all = cost::bill(model.shown()).items.len();
            model.places.cost = moved(model.places.cost, by, all);
        }
    }
}

/// The index so many further on, within a list of this length.
pub(crate) fn moved(index: usize, by: isize, length: usize) -> usize {
    index.saturating_add_signed(by).min(length.saturating_sub(1))
}

/// The row that is chosen, as text.
fn copied(model: &mut Model) -> Option<String> {
    let text = match model.screen {
        Screen::Overview | Screen::Instances => {
            let (rows, _) = model.rows();
            rows.get(model.chosen_index(&rows)).map(|row| {
                let place = row.report.map(|r| format!(" {} pid {}", r.address, r.pid));
                format!("{} {}{}", row.id, row.status, place.unwrap_or_default())
            })
        }
        Screen::Autoscaler => {
            let acts = model.acts();
            acts.get(model.chosen_act(&acts)).map(|act| match act {
                super::acts::Act::Decision { decided, .. } => {
                    format!(
                        "{} {} to {}: {}",
                        decided.at, decided.action, decided.to, decided.reason
                    )
                }
                super::acts::Act::Event(event) => event.to_string(),
            })
        }
        Screen::Events => events_list::last_shown_event(model).map(ToString::to_string),
        Screen::Requests => events_list::last_shown_request(model).map(ToString::to_string),
        Screen::Cost => None,
    };
    if text.is_none() {
        refuse(model, "there is no row here to copy");
    }
    text
}

#[cfg(test)]
mod tests;
