//! What is known of a request before the parser has seen it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::balancer::upstream::Interim;
use crate::http::Problem;

/// Notes on the requests of one connection, from its reader to its service.
#[derive(Clone, Default)]
pub(in crate::balancer) struct Notes(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    /// Requests that the service has been given.
    served: u64,
    /// The number of the request that is refused, which is the last one.
    refused: Option<(u64, Problem)>,
    /// The number of the request that asks for another protocol, after which none is read.
    upgrade: Option<u64>,
    /// Heads that came in pieces.
    slow: VecDeque<(u64, Duration)>,
}

/// What was noted of one request.
#[derive(Debug, Default)]
pub(in crate::balancer) struct Arrival {
    /// The answer, if it is refused.
    pub(in crate::balancer) refusal: Option<Problem>,
    /// Whether it asks for another protocol.
    pub(in crate::balancer) asks_for_upgrade: bool,
    /// Takes answers that only tell of progress (RFC 9110, section 15.2) to its client; none where
    /// they cannot be sent.
    pub(in crate::balancer) interim: Option<Interim>,
    /// From the first to the last byte of its head.
    pub(in crate::balancer) head_time: Duration,
}

impl Notes {
    /// The next request has come to the service, in the order in which they were read.
    pub(in crate::balancer) fn next(&self) -> Arrival {
        let mut noted = self.lock();
        noted.served += 1;
        let number = noted.served;
        while noted.slow.front().is_some_and(|(of, _)| *of < number) {
            noted.slow.pop_front();
        }
        Arrival {
            refusal: noted.refused.take_if(|(of, _)| *of == number).map(|(_, problem)| problem),
            asks_for_upgrade: noted.upgrade == Some(number),
            interim: None,
            head_time: match noted.slow.front() {
                Some((of, time)) if *of == number => *time,
                _ => Duration::ZERO,
            },
        }
    }

    pub(super) fn refused(&self, number: u64, problem: Problem) {
        self.lock().refused = Some((number, problem));
    }

    pub(super) fn asks_for_upgrade(&self, number: u64) {
        self.lock().upgrade = Some(number);
    }

    pub(super) fn slow(&self, number: u64, time: Duration) {
        self.lock().slow.push_back((number, time));
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::StatusCode;

    #[test]
    fn each_request_gets_its_own_notes() {
        let notes = Notes::default();
        notes.slow(2, Duration::from_millis(7));
        notes.refused(3, Problem::new(StatusCode::BAD_REQUEST, "why"));
        let (first, second, third) = (notes.next(), notes.next(), notes.next());
        assert!(first.refusal.is_none() && second.refusal.is_none());
        assert_eq!((first.head_time, second.head_time.as_millis()), (Duration::ZERO, 7));
        assert_eq!(third.refusal.unwrap().detail, "why");
    }
}
