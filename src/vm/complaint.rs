//! Saying once that something fails, however often it is tried.

use crate::state::Error;

/// Tells the log when writing something begins to fail, and when it works again.
#[derive(Debug)]
pub(super) struct Complaint {
    what: &'static str,
    failing: bool,
}

impl Complaint {
    /// About `what`, a plural noun, which has worked so far.
    pub(super) fn about(what: &'static str) -> Self {
        Self { what, failing: false }
    }

    /// Takes note of how the last try went.
    pub(super) fn hear(&mut self, result: &Result<(), Error>) {
        let what = self.what;
        match result {
            Err(error) if !self.failing => {
                tracing::error!(%error, "{what} cannot be written; serving goes on");
            }
            Ok(()) if self.failing => tracing::info!("{what} are written again"),
            _ => {}
        }
        self.failing = result.is_err();
    }
}
