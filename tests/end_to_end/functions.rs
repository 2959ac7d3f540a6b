//! Functions: those that come with Cumulet, those of a user's own, and what VMs leave to them.

use std::process::Output;

use base64_simd::STANDARD;
use cumulet::process;
use cumulet::state::function_state::{FunctionReport, FunctionStateFile};
use cumulet::state::metrics::Metric;
use image::ImageFormat;
use rustix::process::Signal;

use crate::cluster::{Cluster, signal};
use crate::support::{encoded, picture, until};

/// A function's own words.
#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The service, once it takes invocations.
fn service(cluster: &Cluster) -> FunctionStateFile {
    until("the functions' service runs", || {
        let file = cluster.state().read::<FunctionStateFile>().ok()??;
        (process::is_alive(file.pid) && !file.address.is_empty()).then_some(file)
    })
}

/// How a function does, once `condition` is true of it.
fn report(
    cluster: &Cluster,
    name: &str,
    condition: impl Fn(&FunctionReport) -> bool,
) -> FunctionReport {
    until("the function has done what was asked", || {
        let file = cluster.state().read::<FunctionStateFile>().ok()??;
        file.functions.into_iter().find(|it| it.name.as_str() == name).filter(&condition)
    })
}

const QUICK: [&str; 2] = ["--set", "functions.cold_start=0s"];

#[test]
fn a_built_in_function_answers_the_events_of_others_and_is_billed() {
    let mut cluster = Cluster::start(1, &QUICK);
    service(&cluster);
    let png = STANDARD.encode_to_string(encoded(&picture(64, 48), ImageFormat::Png));
    let event = format!("{{\"body\": \"{png}\",\n \"fileFormat\": \"png\"}}");
    let answer = said(&cluster.cumulet(&["function", "invoke", "enhance", "--event", &event]));
    let base64: String = serde_json::from_str(&answer).unwrap();
    let made = image::load_from_memory(&STANDARD.decode_to_vec(base64).unwrap()).unwrap();
    assert_eq!((made.width(), made.height()), (64, 48));
    let again = said(&cluster.cumulet(&["function", "invoke", "enhance", "--event", &event]));
    assert_eq!(again, answer);
    let report = report(&cluster, "enhance", |it| it.usage.requests == 2);
    assert_eq!((report.counts.cold_starts, report.warm), (1, 1));
    assert!(report.usage.gb_seconds > 0.0);
    let bad = said(&cluster.cumulet(&["function", "invoke", "enhance", "--event", "{}"]));
    assert!(bad.contains("errorMessage"), "{bad}");
    self::report(&cluster, "enhance", |it| it.usage.requests == 3);
    let log = said(&cluster.cumulet(&["function", "logs", "enhance"]));
    assert!(log.contains("start=cold") && log.contains("start=warm"), "{log}");
    let list = said(&cluster.cumulet(&["function", "list"]));
    assert!(list.contains("built in: raytrace") && list.contains("3 requests"), "{list}");
    assert_eq!(cluster.stop(), Some(0));
    assert!(cluster.processes().is_empty(), "{:?}", cluster.processes());
}

#[test]
fn any_executable_is_a_function_within_its_limits() {
    let cluster = Cluster::start(1, &QUICK);
    service(&cluster);
    let create = |name: &str, options: &[&str], script: &str| {
        let mut words = vec!["function", "create", name];
        words.extend(options);
        words.extend(["--", "/bin/sh", "-c", script]);
        said(&cluster.cumulet(&words));
    };
    let invoke = |name: &str| {
        until("the service knows the function", || {
            let words = ["function", "invoke", name, "--event", "{\"a\": 1}"];
            let output = cluster.cumulet(&words);
            let unknown = String::from_utf8_lossy(&output.stderr).contains("there is no function");
            (!unknown).then_some(output)
        })
    };
    create("echo", &[], "cat; echo heard >&2");
    assert_eq!(said(&invoke("echo")), "{\"a\": 1}");
    let log = said(&cluster.cumulet(&["function", "logs", "echo"]));
    assert!(log.contains("heard"), "{log}");

    create("same", &["--reused"], "while read -r event; do echo $$; done");
    let first = said(&invoke("same"));
    assert_eq!(said(&invoke("same")), first, "a warm environment is the same process");
    let told = said(&cluster.cumulet(&["function", "update", "same", "--memory", "256"]));
    assert!(told.contains("changed"), "{told}");
    until("the changed function has another process", || {
        (said(&invoke("same")) != first).then_some(())
    });

    create("fails", &[], "exit 3");
    assert!(refused(&invoke("fails")).contains("exit status 3"));
    create("sleeps", &["--timeout", "200ms"], "sleep 1000");
    assert!(refused(&invoke("sleeps")).contains("longer than its limit of 0.2 s"));
    assert_eq!(report(&cluster, "sleeps", |it| it.usage.requests == 1).counts.errors, 1);

    assert!(
        refused(&cluster.cumulet(&["function", "create", "echo", "--", "cat"])).contains("already")
    );
    assert!(refused(&cluster.cumulet(&["function", "create", "x"])).contains("what is x to run"));
    said(&cluster.cumulet(&["function", "delete", "echo"]));
    until("a deleted function is gone", || {
        let output = cluster.cumulet(&["function", "invoke", "echo", "--event", "{}"]);
        (!output.status.success()).then_some(())
    });
}

