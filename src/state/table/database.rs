//! `metrics.db`: metrics.txt and samples.txt, with their closed parts, as tables of `SQLite`,
//! indexed.
//!
//! It is brought up to date by whoever asks, from the byte on where the last one stopped, in one
//! transaction with the note of how far it came: a crash at any moment leaves the state before or
//! after. A file that is another one by now (removed, replaced, cut short) is known by the bytes
//! before that place, and read anew; so is one that was closed, under its new name. The lines of a
//! file that is gone go. Writing goes on under a lock of the folder's; asking does not wait for it,
//! by `SQLite`'s write-ahead log.

use std::fs;
use std::io;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction};

use super::columns::{Columns, metric_columns, sample_columns};
use super::lines::Lines;
use super::soundness::{self, Soundness};
use super::{By, Filter, Row, Table};
use crate::domain::summary::Outcome;
use crate::state::logfmt::Line;
use crate::state::metrics::Metric;
use crate::state::samples::Sample;
use crate::state::{Error, StateFolder};

/// The name of the file.
const FILE: &str = "metrics.db";
/// These are kept beside it.
const BESIDE: [&str; 3] = ["metrics.db-wal", "metrics.db-shm", soundness::FILE];
/// The version of the tables. Another one's are dropped with the file, and made anew.
const VERSION: i64 = 2;
/// By so many bytes before the place where it stopped a file is known again: more than a line.
const KNOWN_BY_BYTES: u64 = 512;
/// How long a question waits for the moments in which `SQLite` itself locks.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE source (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, file TEXT NOT NULL UNIQUE,
        read_to INTEGER NOT NULL, before BLOB NOT NULL, not_understood INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE requests (
        source INTEGER NOT NULL,
        at_us INTEGER NOT NULL, request TEXT NOT NULL, workload TEXT NOT NULL, vm TEXT,
        status INTEGER NOT NULL, width INTEGER, height INTEGER, input_bytes INTEGER NOT NULL,
        output_bytes INTEGER NOT NULL, queue_us INTEGER, cpu_us INTEGER, wall_us INTEGER NOT NULL,
        work INTEGER, attempts INTEGER NOT NULL, rays INTEGER, tests INTEGER, scene_bytes INTEGER,
        primitives INTEGER, lights INTEGER, antialias INTEGER
    ) STRICT;
    CREATE INDEX requests_by_time ON requests (at_us);
    CREATE INDEX requests_by_vm ON requests (vm, at_us);
    CREATE INDEX requests_by_workload ON requests (workload, at_us);
    CREATE INDEX requests_by_name ON requests (request);
    CREATE TABLE samples (
        source INTEGER NOT NULL,
        at_us INTEGER NOT NULL, vm TEXT NOT NULL, state TEXT NOT NULL, type TEXT NOT NULL,
        cpu REAL NOT NULL, memory_bytes INTEGER NOT NULL, in_flight INTEGER NOT NULL,
        queued INTEGER NOT NULL, requests INTEGER NOT NULL, failures INTEGER NOT NULL,
        cpu_credits REAL
    ) STRICT;
    CREATE INDEX samples_by_vm ON samples (vm, at_us);
";

/// Why the index could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("{FILE}: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Folder(#[from] Error),
    #[error("{FILE} has tables of another version")]
    Version,
}

/// Answers from the index, after bringing it up to date.
pub(super) fn read(
    folder: &StateFolder,
    filter: &Filter,
    by: Option<By>,
) -> Result<Table, Unusable> {
    let question = |(open, soundness): (Connection, Soundness)| {
        let answer = ask(&open, filter, by)?;
        // What is in the write-ahead log goes into the file when the last one closes it.
        open.close().map_err(|(_, error)| error)?;
        soundness.note(folder.path(), FILE);
        Ok(answer)
    };
    match open(folder).and_then(question) {
        Err(error) if error.is_damage() => question(anew(folder)?),
        result => result,
    }
}

impl Unusable {
    /// Whether making the file anew helps: not where it is only in use, or cannot be written.
    fn is_damage(&self) -> bool {
        match self {
            Self::Version => true,
            Self::Folder(_) => false,
            Self::Sqlite(error) => !matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::ReadOnly
                        | ErrorCode::CannotOpen
                        | ErrorCode::PermissionDenied
                        | ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::OutOfMemory
                )
            ),
        }
    }
}

