//! VMs as machines: credits, memory, hooks, images, and all of them replaced.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use cumulet::domain::vm::VmState;

use crate::cluster::Cluster;
use crate::support::{SCENE, encoded, picture, render_path, until};

fn ids(cluster: &Cluster) -> Vec<String> {
    cluster.running().into_iter().map(|vm| vm.id.to_string()).collect()
}

#[test]
fn a_refresh_under_load_replaces_all_but_the_protected_and_loses_no_request() {
    let fixed = ["--set", "autoscaler.minimum=3", "--set", "autoscaler.maximum=3"];
    let cluster = Cluster::start(3, &fixed);
    assert!(cluster.cumulet(&["protect", "vm-3"]).status.success());
    assert!(cluster.orders().vms.iter().any(|vm| vm.id.as_str() == "vm-3" && vm.protected));
    let safe = cluster.vm("vm-3").unwrap().pid;
    let (done, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    let (path, cluster) = (render_path(120, 90), &cluster);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let answer = cluster.send(&path, SCENE.as_bytes()).expect("no request is lost");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let asked = cluster.cumulet(&["refresh", "--share", "34%"]);
        assert!(String::from_utf8_lossy(&asked.stdout).starts_with("2 VMs will be replaced"));
        until("the refresh is done", || {
            let running = cluster.running().len();
            assert!(running >= 3 || cluster.vms().len() < 3, "{running} of 3 serve");
            cluster.orders().refresh.is_none().then_some(())
        });
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(ids(cluster).len(), 3);
    assert!(cluster.vm("vm-1").is_none() && cluster.vm("vm-2").is_none());
    assert_eq!(cluster.vm("vm-3").unwrap().pid, safe);
    until("it is told", || cluster.told().contains("refresh done, 1 protected kept").then_some(()));
    assert!(answered.into_inner() > 10);
}

#[test]
fn what_a_command_writes_can_be_written_by_hand() {
    let cluster = Cluster::start(2, &["--set", "autoscaler.minimum=2"]);
    // The same as `cumulet protect vm-1`, and as a refresh of one VM.
    cluster.edit("ASState.xml", "id=\"vm-1\"", "id=\"vm-1\" protected=\"true\"");
    let heir = "<VM id=\"heir\" action=\"add\" replaces=\"vm-2\"/></ASState>";
    cluster.edit("ASState.xml", "</ASState>", heir);
    until("the heir has taken the place of vm-2", || {
        let mut ids = ids(&cluster);
        ids.sort();
        (ids == ["heir", "vm-1"] && cluster.orders().vms.len() == 2).then_some(())
    });
    let off = cluster.cumulet(&["protect", "vm-1", "--off"]);
    assert_eq!(String::from_utf8_lossy(&off.stdout), "vm-1 is no longer protected\n");
    assert!(!cluster.orders().vms.iter().any(|vm| vm.protected));
    // The same as `cumulet refresh`.
    cluster.edit("ASState.xml", "<ASState ", "<ASState refresh=\"2999-01-01T00:00:00Z\" ");
    until("all are replaced", || {
        let all = cluster.vm("heir").is_none() && cluster.vm("vm-1").is_none();
        (all && cluster.orders().refresh.is_none()).then_some(())
    });
    let stopped = cluster.cumulet(&["refresh", "--stop"]);
    assert_eq!(String::from_utf8_lossy(&stopped.stdout), "no refresh goes on\n");
}

#[test]
fn a_vm_without_credits_is_held_to_its_baseline_and_says_what_it_has_left() {
    let types = "[instance_types.small]\nvcpus = 1\nbaseline = 0.1\nlaunch_credits = 2\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cumulet.toml");
    std::fs::write(&file, types).unwrap();
    let more = [
        "--config",
        file.to_str().unwrap(),
        "--set",
        "instance_type=small",
        "--set",
        "autoscaler.maximum=1",
        "--set",
        "credit_scale=600",
    ];
    let cluster = Cluster::start(1, &more);
    let credits = || cluster.vm("vm-1").unwrap().load.cpu_credits;
    // At rest an hour of earning, 6 credits, passes in 6 s.
    until("it earns", || credits().filter(|credits| *credits > 2.5));
    let path = render_path(400, 300);
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (path, cluster) = (&path, &cluster);
        let load = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(cluster.send(path, SCENE.as_bytes()).unwrap().status, 200);
            }
        });
        until("its credits are spent", || credits().filter(|credits| *credits < 0.5));
        let cpu = || {
            let vm = cluster.vm("vm-1").unwrap();
            (vm.reported_at, vm.served.cpu)
        };
        // CPU time is booked when a request ends, so over several of them.
        let (at, before) = cpu();
        let share = until("some more seconds", || {
            let (now, after) = cpu();
            let seconds = now.duration_since(at).as_secs_f64();
            (seconds > 8.0).then(|| after.saturating_sub(before).as_secs_f64() / seconds)
        });
        assert!(share < 0.3, "{share} of a vCPU at a baseline of 0.1");
        done.store(true, Ordering::Relaxed);
        load.join().unwrap();
    });
}

