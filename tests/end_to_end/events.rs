//! Functions that are invoked by new files and by times, whatever is killed meanwhile.

use std::path::{Path, PathBuf};
use std::process::Output;

use cumulet::domain::function::FunctionName;
use cumulet::process;
use cumulet::state::deliveries::{Delivery, Stage};
use cumulet::state::events::{Event, EventKind};
use cumulet::state::function_state::FunctionStateFile;
use image::ImageFormat;
use rustix::process::Signal;

use crate::cluster::{Cluster, signal};
use crate::support::{encoded, picture, until};

const QUICK: [&str; 2] = ["--set", "functions.cold_start=0s"];

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// The functions' service, once it runs.
fn service(cluster: &Cluster) -> u32 {
    until("the functions' service runs", || {
        let file = cluster.state().read::<FunctionStateFile>().ok()??;
        process::is_alive(file.pid).then_some(file.pid)
    })
}

/// A function of a shell's, invoked for each file in `inbox/`.
struct Watched {
    cluster: Cluster,
    inbox: PathBuf,
    outbox: PathBuf,
}

impl Watched {
    fn new(script: &str, more: &[&str]) -> Self {
        let cluster = Cluster::start(1, &QUICK);
        service(&cluster);
        let folder = |name: &str| cluster.path().parent().unwrap().join(name);
        let (inbox, outbox) = (folder("inbox"), folder("outbox"));
        said(&cluster.cumulet(&["function", "create", "it", "--", "/bin/sh", "-c", script]));
        let (from, to) = (inbox.to_str().unwrap(), outbox.to_str().unwrap());
        let add = ["function", "trigger", "add", "drop", "--function", "it", "--folder", from];
        let rest = ["--output", to, "--settle", "100ms", "--pause", "50ms"];
        said(&cluster.cumulet(&[&add[..], &rest, more].concat()));
        until("the folders are made", || (inbox.exists() && outbox.exists()).then_some(()));
        Self { cluster, inbox, outbox }
    }

    /// The events that stand there.
    fn events(&self, stage: Stage) -> Vec<Delivery> {
        let name: FunctionName = "drop".parse().unwrap();
        let folder = self.cluster.state();
        let keys = folder.delivery_keys(&name, stage).unwrap();
        let read = keys.iter().map(|key| folder.read_delivery(&name, stage, key));
        read.filter_map(|read| read.unwrap()).collect()
    }

