//! Delivers the events of triggers to their functions: at least once each, again after a failure,
//! and into `dead/` when that is in vain.
//!
//! That an attempt begins is written before it does, and what came of it after: whoever goes on
//! after a crash knows of it, and an event that brings everything down is given up in the end.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::finding;
use super::service::Service;
use crate::domain::function::FunctionName;
use crate::domain::trigger::{Next, Trigger};
use crate::state::deliveries::{Delivery, Stage};
use crate::state::events::{Event, EventKind};
use crate::state::function_state::TriggerReport;
use crate::state::functions::FunctionsFile;
use crate::state::{Error, StateFolder, View};

/// How often it is looked for new events.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many events of a trigger are under way at once, at most; the others stay in their files.
const MOST_UNDER_WAY: usize = 1_000;
/// The longest answer that is kept with its event, in bytes.
const LONGEST_KEPT: usize = 256 << 10;
/// What is said of an attempt of which nothing is known.
const CUT_OFF: &str = "the functions' service ended while it ran";

/// The events under way.
#[derive(Debug)]
pub(super) struct Events {
    service: Arc<Service>,
    folder: StateFolder,
    known: Mutex<Known>,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Known {
    /// The events that are being tried, or wait for their turn.
    under_way: HashSet<(FunctionName, String)>,
    /// As many of a function at once as may run.
    turns: HashMap<FunctionName, (u32, Arc<Semaphore>)>,
    reports: Vec<TriggerReport>,
    /// What was last told to be wrong with a trigger.
    problems: HashMap<FunctionName, String>,
}

impl Events {
    pub(super) fn new(service: Arc<Service>, folder: StateFolder) -> Self {
        Self { service, folder, known: Mutex::default(), tasks: TaskTracker::new() }
    }

    /// How each trigger does.
    pub(super) fn reports(&self) -> Vec<TriggerReport> {
        self.known().reports.clone()
    }

