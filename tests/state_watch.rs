//! What watchers are told, and what they are not told.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cumulet::domain::vm::VmId;
use cumulet::state::as_state::AsStateFile;
use cumulet::state::vm_state::VmStateFile;
use cumulet::state::{Document, Error, StateFolder, View, Watcher};
use tokio::sync::watch::Receiver;

/// Long enough for the slowest machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(30);

type Views = Receiver<View<AsStateFile>>;

/// Waits until what is watched is like this.
async fn until(views: &mut Views, is: impl Fn(&View<AsStateFile>) -> bool) -> View<AsStateFile> {
    let wait = async { views.wait_for(|view| is(view)).await.unwrap().clone() };
    let found = tokio::time::timeout(LONG, wait).await;
    found.unwrap_or_else(|_| panic!("it never came; there is {:?}", views.borrow().clone()))
}

fn seq(view: &View<AsStateFile>) -> u64 {
    view.document.as_ref().map_or(0, |document| document.seq)
}

fn text(seq: u64) -> String {
    format!("<ASState version=\"1\" seq=\"{seq}\"/>")
}

struct Stage {
    _folder: tempfile::TempDir,
    state: StateFolder,
    watcher: Watcher,
    views: Views,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(&folder.path().join("state")).unwrap();
        let watcher = Watcher::start(&state).unwrap();
        let views = watcher.follow();
        Self { _folder: folder, state, watcher, views }
    }

    fn file(&self) -> std::path::PathBuf {
        self.state.path().join(AsStateFile::FILE)
    }
}

