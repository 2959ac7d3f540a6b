//! The work that VMs do: bytes in, bytes out, and an honest account of what it cost.
//!
//! Pure: nothing here reads a clock that decides anything, opens a file or knows HTTP. Whoever
//! runs a workload says how many threads it may use, how long it may go on and how large its
//! input may be ([`Run`]); the workload answers with its output and a [`Usage`].

pub mod foresight;
pub mod imaging;
mod instructions;
mod kernel;
pub mod raytracer;
pub mod wire;

pub use instructions::Instructions;

use std::num::NonZeroUsize;
use std::time::Duration;

/// What a workload needs from whoever runs it.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// How many threads may work at once: the vCPUs of the VM. The output never depends on it.
    pub threads: NonZeroUsize,
    /// Called by every working thread about once a millisecond.
    pub pacer: &'a dyn Pacer,
    /// Bounds on what an input may ask for.
    pub limits: &'a Limits,
}

/// The hand on the throttle: lets a VM run a workload at the speed it emulates, or stop it.
pub trait Pacer: Sync {
    /// Called by each working thread between pieces of work of about a millisecond (some rows, a
    /// tile). May sleep to hold the thread to a share of a CPU.
    ///
    /// # Errors
    /// [`Cancelled`] when nobody waits for the answer any more; the workload then returns
    /// [`Error::Cancelled`] at once.
    fn checkpoint(&self) -> Result<(), Cancelled>;
}

/// The request was given up: its client left, or the VM stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

/// A pacer that never holds anything back.
#[derive(Debug, Clone, Copy, Default)]
pub struct FullSpeed;

impl Pacer for FullSpeed {
    fn checkpoint(&self) -> Result<(), Cancelled> {
        Ok(())
    }
}

/// Bounds on what one request may ask for, each named in the error that enforces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of a decoded picture (width × height).
    pub picture_pixels: u64,
    /// Pixels of a rendered window (wcols × wrows).
    pub window_pixels: u64,
    /// Shapes in a scene.
    pub primitives: u64,
    /// Lights in a scene.
    pub lights: u64,
    /// Bytes of an encoded texture.
    pub texture_bytes: u64,
    /// Pixels of a decoded texture.
    pub texture_pixels: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            picture_pixels: 50_000_000,
            window_pixels: 50_000_000,
            primitives: 1_000_000,
            lights: 1_000,
            texture_bytes: 64 << 20,
            texture_pixels: 50_000_000,
        }
    }
}

/// What a request cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Elementary operations, a deterministic count: same input, same number, on any machine and
    /// for any number of threads. Its unit is about one nanosecond of one present-day core.
    pub work: u64,
    /// CPU time of the threads that did the work, from each thread's own CPU clock.
    pub cpu: Duration,
}

/// Why a workload gave no output. Each message is a sentence for the person who sent the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The input does not follow its format (HTTP 400).
    #[error("{0}")]
    Malformed(String),
    /// The input is of a kind that no decoder here reads (HTTP 415).
    #[error("{0}")]
    Unsupported(String),
    /// The input is well-formed and cannot be processed (HTTP 422).
    #[error("{0}")]
    Unprocessable(String),
    /// The input asks for more than a limit allows (HTTP 413).
    #[error("{what} is {actual}, the limit `{limit}` is {allowed}")]
    TooLarge {
        /// What was counted, for example "the picture's number of pixels".
        what: &'static str,
        /// What the input asked for.
        actual: u64,
        /// The name of the setting.
        limit: &'static str,
        /// The setting's value.
        allowed: u64,
    },
    /// Nobody waits for the answer any more.
    #[error("the request was given up")]
    Cancelled,
}

impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}