#[test]
fn more_at_once_than_may_run_are_refused() {
    let cluster = Cluster::start(1, &QUICK);
    let address = service(&cluster).address.parse().unwrap();
    let gate = cluster.path().join("gate");
    let script = format!("until [ -e '{}' ]; do sleep 0.05; done; echo 1", gate.display());
    let words = ["function", "create", "waits", "--concurrency", "1", "--", "/bin/sh", "-c"];
    said(&cluster.cumulet(&[&words[..], &[&script]].concat()));
    let path = "/functions/waits/invocations";
    until("the service knows the function", || {
        report(&cluster, "waits", |_| true);
        Some(())
    });
    let first = std::thread::spawn(move || crate::http::send(address, "POST", path, b"{}"));
    report(&cluster, "waits", |it| it.running == 1);
    let second = crate::http::send(address, "POST", path, b"{}").unwrap();
    assert_eq!((second.status, second.header("retry-after")), (429, Some("1")));
    std::fs::write(gate, "").unwrap();
    assert_eq!(first.join().unwrap().unwrap().status, 200);
    assert_eq!(report(&cluster, "waits", |it| it.running == 0).counts.throttled, 1);
}

#[test]
fn functions_and_their_bill_survive_the_death_of_everything() {
    let mut cluster = Cluster::start(1, &QUICK);
    let before = service(&cluster).pid;
    cluster.edit(
        "Functions.xml",
        "</Functions>",
        "<Function name=\"greet\" program=\"cat\"/></Functions>",
    );
    let greet = |cluster: &Cluster| {
        until("greet answers", || {
            let output = cluster.cumulet(&["function", "invoke", "greet", "--event", "7"]);
            output.status.success().then(|| said(&output))
        })
    };
    assert_eq!(greet(&cluster), "7");
    report(&cluster, "greet", |it| it.usage.requests == 1);
    signal(before, Signal::KILL);
    until("the service is started again", || (service(&cluster).pid != before).then_some(()));
    assert_eq!(greet(&cluster), "7");
    report(&cluster, "greet", |it| it.usage.requests == 2);
    cluster.kill_up();
    cluster.up_again();
    assert_eq!(greet(&cluster), "7");
}

/// A VM that boots for some seconds, meanwhile a function may have what is short.
const BOOTING: [&str; 8] = [
    "--set",
    "instance_type=m5.large",
    "--set",
    "boot_scale=0.3",
    "--set",
    "functions.longest=50ms",
    "--set",
    "functions.cold_start=10ms",
];

#[test]
fn while_a_vm_boots_short_work_goes_to_a_function_and_large_work_waits() {
    let cluster = Cluster::booting(1, &BOOTING);
    service(&cluster);
    let small = encoded(&picture(64, 48), ImageFormat::Png);
    let answer = until("the balancer knows of the functions", || {
        cluster.send("/blurimage", &small).ok().filter(|answer| answer.status == 200)
    });
    assert_eq!(answer.header("x-cumulet-vm"), Some("function-blur"));
    assert_eq!(answer.header("x-cumulet-attempts"), Some("1"));
    let large = encoded(&picture(2_400, 1_600), ImageFormat::Png);
    let waited = cluster.send("/enhanceimage", &large).unwrap();
    assert_eq!((waited.status, waited.header("x-cumulet-vm")), (200, Some("vm-1")));
    let settled = cluster.send("/blurimage", &small).unwrap();
    assert_eq!(settled.header("x-cumulet-vm"), Some("vm-1"));
    assert_eq!(settled.body, answer.body, "the same bytes from a function and from a VM");
    let lines: Vec<Metric> = until("all three are accounted for", || {
        let lines = cluster.state().tail(1 << 20).unwrap();
        (lines.len() == 3).then_some(lines)
    });
    let by = |vm: &str| lines.iter().filter(|it| it.vm.as_ref().unwrap().as_str() == vm).count();
    assert_eq!((by("function-blur"), by("vm-1")), (1, 2), "each was done once: {lines:?}");
    report(&cluster, "blur", |it| it.usage.requests == 1);
    until("the balancer tells of it", || {
        let page = crate::http::send(cluster.admin(), "GET", "/metrics", b"").ok()?;
        page.text().contains("cumulet_overflowed_total 1").then_some(())
    });
}

#[test]
fn a_request_whose_function_dies_is_answered_by_a_vm() {
    let cluster =
        Cluster::booting(1, &[&BOOTING[..6], &["--set", "functions.cold_start=1h"]].concat());
    let pid = service(&cluster).pid;
    let address = cluster.address();
    let small = encoded(&picture(64, 48), ImageFormat::Png);
    let asked =
        std::thread::spawn(move || crate::http::send(address, "POST", "/blurimage", &small));
    report(&cluster, "blur", |it| it.running == 1);
    signal(pid, Signal::KILL);
    let answer = asked.join().unwrap().unwrap();
    assert_eq!((answer.status, answer.header("x-cumulet-vm")), (200, Some("vm-1")));
    assert_eq!(answer.header("x-cumulet-attempts"), Some("2"));
}
