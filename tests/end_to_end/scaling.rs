//! A fleet that grows under load and shrinks after it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::cluster::Cluster;
use crate::support::{SCENE, render_path, until};

#[test]
fn load_makes_the_fleet_grow_and_rest_makes_it_shrink_and_no_request_is_lost() {
    let cluster = Cluster::start(
        1,
        &[
            "--set",
            "autoscaler.policy=target-tracking target=0.3",
            "--set",
            "autoscaler.maximum=3",
            "--set",
            "autoscaler.scale_in_cooldown=2s",
        ],
    );
    let (done, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    let path = render_path(640, 480);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let answer = cluster.send(&path, SCENE.as_bytes());
                    match answer {
                        Ok(answer) => assert_eq!(answer.status, 200, "{}", answer.text()),
                        Err(error) => panic!("a request was lost: {error}"),
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        until("the fleet grows", || (cluster.running().len() >= 2).then_some(()));
        let most = cluster.orders().wanted();
        assert!(most <= 3, "{most} wanted, the maximum is 3");
        done.store(true, Ordering::Relaxed);
    });
    until("the fleet shrinks to its minimum", || {
        (cluster.vms().len() == 1 && cluster.orders().vms.len() == 1).then_some(())
    });
    let decisions = cluster.orders().decisions;
    for action in ["out", "in"] {
        let reason = decisions.iter().rev().find(|d| d.action.as_str() == action).unwrap();
        assert!(reason.reason.starts_with("mean cpu"), "{}", reason.reason);
    }
    let samples = std::fs::read_to_string(cluster.path().join("samples.txt")).unwrap();
    assert!(samples.contains("action=out") && samples.contains("action=in"));
    assert!(sent.load(Ordering::Relaxed) > 0);
}