#[test]
fn a_vm_that_needs_more_memory_than_it_has_dies_of_it_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cumulet.toml");
    std::fs::write(&file, "[instance_types.tiny]\nvcpus = 1\nmemory_mib = 64\n").unwrap();
    let more = ["--config", file.to_str().unwrap(), "--set", "instance_type=tiny"];
    let cluster = Cluster::start(1, &more);
    let before = cluster.vm("vm-1").unwrap().pid;
    let small = encoded(&picture(64, 64), image::ImageFormat::Bmp);
    assert_eq!(cluster.send("/blurimage", &small).unwrap().status, 200);
    // The picture alone has 147 MB.
    let refused = cluster.send(&render_path(7_000, 7_000), SCENE.as_bytes()).unwrap();
    // 502 if it killed each VM that it was tried on, 500 if one could not start a thread for it.
    assert!([500, 502].contains(&refused.status), "{}", refused.status);
    until("the reason is told", || {
        cluster.told().contains("out of memory: memory allocation of").then_some(())
    });
    until("it is replaced", || {
        let vm = cluster.vm("vm-1").filter(|vm| vm.state == VmState::Running)?;
        (vm.pid != before).then_some(())
    });
    let answer = until("it works again", || {
        cluster.send("/blurimage", &small).ok().filter(|answer| answer.status == 200)
    });
    assert!(!answer.body.is_empty());
}

#[test]
fn hooks_run_at_launch_and_at_the_end_and_a_late_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    let launch = format!("hooks.launch=echo up $VM_ID >> {}", notes.display());
    let late = format!("hooks.terminate=echo down $VM_ID >> {}; sleep 600", notes.display());
    let more = ["--set", &launch, "--set", &late, "--set", "hooks.timeout=2s"];
    let more = [&more[..], &["--set", "autoscaler.minimum=2"]].concat();
    let mut cluster = Cluster::start(2, &more);
    let written = || std::fs::read_to_string(&notes).unwrap_or_default();
    assert!(written().contains("up vm-1\n") && written().contains("up vm-2\n"), "before it serves");
    assert!(cluster.cumulet(&["terminate", "vm-2"]).status.success());
    until("vm-2 is gone, although its hook does not end", || {
        cluster.vm("vm-2").is_none().then_some(())
    });
    assert!(written().contains("down vm-2\n"));
    until("that it took too long is told", || {
        let told = cluster.told();
        (told.contains("the terminate hook `echo down") && told.contains("longer than 2 s"))
            .then_some(())
    });
    assert_eq!(cluster.stop(), Some(0));
    assert!(written().contains("down vm-1\n"));
    assert_eq!(cluster.processes(), []);
}

#[test]
fn a_vm_whose_launch_hook_fails_never_serves_and_says_why() {
    let cluster = Cluster::start(1, &[]);
    let order = "<VM id=\"bad\" action=\"add\" image=\"broken\"/></ASState>";
    std::fs::create_dir_all(cluster.path().join("images")).unwrap();
    let image = "created_at = \"2026-11-22T00:00:00Z\"\nfrom = \"nothing\"\n\
                 instance_type = \"local\"\nworkloads = [\"blur\"]\n\
                 [settings]\n\"hooks.launch\" = \"exit 7\"\n";
    std::fs::write(cluster.path().join("images/broken.toml"), image).unwrap();
    cluster.edit("ASState.xml", "</ASState>", order);
    until("the failure is told, and that it comes again", || {
        let told = cluster.told();
        (told.contains("the launch hook `exit 7` failed") && told.contains("times in a row"))
            .then_some(())
    });
    assert!(cluster.running().iter().all(|vm| vm.id.as_str() != "bad"));
}

