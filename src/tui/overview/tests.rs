//! The picture without a screen.

use super::*;
use crate::tui::fixture::{known, now, scaling, stale};
use crate::tui::news::News;

fn snapshot(news: News) -> Snapshot {
    let mut data = Data::new(known(), now());
    data.take_in(news);
    Snapshot(data)
}

#[test]
fn the_text_at_the_widths_of_a_terminal_and_of_a_pipe() {
    for width in [80, 120, 200] {
        insta::assert_snapshot!(format!("text-{width}"), text(&snapshot(scaling()), width));
    }
    insta::assert_snapshot!("text-stale", text(&snapshot(stale()), 120));
    let empty = News { at: now(), ..News::default() };
    insta::assert_snapshot!("text-empty", text(&snapshot(empty), 80));
}

#[test]
fn no_line_is_wider_than_asked_for() {
    for width in 1..220 {
        let text = text(&snapshot(stale()), width);
        assert!(text.lines().all(|line| format::columns(line) <= width), "{width}: {text}");
    }
}

#[test]
fn the_json_has_stable_names_and_null_for_what_is_not_known() {
    let json = snapshot(scaling()).to_json();
    insta::assert_snapshot!("json", format!("{json:#}"));
    let empty = snapshot(News { at: now(), ..News::default() }).to_json();
    let names = |json: &Value| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&json), names(&empty));
    assert!(empty["balancer"].is_null() && empty["files"]["VMState"]["seq"].is_null());
}

#[test]
fn a_script_can_tell_from_the_exit_code() {
    let code = |news| snapshot(news).verdict().condition.exit_code();
    assert_eq!(code(scaling()), 0);
    assert_eq!(code(stale()), 2);
}

#[test]
fn a_file_that_cannot_be_read_is_part_of_the_picture() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("VMState.xml"), "<VMState").unwrap();
    let folder = StateFolder::existing(home.path()).unwrap();
    let snapshot = Snapshot::read(&folder, &config::Settings::default(), now()).unwrap();
    let verdict = snapshot.verdict();
    assert_eq!(verdict.condition, Condition::Failed);
    assert!(verdict.reason.contains("VMState.xml"), "{}", verdict.reason);
}
