//! The terminal: taken over, and given back as it was, whatever happens to either side.

use std::io;

use crossterm::cursor::Show;
use crossterm::event::DisableMouseCapture;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::DefaultTerminal;
use ratatui::backend::CrosstermBackend;
use tokio_util::sync::CancellationToken;

/// Puts what never says anything in the place of a terminal that is gone: the thread that reads keys
/// would read its end for ever, at the cost of a whole core, while the cluster finishes its work.
pub(super) fn fall_silent() {
    let put = io::pipe().and_then(|(silent, kept_open)| {
        rustix::stdio::dup2_stdin(silent)?;
        std::mem::forget(kept_open);
        Ok(())
    });
    if let Err(error) = put {
        tracing::debug!(%error, "the terminal that is gone is read on");
    }
}

pub(super) fn take_over() -> io::Result<DefaultTerminal> {
    enable_raw_mode()?;
    crossterm::execute!(io::stdout(), EnterAlternateScreen)?;
    ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))
}

/// Gives the terminal back as it was. One that is gone needs nothing: whoever waits for the end of
/// the cluster must not be stopped by it.
pub(super) fn give_back() {
    let _modes = disable_raw_mode();
    // The mouse may be ours or not: giving it back twice does no harm.
    let _rest = crossterm::execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
}

/// Tells of a panic anywhere in the process. It gives the terminal back so that its message can be
/// read; a screen that went on drawing over it would hide it.
#[derive(Debug, Clone, Default)]
pub(super) struct Panic {
    /// The terminal has been given back.
    pub(super) over: CancellationToken,
    /// Its message has been printed.
    pub(super) told: CancellationToken,
}

impl Panic {
    /// Doing it again would put the cursor on the message of a panic, or on what was printed since.
    pub(super) fn give_back_once(&self) {
        if !self.over.is_cancelled() {
            give_back();
            self.over.cancel();
        }
    }

    pub(super) fn watch() -> Self {
        let panic = Self::default();
        let (watched, before) = (panic.clone(), std::panic::take_hook());
        std::panic::set_hook(Box::new(move |info| {
            watched.give_back_once();
            before(info);
            watched.told.cancel();
        }));
        panic
    }
}
