//! `metrics.db`: metrics.txt and samples.txt as tables of `SQLite`, indexed.
//!
//! It is brought up to date by whoever asks, from the byte on where the last one stopped, in one
//! transaction with the note of how far it came: a crash at any moment leaves the state before or
//! after. A file that is another one by now (removed, replaced, cut short) is known by the bytes
//! before that place, and read anew. Writing goes on under a lock of the folder's; asking does not
//! wait for it, by `SQLite`'s write-ahead log.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction};

use super::lines::Lines;
use super::{By, Filter, Row, Table};
use crate::domain::summary::Outcome;
use crate::state::logfmt::Line;
use crate::state::metrics::{EXTRA, Metric};
use crate::state::samples::Sample;
use crate::state::{Error, StateFolder};

/// The name of the file.
const FILE: &str = "metrics.db";
/// `SQLite` keeps these beside it.
const BESIDE: [&str; 2] = ["metrics.db-wal", "metrics.db-shm"];
/// The version of the tables. Another one's are dropped with the file, and made anew.
const VERSION: i64 = 1;
/// By so many bytes before the place where it stopped a file is known again: more than a line.
const KNOWN_BY_BYTES: u64 = 512;
/// How long a question waits for the moments in which `SQLite` itself locks.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE source (
        file TEXT PRIMARY KEY, read_to INTEGER NOT NULL, before BLOB NOT NULL,
        not_understood INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE requests (
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
        at_us INTEGER NOT NULL, vm TEXT NOT NULL, state TEXT NOT NULL, type TEXT NOT NULL,
        cpu REAL NOT NULL, memory_bytes INTEGER NOT NULL, in_flight INTEGER NOT NULL,
        queued INTEGER NOT NULL, requests INTEGER NOT NULL, failures INTEGER NOT NULL,
        cpu_credits REAL
    ) STRICT;
    CREATE INDEX samples_by_vm ON samples (vm, at_us);
";

/// The columns of a line with their values; none for a line that is not for the table.
type Columns = Vec<(&'static str, Value)>;

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
    match open(folder).and_then(|open| ask(&open, filter, by)) {
        Err(error) if error.is_damage() => {
            let made_anew = anew(folder)?;
            ask(&made_anew, filter, by)
        }
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

fn open(folder: &StateFolder) -> Result<Connection, Unusable> {
    let _lock = folder.lock_beside(FILE)?;
    opened(folder)
}

/// Throws the file away and reads all of the text again. Whoever has the old one open goes on
/// with that.
fn anew(folder: &StateFolder) -> Result<Connection, Unusable> {
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

fn opened(folder: &StateFolder) -> Result<Connection, Unusable> {
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
    catch_up::<Metric>(&transaction, folder.path(), "requests", metric_columns)?;
    catch_up::<Sample>(&transaction, folder.path(), "samples", sample_columns)?;
    transaction.commit()?;
    // A damaged file often opens well and answers with fewer rows than it should.
    let sound = open.pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0))?;
    if sound != "ok" {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(sound),
        )
        .into());
    }
    Ok(open)
}

/// Takes in what a file of lines has more than at the last time.
fn catch_up<L: Line>(
    transaction: &Transaction<'_>,
    folder: &Path,
    table: &str,
    columns: fn(L) -> Columns,
) -> Result<(), Unusable> {
    let known = transaction
        .query_row(
            "SELECT read_to, before, not_understood FROM source WHERE file = ?1",
            [L::FILE],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?)),
        )
        .optional()?;
    let (read_to, before, mut not_understood) = known.unwrap_or_default();
    let Some(mut lines) = Lines::open(&folder.join(L::FILE))? else {
        transaction.execute(&format!("DELETE FROM {table}"), [])?;
        transaction.execute("DELETE FROM source WHERE file = ?1", [L::FILE])?;
        return Ok(());
    };
    let read_to = u64::try_from(read_to).unwrap_or(0);
    if !lines.go_on(read_to, &before)? {
        transaction.execute(&format!("DELETE FROM {table}"), [])?;
        not_understood = 0;
    }
    let mut insert = None;
    while let Some(line) = lines.next_line()? {
        let Ok(line) = line.parse::<L>() else {
            not_understood += 1;
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
                let text = format!("INSERT INTO {table} ({names}) VALUES ({places})");
                none.insert(transaction.prepare(&text)?)
            }
        };
        insert.execute(rusqlite::params_from_iter(columns.into_iter().map(|(_, value)| value)))?;
    }
    let before = lines.before(KNOWN_BY_BYTES)?;
    transaction.execute(
        "INSERT OR REPLACE INTO source VALUES (?1, ?2, ?3, ?4)",
        (L::FILE, i64::try_from(lines.read_to).unwrap_or(i64::MAX), before, not_understood),
    )?;
    Ok(())
}

fn metric_columns(metric: Metric) -> Columns {
    let mut columns = vec![
        ("at_us", Value::Integer(metric.at.as_microsecond())),
        ("request", Value::Text(metric.request)),
        ("workload", Value::Text(metric.workload)),
        ("vm", metric.vm.map_or(Value::Null, |vm| Value::Text(vm.to_string()))),
        ("status", Value::Integer(metric.status.into())),
        ("width", known(metric.width.map(u64::from))),
        ("height", known(metric.height.map(u64::from))),
        ("input_bytes", whole(metric.input_bytes)),
        ("output_bytes", whole(metric.output_bytes)),
        ("queue_us", known(metric.queue_us)),
        ("cpu_us", known(metric.cpu_us)),
        ("wall_us", whole(metric.wall_us)),
        ("work", known(metric.work)),
        ("attempts", whole(metric.attempts.into())),
    ];
    columns.extend(EXTRA.map(|name| {
        let value = metric.extra.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        (name, known(value))
    }));
    columns
}

/// The autoscaler's decisions are no samples of a VM.
fn sample_columns(sample: Sample) -> Columns {
    let Sample::Vm {
        at,
        vm,
        state,
        instance_type,
        cpu,
        memory_bytes,
        in_flight,
        queued,
        requests,
        failures,
        cpu_credits,
        ..
    } = sample
    else {
        return Vec::new();
    };
    vec![
        ("at_us", Value::Integer(at.as_microsecond())),
        ("vm", Value::Text(vm.to_string())),
        ("state", Value::Text(state.to_string())),
        ("type", Value::Text(instance_type)),
        ("cpu", Value::Real(cpu.get())),
        ("memory_bytes", whole(memory_bytes)),
        ("in_flight", whole(in_flight.into())),
        ("queued", whole(queued.into())),
        ("requests", whole(requests)),
        ("failures", whole(failures)),
        ("cpu_credits", cpu_credits.map_or(Value::Null, Value::Real)),
    ]
}

/// A count as `SQLite` has it. Beyond its 63 bits there is nothing that was counted.
fn whole(count: u64) -> Value {
    Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

fn known(count: Option<u64>) -> Value {
    count.map_or(Value::Null, whole)
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
    table.not_understood = open
        .query_row("SELECT not_understood FROM source WHERE file = ?1", [Metric::FILE], |row| {
            row.get(0)
        })
        .optional()?
        .unwrap_or(0);
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
