//! How many requests a VM works on at once, and the queue of those that wait.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The door of a VM: a fixed number of places to be worked on, and a bounded queue before them,
/// first come, first served.
#[derive(Debug)]
pub(super) struct Admission {
    /// None for a VM that works on any number of requests at once.
    places: Option<Arc<Semaphore>>,
    longest_queue: u32,
    counts: Mutex<Counts>,
}

/// Requests inside a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// Being worked on.
    pub(super) in_flight: u32,
    /// Waiting for a place, or for the rest of their body.
    pub(super) queued: u32,
}

/// The queue is as long as it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueFull;

impl Admission {
    /// `concurrency` places, `None` for any number, and at most `longest_queue` that wait.
    pub(super) fn new(concurrency: Option<u32>, longest_queue: u32) -> Arc<Self> {
        let places = |number: u32| Arc::new(Semaphore::new(number.max(1) as usize));
        Arc::new(Self {
            places: concurrency.map(places),
            longest_queue,
            counts: Mutex::new(Counts::default()),
        })
    }

    /// How many are inside.
    pub(super) fn counts(&self) -> Counts {
        *self.lock()
    }

    /// Counts a request that has just come as one that waits.
    pub(super) fn arrive(self: &Arc<Self>) -> Result<Waiting, QueueFull> {
        let mut counts = self.lock();
        if let Some(places) = &self.places {
            let free = u32::try_from(places.available_permits()).unwrap_or(u32::MAX);
            if counts.queued >= self.longest_queue.saturating_add(free) {
                return Err(QueueFull);
            }
        }
        counts.queued += 1;
        Ok(Waiting { admission: Arc::clone(self) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits; dropping it is leaving.
#[derive(Debug)]
pub(super) struct Waiting {
    admission: Arc<Admission>,
}

impl Waiting {
    /// Waits behind those that called this before.
    pub(super) async fn place(self) -> Place {
        let permit = match &self.admission.places {
            // The semaphore is never closed, so acquiring cannot fail.
            Some(places) => Arc::clone(places).acquire_owned().await.ok(),
            None => None,
        };
        self.admission.lock().in_flight += 1;
        // Dropping `self` takes it out of the queue.
        Place { admission: Arc::clone(&self.admission), _permit: permit }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.admission.lock().queued -= 1;
    }
}

/// A place to be worked on; dropping it makes way for the next request.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    /// Given back after `drop` has counted, so that no more than the places are ever counted.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.lock().in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(in_flight: u32, queued: u32) -> Counts {
        Counts { in_flight, queued }
    }

    #[tokio::test]
    async fn no_more_are_worked_on_than_there_are_places() {
        let admission = Admission::new(Some(2), 10);
        let first = admission.arrive().unwrap().place().await;
        let _second = admission.arrive().unwrap().place().await;
        let third = tokio::spawn(admission.arrive().unwrap().place());
        tokio::task::yield_now().await;
        assert_eq!(admission.counts(), counts(2, 1));
        drop(first);
        let _third = third.await.unwrap();
        assert_eq!(admission.counts(), counts(2, 0));
    }

    #[tokio::test]
    async fn those_that_wait_get_their_places_in_order() {
        let admission = Admission::new(Some(1), 10);
        let mut place = admission.arrive().unwrap().place().await;
        let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..5 {
            let (waiting, sender) = (admission.arrive().unwrap(), sender.clone());
            tokio::spawn(async move { sender.send((number, waiting.place().await)) });
            tokio::task::yield_now().await;
        }
        for expected in 0..5 {
            drop(place);
            let number;
            (number, place) = served.recv().await.unwrap();
            assert_eq!(number, expected);
        }
    }

    #[tokio::test]
    async fn beyond_the_longest_queue_requests_are_turned_away() {
        let admission = Admission::new(Some(1), 2);
        let _place = admission.arrive().unwrap().place().await;
        let first = admission.arrive().unwrap();
        let _second = admission.arrive().unwrap();
        assert_eq!(admission.arrive().unwrap_err(), QueueFull);
        drop(first);
        assert_eq!(admission.counts(), counts(1, 1));
        assert!(admission.arrive().is_ok());
    }

    #[tokio::test]
    async fn with_no_queue_at_all_there_are_still_the_places() {
        let admission = Admission::new(Some(1), 0);
        let _place = admission.arrive().unwrap().place().await;
        assert_eq!(admission.arrive().unwrap_err(), QueueFull);
    }

    #[tokio::test]
    async fn a_vm_without_limit_takes_any_number() {
        let admission = Admission::new(None, 0);
        let mut places = Vec::new();
        for _ in 0..100 {
            places.push(admission.arrive().unwrap().place().await);
        }
        assert_eq!(admission.counts(), counts(100, 0));
        places.clear();
        assert_eq!(admission.counts(), counts(0, 0));
    }

    #[tokio::test]
    async fn a_request_that_leaves_the_queue_is_no_longer_counted() {
        let admission = Admission::new(Some(1), 10);
        let place = admission.arrive().unwrap().place().await;
        let second = tokio::spawn(admission.arrive().unwrap().place());
        tokio::task::yield_now().await;
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        assert_eq!(admission.counts(), counts(1, 0));
        drop(place);
        let _next = admission.arrive().unwrap().place().await;
        assert_eq!(admission.counts(), counts(1, 0));
    }
}
