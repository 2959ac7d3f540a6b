//! Processes of the cluster: started by it, or found from before. Either way their end arrives as
//! a message.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::mpsc::UnboundedSender;

use crate::process;

/// How often a process that is not our child is looked at. The end of a child is told by the
/// system at once.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How much of what a process wrote last is looked through for the reason of its end, in bytes.
const LAST_WORDS: u64 = 4096;
/// The signal with which a process ends itself, by the same number everywhere.
const SIGABRT: i32 = 6;

/// A process has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) pid: u32,
    /// How, for people: `exit status 1: error: …`, `signal 9`, `gone`.
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
    let path = errors.to_path_buf();
    // Somebody may have tidied up.
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let errors = OpenOptions::new().create(true).append(true).open(&path)?;
    let said_before = errors.metadata()?.len();
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
            Ok(status) => describe(status, || last_words(&path, said_before)),
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

fn describe(status: ExitStatus, last_words: impl FnOnce() -> Option<String>) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "exit status 0".to_owned(),
        (Some(code), _) => {
            let why = last_words().map(|words| format!(": {words}")).unwrap_or_default();
            format!("exit status {code}{why}")
        }
        // How an allocation that fails ends a process, and how Rust says it.
        (None, Some(SIGABRT)) => match last_words() {
            Some(words) if words.starts_with("memory allocation of") => {
                format!("out of memory: {words}")
            }
            words => format!("aborted{}", words.map(|it| format!(": {it}")).unwrap_or_default()),
        },
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown end".to_owned(),
    }
}

/// The last line that a process wrote to its file of errors, after the first `from` bytes. Advice
/// on how to learn more (`note: run with …`) and why there is none (`skipping …`) is no reason.
fn last_words(path: &Path, from: u64) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let end = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(from.max(end.saturating_sub(LAST_WORDS)))).ok()?;
    let mut bytes = Vec::new();
    file.take(LAST_WORDS).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim);
    let no_reason = ["note:", "skipping backtrace"];
    let is_reason = |line: &&str| !no_reason.iter().any(|start| line.starts_with(start));
    lines.filter(|line| !line.is_empty()).rfind(is_reason).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_fails_is_reported_with_its_own_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let errors = folder.path().join("log/errors");
        let (sender, mut exits) = tokio::sync::mpsc::unbounded_channel();
        for (script, how) in [
            ("echo why >&2; echo 'note: more' >&2; exit 3", "exit status 3: why"),
            ("exit 4", "exit status 4"),
            ("echo all is well >&2", "exit status 0"),
            ("kill -9 $$", "signal 9"),
            (
                "echo memory allocation of 9 bytes failed >&2; echo skipping backtrace >&2; \
                 kill -6 $$",
                "out of memory: memory allocation of 9 bytes failed",
            ),
            ("echo why >&2; kill -6 $$", "aborted: why"),
        ] {
            let arguments = ["-c".to_owned(), script.to_owned()];
            let streams = (Stdio::null(), Stdio::null());
            let shell = Path::new("/bin/sh");
            let pid = spawn(shell, &arguments, streams, &errors, sender.clone()).unwrap();
            let exit = exits.recv().await.unwrap();
            assert_eq!(exit, Exit { pid, how: how.to_owned() });
        }
    }
}