    /// What is known has no state in between: what a panic left behind is as good as any.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Delivers events until `stop`, and then gives those under way `grace` to end. Those that do
    /// not are tried again by the next service.
    pub(super) async fn deliver_until(
        self: Arc<Self>,
        definitions: watch::Receiver<View<FunctionsFile>>,
        stop: CancellationToken,
        grace: Duration,
    ) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let Some(file) = definitions.borrow().document.clone() else { continue };
            let events = self.clone();
            let look = move || {
                let triggers = file.triggers.iter().map(|(trigger, _)| trigger);
                events.look(triggers, Timestamp::now())
            };
            match tokio::task::spawn_blocking(look).await {
                Ok(ready) => ready.into_iter().for_each(|ready| self.start(ready, &stop)),
                Err(error) => tracing::error!(%error, "looking for events ended badly"),
            }
        }
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!("some events were cut off; they are tried again");
        }
    }

    /// Finds what is new, and says what is to be tried now.
    fn look<'a>(
        &self,
        triggers: impl Iterator<Item = &'a Trigger>,
        now: Timestamp,
    ) -> Vec<(Trigger, Delivery)> {
        let (mut ready, mut reports) = (Vec::new(), Vec::new());
        for trigger in triggers {
            let problem = match finding::find(&self.folder, trigger, now) {
                Ok(found) => {
                    reports.push(TriggerReport {
                        name: trigger.name.clone(),
                        pending: found.pending.len() as u64,
                        done: found.done.len() as u64,
                        dead: found.dead.len() as u64,
                    });
                    let problem = self.take_up(trigger, found.pending, now, &mut ready);
                    problem.or(found.problem)
                }
                Err(error) => Some(error.to_string()),
            };
            self.complain(trigger, problem);
        }
        self.known().reports = reports;
        ready
    }

    /// Says once what keeps a trigger from working.
    fn complain(&self, trigger: &Trigger, problem: Option<String>) {
        let mut known = self.known();
        match problem {
            None => drop(known.problems.remove(&trigger.name)),
            Some(problem) => {
                if known.problems.get(&trigger.name) != Some(&problem) {
                    tracing::warn!(trigger = %trigger.name, "{problem}");
                }
                known.problems.insert(trigger.name.clone(), problem);
            }
        }
    }

    /// Takes up those of the pending events whose time has come. Says what is wrong, if something
    /// is.
    fn take_up(
        &self,
        trigger: &Trigger,
        pending: impl IntoIterator<Item = String>,
        now: Timestamp,
        ready: &mut Vec<(Trigger, Delivery)>,
    ) -> Option<String> {
        let Some(most) = self.service.pool().concurrency(&trigger.function) else {
            return Some(format!("there is no function `{}`", trigger.function));
        };
        let turns = self.known().turns.get(&trigger.function).map(|(now, _)| *now);
        if turns != Some(most) {
            let permits = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(1)));
            self.known().turns.insert(trigger.function.clone(), (most, permits));
        }
        for key in pending.into_iter().take(MOST_UNDER_WAY) {
            let id = (trigger.name.clone(), key);
            if self.known().under_way.contains(&id) {
                continue;
            }
            match self.examine(trigger, &id.1, now) {
                Ok(Some(delivery)) => {
                    self.known().under_way.insert(id);
                    ready.push((trigger.clone(), delivery));
                }
                Ok(None) => {}
                Err(error) => return Some(error.to_string()),
            }
        }
        None
    }

    /// The event, if it is to be tried now. One with which all is over is moved to its place.
    fn examine(
        &self,
        trigger: &Trigger,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<Delivery>, Error> {
        let name = &trigger.name;
        let delivery = match self.folder.read_delivery(name, Stage::Pending, key) {
            Err(error @ Error::Record { .. }) => {
                self.folder.move_delivery(name, key, (Stage::Pending, Stage::Dead))?;
                self.tell_of_death(trigger, key, 0, &error.to_string());
                return Ok(None);
            }
            read => read?,
        };
        let Some(mut delivery) = delivery else { return Ok(None) };
        if delivery.answer.is_some() {
            self.folder.move_delivery(name, key, (Stage::Pending, Stage::Done))?;
            return Ok(None);
        }
        let ago = delivery.tried_at.map_or(Duration::MAX, |at| {
            // An attempt that is yet to come is one of a clock that was set back.
            Duration::try_from(now.duration_since(at)).unwrap_or(Duration::MAX)
        });
        match trigger.next(delivery.attempts, ago) {
            Next::Try => Ok(Some(delivery)),
            Next::Wait(_) => Ok(None),
            Next::GiveUp => {
                delivery.error.get_or_insert_with(|| CUT_OFF.to_owned());
                self.settle(trigger, &delivery)?;
                Ok(None)
            }
        }
    }

    fn start(self: &Arc<Self>, (trigger, delivery): (Trigger, Delivery), stop: &CancellationToken) {
        let (events, stop) = (self.clone(), stop.clone());
        self.tasks.spawn(async move {
            let id = (trigger.name.clone(), delivery.key.clone());
            events.deliver(trigger, delivery, &stop).await;
            events.known().under_way.remove(&id);
        });
    }

    /// Tries an event once, when it is its turn.
    async fn deliver(
        self: &Arc<Self>,
        trigger: Trigger,
        before: Delivery,
        stop: &CancellationToken,
    ) {
        let turns = self.known().turns.get(&trigger.function).map(|(_, turns)| turns.clone());
        let Some(turns) = turns else { return };
        let turn = tokio::select! {
            () = stop.cancelled() => return,
            turn = turns.acquire() => turn,
        };
        // The semaphore is never closed.
        let Ok(_turn) = turn else { return };
        let mut delivery = Delivery {
            attempts: before.attempts + 1,
            tried_at: Some(Timestamp::now()),
            error: None,
            ..before.clone()
        };
        if !self.write(&trigger, &delivery).await {
            return;
        }
        let id = format!("{}-{}", trigger.name, delivery.key);
        let mut event = delivery.event.clone();
        if let Value::Object(fields) = &mut event {
            fields.insert("attempt".to_owned(), delivery.attempts.into());
        }
        let event = Bytes::from(event.to_string());
        match self.service.invoke(&trigger.function, event, id).await {
            Ok(answered) => match understood(&answered.answer) {
                Ok(answer) => delivery.answer = Some(answer),
                Err(error) => delivery.error = Some(error),
            },
            // It has not been tried.
            Err(none) if none.is_throttled() => delivery = Delivery { error: None, ..before },
            Err(none) => delivery.error = Some(none.to_string()),
        }
        if delivery.error.is_some() {
            delivery.tried_at = Some(Timestamp::now());
        }
        self.write(&trigger, &delivery).await;
    }

    /// Writes down where an event stands, and moves it if all is over with it. Whether that could
    /// be done.
    async fn write(self: &Arc<Self>, trigger: &Trigger, delivery: &Delivery) -> bool {
        let (events, trigger, delivery) = (self.clone(), trigger.clone(), delivery.clone());
        let written = tokio::task::spawn_blocking(move || events.settle(&trigger, &delivery));
        match written.await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "where an event stands is not written; trying again");
                false
            }
            Err(error) => {
                tracing::error!(%error, "writing down an event ended badly");
                false
            }
        }
    }

    fn settle(&self, trigger: &Trigger, delivery: &Delivery) -> Result<(), Error> {
        let (name, key) = (&trigger.name, &delivery.key);
        self.folder.put_delivery(name, Stage::Pending, delivery)?;
        if delivery.answer.is_some() {
            return self.folder.move_delivery(name, key, (Stage::Pending, Stage::Done));
        }
        let Some(error) = &delivery.error else { return Ok(()) };
        tracing::warn!(
            trigger = %name, request = format!("{name}-{key}"), attempt = delivery.attempts,
            "{}: {error}", delivery.subject
        );
        if delivery.attempts >= trigger.attempts {
            self.folder.move_delivery(name, key, (Stage::Pending, Stage::Dead))?;
            self.tell_of_death(trigger, &delivery.subject, delivery.attempts, error);
        }
        Ok(())
    }

    fn tell_of_death(&self, trigger: &Trigger, subject: &str, attempts: u32, error: &str) {
        let dead = self.folder.trigger_path(&trigger.name).join(Stage::Dead.as_str());
        let detail = format!(
            "{} gave {subject} up after {attempts} attempts: {error}; it is kept in {}",
            trigger.name,
            dead.display()
        );
        let event = Event::now(EventKind::Fault, "functions", None, detail);
        if let Err(error) = self.folder.append_event(&event) {
            tracing::warn!(%error, "cannot record the event");
        }
    }
}

