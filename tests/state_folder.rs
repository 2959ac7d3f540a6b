//! The folder as its users see it: what is kept, what is refused, and what many writers at once
//! leave behind.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use cumulet::domain::decision::Action;
use cumulet::domain::vm::{VmId, VmState};
use cumulet::state::as_state::AsStateFile;
use cumulet::state::vm_state::{VmReport, VmStateFile};
use cumulet::state::{Document, Error, StateFolder};
use jiff::Timestamp;

const FOLDER: &str = "CUMULET_TEST_FOLDER";
const NUMBER: &str = "CUMULET_TEST_NUMBER";
const UPDATES: &str = "CUMULET_TEST_UPDATES";

fn report(number: u64) -> VmReport {
    VmReport {
        id: VmId::numbered(number),
        state: VmState::Running,
        address: "127.0.0.1:1".to_owned(),
        socket: None,
        pid: 1,
        instance_type: "local".to_owned(),
        launched_at: Timestamp::UNIX_EPOCH,
        running_since: None,
        reported_at: Timestamp::UNIX_EPOCH,
        warm: false,
        load: cumulet::domain::load::Load::default(),
        served: cumulet::domain::load::Served::default(),
        foreign: cumulet::state::xml::Foreign::default(),
    }
}

/// Counts up the requests of one VM, as its process would.
fn count_up(file: &mut VmStateFile, number: u64) -> u64 {
    let id = VmId::numbered(number);
    if file.vm(&id).is_none() {
        file.vms.push(report(number));
    }
    let vm = file.vms.iter_mut().find(|vm| vm.id == id).unwrap();
    vm.served.requests += 1;
    vm.served.requests
}

/// Counts up as a real writer does: if the disk stalls while another holds the lock, it tries again.
fn insist(folder: &StateFolder, number: u64) -> u64 {
    loop {
        match folder.update(|file: &mut VmStateFile| count_up(file, number)) {
            Err(Error::Locked { .. }) => {}
            result => return result.unwrap(),
        }
    }
}

fn requests(file: &VmStateFile, number: u64) -> u64 {
    file.vm(&VmId::numbered(number)).map_or(0, |vm| vm.served.requests)
}

/// The names in a folder that start like this.
fn names(folder: &Path, start: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(start))
        .collect();
    names.sort();
    names
}

/// One of many writers: a process of its own, started by the tests below.
#[test]
#[ignore = "a helper of the tests beside it"]
fn writer() {
    let folder = std::env::var(FOLDER).unwrap();
    let number: u64 = std::env::var(NUMBER).unwrap().parse().unwrap();
    let updates: u64 = std::env::var(UPDATES).unwrap().parse().unwrap();
    let folder = StateFolder::open(Path::new(&folder)).unwrap();
    let mut out = std::io::stdout();
    for _ in 0..updates {
        let count = insist(&folder, number);
        // Told only once it is written.
        writeln!(out, "done {count}").unwrap();
        out.flush().unwrap();
    }
}