    fn one(&self, stage: Stage) -> Delivery {
        until("the event has got there", || self.events(stage).pop())
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn a_picture_dropped_into_a_folder_becomes_a_thumbnail_with_its_facts() {
    let cluster = Cluster::start(1, &QUICK);
    service(&cluster);
    let program = env!("CARGO_BIN_EXE_cumulet");
    let create = ["function", "create", "thumbnail", "--reused", "--", program];
    said(&cluster.cumulet(&[&create[..], &["function", "thumbnail", "--side", "40"]].concat()));
    // As a hand does it: relative paths begin at the state folder.
    cluster.edit(
        "Functions.xml",
        "</Functions>",
        "<Trigger name=\"thumbs\" function=\"thumbnail\" folder=\"inbox\" output=\"outbox\" \
         settle=\"0.2\"/></Functions>",
    );
    let inbox = cluster.path().join("inbox");
    until("the folder is made", || inbox.exists().then_some(()));
    let bytes = encoded(&picture(80, 60), ImageFormat::Jpeg);
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    std::fs::write(inbox.join("cat 1.jpg"), first).unwrap();
    std::fs::write(inbox.join("cat 1.jpg"), [first, rest].concat()).unwrap();
    let made = cluster.path().join("outbox/cat 1.jpg");
    let facts = until("the thumbnail is made", || {
        let facts = std::fs::read(made.with_file_name("cat 1.jpg.json")).ok()?;
        Some(serde_json::from_slice::<serde_json::Value>(&facts).unwrap())
    });
    let small = image::open(&made).unwrap();
    assert_eq!((small.width(), small.height()), (40, 30));
    assert_eq!((&facts["width"], &facts["height"]), (&80.into(), &60.into()));
    // Counted while it moves from one to the other, it is in both.
    let list = until("it is listed as done and as nothing else", || {
        let list = said(&cluster.cumulet(&["function", "trigger", "list", "--json"]));
        (list.contains("\"done\": 1") && list.contains("\"pending\": 0")).then_some(list)
    });
    assert!(list.contains("\"dead\": 0"), "{list}");
    let events = ["function", "trigger", "events", "thumbs", "--done"];
    let told = said(&cluster.cumulet(&events));
    assert!(told.contains("cat 1.jpg") && told.contains("thumbnailWidth"), "{told}");
    let log = said(&cluster.cumulet(&["function", "logs", "thumbnail"]));
    assert!(log.contains(&format!("request=thumbs-{}", facts["key"].as_str().unwrap())), "{log}");
}

#[test]
fn what_fails_is_tried_again_and_in_the_end_kept_with_the_reason() {
    let watched = Watched::new("exit 3", &["--attempts", "3"]);
    std::fs::write(watched.inbox.join("bad.txt"), "x").unwrap();
    let dead = watched.one(Stage::Dead);
    assert_eq!((dead.attempts, dead.subject.as_str()), (3, "bad.txt"));
    assert!(dead.error.unwrap().contains("exit status 3"));
    let told = said(&watched.cluster.cumulet(&["function", "trigger", "events", "drop"]));
    assert!(told.contains("bad.txt  3 attempts") && told.contains("exit status 3"), "{told}");
    let events = watched.cluster.state().tail::<Event>(1 << 20).unwrap();
    let faults = events.iter().filter(|event| event.kind == EventKind::Fault);
    let faults = faults.filter(|event| event.detail.contains("bad.txt")).count();
    assert_eq!(faults, 1, "{events:?}");
    assert!(watched.events(Stage::Pending).is_empty() && watched.events(Stage::Done).is_empty());
    // Mended, it is tried again when somebody says so.
    let mend = ["function", "update", "it", "--", "/bin/sh", "-c", "echo mended"];
    said(&watched.cluster.cumulet(&mend));
    said(&watched.cluster.cumulet(&["function", "trigger", "retry", "drop"]));
    let done = watched.one(Stage::Done);
    assert_eq!((done.answer, done.error), (Some("mended".into()), None));
    assert!(watched.events(Stage::Dead).is_empty());
}

/// The function says when it has begun and does not end before there is a gate; what it makes is
/// named after the key of its event.
const GATED: &str = r#"
event=$(cat)
field() { printf '%s' "$event" | sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
output=$(field output); key=$(field key)
echo begun >> "$output/../begun"
until [ -e "$output/../gate" ]; do sleep 0.05; done
echo made > "$output/$key.tmp" && mv "$output/$key.tmp" "$output/$key"
echo '"made"'
"#;

#[test]
fn a_service_killed_in_the_middle_leaves_one_result_and_a_restart_repeats_nothing() {
    let mut watched = Watched::new(GATED, &[]);
    let begun = watched.outbox.with_file_name("begun");
    std::fs::write(watched.inbox.join("a.txt"), "x").unwrap();
    until("the function has begun", || (lines(&begun) == 1).then_some(()));
    let before = service(&watched.cluster);
    signal(before, Signal::KILL);
    until("it is begun again by the next service", || (lines(&begun) == 2).then_some(()));
    assert_ne!(service(&watched.cluster), before);
    std::fs::write(watched.outbox.with_file_name("gate"), "").unwrap();
    let done = watched.one(Stage::Done);
    assert_eq!((done.attempts, done.answer), (2, Some("made".into())));
    let made = || {
        let names = std::fs::read_dir(&watched.outbox).unwrap();
        names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    // The first attempt, whose service died, may still be on its way to the same name.
    until("there is one result", || (made() == [done.key.as_str()]).then_some(()));
    // Everything dies, and comes again: what is done stays done, and what is new is done.
    watched.cluster.kill_up();
    signal(service(&watched.cluster), Signal::KILL);
    watched.cluster.up_again();
    std::fs::write(watched.inbox.join("b.txt"), "x").unwrap();
    until("the new file is done", || (watched.events(Stage::Done).len() == 2).then_some(()));
    let names = std::fs::read_dir(&watched.outbox).unwrap().count();
    assert_eq!((names, lines(&begun)), (2, 3));
}

#[test]
fn a_schedule_invokes_at_its_times_each_once() {
    let cluster = Cluster::start(1, &QUICK);
    service(&cluster);
    said(&cluster.cumulet(&["function", "create", "tick", "--", "cat"]));
    let add = ["function", "trigger", "add", "often", "--function", "tick", "--schedule"];
    said(&cluster.cumulet(&[&add[..], &["* * * * * *"]].concat()));
    let name: FunctionName = "often".parse().unwrap();
    let folder = cluster.state();
    let keys = until("three seconds have come", || {
        let keys = folder.delivery_keys(&name, Stage::Done).unwrap();
        (keys.len() >= 3).then_some(keys)
    });
    for key in keys {
        let done = folder.read_delivery(&name, Stage::Done, &key).unwrap().unwrap();
        let answer = done.answer.unwrap();
        assert_eq!((&answer["detail-type"], done.attempts), (&"Scheduled Event".into(), 1));
        assert_eq!(done.subject, answer["time"].as_str().unwrap());
    }
    let list = said(&cluster.cumulet(&["function", "trigger", "list"]));
    assert!(list.contains("`* * * * * *` UTC"), "{list}");
    let refused = cluster.cumulet(&["function", "delete", "tick"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("what often invokes"));
    said(&cluster.cumulet(&["function", "trigger", "remove", "often"]));
    said(&cluster.cumulet(&["function", "delete", "tick"]));
    for (words, sentence) in [
        (&["--schedule", "soon"][..], "no cron expression"),
        (&["--schedule", "* * * * *", "--zone", "Moon"], "Moon"),
        (&["--folder", "x"], "there is no function"),
    ] {
        let output = cluster.cumulet(&[&add[..6], words].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(sentence), "{told}");
    }
}