fn rename_into(path: &Path, text: &str) {
    let beside = path.with_file_name("beside");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_view_is_there_at_once() {
    let stage = Stage::new();
    assert_eq!(stage.views.borrow().document, None);
    assert!(stage.views.borrow().problem.is_none());
    stage.state.update(|file: &mut AsStateFile| file.paused = true).unwrap();
    let views: Views = stage.watcher.follow();
    assert!(views.borrow().document.as_ref().unwrap().paused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_of_every_kind_are_seen() {
    let mut stage = Stage::new();
    stage.state.update(|_: &mut AsStateFile| ()).unwrap();
    until(&mut stage.views, |view| seq(view) == 1).await;
    fs::write(stage.file(), text(10)).unwrap();
    until(&mut stage.views, |view| seq(view) == 10).await;
    rename_into(&stage.file(), &text(20));
    until(&mut stage.views, |view| seq(view) == 20).await;
    // A second time: a watch on the file, and not on the folder, would have gone with the first.
    rename_into(&stage.file(), &text(30));
    until(&mut stage.views, |view| seq(view) == 30).await;
    // Back to an older file, as an editor's undo does: what the file says now counts.
    fs::write(stage.file(), text(20)).unwrap();
    until(&mut stage.views, |view| seq(view) == 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_gone_leaves_its_last_word_in_force() {
    let mut stage = Stage::new();
    fs::write(stage.file(), text(5)).unwrap();
    until(&mut stage.views, |view| seq(view) == 5).await;
    fs::remove_file(stage.file()).unwrap();
    let view = until(&mut stage.views, |view| view.problem.is_some()).await;
    assert_eq!(seq(&view), 5);
    assert!(matches!(&**view.problem.as_ref().unwrap(), Error::Gone { .. }));
    fs::write(stage.file(), text(6)).unwrap();
    let view = until(&mut stage.views, |view| seq(view) == 6).await;
    assert!(view.problem.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_removed_and_made_again_is_followed() {
    let mut stage = Stage::new();
    for round in 1..=3 {
        stage.state.update(|_: &mut AsStateFile| ()).unwrap();
        until(&mut stage.views, |view| seq(view) == round && view.problem.is_none()).await;
        fs::remove_dir_all(stage.state.path()).unwrap();
        until(&mut stage.views, |view| view.problem.is_some()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_is_a_problem_and_not_a_document() {
    let mut stage = Stage::new();
    fs::write(stage.file(), text(5)).unwrap();
    until(&mut stage.views, |view| seq(view) == 5).await;
    fs::write(stage.file(), "<ASState version=\"1\" seq=\"six\"/>").unwrap();
    let view = until(&mut stage.views, |view| view.problem.is_some()).await;
    assert_eq!(seq(&view), 5);
    let said = view.problem.unwrap().to_string();
    assert!(said.contains("ASState.xml:1:22: attribute `seq` of <ASState>: `six`"), "{said}");
    // The next writer goes on from the last good document, and the problem is gone.
    stage.state.update(|file: &mut AsStateFile| file.paused = true).unwrap();
    let view = until(&mut stage.views, |view| view.problem.is_none()).await;
    assert!(view.document.unwrap().paused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_wake_for_news_and_for_nothing_else() {
    let mut stage = Stage::new();
    fs::write(stage.file(), text(1)).unwrap();
    until(&mut stage.views, |view| seq(view) == 1).await;
    stage.views.mark_unchanged();
    let mut news: Views = stage.watcher.follow();
    let counter = tokio::spawn(async move {
        let mut woken = Vec::new();
        while news.changed().await.is_ok() {
            let view = news.borrow_and_update().clone();
            assert!(view.problem.is_none());
            woken.push(seq(&view));
            if seq(&view) == 3 {
                break;
            }
        }
        woken
    });
    for _ in 0..200 {
        stage.state.read::<AsStateFile>().unwrap();
        fs::read(stage.file()).unwrap();
        // Other files, and the same content again.
        stage.state.update(|_: &mut VmStateFile| ()).unwrap();
        rename_into(&stage.file(), &text(1));
    }
    fs::write(stage.state.path().join("notes.txt"), "by hand").unwrap();
    rename_into(&stage.file(), &text(2));
    until(&mut stage.views, |view| seq(view) == 2).await;
    rename_into(&stage.file(), &text(3));
    assert_eq!(tokio::time::timeout(LONG, counter).await.unwrap().unwrap(), [2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_document_keeps_its_place_in_memory() {
    let mut stage = Stage::new();
    fs::write(stage.file(), text(1)).unwrap();
    let before = until(&mut stage.views, |view| seq(view) == 1).await.document.unwrap();
    fs::write(stage.file(), "broken").unwrap();
    let view = until(&mut stage.views, |view| view.problem.is_some()).await;
    assert!(Arc::ptr_eq(&before, &view.document.unwrap()));
    rename_into(&stage.file(), &text(1));
    let view = until(&mut stage.views, |view| view.problem.is_none()).await;
    assert!(Arc::ptr_eq(&before, &view.document.unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writes_end_in_the_last_one() {
    let mut stage = Stage::new();
    let writer = stage.state.clone();
    tokio::task::spawn_blocking(move || {
        for number in 1..=200 {
            writer.update(|file: &mut AsStateFile| file.last_vm = number).unwrap();
        }
    })
    .await
    .unwrap();
    let view = until(&mut stage.views, |view| seq(view) == 200).await;
    assert_eq!(view.document.unwrap().last_vm, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_end_with_their_watcher() {
    let mut stage = Stage::new();
    drop(stage.watcher);
    let ended = tokio::time::timeout(LONG, async { while stage.views.changed().await.is_ok() {} });
    assert!(ended.await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_followed_side_by_side() {
    let mut stage = Stage::new();
    let mut vms = stage.watcher.follow::<VmStateFile>();
    stage.state.update(|file: &mut AsStateFile| file.next_vm_id(|_| false)).unwrap();
    stage.state.update(|_: &mut VmStateFile| ()).unwrap();
    let view = until(&mut stage.views, |view| seq(view) == 1).await;
    assert_eq!(view.document.unwrap().last_vm, 1);
    let seen = vms.wait_for(|view| view.document.as_ref().is_some_and(|file| file.seq == 1));
    let seen = tokio::time::timeout(LONG, seen).await.unwrap().unwrap().clone();
    assert!(seen.document.unwrap().vm(&VmId::numbered(1)).is_none());
}

#[test]
fn a_watcher_needs_a_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::open(folder.path()).unwrap();
    assert!(Watcher::start(&state).is_err());
}
