#![cfg(feature = "database")]

use std::fs::{self, File, OpenOptions};
use std::io::Write;

use super::*;
use crate::domain::vm::VmId;
use crate::state::logfmt::Line;
use proptest::prelude::*;
use tempfile::TempDir;

const START: &str = "2026-11-22T09:00:00Z";

fn folder() -> (TempDir, StateFolder) {
    let place = tempfile::tempdir().unwrap();
    let folder = StateFolder::open(place.path()).unwrap();
    (place, folder)
}

/// The `number`th of many requests: three workloads, four VMs or none, a minute apart.
fn metric(number: u32) -> Metric {
    let start: Timestamp = START.parse().unwrap();
    let minutes = jiff::SignedDuration::from_mins(number.into());
    Metric {
        at: start.checked_add(minutes).unwrap(),
        request: format!("r-{number}"),
        workload: ["blur", "enhance", "raytrace"][number as usize % 3].to_owned(),
        vm: (!number.is_multiple_of(5)).then(|| VmId::numbered(u64::from(number % 4))),
        status: if number.is_multiple_of(7) { 503 } else { 200 },
        width: Some(640),
        height: None,
        input_bytes: u64::from(number),
        output_bytes: 2,
        queue_us: None,
        cpu_us: (!number.is_multiple_of(5)).then_some(u64::from(number) * 1000),
        wall_us: u64::from(number) * 1500,
        work: Some(10),
        attempts: 1,
        extra: vec![("rays", 3)],
    }
}

fn append(folder: &StateFolder, numbers: std::ops::Range<u32>) {
    numbers.for_each(|number| folder.append_metric(&metric(number)).unwrap());
}

