//! How long the other end of a connection may be waited for: in all, and until a moment.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A bound on the sum of many waits. A bound on each of them alone would let a client that sends a
/// byte now and then hold a connection for ever.
pub(super) struct Patience {
    limit: Duration,
    used: Duration,
    since: Option<Instant>,
    /// Made at the first wait: most connections never wait.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Waits up to `limit` in all.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, used: Duration::ZERO, since: None, alarm: None }
    }

    /// There is nothing to do but to wait. Ready once the limit has passed.
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let since = self.since.is_none().then(Instant::now);
        let deadline = since.map(|now| now + self.limit.saturating_sub(self.used));
        self.since = self.since.or(since);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.limit)));
        if let Some(deadline) = deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(cx)
    }

    /// The bound.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// The other end has moved.
    pub(super) fn moved(&mut self) {
        if let Some(since) = self.since.take() {
            self.used += since.elapsed();
        }
    }

    /// What comes now has all the time again.
    pub(super) fn renew(&mut self, limit: Duration) {
        self.limit = limit;
        self.used = Duration::ZERO;
        self.since = None;
    }
}

/// A moment that is put off much more often than it comes: only when it may have come is the timer
/// touched.
#[derive(Default)]
pub(super) struct Alarm {
    at: Option<Instant>,
    /// Rings at that moment or before. Made at the first wait.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Puts it off to this moment, or brings it forward.
    pub(super) fn set(&mut self, at: Instant) {
        self.at = Some(at);
        if let Some(sleep) = self.sleep.as_mut().filter(|sleep| sleep.deadline() > at) {
            sleep.as_mut().reset(at);
        }
    }

    /// Ready once the moment has come; never, if none was set.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if at <= Instant::now() {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_over(patience: &mut Patience) -> bool {
        std::future::poll_fn(|cx| Poll::Ready(patience.poll_wait(cx).is_ready())).await
    }

    #[tokio::test]
    async fn many_short_waits_add_up_and_time_between_them_does_not_count() {
        let mut patience = Patience::new(Duration::from_millis(200));
        for _ in 0..4 {
            assert!(!is_over(&mut patience).await);
            tokio::time::sleep(Duration::from_millis(1)).await;
            patience.moved();
        }
        assert!(patience.used >= Duration::from_millis(4));
        let used = patience.used;
        tokio::time::sleep(Duration::from_millis(5)).await;
        patience.moved();
        assert_eq!(patience.used, used, "it did not wait");
        patience.used = Duration::from_millis(200);
        while !is_over(&mut patience).await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        patience.renew(Duration::from_mins(1));
        assert!(!is_over(&mut patience).await);
    }

    #[tokio::test]
    async fn an_alarm_rings_at_the_moment_that_was_set_last() {
        let mut alarm = Alarm::default();
        let unset = std::future::poll_fn(|cx| Poll::Ready(alarm.poll(cx).is_pending())).await;
        assert!(unset, "none was set");
        let start = Instant::now();
        // Put off, put off, brought forward.
        for millis in [10, 20, 30, 60_000, 40] {
            let at = start + Duration::from_millis(millis);
            alarm.set(at);
            if millis < 1_000 {
                std::future::poll_fn(|cx| alarm.poll(cx)).await;
                assert!(Instant::now() >= at);
            } else {
                let rings = std::future::poll_fn(|cx| Poll::Ready(alarm.poll(cx).is_ready())).await;
                assert!(!rings, "it was put off");
            }
        }
        assert!(Instant::now() < start + Duration::from_mins(1), "it was brought forward");
    }
}
