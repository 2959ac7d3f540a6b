//! What is told of each request: a line for people, one in the access log, and one in metrics.txt
//! for those that no VM has finished. Written by a thread of its own, so that no request waits for
//! a file.

mod account;

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::logging::Log;
use crate::state::access::{self, Clock};
use crate::state::events::Event;
use crate::state::folder::StateFolder;
use crate::state::metrics::Metric;
pub(super) use account::{Account, End, Pace, Why};

/// So many bytes may wait to be written; more are dropped rather than kept in memory.
const WAITING_BYTES: usize = 8 << 20;
/// When so much waits, it is written without delay.
const MANY_BYTES: usize = 64 << 10;
/// So much memory is kept for those that will wait next.
const KEPT_BYTES: usize = 2 * MANY_BYTES;

/// An access log that has grown to this is set aside as `access.log.1`.
const SET_ASIDE_AT_BYTES: u64 = 32 << 20;

/// After some lines were written the next ones are let gather for so long: to wake a thread costs as
/// much as to route a request.
const GATHERED: Duration = Duration::from_millis(20);

/// Where to tell what happened.
#[derive(Clone)]
pub(super) struct Journal {
    mailbox: Arc<Mailbox>,
    /// The time zone of the lines for people, if there are to be any.
    printed: Option<TimeZone>,
    /// Whether there is an access log.
    logged: bool,
}

/// Notes on their way to the thread that writes them.
#[derive(Default)]
struct Mailbox {
    notes: Mutex<Notes>,
    /// Rung when the thread is asleep and there is a note, and at the end.
    bell: Condvar,
}

#[derive(Default)]
struct Notes {
    /// Lines of the access log.
    log: String,
    clock: Clock,
    /// Lines for people.
    screen: String,
    rare: Vec<Note>,
    /// The thread sleeps until the bell rings.
    asleep: bool,
    ended: bool,
}

enum Note {
    Metric(Metric),
    Event(Event),
}

impl Notes {
    fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    fn bytes(&self) -> usize {
        self.log.len() + self.screen.len() + self.rare.len() * size_of::<Note>()
    }
}

impl Journal {
    /// Starts the thread that writes. `print` has it print a line for each request, `log` has it
    /// write one to the access log.
    pub(super) fn start(
        folder: StateFolder,
        print: bool,
        log: bool,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let mailbox = Arc::new(Mailbox::default());
        let log = log.then(|| Log::open(&folder.log_path(access::FILE), SET_ASIDE_AT_BYTES));
        let log = log.transpose()?;
        let printed = print.then(TimeZone::system);
        let journal = Self { mailbox: mailbox.clone(), printed, logged: log.is_some() };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write(&mailbox, &folder, log.as_ref()))?;
        Ok((journal, thread))
    }

    /// A request has come to its end.
    pub(super) fn request(&self, account: &Account) {
        self.tell(|notes| {
            if let Some(zone) = &self.printed {
                // Writing to a String cannot fail.
                let _ = writeln!(notes.screen, "{}", account.line(zone));
            }
            if self.logged {
                account.access().append_to(&mut notes.log, &mut notes.clock);
            }
            notes.rare.extend(account.metric().map(Note::Metric));
        });
    }

    /// Something happened to a VM.
    pub(super) fn event(&self, event: Event) {
        self.tell(|notes| notes.rare.push(Note::Event(event)));
    }

    /// Nothing more is to be told.
    pub(super) fn end(&self) {
        self.mailbox.notes().ended = true;
        self.mailbox.bell.notify_one();
    }

    fn tell(&self, tell: impl FnOnce(&mut Notes)) {
        let mut notes = self.mailbox.notes();
        let before = notes.bytes();
        if before >= WAITING_BYTES {
            drop(notes);
            tracing::warn!("a line was not written: {before} bytes of others wait for the disk");
            return;
        }
        tell(&mut notes);
        let is_first = before == 0 && !notes.is_empty() && std::mem::take(&mut notes.asleep);
        let are_many = (before..notes.bytes()).contains(&MANY_BYTES);
        if is_first || are_many {
            drop(notes);
            self.mailbox.bell.notify_one();
        }
    }
}

impl Mailbox {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Swaps the notes that have gathered for empty ones; false if there will be none any more.
    fn take(&self, into: &mut Notes) -> bool {
        let mut notes = self.notes();
        if !notes.ended {
            let gathered = self.bell.wait_timeout(notes, GATHERED);
            notes = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        while notes.is_empty() && !notes.ended {
            notes.asleep = true;
            notes = self.bell.wait(notes).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut notes.log, &mut into.log);
        std::mem::swap(&mut notes.screen, &mut into.screen);
        std::mem::swap(&mut notes.rare, &mut into.rare);
        !into.is_empty()
    }
}

fn write(mailbox: &Mailbox, folder: &StateFolder, log: Option<&Log>) {
    let mut screen = io::stdout();
    let mut notes = Notes::default();
    while mailbox.take(&mut notes) {
        for note in notes.rare.drain(..) {
            tell(match note {
                Note::Event(event) => folder.append_event(&event),
                Note::Metric(metric) => folder.append_metric(&metric),
            });
        }
        // If nobody reads the screen any more, that is no reason to stop serving.
        let _ = screen.write_all(notes.screen.as_bytes()).and_then(|()| screen.flush());
        if let Some(mut log) = log.filter(|_| !notes.log.is_empty()) {
            tell(log.write_all(notes.log.as_bytes()));
        }
        for text in [&mut notes.log, &mut notes.screen] {
            text.clear();
            text.shrink_to(KEPT_BYTES);
        }
    }
}

fn tell(written: Result<(), impl fmt::Display>) {
    if let Err(error) = written {
        tracing::warn!(%error, "a line was not written");
    }
}
