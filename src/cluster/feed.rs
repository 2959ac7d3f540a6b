//! Tells on stdout what happens, from the files, so that it makes no difference which process did
//! it: requests from metrics.txt, everything else from events.log.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Cluster;
use crate::state::StateFolder;
use crate::state::events::Event;
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
    events: Tail,
    requests: Tail,
}

impl Lines {
    /// Those that will be written from now on.
    pub(super) fn from_now(folder: &StateFolder) -> Self {
        let tail = |name: &str| Tail::from_end(&folder.path().join(name));
        Self { events: tail(Event::FILE), requests: tail(Metric::FILE) }
    }

    fn tell_until(mut self, stop: &CancellationToken, wanted: &Receiver<bool>) {
        let say = |line: &str| {
            if *wanted.borrow() {
                say(line);
            }
        };
        loop {
            let last = stop.is_cancelled();
            self.events.read(|event| say(&tell_event(event)));
            self.requests.read(|metric| say(&tell_request(metric)));
            if last {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// A file of lines that grows.
struct Tail {
    path: PathBuf,
    position: u64,
}

impl Tail {
    fn from_end(path: &Path) -> Self {
        let position = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Self { path: path.to_path_buf(), position }
    }

    /// Hands on the whole lines that were added since, as far as they are understood. A file that
    /// is not there has none.
    fn read<L: Line>(&mut self, hand_on: impl Fn(&L)) {
        let Ok(mut file) = File::open(&self.path) else { return };
        if file.metadata().is_ok_and(|metadata| metadata.len() < self.position) {
            self.position = 0;
        }
        if file.seek(SeekFrom::Start(self.position)).is_err() {
            return;
        }
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0)
            && line.ends_with(b"\n")
        {
            self.position += line.len() as u64;
            if let Ok(parsed) = String::from_utf8_lossy(&line).trim_end().parse::<L>() {
                hand_on(&parsed);
            }
            line.clear();
        }
    }
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
    use crate::state::events::EventKind;
    use std::cell::Cell;

    #[test]
    fn a_file_that_grows_is_told_in_whole_lines_and_from_the_start_after_it_shrank() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        let line = |detail: &str| {
            format!("{}\n", Event::now(EventKind::Launch, "cluster", None, detail.to_owned()))
        };
        std::fs::write(&path, line("old")).unwrap();
        let mut tail = Tail::from_end(&path);
        let told = |tail: &mut Tail| {
            let seen = Cell::new(Vec::new());
            tail.read(|event: &Event| {
                let mut so_far = seen.take();
                so_far.push(event.detail.clone());
                seen.set(so_far);
            });
            seen.into_inner()
        };
        assert!(told(&mut tail).is_empty());
        let half = line("half");
        std::fs::write(&path, line("old") + &line("new") + &half[..20]).unwrap();
        assert_eq!(told(&mut tail), ["new"]);
        std::fs::write(&path, line("old") + &line("new") + &half).unwrap();
        assert_eq!(told(&mut tail), ["half"]);
        std::fs::write(&path, line("fresh")).unwrap();
        assert_eq!(told(&mut tail), ["fresh"]);
    }

    #[test]
    fn a_request_is_told_with_its_vm_size_and_time() {
        let line = "at=2026-11-21T22:41:05.130Z request=r1 workload=blur vm=vm-2 status=200 \
                    width=960 height=686 input_bytes=1 output_bytes=2 queue_us=3 cpu_us=4 \
                    wall_us=34210 work=5 attempts=2";
        let told = tell_request(&line.parse().unwrap());
        assert!(told.ends_with("vm-2       blur      200 960x686 in 34.2 ms, attempt 2"), "{told}");
    }
}
