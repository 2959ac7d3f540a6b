//! Alerts: looks at the figures once a second, and tells whom the settings name.

mod figures;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::Alert;
use crate::domain::alerting::{Change, Standing};
use crate::http::post;
use crate::process::shell;
use crate::state::StateFolder;
use crate::state::alerts::{AlertStatus, AlertsFile};
use crate::state::events::{Event, EventKind};
use figures::Figures;

/// How often the figures are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is tried to tell somebody, and the pause after the first time; it doubles.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// One alert, and where it stands.
struct Watched {
    alert: Alert,
    standing: Standing,
    /// Since when it is in its state.
    since: Timestamp,
    value: Option<f64>,
    /// What is to be told, in its order.
    messages: UnboundedSender<String>,
}

/// Watches until `stop`. Without alerts there is nothing to do.
pub(super) async fn watch(alerts: Vec<Alert>, folder: StateFolder, stop: CancellationToken) {
    if alerts.is_empty() {
        return;
    }
    let before = folder.read_alerts().unwrap_or_else(|error| {
        tracing::warn!(%error, "where the alerts stood before is not known");
        None
    });
    let mut all = Vec::new();
    for alert in alerts {
        let (messages, queue) = mpsc::unbounded_channel();
        tokio::spawn(tell(alert.clone(), queue, stop.clone()));
        all.push(Watched::new(alert, before.as_ref(), messages));
    }
    let mut figures = Figures::default();
    let begin = Instant::now();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let folder = folder.clone();
        let looked = tokio::task::spawn_blocking(move || {
            figures.look(&folder, begin.elapsed(), Timestamp::now());
            for watched in &mut all {
                watched.look(&figures, &folder, begin.elapsed(), Timestamp::now());
            }
            let alerts = all.iter().map(Watched::status).collect();
            let written = folder.write_alerts(&AlertsFile { at: Timestamp::now(), alerts });
            if let Err(error) = written {
                tracing::warn!(%error, "where the alerts stand was not written");
            }
            (figures, all)
        });
        match looked.await {
            Ok(back) => (figures, all) = back,
            Err(error) => {
                tracing::error!(%error, "watching for alerts ended badly");
                return;
            }
        }
    }
}

impl Watched {
    /// One that fired when the cluster ended still does: it is not told again, but its end is.
    fn new(alert: Alert, before: Option<&AlertsFile>, messages: UnboundedSender<String>) -> Self {
        let when = alert.condition.to_string();
        let before = before
            .and_then(|file| file.alerts.iter().find(|it| it.name == alert.name && it.when == when))
            .filter(|it| it.state == Standing::Firing(Duration::ZERO).as_str());
        Self {
            alert,
            standing: before.map_or(Standing::Quiet, |_| Standing::Firing(Duration::ZERO)),
            since: before.map_or_else(Timestamp::now, |it| it.since),
            value: None,
            messages,
        }
    }

    fn look(&mut self, figures: &Figures, folder: &StateFolder, now: Duration, wall: Timestamp) {
        self.value = figures.get(self.alert.condition.figure);
        let holds = self.value.map(|value| self.alert.condition.holds(value));
        let (standing, change) = self.standing.after(holds, now, self.alert.hold);
        if standing.as_str() != self.standing.as_str() {
            self.since = wall;
        }
        self.standing = standing;
        let Some(change) = change else { return };
        let message = self.message(change, folder, wall);
        let figure = self.alert.condition.figure.as_str();
        let value = self.value.unwrap_or_default();
        let detail = format!(
            "{} {}: {figure} is {value}, told if {} for {:?}",
            self.alert.name,
            change.as_str(),
            self.alert.condition,
            self.alert.hold
        );
        tracing::warn!("alert {detail}");
        if let Err(error) =
            folder.append_event(&Event::now(EventKind::Alert, "cluster", None, detail))
        {
            tracing::warn!(%error, "cannot record the event");
        }
        // The other end goes only with the cluster.
        let _gone = self.messages.send(message);
    }

    fn message(&self, change: Change, folder: &StateFolder, wall: Timestamp) -> String {
        json!({
            "alert": self.alert.name,
            "state": change.as_str(),
            "when": self.alert.condition.to_string(),
            "forSeconds": self.alert.hold.as_secs_f64(),
            "figure": self.alert.condition.figure.as_str(),
            "value": self.value,
            "at": wall.to_string(),
            "stateFolder": folder.path().display().to_string(),
        })
        .to_string()
    }

    fn status(&self) -> AlertStatus {
        AlertStatus {
            name: self.alert.name.clone(),
            when: self.alert.condition.to_string(),
            for_seconds: self.alert.hold.as_secs_f64(),
            state: self.standing.as_str().to_owned(),
            since: self.since,
            value: self.value,
        }
    }
}

/// Tells what is to be told of one alert, one after the other.
async fn tell(alert: Alert, mut messages: UnboundedReceiver<String>, stop: CancellationToken) {
    let telling = async {
        while let Some(message) = messages.recv().await {
            if let Some(command) = &alert.command {
                let run = || shell::run(command, &[], message.as_bytes(), alert.timeout);
                again(&alert.name, run).await;
            }
            if let Some(webhook) = &alert.webhook {
                let post = || async {
                    let told = post::json(webhook, message.clone());
                    tokio::time::timeout(alert.timeout, told).await.unwrap_or_else(|_| {
                        Err(format!("{webhook} took longer than {:?}", alert.timeout))
                    })
                };
                again(&alert.name, post).await;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = telling => {}
    }
}

/// Does it, some times if need be, and says if it was in vain.
async fn again<T: Future<Output = Result<(), String>>>(alert: &str, act: impl Fn() -> T) {
    let mut pause = FIRST_PAUSE;
    for left in (0..TRIES).rev() {
        let Err(problem) = act().await else { return };
        tracing::warn!(alert, left, "an alert was not told: {problem}");
        if left > 0 {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}
