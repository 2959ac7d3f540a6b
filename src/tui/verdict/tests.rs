//! The first word, in every situation that it has to tell apart.

use super::*;
use crate::domain::decision::Direction;
use crate::state::events::Event;
use crate::tui::fixture::{ago, known, now, scaling, stale};
use crate::tui::news::News;

fn verdict(news: News) -> (Condition, String) {
    let mut data = Data::new(known(), now());
    data.take_in(news);
    let Verdict { condition, reason } = judge(&data);
    (condition, reason)
}

/// The cluster of [`scaling`] with only the VMs that run.
fn steady() -> News {
    let mut news = scaling();
    let word = news.vm_state.as_mut().unwrap();
    let mut file = (**word.document.as_ref().unwrap()).clone();
    file.vms.retain(|vm| vm.state == crate::domain::vm::VmState::Running);
    word.document = Some(std::sync::Arc::new(file));
    let word = news.as_state.as_mut().unwrap();
    let mut file = (**word.document.as_ref().unwrap()).clone();
    file.vms.retain(|order| order.action == Action::Keep);
    word.document = Some(std::sync::Arc::new(file));
    news
}

#[test]
fn a_cluster_at_rest_is_healthy_and_one_in_motion_scales() {
    assert_eq!(verdict(steady()), (Condition::Healthy, "4 VMs serving, mean cpu 78%".into()));
    let (condition, reason) = verdict(scaling());
    assert_eq!((condition, reason.as_str()), (Condition::Scaling, "vm-5 draining, vm-7 booting"));
}

#[test]
fn silence_has_degrees() {
    // One VM is late, the others are not.
    let mut news = steady();
    let word = news.vm_state.as_mut().unwrap();
    let mut file = (**word.document.as_ref().unwrap()).clone();
    file.vms[1].reported_at = ago(16);
    word.document = Some(std::sync::Arc::new(file));
    assert_eq!(verdict(news), (Condition::Degraded, "vm-2 silent".into()));
    // All are.
    let (condition, reason) = verdict(stale());
    assert_eq!(condition, Condition::Stale, "{reason}");
    assert!(reason.contains("1m01s"), "{reason}");
    // And the cluster's own process is gone with them.
    let mut news = stale();
    news.cluster.as_mut().unwrap().alive = false;
    assert_eq!(verdict(news).0, Condition::Failed);
}

#[test]
fn a_cluster_that_was_stopped_says_when() {
    let mut news = stale();
    news.cluster = Some(crate::tui::news::ClusterWord::default());
    let (condition, reason) = verdict(news.clone());
    assert_eq!(condition, Condition::Stopped, "{reason}");
    let event = news.events.first().cloned().unwrap();
    news.events.push(Event { at: ago(0), detail: "stopped".into(), vm: None, ..event });
    assert_eq!(verdict(news), (Condition::Stopped, "it was stopped 1m00s ago".into()));
}

#[test]
fn a_role_that_writes_no_more_degrades_the_cluster() {
    let mut news = steady();
    let word = news.lb_state.as_mut().unwrap();
    let mut file = (**word.document.as_ref().unwrap()).clone();
    file.reported_at = Some(ago(9));
    word.document = Some(std::sync::Arc::new(file));
    let (condition, reason) = verdict(news);
    assert_eq!(condition, Condition::Degraded);
    assert_eq!(reason, "the balancer has written nothing for 9s");
}

#[test]
fn one_failure_in_a_hundred_is_bearable_and_two_are_not() {
    let mut news = steady();
    let sample = news.metrics.last().cloned().unwrap();
    news.metrics = vec![sample; 100];
    news.metrics[50].status = 503;
    assert_eq!(verdict(news.clone()).0, Condition::Healthy);
    news.metrics[51].status = 502;
    let (condition, reason) = verdict(news);
    assert_eq!(condition, Condition::Degraded);
    assert_eq!(reason, "2 of 100 requests failed in the last 30 s");
}

#[test]
fn the_same_decision_in_the_file_and_in_the_history_is_one() {
    let mut data = Data::new(known(), now());
    data.take_in(scaling());
    let outs = |data: &Data| data.decisions.iter().filter(|d| d.action == Direction::Out).count();
    let before = outs(&data);
    for _ in 0..3 {
        let mut again = News { at: now(), ..News::default() };
        again.as_state = scaling().as_state;
        again.samples = scaling().samples;
        data.take_in(again);
    }
    assert_eq!(outs(&data), before);
}