/// What a function answered. One that answers with an `errorMessage`, as functions do it
/// everywhere, has failed.
fn understood(answer: &[u8]) -> Result<Value, String> {
    if answer.len() > LONGEST_KEPT {
        let length = answer.len();
        return Ok(Value::String(format!("{length} bytes, which is more than is kept")));
    }
    let text = String::from_utf8_lossy(answer);
    match serde_json::from_str::<Value>(text.trim()) {
        Ok(Value::Object(fields)) if fields.contains_key("errorMessage") => {
            let message = fields.get("errorMessage").and_then(Value::as_str);
            Err(message.unwrap_or("the function says that it failed").to_owned())
        }
        Ok(answer) => Ok(answer),
        Err(_) => Ok(Value::String(text.trim_end().to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_answer_is_kept_and_an_error_message_is_a_failure() {
        assert_eq!(understood(b"{\"a\": 1}\n"), Ok(serde_json::json!({"a": 1})));
        assert_eq!(understood(b"done\n"), Ok("done".into()));
        assert_eq!(understood(b""), Ok("".into()));
        assert_eq!(understood(b"{\"errorMessage\": \"no\"}"), Err("no".to_owned()));
        assert!(understood(&vec![b'1'; LONGEST_KEPT + 1]).unwrap().is_string());
    }
}
