//! Keeps the times of an open loop. A thread of its own sleeps until each request is due: a timer
//! of the runtime is a millisecond late, which would be counted as latency.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// The pacer looks as often as this whether anybody still wants to know.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// Tells each of `times` (from `begin` on, those before `end`) when it has come.
pub(super) fn start(
    times: impl Iterator<Item = Duration> + Send + 'static,
    begin: Instant,
    end: Duration,
) -> mpsc::UnboundedReceiver<Instant> {
    let (told, heard) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for at in times.take_while(|at| *at < end) {
            let Some(due) = begin.checked_add(at) else { return };
            while let Some(left) =
                due.checked_duration_since(Instant::now()).filter(|t| !t.is_zero())
            {
                std::thread::sleep(left.min(LONGEST_SLEEP));
                if told.is_closed() {
                    return;
                }
            }
            if told.send(due).is_err() {
                return;
            }
        }
    });
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_told_before_its_time_and_nothing_after_the_end() {
        let begin = Instant::now();
        let times = [0, 5, 5, 20, 1_000_000].map(Duration::from_millis);
        let mut heard = start(times.into_iter(), begin, Duration::from_secs(1));
        let mut told = Vec::new();
        while let Some(due) = heard.recv().await {
            assert!(Instant::now() >= due);
            told.push(due - begin);
        }
        assert_eq!(told, times[..4]);
    }
}
