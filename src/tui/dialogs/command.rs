//! What is typed into the palette after the name of an action.

use crate::domain::balancing;
use crate::domain::cost::Kind;
use crate::domain::vm::UnknownWord;
use crate::operator::{self, Volley};
use crate::state::image::{BadImageName, ImageName};
use crate::tui::keys::{Action, Binding, Reach};
use crate::tui::model::{Dialog, Model, Target, Wish};
use crate::tui::rows::{Status, rows};
use crate::tui::steer;
use crate::tui::update::{Effect, act, act_on, refresh, refuse, target};

/// Does what the palette names, to the VM or with the words that were typed after it.
pub(super) fn command(model: &mut Model, binding: &Binding, arguments: &str) -> Option<Effect> {
    let read_only = model.options.read_only && binding.reach != Reach::Screen;
    if arguments.is_empty() || read_only {
        return act(model, binding.action);
    }
    match typed(model, binding.action, arguments) {
        Ok(effect) => effect,
        Err(problem) => {
            refuse(model, &problem);
            None
        }
    }
}

fn typed(model: &mut Model, action: Action, arguments: &str) -> Result<Option<Effect>, String> {
    let mut words = arguments.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    match action {
        Action::Launch => launch(model, first, second).map(Some),
        Action::Drain | Action::Kill | Action::Pause | Action::Resume | Action::Protect => {
            let (target, status) = named(model, first)?;
            Ok(act_on(model, action, target, status))
        }
        Action::Image => {
            let (target, _) = named(model, first)?;
            let name = second.ok_or("a name is needed after the VM: image vm-1 web")?;
            let name = name.parse().map_err(|error: BadImageName| error.to_string())?;
            Ok(Some(Effect::MakeImage(name, target)))
        }
        Action::Refresh => Ok(refresh(model, operator::read_share(first)?)),
        Action::SetDesired => set_desired(model, first),
        Action::Limits => {
            let mut input = steer::in_force(&model.live).ok_or("there is no ASState.xml yet")?;
            input = without_limits(&input);
            let maximum = second.ok_or("two numbers are needed: limits 2 10")?;
            // Shown with what they would have done; Enter puts them in force.
            let input = format!("{input} minimum={first} maximum={maximum}");
            model.dialog = Some(Dialog::Policy { input });
            Ok(None)
        }
        Action::Balancing => {
            let rule = first.parse::<balancing::Policy>();
            let rule = rule.map_err(|error: UnknownWord| error.to_string())?;
            Ok(Some(Effect::BalanceBy(rule)))
        }
        Action::Fire | Action::FireMany => fire(model, arguments).map(Some),
        Action::Policy => {
            model.dialog = Some(Dialog::Policy { input: arguments.to_owned() });
            Ok(None)
        }
        action => Ok(act(model, action)),
    }
}

/// The VM of this name.
fn named(model: &Model, id: &str) -> Result<(Target, Status), String> {
    let rows = rows(&model.live);
    let found = rows.iter().find(|row| row.id.as_str() == id);
    found
        .map(|row| (target(row), row.status))
        .ok_or_else(|| format!("there is no VM called `{id}`"))
}

/// `launch`, `launch c5.large`, `launch image web`.
fn launch(model: &Model, first: &str, second: Option<&str>) -> Result<Effect, String> {
    let types = &model.live.known.types;
    if first == "image" {
        let name = second.ok_or("a name is needed: launch image web")?;
        let name = name.parse::<ImageName>();
        return Ok(Effect::LaunchFrom(name.map_err(|error| error.to_string())?));
    }
    if types.contains_key(first) {
        return Ok(Effect::Launch(Some(first.to_owned())));
    }
    let names = types.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(format!("no instance type is called `{first}`; there are {names}"))
}

/// Fewer VMs than now means that some are drained and end: that is asked first.
fn set_desired(model: &mut Model, number: &str) -> Result<Option<Effect>, String> {
    let number = number
        .parse::<u32>()
        .map_err(|_| format!("{number}: a whole number is needed: set-desired 5"))?;
    let file = model.live.as_state.document.as_ref().ok_or("there is no ASState.xml yet")?;
    if number < file.wanted().max(file.desired) {
        model.dialog = Some(Dialog::Confirm(Wish::Shrink(number)));
        return Ok(None);
    }
    Ok(Some(Effect::SetDesired(number)))
}

/// A policy as it is typed, without its limits.
fn without_limits(input: &str) -> String {
    let is_limit = |word: &&str| word.starts_with("minimum=") || word.starts_with("maximum=");
    input.split_whitespace().filter(|word| !is_limit(word)).collect::<Vec<_>>().join(" ")
}

/// Fires what was typed: `raytrace`, `blur 20`, `blur 20 4`.
fn fire(model: &mut Model, arguments: &str) -> Result<Effect, String> {
    let mut words = arguments.split_whitespace();
    let workload = words
        .next()
        .and_then(|word| Kind::WORKLOADS.into_iter().find(|workload| workload.as_str() == word));
    let mut number = || words.next().map_or(Ok(1), str::parse::<u32>);
    let (Some(workload), Ok(count), Ok(at_once)) = (workload, number(), number()) else {
        let right = "a workload is needed, then how many and how many at a time: blur 20 4";
        return Err(right.to_owned());
    };
    model.fired = workload;
    Ok(Effect::Fire(Volley::of(workload, count, at_once)))
}