fn start_writer(folder: &Path, number: u64, updates: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["writer", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(NUMBER, number.to_string())
        .env(UPDATES, updates.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads what a writer tells until it has told of so many updates, or has ended. Says how many.
fn wait_for(writer: &mut Child, updates: u64) -> u64 {
    let mut told = 0;
    let mut lines = BufReader::new(writer.stdout.as_mut().unwrap()).lines();
    while told < updates {
        let Some(Ok(line)) = lines.next() else { break };
        if let Some((_, count)) = line.split_once("done ") {
            told = count.parse().unwrap();
        }
    }
    told
}

/// Tells a reader to stop, also when a test fails half way.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads the file as fast as it can until told to stop; every single look must find a good one.
fn read_until(stop: &AtomicBool, path: &Path) -> u64 {
    let mut good = 0;
    let mut seq = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(bytes) = fs::read(path) else { continue };
        let file = VmStateFile::parse(&bytes).unwrap();
        assert!(file.seq >= seq, "{} after {seq}", file.seq);
        seq = file.seq;
        good += 1;
    }
    good
}

#[test]
fn no_update_of_many_processes_is_lost_and_no_reader_sees_half_a_file() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 50;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(VmStateFile::FILE);
    let stop = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&stop, &path));
        let stopping = StopOnDrop(&stop);
        let mut writers: Vec<Child> =
            (0..WRITERS).map(|number| start_writer(folder.path(), number, EACH)).collect();
        for writer in &mut writers {
            assert_eq!(wait_for(writer, EACH), EACH);
            assert!(writer.wait().unwrap().success());
        }
        drop(stopping);
        reader.join().unwrap()
    });
    assert!(reads > 0);
    let file: VmStateFile = StateFolder::existing(folder.path()).unwrap().read().unwrap().unwrap();
    assert_eq!(file.seq, WRITERS * EACH);
    for number in 0..WRITERS {
        assert_eq!(requests(&file, number), EACH);
    }
    assert_eq!(names(folder.path(), ".VMState"), [""; 0]);
    assert_eq!(names(folder.path(), "VMState"), ["VMState.xml", "VMState.xml.lock"]);
}

#[test]
fn killed_writers_leave_no_lock_and_no_damage() {
    const WRITERS: u64 = 6;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(VmStateFile::FILE);
    let stop = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(&stop, &path));
        let stopping = StopOnDrop(&stop);
        let mut writers: Vec<Child> =
            (0..WRITERS).map(|number| start_writer(folder.path(), number, u64::MAX)).collect();
        // Each is killed somewhere in the middle of an update: the others keep it waiting.
        let mut told = Vec::new();
        for (number, writer) in (1..).zip(&mut writers) {
            told.push(wait_for(writer, 20 * number));
            writer.kill().unwrap();
            writer.wait().unwrap();
        }
        drop(stopping);
        reader.join().unwrap();
        told
    });
    let state = StateFolder::existing(folder.path()).unwrap();
    insist(&state, 99);
    let file: VmStateFile = state.read().unwrap().unwrap();
    let total: u64 = file.vms.iter().map(|vm| vm.served.requests).sum();
    assert_eq!(file.seq, total);
    for (number, told) in (0..).zip(told) {
        // More may have been written than was told of when the process was killed.
        assert!(requests(&file, number) >= told && told > 0, "{number}: {told}");
    }
    assert_eq!(names(folder.path(), "VMState.xml.broken"), [""; 0]);
}

#[test]
fn threads_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let state = state.clone();
            scope.spawn(move || {
                for _ in 0..25 {
                    insist(&state, number);
                }
            });
        }
    });
    let file: VmStateFile = state.read().unwrap().unwrap();
    assert_eq!(file.seq, 100);
}

#[test]
fn a_folder_is_made_on_opening_and_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/state");
    let state = StateFolder::open(&path).unwrap();
    assert_eq!(names(&path, ""), ["log", "schema"]);
    let schemas = [
        "ASState.xsd",
        "CostModel.xsd",
        "FunctionState.xsd",
        "Functions.xsd",
        "LBState.xsd",
        "VMState.xsd",
    ];
    assert_eq!(names(&path.join("schema"), ""), schemas);
    // A schema that was changed by hand is not this version's schema.
    let schema = path.join("schema/VMState.xsd");
    fs::write(&schema, "old").unwrap();
    StateFolder::open(&path).unwrap();
    let committed = include_str!("../state/schema/VMState.xsd");
    assert_eq!(fs::read_to_string(&schema).unwrap(), committed);
    assert_eq!(state.read::<VmStateFile>().unwrap(), None);
}

