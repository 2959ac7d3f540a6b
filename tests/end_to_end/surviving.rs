//! Deaths of every kind.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use cumulet::process;
use rustix::process::Signal;

use crate::cluster::{Cluster, signal};
use crate::support::{SCENE, render_path, until};

#[test]
fn vms_killed_in_the_middle_of_requests_cost_no_request() {
    let fixed = ["--set", "autoscaler.minimum=3", "--set", "autoscaler.maximum=3"];
    let cluster = Cluster::start(3, &fixed);
    let path = render_path(200, 150);
    let reference = cluster.send(&path, SCENE.as_bytes()).unwrap().body;
    let (done, answered, retried) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let answer = cluster.send(&path, SCENE.as_bytes()).expect("no request is lost");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    assert!(answer.body == reference, "the same picture from every VM");
                    if answer.header("x-cumulet-attempts") != Some("1") {
                        retried.fetch_add(1, Ordering::Relaxed);
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..6 {
            let id = format!("vm-{}", round % 3 + 1);
            let pid = until("a busy VM", || {
                let vm = cluster.vm(&id).filter(|vm| vm.running_since.is_some())?;
                process::is_alive(vm.pid).then_some(vm.pid)
            });
            let before = answered.load(Ordering::Relaxed);
            assert!(cluster.cumulet(&["kill", &id]).status.success());
            until("it is replaced by another process", || {
                let vm = cluster.vm(&id).filter(|vm| vm.running_since.is_some())?;
                (vm.pid != pid).then_some(())
            });
            // A request that was hit must have time to be answered: three deaths under one request
            // are more than its attempts.
            until("requests go on", || {
                (answered.load(Ordering::Relaxed) > before + 18).then_some(())
            });
        }
        done.store(true, Ordering::Relaxed);
    });
    let killed_leave_no_socket = || (cluster.sockets() == cluster.vms().len()).then_some(());
    until("the sockets are those of the VMs there are", killed_leave_no_socket);
    let (answered, retried) = (answered.into_inner(), retried.into_inner());
    assert!(retried > 0, "none of {answered} requests was hit by 6 kills: the test shows nothing");
}

#[test]
fn roles_that_die_come_back_and_a_killed_cluster_is_taken_up_where_it_was() {
    let mut cluster = Cluster::start(2, &["--set", "autoscaler.minimum=2"]);
    let vms = cluster.running().into_iter().map(|vm| (vm.id, vm.pid)).collect::<Vec<_>>();
    for role in ["autoscaler", "balancer"] {
        let pid = cluster.pid_of(role).unwrap();
        signal(pid, Signal::KILL);
        let new = until("the role is back", || cluster.pid_of(role).filter(|new| *new != pid));
        assert!(process::is_alive(new));
        let answer = cluster.get("/test").unwrap();
        assert_eq!(answer.status, 200, "connections wait for the balancer instead of failing");
    }
    let (address, balancer) = (cluster.address(), cluster.pid_of("balancer"));
    cluster.kill_up();
    assert_eq!(cluster.get("/test").unwrap().status, 200, "the rest serves on");
    cluster.up_again();
    assert_eq!((cluster.address(), cluster.pid_of("balancer")), (address, balancer));
    assert_eq!(cluster.get("/test").unwrap().status, 200);
    let after = cluster.running().into_iter().map(|vm| (vm.id, vm.pid)).collect::<Vec<_>>();
    assert_eq!(after, vms, "the same processes as before");
    assert_eq!(cluster.stop(), Some(0));
    assert_eq!(cluster.processes(), [], "adopted processes are stopped, too");
}

#[test]
fn a_cluster_that_stood_still_itself_does_not_take_its_vms_for_dead() {
    let fixed = ["--set", "autoscaler.minimum=2", "--set", "replace_silent_after=2s"];
    let cluster = Cluster::start(2, &fixed);
    let (before, seen) = (cluster.running(), cluster.vm("vm-1").unwrap().reported_at);
    signal(cluster.pid(), Signal::STOP);
    until("VMs were silent for longer than they may be", || {
        let silent = cluster.vm("vm-1")?.reported_at.duration_since(seen);
        (silent.as_secs() >= 3).then_some(())
    });
    signal(cluster.pid(), Signal::CONT);
    assert!(cluster.cumulet(&["launch"]).status.success());
    until("it acts again", || (cluster.running().len() == 3).then_some(()));
    for vm in before {
        assert_eq!(cluster.vm(vm.id.as_str()).unwrap().pid, vm.pid, "{} is as it was", vm.id);
    }
}

