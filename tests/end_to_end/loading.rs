//! Many requests: what `cumulet load` sends, and what it finds out.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::{Cluster, signal};
use crate::support::until;

/// Small inputs, so that a story takes seconds.
const SMALL: [&str; 9] = [
    "load",
    "--picture-size",
    "0.005..0.03",
    "--render-size",
    "0.005..0.02",
    "--shapes",
    "2..9",
    "--distinct",
    "3",
];

fn load(cluster: &Cluster, more: &[&str]) -> Output {
    cluster.cumulet(&[&SMALL[..], more].concat())
}

/// The report of a load that went well.
#[track_caller]
fn report(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How many requests of each workload a list or a report has.
fn listed(output: &Output) -> BTreeMap<String, u64> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut counts = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines().skip(1) {
        *counts.entry(line.split(',').nth(1).unwrap().to_owned()).or_default() += 1;
    }
    counts
}

fn answered(report: &Value) -> BTreeMap<String, u64> {
    let workloads = report["workloads"].as_object().unwrap();
    workloads.iter().map(|(name, it)| (name.clone(), it["ok"].as_u64().unwrap())).collect()
}

#[test]
fn a_load_is_what_its_seed_says_is_answered_whole_and_can_be_sent_again() {
    let cluster = Cluster::start(2, &["--set", "autoscaler.minimum=2"]);
    let reports = tempfile::tempdir().unwrap();
    let file = |name| reports.path().join(name).display().to_string();
    let (first, second) = (file("first.json"), file("second.json"));

    let seed = ["--requests", "40", "--seed", "7"];
    let list = load(&cluster, &[&seed[..], &["--list"]].concat());
    assert_eq!(list.stdout, load(&cluster, &[&seed[..], &["--list"]].concat()).stdout);
    let other = load(&cluster, &["--requests", "40", "--seed", "8", "--list"]);
    assert_ne!(list.stdout, other.stdout);

    let sent = load(&cluster, &[&seed[..], &["--json", "--output", &first]].concat());
    let sent = report(&sent);
    assert_eq!((&sent["ok"], &sent["failed"], &sent["lost"]), (&40.into(), &0.into(), &0.into()));
    assert_eq!(answered(&sent), listed(&list), "what was listed is what was sent");
    let vms = sent["vms"].as_object().unwrap();
    let by_vms = vms.values().map(|vm| vm["ok"].as_u64().unwrap()).sum::<u64>();
    assert!(by_vms == 40 && vms.keys().all(|name| name.starts_with("vm-")), "{vms:?}");
    for figure in ["latency", "corrected", "slowdown"] {
        assert!(sent["all"][figure]["p50"].as_f64().unwrap() > 0.0, "{figure}");
    }
    assert_eq!(sent["dollars"], 0.0, "VMs of the type `local` cost nothing");

    let metrics = cluster.path().join("metrics.txt");
    until("each has its line", || {
        let text = std::fs::read_to_string(&metrics).ok()?;
        (text.matches("request=load-").count() == 40).then_some(())
    });
    let trace = file("trace.txt");
    std::fs::copy(&metrics, &trace).unwrap();
    let replay = ["--replay", &trace, "--speed", "20", "--json", "--output", &second];
    assert_eq!(answered(&report(&load(&cluster, &replay))), answered(&sent));

    let compared = cluster.cumulet(&["load", "compare", &first, &second]);
    let text = String::from_utf8_lossy(&compared.stdout);
    assert!(compared.status.success() && text.contains("latency p99"), "{text}");
}

#[test]
fn a_rate_is_kept_and_its_times_are_those_listed() {
    let cluster = Cluster::start(2, &["--set", "autoscaler.minimum=2"]);
    let load = |more: &[&str]| {
        let rate = ["--rate", "10..60", "--arrivals", "poisson", "--duration", "2s", "--mix"];
        load(&cluster, &[&rate[..], &["blur=1,enhance=2"], more].concat())
    };
    let list = listed(&load(&["--list"]));
    assert!(list.values().sum::<u64>() > 30, "{list:?}");
    assert_eq!(answered(&report(&load(&["--json"]))), list);
}

#[test]
fn what_goes_wrong_is_counted_by_kind_and_is_a_failure() {
    let cluster = Cluster::start(1, &[]);
    let wrong = ["load", "--mix", "request", "--requests", "3", "--json", "--request"];
    let failed = cluster.cumulet(&[&wrong[..], &["GET /nothing-here"]].concat());
    assert_eq!(failed.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!((&json["failed"], &json["errors"][0]["kind"]), (&3.into(), &"status 404".into()));
    let stderr = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(stderr.contains("of 3 requests 3 failed and 0 were lost"), "{stderr}");

    // Nothing can listen on port 0.
    let nobody = cluster.cumulet(&[&wrong[..], &["GET /test", "--url", "127.0.0.1:0"]].concat());
    assert_eq!(nobody.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&nobody.stdout).unwrap();
    assert_eq!((&json["lost"], &json["errors"][0]["kind"]), (&3.into(), &"no connection".into()));

    for (arguments, said) in [
        (&["--mix", "blurr=1"][..], "is no workload"),
        (&["--rate", "fast"], "is no rate"),
        (&["--url", "https://x"], "there is no https"),
        (&["--list"], "--list needs"),
        (&["--replay", "/nowhere.csv"], "cannot read the trace /nowhere.csv"),
    ] {
        let refused = load(&cluster, arguments);
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_interrupted_load_reports_what_it_has() {
    let cluster = Cluster::start(1, &[]);
    let child = cluster
        .command()
        .args(SMALL)
        .args(["--duration", "10m", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("requests are answered", || {
        let metrics = std::fs::read_to_string(cluster.path().join("metrics.txt")).ok()?;
        (metrics.lines().count() > 5).then_some(())
    });
    signal(child.id(), Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["ok"].as_u64().unwrap() > 0 && json["lost"] == 0, "{json}");
}
