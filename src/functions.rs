//! The functions' service: runs functions as processes, one for each execution environment.
//!
//! ```text
//!  Functions.xml ──▶ pool ◀── begin, end ── service ◀── invocations; requests that overflow
//!                     │ warm, or none           │    ◀── events ◀── finding: new files, times
//!                     ▼                         ▼
//!              FunctionState.xml          environment: a process, held to its memory and CPU
//! ```
//!
//! As with the vendors, an environment takes one event at a time, is kept for a while when it has
//! answered, and stands still meanwhile. If this service is killed, its environments see their
//! input end; one that stands still is then ended by the system, which sends SIGHUP to a process
//! group that is orphaned while stopped.

mod environment;
mod events;
mod finding;
mod pool;
mod quota;
mod service;
mod shapes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use hyper::service::service_fn;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::http::server;
use crate::state::function_state::FunctionStateFile;
use crate::state::functions::FunctionsFile;
use crate::state::{Document, StateFolder, View, Watcher};
use environment::Launch;
use events::Events;
use pool::Pool;
use service::Service;

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This program's own file, which runs the built-in functions.
    pub program: PathBuf,
    /// The arguments with which it finds the same settings.
    pub handed_on: Vec<String>,
    /// How long a new environment takes to be ready.
    pub cold_start: Duration,
    /// For how long invocations may go on after a stop.
    pub grace: Duration,
}

/// How often environments that nobody wants are looked for and the counts are written.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs functions for whoever asks at `listener`, until `stop`, and lets those that run finish.
///
/// # Errors
/// If the listener has no address or the state folder cannot be watched.
pub async fn run(
    settings: Settings,
    folder: StateFolder,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("asking for the service's own address")?;
    if !folder.path().join(FunctionsFile::FILE).exists() {
        folder.update_or(FunctionsFile::default, |_: &mut FunctionsFile| {})?;
    }
    let before = folder.read::<FunctionStateFile>().unwrap_or_else(|error| {
        tracing::warn!(%error, "the bill of this month begins anew");
        None
    });
    let watcher = Watcher::start(&folder).context("watching the state folder")?;
    let definitions = watcher.follow::<FunctionsFile>();
    let launch = Launch {
        program: settings.program,
        handed_on: settings.handed_on,
        cold_start: settings.cold_start,
        folder: folder.clone(),
    };
    let service = Arc::new(Service::new(launch, Pool::new(this_month(), before)));
    define(&service, &definitions);

    let background = CancellationToken::new();
    let events = Arc::new(Events::new(service.clone(), folder.clone()));
    let triggers = definitions.clone();
    let delivering =
        tokio::spawn(events.clone().deliver_until(triggers, stop.clone(), settings.grace));
    let upkeep = tokio::spawn(keep(
        (service.clone(), events),
        (folder, address.to_string()),
        definitions,
        background.clone(),
    ));
    let answering = service.clone();
    let answer = service_fn(move |request| {
        let service = answering.clone();
        async move { Ok(service::answer(service, request).await) }
    });
    if !server::serve(listener, answer, stop, settings.grace).await {
        tracing::warn!("some functions were cut off");
    }
    delivering.await.context("the task that delivers events")?;
    background.cancel();
    upkeep.await.context("the task that keeps the functions")?;
    drop(service.pool().clear());
    drop(watcher);
    Ok(())
}

/// Follows the definitions, ends what nobody wants, and tells how things stand, until `end`.
async fn keep(
    (service, events): (Arc<Service>, Arc<Events>),
    (folder, address): (StateFolder, String),
    mut definitions: watch::Receiver<View<FunctionsFile>>,
    end: CancellationToken,
) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut going = true;
    while going {
        tokio::select! {
            changed = definitions.changed() => match changed {
                Ok(()) => define(&service, &definitions),
                Err(_) => going = false,
            },
            _ = look.tick() => {}
            () = end.cancelled() => going = false,
        }
        let cold = service.pool().sweep(Instant::now(), &this_month());
        drop(cold);
        let (month, functions) = service.pool().report();
        let triggers = events.reports();
        let (address, pid) =
            if going { (address.clone(), std::process::id()) } else { (String::new(), 0) };
        let folder = folder.clone();
        let written = tokio::task::spawn_blocking(move || {
            folder.update_if_changed(FunctionStateFile::default, |file: &mut FunctionStateFile| {
                let (seq, foreign) = (file.seq, std::mem::take(&mut file.foreign));
                *file =
                    FunctionStateFile { seq, address, pid, month, functions, triggers, foreign };
            })
        });
        match written.await {
            Ok(Err(error)) => tracing::warn!(%error, "the state of the functions is not written"),
            Err(error) => tracing::error!(%error, "writing the state ended badly"),
            Ok(Ok(())) => {}
        }
    }
}

fn define(service: &Service, definitions: &watch::Receiver<View<FunctionsFile>>) {
    let view = definitions.borrow().clone();
    if let Some(problem) = &view.problem {
        tracing::warn!(%problem, "the last good view stays in force");
    }
    if let Some(file) = &view.document {
        let useless = service.pool().define(file);
        drop(useless);
    }
}

/// The month that a bill is for, in UTC.
fn this_month() -> String {
    Timestamp::now().strftime("%Y-%m").to_string()
}
