//! The log of a function, `log/function-NAME.log`: what its program wrote to stderr, and a line for
//! each invocation.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::Error;
use super::folder::StateFolder;
use super::logfmt::{Builder, Pairs};
use super::xml::{milliseconds, time};
use crate::domain::function::{FunctionName, Usage, billed};

/// One invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// When it ended.
    pub at: Timestamp,
    /// Its id.
    pub request: String,
    /// Whether an environment was started for it.
    pub cold: bool,
    /// How long it took, the start of its environment included.
    pub duration: Duration,
    /// The memory that it could use, in MiB.
    pub memory_mib: u32,
    /// Why it gave no answer; none if it gave one.
    pub error: Option<String>,
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = Builder::default()
            .pair("at", time(self.at))
            .pair("request", &self.request)
            .pair("start", if self.cold { "cold" } else { "warm" })
            .pair("seconds", milliseconds(self.duration))
            .pair("billed_ms", billed(self.duration).as_millis())
            .pair("memory_mib", self.memory_mib)
            .known("error", self.error.as_ref());
        line.fmt(f)
    }
}

/// What the invocation of a line used, if it ended since then; none for a line of another kind.
fn used_since(line: &str, since: Timestamp) -> Option<Usage> {
    let pairs = Pairs::parse(line).ok()?;
    let at = pairs.required::<Timestamp>("at").ok()?;
    let time = Duration::from_millis(pairs.required("billed_ms").ok()?);
    let memory_mib = pairs.required("memory_mib").ok()?;
    (at >= since).then(|| Usage::of(memory_mib, time))
}

/// What a function's program said beside its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When.
    pub at: Timestamp,
    /// The request that it worked on.
    pub request: String,
    /// The line.
    pub text: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = Builder::default().pair("at", time(self.at)).pair("request", &self.request);
        line.pair("said", &self.text).fmt(f)
    }
}

/// Where a log goes that has grown.
pub fn aside(log: &Path) -> PathBuf {
    let mut aside = log.as_os_str().to_owned();
    aside.push(".1");
    aside.into()
}

impl StateFolder {
    /// What the invocations of a function that ended since then used, as far as its log, of which
    /// at most `bytes` bytes are looked through, goes back.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn function_usage_since(
        &self,
        name: &FunctionName,
        since: Timestamp,
        bytes: u64,
    ) -> Result<Usage, Error> {
        let log = self.function_log_path(name);
        let text = Self::end_of_log(&aside(&log), bytes)? + &Self::end_of_log(&log, bytes)?;
        let used = text.lines().filter_map(|line| used_since(line, since));
        Ok(used.fold(Usage::default(), Usage::plus))
    }

    /// Where the log of a function is.
    pub fn function_log_path(&self, name: &FunctionName) -> PathBuf {
        self.log_path(&format!("function-{name}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_a_line() {
        let mut invocation = Invocation {
            at: Timestamp::UNIX_EPOCH,
            request: "r1".to_owned(),
            cold: true,
            duration: Duration::from_micros(12_300),
            memory_mib: 128,
            error: None,
        };
        assert_eq!(
            invocation.to_string(),
            "at=1970-01-01T00:00:00.000Z request=r1 start=cold seconds=0.012 billed_ms=13 \
             memory_mib=128 error=-"
        );
        invocation.error = Some("exit status 1".to_owned());
        assert!(invocation.to_string().ends_with("error=\"exit status 1\""));
    }

    #[test]
    fn what_was_used_since_a_moment_is_the_sum_of_the_lines_after_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(parent.path()).unwrap();
        let name = "blur".parse::<FunctionName>().unwrap();
        let line = |second, memory_mib| Invocation {
            at: Timestamp::from_second(second).unwrap(),
            request: "r".to_owned(),
            cold: false,
            duration: Duration::from_millis(500),
            memory_mib,
            error: None,
        };
        let log = folder.function_log_path(&name);
        std::fs::write(aside(&log), format!("{}\n{}\n", line(5, 1024), line(20, 2048))).unwrap();
        let said = "at=1970-01-01T00:00:30.000Z request=r said=memory_mib";
        std::fs::write(&log, format!("{said}\n{}\ntorn", line(30, 1024))).unwrap();
        let since = Timestamp::from_second(10).unwrap();
        let used = folder.function_usage_since(&name, since, 1 << 20).unwrap();
        assert_eq!(used, Usage { requests: 2, gb_seconds: 1.5 });
        let other = "enhance".parse().unwrap();
        let none = folder.function_usage_since(&other, since, 1 << 20).unwrap();
        assert_eq!(none, Usage::default());
    }
}
