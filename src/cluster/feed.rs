//! Tells on stdout what happens, from the files, so that it makes no difference which process did
//! it: requests from metrics.txt, everything else from events.log.

use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Cluster;
use crate::state::logfmt;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The task that tells.
pub(super) struct Narrator {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Narrator {
    /// Tells what has not been told yet, and ends.
    pub(super) async fn finish(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::debug!(%error, "the narrator ended early");
        }
    }
}

impl Cluster {
    /// Starts telling, from the lines that are written from now on.
    pub(super) fn narrate(&self) -> Narrator {
        let stop = CancellationToken::new();
        if self.settings.narrate {
            self.greet();
        }
        let mut tails = [
            Tail::from_end(&self.folder.events_path(), tell_event),
            Tail::from_end(&self.folder.metrics_path(), tell_request),
        ];
        let (stopped, narrate) = (stop.clone(), self.settings.narrate);
        let task = tokio::spawn(async move {
            while narrate {
                let last = stopped.is_cancelled();
                tails.iter_mut().for_each(Tail::tell);
                if last {
                    return;
                }
                tokio::select! {
                    () = stopped.cancelled() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        });
        Narrator { task, stop }
    }

    fn greet(&self) {
        let address = self.front.address;
        let state = self.folder.path().display();
        say(&format!(
            "Cumulet runs.\n\
             \n  requests   http://{address}/            in a browser, or workloads/blur.sh\
             \n  metrics    http://{}/metrics\
             \n  state      {state}/VMState.xml, {state}/ASState.xml: read them, edit them\
             \n  stop       Ctrl-C\n",
            self.front.admin
        ));
    }
}

/// A file that grows, and how its lines are told.
struct Tail {
    path: PathBuf,
    position: u64,
    tell: fn(&[(String, String)]) -> Option<String>,
}

impl Tail {
    fn from_end(path: &Path, tell: fn(&[(String, String)]) -> Option<String>) -> Self {
        let position = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Self { path: path.to_path_buf(), position, tell }
    }

    /// Tells the whole lines that were added since. A file that is not there has none.
    fn tell(&mut self) {
        let Ok(mut file) = File::open(&self.path) else { return };
        if file.metadata().is_ok_and(|metadata| metadata.len() < self.position) {
            self.position = 0;
        }
        if file.seek(SeekFrom::Start(self.position)).is_err() {
            return;
        }
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) && line.ends_with(b"\n") {
            self.position += line.len() as u64;
            let fields = logfmt::parse(String::from_utf8_lossy(&line).trim_end());
            if let Some(told) = fields.ok().and_then(|fields| (self.tell)(&fields)) {
                say(&told);
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

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(key, _)| key == name).map_or("-", |(_, value)| value)
}

/// `12:00:01  vm-4   launch  t3.micro, pid 4242: mean cpu …`
fn tell_event(fields: &[(String, String)]) -> Option<String> {
    let vm = field(fields, "vm");
    let who = if vm == "-" { field(fields, "role") } else { vm };
    let (event, detail) = (field(fields, "event"), field(fields, "detail"));
    Some(format!("{}  {who:<10} {event:<9} {detail}", clock(fields)?))
}

/// `12:00:01  vm-2   blur  960x686  200 in 34 ms`
fn tell_request(fields: &[(String, String)]) -> Option<String> {
    let of = |name| field(fields, name);
    let milliseconds = of("wall_us").parse::<f64>().ok()? / 1000.0;
    let size = match (of("width"), of("height")) {
        ("-" | "0", _) | (_, "-" | "0") => String::new(),
        (width, height) => format!(" {width}x{height}"),
    };
    let attempts = of("attempts");
    let again = if attempts == "1" { String::new() } else { format!(", attempt {attempts}") };
    let (vm, workload, status) = (of("vm"), of("workload"), of("status"));
    let who = if vm == "-" { "balancer" } else { vm };
    let at = clock(fields)?;
    Some(format!("{at}  {who:<10} {workload:<9} {status}{size} in {milliseconds:.1} ms{again}"))
}

/// The local time of day of the line's `at`.
fn clock(fields: &[(String, String)]) -> Option<String> {
    let at = field(fields, "at").parse::<jiff::Timestamp>().ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_is_told_in_whole_lines_and_from_the_start_after_it_shrank() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "at=1 a=old\n").unwrap();
        let mut tail = Tail::from_end(&path, |_| None);
        let start = tail.position;
        std::fs::write(&path, "at=1 a=old\na=new\na=ha").unwrap();
        tail.tell();
        assert_eq!(tail.position - start, "a=new\n".len() as u64, "half a line is not told");
        std::fs::write(&path, "a=x\n").unwrap();
        tail.tell();
        assert_eq!(tail.position, 4);
    }

    #[test]
    fn a_request_is_told_with_its_vm_size_and_time() {
        let line = "at=2026-11-21T22:41:05.130Z request=r1 workload=blur vm=vm-2 status=200 \
                    width=960 height=686 wall_us=34210 attempts=2";
        let told = tell_request(&logfmt::parse(line).unwrap()).unwrap();
        assert!(told.ends_with("vm-2       blur      200 960x686 in 34.2 ms, attempt 2"), "{told}");
    }
}
