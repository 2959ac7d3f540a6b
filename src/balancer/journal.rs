//! What is told of each request: a line for people, one in the access log, and one in metrics.txt
//! for those that no VM has finished. Written by a thread of its own, so that no request waits for
//! a file.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Method, Version};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::balancing::Reason;
use crate::domain::cost::{Kind, Work};
use crate::domain::vm::VmId;
use crate::logging::Log;
use crate::state::access::{self, Access};
use crate::state::events::Event;
use crate::state::folder::StateFolder;
use crate::state::metrics::Metric;

/// So many bytes may wait to be written; more are dropped rather than kept in memory.
const WAITING_BYTES: usize = 8 << 20;
/// So much memory is kept for those that will wait next.
const KEPT_BYTES: usize = 256 << 10;

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
        self.log.is_empty() && self.screen.is_empty() && self.rare.is_empty()
    }
}

/// All that is known of a request in the end.
#[derive(Debug)]
pub(super) struct Account {
    /// When it came.
    pub(super) at: Timestamp,
    /// Its id.
    pub(super) request: HeaderValue,
    /// Its method.
    pub(super) method: Method,
    /// Its path.
    pub(super) path: String,
    /// The kind of work it asked for.
    pub(super) kind: Kind,
    /// What that was predicted to cost.
    pub(super) work: Work,
    /// How many requests waited for a VM when it came.
    pub(super) waiting: u64,
    /// Who sent it.
    pub(super) client: IpAddr,
    /// Its version of HTTP.
    pub(super) version: Version,
    /// How long its head took to come.
    pub(super) head_time: Duration,
    /// What the last VM took.
    pub(super) pace: Pace,
    /// How it ended.
    pub(super) end: End,
    /// The VM it was sent to last.
    pub(super) vm: Option<VmId>,
    /// How often it was sent to a VM.
    pub(super) attempts: u32,
    /// How long it waited for VMs.
    pub(super) queued: Duration,
    /// The status that the client saw, or would have seen.
    pub(super) status: u16,
    /// From its arrival to its end.
    pub(super) total: Duration,
    /// Bytes of its body.
    pub(super) input_bytes: u64,
    /// Bytes of the answer's body.
    pub(super) output_bytes: u64,
    /// Whether the answer is a VM's, which then accounts for it in metrics.txt.
    pub(super) by_vm: bool,
    /// Why this VM, or why none.
    pub(super) why: Why,
}

/// How long a VM took over a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// To take up a connection; nothing if one was kept from before.
    pub(super) connect: Duration,
    /// To begin its answer after that.
    pub(super) answer: Duration,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With a VM's answer.
    Whole,
    /// With an answer of the balancer's own.
    Refused,
    /// With the beginning of a VM's answer.
    CutShort,
    /// Its client left.
    ClientLeft,
}

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Refused => "refused",
            Self::CutShort => "cut-short",
            Self::ClientLeft => "client-left",
        }
    }
}

