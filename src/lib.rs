//! Cumulet, a pocket cloud.
//!
//! When it is built to be fuzzed (`cfg(fuzzing)`, see `fuzz/`), the roles that no target needs are
//! left out: with all of them that build would take longer than the fuzzing.

#[cfg(not(fuzzing))]
pub mod autoscaler;
#[cfg(not(fuzzing))]
pub mod balancer;
#[cfg(not(fuzzing))]
pub mod cli;
#[cfg(not(fuzzing))]
pub mod client;
#[cfg(not(fuzzing))]
pub mod cluster;
pub mod config;
pub mod domain;
#[cfg(not(fuzzing))]
pub mod functions;
pub mod http;
pub mod logging;
#[cfg(not(fuzzing))]
pub mod operator;
pub mod process;
pub mod state;
#[cfg(not(fuzzing))]
pub mod tui;
pub mod units;
pub mod vm;
pub mod workload;
