//! Does what the keys asked for, through the same functions as the command line, and says in a
//! sentence what came of it.

use std::fs;
use std::io::Write;
use std::path::Path;

use ratatui::buffer::Buffer;

use super::format;
use super::model::Target;
use super::steer::Steering;
use super::update::Effect;
use crate::operator::{self, Fault};
use crate::state::StateFolder;
use crate::state::vm_state::VmStateFile;

/// Does what reaches into the cluster. Blocks, on files or on a lock. None for an effect that is
/// the terminal's business.
pub(crate) fn operate(folder: &StateFolder, effect: &Effect) -> Option<Result<String, String>> {
    let done = match effect {
        Effect::Launch(instance_type) => operator::launch(folder, instance_type.as_deref(), None)
            .map(|id| format!("{id} will be launched")),
        Effect::LaunchFrom(image) => operator::launch(folder, None, Some(image))
            .map(|id| format!("{id} will be launched from image {image}")),
        Effect::Protect(id, protected) => operator::protect(folder, id, *protected).map(|_| {
            if *protected {
                format!("no scale-in and no refresh takes {id} away")
            } else {
                format!("{id} is no longer protected")
            }
        }),
        Effect::Refresh(share) => operator::refresh(folder, *share)
            .map(|count| format!("{} will be replaced", format::count(count as usize, "VM"))),
        Effect::StopRefresh => operator::stop_refresh(folder).map(|stopped| {
            let told = if stopped { "nothing more is replaced" } else { "no refresh goes on" };
            told.to_owned()
        }),
        Effect::SetDesired(number) => operator::set_desired(folder, *number)
            .map(|()| format!("{number} asked for, until the policy decides otherwise")),
        Effect::BalanceBy(rule) => {
            operator::balance_by(folder, *rule).map(|_| format!("VMs are chosen by {rule}"))
        }
        Effect::RestartBalancer => operator::restart_balancer(folder)
            .map(|_| "a new balancer takes over: 5 tells when".to_owned()),
        Effect::Drain(target) => match pinned(folder, target) {
            Err(problem) => return Some(Err(problem)),
            Ok(()) => operator::terminate(folder, &target.id)
                .map(|()| format!("{} gets nothing new, and ends when it is done", target.id)),
        },
        Effect::Inflict(target, fault) => operator::inflict(folder, &target.id, target.pid, *fault)
            .map(|pid| format!("{} {} (pid {pid})", target.id, told(*fault))),
        Effect::PauseAutoscaler(paused) => {
            operator::pause_autoscaler(folder, *paused).map(|_| match paused {
                true => "the autoscaler leaves the size of the fleet alone".to_owned(),
                false => "the autoscaler decides again".to_owned(),
            })
        }
        Effect::Steer(steering) => steer(folder, steering),
        Effect::Fire(_)
        | Effect::MakeImage(..)
        | Effect::Copy(_)
        | Effect::Save
        | Effect::Mouse(_)
        | Effect::Leave { .. } => return None,
    };
    Some(done.map_err(|error| error.to_string()))
}

/// The limits first: a policy is never put in force beside limits that were refused.
fn steer(folder: &StateFolder, wish: &Steering) -> Result<String, operator::Error> {
    if let Some((minimum, maximum)) = wish.limits {
        operator::set_limits(folder, minimum, maximum)?;
    }
    operator::set_policy(folder, &wish.policy, &wish.parameters, &wish.defaults)?;
    Ok(format!("in force: {wish}"))
}

fn told(fault: Fault) -> &'static str {
    match fault {
        Fault::Kill => "killed",
        Fault::Pause => "hangs; Z lets it go on",
        Fault::Resume => "goes on",
    }
}

/// The VM still has the process that it had when the wish was uttered.
fn pinned(folder: &StateFolder, target: &Target) -> Result<(), String> {
    let vms = folder.read::<VmStateFile>().map_err(|error| error.to_string())?.unwrap_or_default();
    let pid = vms.vm(&target.id).map(|report| report.pid);
    if pid == target.pid {
        return Ok(());
    }
    let was = target.pid.map_or_else(|| "without a process".to_owned(), |pid| format!("pid {pid}"));
    Err(format!("{} was {was} when you asked and is not any more: nothing was done", target.id))
}

/// Puts a text into the clipboard of the terminal, wherever that runs (OSC 52 of xterm's control
/// sequences, <https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>).
pub(crate) fn copy(out: &mut impl Write, text: &str) -> Result<String, String> {
    let encoded = base64_simd::STANDARD.encode_to_string(text.as_bytes());
    write!(out, "\x1b]52;c;{encoded}\x07")
        .and_then(|()| out.flush())
        .map(|()| format!("copied: {text}"))
        .map_err(|error| format!("cannot copy: {error}"))
}

/// Writes a frame as text into a new file.
pub(crate) fn save(buffer: &Buffer, folder: &Path, name: &str) -> Result<String, String> {
    let path = folder.join(name);
    let said = |error| format!("cannot write {}: {error}", path.display());
    let mut file = fs::File::create_new(&path).map_err(said)?;
    file.write_all(text_of(buffer).as_bytes()).map_err(said)?;
    Ok(format!("saved as {}", path.display()))
}

/// A frame as lines of text.
pub(crate) fn text_of(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for row in buffer.content.chunks(width) {
        let line = row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::Action;
    use crate::domain::vm::VmId;
    use crate::state::as_state::AsStateFile;

    #[test]
    fn a_copied_text_is_one_control_sequence_whatever_it_holds() {
        let mut out = Vec::new();
        copy(&mut out, "vm-1\x07 \x1b]").unwrap();
        let out = String::from_utf8(out).unwrap();
        let inside = out.strip_prefix("\x1b]52;c;").unwrap().strip_suffix('\x07').unwrap();
        assert!(inside.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b)), "{out}");
    }

    #[test]
    fn a_vm_that_got_another_process_meanwhile_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(home.path()).unwrap();
        let news = crate::tui::fixture::scaling();
        let vms = news.vm_state.unwrap().document.unwrap();
        let orders = news.as_state.unwrap().document.unwrap();
        folder.update(|file: &mut VmStateFile| *file = (*vms).clone()).unwrap();
        folder.update(|file: &mut AsStateFile| *file = (*orders).clone()).unwrap();
        let id = VmId::numbered(4);
        let other = Target { id: id.clone(), pid: Some(1) };
        for effect in [Effect::Drain(other.clone()), Effect::Inflict(other, Fault::Kill)] {
            let refused = operate(&folder, &effect).unwrap().unwrap_err();
            assert!(refused.contains("nothing was done"), "{refused}");
        }
        let action = |id: &VmId| {
            let file: AsStateFile = folder.read().unwrap().unwrap();
            file.order(id).unwrap().action
        };
        assert_eq!(action(&id), Action::Keep);
        let same = Target { id: id.clone(), pid: Some(41_204) };
        operate(&folder, &Effect::Drain(same)).unwrap().unwrap();
        assert_eq!(action(&id), Action::Delete);
    }

    #[test]
    fn a_saved_screen_never_replaces_an_earlier_one() {
        let home = tempfile::tempdir().unwrap();
        let buffer = Buffer::with_lines(["HEALTHY  ", "● vm-1"]);
        save(&buffer, home.path(), "a.txt").unwrap();
        let text = fs::read_to_string(home.path().join("a.txt")).unwrap();
        assert_eq!(text, "HEALTHY\n● vm-1\n");
        assert!(save(&buffer, home.path(), "a.txt").is_err());
    }
}