#[test]
fn an_observer_changes_nothing_and_is_told_if_there_is_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    StateFolder::existing(folder.path()).unwrap();
    assert_eq!(names(folder.path(), ""), [""; 0]);
    let missing = folder.path().join("nowhere");
    let said = StateFolder::existing(&missing).unwrap_err().to_string();
    assert!(said.contains("nowhere") && said.contains("cumulet up"), "{said}");
    assert!(!missing.exists());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(StateFolder::existing(&file), Err(Error::NoFolder { .. })));
    let said = StateFolder::open(&file).unwrap_err().to_string();
    assert!(said.contains("a file stands where the state folder belongs"), "{said}");
}

#[test]
fn seq_grows_whatever_a_person_makes_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    let path = folder.path().join(AsStateFile::FILE);
    let seq = || {
        state.update(|_: &mut AsStateFile| ()).unwrap();
        state.read::<AsStateFile>().unwrap().unwrap().seq
    };
    assert_eq!([seq(), seq(), seq()], [1, 2, 3]);
    fs::write(&path, "<ASState version=\"1\"/>").unwrap();
    assert_eq!(seq(), 4);
    fs::write(&path, "<ASState version=\"1\" seq=\"1\"/>").unwrap();
    assert_eq!(seq(), 5);
    fs::write(&path, "<ASState version=\"1\" seq=\"100\"/>").unwrap();
    assert_eq!(seq(), 101);
    fs::write(&path, "broken").unwrap();
    assert_eq!(seq(), 102);
    fs::remove_file(&path).unwrap();
    assert_eq!(seq(), 103);
}

#[test]
fn a_broken_file_is_told_of_kept_and_replaced_from_what_was_good() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    let path = folder.path().join(AsStateFile::FILE);
    fs::write(&path, "<ASState version=\"1\"><VM id=\"vm-9\" action=\"add\"/></ASState>").unwrap();
    state.read::<AsStateFile>().unwrap();

    let broken = "<ASState version=\"1\">\n  <VM id=\"vm-9\" action=\"ad\"/>\n</ASState>\n";
    fs::write(&path, broken).unwrap();
    let said = state.read::<AsStateFile>().unwrap_err().to_string();
    assert!(said.contains("ASState.xml:2:17: attribute `action` of <VM>: `ad` is not"), "{said}");
    assert!(said.contains("a copy is kept as"), "{said}");
    // Once for each content, however often and by however many it is seen.
    state.read::<AsStateFile>().unwrap_err();
    let other = StateFolder::existing(folder.path()).unwrap();
    other.read::<AsStateFile>().unwrap_err();
    let copies = names(folder.path(), "ASState.xml.broken-");
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!(fs::read_to_string(folder.path().join(&copies[0])).unwrap(), broken);

    // Who has seen nothing good does not write over it.
    let error = other.update(|file: &mut AsStateFile| file.paused = true).unwrap_err();
    assert!(matches!(error, Error::Broken { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), broken);
    // Who has, goes on from there.
    state.update(|file: &mut AsStateFile| file.paused = true).unwrap();
    let file: AsStateFile = state.read().unwrap().unwrap();
    assert!(file.paused);
    assert_eq!(file.vms[0].action, Action::Add);
    assert_eq!(names(folder.path(), "ASState.xml.broken-"), copies);
}

#[test]
fn a_broken_file_of_which_nothing_is_known_gives_way_to_a_fallback() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    fs::write(folder.path().join(AsStateFile::FILE), "").unwrap();
    let fallback = || AsStateFile { minimum: 2, maximum: 5, ..AsStateFile::default() };
    state.update_or(fallback, |file| file.paused = true).unwrap();
    let file: AsStateFile = state.read().unwrap().unwrap();
    assert_eq!((file.minimum, file.maximum, file.paused, file.seq), (2, 5, true, 1));
}

