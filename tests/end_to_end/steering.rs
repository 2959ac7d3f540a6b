//! What a person does to a cluster: by command, and by editing its files.

use cumulet::domain::decision::Action;

use crate::cluster::Cluster;
use crate::support::until;

#[test]
fn an_edit_by_hand_is_obeyed() {
    let cluster = Cluster::start(2, &["--set", "autoscaler.minimum=2"]);
    cluster.edit("ASState.xml", "</ASState>", "  <VM id=\"vm-9\" action=\"add\"/>\n</ASState>");
    until("vm-9 runs", || {
        cluster.running().iter().any(|vm| vm.id.as_str() == "vm-9").then_some(())
    });
    until("it is kept", || {
        let orders = cluster.orders();
        let vm = orders.vms.iter().find(|vm| vm.id.as_str() == "vm-9")?;
        (vm.action.as_str() == "keep").then_some(())
    });
    cluster.edit("ASState.xml", "id=\"vm-1\" action=\"keep\"", "id=\"vm-1\" action=\"delete\"");
    until("vm-1 is gone from both files", || {
        let ordered = cluster.orders().vms.iter().any(|vm| vm.id.as_str() == "vm-1");
        (cluster.vm("vm-1").is_none() && !ordered).then_some(())
    });
    assert_eq!(cluster.running().len(), 2);
    let told = cluster.told();
    assert!(
        told.contains("drain     ASState.xml deletes it"),
        "not the reason it was added: {told}"
    );
}

#[test]
fn a_whole_new_file_by_hand_is_obeyed() {
    let cluster = Cluster::start(2, &[]);
    let wish = "<ASState version=\"1\" paused=\"true\"><VM id=\"vm-1\" action=\"keep\"/>\
                <VM id=\"mine\" action=\"add\"/></ASState>";
    let beside = cluster.path().join("ASState.xml.new");
    let lock = cluster.lock("ASState.xml");
    std::fs::write(&beside, wish).unwrap();
    std::fs::rename(&beside, cluster.path().join("ASState.xml")).unwrap();
    drop(lock);
    until("what it lists is what runs", || {
        let mut ids = cluster.running().into_iter().map(|vm| vm.id.to_string()).collect::<Vec<_>>();
        ids.sort();
        (ids == ["mine", "vm-1"]).then_some(())
    });
    let orders = until("what it leaves open is filled in", || {
        Some(cluster.orders()).filter(|orders| !orders.policy.is_empty())
    });
    assert!(orders.paused && orders.maximum == 20);
    assert_eq!(orders.vms.len(), 2);
}

#[test]
fn an_order_that_cannot_be_followed_is_told_with_its_reason() {
    let cluster = Cluster::start(1, &[]);
    let order = "<VM id=\"vm-9\" action=\"add\" instanceType=\"t9.huge\"/></ASState>";
    cluster.edit("ASState.xml", "</ASState>", order);
    until("the reason is told", || {
        cluster.told().contains("no instance type is called `t9.huge`; there are").then_some(())
    });
    assert_eq!(cluster.get("/test").unwrap().status, 200);
}

#[test]
fn a_broken_edit_is_reported_and_the_cluster_goes_on() {
    let cluster = Cluster::start(1, &[]);
    let before = cluster.running()[0].pid;
    cluster.overwrite("ASState.xml", "<ASState version=\"1\"><VM id=");
    until("the file is whole again", || {
        let text = std::fs::read_to_string(cluster.path().join("ASState.xml")).ok()?;
        (text.contains("vm-1") && text.contains("</ASState>")).then_some(())
    });
    let copy = std::fs::read_dir(cluster.path())
        .unwrap()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("ASState.xml.broken-"));
    assert!(copy, "what was written is kept beside");
    until("it is told where the file is wrong", || {
        cluster.told().contains("ASState.xml:1:").then_some(())
    });
    assert_eq!(cluster.get("/test").unwrap().status, 200);
    assert_eq!(cluster.running()[0].pid, before, "nothing was restarted");
}