/// The reason for what became of a request.
#[derive(Debug)]
pub(super) enum Why {
    /// Nobody has got to it yet.
    Nothing,
    /// A VM was chosen.
    Chosen(Arc<Reason>),
    /// It was refused.
    Because(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Chosen(reason) => reason.fmt(f),
            Self::Because(sentence) => f.write_str(sentence),
        }
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
                account.access().append_to(&mut notes.log);
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
        let waiting = notes.log.len() + notes.screen.len() + notes.rare.len() * size_of::<Note>();
        if waiting >= WAITING_BYTES {
            drop(notes);
            tracing::warn!("a line was not written: {waiting} bytes of others wait for the disk");
            return;
        }
        tell(&mut notes);
        if !notes.is_empty() && std::mem::take(&mut notes.asleep) {
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

impl Account {
    /// The line for people:
    /// `12:30:01.123 POST /blurimage → vm-2 200 34 ms (queue 0, attempts 1) least-work: …`.
    fn line(&self, zone: &TimeZone) -> String {
        let at = self.at.to_zoned(zone.clone()).strftime("%H:%M:%S%.3f");
        let vm = self.vm.as_ref().map_or("-", VmId::as_str);
        format!(
            "{at} {} {} → {vm} {} {} ms (queue {}, attempts {}) {}",
            self.method,
            printable(&self.path),
            self.status,
            self.total.as_millis(),
            self.waiting,
            self.attempts,
            self.why,
        )
    }

    fn name(&self) -> &str {
        // Cannot fail: an id is visible ASCII.
        self.request.to_str().unwrap_or_default()
    }

    /// The line in the access log.
    fn access(&self) -> Access<'_> {
        Access {
            at: self.at,
            request: self.name(),
            client: self.client,
            http: match self.version {
                Version::HTTP_2 => "2",
                Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            method: self.method.as_str(),
            path: &self.path,
            status: self.status,
            vm: self.vm.as_ref(),
            attempts: self.attempts,
            waiting: self.waiting,
            head_us: us(self.head_time),
            queue_us: us(self.queued),
            connect_us: us(self.pace.connect),
            vm_us: us(self.pace.answer),
            total_us: us(self.total),
            input_bytes: self.input_bytes,
            output_bytes: self.output_bytes,
            end: self.end.word(),
            predicted_us: us(Duration::from_secs_f64(self.work.seconds())),
            why: &self.why,
        }
    }

    /// The line in metrics.txt, unless the VM writes it.
    fn metric(&self) -> Option<Metric> {
        (!self.by_vm).then(|| Metric {
            at: Timestamp::now(),
            request: self.name().to_owned(),
            workload: self.kind.as_str().to_owned(),
            vm: None,
            status: self.status,
            width: None,
            height: None,
            input_bytes: self.input_bytes,
            output_bytes: self.output_bytes,
            queue_us: Some(us(self.queued)),
            cpu_us: None,
            wall_us: us(self.total),
            work: None,
            attempts: self.attempts,
            extra: Vec::new(),
        })
    }
}

/// Whole microseconds.
fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A path that can be shown: at most 80 characters, none of which moves a cursor.
fn printable(path: &str) -> String {
    path.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::balancing::{Policy, Rival, Standing};

    fn account() -> Account {
        Account {
            at: "2026-11-21T12:30:01.123Z".parse().unwrap(),
            request: HeaderValue::from_static("r-1"),
            method: Method::POST,
            path: "/blurimage".to_owned(),
            kind: Kind::Blur,
            work: Work::from_nanos(1),
            waiting: 0,
            client: [127, 0, 0, 1].into(),
            version: Version::HTTP_11,
            head_time: Duration::ZERO,
            pace: Pace::default(),
            end: End::Whole,
            vm: Some(VmId::numbered(2)),
            attempts: 1,
            queued: Duration::ZERO,
            status: 200,
            total: Duration::from_millis(34),
            input_bytes: 10,
            output_bytes: 20,
            by_vm: true,
            why: Why::Chosen(Arc::new(Reason {
                policy: Policy::LeastWork,
                chosen: Rival {
                    id: VmId::numbered(2),
                    in_flight: 0,
                    outstanding: Work::NONE,
                    foreign: 0.0,
                    warming_up: false,
                    full: false,
                    standing: Standing::Sound,
                    tried: false,
                },
                alternatives: Vec::new(),
                others: 0,
            })),
        }
    }

    #[test]
    fn a_request_is_told_in_one_line() {
        assert_eq!(
            account().line(&TimeZone::UTC),
            "12:30:01.123 POST /blurimage → vm-2 200 34 ms (queue 0, attempts 1) \
             least-work: vm-2: 0 in flight, 0 s of work"
        );
    }

    #[test]
    fn only_what_no_vm_has_finished_is_accounted_for_here() {
        assert_eq!(account().metric(), None);
        let refused = Account { status: 503, by_vm: false, ..account() };
        let metric = refused.metric().unwrap();
        assert_eq!((metric.vm, metric.status, metric.workload.as_str()), (None, 503, "blur"));
    }
}