fn write(folder: &StateFolder, text: &str) {
    let path = folder.path().join(Metric::FILE);
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The index is used, and answers as the text does. Says how many requests there are.
#[track_caller]
fn agree(folder: &StateFolder) -> u64 {
    let filters = [
        Filter::default(),
        Filter { since: Some("2026-11-22T09:10:00Z".parse().unwrap()), ..Filter::default() },
        Filter { workload: Some("blur".to_owned()), ..Filter::default() },
        Filter { vm: Some("vm-1".to_owned()), ..Filter::default() },
    ];
    for by in [None, Some(By::Vm), Some(By::Workload), Some(By::Hour), Some(By::Status)] {
        for filter in &filters {
            let mut indexed = Table::read(folder, filter, by).unwrap();
            let mut text = Table::of_text(folder, filter, by).unwrap();
            for sum in indexed.groups.values_mut().chain(text.groups.values_mut()) {
                sum.sort();
            }
            assert_eq!(indexed, text, "{filter:?} by {by:?}");
        }
    }
    let all = Table::read(folder, &filters[0], None).unwrap();
    all.groups.get("all").map_or(0, |sum| sum.count)
}

#[test]
fn the_index_answers_as_the_text_does_however_the_text_changes() {
    let (_place, folder) = folder();
    assert_eq!(agree(&folder), 0);
    append(&folder, 0..40);
    assert_eq!(agree(&folder), 40);
    append(&folder, 40..50);
    assert_eq!(agree(&folder), 50);
    let path = folder.path().join(Metric::FILE);
    let text = fs::read_to_string(&path).unwrap();
    // Cut short, as by an editor.
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    let left = agree(&folder);
    assert!((20..30).contains(&left), "{left}");
    fs::remove_file(&path).unwrap();
    assert_eq!(agree(&folder), 0);
    append(&folder, 50..120);
    assert_eq!(agree(&folder), 70);
}

#[test]
fn a_line_counts_once_it_is_whole_and_one_that_is_not_understood_is_told_of() {
    let (_place, folder) = folder();
    let line = metric(3).to_string();
    let (half, rest) = line.split_at(line.len() / 2);
    write(&folder, &format!("nonsense\n{half}"));
    assert_eq!(agree(&folder), 0);
    write(&folder, &format!("{rest}\nmore nonsense\n"));
    assert_eq!(agree(&folder), 1);
    assert_eq!(Table::read(&folder, &Filter::default(), None).unwrap().not_understood, 2);
}

#[test]
fn what_is_closed_and_what_is_gone_is_seen_by_the_index_as_by_the_text() {
    let (_place, folder) = folder();
    let rows = |folder: &StateFolder| {
        let open = rusqlite::Connection::open(folder.path().join("metrics.db")).unwrap();
        open.query_row("SELECT max(rowid) FROM requests", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let closed = folder.path().join("records");
    fs::create_dir(&closed).unwrap();
    let close = |name: &str| {
        fs::rename(folder.path().join(Metric::FILE), closed.join(name)).unwrap();
    };
    append(&folder, 0..40);
    assert_eq!(agree(&folder), 40);
    append(&folder, 40..50);
    close("metrics.txt.2026-1");
    assert_eq!(agree(&folder), 50);
    append(&folder, 50..60);
    assert_eq!(agree(&folder), 60);
    assert_eq!(rows(&folder), 60, "nothing was read twice");
    // Two are closed between two questions, and a line comes late.
    close("metrics.txt.2026-2");
    append(&folder, 60..65);
    close("metrics.txt.2026-3");
    append(&folder, 65..66);
    let mut late = OpenOptions::new().append(true).open(closed.join("metrics.txt.2026-2")).unwrap();
    writeln!(late, "{}", metric(66)).unwrap();
    assert_eq!(agree(&folder), 67);
    assert_eq!(rows(&folder), 67, "nothing was read twice");
    fs::remove_file(closed.join("metrics.txt.2026-1")).unwrap();
    assert_eq!(agree(&folder), 17);
    fs::remove_file(folder.path().join("metrics.db")).unwrap();
    assert_eq!(agree(&folder), 17, "made anew of all parts");
}

#[test]
fn a_damaged_index_is_made_anew() {
    let (_place, folder) = folder();
    append(&folder, 0..300);
    assert_eq!(agree(&folder), 300);
    let path = folder.path().join("metrics.db");
    let good = fs::read(&path).unwrap();
    let mut holed = good.clone();
    holed[4096..8 * 4096].fill(0xa5);
    let mut other_version = good.clone();
    other_version[60..64].copy_from_slice(&[0, 0, 0, 99]);
    let damaged = [b"no database".to_vec(), good[..good.len() / 2].to_vec(), holed, other_version];
    for (which, bytes) in damaged.iter().enumerate() {
        fs::write(&path, bytes).unwrap();
        // Not in the same instant in which it was closed, which no clock of a file system tells.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(which as u64 + 1);
        File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        assert_eq!(agree(&folder), 300, "damage {which}");
    }
}

#[test]
fn without_a_place_for_the_index_the_text_answers_and_it_is_said() {
    let (_place, folder) = folder();
    append(&folder, 0..3);
    fs::create_dir(folder.path().join("metrics.db")).unwrap();
    let table = Table::read(&folder, &Filter::default(), None).unwrap();
    assert_eq!(table.groups["all"].count, 3);
    assert!(table.without_index.unwrap().contains("metrics.db"));
}

#[test]
fn several_may_ask_while_several_write() {
    let (_place, folder) = folder();
    let ask = |folder: &StateFolder| {
        let table = Table::read(folder, &Filter::default(), None).unwrap();
        table.groups.get("all").map_or(0, |sum| sum.count)
    };
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let folder = folder.clone();
            scope.spawn(move || append(&folder, writer * 100..writer * 100 + 100));
        }
        for _ in 0..3 {
            let folder = folder.clone();
            scope.spawn(move || {
                let counts = (0..10).map(|_| ask(&folder)).collect::<Vec<_>>();
                assert!(counts.is_sorted(), "a request once seen stays: {counts:?}");
            });
        }
    });
    assert_eq!(agree(&folder), 200);
}

#[test]
fn reports_of_vms_are_indexed_and_decisions_are_not() {
    let (_place, folder) = folder();
    let lines = "at=2026-11-22T09:00:00.000Z vm=vm-1 state=running type=t3.micro cpu=0.5 \
                 memory_bytes=7 in_flight=1 queued=0 requests=9 failures=0 cpu_credits=-\n\
                 at=2026-11-22T09:00:01.000Z fleet=1 running=1 booting=0 draining=0 desired=1 \
                 offered_load=- queue_seconds=- action=hold reason=x\n";
    fs::write(folder.path().join("samples.txt"), lines).unwrap();
    Table::read(&folder, &Filter::default(), None).unwrap();
    let open = rusqlite::Connection::open(folder.path().join("metrics.db")).unwrap();
    let rows = open.query_row("SELECT count(*), max(memory_bytes) FROM samples", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    assert_eq!(rows.unwrap(), (1, 7));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn what_is_asked_between_writes_does_not_change_the_answer(
        pieces in proptest::collection::vec((0_u32..30, any::<bool>()), 1..6),
    ) {
        let (_place, folder) = folder();
        let mut next = 0;
        for (count, ask) in pieces {
            append(&folder, next..next + count);
            next += count;
            if ask {
                Table::read(&folder, &Filter::default(), None).unwrap();
            }
        }
        prop_assert_eq!(agree(&folder), u64::from(next));
    }
}
