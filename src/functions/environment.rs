//! An execution environment: a process that answers events.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::quota;
use crate::domain::function::{Code, Function};
use crate::state::StateFolder;

/// The longest answer, in bytes.
const LONGEST_ANSWER: u64 = 64 << 20;

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
        let log = self.folder.function_log_path(&function.name);
        let log = OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
        let mut child = command
            .env("FUNCTION_NAME", function.name.as_str())
            .env("FUNCTION_MEMORY_MIB", function.memory_mib.to_string())
            .env("FUNCTION_TIMEOUT", function.timeout.as_secs_f64().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = output.ok_or_else(|| failed(io::Error::other("it has no output")))?;
        let output = BufReader::new(output);
        let environment = Environment { function: function.clone(), child, input, output };
        tokio::time::sleep(self.cold_start).await;
        Ok(environment)
    }
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

    /// Its answer to an event, which is one line.
    pub(super) async fn answer(&mut self, event: &[u8]) -> Result<Vec<u8>, Failure> {
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
