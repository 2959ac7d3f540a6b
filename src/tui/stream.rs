//! A cluster without a screen: one JSON object per change, and its events as they happen.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::data::{Data, Known};
use super::format;
use super::overview;
use super::source::{LOOK_EVERY, Source};
use super::verdict::judge;
use crate::config;
use crate::state::StateFolder;
use crate::state::events::Event;
use crate::state::follow::Follow;

/// How much of the end of events.log is told before what happens from now on.
const EVENTS_BYTES: u64 = 16 << 10;

/// Gives the picture of a cluster to `each` now and whenever something changes, as
/// [`overview::Snapshot::to_json`] does, until `stop` is cancelled or `each` fails: a reader that
/// has gone away is the usual end.
///
/// # Errors
/// If the folder cannot be watched, and those of `each`.
pub async fn watch(
    folder: &StateFolder,
    settings: &config::Settings,
    stop: &CancellationToken,
    mut each: impl FnMut(Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut source = Source::start(folder)?;
    let known = Known::of(settings, TimeZone::system());
    let mut data = Data::new(std::sync::Arc::new(known), Timestamp::now());
    let mut told = None;
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let news = source.look(Timestamp::now());
            (source, news)
        });
        let news;
        (source, news) = looked.await?;
        let changed = !news.is_empty();
        data.take_in(news);
        // That nobody writes any more is a change too.
        let condition = Some(judge(&data).condition);
        if changed || condition != told {
            told = condition;
            each(overview::as_json(&data))?;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = source.changed() => {}
        }
    }
}

/// Gives the last events to `each`, and then each new one as it is written, until `stop` is
/// cancelled or `each` fails. Without `follow` it ends after the last events.
///
/// # Errors
/// If events.log cannot be read, and those of `each`.
pub async fn events(
    folder: &StateFolder,
    follow: bool,
    stop: &CancellationToken,
    mut each: impl FnMut(&Event) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut lines = Follow::<Event>::from_last(folder, EVENTS_BYTES);
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let new = lines.look();
            (lines, new)
        });
        let new;
        (lines, new) = looked.await?;
        new?.iter().try_for_each(&mut each)?;
        if !follow {
            return Ok(());
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// An event as a line for people: `14:02:31  scale      autoscaler  out 4 to 5: …`.
pub fn event_text(event: &Event) -> String {
    let at = format::clock(event.at, &TimeZone::system());
    let vm = event.vm.as_ref().map(|vm| format!("{vm} ")).unwrap_or_default();
    format!("{at}  {:<9}  {:<10}  {vm}{}", event.kind, event.role, event.detail)
}

/// An event with stable field names.
pub fn event_json(event: &Event) -> Value {
    json!({
        "at": event.at,
        "event": event.kind.as_str(),
        "role": event.role,
        "vm": event.vm.as_ref().map(crate::domain::vm::VmId::as_str),
        "detail": event.detail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::vm::VmId;
    use crate::state::events::EventKind;

    fn event(detail: &str) -> Event {
        Event::now(EventKind::Role, "cluster", Some(VmId::numbered(1)), detail.to_owned())
    }

    #[tokio::test]
    async fn events_come_once_each_and_go_on_until_the_reader_has_enough() {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(home.path()).unwrap();
        folder.append_event(&event("one")).unwrap();
        let mut seen = Vec::new();
        let ended = events(&folder, true, &CancellationToken::new(), |new| {
            seen.push(new.detail.clone());
            if seen.len() == 1 {
                folder.append_event(&event("two")).unwrap();
            }
            anyhow::ensure!(seen.len() < 2, "enough");
            Ok(())
        })
        .await;
        assert_eq!(ended.unwrap_err().to_string(), "enough");
        assert_eq!(seen, ["one", "two"]);
    }

    #[tokio::test]
    async fn a_watched_cluster_is_told_at_once_and_at_each_change() {
        let home = tempfile::tempdir().unwrap();
        let folder = StateFolder::open(home.path()).unwrap();
        let settings = config::Settings::default();
        let mut seen = Vec::new();
        let ended = watch(&folder, &settings, &CancellationToken::new(), |picture| {
            seen.push(picture["verdict"].as_str().unwrap_or_default().to_owned());
            if seen.len() == 1 {
                folder.append_event(&event("stopped")).unwrap();
            }
            anyhow::ensure!(seen.len() < 2, "enough");
            Ok(())
        })
        .await;
        assert_eq!(ended.unwrap_err().to_string(), "enough");
        assert_eq!(seen, ["empty", "stopped"]);
    }
}