#[test]
fn an_image_is_made_tried_launched_listed_and_removed() {
    let cluster = Cluster::start(1, &["--set", "limits.lights=77"]);
    let run = |arguments: &[&str]| {
        let output = cluster.cumulet(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let made = run(&["image", "create", "web", "--from", "vm-1"]);
    assert!(made.starts_with("image web made of vm-1: local, blur, enhance, raytrace"), "{made}");
    let text = std::fs::read_to_string(cluster.path().join("images/web.toml")).unwrap();
    assert!(text.contains("\"limits.lights\" = \"77\""), "{text}");
    let tried = run(&["image", "test", "web"]);
    assert_eq!(tried.matches(" ok in ").count(), 3, "{tried}");
    assert!(run(&["image", "list"]).starts_with("web "), "listed");
    let listed: serde_json::Value =
        serde_json::from_str(&run(&["image", "list", "--json"])).unwrap();
    assert_eq!(listed[0]["type"], "local");
    let launched = run(&["launch", "--image", "web"]);
    assert_eq!(launched, "vm-2 will be launched from image web\n");
    until("it runs", || ids(&cluster).contains(&"vm-2".to_owned()).then_some(()));
    run(&["image", "delete", "web"]);
    let refused = cluster.cumulet(&["launch", "--image", "web"]);
    let refused = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.contains("there is no image called web; there is none"), "{refused}");
}

#[test]
fn a_warm_vm_waits_until_it_is_wanted_and_serves_at_once() {
    let more = ["--set", "autoscaler.warm_pool=1", "--set", "autoscaler.maximum=2"];
    let cluster = Cluster::start(1, &more);
    let warm = until("a VM is warm", || cluster.vms().into_iter().find(|vm| vm.warm));
    assert_eq!((warm.state, cluster.orders().desired), (VmState::Booting, 1));
    let order = format!("id=\"{}\" action=\"add\" warm=\"true\"", warm.id);
    cluster.edit("ASState.xml", &order, &order.replace("true", "false"));
    until("it serves, the same process", || {
        let vm = cluster.vm(warm.id.as_str())?;
        assert_eq!(vm.pid, warm.pid);
        (vm.state == VmState::Running).then_some(())
    });
    until("the pool is filled again", || {
        cluster.vms().into_iter().find(|vm| vm.warm && vm.id != warm.id)
    });
}

#[test]
fn list_tells_which_requests_run_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cumulet.toml");
    let slow = "[instance_types.slow]\nvcpus = 1\nbaseline = 0.05\nmax_credits = 0\n";
    std::fs::write(&file, slow).unwrap();
    let more = ["--config", file.to_str().unwrap(), "--set", "instance_type=slow"];
    let cluster = Cluster::start(1, &[&more[..], &["--set", "autoscaler.maximum=1"]].concat());
    let (path, cluster) = (render_path(800, 600), &cluster);
    std::thread::scope(|scope| {
        let request = scope.spawn(|| cluster.send(&path, SCENE.as_bytes()));
        let row = until("the request is listed", || {
            let output = cluster.cumulet(&["list", "--json"]);
            let rows: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
            rows[0]["requests"][0].is_object().then(|| rows[0].clone())
        });
        assert_eq!((&row["id"], &row["type"]), (&"vm-1".into(), &"slow".into()));
        let told = &row["requests"][0];
        assert_eq!((&told["workload"], &told["state"]), (&"raytrace".into(), &"working".into()));
        let output = cluster.cumulet(&["list"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("1 requests") && text.contains("raytrace"), "{text}");
        assert_eq!(request.join().unwrap().unwrap().status, 200);
    });
    assert_eq!(cluster.get("/requests").unwrap().status, 404, "not for clients");
}
