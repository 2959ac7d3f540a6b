//! An import goes down the floors, never up, and rooms of the top floors never import each other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, by floor, from the ground up. What stands on one floor may use what is below it; on
/// the floors marked `true` also what is beside it.
const FLOORS: [(bool, &[&str]); 5] = [
    (true, &["units", "config"]),
    (true, &["domain"]),
    (true, &["state", "workload", "http", "process", "logging", "operator"]),
    (false, &["cluster", "vm", "balancer", "autoscaler", "tui", "client", "functions"]),
    (true, &["cli", "main"]),
];

/// The settings know instance types, which are a domain type: the one step up.
const STEP_UP: (&str, &str) = ("config", "domain");

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, rooms)| rooms.contains(&room))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            let is_source = path.extension().is_some_and(|extension| extension == "rs");
            if path.is_dir() {
                sources(&path)
            } else {
                is_source.then_some(path).into_iter().collect()
            }
        })
        .collect()
}

/// The rooms named after `crate::` in a text, with their line numbers.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in
        text.lines().enumerate().filter(|(_, line)| !line.trim().starts_with("//"))
    {
        for after in line.split("crate::").skip(1) {
            let names = match after.strip_prefix('{') {
                Some(group) => group.split(',').collect(),
                None => vec![after],
            };
            for name in names {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let room: String = name.trim().chars().take_while(|c| word(*c)).collect();
                found.push((number + 1, room));
            }
        }
    }
    found
}

#[test]
fn imports_go_down_the_floors() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let floor =
            floor_of(room).unwrap_or_else(|| panic!("{room} stands on no floor: give it one"));
        for (line, import) in imports(&fs::read_to_string(&path).unwrap()) {
            let Some(below) = floor_of(&import) else { continue };
            seen += 1;
            let beside = below == floor && (FLOORS[floor].0 || import == room);
            if below >= floor && !beside && (room, import.as_str()) != STEP_UP {
                wrong.push(format!("src/{}:{line}: {room} imports {import}", inside.display()));
            }
        }
    }
    assert!(seen > 50, "only {seen} imports were found: this test looks in the wrong place");
    assert!(wrong.is_empty(), "imports that go up or across:\n{}", wrong.join("\n"));
}

#[test]
fn grouped_and_qualified_imports_are_seen() {
    let text = "use crate::{state, vm};\nlet x = crate::tui::Screen;\n// crate::cli\n";
    let rooms = imports(text);
    assert_eq!(rooms, [(1, "state".to_owned()), (1, "vm".to_owned()), (2, "tui".to_owned())]);
}