#[test]
fn only_the_last_copies_of_broken_files_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    let path = folder.path().join(AsStateFile::FILE);
    for number in 0..13_u64 {
        fs::write(&path, format!("broken {number}")).unwrap();
        let modified =
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000 + number);
        fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        state.read::<AsStateFile>().unwrap_err();
    }
    let copies = names(folder.path(), "ASState.xml.broken-");
    assert_eq!(copies.len(), 10);
    assert_eq!(copies[0], "ASState.xml.broken-2001-09-09T01-46-43.000Z");
    assert_eq!(fs::read_to_string(folder.path().join(&copies[9])).unwrap(), "broken 12");
}

#[test]
fn an_unchanged_document_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    let path = folder.path().join(AsStateFile::FILE);
    state.update_if_changed(AsStateFile::default, |_| ()).unwrap();
    assert!(!path.exists());
    let set = |minimum| move |file: &mut AsStateFile| file.minimum = minimum;
    state.update_if_changed(AsStateFile::default, set(1)).unwrap();
    state.update_if_changed(AsStateFile::default, set(1)).unwrap();
    let seq = |file: &mut AsStateFile| file.seq = 77;
    state.update_if_changed(AsStateFile::default, seq).unwrap();
    assert_eq!(state.read::<AsStateFile>().unwrap().unwrap().seq, 1);
    state.update_if_changed(AsStateFile::default, set(2)).unwrap();
    assert_eq!(state.read::<AsStateFile>().unwrap().unwrap().seq, 2);
    fs::write(&path, "broken").unwrap();
    state.update_if_changed(AsStateFile::default, |_| ()).unwrap();
    assert_eq!(state.read::<AsStateFile>().unwrap().unwrap().minimum, 2);
}

#[test]
fn a_change_that_nobody_could_read_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    let twice = |file: &mut VmStateFile| file.vms.extend([report(1), report(1)]);
    let said = state.update(twice).unwrap_err().to_string();
    assert!(said.contains("two <VM> with the id `vm-1`"), "{said}");
    assert_eq!(state.read::<VmStateFile>().unwrap(), None);
}

#[test]
fn what_an_editor_saves_during_an_update_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    state.update(|file: &mut VmStateFile| file.vms.push(report(1))).unwrap();
    let path = folder.path().join("VMState.xml");
    let edited =
        fs::read_to_string(&path).unwrap().replace("</VMState>", "<!-- mine --></VMState>");
    let result = state.update(|_: &mut VmStateFile| fs::write(&path, &edited).unwrap());
    assert!(matches!(result, Err(cumulet::state::Error::Edited { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), edited);
    state.update(|file: &mut VmStateFile| file.vms.push(report(2))).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("<!-- mine -->"));
}

#[test]
fn a_folder_that_was_removed_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let state = StateFolder::open(&path).unwrap();
    state.update(|file: &mut VmStateFile| count_up(file, 1)).unwrap();
    fs::remove_dir_all(&path).unwrap();
    assert_eq!(state.read::<VmStateFile>().unwrap(), None);
    state.update(|file: &mut VmStateFile| count_up(file, 1)).unwrap();
    assert_eq!(state.read::<VmStateFile>().unwrap().unwrap().seq, 2);
    assert!(path.join("schema/VMState.xsd").exists());
}

#[test]
fn odd_things_in_place_of_a_file_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    let path = folder.path().join(VmStateFile::FILE);
    let both = || {
        let read = state.read::<VmStateFile>().unwrap_err().to_string();
        let update = state.update(|_: &mut VmStateFile| ()).unwrap_err().to_string();
        assert!(read.contains("VMState.xml"), "{read}");
        assert!(update.contains("VMState.xml"), "{update}");
        read
    };
    fs::create_dir(&path).unwrap();
    assert!(both().contains("move that folder away"));
    fs::remove_dir(&path).unwrap();

    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(both().contains("not a plain file"));
    fs::remove_file(&path).unwrap();

    fs::write(&path, vec![0; 100]).unwrap();
    assert!(both().contains("U+0000"));
    fs::remove_file(&path).unwrap();

    std::os::unix::fs::symlink(&path, &path).unwrap();
    both();
}