#[test]
fn a_folder_that_is_removed_is_made_again_and_still_held() {
    let mut cluster = Cluster::start(2, &["--set", "autoscaler.minimum=2"]);
    let pids = cluster.running().into_iter().map(|vm| vm.pid).collect::<Vec<_>>();
    // Writers may put a file into it while it is being removed.
    until("the folder is removed", || std::fs::remove_dir_all(cluster.path()).ok());
    until("VMs report and the cluster is named", || {
        let running = cluster.running();
        let same = running.len() == 2 && running.iter().all(|vm| pids.contains(&vm.pid));
        (same && cluster.state().read_cluster_file().ok()?.is_some()).then_some(())
    });
    assert_eq!(cluster.get("/test").unwrap().status, 200);
    let second = cluster.cumulet(&["up", "--port", "0", "--admin-port", "0"]);
    assert!(String::from_utf8_lossy(&second.stderr).contains("a cluster runs on"));
    assert_eq!(cluster.stop(), Some(0));
    assert_eq!(cluster.processes(), []);
}

#[test]
fn a_balancer_that_nobody_can_find_any_more_is_replaced() {
    let mut cluster = Cluster::start(1, &[]);
    let lost = cluster.pid_of("balancer").unwrap();
    cluster.kill_up();
    std::fs::remove_file(cluster.path().join("cluster.toml")).unwrap();
    cluster.up_again();
    until("requests are answered", || cluster.get("/test").ok().filter(|it| it.status == 200));
    let balancers = cluster.processes().into_iter().filter(|it| it.role == "balancer");
    let pids = balancers.map(|it| it.pid).collect::<Vec<_>>();
    assert!(pids.len() == 1 && pids[0] != lost, "{pids:?}, one of them {lost}");
}

#[test]
fn a_terminal_that_is_closed_ends_the_cluster() {
    if !process::hears_hangup() {
        return;
    }
    let mut cluster = Cluster::start(1, &[]);
    assert_eq!(cluster.stop_by(Signal::HUP), Some(0));
    assert_eq!(cluster.processes(), []);
}

#[test]
fn a_stop_under_load_finishes_what_was_begun_and_leaves_nothing_behind() {
    let mut cluster = Cluster::start(2, &[]);
    let address = cluster.address();
    let (path, begun) = (render_path(1600, 1200), AtomicU32::new(0));
    let (begun, path) = (&begun, &path);
    std::thread::scope(|scope| {
        let requests = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    crate::http::send(address, "POST", path, SCENE.as_bytes())
                })
            })
            .collect::<Vec<_>>();
        until("the VMs are at it", || {
            let busy: u32 = cluster.vms().iter().map(|vm| vm.load.in_flight).sum();
            (busy > 0).then_some(())
        });
        assert_eq!(cluster.stop(), Some(0));
        for request in requests {
            // A connection that no balancer had taken yet is refused or closed; one that was taken
            // is answered whole.
            if let Ok(answer) = request.join().unwrap() {
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        }
    });
    assert_eq!(cluster.processes(), []);
    assert!(cluster.vms().is_empty() && cluster.orders().vms.is_empty());
    assert!(!cluster.path().join("cluster.toml").exists());
    assert_eq!(cluster.sockets(), 0);
    let left = std::fs::read_dir(cluster.path()).unwrap().flatten();
    let temporary = left.filter(|entry| entry.file_name().to_string_lossy().ends_with(".tmp"));
    assert_eq!(temporary.count(), 0);
}

#[test]
fn a_folder_that_can_hold_no_sockets_is_told_of_and_does_without() {
    let mut cluster = Cluster::start(1, &[]);
    assert_eq!(cluster.sockets(), 1);
    assert!(!cluster.told().contains("ports alone"), "{}", cluster.told());
    assert_eq!(cluster.stop(), Some(0));
    std::fs::remove_dir(cluster.path().join("sockets")).unwrap();
    std::fs::write(cluster.path().join("sockets"), "in the way").unwrap();
    cluster.up_again();
    until("it serves", || {
        let answer = cluster.send(&render_path(20, 15), SCENE.as_bytes());
        answer.is_ok_and(|answer| answer.status == 200).then_some(())
    });
    until("it says so", || cluster.told().contains("by their ports alone").then_some(()));
    assert!(cluster.vms().iter().all(|vm| vm.socket.is_none()));
}

#[test]
fn the_files_of_a_live_cluster_follow_their_schemas() {
    let cluster = Cluster::start(2, &[]);
    cluster.send(&render_path(40, 30), SCENE.as_bytes()).unwrap();
    until("the balancer reports", || cluster.path().join("LBState.xml").exists().then_some(()));
    for name in ["VMState", "ASState", "LBState"] {
        let schema = cluster.path().join(format!("schema/{name}.xsd"));
        let output = Command::new("xmllint")
            .args(["--noout", "--schema"])
            .arg(schema)
            .arg(cluster.path().join(format!("{name}.xml")))
            .output()
            .expect("xmllint is needed: install libxml2-utils (Debian) or libxml2 (brew)");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