#[test]
fn commands_launch_terminate_hang_and_resume() {
    let cluster = Cluster::start(1, &[]);
    let launched = cluster.cumulet(&["launch"]);
    assert!(launched.status.success());
    assert!(String::from_utf8_lossy(&launched.stdout).starts_with("vm-2 will be launched"));
    until("vm-2 runs", || (cluster.running().len() == 2).then_some(()));

    assert!(cluster.cumulet(&["pause", "vm-2"]).status.success());
    assert!(cluster.cumulet(&["resume", "vm-2"]).status.success());
    assert!(cluster.cumulet(&["autoscaler", "pause"]).status.success());
    assert!(cluster.orders().paused);
    assert!(cluster.cumulet(&["autoscaler", "resume"]).status.success());
    assert!(!cluster.orders().paused);

    assert!(cluster.cumulet(&["terminate", "vm-2"]).status.success());
    until("vm-2 is gone", || cluster.vm("vm-2").is_none().then_some(()));

    // Its exit code says whether the cluster is well, which the balancer has to see first.
    let text = until("the cluster is well", || {
        let top = cluster.cumulet(&["top", "--once"]);
        top.status.success().then(|| String::from_utf8_lossy(&top.stdout).into_owned())
    });
    assert!(text.contains("vm-1") && text.contains("running"), "{text}");
    let json = cluster.cumulet(&["top", "--once", "--json"]);
    serde_json::from_slice::<serde_json::Value>(&json.stdout).unwrap();
}

#[test]
fn the_policy_the_limits_and_the_size_are_set_live_by_command_and_by_hand() {
    let cluster = Cluster::start(1, &["--set", "autoscaler.policy=static"]);
    assert!(cluster.cumulet(&["set-desired", "3"]).status.success());
    until("three run", || (cluster.running().len() == 3).then_some(()));
    let settled = until("the wish is settled", || {
        Some(cluster.orders()).filter(|orders| orders.asked().is_none() && orders.desired == 3)
    });
    assert!(settled.decisions.iter().any(|decision| decision.reason == "3 asked for by hand"));
    cluster.edit("ASState.xml", "desired=\"3\"", "desired=\"2\"");
    until("two run", || (cluster.vms().len() == 2).then_some(()));
    assert!(cluster.cumulet(&["policy", "static", "size=1"]).status.success());
    until("one runs", || (cluster.vms().len() == 1).then_some(()));
    assert!(cluster.cumulet(&["limits", "2", "4"]).status.success());
    until("the minimum runs", || (cluster.running().len() == 2).then_some(()));
    cluster.edit("ASState.xml", "<Policy size=\"1\"/>", "<Policy size=\"3\"/>");
    until("three run again", || (cluster.running().len() == 3).then_some(()));
    let why = cluster.cumulet(&["why", "--json"]);
    let why: serde_json::Value = serde_json::from_slice(&why.stdout).unwrap();
    assert_eq!(why["policy"], "static");
    let grew = why["decisions"].as_array().unwrap().iter().find(|made| made["action"] == "out");
    assert_eq!(grew.unwrap()["checks"][0]["value"], 3.0, "{why}");
    cluster.edit("ASState.xml", "policy=\"static\"", "policy=\"magic\"");
    until("it is told why nothing changes", || {
        let last = cluster.orders().decisions.pop()?;
        last.reason.starts_with("there is no policy called `magic`").then_some(())
    });
    assert_eq!(cluster.running().len(), 3);
}

#[test]
fn wrong_wishes_change_nothing_and_say_why() {
    let cluster = Cluster::start(1, &[]);
    let before = until("what was added is kept", || {
        Some(cluster.orders().vms).filter(|vms| vms.iter().all(|vm| vm.action == Action::Keep))
    });
    for (arguments, code, said) in [
        (&["terminate", "vm-77"][..], 1, "there is no VM called vm-77; there is vm-1"),
        (&["kill", "VM_1"], 2, "cannot name a VM"),
        (&["launch", "t9.huge"], 2, "no instance type is called `t9.huge`"),
        (&["--set", "vms=many", "config"], 2, "a whole number"),
        (&["--set", "portt=1", "config"], 2, "did you mean `port`?"),
        (&["limits", "3", "2"], 2, "the minimum 3 is above the maximum 2"),
        (&["set-desired", "21"], 2, "the limits are 1 to 20"),
        (&["policy", "magic"], 2, "there is no policy called `magic`; there is staffing"),
        (&["policy", "staffing", "wait=2"], 2, "a number from 0.001 to 0.9 is needed"),
        (&["frobnicate"], 2, "unrecognized subcommand"),
    ] {
        let output = cluster.cumulet(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    assert_eq!(cluster.orders().vms, before);
    let second = cluster.cumulet(&["up", "--port", "0", "--admin-port", "0"]);
    let stderr = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr.contains("a cluster runs on"), "{stderr}");
}