fn open(folder: &StateFolder) -> Result<(Connection, Soundness), Unusable> {
    let _lock = folder.lock_beside(FILE)?;
    opened(folder)
}

/// Throws the file away and reads all of the text again. Whoever has the old one open goes on
/// with that.
fn anew(folder: &StateFolder) -> Result<(Connection, Soundness), Unusable> {
    let _lock = folder.lock_beside(FILE)?;
    // Another process may have done it while this one waited for the lock.
    match opened(folder) {
        Err(error) if error.is_damage() => {}
        result => return result,
    }
    for name in BESIDE.iter().chain([&FILE]) {
        let path = folder.path().join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path)(error).into());
            }
            _ => {}
        }
    }
    opened(folder)
}

fn opened(folder: &StateFolder) -> Result<(Connection, Soundness), Unusable> {
    let mut soundness = Soundness::of(folder.path(), FILE, Timestamp::now());
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut open = Connection::open_with_flags(folder.path().join(FILE), flags)?;
    open.busy_timeout(PATIENCE)?;
    open.pragma_update(None, "journal_mode", "wal")?;
    // All of it can be read again from the text: a power cut may cost the last transactions.
    open.pragma_update(None, "synchronous", "normal")?;
    let transaction = open.transaction()?;
    match transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? {
        VERSION => {}
        0 => {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        _ => return Err(Unusable::Version),
    }
    catch_up::<Metric>(&transaction, folder, "requests", metric_columns)?;
    catch_up::<Sample>(&transaction, folder, "samples", sample_columns)?;
    transaction.commit()?;
    if soundness.is_in_doubt() {
        check(&open)?;
        soundness.checked(Timestamp::now());
    }
    Ok((open, soundness))
}

/// A damaged file often opens well and answers with fewer rows than it should.
fn check(open: &Connection) -> Result<(), Unusable> {
    let sound = open.pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0))?;
    if sound == "ok" {
        return Ok(());
    }
    let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(damaged, Some(sound)).into())
}

/// How far a file was read.
struct Source {
    id: i64,
    file: String,
    read_to: u64,
    before: Vec<u8>,
    not_understood: i64,
}

impl Source {
    fn all(transaction: &Transaction<'_>, kind: &str) -> rusqlite::Result<Vec<Self>> {
        let mut question = transaction.prepare(
            "SELECT id, file, read_to, before, not_understood FROM source WHERE kind = ?1",
        )?;
        let source = |row: &rusqlite::Row<'_>| {
            Ok(Self {
                id: row.get(0)?,
                file: row.get(1)?,
                read_to: row.get(2)?,
                before: row.get(3)?,
                not_understood: row.get(4)?,
            })
        };
        question.query_map([kind], source)?.collect()
    }

    /// That of a file of which nothing is known.
    fn new(transaction: &Transaction<'_>, kind: &str, file: &str) -> rusqlite::Result<Self> {
        transaction.execute(
            "INSERT INTO source (kind, file, read_to, before, not_understood) \
             VALUES (?1, ?2, 0, x'', 0)",
            [kind, file],
        )?;
        let id = transaction.last_insert_rowid();
        Ok(Self { id, file: file.to_owned(), read_to: 0, before: Vec::new(), not_understood: 0 })
    }

    fn write(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        transaction.execute(
            "UPDATE source SET file = ?2, read_to = ?3, before = ?4, not_understood = ?5 \
             WHERE id = ?1",
            (self.id, &self.file, self.read_to, &self.before, self.not_understood),
        )?;
        Ok(())
    }

    fn forget_lines(&self, transaction: &Transaction<'_>, table: &str) -> rusqlite::Result<()> {
        transaction.execute(&format!("DELETE FROM {table} WHERE source = ?1"), [self.id])?;
        Ok(())
    }
}

