//! The loop that makes what is match what should be.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::child::{self, Exit};
use super::machine::{Machine, Patience, Phase, Step};
use super::role::Role;
use super::{Answer, Cluster, LOOK_EVERY, health};
use crate::domain::decision::Action;
use crate::domain::restart::Backoff;
use crate::domain::vm::{VmId, VmState};
use crate::process;
use crate::state::as_state::VmOrder;
use crate::state::events::EventKind;
use crate::state::vm_state::{VmReport, VmStateFile};

/// VMs that are launched in one look, so that a thousand of them in a file do not keep the cluster
/// from seeing the file corrected, or Ctrl-C.
const LAUNCHES_PER_LOOK: usize = 10;
/// What runs as long as the cluster does.
const ROLES: [&str; 3] = ["balancer", "autoscaler", "functions"];

impl Cluster {
    /// Takes one step for each VM whenever something changes, until `stop` is cancelled.
    ///
    /// # Errors
    /// If another cluster has taken the folder.
    pub(super) async fn reconcile_until(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(exit) = self.exits.1.recv() => self.bury(exit).await,
                Some(answer) = self.answers.1.recv() => self.hear(&answer),
                Ok(()) = self.as_state.changed() => {}
                Ok(()) = self.vm_state.changed() => self.note_reports().await,
                Some(()) = self.restarts.recv() => self.start_successor().await,
                _ = look.tick() => {}
            }
            let now = Instant::now();
            self.forgive_own_absence(now - looked, now);
            looked = now;
            self.keep_folder()?;
            self.look().await;
        }
    }

    /// Makes what is match what should be, a step further.
    async fn look(&mut self) {
        self.tell_problems().await;
        self.start_roles().await;
        self.retire_predecessors();
        self.meet_strangers().await;
        self.launch_missing().await;
        self.step_machines().await;
    }

    /// A cluster that was stopped itself (Ctrl-Z in a terminal) heard nothing meanwhile: that says
    /// nothing of its VMs.
    fn forgive_own_absence(&mut self, absent: Duration, now: Instant) {
        if absent >= self.settings.replace_silent_after / 2 {
            self.machines.values_mut().for_each(|machine| machine.heard = now);
        }
    }

    /// Tells once of a file that cannot be used as it stands: whoever edited it should know, and
    /// the next writer replaces it.
    async fn tell_problems(&mut self) {
        let problems =
            [self.as_state.borrow().problem.clone(), self.vm_state.borrow().problem.clone()];
        let problems = problems.into_iter().flatten().map(|it| it.to_string()).collect::<Vec<_>>();
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            self.record(EventKind::Fault, None, problem.clone()).await;
        }
        self.problems = problems;
    }

    /// A new report is a sign of life, and the first one of a VM that runs is worth telling.
    async fn note_reports(&mut self) {
        let (now, mut ready) = (Instant::now(), Vec::new());
        let Some(file) = self.vm_state.borrow_and_update().document.clone() else { return };
        for report in &file.vms {
            let reported = self.reported.insert(report.id.clone(), report.reported_at);
            if let Some(machine) = self.machines.get_mut(&report.id)
                && machine.pid == report.pid
                && reported != Some(report.reported_at)
            {
                machine.heard = now;
                if report.state == VmState::Running && !std::mem::replace(&mut machine.ready, true)
                {
                    ready.push((report.id.clone(), now - machine.launched));
                }
            }
        }
        self.reported.retain(|id, _| file.vm(id).is_some());
        for (id, after) in ready {
            let detail = format!("serves, {:.1} s after its launch", after.as_secs_f64());
            self.record(EventKind::Ready, Some(&id), detail).await;
        }
    }

    fn hear(&mut self, answer: &Answer) {
        self.asked.remove(&answer.id);
        if let Some(machine) = self.machines.get_mut(&answer.id)
            && machine.pid == answer.pid
            && let Some(nothing_to_do) = answer.nothing_to_do
        {
            machine.answered(nothing_to_do, Instant::now());
        }
    }

    /// A process has ended: its VM is removed from VMState.xml, and launched again if it is still
    /// wanted; a role is started again.
    async fn bury(&mut self, exit: Exit) {
        let now = Instant::now();
        if self.is_predecessor(exit.pid).await {
            return;
        }
        for name in ROLES {
            let role = self.role(name);
            if role.pid() == Some(exit.pid) {
                let pause = role.died(now);
                let detail =
                    format!("the {name} ended ({}); starting it again{}", exit.how, after(pause));
                self.record(EventKind::Crash, None, detail).await;
                return;
            }
        }
        let dead = self.machines.iter().find(|(_, machine)| machine.pid == exit.pid);
        let Some((id, machine)) = dead.map(|(id, machine)| (id.clone(), machine.clone())) else {
            return;
        };
        self.machines.remove(&id);
        self.forget(vec![(id.clone(), exit.pid)]).await;
        if let Phase::Stopping { why, .. } = machine.phase {
            self.deaths.remove(&id);
            self.record(EventKind::Terminate, Some(&id), format!("{why}; {}", exit.how)).await;
            return;
        }
        let pause = self.note_death(&id, now.saturating_duration_since(machine.launched), now);
        let then = if self.is_wanted(&id) {
            format!("; replacing it{}{}", after(pause), self.in_a_row(&id))
        } else {
            String::new()
        };
        let detail = format!("pid {} ended ({}){then}", exit.pid, exit.how);
        self.record(EventKind::Crash, Some(&id), detail).await;
    }

    fn is_wanted(&self, id: &VmId) -> bool {
        let orders = self.as_state.borrow();
        let order = orders.document.as_ref().and_then(|file| file.order(id));
        order.is_some_and(|order| order.action != Action::Delete)
    }

    /// A VM died after `lived`: says after what pause it may be launched again.
    fn note_death(&mut self, id: &VmId, lived: Duration, now: Instant) -> Duration {
        let (backoff, not_before) =
            self.deaths.entry(id.clone()).or_insert((Backoff::default(), now));
        let pause = backoff.died_after(lived);
        *not_before = now + pause;
        pause
    }

    /// ` (it died 5 times in a row)`, from the second time on.
    fn in_a_row(&self, id: &VmId) -> String {
        match self.deaths.get(id).map_or(0, |(backoff, _)| backoff.deaths()) {
            0 | 1 => String::new(),
            deaths => format!(" (it died {deaths} times in a row)"),
        }
    }

    pub(super) fn role(&mut self, name: &str) -> &mut Role {
        match name {
            "balancer" => &mut self.balancer,
            "functions" => &mut self.functions,
            _ => &mut self.autoscaler,
        }
    }

    /// Starts the roles that are due.
    pub(super) async fn start_roles(&mut self) {
        let now = Instant::now();
        for name in ROLES {
            if !self.role(name).is_due(now) {
                continue;
            }
            match self.start_role(name) {
                Ok(pid) => {
                    self.role(name).started(pid, now);
                    self.write_addresses();
                    self.record(EventKind::Role, None, format!("the {name} started, pid {pid}"))
                        .await;
                }
                Err(error) => {
                    let pause = self.role(name).died(now);
                    let detail = format!("the {name} cannot be started{}: {error:#}", after(pause));
                    self.record(EventKind::Crash, None, detail).await;
                }
            }
        }
    }

    pub(super) fn start_role(&mut self, name: &str) -> anyhow::Result<u32> {
        let mut arguments = vec![name.to_owned()];
        arguments.extend(self.settings.handed_on.iter().cloned());
        let streams = if name == self.balancer.name {
            arguments.push("--listeners-inherited".to_owned());
            self.front.hand_on()?
        } else {
            (Stdio::null(), Stdio::null())
        };
        let errors = self.folder.log_path(&format!("{name}.stderr"));
        let exits = self.exits.0.clone();
        Ok(child::spawn(&self.settings.program, &arguments, streams, &errors, exits)?)
    }

    /// Launches every VM that is wanted and has no process.
    async fn launch_missing(&mut self) {
        let now = Instant::now();
        let Some(wanted) = self.as_state.borrow_and_update().document.clone() else { return };
        self.deaths.retain(|id, _| wanted.order(id).is_some());
        let due = wanted.vms.iter().filter(|order| {
            let held_back = self.deaths.get(&order.id).is_some_and(|(_, at)| now < *at);
            order.action != Action::Delete && !held_back && !self.machines.contains_key(&order.id)
        });
        let due = due.take(LAUNCHES_PER_LOOK).collect::<Vec<_>>();
        let mut paced = false;
        for order in due {
            if !self.pace.allows(now - self.began) {
                paced = true;
                break;
            }
            self.launch(order, now).await;
        }
        if paced && !self.paced {
            let most = self.settings.launches_per_minute;
            let detail = format!("launching no more than {most} VMs a minute; the others wait");
            self.record(EventKind::Fault, None, detail).await;
        }
        self.paced = paced;
    }

    async fn launch(&mut self, order: &VmOrder, now: Instant) {
        let id = &order.id;
        let mut arguments = vec!["vm".to_owned(), "--id".to_owned(), id.to_string()];
        arguments.extend(self.settings.handed_on.iter().cloned());
        let (kind, told) = kind(order, &self.settings.instance_type);
        arguments.extend(kind);
        let errors = self.folder.log_path(&format!("{id}.stderr"));
        let streams = (Stdio::null(), Stdio::null());
        let exits = self.exits.0.clone();
        match child::spawn(&self.settings.program, &arguments, streams, &errors, exits) {
            Ok(pid) => {
                let why = order.reason.as_deref().unwrap_or("ASState.xml lists it");
                let detail = format!("{told}, pid {pid}: {why}");
                self.machines.insert(id.clone(), Machine::new(pid, now));
                self.record(EventKind::Launch, Some(id), detail).await;
            }
            Err(error) => {
                let pause = self.note_death(id, Duration::ZERO, now);
                let detail = format!("cannot be launched: {error}; trying again{}", after(pause));
                self.record(EventKind::Crash, Some(id), detail).await;
            }
        }
    }

    /// One step for each VM that runs.
    async fn step_machines(&mut self) {
        let now = Instant::now();
        let patience = Patience {
            drain_limit: self.settings.drain_limit,
            replace_silent_after: self.settings.replace_silent_after,
            health_grace: self.settings.health_grace,
            hook_timeout: self.settings.hook_timeout,
        };
        let Some(orders) = self.as_state.borrow().document.clone() else { return };
        let mut steps = Vec::new();
        for (id, machine) in &mut self.machines {
            let was_live = machine.phase == Phase::Live;
            let order = orders.order(id);
            let step = machine.step(order.map(|order| order.action), patience, now);
            let drains = was_live && matches!(machine.phase, Phase::Draining { .. });
            // An editor changes the word and leaves the reason of before.
            let since = order.and_then(|order| order.since);
            let is_new = since != std::mem::replace(&mut machine.ordered, since);
            let why = order.filter(|_| drains && is_new).and_then(|order| order.reason.clone());
            steps.push((id.clone(), machine.pid, step, drains, why));
        }
        for (id, pid, step, drains, why) in steps {
            if drains {
                let detail = why.unwrap_or_else(|| "ASState.xml deletes it".to_owned());
                self.record(EventKind::Drain, Some(&id), detail).await;
            }
            self.take(&id, pid, step).await;
        }
    }

    async fn take(&mut self, id: &VmId, pid: u32, step: Step) {
        let signal = match step {
            Step::Wait => return,
            Step::AskHealth => return self.ask(id, pid),
            Step::Stop => Signal::TERM,
            Step::Kill(why) => {
                self.record(EventKind::Terminate, Some(id), format!("killed: {why}")).await;
                Signal::KILL
            }
        };
        // A process that is gone already reports its end by itself.
        if let Err(error) = process::signal(pid, signal, id.as_str()) {
            tracing::debug!(%error, vm = %id, "no signal sent");
        }
    }

    /// Asks a VM's webserver how it is, unless an answer is awaited already.
    fn ask(&mut self, id: &VmId, pid: u32) {
        let view = self.vm_state.borrow();
        let Some(report) = view.document.as_ref().and_then(|file| file.vm(id)) else { return };
        if report.pid != pid || !self.asked.insert(id.clone()) {
            return;
        }
        let (id, address, answers) = (id.clone(), report.address.clone(), self.answers.0.clone());
        tokio::spawn(async move {
            let nothing_to_do = health::has_nothing_to_do(address).await;
            // Nobody listens any more when the cluster itself ends.
            let _heard = answers.send(Answer { id, pid, nothing_to_do });
        });
    }

    /// VMs in VMState.xml that this cluster did not launch: the elements of dead ones are removed.
    /// One that lives, run by hand, becomes this cluster's if ASState.xml lists it.
    async fn meet_strangers(&mut self) {
        let Some(file) = self.vm_state.borrow().document.clone() else { return };
        let orders = self.as_state.borrow().document.clone().unwrap_or_default();
        let mut dead = Vec::new();
        for VmReport { id, pid, .. } in &file.vms {
            if self.machines.get(id).is_some_and(|own| own.pid == *pid) {
                continue;
            }
            if !process::is_vm(*pid, id) {
                dead.push((id.clone(), *pid));
            } else if orders.order(id).is_some() && !self.machines.contains_key(id) {
                self.take_over_vm(id.clone(), *pid).await;
            }
        }
        if !dead.is_empty() {
            self.forget(dead).await;
        }
    }

    /// Removes the elements that these processes wrote for these VMs.
    async fn forget(&mut self, dead: Vec<(VmId, u32)>) {
        let folder = self.folder.clone();
        let dead = dead.into_iter().collect::<HashMap<_, _>>();
        let removed = tokio::task::spawn_blocking(move || {
            folder.sweep_sockets(|id, pid| dead.get(id) != Some(&pid));
            folder.update_if_changed(VmStateFile::default, |file: &mut VmStateFile| {
                file.vms.retain(|vm| dead.get(&vm.id) != Some(&vm.pid));
            })
        });
        self.complain(removed.await.ok().and_then(Result::err));
    }
}

/// The arguments that say what a VM is launched as, and the same for people. The type is that of
/// the order, else that of its image, else the default.
fn kind(order: &VmOrder, default_type: &str) -> (Vec<String>, String) {
    let flag = |name: &str, value: &str| [name.to_owned(), value.to_owned()];
    match (&order.instance_type, &order.image) {
        (None, None) => (flag("--type", default_type).to_vec(), default_type.to_owned()),
        (Some(name), None) => (flag("--type", name).to_vec(), name.clone()),
        (None, Some(image)) => (flag("--image", image).to_vec(), format!("image {image}")),
        (Some(name), Some(image)) => (
            [flag("--type", name), flag("--image", image)].concat(),
            format!("{name}, image {image}"),
        ),
    }
}

/// ` in 2 s`, or nothing for no pause.
fn after(pause: Duration) -> String {
    if pause.is_zero() { String::new() } else { format!(" in {} s", pause.as_secs_f64()) }
}
