//! Requests that a person fires at a cluster, to see what it makes of them.

use crate::domain::cost::Kind;

/// What is fired: so many requests of a workload, so many of them at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volley {
    /// The workload, one of [`Kind::WORKLOADS`].
    pub workload: Kind,
    /// How many requests, 1 to [`Volley::MOST`].
    pub count: u32,
    /// How many of them at a time, 1 to [`Volley::MOST_AT_ONCE`].
    pub at_once: u32,
}

impl Volley {
    /// The most requests: a picture of each is kept.
    pub const MOST: u32 = 1000;
    /// The most at a time: more is the business of `cumulet load`.
    pub const MOST_AT_ONCE: u32 = 100;

    /// A volley within the bounds that is nearest to the one asked for.
    pub fn of(workload: Kind, count: u32, at_once: u32) -> Self {
        let count = count.clamp(1, Self::MOST);
        Self { workload, count, at_once: at_once.clamp(1, Self::MOST_AT_ONCE.min(count)) }
    }
}