#[test]
fn a_file_too_large_to_read_is_not_read_and_is_moved_away_when_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    let path = folder.path().join(VmStateFile::FILE);
    // A hole: it takes no room on the disk, and would take all memory if it were read.
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let said = state.read::<VmStateFile>().unwrap_err().to_string();
    assert!(said.contains("has 1099511627776 bytes, at most 16777216 are read"), "{said}");
    assert!(state.update(|_: &mut VmStateFile| ()).is_err());
    assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 40);
    state.update_or(VmStateFile::default, |_| ()).unwrap();
    assert_eq!(state.read::<VmStateFile>().unwrap().unwrap().seq, 1);
    let copies = names(folder.path(), "VMState.xml.broken-");
    assert_eq!(fs::metadata(folder.path().join(&copies[0])).unwrap().len(), 1 << 40);
}

#[test]
fn a_held_lock_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    let path = folder.path().join("VMState.xml.lock");
    let holder = fs::File::create(&path).unwrap();
    holder.lock().unwrap();
    let said = state.update(|_: &mut VmStateFile| ()).unwrap_err().to_string();
    assert!(said.contains("VMState.xml.lock has been locked by another process for 2."), "{said}");
    // Readers and writers of other documents never wait for it.
    assert_eq!(state.read::<VmStateFile>().unwrap(), None);
    state.update(|_: &mut AsStateFile| ()).unwrap();
    drop(holder);
    state.update(|_: &mut VmStateFile| ()).unwrap();
}

#[test]
fn temporary_files_of_the_dead_are_swept_and_those_of_the_living_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join(".VMState.xml.1.0.tmp");
    let new = folder.path().join(".VMState.xml.2.0.tmp");
    fs::write(&new, "").unwrap();
    fs::write(&old, "").unwrap();
    let hour = std::time::Duration::from_hours(1);
    let modified = std::time::SystemTime::now().checked_sub(hour).unwrap();
    fs::File::options().write(true).open(&old).unwrap().set_modified(modified).unwrap();
    StateFolder::open(folder.path()).unwrap();
    assert!(!old.exists());
    assert!(new.exists());
}

#[test]
fn what_the_system_refuses_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    // Root may write anywhere: what the system does not refuse cannot be tested.
    let refused = fs::write(folder.path().join("probe"), "").is_err();
    let result = state.update(|_: &mut VmStateFile| ());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(result.is_err(), refused);
    if let Err(error) = result {
        assert!(error.to_string().contains("make it yours with chown or chmod"), "{error}");
    }
}

#[test]
fn the_cluster_file_comes_and_goes() {
    use cumulet::state::cluster_file::ClusterFile;
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    assert_eq!(state.read_cluster_file().unwrap(), None);
    let file = ClusterFile {
        pid: 7,
        started_at: Timestamp::UNIX_EPOCH,
        balancer: "127.0.0.1:8000".to_owned(),
        admin: "127.0.0.1:8001".to_owned(),
        balancer_pid: Some(8),
        autoscaler_pid: None,
    };
    state.write_cluster_file(&file).unwrap();
    assert_eq!(state.read_cluster_file().unwrap(), Some(file));
    let text = fs::read_to_string(folder.path().join("cluster.toml")).unwrap();
    assert_eq!(
        text,
        "pid = 7\nstarted_at = \"1970-01-01T00:00:00Z\"\nbalancer = \"127.0.0.1:8000\"\n\
         admin = \"127.0.0.1:8001\"\nbalancer_pid = 8\n"
    );
    fs::write(folder.path().join("cluster.toml"), "pid = \"x\"").unwrap();
    let said = state.read_cluster_file().unwrap_err().to_string();
    assert!(said.contains("cluster.toml"), "{said}");
    state.remove_cluster_file().unwrap();
    state.remove_cluster_file().unwrap();
    assert_eq!(state.read_cluster_file().unwrap(), None);
}