/// Takes in what the files of a kind have more than at the last time.
fn catch_up<L: Line>(
    transaction: &Transaction<'_>,
    folder: &StateFolder,
    table: &str,
    columns: fn(L) -> Columns,
) -> Result<(), Unusable> {
    let mut sources = Source::all(transaction, L::FILE)?;
    for part in folder.parts::<L>()? {
        let name = part.name.clone();
        let mut lines = Lines::of(part);
        let place = match sources.iter().position(|source| source.file == name) {
            Some(place) => Some(place),
            // One that was closed since is what the current file was.
            None => sources
                .iter()
                .position(|source| source.file == L::FILE)
                .filter(|_| name != L::FILE)
                .and_then(|place| {
                    let source = sources.get(place)?;
                    let same = lines.go_on(source.read_to, &source.before).ok()?;
                    same.then_some(place)
                }),
        };
        let mut source = match place {
            Some(place) => sources.swap_remove(place),
            None => Source::new(transaction, L::FILE, &name)?,
        };
        take_in(transaction, &mut source, lines, &name, (table, columns))?;
    }
    for gone in sources {
        gone.forget_lines(transaction, table)?;
        transaction.execute("DELETE FROM source WHERE id = ?1", [gone.id])?;
    }
    Ok(())
}

/// Takes in what a file has more than at the last time.
fn take_in<L: Line>(
    transaction: &Transaction<'_>,
    source: &mut Source,
    mut lines: Lines,
    name: &str,
    (table, columns): (&str, fn(L) -> Columns),
) -> Result<(), Unusable> {
    if !lines.go_on(source.read_to, &source.before)? {
        source.forget_lines(transaction, table)?;
        source.not_understood = 0;
    } else if source.file == name && !lines.has_more()? {
        return Ok(());
    }
    let mut insert = None;
    while let Some(line) = lines.next_line()? {
        let Ok(line) = line.parse::<L>() else {
            source.not_understood += 1;
            continue;
        };
        let columns = columns(line);
        if columns.is_empty() {
            continue;
        }
        let insert = match &mut insert {
            Some(insert) => insert,
            none => {
                let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>();
                let places = vec!["?"; names.len()].join(", ");
                let names = names.join(", ");
                let text = format!(
                    "INSERT INTO {table} (source, {names}) VALUES ({}, {places})",
                    source.id
                );
                none.insert(transaction.prepare(&text)?)
            }
        };
        insert.execute(rusqlite::params_from_iter(columns.into_iter().map(|(_, value)| value)))?;
    }
    name.clone_into(&mut source.file);
    source.before = lines.before(KNOWN_BY_BYTES)?;
    source.read_to = lines.read_to;
    source.write(transaction)?;
    Ok(())
}

fn ask(open: &Connection, filter: &Filter, by: Option<By>) -> Result<Table, Unusable> {
    let mut wanted = Vec::new();
    let mut values = Vec::new();
    let mut want = |condition: &'static str, value: Option<Value>| {
        if let Some(value) = value {
            wanted.push(condition);
            values.push(value);
        }
    };
    want("at_us >= ?", filter.since.map(|since| Value::Integer(since.as_microsecond())));
    want("workload = ?", filter.workload.clone().map(Value::Text));
    want("vm = ?", filter.vm.clone().map(Value::Text));
    let condition =
        if wanted.is_empty() { String::new() } else { format!("WHERE {}", wanted.join(" AND ")) };
    let mut question = open.prepare(&format!(
        "SELECT at_us, workload, vm, status, wall_us, cpu_us, work, input_bytes, output_bytes \
         FROM requests {condition}"
    ))?;
    let mut table = Table::default();
    let mut rows = question.query(rusqlite::params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        table.add(by, &request(row)?);
    }
    table.not_understood = open.query_row(
        "SELECT coalesce(sum(not_understood), 0) FROM source WHERE kind = ?1",
        [Metric::FILE],
        |row| row.get(0),
    )?;
    Ok(table)
}

fn request(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let at = row.get(0)?;
    Ok(Row {
        at: Timestamp::from_microsecond(at)
            .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, at))?,
        workload: row.get(1)?,
        vm: row.get(2)?,
        outcome: Outcome {
            status: row.get(3)?,
            wall_us: row.get(4)?,
            cpu_us: row.get(5)?,
            work: row.get(6)?,
            input_bytes: row.get(7)?,
            output_bytes: row.get(8)?,
        },
    })
}
