//! Commands of the user's: run by a shell, within a time, with nothing left behind.

use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Runs a command by `sh -c` and everything it starts, with `variables` in its environment and
/// `input` on its stdin; what it prints goes to this process's stderr.
///
/// # Errors
/// A sentence on how it failed.
pub async fn run(
    command: &str,
    variables: &[(&str, &str)],
    input: &[u8],
    timeout: Duration,
) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("`{command}` cannot be run: {error}");
    let output = std::io::stderr().as_fd().try_clone_to_owned().map_err(cannot)?;
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(output)
        .process_group(0)
        .spawn()
        .map_err(cannot)?;
    let group = Group(child.id());
    let stdin = child.stdin.take();
    let done = async {
        if let Some(mut stdin) = stdin {
            // One that does not read its input may still succeed.
            let _unread = stdin.write_all(input).await;
        }
        child.wait().await
    };
    let outcome = match tokio::time::timeout(timeout, done).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("`{command}` failed: {status}")),
        Ok(Err(error)) => Err(cannot(error)),
        Err(_) => Err(format!("`{command}` took longer than {} s", timeout.as_secs_f64())),
    };
    drop(group);
    outcome
}

/// A process and all that it started, ended when this is dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // None of them is left, usually.
            let _gone = kill_process_group(leader, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_knows_its_variables_and_tells_how_it_failed() {
        let patience = Duration::from_mins(1);
        let variables = [("VM_ID", "vm-7")];
        assert_eq!(run("test \"$VM_ID\" = vm-7", &variables, b"", patience).await, Ok(()));
        let failed = run("exit 3", &variables, b"", patience).await.unwrap_err();
        assert_eq!(failed, "`exit 3` failed: exit status: 3");
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let command = format!("sleep 600 & echo $! > {}; wait", file.display());
        let late = run(&command, &[], b"", Duration::from_millis(300)).await.unwrap_err();
        assert!(late.ends_with("took longer than 0.3 s"), "{late}");
        let started = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let begin = std::time::Instant::now();
        while crate::process::is_alive(started) {
            assert!(begin.elapsed() < Duration::from_mins(1), "{started} goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_command_gets_its_input_or_may_leave_it() {
        let patience = Duration::from_mins(1);
        let read = run("test \"$(cat)\" = told", &[], b"told", patience).await;
        assert_eq!(read, Ok(()));
        let much = vec![b'x'; 1 << 20];
        assert_eq!(run("exec 0<&-; exit 0", &[], &much, patience).await, Ok(()));
    }
}
