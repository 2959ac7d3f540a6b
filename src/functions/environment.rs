//! An execution environment: a process that answers events.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::quota;
use crate::domain::function::{Code, Function};
use crate::state::StateFolder;
use crate::state::function_log::Said;

/// The longest answer, in bytes.
const LONGEST_ANSWER: u64 = 64 << 20;

/// The longest line of a program's log, in bytes; a longer one is continued on the next.
const LONGEST_LINE: u64 = 8 << 10;
/// How long the last words of a program that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How environments are started.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    /// This program, for the built-in functions, and its arguments that let it find the settings.
    pub(super) program: PathBuf,
    pub(super) handed_on: Vec<String>,
    /// How long a new environment takes to be ready, on the real thing.
    pub(super) cold_start: Duration,
    pub(super) folder: StateFolder,
}

/// Why an invocation gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("its program `{0}` cannot be started: {1}")]
    Start(String, #[source] io::Error),
    #[error("it took longer than its limit of {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("it used more than its {0} MiB of memory")]
    OutOfMemory(u32),
    #[error("it ended without an answer ({0}); its log says more")]
    Ended(String),
    #[error("its answer is longer than {LONGEST_ANSWER} bytes")]
    TooLong,
    #[error("its process cannot be read from: {0}")]
    Unreadable(#[source] io::Error),
}

/// A process and the way to it. Dropping it kills the process and all that it started.
#[derive(Debug)]
pub(super) struct Environment {
    function: Function,
    child: Child,
    /// None once the one event of a process that takes no more has been written.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// What it says beside its answers goes to its log, under the request that it works on.
    request: Arc<Mutex<String>>,
    saying: JoinHandle<()>,
}

impl Launch {
    /// Starts an environment, which takes its cold start.
    pub(super) async fn start(&self, function: &Function) -> Result<Environment, Failure> {
        let mut command = match &function.code {
            Code::BuiltIn(kind) => {
                let mut command = Command::new(&self.program);
                command.args(["function", "environment", kind.as_str(), "--memory"]);
                command.arg(function.memory_mib.to_string()).args(&self.handed_on);
                command
            }
            Code::Program { words, .. } => {
                let (program, arguments) =
                    words.split_first().map_or(("", &[][..]), |(it, rest)| (it.as_str(), rest));
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
        };
        let failed = |error| {
            let program = command_name(function, &self.program);
            Failure::Start(program, error)
        };
        let mut child = command
            .env("FUNCTION_NAME", function.name.as_str())
            .env("FUNCTION_MEMORY_MIB", function.memory_mib.to_string())
            .env("FUNCTION_TIMEOUT", function.timeout.as_secs_f64().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = output.ok_or_else(|| failed(io::Error::other("it has no output")))?;
        let output = BufReader::new(output);
        let said = child.stderr.take().ok_or_else(|| failed(io::Error::other("it cannot say")))?;
        let request = Arc::new(Mutex::new(String::new()));
        let log = self.folder.function_log_path(&function.name);
        let saying = tokio::spawn(write_down(said, log, request.clone()));
        let function = function.clone();
        let environment = Environment { function, child, input, output, request, saying };
        tokio::time::sleep(self.cold_start).await;
        Ok(environment)
    }
}

/// Writes each line that a program says to the log, until it says no more.
async fn write_down(said: ChildStderr, log: PathBuf, request: Arc<Mutex<String>>) {
    let mut said = BufReader::new(said);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut said).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        let request = request.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = Said { at: Timestamp::now(), request, text };
        let log = log.clone();
        let written = tokio::task::spawn_blocking(move || append(&log, &said));
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "a line of a function's log is lost");
        }
    }
}

/// Appends a line to a function's log.
pub(super) fn append(log: &Path, line: &impl Display) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).append(true).open(log)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    Ok(file)
}

fn command_name(function: &Function, own: &std::path::Path) -> String {
    match &function.code {
        Code::BuiltIn(_) => own.display().to_string(),
        Code::Program { words, .. } => words.first().cloned().unwrap_or_default(),
    }
}

impl Environment {
    /// Whether it can take an event: its process lives and takes more than one.
    pub(super) fn is_ready(&mut self) -> bool {
        self.input.is_some() && matches!(self.child.try_wait(), Ok(None))
    }

    /// Lets it stand still while there is nothing to do.
    pub(super) fn freeze(&self) {
        self.signal_program(Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) {
        self.signal_program(Signal::CONT);
    }

    /// Those that are built in wait for their input and hold themselves to their share.
    fn signal_program(&self, signal: Signal) {
        if let (Code::Program { .. }, Some(pid)) = (&self.function.code, self.child.id()) {
            quota::signal(pid, signal);
        }
    }

    /// Its answer to an event, which is one line, for the request of this name.
    pub(super) async fn answer(&mut self, event: &[u8], request: &str) -> Result<Vec<u8>, Failure> {
        request.clone_into(&mut self.request.lock().unwrap_or_else(PoisonError::into_inner));
        let (timeout, memory) = (self.function.timeout, self.function.memory_mib);
        let held = match (&self.function.code, self.child.id()) {
            (Code::Program { .. }, Some(pid)) => Some((pid, self.function.vcpus())),
            _ => None,
        };
        let bytes = self.function.memory_bytes();
        let excess = async {
            match held {
                Some((pid, vcpus)) => quota::hold(pid, vcpus, bytes).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            answer = self.exchange(event) => answer,
            () = excess => Err(Failure::OutOfMemory(memory)),
            () = tokio::time::sleep(timeout) => Err(Failure::TimedOut(timeout)),
        }
    }

    async fn exchange(&mut self, event: &[u8]) -> Result<Vec<u8>, Failure> {
        let reused = !matches!(self.function.code, Code::Program { reused: false, .. });
        let mut input = self.input.take();
        let write = async {
            // One that answers without reading all has its reasons; one that has ended is seen by
            // its answer, which is missing.
            if let Some(pipe) = &mut input {
                let _ = pipe.write_all(event).await;
                let _ = pipe.write_all(b"\n").await;
                let _ = pipe.flush().await;
            }
            if !reused {
                input = None;
            }
        };
        let mut answer = Vec::new();
        let mut output = (&mut self.output).take(LONGEST_ANSWER + 1);
        let read = async {
            if reused {
                output.read_until(b'\n', &mut answer).await
            } else {
                output.read_to_end(&mut answer).await
            }
        };
        let ((), read) = tokio::join!(write, read);
        self.input = input;
        read.map_err(Failure::Unreadable)?;
        if answer.len() as u64 > LONGEST_ANSWER {
            return Err(Failure::TooLong);
        }
        if reused && answer.pop_if(|last| *last == b'\n').is_some() {
            return Ok(answer);
        }
        let status = self.child.wait().await.map_err(Failure::Unreadable)?;
        // Its last words; but what it left behind may say more, for as long as it likes.
        let _ = tokio::time::timeout(LAST_WORDS, &mut self.saying).await;
        if reused || !status.success() {
            return Err(Failure::Ended(match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit status {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => "an unknown end".to_owned(),
            }));
        }
        Ok(answer)
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        if let Some(pid) = self.child.id() {
            quota::signal(pid, Signal::KILL);
        }
    }
}
