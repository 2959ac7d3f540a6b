//! Tells on stdout what happens, from the files, so that it makes no difference which process did
//! it: requests from metrics.txt, everything else from events.log.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Cluster;
use crate::state::StateFolder;
use crate::state::events::Event;
use crate::state::follow::Follow;
use crate::state::logfmt::Line;
use crate::state::metrics::Metric;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The task that tells.
pub(super) struct Narrator {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Narrator {
    /// Tells what has not been told yet, and ends. Nobody is waited for who does not read it
    /// (Ctrl-S in a terminal).
    pub(super) async fn finish(self) {
        self.stop.cancel();
        if tokio::time::timeout(PATIENCE, self.task).await.is_err() {
            tracing::debug!("nobody reads what is told");
        }
    }
}

impl Cluster {
    /// Starts telling what is written after `start`, while it is wanted.
    pub(super) fn narrate(&self, start: Lines) -> Narrator {
        let stop = CancellationToken::new();
        let wanted = self.settings.narrate.clone();
        let (greeting, stopped) = (self.greeting(), stop.clone());
        // It blocks where nobody reads.
        let task = tokio::task::spawn_blocking(move || {
            if *wanted.borrow() {
                say(&greeting);
            }
            start.tell_until(&stopped, &wanted);
        });
        Narrator { task, stop }
    }

    fn greeting(&self) -> String {
        let address = self.front.address;
        let state = self.folder.path().display();
        format!(
            "Cumulet runs.\n\
             \n  requests   http://{address}/            in a browser, or workloads/blur.sh\
             \n  metrics    http://{}/metrics\
             \n  state      {state}/VMState.xml, {state}/ASState.xml: read them, edit them\
             \n  stop       Ctrl-C\n",
            self.front.admin
        )
    }
}

/// The lines of events and of requests that have not been told yet.
pub(super) struct Lines {
    events: Follow<Event>,
    requests: Follow<Metric>,
}

impl Lines {
    /// Those that will be written from now on.
    pub(super) fn from_now(folder: &StateFolder) -> Self {
        Self { events: Follow::from_last(folder, 0), requests: Follow::from_last(folder, 0) }
    }

    fn tell_until(mut self, stop: &CancellationToken, wanted: &Receiver<bool>) {
        let say = |line: &str| {
            if *wanted.borrow() {
                say(line);
            }
        };
        loop {
            let last = stop.is_cancelled();
            let told = tell(&mut self.events, |event| say(&tell_event(event)))
                | tell(&mut self.requests, |metric| say(&tell_request(metric)));
            match (last, told) {
                (false, _) => std::thread::sleep(LOOK_EVERY),
                (true, true) => {}
                (true, false) => return,
            }
        }
    }
}

/// Tells the lines that are new; whether there were any. A file that cannot be read has none.
fn tell<L: Line>(lines: &mut Follow<L>, say: impl Fn(&L)) -> bool {
    let new = lines.look().unwrap_or_default();
    new.iter().for_each(say);
    !new.is_empty()
}

/// A closed stdout is no reason to stop a cluster.
fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        tracing::debug!(%error, "nobody reads what is told");
    }
}

/// `12:00:01  vm-4       launch    t3.micro, pid 4242: mean cpu …`
fn tell_event(event: &Event) -> String {
    let who = event.vm.as_ref().map_or(event.role.as_str(), |vm| vm.as_str());
    format!("{}  {who:<10} {:<9} {}", clock(event.at), event.kind, event.detail)
}

/// `12:00:01  vm-2       blur      200 960x686 in 34.2 ms`
fn tell_request(metric: &Metric) -> String {
    let who = metric.vm.as_ref().map_or("balancer", |vm| vm.as_str());
    let size = match (metric.width, metric.height) {
        (Some(width), Some(height)) => format!(" {width}x{height}"),
        _ => String::new(),
    };
    let milliseconds = metric.wall_us as f64 / 1000.0;
    let again = match metric.attempts {
        0 | 1 => String::new(),
        attempts => format!(", attempt {attempts}"),
    };
    let (workload, status) = (&metric.workload, metric.status);
    let at = clock(metric.at);
    format!("{at}  {who:<10} {workload:<9} {status}{size} in {milliseconds:.1} ms{again}")
}

/// The time of day where the reader is.
fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_with_its_vm_size_and_time() {
        let line = "at=2026-11-21T22:41:05.130Z request=r1 workload=blur vm=vm-2 status=200 \
                    width=960 height=686 input_bytes=1 output_bytes=2 queue_us=3 cpu_us=4 \
                    wall_us=34210 work=5 attempts=2";
        let told = tell_request(&line.parse().unwrap());
        assert!(told.ends_with("vm-2       blur      200 960x686 in 34.2 ms, attempt 2"), "{told}");
    }
}
