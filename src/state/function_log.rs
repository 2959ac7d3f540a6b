//! The log of a function, `log/function-NAME.log`: what its program wrote to stderr, and a line for
//! each invocation.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::folder::StateFolder;
use super::logfmt::Builder;
use super::xml::{milliseconds, time};
use crate::domain::function::{FunctionName, billed};

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
}
