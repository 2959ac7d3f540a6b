//! Processes of the cluster: started by it, or found from before. Either way their end arrives as
//! a message.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc::UnboundedSender;

use crate::process;

/// How often a process that is not our child is looked at. The end of a child is told by the
/// system at once.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A process has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) pid: u32,
    /// How, for people: `exit status 1`, `signal 9`, `gone`.
    pub(super) how: String,
}

/// Starts `program` with its own process group, so that Ctrl-C in a terminal reaches only the
/// cluster, and with stderr appended to `errors`. It outlives the cluster if that is killed.
pub(super) fn spawn(
    program: &Path,
    arguments: &[String],
    (stdin, stdout): (Stdio, Stdio),
    errors: &Path,
    exits: UnboundedSender<Exit>,
) -> io::Result<u32> {
    let errors = OpenOptions::new().create(true).append(true).open(errors)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(errors)
        .process_group(0)
        .kill_on_drop(false)
        .spawn()?;
    let pid = child.id().ok_or_else(|| io::Error::other("it ended before it had begun"))?;
    tokio::spawn(async move {
        let how = match child.wait().await {
            Ok(status) => describe(status),
            Err(error) => error.to_string(),
        };
        // Nobody listens any more when the cluster itself ends.
        let _ended = exits.send(Exit { pid, how });
    });
    Ok(pid)
}

/// Watches a process that an earlier cluster started.
pub(super) fn adopt(pid: u32, exits: UnboundedSender<Exit>) {
    tokio::spawn(async move {
        while process::is_alive(pid) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let _ended = exits.send(Exit { pid, how: "gone".to_owned() });
    });
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}
