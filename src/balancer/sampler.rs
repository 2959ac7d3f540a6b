//! Traces a few rays of renders that wait to be sent on: one thread for all of them, so that the
//! balancer stays what it is.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::domain::cost::Features;
use crate::workload::foresight::Sampling;

/// How long a request is kept for its sampling; afterwards it goes on with what is known. The
/// result is remembered all the same.
const PATIENCE: Duration = Duration::from_millis(10);
/// So many may wait for the thread. When there are more, requests are not sampled.
const WAITING: usize = 4;
/// So many results are remembered: people render the same scene again and again.
const REMEMBERED: usize = 1_024;

/// Samples renders.
pub(super) struct Sampler {
    jobs: SyncSender<Job>,
    memory: Arc<Memory>,
}

struct Job {
    sampling: Sampling,
    key: u64,
    done: oneshot::Sender<Option<Features>>,
}

/// Results by the hash of what was sampled; nothing for a scene that cannot be rendered.
#[derive(Default)]
struct Memory {
    hasher: RandomState,
    results: Mutex<HashMap<u64, Option<Features>>>,
}

impl Sampler {
    /// Starts the thread, which ends when this is dropped.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, taken) = mpsc::sync_channel(WAITING);
        let memory = Arc::new(Memory::default());
        let shared = memory.clone();
        std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || work(&taken, &shared))?;
        Ok(Self { jobs, memory })
    }

    /// The features of a render after sampling it; nothing if that takes too long, or if there is
    /// nothing to render.
    pub(super) async fn sample(&self, sampling: Sampling) -> Option<Features> {
        let key = self.memory.hasher.hash_one(&sampling);
        let known = self.memory.results().get(&key).copied();
        if let Some(result) = known {
            return result;
        }
        let (done, result) = oneshot::channel();
        self.jobs.try_send(Job { sampling, key, done }).ok()?;
        tokio::time::timeout(PATIENCE, result).await.ok()?.ok()?
    }
}

impl Memory {
    fn results(&self) -> MutexGuard<'_, HashMap<u64, Option<Features>>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, key: u64, result: Option<Features>) {
        let mut results = self.results();
        if results.len() >= REMEMBERED {
            // What is asked for often is soon there again.
            results.clear();
        }
        results.insert(key, result);
    }
}

fn work(jobs: &Receiver<Job>, memory: &Memory) {
    while let Ok(Job { sampling, key, done }) = jobs.recv() {
        // A scene that cannot be rendered is the VM's to refuse.
        let result = sampling.run().ok();
        memory.remember(key, result);
        // If nobody waits any more, the request went on.
        let _ = done.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "scols=640&srows=480&wcols=640&wrows=480&coff=0&roff=0";
    const SCENE: &[u8] = include_bytes!("../../workloads/scenes/crowd.txt");

    fn sampling(scene: &[u8]) -> Sampling {
        Sampling::of(QUERY, scene, true, None).unwrap()
    }

    async fn until_known(sampler: &Sampler, sampling: &Sampling) -> Option<Features> {
        let key = sampler.memory.hasher.hash_one(sampling);
        loop {
            if let Some(result) = sampler.memory.results().get(&key) {
                return *result;
            }
            sampler.sample(sampling.clone()).await;
        }
    }

    #[tokio::test]
    async fn a_result_is_remembered_even_if_it_came_too_late() {
        let sampler = Sampler::start().unwrap();
        let known = until_known(&sampler, &sampling(SCENE)).await;
        let features = sampler.sample(sampling(SCENE)).await;
        assert_eq!(features, known);
        assert_eq!(features.unwrap().bytes, SCENE.len() as u64);
    }

    #[tokio::test]
    async fn a_scene_that_cannot_be_rendered_has_no_features() {
        let sampler = Sampler::start().unwrap();
        assert_eq!(until_known(&sampler, &sampling(b"no scene")).await, None);
        assert_eq!(sampler.sample(sampling(b"no scene")).await, None);
    }

    #[test]
    fn the_memory_is_bounded() {
        let memory = Memory::default();
        for key in 0..10_000 {
            memory.remember(key, None);
        }
        assert!(memory.results().len() <= REMEMBERED);
    }
}
